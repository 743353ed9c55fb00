"""Draw the outlines of objects into instances and labels.

pycocotools draws (as for COCO's own measures), so a pixel belongs to an object exactly where COCO's
evaluation says so. Legend: H, W pixels of the picture, P corners.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from model.data.labels import IGNORE, Image

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


def polygons_rle(
    polygons: Sequence[Sequence[float]], height: int, width: int
) -> tuple[dict[str, Any] | None, list[str]]:
    """Encode the pixels inside any of the polygons.

    Args:
        polygons: Each ``x1, y1, x2, y2, ...`` in pixels, at least three corners.
        height: H of the picture.
        width: W of the picture.

    Returns:
        The run-length encoding, None where there are faults; and the faults.
    """
    faults = [fault for polygon in polygons if (fault := _fault(polygon, height, width))]
    if not polygons:
        faults.append("has no polygon, expected at least one")
    if faults:
        return None, faults
    parts = coco_mask.frPyObjects([list(polygon) for polygon in polygons], height, width)
    return coco_mask.merge(parts), []


def join_faults(faults: Sequence[str]) -> str:
    """Return the first faults of one picture as a sentence, and how many more there are."""
    more = [f"and {len(faults) - _FAULTS} more"] if len(faults) > _FAULTS else []
    return "; ".join([*faults[:_FAULTS], *more])


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


def _fault(polygon: Sequence[float], height: int, width: int) -> str | None:
    if len(polygon) < 6 or len(polygon) % 2:
        return f"has a polygon of {len(polygon)} numbers, expected x y of at least 3 corners"
    corners = np.asarray(polygon, float).reshape(-1, 2)
    if not np.isfinite(corners).all():
        return "has a polygon with a corner that is not a number"
    outside = (corners < -EDGE_PIXELS) | (corners > np.array([width, height]) + EDGE_PIXELS)
    if not outside.any():
        return None
    x, y = corners[outside.any(axis=1)][0].round(1).tolist()
    return f"has a polygon corner at ({x}, {y}), outside the picture of {width}x{height} pixels"
