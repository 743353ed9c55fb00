"""Compiled gathering of the foreground for the seed clustering.

Arguments are not checked here; see `segmentation.kernels`.

Shape letters: H, W; S bandwidths per pixel; N, P points.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled
from segmentation.sorting_kernels import LAST_PIXEL, Float32Map, Int32Map, Points, pixel_of


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
) -> int:
    """Gather the pixels above ``threshold``, add to ``counts`` (256,) by class, return how many.

    Without those that are not finite, or whose offset is above ``furthest``: embeddings are used as
    cell numbers and must be bounded. A ``class_index`` without pixels stands for zeros.
    """
    height, width = maps.seed.shape
    column = np.empty(width + 1, np.int32)
    none = np.float32(0)
    n = 0
    for y in range(height):
        taken = column[: _foreground(maps.seed[y], threshold, column)]
        if len(taken) == 0:
            continue
        if not _are_sound(maps, y, taken, furthest):
            taken = taken[: _keep_sound(maps, y, taken, furthest)]
        here = slice(n, n + len(taken))
        _embed(maps.offset[0, y], taken, maps.step[0], none, found.x[here])
        _embed(maps.offset[1, y], taken, none, np.float32(y) * maps.step[1], found.y[here])
        _rank(maps.seed_bits[y], taken, y * width, found.key[here])
        if class_index.size > 0:
            _pick_labels(class_index[y], taken, found_label[here], counts)
        else:
            counts[0] += len(taken)
        n += len(taken)
    return n


@compiled
def _foreground(seed: Float32Map, threshold: np.float32, column: Int32Map) -> int:
    """Write the columns above ``threshold`` and return their number; one place more is needed."""
    n = 0
    for x in range(len(seed)):
        column[n] = x  # the place of one that is left out goes to the next
        n += seed[x] > threshold
    return n


@compiled
def _is_sound(x: np.float32, y: np.float32, seed: np.float32, furthest: np.float32) -> bool:
    is_near = (abs(x) <= furthest) & (abs(y) <= furthest)
    return bool(is_near & (abs(x + y + seed) < np.inf))


@compiled
def _are_sound(maps: Maps, row: int, column: Int32Map, furthest: np.float32) -> bool:
    x, y, seed = maps.offset[0, row], maps.offset[1, row], maps.seed[row]
    broken = np.int32(0)
    for i in range(len(column)):
        c = np.uint32(column[i])
        broken |= np.int32(not _is_sound(x[c], y[c], seed[c], furthest))
    return bool(broken == 0)


@compiled
def _keep_sound(maps: Maps, row: int, column: Int32Map, furthest: np.float32) -> int:
    """Move the columns whose values are sound to the front; return their number."""
    x, y, seed = maps.offset[0, row], maps.offset[1, row], maps.seed[row]
    n = 0
    for c in column:
        column[n] = c
        n += _is_sound(x[c], y[c], seed[c], furthest)
    return n


@compiled
def _embed(
    offset: Float32Map, column: Int32Map, step: np.float32, grid: np.float32, out: Float32Map
) -> None:
    for i in range(len(column)):
        c = np.uint32(column[i])
        out[i] = offset[c] + (np.float32(c) * step + grid)


@compiled
def _rank(bits: Int32Map, column: Int32Map, first: int, out: NDArray[np.int64]) -> None:
    for i in range(len(column)):
        c = np.uint32(column[i])
        out[i] = np.int64(bits[c]) << 32 | (LAST_PIXEL - first - np.int64(c))


@compiled
def _pick_labels(
    label: NDArray[np.uint8],
    column: Int32Map,
    out: NDArray[np.uint8],
    counts: NDArray[np.int64],
) -> None:
    differ = np.uint8(0)
    first = label[column[0]] if len(column) else np.uint8(0)
    for i in range(len(column)):
        out[i] = label[np.uint32(column[i])]
        differ |= out[i] ^ first
    if differ == 0:
        counts[first] += len(column)
    else:
        for one in out:
            counts[one] += 1


@compiled
def settle(points: Points, score: Float32Map, step: Float32Map, width: int) -> None:
    """Give points the grid and their scores: those that `scan` found in raw maps whose step is 0.

    Their offsets and ``score`` (P,) have been activated since.
    """
    _settle(points.x, points.y, points.key, step, 1 / width)
    bits = score.view(np.int32)
    for i in range(len(bits)):
        points.key[i] = np.int64(bits[i]) << 32 | (points.key[i] & LAST_PIXEL)


@compiled
def _settle(
    x: Float32Map, y: Float32Map, key: NDArray[np.int64], step: Float32Map, rows_per_pixel: float
) -> None:
    width = np.int32(round(1 / rows_per_pixel))
    for i in range(len(key)):
        pixel = np.int32(pixel_of(key[i]))
        row = np.int32((np.float64(pixel) + 0.5) * rows_per_pixel)  # no vector divides integers
        x[i] += np.float32(pixel - row * width) * step[0]
        y[i] += np.float32(row) * step[1]


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
