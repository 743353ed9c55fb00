"""Pages of pictures: where an artifact is best and worst, and which objects it misses.

True instances are outlines, predicted ones are filled:

- green outline, blue fill: found;
- red outline with a cross: missed;
- orange fill: found where there is none (or the mask is too poor, or the class is another).

Legend: H, W pixels of a picture; h, w pixels as drawn.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.result import Instance
from model.data.labels import IGNORE, Image, Labelled
from model.evaluation.classes import Pairing
from model.evaluation.matching import PictureScores, average_precision, match_instances
from model.evaluation.on_pictures import Evaluation
from model.evaluation.predict import ManySegmenters, instance_map

CELL = 620
"""Side of a cell in pixels."""
COLUMNS, ROWS = 3, 2
MARGIN = 10
LINE = 34
"""Height of a line of text in pixels."""
CONTEXT = 1.2
"""What is shown around a missed object on each side, relative to its longer side."""
LEAST_VIEW = 64
"""Shortest side of such a view in pixels of the picture, where it has as many."""

FOUND, FOUND_FILL = (60, 220, 60), (60, 120, 255)
MISSED, WRONG_FILL = (255, 40, 40), (255, 160, 0)
_OPACITY = 0.4
_INK = (235, 235, 235)

Segment = Callable[[Image], Sequence[Instance]]


@dataclass(frozen=True, eq=False)
class Compared:
    """A picture with its true and predicted instances.

    Attributes:
        picture: The picture; its instances have any numbers.
        predicted: int32 (H, W), 0 background.
        found: Numbers of the true instances that were found.
        right: Numbers of the predicted instances that are one.
    """

    picture: Labelled
    predicted: NDArray[np.int32]
    found: frozenset[int]
    right: frozenset[int]


def compare(picture: Labelled, instances: Sequence[Instance], pairing: Pairing) -> Compared:
    """Match the instances of a picture at an IoU of 0.5."""
    counted = [each for each in instances if each.class_name in pairing.measured]
    predicted, labels, _ = instance_map(counted, picture.labels.shape, pairing.model)
    matches = match_instances(predicted, labels, picture)
    return Compared(
        picture,
        predicted,
        frozenset(int(matches.true_ids[t]) for _, t, _ in matches.pairs),
        frozenset(p + 1 for p, _, _ in matches.pairs),
    )


def write_pages(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``pictures-best.jpg``, ``pictures-worst.jpg`` and ``pictures-missed.jpg``.

    A page without content (no object was missed) is left out.
    """
    shown = [evaluation.shown.reported]
    segmenter = ManySegmenters(evaluation.engine, shown, evaluation.resize)

    @functools.cache  # of few pictures the best are also among the worst
    def compared(place: int) -> Compared:
        picture = evaluation.data.read(evaluation.seen[place])
        return compare(picture, segmenter.segment(picture.image)[0], evaluation.pairing)

    valued = [
        (value, place)
        for place, scores in enumerate(evaluation.scores)
        if (value := average_precision(scores)) is not None
    ]
    valued.sort(key=lambda pair: (-pair[0], pair[1]))
    count = COLUMNS * ROWS
    pages = {
        "best": [whole(compared(p), _caption(evaluation, p)) for _, p in valued[:count]],
        "worst": [
            whole(compared(p), _caption(evaluation, p)) for _, p in valued[: -count - 1 : -1]
        ],
        "missed": _missed(evaluation, compared),
    }
    titles = {
        "best": "best pictures",
        "worst": "worst pictures, the worst one first",
        "missed": "what is missed where most is missed: the largest object of each picture",
    }
    written = []
    for name, cells in pages.items():
        if cells:
            written.append(folder / f"pictures-{name}.jpg")
            _write(written[-1], page(cells, titles[name]))
    return written


def _caption(evaluation: Evaluation, place: int) -> str:
    scores = evaluation.scores[place]
    tp, fp, fn = (int(counts[:, 0].sum()) for counts in (scores.tp, scores.fp, scores.fn))
    name = evaluation.data.names[evaluation.seen[place]].rpartition("/")[2]
    return f"{name[:24]}: {tp} of {tp + fn} found, {fp} wrong, AP {average_precision(scores):.2f}"


def _missed(evaluation: Evaluation, compared: Callable[[int], Compared]) -> list[Image]:
    """Cells of the largest missed objects of the pictures that miss most, one of each."""
    worst = sorted(range(len(evaluation.scores)), key=lambda p: -_n_missed(evaluation.scores[p]))
    found: list[tuple[int, Image]] = []
    for place in worst[: COLUMNS * ROWS]:
        if not _n_missed(evaluation.scores[place]):
            break
        shown = compared(place)
        name = evaluation.data.names[evaluation.seen[place]].rpartition("/")[2]
        for number, area in _missed_areas(shown)[:1]:
            label = int(shown.picture.labels[shown.picture.instances == number][0])
            title = f"{evaluation.pairing.model[label - 1]} of {area} pixels in {name[:24]}"
            found.append((area, whole(_view(shown, number), title)))
    found.sort(key=lambda pair: -pair[0])
    return [cell for _, cell in found]


def _n_missed(scores: PictureScores) -> int:
    return int(scores.fn[:, 0].sum())


def _missed_areas(shown: Compared) -> list[tuple[int, int]]:
    true = (shown.picture.labels != 0) & (shown.picture.labels != IGNORE)
    numbers, areas = np.unique(shown.picture.instances[true], return_counts=True)
    pairs = zip(numbers.tolist(), areas.tolist(), strict=True)
    missed = [(number, area) for number, area in pairs if number and number not in shown.found]
    return sorted(missed, key=lambda pair: -pair[1])


def _view(shown: Compared, number: int) -> Compared:
    """Return the surroundings of a true instance."""
    ys, xs = np.nonzero(shown.picture.instances == number)
    height, width = shown.picture.labels.shape
    side = max(int(np.ptp(ys)), int(np.ptp(xs))) + 1
    half = max(int(side * (0.5 + CONTEXT)), LEAST_VIEW // 2)
    y, x = (int(values.min()) + int(np.ptp(values)) // 2 for values in (ys, xs))
    here = np.s_[max(y - half, 0) : min(y + half, height), max(x - half, 0) : min(x + half, width)]
    picture = shown.picture
    return Compared(
        Labelled(picture.image[here], picture.instances[here], picture.labels[here]),
        shown.predicted[here],
        shown.found,
        shown.right,
    )


def whole(shown: Compared, title: str) -> Image:
    """Return a cell of `CELL` x `CELL` + `LINE` pixels: the picture as drawn, its title above."""
    height, width = shown.picture.labels.shape
    scale = CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    drawn = draw(shown, size)
    cell = np.zeros((CELL + LINE, CELL, 3), np.uint8)
    top, left = LINE + (CELL - size[1]) // 2, (CELL - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = drawn
    _text(cell, title, (4, LINE - 11))
    return cell


def draw(shown: Compared, size: tuple[int, int]) -> Image:
    """Return uint8 (h, w, 3) RGB: fills of the predicted, outlines of the true instances.

    Args:
        shown: What to draw.
        size: (w, h).
    """
    image, picture = shown.picture.image, shown.picture
    method = cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_LINEAR
    drawn = np.asarray(cv2.resize(image, size, interpolation=method), np.float32)
    predicted, true = _scaled(shown.predicted, size), _scaled(picture.instances, size)
    for inside, colour in (
        (np.isin(predicted, list(shown.right)), FOUND_FILL),
        ((predicted > 0) & ~np.isin(predicted, list(shown.right)), WRONG_FILL),
    ):
        drawn[inside] += _OPACITY * (np.array(colour, np.float32) - drawn[inside])
    canvas = drawn.round().astype(np.uint8)
    numbers = np.unique(true[true > 0]).tolist()
    for number in sorted(numbers, key=lambda n: n not in shown.found):  # missed ones on top
        _outline(canvas, true == number, missed=number not in shown.found)
    return canvas


def _outline(canvas: Image, mask: NDArray[np.bool_], *, missed: bool) -> None:
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, MISSED if missed else FOUND, 2)
    if missed:
        y, x = (int(np.median(places)) for places in np.nonzero(mask))
        cv2.drawMarker(canvas, (x, y), MISSED, cv2.MARKER_TILTED_CROSS, 16, 2)


def _scaled(numbers: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    # OpenCV resizes no integers of 32 bits; as floats of 64 bits they are exact.
    scaled = cv2.resize(numbers.astype(np.float64), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(scaled, np.int32)


def page(cells: Sequence[Image], title: str) -> Image:
    """Return cells in rows, the title above and the legend below."""
    height, width = cells[0].shape[:2]
    columns = min(COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    full = (rows * (height + MARGIN) + 2 * LINE, COLUMNS * (width + MARGIN) + MARGIN)
    sheet = np.zeros((*full, 3), np.uint8)
    _text(sheet, title, (MARGIN, LINE - 10))
    for place, cell in enumerate(cells):
        row, column = divmod(place, columns)
        top = LINE + row * (height + MARGIN)
        left = MARGIN + column * (width + MARGIN)
        sheet[top : top + height, left : left + width] = cell
    x = MARGIN
    for text, colour in (
        ("outlines are true: found", FOUND),
        ("missed", MISSED),
        ("fills are predicted: right", FOUND_FILL),
        ("wrong (IoU below 0.5, or another class)", WRONG_FILL),
    ):
        cv2.rectangle(sheet, (x, full[0] - 26), (x + 18, full[0] - 8), colour, -1)
        x = 40 + _text(sheet, text, (x + 26, full[0] - 11))
    return sheet


def _text(canvas: Image, text: str, place: tuple[int, int]) -> int:
    """Write a line and return where it ends in x."""
    (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.62, 1)
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.62, _INK, 1, cv2.LINE_AA)
    return place[0] + int(width)


def _write(path: Path, image: Image) -> None:
    good, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [1, 90])
    assert good, "a page of 8-bit colours is always encoded"
    path.write_bytes(content.tobytes())
