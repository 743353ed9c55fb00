"""Compiled loops of the seed clustering: scan, sort into cells and buckets, grow.

They release the interpreter lock, so threads scale. Nothing else should call them but
:mod:`segmentation.cluster`: arguments are not checked here, and results are written into arrays
that the caller brings (:class:`Scratch`), because fresh memory costs more than the loops.

Shape letters: H, W; S bandwidths per pixel; F foreground pixels; P those of one class; I instances.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32Map = NDArray[np.float32]
Int32Map = NDArray[np.int32]

_LN2 = np.float32(math.log(2))  # exp(-exponent) > 0.5 where the exponent is below ln 2
_CELL_PIXELS = 16  # side of a search cell; about the margin of a small object
_MAX_CELLS = 512  # per axis: bounds the table of cells
_MAX_OFFSET = np.float32(1.01)  # tanh ends at 1, its approximations a little later
_MAX_BUCKETS = 4096

_BITS_OF_ONE = 0x3F800000
"""The float32 1.0 as an integer: the bits of floats that are not negative sort like the floats."""

# Divide as NumPy does: a precision that underflows to 0 has an infinite margin and is no error.
_compiled = njit(cache=True, nogil=True, error_model="numpy")


class Maps(NamedTuple):
    """One image's maps.

    ``offset`` float32 (2, H, W), ``bandwidth`` float32 (S, H, W), ``seed`` float32 (H, W) as
    `segmentation.cluster.cluster` takes them; ``seed_bits`` int32 (H, W), the same memory as
    ``seed``; ``step`` float32 (2,), one pixel in grid units.
    """

    offset: Float32Map
    bandwidth: Float32Map
    seed: Float32Map
    seed_bits: Int32Map
    step: Float32Map


class Points(NamedTuple):
    """Foreground pixels.

    ``pixel`` int32 (N,) flat positions y * W + x; ``x`` and ``y`` float32 (N,) embeddings, grid
    units; ``score`` int32 (N,) the bits of the seed score.
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


class Scratch(NamedTuple):
    """Memory for images of up to N pixels; nothing in it outlives a call of `cluster`.

    ``foreground`` all foreground in image order, ``label`` uint8 (N,) its classes; ``of_class``
    that of one class; ``cell`` int32 (N,): the cell of each of its points, then their place in
    ``sorted``, the same points by cell, and ``order`` int32 (N,) the reverse. ``seeds`` int32 (N,):
    see `sort_points`. ``clustered`` bool (N,), ``member`` int32 (N,) and ``waiting`` int64 (N,):
    of `grow`.
    """

    foreground: Points
    label: NDArray[np.uint8]
    of_class: Points
    cell: Int32Map
    order: Int32Map
    sorted: Points
    seeds: Int32Map
    clustered: NDArray[np.bool_]
    member: Int32Map
    waiting: NDArray[np.int64]

    @classmethod
    def of(cls, n: int) -> "Scratch":
        """Return memory for ``n`` pixels; what is never touched costs nothing."""
        return cls(
            foreground=Points.of(n),
            label=np.empty(n, np.uint8),
            of_class=Points.of(n),
            cell=np.empty(n, np.int32),
            order=np.empty(n, np.int32),
            sorted=Points.of(n),
            seeds=np.empty(n, np.int32),
            clustered=np.empty(n, np.bool_),
            member=np.empty(n, np.int32),
            waiting=np.empty(n, np.int64),
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
    low = np.full(2, -_MAX_OFFSET, np.float32)
    extent = step * np.array(shape[::-1], np.float32) + 2 * _MAX_OFFSET
    count = np.clip(np.ceil(extent / (_CELL_PIXELS * step)), 1, _MAX_CELLS).astype(np.int32)
    density = (count / extent).astype(np.float32)
    return Cells(low, density, count, np.zeros(int(count[0]) * int(count[1]) + 1, np.int32))


def buckets_of(lowest: float) -> Seeds:
    """Return empty buckets for scores from ``lowest`` to 1."""
    bits = int(np.float32(max(lowest, 0.0)).view(np.int32))
    extent = max(0, _BITS_OF_ONE - bits)
    shift = max(0, extent.bit_length() - _MAX_BUCKETS.bit_length() + 1)
    return Seeds(bits, shift, np.zeros((extent >> shift) + 2, np.int32))


@_compiled
def scan(
    maps: Maps,
    class_index: NDArray[np.uint8],
    threshold: np.float32,
    counts: NDArray[np.int64],
    scratch: Scratch,
) -> int:
    """Gather the pixels above ``threshold``, add to ``counts`` (256,) by class, return how many.

    Without those that are not finite, or whose offset tanh cannot have given: embeddings are used
    as cell numbers and must be bounded.
    """
    height, width = maps.seed.shape
    seed, bits = maps.seed.reshape(-1), maps.seed_bits.reshape(-1)
    label = class_index.reshape(-1)
    offset_x, offset_y = maps.offset[0].reshape(-1), maps.offset[1].reshape(-1)
    width_x = maps.bandwidth[0].reshape(-1)
    width_y = maps.bandwidth[len(maps.bandwidth) - 1].reshape(-1)
    step_x, step_y = maps.step
    n = 0
    for row in range(height):
        grid_y = np.float32(row) * step_y
        for column in range(width):
            pixel = row * width + column
            if seed[pixel] > threshold:
                x, y = offset_x[pixel], offset_y[pixel]
                total = x + y + width_x[pixel] + width_y[pixel] + seed[pixel]
                # The place of a pixel that is left out goes to the next one.
                scratch.foreground.pixel[n] = pixel
                scratch.label[n] = label[pixel]
                scratch.foreground.x[n] = x + np.float32(column) * step_x
                scratch.foreground.y[n] = y + grid_y
                scratch.foreground.score[n] = bits[pixel]
                is_sound = (abs(x) <= _MAX_OFFSET) & (abs(y) <= _MAX_OFFSET) & (abs(total) < np.inf)
                counts[label[pixel]] += is_sound
                n += is_sound
    return n


@_compiled
def pick(scratch: Scratch, n_foreground: int, wanted: int) -> int:
    """Gather the foreground of class ``wanted`` into ``scratch.of_class``; return its size."""
    chosen = scratch.of_class
    n = 0
    for i in range(n_foreground):
        chosen.pixel[n] = scratch.foreground.pixel[i]
        chosen.x[n] = scratch.foreground.x[i]
        chosen.y[n] = scratch.foreground.y[i]
        chosen.score[n] = scratch.foreground.score[i]
        n += scratch.label[i] == wanted
    return n


@_compiled
def sort_points(
    points: Points, n_points: int, cells: Cells, seeds: Seeds, scratch: Scratch
) -> None:
    """Sort a class's points into empty cells, and its seeds into empty buckets.

    Afterwards ``scratch.sorted`` holds the points by cell, and ``scratch.seeds`` the places among
    them of those that may start an instance, by bucket. So a margin meets only the pixels around
    it, in one piece of memory.
    """
    cell, order = scratch.cell[:n_points], scratch.order[:n_points]
    _number_cells(points.x, points.y, cells, cell)
    _count(cell, cells.start)
    _add_up(cells.start)
    _place(cell, cells.start, order)
    _shift_up(cells.start)
    _gather(points.pixel, order, scratch.sorted.pixel)
    _gather(points.x, order, scratch.sorted.x)
    _gather(points.y, order, scratch.sorted.y)
    _gather(points.score, order, scratch.sorted.score)
    _sort_seeds(points.score[:n_points], cell, seeds, scratch.seeds)


# Small loops over few arrays each: they are several times as fast as one loop that does all of it.


@_compiled
def _number_cells(x: Float32Map, y: Float32Map, cells: Cells, out: Int32Map) -> None:
    columns, rows = cells.shape
    left, top = cells.low
    density_x, density_y = cells.density
    for i in range(len(out)):
        column = min(columns - 1, int((x[i] - left) * density_x))
        row = min(rows - 1, int((y[i] - top) * density_y))
        out[i] = row * columns + column


@_compiled
def _count(cell: Int32Map, start: Int32Map) -> None:
    for i in range(len(cell)):
        start[np.uint32(cell[i]) + np.uint32(1)] += 1


@_compiled
def _place(cell: Int32Map, start: Int32Map, order: Int32Map) -> None:
    """Write which point comes at which place, and over ``cell`` which place each point has."""
    for i in range(len(cell)):
        number = np.uint32(cell[i])
        place = np.uint32(start[number])
        start[number] = place + 1
        order[place] = i
        cell[i] = place


@_compiled
def _gather(values: NDArray[Any], order: Int32Map, out: NDArray[Any]) -> None:
    for k in range(len(order)):
        out[k] = values[np.uint32(order[k])]


@_compiled
def _sort_seeds(score: Int32Map, place: Int32Map, seeds: Seeds, out: Int32Map) -> None:
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


@_compiled
def _bucket(bits: int, shift: int, last: int) -> int:
    return min(last, max(0, _BITS_OF_ONE - bits) >> shift)


@_compiled
def _add_up(start: Int32Map) -> None:
    for i in range(1, len(start)):
        start[i] += start[i - 1]


@_compiled
def _shift_up(start: Int32Map) -> None:
    """Undo that each start has moved to the next one's place."""
    for i in range(len(start) - 1, 0, -1):
        start[i] = start[i - 1]
    start[0] = 0


@_compiled
def _span(cells: Cells, axis: int, center: np.float32, precision: np.float32) -> tuple[int, int]:
    """First and last cell that the margin around ``center`` touches on one axis."""
    # A thousandth wider than the margin, against rounding at the border of a cell; clamped as
    # floats, because the radius is infinite where the precision is 0.
    radius = np.sqrt(_LN2 / precision) * np.float32(1.001)
    highest = np.float32(cells.shape[axis] - 1)
    first = (center - radius - cells.low[axis]) * cells.density[axis]
    last = (center + radius - cells.low[axis]) * cells.density[axis]
    return int(min(highest, max(np.float32(0), first))), int(min(highest, last))


@_compiled
def _members(maps: Maps, cells: Cells, scratch: Scratch, seed: int) -> int:
    """Write the places of all points within the seed's margin; return their number."""
    pixel = scratch.sorted.pixel[seed]
    x, y = scratch.sorted.x[seed], scratch.sorted.y[seed]
    px = np.exp(maps.bandwidth[0].reshape(-1)[pixel] * np.float32(10))
    py = np.exp(maps.bandwidth[len(maps.bandwidth) - 1].reshape(-1)[pixel] * np.float32(10))
    left, right = _span(cells, 0, x, px)
    top, bottom = _span(cells, 1, y, py)
    n = 0
    for row in range(top, bottom + 1):
        first = row * cells.shape[0]
        for i in range(cells.start[first + left], cells.start[first + right + 1]):
            dx = scratch.sorted.x[i] - x
            dy = scratch.sorted.y[i] - y
            scratch.member[n] = i
            n += dx * dx * px + dy * dy * py < _LN2
    return n


@_compiled
def _still_waiting(seeds: Seeds, bucket: int, scratch: Scratch) -> int:
    """Make ``scratch.waiting`` a heap of a bucket's seeds that no instance has taken; return n.

    Each is its score's distance from 1 in the upper half of an integer, and its place in
    ``scratch.seeds`` in the lower one: the highest comes first, ties in image order. A heap,
    because few of them are taken out before the others belong to an instance.
    """
    n = 0
    for k in range(seeds.start[bucket], seeds.start[bucket + 1]):
        place = scratch.seeds[k]
        if not scratch.clustered[place]:
            falling = np.int64(_BITS_OF_ONE) - scratch.sorted.score[place]
            scratch.waiting[n] = falling << 32 | k
            n += 1
    for i in range(n // 2 - 1, -1, -1):
        _sift_down(scratch.waiting, i, n)
    return n


@_compiled
def _sift_down(heap: NDArray[np.int64], i: int, n: int) -> None:
    """Let the value at ``i`` of a heap of ``n`` sink below all smaller ones."""
    value = heap[i]
    while 2 * i + 1 < n:
        child = 2 * i + 1
        if child + 1 < n and heap[child + 1] < heap[child]:
            child += 1
        if value <= heap[child]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = value


@_compiled
def grow(
    maps: Maps,
    n_points: int,
    cells: Cells,
    seeds: Seeds,
    scratch: Scratch,
    flat_map: Int32Map,
    n_before: int,
    min_pixels: int,
) -> tuple[Float32Map, Int32Map]:
    """Grow instances around the seeds in turn and write their ids.

    A proposal becomes an instance when more than half of it is not clustered yet; its pixels are
    clustered either way. Ids start at ``n_before + 1``.

    Returns:
        Their scores (I,) and the flat positions y * W + x of their seeds (I,).
    """
    most = n_points // max(1, min_pixels // 2) + 1  # each takes more than half of min_pixels
    scores = np.empty(most, np.float32)
    places = np.empty(most, np.int32)
    score = maps.seed.reshape(-1)
    clustered, member = scratch.clustered, scratch.member
    for i in range(n_points):
        clustered[i] = False
    n_found = 0
    n_free = n_points
    for bucket in range(len(seeds.start) - 1):
        if n_free < min_pixels:
            break
        n_waiting = _still_waiting(seeds, bucket, scratch)
        while n_waiting > 0 and n_free >= min_pixels:
            seed = scratch.seeds[scratch.waiting[0] & 0xFFFFFFFF]
            n_waiting -= 1
            scratch.waiting[0] = scratch.waiting[n_waiting]
            _sift_down(scratch.waiting, 0, n_waiting)
            if clustered[seed]:
                continue
            clustered[seed] = True  # first: a seed does not count as new to its own proposal
            n_free -= 1
            n_members = _members(maps, cells, scratch, seed)
            n_new = 0
            for k in range(n_members):
                n_new += not clustered[member[k]]
                clustered[member[k]] = True
            n_free -= n_new
            if n_members >= min_pixels and 2 * n_new > n_members:
                pixel = scratch.sorted.pixel[seed]
                scores[n_found] = score[pixel]
                places[n_found] = pixel
                n_found += 1
                for k in range(n_members):
                    flat_map[scratch.sorted.pixel[member[k]]] = n_before + n_found
    return scores[:n_found].copy(), places[:n_found].copy()
