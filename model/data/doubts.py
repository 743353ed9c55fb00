"""What is in order by form in a data set and yet seldom meant: one sentence for each doubt."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from media.picture_files import UnreadableInputError, identified
from media.pixels import beyond_pillow, grey_values, has_levels
from model.data.check import Report, area_scale
from model.data.data_set import DataSet
from model.data.facts import Facts

_TINY_PIXELS = 2
"""Longer side up to which an object is a stroke of the pen rather than an outline."""

_MANY = 10
"""Objects from which on it is no chance that nearly all are rectangles."""

_NEARLY_ALL = 0.85
"""Share of them."""

_ALL = 0.98
"""Share of the pixels from which on there is no background to speak of."""

_TWELVE_BITS = 1 << 12
"""Brightness below which a picture of 16 bits is one of 12, or of fewer."""

_DEEP_PICTURES = 20
"""Pictures whose own brightness is looked at: one camera wrote them all."""


def doubts(report: Report, names: Sequence[str]) -> list[str]:
    """Return what is seldom meant, each with its count and its first picture.

    Args:
        report: What a check found.
        names: Names of all pictures of the data set.
    """
    return [*_per_object(report, names), *_boxes(report), *_covered(report), *_twins(names)]


def _covered(report: Report) -> Iterable[str]:
    pixels = sum(found.height * found.width for found in report.pictures.values())
    foreground = sum(found.foreground for found in report.pictures.values())
    if foreground > _ALL * pixels:
        yield (
            f"{100 * foreground / pixels:.1f} % of all pixels belong to objects, next to nothing "
            "is background: are these maps of areas or classes instead of objects?"
        )


def _boxes(report: Report) -> Iterable[str]:
    count = sum(found.rectangles for found in report.pictures.values())
    if report.instances >= _MANY and count >= _NEARLY_ALL * report.instances:
        yield (
            f"{count} of {report.instances} objects are rectangles: boxes instead of outlines? A "
            "box does not say which pixel is whose, and a model learns its corners too"
        )


def _per_object(report: Report, names: Sequence[str]) -> Iterable[str]:
    kinds: tuple[tuple[str, Callable[[Facts], int]], ...] = (
        (
            f"are at most {_TINY_PIXELS} pixels long: strokes or clicks instead of outlines?",
            lambda found: int((found.extents <= _TINY_PIXELS).sum()),
        ),
        (
            "are in pieces far from each other: several objects under one number? Each object "
            "needs a number, or an annotation, of its own",
            lambda found: found.scattered,
        ),
    )
    for text, count in kinds:
        counts = {index: n for index, found in report.pictures.items() if (n := count(found))}
        if counts:
            yield (
                f"{sum(counts.values())} of {report.instances} objects {text} "
                f"(first: {names[next(iter(counts))]})"
            )


def _twins(names: Sequence[str]) -> Iterable[str]:
    twins = [name for name, count in Counter(names).items() if count > 1]
    if twins:
        yield f"{len(twins)} names belong to several pictures each (first: {twins[0]})"
    alike = Counter(name.lower() for name in set(names))
    differ = [name for name in names if alike[name.lower()] > 1]
    if differ:
        yield (
            f"{len(differ)} names differ from another in upper and lower case alone, which not "
            f"every file system keeps apart (first: {differ[0]})"
        )


def classes_without_objects(report: Report) -> list[str]:
    """Return a sentence that names the classes that no good picture shows, if there are any."""
    shown = {int(label) for found in report.pictures.values() for label in np.unique(found.classes)}
    absent = [name for label, name in enumerate(report.classes, start=1) if label not in shown]
    if not absent or not shown:  # nothing at all is told by itself
        return []
    more = f" and {len(absent) - 20} more" if len(absent) > 20 else ""
    return [f"classes without any object: {', '.join(absent[:20])}{more}"]


def too_small(report: Report, input_size: tuple[int, int], min_pixels: int) -> list[str]:
    """Return a sentence on the objects that a model will never report, if there are any.

    Args:
        report: What a check found.
        input_size: (height, width) of the model's input in pixels.
        min_pixels: Smallest instance in pixels of the input.
    """
    small = sum(
        int((found.areas * area_scale(found, input_size) < min_pixels).sum())
        for found in report.pictures.values()
    )
    if not small:
        return []
    height, width = input_size
    return [
        f"{small} of {report.instances} objects are smaller than min_pixels ({min_pixels}) at the "
        f"model's input of {width}x{height} pixels: a whole picture will not show them; a larger "
        "input_size, a smaller min_pixels, or tiles would"
    ]


def dark_depth(data: DataSet) -> list[str]:
    """Return a sentence where pictures of 16 bits use 12 or fewer, if they do.

    Each is stretched to its own range, so the same brightness looks different in each of them.
    """
    chosen = np.linspace(0, len(data) - 1, min(len(data), _DEEP_PICTURES)).astype(int)
    highest = [
        value for i in chosen if (value := _highest_of_16_bits(data.files(int(i))[0])) is not None
    ]
    if not highest or max(highest) >= _TWELVE_BITS:
        return []
    bits = 12 if max(highest) > 255 else 8
    return [
        f"pictures of 16 bits have no brightness above {max(highest)} ({len(highest)} looked at), "
        f"and each is stretched to its own range: if the camera has {bits} bits, say "
        f'"bits": {bits} in the dataset.json of label maps, which shows all pictures alike'
    ]


def _highest_of_16_bits(path: Path) -> int | None:
    try:
        with identified(path) as picture:
            if not has_levels(picture) or beyond_pillow(picture):
                return None
            picture.load()
            values = grey_values(picture)
    except UnreadableInputError:  # the check has named it
        return None
    return int(values.max()) if values.size and values.dtype.kind in "ui" else None
