"""Compiled growing of instances for the seed clustering.

They release the interpreter lock, so threads scale. Nothing else should call them but
:mod:`segmentation.cluster`: arguments are not checked here, and results are written into arrays
that the caller brings, because fresh memory costs more than the loops.

Shape letters: H, W; S bandwidths per pixel; F foreground pixels; P those of one class; I instances.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled
from segmentation.sorting_kernels import (
    Cells,
    Float32Map,
    Int32Map,
    Points,
    pixel_of,
)

_LN2 = np.float32(math.log(2))  # exp(-exponent) > 0.5 where the exponent is below ln 2

_TAKEN = np.int64(np.iinfo(np.int64).min)  # the sign of a key: a proposal has the point
_BLOCK = 128  # points of a block, whose highest key is known


class Bandwidths(NamedTuple):
    """Raw bandwidths, ``x`` and ``y`` float32 (N,), the same where there is one.

    ``place`` int32 (N,), ascending: of which pixels; an empty one stands for all of the image.
    """

    x: Float32Map
    y: Float32Map
    place: Int32Map


class Marks(NamedTuple):
    """What `grow` notes while it runs, for up to N points.

    ``inside`` bool (N,), which points the present seed's margin holds, among those looked at.
    ``best`` int64 (N // 128 + 1,), the highest key of each block of points when it was last looked
    at; ``waiting`` int32 (N // 128 + 1,), a heap of the blocks that may hold a seed.
    """

    inside: NDArray[np.bool_]
    best: NDArray[np.int64]
    waiting: Int32Map

    @classmethod
    def of(cls, n: int) -> "Marks":
        """Return memory for ``n`` points."""
        blocks = n // _BLOCK + 1
        return cls(np.empty(n, np.bool_), np.empty(blocks, np.int64), np.empty(blocks, np.int32))


@compiled
def _span(cells: Cells, axis: int, center: np.float32, precision: np.float32) -> tuple[int, int]:
    """First and last cell that the margin around ``center`` touches on one axis."""
    # A thousandth wider than the margin, against rounding at the border of a cell; clamped as
    # floats, because the radius is infinite where the precision is 0.
    radius = np.sqrt(_LN2 / precision) * np.float32(1.001)
    highest = np.float32(cells.shape[axis] - 1)
    first = (center - radius - cells.low[axis]) * cells.density[axis]
    last = (center + radius - cells.low[axis]) * cells.density[axis]
    return int(min(highest, max(np.float32(0), first))), int(min(highest, last))


@compiled
def _look(
    points: Points,
    here: slice,
    center: tuple[np.float32, np.float32],
    precision: tuple[np.float32, np.float32],
    inside: NDArray[np.bool_],
) -> tuple[int, int]:
    """Note which points are within the margin; return their number, and of those not taken yet."""
    x, y, key, inside = points.x[here], points.y[here], points.key[here], inside[here]
    n, n_new = 0, 0
    for i in range(len(x)):
        dx = x[i] - center[0]
        dy = y[i] - center[1]
        inside[i] = dx * dx * precision[0] + dy * dy * precision[1] < _LN2
        n += inside[i]
        n_new += inside[i] & (key[i] >= 0)
    return n, n_new


@compiled
def _take(key: NDArray[np.int64], inside: NDArray[np.bool_]) -> None:
    for i in range(len(key)):
        key[i] |= _TAKEN * inside[i]


@compiled
def _write(
    key: NDArray[np.int64], inside: NDArray[np.bool_], number: int, flat_map: Int32Map
) -> None:
    for i in range(len(key)):
        if inside[i]:
            flat_map[np.uint32(pixel_of(key[i]))] = number


@compiled
def _highest(key: NDArray[np.int64]) -> int:
    highest = _TAKEN
    for i in range(len(key)):
        highest = max(highest, key[i])
    return int(highest)


@compiled
def _sink(heap: Int32Map, best: NDArray[np.int64], i: int, n: int) -> None:
    """Let the block at ``i`` of a heap of ``n`` sink below all better ones."""
    block = heap[i]
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and best[heap[child + 1]] > best[heap[child]]:
            child += 1
        if best[block] >= best[heap[child]]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = block


@compiled
def _line_up(key: NDArray[np.int64], lowest: int, marks: Marks) -> int:
    """Make a heap of the blocks that hold a key of at least ``lowest``; return their number."""
    n = 0
    for block in range((len(key) + _BLOCK - 1) // _BLOCK):
        marks.best[block] = _highest(key[block * _BLOCK : (block + 1) * _BLOCK])
        if marks.best[block] >= lowest:
            marks.waiting[n] = block
            n += 1
    for i in range(n // 2 - 1, -1, -1):
        _sink(marks.waiting, marks.best, i, n)
    return n


@compiled
def grow(
    points: Points,
    bandwidth: Bandwidths,
    cells: Cells,
    lowest: int,
    marks: Marks,
    flat_map: Int32Map,
    n_before: int,
    min_pixels: int,
) -> NDArray[np.int64]:
    """Grow instances around the seeds in turn, highest key first, and write their ids.

    A seed is a point whose key is at least ``lowest``. The block of the highest is found by a heap
    of blocks, whose keys may have been taken since they went in: one that has lost its best goes
    back with what it has left. Few are looked at twice, as a cell's points mostly go together.

    A proposal becomes an instance when more than half of it is not clustered yet; its pixels are
    clustered either way, which their keys' signs tell. Ids start at ``n_before + 1``.

    Returns:
        The keys of their seeds (I,).
    """
    key, inside = points.key, marks.inside
    n_free = len(key)
    seeds = np.empty(n_free // max(1, min_pixels // 2) + 1, np.int64)  # each has more than half
    n_found = 0
    n_waiting = _line_up(key, lowest, marks)
    while n_waiting > 0 and n_free >= min_pixels:
        block = marks.waiting[0]
        first = block * _BLOCK
        best = _highest(key[first : first + _BLOCK])
        if best != marks.best[block]:
            marks.best[block] = best
            if best < lowest:
                n_waiting -= 1
                marks.waiting[0] = marks.waiting[n_waiting]
            _sink(marks.waiting, marks.best, 0, n_waiting)
            continue
        seed = first
        while key[seed] != best:
            seed += 1
        key[seed] |= _TAKEN  # first: a seed does not count as new to its own proposal
        n_free -= 1
        place = pixel_of(best)
        if len(bandwidth.place) > 0:
            place = int(np.searchsorted(bandwidth.place, place))
        width_x, width_y = bandwidth.x[place], bandwidth.y[place]
        if not abs(width_x + width_y) < np.inf:
            continue  # a margin that is none holds no point
        center = points.x[seed], points.y[seed]
        precision = np.exp(width_x * np.float32(10)), np.exp(width_y * np.float32(10))
        left, right = _span(cells, 0, center[0], precision[0])
        top, bottom = _span(cells, 1, center[1], precision[1])
        n_members, n_new = 0, 0
        for line in range(top * cells.shape[0], (bottom + 1) * cells.shape[0], cells.shape[0]):
            here = slice(cells.start[line + left], cells.start[line + right + 1])
            n, n_more = _look(points, here, center, precision, inside)
            n_members += n
            n_new += n_more
        n_free -= n_new
        is_instance = n_members >= min_pixels and 2 * n_new > n_members
        if is_instance:
            seeds[n_found] = best
            n_found += 1
        for line in range(top * cells.shape[0], (bottom + 1) * cells.shape[0], cells.shape[0]):
            here = slice(cells.start[line + left], cells.start[line + right + 1])
            _take(key[here], inside[here])
            if is_instance:
                _write(key[here], inside[here], n_before + n_found, flat_map)
    return seeds[:n_found].copy()
