"""Compiled: the masks of a finished instance map, cut out and run-length encoded all at once.

One call for a picture: what returns from compiled code waits for the interpreter lock, which takes
longer than a mask. It releases the lock. Arguments are not checked here.

Shape letters: H, W the picture; I masks; h, w one mask's box.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled

_MOST_CHARACTERS = 13
"""Of one count: 5 bits of 64 each."""


class Masks(NamedTuple):
    """Masks, one after the other.

    Attributes:
        pixels: bool, each mask inside its box (h, w), row by row.
        text: uint8, COCO's compressed counts of each, as ASCII; see `contract.mask`.
        ends: int64 (I,), where those of each end.
    """

    pixels: NDArray[np.bool_]
    text: NDArray[np.uint8]
    ends: NDArray[np.int64]


@compiled
def cut_masks(
    instance_map: NDArray[np.int32], numbers: NDArray[np.int64], boxes: NDArray[np.int64]
) -> Masks:
    """Cut out and encode the masks of some instances.

    Args:
        instance_map: int32 (H, W).
        numbers: int64 (I,), the value of each instance in the map.
        boxes: int64 (I, 4), x, y, width, height of their tight boxes.
    """
    height, n_columns = instance_map.shape
    pixels = np.empty((boxes[:, 2] * boxes[:, 3]).sum(), np.bool_)
    text, n = np.empty(4096, np.uint8), 0
    ends = np.empty(len(numbers), np.int64)
    start = 0
    for i in range(len(numbers)):
        x, y, width, rows = boxes[i]
        mask = pixels[start : start + rows * width].reshape(rows, width)
        start += rows * width
        for row in range(rows):
            line = instance_map[y + row]
            for column in range(width):
                mask[row, column] = line[x + column] == numbers[i]
        changes = _changes(mask, x * height + y, height)
        text, n = _encode(changes, height * n_columns, text, n)
        ends[i] = n
    return Masks(pixels, text[:n], ends)


@compiled
def _changes(mask: NDArray[np.bool_], first: int, height: int) -> NDArray[np.int64]:
    """Return where a mask begins and ends, alternately, going down the picture's columns.

    Args:
        mask: bool (h, w).
        first: Position of its upper left corner, x * H + y.
        height: H.
    """
    rows, width = mask.shape
    found = np.empty(width * (rows + 1) + 1, np.int64)
    n, is_set, top = 0, False, first
    for column in range(width):
        for row in range(rows):
            if mask[row, column] != is_set:
                found[n] = top + row
                n += 1
                is_set = not is_set
        # What fills the picture's height may go on at the top of the next column.
        if is_set and (rows < height or column == width - 1):
            found[n] = top + rows
            n += 1
            is_set = False
        top += height
    return found[:n]


@compiled
def _encode(
    changes: NDArray[np.int64], n_pixels: int, text: NDArray[np.uint8], n: int
) -> tuple[NDArray[np.uint8], int]:
    """Append the counts of one mask to the first n characters of a text, which may be replaced."""
    last, count, before = 0, 0, 0
    for k in range(len(changes) + 1):
        position = changes[k] if k < len(changes) else n_pixels
        if k > 0 and position == last:
            break  # the mask reaches the picture's last pixel
        left = position - last - (before if k > 2 else 0)
        last, before, count = position, count, position - last
        if n + _MOST_CHARACTERS > len(text):
            text = np.concatenate((text, np.empty_like(text)))
        more = True
        while more:
            group = left & 31
            left >>= 5
            more = left != (-1 if group & 16 else 0)
            text[n] = 48 + group + (32 if more else 0)
            n += 1
    return text, n
