"""Compiled loops over a finished instance map: its connected pieces, its measures.

They release the interpreter lock. Arguments are not checked here.

Shape letters: H, W; I instances.
"""

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


@compiled
def count_pixels(instance_map: Int32Map, n_instances: int) -> Int32Map:
    """Return int32 (n_instances,): the pixels of each in an int32 (H, W) map."""
    counts = np.zeros(n_instances + 1, np.int32)
    for y in range(instance_map.shape[0]):
        for x in range(instance_map.shape[1]):
            counts[instance_map[y, x]] += 1
    return counts[1:]


@compiled
def _root(parent: Int32Map, label: int) -> int:
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = parent[label]
    return label


@compiled
def _pieces(instance_map: Int32Map, piece: Int32Map, parent: Int32Map) -> int:
    """Label the connected pieces (across corners, too) of all instances; return the labels used.

    One pass over the picture: a pixel takes the label of a neighbour that was passed before, and
    labels that meet become one by ``parent``.
    """
    height, n_columns = instance_map.shape
    n = 0
    for y in range(height):
        for x in range(n_columns):
            number = instance_map[y, x]
            if number == 0:
                continue
            label = 0
            for v, u in ((y, x - 1), (y - 1, x - 1), (y - 1, x), (y - 1, x + 1)):
                if v < 0 or u < 0 or u >= n_columns or instance_map[v, u] != number:
                    continue
                if label == 0:
                    label = piece[v, u]
                elif label != piece[v, u]:
                    one, other = _root(parent, label), _root(parent, piece[v, u])
                    parent[max(one, other)] = min(one, other)
            if label == 0:
                n += 1
                label = n
                parent[n] = n
            piece[y, x] = label
    return n


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
    height, n_columns = instance_map.shape
    piece = np.zeros((height, n_columns), np.int32)
    parent = np.zeros(instance_map.size // 2 + 2, np.int32)  # no two new labels are neighbours
    n = _pieces(instance_map, piece, parent)
    size = np.zeros(n + 1, np.int32)
    owner = np.zeros(n + 1, np.int32)
    for y in range(height):
        for x in range(n_columns):
            if piece[y, x]:
                label = _root(parent, piece[y, x])
                piece[y, x] = label
                size[label] += 1
                owner[label] = instance_map[y, x]
    kept = np.zeros(len(seeds) + 1, np.int32)
    n_pieces = 0
    for label in range(1, n + 1):
        n_pieces += size[label] > 0
        if size[label] > size[kept[owner[label]]]:
            kept[owner[label]] = label
    if n_pieces == np.count_nonzero(kept):
        return instance_map
    for i in range(len(seeds)):
        y, x = seeds[i] // n_columns, seeds[i] % n_columns
        if instance_map[y, x] == i + 1:
            kept[i + 1] = piece[y, x]
    whole = np.zeros((height, n_columns), np.int32)
    for y in range(height):
        for x in range(n_columns):
            if piece[y, x] and kept[instance_map[y, x]] == piece[y, x]:
                whole[y, x] = instance_map[y, x]
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
    for y in range(height):
        for x in range(n_columns):
            if instance_map[y, x] == 0:
                continue
            one = table[instance_map[y, x] - 1]
            one[0] = min(one[0], x)
            one[1] = min(one[1], y)
            one[2] = max(one[2], x)
            one[3] = y  # rows come in order
            one[4] += 1
            one[5] += x
            one[6] += y
    return table
