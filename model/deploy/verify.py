"""Proof of an exported file: run as the worker runs it, compared with PyTorch.

Shape letters: N pictures, H, W, I and J instances.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.errors import ConfigurationError
from model.deploy.network import DeployedNetwork
from workers.cluster import Clusters, cluster
from workers.engine import OnnxEngine, Predictions
from workers.letterbox import Fit

MAX_OFFSET_DIFFERENCE = 2e-4
"""Grid units: a fifth of a pixel on the paper's grid."""

MAX_MAP_DIFFERENCE = 5e-3
"""Of the bandwidth (raw) and of the seed score."""

MIN_MEAN_IOU = {"float32": 0.97, "float16": 0.9}
"""By precision of the stored weights: instances of the file against those of the network."""


@dataclass(frozen=True)
class Comparison:
    """A file against PyTorch.

    Attributes:
        offset: Largest difference of the offsets from the same weights in PyTorch, grid units.
        bandwidth: Likewise of the raw bandwidths.
        seed: Likewise of the seed scores.
        weights: Largest difference of the seed scores from the network before its weights were
            rounded.
        mean_iou: Mean IoU of the file's instances with that network's.
        instances: Number of instances of that network over all pictures.
    """

    offset: float
    bandwidth: float
    seed: float
    weights: float
    mean_iou: float
    instances: int

    def faults(self, precision: str) -> list[str]:
        """Return a sentence for each bound that does not hold."""
        bounds = [
            ("offset", self.offset, MAX_OFFSET_DIFFERENCE),
            ("bandwidth", self.bandwidth, MAX_MAP_DIFFERENCE),
            ("seed", self.seed, MAX_MAP_DIFFERENCE),
        ]
        faults = [
            f"{name} differs from PyTorch by up to {seen:.2g}, expected at most {bound:g}"
            for name, seen, bound in bounds
            if not seen <= bound  # also where the difference is not a number
        ]
        least = MIN_MEAN_IOU[precision]
        if not self.mean_iou >= least:
            faults.append(
                f"mean IoU of {self.instances} instances with those of PyTorch is "
                f"{self.mean_iou:.3f}, expected at least {least} with {precision} weights"
            )
        return faults


def compare_with_pytorch(
    engine: OnnxEngine,
    deployed: DeployedNetwork,
    original: DeployedNetwork,
    pictures: NDArray[np.uint8],
) -> Comparison:
    """Run the file and both networks over pictures.

    Args:
        engine: The exported file.
        deployed: The network with fused and rounded weights, as it was exported.
        original: The network as it was trained.
        pictures: uint8 (N, H, W, 3) RGB, N at most the engine's largest batch.
    """
    file, same, trained = engine.run(pictures), _run(deployed, pictures), _run(original, pictures)
    ious: list[float] = []
    count = 0
    for i in range(len(pictures)):
        expected = _instances(trained, i, engine.artifact)
        count += len(expected.scores)
        ious += matched_ious(expected, _instances(file, i, engine.artifact))
    return Comparison(
        offset=_largest(file.offset, same.offset),
        bandwidth=_largest(file.bandwidth, same.bandwidth),
        seed=_largest(file.seed, same.seed),
        weights=_largest(file.seed, trained.seed),
        mean_iou=float(np.mean(ious)) if ious else 1.0,
        instances=count,
    )


def matched_ious(expected: Clusters, found: Clusters) -> list[float]:
    """Return the best IoU of every expected and every found instance with the other side's.

    Instances of different classes do not match; one without a partner counts 0.
    """
    n_expected, n_found = len(expected.scores), len(found.scores)
    pairs = expected.instance_map.astype(np.int64) * (n_found + 1) + found.instance_map
    table = np.bincount(pairs.reshape(-1), minlength=(n_expected + 1) * (n_found + 1))
    overlap = table.reshape(n_expected + 1, n_found + 1)
    areas = overlap.sum(1)[1:, None], overlap.sum(0)[None, 1:]
    inside = overlap[1:, 1:] * (expected.classes[:, None] == found.classes)
    iou = inside / np.maximum(areas[0] + areas[1] - inside, 1)
    # Instances that later ones covered wholly have no area on either side.
    rows = iou.max(1, initial=0)[areas[0][:, 0] > 0]
    columns = iou.max(0, initial=0)[areas[1][0] > 0]
    return [*rows.tolist(), *columns.tolist()]


def make_pictures(height: int, width: int, count: int = 2) -> NDArray[np.uint8]:
    """Make pictures with smooth ground, edges and noise, where real ones are not at hand.

    Returns:
        uint8 (count, height, width, 3), the same ones each time.
    """
    rng = np.random.default_rng(0)
    pictures = np.empty((count, height, width, 3), np.uint8)
    for picture in pictures:
        ground = rng.integers(60, 200, (6, 8, 3), dtype=np.uint8)
        picture[:] = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            center = (int(rng.integers(width)), int(rng.integers(height)))
            axes = (int(rng.integers(4, 5 + width // 16)), int(rng.integers(4, 5 + height // 8)))
            color = rng.integers(0, 255, 3).tolist()
            cv2.ellipse(picture, center, axes, 0, 0, 360, color, -1, cv2.LINE_AA)
        noise = rng.normal(0, 4, picture.shape)
        picture[:] = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return pictures


def read_pictures(path: Path, height: int, width: int, count: int = 4) -> NDArray[np.uint8]:
    """Read real pictures to compare on, fitted into the model's input.

    Args:
        path: An image or a video; of a video every tenth frame is taken.
        height: Height of the model's input in pixels.
        width: Width of the model's input in pixels.
        count: Most pictures to take.

    Returns:
        uint8 (N, height, width, 3) RGB, N from 1 to ``count``.

    Raises:
        ConfigurationError: The file cannot be read or holds no picture.
    """
    try:
        with av.open(str(path)) as container:
            frames = islice(container.decode(video=0), 0, 10 * count, 10)
            images = [frame.to_ndarray(format="rgb24") for frame in frames]
    except (av.error.FFmpegError, OSError, IndexError) as error:  # IndexError: no video stream
        raise ConfigurationError(f"{path}: cannot read pictures: {error}") from error
    if not images:
        raise ConfigurationError(f"{path}: holds no picture")
    size = (height, width)
    return np.stack([Fit.of(image.shape[:2], size).apply(image) for image in images])


def _run(network: DeployedNetwork, pictures: NDArray[np.uint8]) -> Predictions:
    with torch.inference_mode():
        return Predictions(*(output.numpy() for output in network(torch.from_numpy(pictures))))


def _instances(maps: Predictions, i: int, artifact: Artifact) -> Clusters:
    return cluster(
        maps.offset[i],
        np.ascontiguousarray(maps.bandwidth[i]),
        maps.seed[i],
        maps.class_index[i],
        grid_step=artifact.grid_step,
        seed_threshold=artifact.seed_threshold,
        min_pixels=artifact.min_pixels,
        n_classes=len(artifact.classes),
    )


def _largest(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a - b).max())
