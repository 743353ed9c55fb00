"""Compiled sorting for the seed clustering: points into cells.

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

LAST_PIXEL = np.int64(0x7FFFFFFF)
"""The flat position of the last pixel that a key can tell."""

_CELL_PIXELS = 16  # side of a search cell; about the margin of a small object
_MAX_CELLS = 512  # per axis: bounds the table of cells


class Points(NamedTuple):
    """Foreground pixels.

    ``x`` and ``y`` float32 (N,) embeddings, grid units; ``key`` int64 (N,): the bits of the seed
    score (those of floats that are not negative sort like the floats) above how far the pixel lies
    before `LAST_PIXEL`, so that the highest key is the next seed, ties in image order.

    Kernels take small tuples of arrays: each array of an argument costs compile time.
    """

    x: Float32Map
    y: Float32Map
    key: NDArray[np.int64]

    @classmethod
    def of(cls, n: int) -> "Points":
        """Return memory for ``n`` of them."""
        return cls(np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int64))

    def first(self, n: int) -> "Points":
        """Return the first ``n``, in the same memory."""
        return Points(self.x[:n], self.y[:n], self.key[:n])


@compiled
def pixel_of(key: int) -> int:
    """Return the flat position that a key tells."""
    return int(LAST_PIXEL - (key & LAST_PIXEL))


def scores_of(key: NDArray[np.int64]) -> Float32Map:
    """Return the seed scores that keys (N,) tell, in the same memory."""
    return key.view(np.float32)[1::2]  # the upper half: processors with kernels are little-endian


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


def cells_of(shape: tuple[int, ...], step: Float32Map) -> Cells:
    """Return empty cells for the embeddings that an image of (H, W) pixels can have."""
    low = np.full(2, -MAX_OFFSET, np.float32)
    extent = step * np.array(shape[::-1], np.float32) + 2 * MAX_OFFSET
    count = np.clip(np.ceil(extent / (_CELL_PIXELS * step)), 1, _MAX_CELLS).astype(np.int32)
    density = (count / extent).astype(np.float32)
    return Cells(low, density, count, np.zeros(int(count[0]) * int(count[1]) + 1, np.int32))


@compiled
def sort_points(points: Points, cells: Cells, place: Int32Map, out: Points) -> None:
    """Sort points into empty cells, so that a margin meets only those around it, in one piece.

    ``place`` is memory for as many points; it becomes where each of them is in ``out``.
    """
    _number_cells(points.x, points.y, cells, place)
    _count(place, cells.start)
    _add_up(cells.start)
    _place(place, cells.start)
    _shift_up(cells.start)
    _scatter(points.x, place, out.x)
    _scatter(points.y, place, out.y)
    _scatter(points.key, place, out.key)


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
def _place(cell: Int32Map, start: Int32Map) -> None:
    """Write over ``cell`` which place each point has."""
    for i in range(len(cell)):
        number = np.uint32(cell[i])
        place = np.uint32(start[number])
        start[number] = place + 1
        cell[i] = place


@compiled
def _scatter(values: NDArray[Any], place: Int32Map, out: NDArray[Any]) -> None:
    for i in range(len(place)):
        out[np.uint32(place[i])] = values[i]


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
