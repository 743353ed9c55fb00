"""Compiled loops of the seed clustering: scan and grow.

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
    BITS_OF_ONE,
    MAX_OFFSET,
    Cells,
    Float32Map,
    Int32Map,
    Points,
    Seeds,
)

_LN2 = np.float32(math.log(2))  # exp(-exponent) > 0.5 where the exponent is below ln 2


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


class Marks(NamedTuple):
    """What `grow` notes while it runs, for up to N points.

    ``clustered`` bool (N,), which points an earlier proposal has; ``member`` int32 (N,), those of
    the present one; ``waiting`` int64 (N,), a heap of seeds.
    """

    clustered: NDArray[np.bool_]
    member: Int32Map
    waiting: NDArray[np.int64]


@compiled
def scan(
    maps: Maps,
    class_index: NDArray[np.uint8],
    threshold: np.float32,
    counts: NDArray[np.int64],
    found: Points,
    found_label: NDArray[np.uint8],
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
                found.pixel[n] = pixel
                found_label[n] = label[pixel]
                found.x[n] = x + np.float32(column) * step_x
                found.y[n] = y + grid_y
                found.score[n] = bits[pixel]
                is_sound = (abs(x) <= MAX_OFFSET) & (abs(y) <= MAX_OFFSET) & (abs(total) < np.inf)
                counts[label[pixel]] += is_sound
                n += is_sound
    return n


@compiled
def pick(
    points: Points, label: NDArray[np.uint8], n_points: int, wanted: int, chosen: Points
) -> None:
    """Gather the points of class ``wanted``."""
    n = 0
    for i in range(n_points):
        chosen.pixel[n] = points.pixel[i]
        chosen.x[n] = points.x[i]
        chosen.y[n] = points.y[i]
        chosen.score[n] = points.score[i]
        n += label[i] == wanted


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
def _members(
    points: Points, bandwidth: Float32Map, cells: Cells, seed: int, member: Int32Map
) -> int:
    """Write the places of all points within the seed's margin; return their number."""
    row, column = divmod(points.pixel[seed], bandwidth.shape[2])
    x, y = points.x[seed], points.y[seed]
    px = np.exp(bandwidth[0, row, column] * np.float32(10))
    py = np.exp(bandwidth[len(bandwidth) - 1, row, column] * np.float32(10))
    left, right = _span(cells, 0, x, px)
    top, bottom = _span(cells, 1, y, py)
    n = 0
    for row in range(top, bottom + 1):
        first = row * cells.shape[0]
        for i in range(cells.start[first + left], cells.start[first + right + 1]):
            dx = points.x[i] - x
            dy = points.y[i] - y
            member[n] = i
            n += dx * dx * px + dy * dy * py < _LN2
    return n


@compiled
def _fill_heap(
    bucket: Int32Map, score: Int32Map, clustered: NDArray[np.bool_], heap: NDArray[np.int64]
) -> int:
    """Make a heap of a bucket's seeds that no proposal has taken; return their number.

    Each is its score's distance from 1 in the upper half of an integer, and its number in the
    bucket in the lower one: the highest comes first, ties in image order. A heap, because few of
    them are taken out before the others belong to an instance.
    """
    n = 0
    for k in range(len(bucket)):
        if not clustered[bucket[k]]:
            heap[n] = (np.int64(BITS_OF_ONE) - score[bucket[k]]) << 32 | k
            n += 1
    for i in range(n // 2 - 1, -1, -1):
        _sift_down(heap, i, n)
    return n


@compiled
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


@compiled
def grow(
    points: Points,
    n_points: int,
    bandwidth: Float32Map,
    cells: Cells,
    seeds: Seeds,
    seed_places: Int32Map,
    marks: Marks,
    flat_map: Int32Map,
    n_before: int,
    min_pixels: int,
) -> Int32Map:
    """Grow instances around the seeds in turn and write their ids.

    A proposal becomes an instance when more than half of it is not clustered yet; its pixels are
    clustered either way. Ids start at ``n_before + 1``.

    Returns:
        The flat positions y * W + x of their seeds (I,).
    """
    most = n_points // max(1, min_pixels // 2) + 1  # each takes more than half of min_pixels
    pixels = np.empty(most, np.int32)
    clustered, member, heap = marks
    for i in range(n_points):
        clustered[i] = False
    n_found = 0
    n_free = n_points
    for number in range(len(seeds.start) - 1):
        if n_free < min_pixels:
            break
        bucket = seed_places[seeds.start[number] : seeds.start[number + 1]]
        n_waiting = _fill_heap(bucket, points.score, clustered, heap)
        while n_waiting > 0 and n_free >= min_pixels:
            seed = bucket[heap[0] & 0xFFFFFFFF]
            n_waiting -= 1
            heap[0] = heap[n_waiting]
            _sift_down(heap, 0, n_waiting)
            if clustered[seed]:
                continue
            clustered[seed] = True  # first: a seed does not count as new to its own proposal
            n_free -= 1
            n_members = _members(points, bandwidth, cells, seed, member)
            n_new = 0
            for k in range(n_members):
                n_new += not clustered[member[k]]
                clustered[member[k]] = True
            n_free -= n_new
            if n_members >= min_pixels and 2 * n_new > n_members:
                pixels[n_found] = points.pixel[seed]
                n_found += 1
                for k in range(n_members):
                    flat_map[points.pixel[member[k]]] = n_before + n_found
    return pixels[:n_found].copy()
