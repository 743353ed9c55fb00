"""Worker and every reader of results: masks as COCO run-length encoding.

``{"size": [height, width], "counts": "..."}`` with column-major compressed counts, which
``pycocotools.mask.decode`` reads as it is.
"""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from contract.errors import InvalidMessageError

MAX_PIXELS = 1 << 28
"""Largest image whose masks are decoded; a size beyond it is taken for garbage."""

MAX_SIDE = 1 << 16
"""Longest side of such an image; the columns of a box take memory."""

_MAX_GROUPS = 7
"""Groups of 5 bits in one count: enough for any count up to ``MAX_PIXELS`` and its differences."""


class RunLengths(TypedDict):
    """A mask: ``size`` is [height, width] in pixels, ``counts`` COCO's compressed counts."""

    size: list[int]
    counts: str


def encode_mask(
    mask: npt.NDArray[np.bool_], size: tuple[int, int], origin: tuple[int, int] = (0, 0)
) -> RunLengths:
    """Encode a mask that is given as a crop of its image.

    Only the crop is looked at, so the cost follows the object, not the image.

    Args:
        mask: (h, w) bool, the crop.
        size: (height, width) of the whole image in pixels.
        origin: (x, y) of the crop's top left corner in the image.

    Raises:
        ValueError: The crop does not lie inside the image.
    """
    (height, width), (x, y) = size, origin
    rows, columns = mask.shape
    if min(x, y) < 0 or x + columns > width or y + rows > height:
        raise ValueError(f"a crop of {mask.shape} at x {x}, y {y} is not inside an image of {size}")
    # Positions where the value changes, in the column-major order of the whole image. A run that
    # leaves the crop's last row ends there, unless the next column continues it at the image's top.
    line = np.zeros(columns * (rows + 1) + 1, np.bool_)  # each column between two that are not set
    line[1:].reshape(columns, rows + 1)[:, :rows] = mask.T
    column, row = np.divmod(np.flatnonzero(line[1:] != line[:-1]), rows + 1)
    changes = (column + x) * height + row + y
    if rows == height:
        changes = _merge_touching(changes)
    counts = np.diff(np.concatenate(([0], changes, [height * width])))
    if counts[-1] == 0:  # the mask reaches the image's last pixel
        counts = counts[:-1]
    encoded = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode()}


def decode_mask(
    mask: RunLengths, box: tuple[int, int, int, int] | None = None
) -> npt.NDArray[np.bool_]:
    """Decode a mask, or only the part of it inside a box.

    With a box the cost follows the object, not the image: a walker in a 4K frame takes as long as
    the same walker in a thumbnail.

    Args:
        mask: Run-length encoding.
        box: (x, y, width, height) in pixels; None decodes the whole image.

    Returns:
        bool (height, width) of the box or the image.

    Raises:
        InvalidMessageError: ``malformed_mask``: the size is none, the counts cannot be read or do
            not fill it, or the box does not lie inside it.
    """
    height, width = _size(mask["size"])
    counts = _counts(mask["counts"])
    if counts is None or int(counts.sum()) != height * width:
        raise _malformed(f"the counts of a mask do not add up to its size {[height, width]}")
    if box is None:
        values = (np.arange(len(counts)) & 1).astype(np.bool_)
        return np.repeat(values, counts).reshape(width, height).T
    x, y, columns, rows = box
    if min(x, y, columns, rows) < 0 or x + columns > width or y + rows > height:
        raise _malformed(f"the box {list(box)} is not inside the mask's size {[height, width]}")
    return _decode_box(np.cumsum(counts), height, box)


def _decode_box(
    changes: npt.NDArray[np.int64], height: int, box: tuple[int, int, int, int]
) -> npt.NDArray[np.bool_]:
    """Decode a box from the positions, in column-major order, at which the mask's value changes."""
    x, y, columns, rows = box
    ends = changes[1::2]
    starts = changes[::2][: len(ends)]
    # Runs that touch the box's columns, cut at each column's end.
    starts, ends = np.maximum(starts, x * height), np.minimum(ends, (x + columns) * height)
    inside = starts < ends
    starts, ends = starts[inside], ends[inside]
    first, last = starts // height, (ends - 1) // height
    pieces = last - first + 1
    run = np.repeat(np.arange(len(starts)), pieces)
    nth = np.arange(len(run)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    column = first[run] + nth
    top = np.maximum(starts[run] - column * height, 0)
    bottom = np.minimum(ends[run] - column * height, height)
    # +1 where a run begins, -1 below its end: their running sum is the mask.
    steps = np.zeros((columns, rows + 1), np.int8)
    np.add.at(steps, (column - x, np.clip(top - y, 0, rows)), 1)
    np.subtract.at(steps, (column - x, np.clip(bottom - y, 0, rows)), 1)
    return np.cumsum(steps[:, :rows], axis=1, dtype=np.int8).T.astype(np.bool_)


def _malformed(text: str) -> InvalidMessageError:
    return InvalidMessageError("malformed_mask", text)


def _size(size: Sequence[int]) -> tuple[int, int]:
    good = len(size) == 2 and min(size) >= 1 and max(size) <= MAX_SIDE
    if not good or size[0] * size[1] > MAX_PIXELS:
        raise _malformed(
            f"the size of a mask is {list(size)}, expected [height, width] of 1 to {MAX_SIDE} "
            f"each, {MAX_PIXELS} pixels at most"
        )
    return size[0], size[1]


def _counts(text: str) -> npt.NDArray[np.int64] | None:
    """Read COCO's compressed counts; None where they are none.

    A count is written as groups of 5 bits, the lowest first, each as the character 48 + group; the
    bit 32 says that another group follows, the bit 16 of the last one is the sign. From the fourth
    count on, what is written is the difference to the count before the last.
    """
    try:
        groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    if not len(groups) or groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        return None
    ends = np.flatnonzero(groups & 32 == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_GROUPS:
        return None
    shifts = 5 * (np.arange(len(groups)) - np.repeat(starts, lengths))
    counts: npt.NDArray[np.int64] = np.add.reduceat((groups & 31) << shifts, starts)
    counts -= np.where(groups[ends] & 16, np.int64(1) << (5 * lengths), 0)
    counts[1::2] = np.cumsum(counts[1::2])
    counts[2::2] = np.cumsum(counts[2::2])
    return counts if counts.min() >= 0 and counts.max() <= MAX_PIXELS else None


def _merge_touching(changes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Drop pairs of changes at one position: an end that is at once the next run's beginning."""
    same = changes[1:] == changes[:-1]
    keep = np.ones(len(changes), np.bool_)
    keep[1:] &= ~same
    keep[:-1] &= ~same
    return changes[keep]
