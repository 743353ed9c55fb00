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

from segmentation.kernels import Maps, Marks, grow, pick, scan
from segmentation.map_kernels import seed_pieces
from segmentation.sorting_kernels import (
    Float32Map,
    Int32Map,
    Points,
    buckets_of,
    cells_of,
    sort_points,
    sort_seeds,
)

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
    found, label = scratch.foreground, scratch.label
    counts = np.zeros(256, np.int64)
    n_found = scan(maps, class_index, np.float32(foreground_threshold), counts, found, label)
    for index in np.flatnonzero(counts[:n_classes] >= max(1, min_pixels)).tolist():
        points, n_points = found, int(counts[index])
        if n_points < n_found:
            points = scratch.of_class
            pick(found, label, n_found, index, points)
        cells, buckets = cells_of(seed.shape, maps.step), buckets_of(seed_threshold)
        sort_points(points, n_points, cells, scratch.place, scratch.order, scratch.sorted)
        sort_seeds(points.score[:n_points], scratch.place, buckets, scratch.seeds)
        places = grow(
            scratch.sorted,
            n_points,
            bandwidth,
            cells,
            buckets,
            scratch.seeds,
            scratch.marks,
            instance_map.reshape(-1),
            n_instances,
            min_pixels,
        )
        scores.append(seed.reshape(-1)[places])
        classes.append(np.full(len(places), index, np.int32))
        seeds.append(places)
        n_instances += len(places)
    return Clusters(
        instance_map, np.concatenate(scores), np.concatenate(classes), np.concatenate(seeds)
    )


@dataclass(frozen=True)
class _Scratch:
    """Memory for images of up to N pixels; what is never touched costs nothing.

    Attributes:
        foreground: All foreground in image order.
        label: uint8 (N,), its classes.
        of_class: That of one class in image order.
        sorted: The same by cell.
        place: int32 (N,), where each point of a class is in ``sorted``.
        order: int32 (N,), the reverse.
        seeds: int32 (N,), places of the points that may start an instance, by bucket.
        marks: Of `segmentation.kernels.grow`.
    """

    foreground: Points
    label: NDArray[np.uint8]
    of_class: Points
    sorted: Points
    place: Int32Map
    order: Int32Map
    seeds: Int32Map
    marks: Marks

    @classmethod
    def of(cls, n: int) -> "_Scratch":
        return cls(
            foreground=Points.of(n),
            label=np.empty(n, np.uint8),
            of_class=Points.of(n),
            sorted=Points.of(n),
            place=np.empty(n, np.int32),
            order=np.empty(n, np.int32),
            seeds=np.empty(n, np.int32),
            marks=Marks(np.empty(n, np.bool_), np.empty(n, np.int32), np.empty(n, np.int64)),
        )


def _scratch(pixels: int) -> _Scratch:
    """Memory of this thread for images of that many pixels."""
    if pixels > _KEPT_PIXELS:
        return _Scratch.of(pixels)
    found: _Scratch | None = getattr(_threads, "scratch", None)
    if found is None or len(found.label) < pixels:
        found = _Scratch.of(pixels)
        _threads.scratch = found
    return found
