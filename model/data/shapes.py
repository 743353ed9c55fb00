"""Draw the outlines of objects into instances and labels.

pycocotools draws (as for COCO's own measures), so a pixel belongs to an object exactly where COCO's
evaluation says so. Legend: H, W pixels of the picture, P corners.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, Image, Labelled

EDGE_PIXELS = 2.0
"""How far a corner may lie outside the picture: labels are often rounded outwards."""

_FAULTS = 10
"""Faults of one picture that are told in full."""


@dataclass(frozen=True, eq=False)
class Shape:
    """One object.

    Attributes:
        label: Class index 1..K, or 255 for ignore.
        rle: COCO run-length encoding of its pixels, as pycocotools makes it.
    """

    label: int
    rle: Mapping[str, Any]


class Outline(NamedTuple):
    """What the polygons of one object give.

    Attributes:
        rle: COCO run-length encoding of the object's pixels, or of those to ignore where a kind in
            ``kinds`` is lost; None where there are faults.
        kinds: What was mended, or why the object cannot be used.
        faults: Why its place in the picture is unknown, so that the picture cannot be used.
    """

    rle: Mapping[str, Any] | None
    kinds: tuple[FlawKind, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether the pixels are to be ignored."""
        return any(kind.lost for kind in self.kinds)


def outline(polygons: Sequence[Sequence[float]], height: int, width: int) -> Outline:
    """Encode the pixels inside any of the polygons; clip what lies outside the picture.

    A polygon of fewer than three corners is left out where the object has others; where it has
    none, the box around its corners is what to ignore.

    Args:
        polygons: Each ``x1, y1, x2, y2, ...`` in pixels.
        height: H of the picture.
        width: W of the picture.
    """
    parts = [_corners(polygon) for polygon in polygons]
    faults = tuple(fault for part in parts if (fault := _misplaced(part, height, width)))
    if not any(map(len, parts)):
        faults = ("has no polygon, expected at least one",)
    if faults:
        return Outline(None, faults=faults)
    around = [part for part in parts if len(part) >= 3]
    corners = np.concatenate(parts)
    if not around:
        return Outline(_around(corners, height, width), (FlawKind.SLIVER,))
    kinds = [FlawKind.PART_DROPPED] if len(around) < len(parts) else []
    limit = np.array([width, height]) + EDGE_PIXELS
    if ((corners < -EDGE_PIXELS) | (corners > limit)).any():
        kinds.append(FlawKind.CLIPPED)
    drawn = coco_mask.frPyObjects([part.ravel().tolist() for part in around], height, width)
    rle = coco_mask.merge(drawn)
    if not coco_mask.area(rle):
        return Outline(_around(corners, height, width), (*kinds, FlawKind.EMPTY))
    return Outline(rle, tuple(kinds))


def box_rle(box: Sequence[float], height: int, width: int) -> dict[str, Any]:
    """Encode the pixels that a box touches, without what lies outside the picture.

    Args:
        box: Left, top, right, bottom in pixels.
        height: H of the picture.
        width: W of the picture.
    """
    left, top = (max(int(np.floor(value)), 0) for value in box[:2])
    right, bottom = (max(int(np.ceil(value)), 0) for value in box[2:])
    inside = np.zeros((height, width), np.uint8, order="F")
    inside[top:bottom, left:right] = 1
    rle: dict[str, Any] = coco_mask.encode(inside)
    return rle


def _around(corners: NDArray[np.float64], height: int, width: int) -> dict[str, Any]:
    """Encode the box around corners, at least one pixel in each direction."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    return box_rle((*np.floor(low), *(np.floor(high) + 1)), height, width)


def _corners(polygon: Sequence[float]) -> NDArray[np.float64]:
    """Return (P, 2) corners; an odd number at the end, which is no corner, becomes none."""
    whole = [*polygon, np.nan] if len(polygon) % 2 else polygon
    return np.asarray(whole, float).reshape(-1, 2)


def _misplaced(corners: NDArray[np.float64], height: int, width: int) -> str | None:
    """Say why corners do not belong to the picture.

    Corners beyond the edge are usual where exporters round, crop or turn. An outline that is
    wholly outside, or a whole picture away, was made for another picture or another size.
    """
    if not len(corners):
        return None
    if not np.isfinite(corners).all():
        return "has a polygon with a corner that is not a number, or an odd number of coordinates"
    size = np.array([width, height])
    low, high = corners.min(axis=0), corners.max(axis=0)
    far = (low < -size - EDGE_PIXELS) | (high > 2 * size + EDGE_PIXELS)
    away = (high < -EDGE_PIXELS) | (low > size + EDGE_PIXELS)
    if not (far | away).any():
        return None
    x, y = corners[np.abs(corners - size / 2).max(axis=1).argmax()].round(1).tolist()
    return (
        f"has a polygon corner at ({x}, {y}), {'wholly' if away.any() else 'far'} outside the "
        f"picture of {width}x{height} pixels; expected an outline in pixels of this picture"
    )


def join_faults(faults: Sequence[str]) -> str:
    """Return the first faults of one picture as a sentence, and how many more there are."""
    more = [f"and {len(faults) - _FAULTS} more"] if len(faults) > _FAULTS else []
    return "; ".join([*faults[:_FAULTS], *more])


def draw_labelled(image: Image, shapes: Sequence[Shape], flaws: Sequence[Flaw] = ()) -> Labelled:
    """Draw shapes as `draw` does, and say which objects have no pixel.

    Args:
        image: (H, W, 3) uint8 RGB.
        shapes: The objects and what is to be ignored.
        flaws: What is wrong with them so far.
    """
    instances, labels = draw(shapes, *image.shape[:2])
    seen = set(np.unique(instances).tolist())
    covered = [
        Flaw(FlawKind.COVERED, f"object {number}")
        for number, shape in enumerate(shapes, start=1)
        if shape.label != IGNORE and number not in seen
    ]
    return Labelled(image, instances, labels, (*flaws, *covered))


def draw(shapes: Sequence[Shape], height: int, width: int) -> tuple[NDArray[np.int32], Image]:
    """Draw shapes over each other: what is ignored first, then the others, the smallest last.

    A small object in front of a large one is usual, the other way round it would be hidden. An
    object that others cover completely has no pixels.

    Returns:
        instances (H, W) int32, ``n`` for ``shapes[n - 1]``; labels (H, W) uint8.
    """
    instances = np.zeros((height, width), np.int32)
    labels = np.zeros((height, width), np.uint8)
    areas = [float(coco_mask.area(shape.rle)) for shape in shapes]
    order = sorted(range(len(shapes)), key=lambda n: (shapes[n].label != IGNORE, -areas[n]))
    for number in order:
        inside = coco_mask.decode(shapes[number].rle).astype(bool)
        label = shapes[number].label
        labels[inside] = label
        instances[inside] = 0 if label == IGNORE else number + 1
    return instances, labels
