"""Compiled gathering of the foreground for the seed clustering.

Arguments are not checked here; see `segmentation.kernels`.

Shape letters: H, W; S bandwidths per pixel; N, P points.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled
from segmentation.sorting_kernels import LAST_PIXEL, Float32Map, Int32Map, Points

_BLOCK = 64  # pixels of a row, most of which are all of the background or all of an object

_INFINITE = np.int32(0x7F800000)  # a seed's bits, which sort like the seeds


class Maps(NamedTuple):
    """One image's maps.

    ``offset`` float32 (2, H, W), ``seed`` float32 (H, W) as `segmentation.cluster.cluster` takes
    them; ``seed_bits`` int32 (H, W), the same memory as ``seed``; ``step`` float32 (2,), one pixel
    in grid units.
    """

    offset: Float32Map
    seed: Float32Map
    seed_bits: Int32Map
    step: Float32Map


# Small loops over few arrays each, which become vector instructions: they are several times as fast
# as one loop that does all of it.


@compiled
def scan(
    maps: Maps,
    class_index: NDArray[np.uint8],
    threshold: np.float32,
    furthest: np.float32,
    counts: NDArray[np.int64],
    found: Points,
    found_label: NDArray[np.uint8],
    ends: Int32Map,
) -> int:
    """Gather the pixels above ``threshold``, add to ``counts`` (256,) by class, return how many.

    Without those that are not finite, or whose offset is above ``furthest``: embeddings are used as
    cell numbers and must be bounded. A ``class_index`` without pixels stands for zeros. ``ends``
    (H,) becomes how many there are up to each row's end.
    """
    height, width = maps.seed.shape
    n = 0
    for y in range(height):
        for first in range(0, width, _BLOCK):
            end = min(width, first + _BLOCK)
            n_above, left, right = _extent(maps.seed[y, first:end], threshold)
            if n_above == 0:
                continue
            begin = n
            if right - left == n_above and _take_run(
                maps, y, first + left, first + right, furthest, found, n
            ):
                if class_index.size > 0:
                    found_label[n : n + n_above] = class_index[y, first + left : first + right]
                n += n_above
            else:
                n = _take_some(
                    maps, class_index, y, first, end, threshold, furthest, found, found_label, n
                )
            if class_index.size > 0:
                _count_labels(found_label[begin:n], counts)
            else:
                counts[0] += n - begin
        ends[y] = n
    return n


@compiled
def _extent(seed: Float32Map, threshold: np.float32) -> tuple[int, int, int]:
    """Return how many are above ``threshold``, the first of them, and the place after the last."""
    n, left, right = np.int32(0), np.int32(_BLOCK), np.int32(-1)
    for i in range(len(seed)):
        is_above = seed[i] > threshold
        n += np.int32(is_above)
        left = min(left, np.int32(i) if is_above else np.int32(_BLOCK))
        right = max(right, np.int32(i) if is_above else np.int32(-1))
    return int(n), int(left), int(right + 1)


@compiled
def _take_run(
    maps: Maps, row: int, left: int, right: int, furthest: np.float32, found: Points, n: int
) -> bool:
    """Write the points side by side in a row from place ``n`` on; return whether all are sound."""
    here = slice(n, n + right - left)
    x, y, key = found.x[here], found.y[here], found.key[here]
    offset_x, offset_y = maps.offset[0, row, left:right], maps.offset[1, row, left:right]
    bits = maps.seed_bits[row, left:right]
    step, grid = maps.step[0], np.float32(row) * maps.step[1]
    broken = np.int32(0)
    for i in range(len(x)):
        broken |= np.int32(not abs(offset_x[i]) <= furthest)
        x[i] = offset_x[i] + np.float32(np.int32(left) + np.int32(i)) * step
    for i in range(len(y)):
        broken |= np.int32(not abs(offset_y[i]) <= furthest)
        y[i] = offset_y[i] + grid
    first = LAST_PIXEL - row * maps.seed.shape[1] - left
    for i in range(len(key)):
        broken |= np.int32(bits[i] >= _INFINITE)
        key[i] = np.int64(bits[i]) << 32 | (first - i)
    return bool(broken == 0)


@compiled
def _take_some(
    maps: Maps,
    class_index: NDArray[np.uint8],
    row: int,
    first: int,
    end: int,
    threshold: np.float32,
    furthest: np.float32,
    found: Points,
    found_label: NDArray[np.uint8],
    n: int,
) -> int:
    """Write the sound points of a piece of a row from place ``n`` on; return where they end."""
    grid = np.float32(row) * maps.step[1]
    last = LAST_PIXEL - row * maps.seed.shape[1]
    for i in range(first, end):
        # The place of one that is left out goes to the next.
        x, y, bits = maps.offset[0, row, i], maps.offset[1, row, i], maps.seed_bits[row, i]
        found.x[n] = x + np.float32(np.int32(i)) * maps.step[0]
        found.y[n] = y + grid
        found.key[n] = np.int64(bits) << 32 | (last - i)
        if class_index.size > 0:
            found_label[n] = class_index[row, i]
        is_sound = (abs(x) <= furthest) & (abs(y) <= furthest) & (bits < _INFINITE)
        n += (maps.seed[row, i] > threshold) & is_sound
    return n


@compiled
def _count_labels(label: NDArray[np.uint8], counts: NDArray[np.int64]) -> None:
    if len(label) == 0:
        return
    differ = np.uint8(0)
    for i in range(len(label)):
        differ |= label[i] ^ label[0]
    if differ == 0:
        counts[label[0]] += len(label)
    else:
        for one in label:
            counts[one] += 1


@compiled
def gather(
    place: Int32Map,
    offset_x: Float32Map,
    offset_y: Float32Map,
    seed_bits: Int32Map,
    classes: NDArray[np.uint8],
    width: int,
    step: Float32Map,
    furthest: np.float32,
    counts: NDArray[np.int64],
    found: Points,
    found_label: NDArray[np.uint8],
) -> int:
    """Do what `scan` does where the pixels above the threshold are known already.

    ``place`` int32 (P,), y * W + x, ascending; the others are (P,), too.
    """
    n, row, end = 0, -1, 0
    for i in range(len(place)):
        if place[i] >= end:
            row = place[i] // width
            end = (row + 1) * width
        # The place of one that is left out goes to the next.
        x, y, bits = offset_x[i], offset_y[i], seed_bits[i]
        column = np.int32(place[i] - row * width)
        found.x[n] = x + np.float32(column) * step[0]
        found.y[n] = y + np.float32(row) * step[1]
        found.key[n] = np.int64(bits) << 32 | (LAST_PIXEL - place[i])
        found_label[n] = classes[i]
        n += (abs(x) <= furthest) & (abs(y) <= furthest) & (bits < _INFINITE)
    _count_labels(found_label[:n], counts)
    return n


@compiled
def settle(
    points: Points, inverse: Float32Map, ends: Int32Map, step: Float32Map, width: int
) -> None:
    """Give points the grid and their scores: those that `scan` found in raw maps whose step is 0.

    Their offsets have been activated since. ``inverse`` (P,) is exp(-raw seed), one less than what
    the score is the inverse of; it becomes the score. ``ends`` are those of `scan`.
    """
    begin = 0
    for y in range(len(ends)):
        here = slice(begin, ends[y])
        _settle_row(points.x[here], points.y[here], points.key[here], inverse[here], y, width, step)
        begin = ends[y]


@compiled
def _settle_row(
    x: Float32Map,
    y: Float32Map,
    key: NDArray[np.int64],
    score: Float32Map,
    row: int,
    width: int,
    step: Float32Map,
) -> None:
    grid, last = np.float32(row) * step[1], LAST_PIXEL - row * width
    for i in range(len(x)):
        x[i] += np.float32(np.int32(last - (key[i] & LAST_PIXEL))) * step[0]
    for i in range(len(y)):
        y[i] += grid
    for i in range(len(score)):
        score[i] = np.float32(1) / (np.float32(1) + score[i])
    bits = score.view(np.int32)
    for i in range(len(key)):
        key[i] = np.int64(bits[i]) << 32 | (key[i] & LAST_PIXEL)


@compiled
def pick(
    points: Points, label: NDArray[np.uint8], n_points: int, wanted: int, chosen: Points
) -> None:
    """Gather the points of class ``wanted``."""
    n = 0
    for i in range(n_points):
        chosen.x[n] = points.x[i]
        chosen.y[n] = points.y[i]
        chosen.key[n] = points.key[i]
        n += label[i] == wanted
