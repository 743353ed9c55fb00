"""Compiled loops of the seed clustering: gather, sort into cells, grow, measure.

They release the interpreter lock, so threads scale. Nothing else should call them but
:mod:`segmentation.cluster` and :mod:`segmentation.segmenter`: arguments are not checked here.

Shape letters: H, W; S bandwidths per pixel; P foreground pixels of one class; I instances.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled

Float32Map = NDArray[np.float32]
Int32Map = NDArray[np.int32]

_LN2 = np.float32(math.log(2))  # exp(-exponent) > 0.5 where the exponent is below ln 2
_CELL_PIXELS = 16  # side of a search cell; about the margin of a small object
_MAX_CELLS = 512  # per axis: bounds the table when offsets scatter the embeddings
_MAX_OFFSET = np.float32(1.01)  # tanh ends at 1, its approximations a little later


class Points(NamedTuple):
    """One class's foreground in image order.

    ``pixel`` int32 (P,) flat positions y * W + x; ``embedding`` float32 (P, 2) grid units;
    ``width`` float32 (P, 2) raw bandwidths x and y; ``score`` float32 (P,) seed scores.
    """

    pixel: Int32Map
    embedding: Float32Map
    width: Float32Map
    score: Float32Map


class Cells(NamedTuple):
    """Embeddings sorted into rectangular cells.

    ``low`` float32 (2,) the lowest corner, grid units; ``density`` float32 (2,) cells per grid
    unit; ``shape`` int32 (2,) columns and rows; ``start`` int32 (columns * rows + 1,) where each
    cell begins in ``order``; ``order`` int32 (P,) positions in cell order.
    """

    low: Float32Map
    density: Float32Map
    shape: Int32Map
    start: Int32Map
    order: Int32Map


@compiled
def foreground(
    offset: Float32Map,
    bandwidth: Float32Map,
    seed: Float32Map,
    class_index: NDArray[np.uint8],
    wanted: int,
    threshold: np.float32,
    step: Float32Map,
) -> Points:
    """Gather the pixels of class ``wanted`` above ``threshold``.

    Without those that are not finite, or whose offset tanh cannot have given: embeddings are used
    as cell numbers and must be bounded.
    """
    height, n_columns = seed.shape
    last = len(bandwidth) - 1
    size = 0
    for y in range(height):
        for x in range(n_columns):
            size += seed[y, x] > threshold and class_index[y, x] == wanted
    pixel = np.empty(size, np.int32)
    embedding = np.empty((size, 2), np.float32)
    width = np.empty((size, 2), np.float32)
    score = np.empty(size, np.float32)
    n = 0
    for y in range(height):
        for x in range(n_columns):
            if not (seed[y, x] > threshold and class_index[y, x] == wanted):
                continue
            pixel[n] = y * n_columns + x
            embedding[n, 0] = offset[0, y, x] + np.float32(x) * step[0]
            embedding[n, 1] = offset[1, y, x] + np.float32(y) * step[1]
            width[n, 0] = bandwidth[0, y, x]
            width[n, 1] = bandwidth[last, y, x]
            score[n] = seed[y, x]
            # The place of a pixel that is left out goes to the next one.
            furthest = max(abs(offset[0, y, x]), abs(offset[1, y, x]))
            total = offset[0, y, x] + offset[1, y, x] + width[n, 0] + width[n, 1] + score[n]
            n += furthest <= _MAX_OFFSET and np.isfinite(total)
    return Points(pixel[:n], embedding[:n], width[:n], score[:n])


@compiled
def sort_into_cells(embedding: Float32Map, step: Float32Map) -> Cells:
    """Sort embeddings (P, 2) into cells, so that a margin meets only the pixels around it."""
    low = np.empty(2, np.float32)
    density = np.empty(2, np.float32)
    shape = np.empty(2, np.int32)
    for axis in range(2):
        low[axis] = embedding[:, axis].min()
        extent = embedding[:, axis].max() - low[axis]
        shape[axis] = 1 + int(min(_MAX_CELLS - 1.0, extent / (_CELL_PIXELS * step[axis])))
        density[axis] = shape[axis] / max(extent, step[axis])
    cell = np.empty(len(embedding), np.int32)
    start = np.zeros(shape[0] * shape[1] + 1, np.int32)
    for i in range(len(embedding)):
        column = min(shape[0] - 1, int((embedding[i, 0] - low[0]) * density[0]))
        row = min(shape[1] - 1, int((embedding[i, 1] - low[1]) * density[1]))
        cell[i] = row * shape[0] + column
        start[cell[i] + 1] += 1
    start = np.cumsum(start).astype(np.int32)
    free = start[:-1].copy()
    order = np.empty(len(embedding), np.int32)
    for i in range(len(embedding)):
        order[free[cell[i]]] = i
        free[cell[i]] += 1
    return Cells(low, density, shape, start, order)


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
def _members(points: Points, cells: Cells, seed: int, member: Int32Map) -> int:
    """Write the positions of all points within the seed's margin; return their number."""
    x, y = points.embedding[seed]
    px = np.exp(points.width[seed, 0] * np.float32(10))
    py = np.exp(points.width[seed, 1] * np.float32(10))
    left, right = _span(cells, 0, x, px)
    top, bottom = _span(cells, 1, y, py)
    n = 0
    for row in range(top, bottom + 1):
        first = row * cells.shape[0]
        for k in range(cells.start[first + left], cells.start[first + right + 1]):
            i = cells.order[k]
            dx = points.embedding[i, 0] - x
            dy = points.embedding[i, 1] - y
            if dx * dx * px + dy * dy * py < _LN2:
                member[n] = i
                n += 1
    return n


@compiled
def grow(
    seeds: Int32Map,
    points: Points,
    cells: Cells,
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
    scores = np.empty(len(seeds), np.float32)
    places = np.empty(len(seeds), np.int32)
    clustered = np.zeros(len(points.pixel), np.bool_)
    member = np.empty(len(points.pixel), np.int32)
    n_found = 0
    n_free = len(points.pixel)
    for seed in seeds:
        if n_free < min_pixels:
            break
        if clustered[seed]:
            continue
        clustered[seed] = True  # first: a seed does not count as new to its own proposal
        n_free -= 1
        n_members = _members(points, cells, seed, member)
        n_new = 0
        for i in member[:n_members]:
            n_new += not clustered[i]
            clustered[i] = True
        n_free -= n_new
        if n_members >= min_pixels and 2 * n_new > n_members:
            scores[n_found] = points.score[seed]
            places[n_found] = points.pixel[seed]
            n_found += 1
            for i in member[:n_members]:
                flat_map[points.pixel[i]] = n_before + n_found
    return scores[:n_found].copy(), places[:n_found].copy()


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
