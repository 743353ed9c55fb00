"""What one labelled picture holds, and where its instances and classes contradict each other.

Legend: H, W pixels of a picture, N instances, K classes.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, Labelled

_EXAMPLES = 5
"""Instances that one fault names."""

_PIECE_SHARE = 0.1
"""Part of an instance's largest piece from which on another piece counts, 0..1."""

_SIDE = 6
"""Pixels of the shorter side of a box from which on a rectangle is told from a disc."""

_FILLED = 0.94
"""Part of a turned rectangle that is filled, from which on an instance is one, 0..1."""

_TURNED = 0.9
"""Part of the upright box that a turned rectangle has at most, 0..1."""

_DENSE = 0.7
"""Part of its box from which on an instance cannot be in pieces far from each other, 0..1."""


@dataclass(frozen=True, eq=False)
class Facts:
    """What one picture holds.

    Attributes:
        height: H.
        width: W.
        classes: (N,) uint8 class of every instance, 1..K.
        areas: (N,) int64 pixels of every instance.
        extents: (N,) int64 pixels of the longer side of every instance's box.
        foreground: Pixels of instances.
        ignored: Pixels that are ignored.
        scattered: Instances in pieces that are farther apart than the largest of them is long.
        rectangles: Instances that fill a rectangle, upright or turned; not the smallest.
        flaws: Objects that were mended or became ignored regions when the picture was read.
    """

    height: int
    width: int
    classes: NDArray[np.uint8]
    areas: NDArray[np.int64]
    extents: NDArray[np.int64]
    foreground: int
    ignored: int
    scattered: int = 0
    rectangles: int = 0
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, eq=False)
class _Instances:
    """Number, class, pixels and box of every instance, and those with more than one class."""

    numbers: NDArray[np.int32]
    classes: NDArray[np.uint8]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]
    """(N, 4): top, left, bottom, right; the last two lie outside."""
    mixed: NDArray[np.int32]


def facts(picture: Labelled, classes: int) -> tuple[Facts, list[str]]:
    """Measure one picture and say where instances and labels contradict each other.

    Args:
        picture: The picture.
        classes: K.

    Returns:
        What it holds; and its faults: a pixel of an instance without a class, of a class without
        an instance, or an instance of two classes.
    """
    height, width = picture.labels.shape
    faults = []
    known = (picture.labels > 0) & (picture.labels < IGNORE)
    unknown = np.unique(picture.labels[known & (picture.labels > classes)])
    if unknown.size:
        faults.append(f"has the classes {unknown.tolist()}, expected 1..{classes} or {IGNORE}")
    inside = picture.instances > 0
    alone = known & ~inside
    if alone.any():
        faults.append(
            f"{int(alone.sum())} pixels have the class {_some(picture.labels[alone])} but belong "
            f"to no instance; expected a number for each instance, or the class {IGNORE} to ignore"
        )
    unnamed = inside & ~known
    if unnamed.any():
        faults.append(
            f"instances {_some(picture.instances[unnamed])} have unclassified pixels; expected the "
            f"class of the instance on all its pixels, or the class {IGNORE} to ignore"
        )
    found = _measure(picture, inside)
    if found.mixed.size:
        mixed = found.mixed[:_EXAMPLES].tolist()
        faults.append(f"instances {mixed} have several classes, expected one for each")
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    return Facts(
        height,
        width,
        classes=found.classes,
        areas=found.areas,
        extents=sides.max(axis=1),
        foreground=int(inside.sum()),
        ignored=int((picture.labels == IGNORE).sum()),
        scattered=_count_scattered(picture.instances, found),
        rectangles=_count_rectangles(picture.instances, found),
        flaws=picture.flaws,
    ), faults


def without_contradictions(picture: Labelled, classes: int) -> Labelled:
    """Return the picture with every pixel ignored whose instance and class contradict each other.

    As background it would teach that nothing is there.

    Args:
        picture: The picture.
        classes: K.
    """
    known = (picture.labels > 0) & (picture.labels <= classes)
    inside = picture.instances > 0
    wrong = (known != inside) | ((picture.labels > classes) & (picture.labels != IGNORE))
    mixed = _measure(picture, inside).mixed
    if mixed.size:
        wrong |= np.isin(picture.instances, mixed)
    if not wrong.any():
        return picture
    numbers = np.unique(picture.instances[wrong & inside]).tolist()
    places = [f"instance {number}" for number in numbers]
    if (wrong & ~inside).any():
        places.append("pixels of no instance")
    return replace(
        picture,
        instances=np.where(wrong, np.int32(0), picture.instances),
        labels=np.where(wrong, np.uint8(IGNORE), picture.labels),
        flaws=(*picture.flaws, *(Flaw(FlawKind.CONTRADICTION, place) for place in places)),
    )


def _measure(picture: Labelled, inside: NDArray[np.bool_]) -> _Instances:
    y, x = np.nonzero(inside)
    if not y.size:
        none = np.zeros(0, np.int32)
        return _Instances(
            none,
            none.astype(np.uint8),
            none.astype(np.int64),
            np.zeros((0, 4), np.int64),
            none,
        )
    order = np.argsort(picture.instances[y, x], kind="stable")
    y, x = y[order], x[order]
    numbers, starts, areas = np.unique(
        picture.instances[y, x], return_index=True, return_counts=True
    )
    labels = picture.labels[y, x]
    first = np.minimum.reduceat(labels, starts)
    # Ignored or missing classes are another fault; only real ones can contradict each other.
    mixed = numbers[np.maximum.reduceat(labels, starts) > first]
    boxes = np.stack(
        [
            np.minimum.reduceat(y, starts),
            np.minimum.reduceat(x, starts),
            np.maximum.reduceat(y, starts) + 1,
            np.maximum.reduceat(x, starts) + 1,
        ],
        axis=1,
    )
    return _Instances(numbers, labels[starts], areas.astype(np.int64), boxes, mixed)


def _count_scattered(instances: NDArray[np.int32], found: _Instances) -> int:
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    sparse = np.nonzero(found.areas < _DENSE * sides.prod(axis=1))[0].tolist()
    count = 0
    for n in sparse:
        top, left, bottom, right = found.boxes[n].tolist()
        own = instances[top:bottom, left:right] == found.numbers[n]
        count += _is_scattered(own)
    return count


def _count_rectangles(instances: NDArray[np.int32], found: _Instances) -> int:
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    count = 0
    for n in np.nonzero(sides.min(axis=1) >= _SIDE)[0].tolist():
        area, box = int(found.areas[n]), int(sides[n].prod())
        if area < box:
            top, left, bottom, right = found.boxes[n].tolist()
            own = instances[top:bottom, left:right] == found.numbers[n]
            _, (width, height), _ = cv2.minAreaRect(cv2.findNonZero(own.astype(np.uint8)))
            # Its corners are the middles of pixels.
            turned = (width + 1) * (height + 1)
            if turned > _TURNED * box or area < _FILLED * turned:
                continue
        count += 1
    return count


def _is_scattered(mask: NDArray[np.bool_]) -> bool:
    """Whether a piece lies farther from the largest one than that is long.

    What a post or a neighbour cuts apart lies close together.
    """
    count, _, pieces, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and one piece
        return False
    left, top, width, height, areas = pieces[1:].T
    main = int(areas.argmax())
    right, bottom = left + width, top + height
    gaps = np.maximum.reduce(
        [left - right[main], left[main] - right, top - bottom[main], top[main] - bottom]
    )
    far = gaps > max(width[main], height[main])
    return bool((far & (areas >= _PIECE_SHARE * areas[main])).any())


def _some(values: NDArray[np.generic]) -> str:
    different = np.unique(values).tolist()
    more = ", ..." if len(different) > _EXAMPLES else ""
    return f"{', '.join(map(str, different[:_EXAMPLES]))}{more}"
