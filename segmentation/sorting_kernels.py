"""Compiled sorting for the seed clustering: points into cells, seeds into buckets of score.

Arguments are not checked here; see `segmentation.kernels`.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled

Float32Map = NDArray[np.float32]
Int32Map = NDArray[np.int32]

MAX_OFFSET = np.float32(1.01)
"""Furthest that a pixel is taken to point: tanh ends at 1, its approximations a little later."""

BITS_OF_ONE = 0x3F800000
"""The float32 1.0 as an integer: the bits of floats that are not negative sort like the floats."""

_CELL_PIXELS = 16  # side of a search cell; about the margin of a small object
_MAX_CELLS = 512  # per axis: bounds the table of cells
_MAX_BUCKETS = 4096


class Points(NamedTuple):
    """Foreground pixels.

    ``pixel`` int32 (N,) flat positions y * W + x; ``x`` and ``y`` float32 (N,) embeddings, grid
    units; ``score`` int32 (N,) the bits of the seed score.

    Kernels take small tuples of arrays: each array of an argument costs compile time.
    """

    pixel: Int32Map
    x: Float32Map
    y: Float32Map
    score: Int32Map

    @classmethod
    def of(cls, n: int) -> "Points":
        """Return memory for ``n`` of them."""
        return cls(
            pixel=np.empty(n, np.int32),
            x=np.empty(n, np.float32),
            y=np.empty(n, np.float32),
            score=np.empty(n, np.int32),
        )


class Cells(NamedTuple):
    """Rectangular cells of the plane of embeddings.

    ``low`` float32 (2,) the lowest corner, grid units; ``density`` float32 (2,) cells per grid
    unit; ``shape`` int32 (2,) columns and rows; ``start`` int32 (columns * rows + 1,) where each
    cell begins among the sorted points.
    """

    low: Float32Map
    density: Float32Map
    shape: Int32Map
    start: Int32Map


class Seeds(NamedTuple):
    """The order of the seeds: buckets of falling score, each in image order.

    ``lowest`` are the bits of the score from which on a pixel starts an instance; ``shift`` makes
    their distance from those of 1.0 a bucket's number; ``start`` int32 (buckets + 1,) where each
    bucket begins.
    """

    lowest: int
    shift: int
    start: Int32Map


def cells_of(shape: tuple[int, ...], step: Float32Map) -> Cells:
    """Return empty cells for the embeddings that an image of (H, W) pixels can have."""
    low = np.full(2, -MAX_OFFSET, np.float32)
    extent = step * np.array(shape[::-1], np.float32) + 2 * MAX_OFFSET
    count = np.clip(np.ceil(extent / (_CELL_PIXELS * step)), 1, _MAX_CELLS).astype(np.int32)
    density = (count / extent).astype(np.float32)
    return Cells(low, density, count, np.zeros(int(count[0]) * int(count[1]) + 1, np.int32))


def buckets_of(lowest: float) -> Seeds:
    """Return empty buckets for scores from ``lowest`` to 1."""
    bits = int(np.float32(max(lowest, 0.0)).view(np.int32))
    extent = max(0, BITS_OF_ONE - bits)
    shift = max(0, extent.bit_length() - _MAX_BUCKETS.bit_length() + 1)
    return Seeds(bits, shift, np.zeros((extent >> shift) + 2, np.int32))


@compiled
def sort_points(
    points: Points, n_points: int, cells: Cells, place: Int32Map, order: Int32Map, out: Points
) -> None:
    """Sort points into empty cells, so that a margin meets only those around it, in one piece.

    ``place`` becomes where each point is in ``out``, ``order`` the reverse.
    """
    place, order = place[:n_points], order[:n_points]
    _number_cells(points.x, points.y, cells, place)
    _count(place, cells.start)
    _add_up(cells.start)
    _place(place, cells.start, order)
    _shift_up(cells.start)
    _gather(points.pixel, order, out.pixel)
    _gather(points.x, order, out.x)
    _gather(points.y, order, out.y)
    _gather(points.score, order, out.score)


# Small loops over few arrays each: they are several times as fast as one loop that does all of it.


@compiled
def _number_cells(x: Float32Map, y: Float32Map, cells: Cells, out: Int32Map) -> None:
    columns, rows = cells.shape
    left, top = cells.low
    density_x, density_y = cells.density
    for i in range(len(out)):
        column = min(columns - 1, int((x[i] - left) * density_x))
        row = min(rows - 1, int((y[i] - top) * density_y))
        out[i] = row * columns + column


@compiled
def _count(cell: Int32Map, start: Int32Map) -> None:
    for i in range(len(cell)):
        start[np.uint32(cell[i]) + np.uint32(1)] += 1


@compiled
def _place(cell: Int32Map, start: Int32Map, order: Int32Map) -> None:
    """Write which point comes at which place, and over ``cell`` which place each point has."""
    for i in range(len(cell)):
        number = np.uint32(cell[i])
        place = np.uint32(start[number])
        start[number] = place + 1
        order[place] = i
        cell[i] = place


@compiled
def _gather(values: NDArray[Any], order: Int32Map, out: NDArray[Any]) -> None:
    for k in range(len(order)):
        out[k] = values[np.uint32(order[k])]


@compiled
def sort_seeds(score: Int32Map, place: Int32Map, seeds: Seeds, out: Int32Map) -> None:
    """Sort the places of the points that may start an instance into empty buckets."""
    last = len(seeds.start) - 2
    for i in range(len(score)):
        if score[i] >= seeds.lowest:
            seeds.start[_bucket(score[i], seeds.shift, last) + 1] += 1
    _add_up(seeds.start)
    for i in range(len(score)):
        if score[i] >= seeds.lowest:
            bucket = _bucket(score[i], seeds.shift, last)
            out[seeds.start[bucket]] = place[i]
            seeds.start[bucket] += 1
    _shift_up(seeds.start)


@compiled
def _bucket(bits: int, shift: int, last: int) -> int:
    return min(last, max(0, BITS_OF_ONE - bits) >> shift)


@compiled
def _add_up(start: Int32Map) -> None:
    for i in range(1, len(start)):
        start[i] += start[i - 1]


@compiled
def _shift_up(start: Int32Map) -> None:
    """Undo that each start has moved to the next one's place."""
    for i in range(len(start) - 1, 0, -1):
        start[i] = start[i - 1]
    start[0] = 0
