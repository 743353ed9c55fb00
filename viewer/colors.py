"""Colours that follow an object from frame to frame; results carry no identity over time."""

from segmentation.instances import Box, Instances
from viewer.overlay import PALETTE, Color


class ColorMemory:
    """Gives an instance the colour of the instance of the frame before that it overlaps most.

    Args:
        min_overlap: Least intersection over union of two boxes that count as one object, 0..1.
    """

    def __init__(self, min_overlap: float = 0.3) -> None:
        self._min_overlap = min_overlap
        self._before: list[tuple[Box, int]] = []
        self._next = 0

    def assign(self, instances: Instances) -> dict[int, Color]:
        """Return the colour of each instance id, and remember it for the next frame."""
        pairs = sorted(
            (
                (overlap, place, number)
                for place, mask in enumerate(instances)
                for number, (box, _) in enumerate(self._before)
                if (overlap := box_overlap(mask.box, box)) >= self._min_overlap
            ),
            reverse=True,
        )
        numbers: dict[int, int] = {}
        taken: set[int] = set()
        for _, place, number in pairs:
            if place not in numbers and number not in taken:
                numbers[place] = self._before[number][1]
                taken.add(number)
        for place in range(len(instances)):
            if place not in numbers:
                numbers[place] = self._next
                self._next += 1
        self._before = [(mask.box, numbers[place]) for place, mask in enumerate(instances)]
        return {
            number: PALETTE[numbers[place] % len(PALETTE)]
            for place, number in enumerate(instances.ids.tolist())
        }


def box_overlap(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, 0..1."""
    width = min(first[0] + first[2], second[0] + second[2]) - max(first[0], second[0])
    height = min(first[1] + first[3], second[1] + second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (first[2] * first[3] + second[2] * second[3] - shared)
