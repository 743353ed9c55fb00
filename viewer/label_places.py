"""Where labels stand: near their objects, not over each other. Pure."""

from collections.abc import Sequence

from segmentation.instances import Box

Place = tuple[int, int]
"""x, y of a label's top left corner."""

_GAP = 2

_MOST_COMPARED = 300
"""Of more labels each takes its first choice: whoever draws so many cannot read them anyhow."""


def place_labels(
    boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], picture: tuple[int, int], top: int = 0
) -> list[Place]:
    """Return a place for each label.

    Each stands above the middle of its box where there is room, else further up, below the box or
    within it; where everything is taken, where it covers the least of other labels. Labels of
    nearer objects, whose boxes end lower, choose first.

    Args:
        boxes: Of the objects.
        sizes: (width, height) of each label.
        picture: (height, width) of the picture.
        top: Rows at the top that are taken.
    """
    taken: list[Box] = []
    places: dict[int, Place] = {}
    for i in sorted(range(len(boxes)), key=lambda i: -(boxes[i][1] + boxes[i][3])):
        (x, y, width, height), (own_width, own_height) = boxes[i], sizes[i]
        step = own_height + _GAP
        rows = (y - step, y - 2 * step, y + height + _GAP, y - 3 * step, y + _GAP)
        left = round(min(max(0, x + width / 2 - own_width / 2), max(0, picture[1] - own_width)))
        choices = [
            (left, min(max(top, row), max(top, picture[0] - own_height)), own_width, own_height)
            for row in rows
        ]
        best = _freest(choices, taken) if len(boxes) <= _MOST_COMPARED else choices[0]
        taken.append(best)
        places[i] = best[:2]
    return [places[i] for i in range(len(boxes))]


def _freest(choices: Sequence[Box], taken: Sequence[Box]) -> Box:
    """Return the first choice that covers nothing taken, or the one that covers the least."""
    best, least = choices[0], None
    for choice in choices:
        covered = sum(_shared(choice, other) for other in taken)
        if least is None or covered < least:
            best, least = choice, covered
        if not covered:
            break
    return best


def _shared(one: Box, other: Box) -> int:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)
