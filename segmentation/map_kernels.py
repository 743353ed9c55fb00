"""Compiled loops over a finished instance map: its connected pieces, its measures.

They go from run to run (pixels of one instance side by side in a row), not from pixel to pixel: one
pixel's count would wait for the one before. They release the interpreter lock. Arguments are not
checked here.

Shape letters: H, W; I instances; R runs.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled

Int32Map = NDArray[np.int32]


@compiled
def resample(
    instance_map: Int32Map, rows: NDArray[np.uint32], columns: NDArray[np.uint32]
) -> Int32Map:
    """Return an int32 map of (len(rows), len(columns)) with the value at each row and column."""
    out = np.empty((len(rows), len(columns)), np.int32)
    for y in range(len(rows)):
        again = y > 0 and rows[y] == rows[y - 1]
        for x in range(len(columns)):
            out[y, x] = out[y - 1, x] if again else instance_map[rows[y], columns[x]]
    return out


class _Runs(NamedTuple):
    """Runs in image order: int32 (R,) each, ``end`` is the column after the last."""

    row: Int32Map
    first: Int32Map
    end: Int32Map
    number: Int32Map


@compiled
def _runs_of(instance_map: Int32Map) -> _Runs:
    """Return the runs of all instances."""
    height, n_columns = instance_map.shape
    most = instance_map.size + 1
    row, first = np.empty(most, np.int32), np.empty(most, np.int32)
    end, number = np.empty(most, np.int32), np.empty(most, np.int32)
    n = 0
    for y in range(height):
        line = instance_map[y]
        value, begin = np.int32(0), 0
        for x in range(n_columns):
            if line[x] != value:
                row[n], first[n], end[n], number[n] = y, begin, x, value
                n += bool(value > 0)  # the place of background goes to the next
                value, begin = line[x], x
        row[n], first[n], end[n], number[n] = y, begin, n_columns, value
        n += bool(value > 0)
    return _Runs(row[:n], first[:n], end[:n], number[:n])


@compiled
def count_pixels(instance_map: Int32Map, n_instances: int) -> Int32Map:
    """Return int32 (n_instances,): the pixels of each in an int32 (H, W) map."""
    counts = np.zeros(n_instances, np.int32)
    runs = _runs_of(instance_map)
    for i in range(len(runs.row)):
        counts[runs.number[i] - 1] += runs.end[i] - runs.first[i]
    return counts


@compiled
def _root(parent: Int32Map, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@compiled
def _pieces(runs: _Runs) -> Int32Map:
    """Return int32 (R,): the first run of the connected piece (across corners, too) of each run."""
    n = len(runs.row)
    parent = np.arange(n).astype(np.int32)
    above = 0  # the first run that may touch the present one: of the row before, not yet passed
    for i in range(n):
        y, first, end = runs.row[i], runs.first[i], runs.end[i]
        while runs.row[above] < y - 1 or (runs.row[above] == y - 1 and runs.end[above] < first):
            above += 1
        j = above
        while runs.row[j] == y - 1 and runs.first[j] <= end:
            if runs.number[j] == runs.number[i]:
                one, other = _root(parent, i), _root(parent, j)
                parent[max(one, other)] = min(one, other)
            j += 1
    for i in range(n):
        parent[i] = _root(parent, i)
    return parent


@compiled
def seed_pieces(instance_map: Int32Map, seeds: Int32Map) -> Int32Map:
    """Keep of each instance the connected piece that holds its seed.

    Where a later instance took the seed's pixel, the largest piece stays, of equal ones the first
    in image order.

    Args:
        instance_map: int32 (H, W), 0 background, 1..I.
        seeds: int32 (I,), flat position y * W + x of each instance's seed.

    Returns:
        int32 (H, W); the map itself, not a copy, where each instance is one piece.
    """
    n_columns = instance_map.shape[1]
    runs = _runs_of(instance_map)
    piece = _pieces(runs)
    size = np.zeros(len(piece), np.int32)
    for i in range(len(piece)):
        size[piece[i]] += runs.end[i] - runs.first[i]
    kept = np.full(len(seeds) + 1, -1, np.int32)
    n_pieces = 0
    for i in range(len(piece)):
        if piece[i] == i:
            n_pieces += 1
            best = kept[runs.number[i]]
            if best < 0 or size[i] > size[best]:
                kept[runs.number[i]] = i
    if n_pieces == np.count_nonzero(kept >= 0):
        return instance_map
    start = runs.row.astype(np.int64) * n_columns + runs.first
    for i in range(len(seeds)):
        if instance_map[seeds[i] // n_columns, seeds[i] % n_columns] == i + 1:
            kept[i + 1] = piece[np.searchsorted(start, seeds[i], "right") - 1]
    whole = np.zeros(instance_map.shape, np.int32)
    for i in range(len(piece)):
        if kept[runs.number[i]] == piece[i]:
            whole[runs.row[i], runs.first[i] : runs.end[i]] = runs.number[i]
    return whole


@compiled
def measure(instance_map: Int32Map, n_instances: int) -> NDArray[np.int64]:
    """Measure all instances in one pass over an int32 (H, W) map.

    Returns:
        int64 (n_instances, 7): left, top, right, bottom (inclusive, pixels), area (pixels), sum of
        x, sum of y; an instance without pixels has area 0.
    """
    height, n_columns = instance_map.shape
    table = np.zeros((n_instances, 7), np.int64)
    table[:, 0] = n_columns
    table[:, 1] = height
    table[:, 2:4] = -1
    runs = _runs_of(instance_map)
    for i in range(len(runs.row)):
        y, first, last = runs.row[i], runs.first[i], runs.end[i] - 1
        n = last + 1 - first
        one = table[runs.number[i] - 1]
        one[0] = min(one[0], first)
        one[1] = min(one[1], y)
        one[2] = max(one[2], last)
        one[3] = y  # rows come in order
        one[4] += n
        one[5] += (first + last) * n // 2
        one[6] += y * n
    return table
