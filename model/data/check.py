"""Check a data set: read every picture, count, and name what is broken.

Legend: H, W pixels of a picture, N instances, K classes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.data.data_set import BrokenSampleError, DataSet
from model.data.labels import IGNORE, Labelled

SMALL_PIXELS, LARGE_PIXELS = 32**2, 96**2
"""Areas below which an instance is small, and from which on it is large (COCO's bounds)."""

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


@dataclass(eq=False)
class Report:
    """What a data set holds.

    Attributes:
        classes: K class names.
        pictures: Facts of every good picture by its index in the data set.
        broken: What is wrong, in the order of the pictures, then what belongs to none.
        notes: What was assumed, one sentence each.
    """

    classes: tuple[str, ...]
    pictures: dict[int, Facts] = field(default_factory=dict)
    broken: list[BrokenSampleError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(
    data: DataSet,
    indices: Sequence[int] | None = None,
    done: Callable[[], object] = lambda: None,
    threads: int | None = None,
) -> Report:
    """Read pictures on several threads and collect what they hold.

    A broken picture is named and the others still count. Threads are enough: decoding and numpy
    release Python's lock, and nothing but numbers is kept of a picture.

    Args:
        data: The data set.
        indices: Which pictures; None reads all.
        done: Called after each picture, from this thread.
        threads: How many read at once; None takes the number of cores, at most 8.
    """
    report = Report(data.classes)
    chosen = range(len(data)) if indices is None else indices
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        for index, found in zip(chosen, pool.map(lambda i: _look(data, i), chosen), strict=True):
            if isinstance(found, Facts):
                report.pictures[index] = found
            else:
                report.broken.append(found)
            done()
    report.broken += data.orphans()
    report.notes += [*data.notes(), *data.warnings()]
    return report


def _look(data: DataSet, index: int) -> Facts | BrokenSampleError:
    try:
        picture = data.read(index)
    except BrokenSampleError as error:
        return error
    found, faults = facts(picture, len(data.classes))
    if faults:
        return BrokenSampleError(data.files(index)[-1], "; ".join(faults))
    return found


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


@dataclass(frozen=True)
class ClassCount:
    """What there is of one class.

    Attributes:
        name: Its name.
        pictures: Pictures that show it.
        instances: How many.
        small: Of less than 32 x 32 pixels.
        medium: Of less than 96 x 96 pixels.
        large: The others.
        extents: 5 %, 50 % and 95 % quantile of the longer side of their boxes, in pixels; None
            without instances.
        pixel_share: Share of all pixels, 0..1.
    """

    name: str
    pictures: int
    instances: int
    small: int
    medium: int
    large: int
    extents: tuple[float, float, float] | None
    pixel_share: float


def count_classes(report: Report) -> list[ClassCount]:
    """Return one row per class, in the order of the classes."""
    good = list(report.pictures.values())
    none = [np.zeros(0, np.int64)]
    classes = np.concatenate([*(f.classes for f in good), *none])
    areas = np.concatenate([*(f.areas for f in good), *none])
    extents = np.concatenate([*(f.extents for f in good), *none])
    pixels = sum(f.height * f.width for f in good)
    showing = np.zeros(256, int)
    for found in good:
        showing[np.unique(found.classes)] += 1
    return list(_rows(report.classes, classes, areas, extents, showing, max(pixels, 1)))


def _rows(
    names: Sequence[str],
    classes: NDArray[np.generic],
    areas: NDArray[np.int64],
    extents: NDArray[np.int64],
    showing: NDArray[np.int64],
    pixels: int,
) -> Iterator[ClassCount]:
    for label, name in enumerate(names, start=1):
        own = classes == label
        area = areas[own]
        small, large = int((area < SMALL_PIXELS).sum()), int((area >= LARGE_PIXELS).sum())
        quantiles = np.quantile(extents[own], (0.05, 0.5, 0.95)).tolist() if area.size else None
        yield ClassCount(
            name=name,
            pictures=int(showing[label]),
            instances=int(area.size),
            small=small,
            medium=int(area.size) - small - large,
            large=large,
            extents=(quantiles[0], quantiles[1], quantiles[2]) if quantiles else None,
            pixel_share=float(area.sum()) / pixels,
        )
