"""Seed clustering: from the network's maps to an instance map.

Source: Neven et al., CVPR 2019, section 3.3 (sequential clustering around the seeds). The pixel
with the highest seed score starts an instance; all pixels whose embedding lies within its margin
join. The kernels are in :mod:`segmentation.kernels`.

Shape letters: H, W; S bandwidths per pixel; P foreground pixels of one class; I instances.
Pure: no input or output.
"""

import threading
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segmentation.kernels import (
    Float32Map,
    Int32Map,
    Maps,
    Scratch,
    buckets_of,
    cells_of,
    grow,
    pick,
    scan,
    sort_points,
)
from segmentation.map_kernels import seed_pieces

PAPER_GRID_STEP = (2 / 2047, 1 / 1023)
"""One pixel in grid units (x, y) in the published method: 2048x1024 pixels span 2x1 units."""

FOREGROUND_THRESHOLD = 0.5

_KEPT_PIXELS = 1 << 22
"""Largest image whose scratch memory a thread keeps: 66 bytes a pixel, as far as it is touched."""

_threads = threading.local()


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
    seed = np.negative(raw[-1])
    with np.errstate(over="ignore"):  # exp overflows to inf for very low seeds: a score of 0
        np.exp(seed, out=seed)
    seed += 1
    np.divide(1, seed, out=seed)
    clusters = cluster(
        np.tanh(raw[:2]),
        raw[2:-1],
        seed,
        np.zeros(raw.shape[1:], np.uint8),
        grid_step=PAPER_GRID_STEP,
        seed_threshold=seed_threshold,
        min_pixels=min_pixels,
        n_classes=1,
    )
    return clusters.instance_map, clusters.scores


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

    Ends for any input: a pixel is tried as a seed at most once, and pixels whose maps are not all
    finite, or whose offset lies outside tanh's range, are background.

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
    instance_map = np.zeros(seed.shape, np.int32)
    scores = [np.empty(0, np.float32)]
    classes = [np.empty(0, np.int32)]
    seeds = [np.empty(0, np.int32)]
    n_instances = 0
    offset, bandwidth, seed = (
        np.ascontiguousarray(part, np.float32) for part in (offset, bandwidth, seed)
    )
    class_index = np.ascontiguousarray(class_index, np.uint8)
    maps = Maps(offset, bandwidth, seed, seed.view(np.int32), np.array(grid_step, np.float32))
    scratch = _scratch(seed.size)
    counts = np.zeros(256, np.int64)
    n_foreground = scan(maps, class_index, np.float32(foreground_threshold), counts, scratch)
    for index in np.flatnonzero(counts[:n_classes] >= max(1, min_pixels)).tolist():
        n_points = int(counts[index])
        if n_points == n_foreground:
            points = scratch.foreground
        else:
            points = scratch.of_class
            pick(scratch, n_foreground, index)
        cells, buckets = cells_of(seed.shape, maps.step), buckets_of(seed_threshold)
        sort_points(points, n_points, cells, buckets, scratch)
        found, places = grow(
            maps,
            n_points,
            cells,
            buckets,
            scratch,
            instance_map.reshape(-1),
            n_instances,
            min_pixels,
        )
        scores.append(found)
        classes.append(np.full(len(found), index, np.int32))
        seeds.append(places)
        n_instances += len(found)
    return Clusters(
        instance_map, np.concatenate(scores), np.concatenate(classes), np.concatenate(seeds)
    )


def _scratch(pixels: int) -> Scratch:
    """Memory of this thread for images of that many pixels."""
    if pixels > _KEPT_PIXELS:
        return Scratch.of(pixels)
    found: Scratch | None = getattr(_threads, "scratch", None)
    if found is None or len(found.label) < pixels:
        found = Scratch.of(pixels)
        _threads.scratch = found
    return found
