"""Seed clustering: from the network's maps to an instance map.

Source: Neven et al., CVPR 2019, section 3.3 (sequential clustering around the seeds). The pixel
with the highest seed score starts an instance; all pixels whose embedding lies within its margin
join. The kernels are in :mod:`segmentation.kernels`.

Shape letters: H, W; S bandwidths per pixel; P foreground pixels of one class; I instances.
Pure: no input or output.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from segmentation.cluster_scratch import Scratch, scratch_of
from segmentation.foreground_kernels import Maps, gather, pick, scan, settle
from segmentation.kernels import Bandwidths, grow
from segmentation.map_kernels import seed_pieces
from segmentation.sorting_kernels import (
    LAST_PIXEL,
    MAX_OFFSET,
    Float32Map,
    Int32Map,
    cells_of,
    scores_of,
    sort_points,
)

PAPER_GRID_STEP = (2 / 2047, 1 / 1023)
"""One pixel in grid units (x, y) in the published method: 2048x1024 pixels span 2x1 units."""

FOREGROUND_THRESHOLD = 0.5

_NO_PLACES = np.empty(0, np.int32)
_ONE_CLASS = np.empty((0, 0), np.uint8)  # for maps whose classes are all 0: none is looked up


@dataclass(frozen=True)
class Clusters:
    """Instances found in one image.

    Attributes:
        instance_map: int32 (H, W), 0 background, 1..I the instance. A later instance of the same
            class overwrites an earlier one where they overlap, so an id may have no pixel left.
        scores: float32 (I,), seed score of each instance's seed pixel, 0..1.
        classes: int32 (I,), class index of each instance.
        seeds: int32 (I,), flat position y * W + x of each instance's seed pixel.
    """

    instance_map: Int32Map
    scores: Float32Map
    classes: Int32Map
    seeds: Int32Map

    def without_strays(self) -> "Clusters":
        """Return the instances with the connected piece that holds the seed alone.

        The published method joins pixels by their embedding, wherever they lie. That keeps an
        object together that something in front of it cuts in two; after a short training it also
        lets noise far away join, which makes boxes too large. Pixels are connected across corners.
        """
        return replace(self, instance_map=seed_pieces(self.instance_map, self.seeds))


def cluster_maps(
    prediction: Float32Map, n_sigma: int, seed_threshold: float, min_pixels: int = 128
) -> tuple[Int32Map, Float32Map]:
    """Cluster raw single-class maps as the published method does, on its grid.

    Args:
        prediction: float32 (2 + n_sigma + 1, H, W), raw network output: offset x, y, bandwidths,
            seed.
        n_sigma: Number of bandwidth channels, 1 or 2.
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        min_pixels: Fewest pixels that the foreground and each instance must have.

    Returns:
        ``instance_map`` int32 (H, W), ids in order of discovery, and ``scores`` float32 (I,).

    Raises:
        ValueError: The number of channels does not fit.
    """
    if prediction.ndim != 3 or len(prediction) != 3 + n_sigma:
        raise ValueError(
            f"prediction has shape {prediction.shape}, expected ({3 + n_sigma}, H, W): offset x, "
            f"offset y, {n_sigma} bandwidths, seed"
        )
    raw = np.ascontiguousarray(prediction, dtype=np.float32)
    scratch = scratch_of(raw[0].size)
    bandwidth, counts = raw[2:-1], np.zeros(256, np.int64)
    ends = np.empty(raw.shape[1], np.int32)
    n_found = scan(
        Maps(raw[:2], raw[-1], raw[-1].view(np.int32), np.zeros(2, np.float32)),
        _ONE_CLASS,
        _raw_foreground_threshold(),
        np.finfo(np.float32).max,
        counts,
        scratch.foreground,
        scratch.label,
        ends,
    )
    # The foreground alone is activated, a third of a picture or less.
    points, step = scratch.foreground.first(n_found), np.array(PAPER_GRID_STEP, np.float32)
    np.tanh(points.x, out=points.x)
    np.tanh(points.y, out=points.y)
    score = scratch.score[:n_found]
    np.negative(scores_of(points.key), out=score)
    np.exp(score, out=score)
    settle(points, score, ends, step, raw.shape[2])
    found = _join(
        scratch,
        n_found,
        counts[:1],
        raw.shape[1:],
        _of_all_pixels(bandwidth),
        step,
        seed_threshold,
        min_pixels,
    )
    return found.instance_map, found.scores


def _sigmoid(value: Float32Map) -> Float32Map:
    result = np.negative(value)
    np.exp(result, out=result)
    result += 1
    return np.divide(1, result, out=result)


@cache
def _raw_foreground_threshold() -> np.float32:
    """Return the highest raw seed score whose sigmoid is not above `FOREGROUND_THRESHOLD`."""
    below, above = 0, int(np.float32(1).view(np.int32))  # bits: they sort like the floats
    while above - below > 1:
        middle = (below + above) // 2
        raw = np.array([middle], np.int32).view(np.float32)
        if _sigmoid(raw)[0] > FOREGROUND_THRESHOLD:
            above = middle
        else:
            below = middle
    return np.int32(below).view(np.float32)


def cluster(
    offset: Float32Map,
    bandwidth: Float32Map,
    seed: Float32Map,
    class_index: NDArray[np.uint8],
    *,
    grid_step: tuple[float, float],
    seed_threshold: float,
    min_pixels: int,
    n_classes: int,
    foreground_threshold: float = FOREGROUND_THRESHOLD,
) -> Clusters:
    """Cluster one image class by class.

    Ends for any input: a pixel is tried as a seed at most once. Pixels whose offset or score is not
    finite, or whose offset lies outside tanh's range, are background; one whose bandwidth is not
    finite starts no instance.

    Args:
        offset: float32 (2, H, W), offsets x and y after tanh, grid units.
        bandwidth: float32 (S, H, W), raw: precision = exp(10 * bandwidth); S is 1 or 2.
        seed: float32 (H, W), score of the pixel's best class, 0..1.
        class_index: uint8 (H, W), that class, 0..n_classes-1.
        grid_step: One pixel in grid units, (x, y), as in training.
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        min_pixels: Fewest pixels that a class's foreground and each instance must have.
        n_classes: Number of classes.
        foreground_threshold: Pixels with a higher seed score can belong to an instance.

    Returns:
        The instances, class by class, each class in order of falling seed score.
    """
    offset, bandwidth, seed = (
        np.ascontiguousarray(part, np.float32) for part in (offset, bandwidth, seed)
    )
    class_index = np.ascontiguousarray(class_index, np.uint8)
    step = np.array(grid_step, np.float32)
    scratch = scratch_of(seed.size)
    counts = np.zeros(256, np.int64)
    n_found = scan(
        Maps(offset, seed, seed.view(np.int32), step),
        class_index if class_index.max(initial=0) > 0 else _ONE_CLASS,
        np.float32(foreground_threshold),
        MAX_OFFSET,
        counts,
        scratch.foreground,
        scratch.label,
        np.empty(len(seed), np.int32),
    )
    return _join(
        scratch,
        n_found,
        counts[:n_classes],
        seed.shape,
        _of_all_pixels(bandwidth),
        step,
        seed_threshold,
        min_pixels,
    )


def cluster_foreground(
    place: Int32Map,
    values: Float32Map,
    class_index: NDArray[np.uint8],
    size: tuple[int, int],
    *,
    grid_step: tuple[float, float],
    seed_threshold: float,
    min_pixels: int,
    n_classes: int,
) -> Clusters:
    """Cluster one image of which only the foreground is known; see `cluster`.

    Args:
        place: int32 (P,), y * W + x of each pixel whose seed score is above `FOREGROUND_THRESHOLD`,
            ascending.
        values: float32 (2 + S + 1, P), their offsets x and y, bandwidths and seed scores.
        class_index: uint8 (P,), their classes.
        size: (H, W) of the image.
        grid_step: See `cluster`.
        seed_threshold: See `cluster`.
        min_pixels: See `cluster`.
        n_classes: See `cluster`.

    Returns:
        What `cluster` returns for the whole maps.
    """
    step = np.array(grid_step, np.float32)
    scratch = scratch_of(size[0] * size[1])
    counts = np.zeros(256, np.int64)
    n_found = gather(
        place,
        values[0],
        values[1],
        values[-1].view(np.int32),
        class_index,
        size[1],
        step,
        MAX_OFFSET,
        counts,
        scratch.foreground,
        scratch.label,
    )
    return _join(
        scratch,
        n_found,
        counts[:n_classes],
        size,
        Bandwidths(values[2], values[-2], place),
        step,
        seed_threshold,
        min_pixels,
    )


def _of_all_pixels(bandwidth: Float32Map) -> Bandwidths:
    return Bandwidths(bandwidth[0].reshape(-1), bandwidth[-1].reshape(-1), _NO_PLACES)


def _join(
    scratch: Scratch,
    n_found: int,
    counts: NDArray[np.int64],
    shape: tuple[int, ...],
    bandwidth: Bandwidths,
    step: Float32Map,
    seed_threshold: float,
    min_pixels: int,
) -> Clusters:
    """Join the foreground in ``scratch``, of which each class has as many points as ``counts``."""
    instance_map = np.zeros(shape, np.int32)
    classes = [np.empty(0, np.int32)]
    seeds = [np.empty(0, np.int64)]
    n_instances = 0
    lowest = int(np.float32(max(seed_threshold, 0.0)).view(np.int32)) << 32
    for index in np.flatnonzero(counts >= max(1, min_pixels)).tolist():
        n_points = int(counts[index])
        points, by_cell = scratch.foreground.first(n_points), scratch.by_cell.first(n_points)
        if n_points < n_found:
            points = scratch.of_class.first(n_points)
            pick(scratch.foreground, scratch.label, n_found, index, scratch.of_class)
        cells = cells_of(shape, step)
        sort_points(points, cells, scratch.place[:n_points], by_cell)
        found = grow(
            by_cell,
            bandwidth,
            cells,
            lowest,
            scratch.marks,
            instance_map.reshape(-1),
            n_instances,
            min_pixels,
        )
        classes.append(np.full(len(found), index, np.int32))
        seeds.append(found)
        n_instances += len(found)
    keys = np.concatenate(seeds)
    return Clusters(
        instance_map,
        scores_of(keys).copy(),
        np.concatenate(classes),
        (LAST_PIXEL - (keys & LAST_PIXEL)).astype(np.int32),
    )
