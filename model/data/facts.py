"""What one labelled picture holds, and where its instances and classes contradict each other.

Legend: H, W pixels of a picture, N instances, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, Labelled

_EXAMPLES = 5
"""Instances that one fault names."""


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
    """

    height: int
    width: int
    classes: NDArray[np.uint8]
    areas: NDArray[np.int64]
    extents: NDArray[np.int64]
    foreground: int
    ignored: int


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
    measured, mixed = _measure(picture, inside)
    if mixed:
        faults.append(f"instances {mixed} have several classes, expected one for each")
    ignored = int((picture.labels == IGNORE).sum())
    return Facts(height, width, *measured, int(inside.sum()), ignored), faults


def _measure(
    picture: Labelled, inside: NDArray[np.bool_]
) -> tuple[tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]], list[int]]:
    """Return class, area and extent of every instance, and those with more than one class."""
    y, x = np.nonzero(inside)
    if not y.size:
        none = np.zeros(0, np.int64)
        return (none.astype(np.uint8), none, none), []
    order = np.argsort(picture.instances[y, x], kind="stable")
    y, x = y[order], x[order]
    numbers, starts, areas = np.unique(
        picture.instances[y, x], return_index=True, return_counts=True
    )
    labels = picture.labels[y, x]

    def spread(values: NDArray[np.generic]) -> NDArray[np.int64]:
        high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
        return high.astype(np.int64) - low.astype(np.int64)

    # Ignored or missing classes are another fault; only real ones can contradict each other.
    mixed = numbers[spread(labels) > 0][:_EXAMPLES].tolist()
    extents = np.maximum(spread(y), spread(x)) + 1
    return (labels[starts], areas.astype(np.int64), extents), mixed


def _some(values: NDArray[np.generic]) -> str:
    different = np.unique(values).tolist()
    more = ", ..." if len(different) > _EXAMPLES else ""
    return f"{', '.join(map(str, different[:_EXAMPLES]))}{more}"
