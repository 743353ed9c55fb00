"""Check a data set: read every picture, count, and name what is broken.

Legend: H, W pixels of a picture, N instances, K classes.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from model.data.data_set import BrokenSampleError, DataSet, read_sample
from model.data.facts import Facts, facts
from model.data.flaws import Flaw
from segmentation.letterbox import Fit

SMALL_PIXELS, LARGE_PIXELS = 32**2, 96**2
"""Areas below which an instance is small, and from which on it is large (COCO's bounds)."""


@dataclass(eq=False)
class Report:
    """What a data set holds.

    Attributes:
        classes: K class names.
        pictures: Facts of every good picture by its index in the data set.
        broken: What is wrong, in the order of the pictures, then what belongs to none.
        notes: What was assumed, one sentence each.
        flaws: Single objects that are not as they should be, each with the name of its picture.
        looked: Pictures that were read, good or broken.
    """

    classes: tuple[str, ...]
    pictures: dict[int, Facts] = field(default_factory=dict)
    broken: list[BrokenSampleError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    flaws: list[tuple[str, Flaw]] = field(default_factory=list)
    looked: int = 0

    @property
    def instances(self) -> int:
        """Number of instances in the good pictures."""
        return sum(len(found.areas) for found in self.pictures.values())


def check(
    data: DataSet,
    indices: Sequence[int] | None = None,
    done: Callable[[], object] = lambda: None,
    threads: int | None = None,
) -> Report:
    """Read pictures and collect what they hold, and what is wrong with the data set as a whole.

    Args:
        data: The data set.
        indices: Which pictures; None reads all.
        done: Called after each picture, from this thread.
        threads: How many read at once; None takes the number of cores, at most 8.
    """
    chosen = range(len(data)) if indices is None else indices
    report = look(data, chosen, done, threads)
    report.broken += data.orphans()
    report.notes += [*data.notes(), *data.warnings()]
    return report


def look(
    data: DataSet,
    indices: Sequence[int],
    done: Callable[[], object] = lambda: None,
    threads: int | None = None,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Report:
    """Read pictures on several threads and collect what they hold.

    A broken picture is named and the others still count. Threads are enough: decoding and numpy
    release Python's lock, and nothing but numbers is kept of a picture.

    Args:
        data: The data set.
        indices: Which pictures.
        done: Called after each picture, from this thread.
        threads: How many read at once; None takes the number of cores, at most 8.
        out_of_time: Asked after each picture; the pictures after it are left out.
    """
    report = Report(data.classes)
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda i: _look(data, i), indices)
        for index, found in zip(indices, results, strict=True):
            report.looked += 1
            if isinstance(found, Facts):
                report.pictures[index] = found
                report.flaws += [(data.names[index], flaw) for flaw in found.flaws]
            else:
                report.broken.append(found)
            done()
            if out_of_time():
                pool.shutdown(wait=False, cancel_futures=True)
                break
    return report


def _look(data: DataSet, index: int) -> Facts | BrokenSampleError:
    try:
        picture = read_sample(data, index)
    except BrokenSampleError as error:
        return error
    found, faults = facts(picture, len(data.classes))
    if faults:
        return BrokenSampleError(data.files(index)[-1], "; ".join(faults))
    return found


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


def count_classes(report: Report, input_size: tuple[int, int] | None = None) -> list[ClassCount]:
    """Return one row per class, in the order of the classes.

    Args:
        report: What a check found.
        input_size: (height, width) of the model's input in pixels, into which every picture is
            letterboxed before its instances are measured; None measures them as they are.
    """
    good = list(report.pictures.values())
    none = [np.zeros(0)]
    classes = np.concatenate([*(f.classes for f in good), *none])
    areas = np.concatenate([*(f.areas * area_scale(f, input_size) for f in good), *none])
    extents = np.concatenate([*(f.extents * area_scale(f, input_size) ** 0.5 for f in good), *none])
    pixels = sum(f.height * f.width * area_scale(f, input_size) for f in good)
    showing = np.zeros(256, int)
    for found in good:
        showing[np.unique(found.classes)] += 1
    return list(_rows(report.classes, classes, areas, extents, showing, max(pixels, 1)))


def area_scale(found: Facts, input_size: tuple[int, int] | None) -> float:
    """Return the pixels of the model's input per pixel of the picture; 1 for None."""
    if input_size is None:
        return 1.0
    return Fit.of((found.height, found.width), input_size).area_scale


def _rows(
    names: Sequence[str],
    classes: NDArray[np.generic],
    areas: NDArray[np.float64],
    extents: NDArray[np.float64],
    showing: NDArray[np.int64],
    pixels: float,
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
