"""Proof of an exported file: run as the worker runs it, compared with PyTorch.

Shape letters: N pictures, H, W, I and J instances.
"""

from dataclasses import asdict, dataclass

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from contract.artifact import STRIDE, Artifact, Precision
from model.export.deployed_network import DeployedNetwork
from segmentation.cluster import Clusters, cluster
from segmentation.engines.base import Predictions
from segmentation.engines.onnx import OnnxEngine

BATCH = 2
"""Pictures per run: more than one, so that the dynamic N is proved too."""

MADE_UP_IOU = 0.5
"""Least mean IoU on pictures that were made up: what a network sees in them are no objects, whose
borders nothing in the picture holds. What shows broken weights there are the offsets: noise of 1 %
in each weight of the demo's network moved them by 1.2 pixels, where instances agreed to 0.91."""

_LESS_SCORE, _LESS_PIXELS = 0.02, 0.9
"""How far below the thresholds the other side may have an instance: rounding moves scores by less
than 0.02 (`Bounds.raw`) and borders by a pixel, which takes some across a threshold."""


@dataclass(frozen=True)
class Bounds:
    """What a file of one precision must keep.

    Attributes:
        offset: Largest difference of an offset anywhere, grid units.
        raw: Largest difference of a raw bandwidth and of a seed score anywhere.
        offset_pixels: Mean difference of the offsets inside instances, pixels.
        mean_iou: Least mean IoU of the instances with those of PyTorch.
        instances: Whether the pictures must hold instances, for the proof to say anything.
    """

    offset: float
    raw: float
    offset_pixels: float
    mean_iou: float
    instances: bool = False


BOUNDS: dict[Precision, Bounds] = {
    # 2e-4 is a fifth of a pixel on the paper's grid; what is left is the order of additions.
    "float32": Bounds(offset=2e-4, raw=5e-3, offset_pixels=0.05, mean_iou=0.97),
    # About one pixel at the worst pixel of all: float16 has 11 bits, and rounds after every
    # layer. In the mean of all instances a quarter of a pixel, of which 0.03 were measured. People
    # agree to 1.00 where fragments of some hundred pixels, which a short training leaves and a
    # sweep takes away, do not: 0.95 with two thirds of the instances such.
    "float16": Bounds(offset=1e-3, raw=2e-2, offset_pixels=0.25, mean_iou=0.8),
    # Single pixels at the borders of objects may flip, so that the largest difference says nothing.
    # A pixel and a half is a quarter of the margin (about 6 pixels) that training starts from; 0.9
    # were measured with instances that agree to 0.986. Measured figures have a bound of their own.
    "int8": Bounds(offset=np.inf, raw=np.inf, offset_pixels=1.5, mean_iou=0.8, instances=True),
}


@dataclass(frozen=True)
class Comparison:
    """A file against PyTorch.

    Attributes:
        offset: Largest difference of the offsets from PyTorch with the same weights (with int8:
            from the network before it was quantised), grid units.
        bandwidth: Likewise of the raw bandwidths.
        seed: Likewise of the seed scores.
        weights: Largest difference of the seed scores from the network as it was trained.
        offset_pixels: Mean difference of the offsets from that network in its instances, pixels.
        mean_iou: Mean IoU of the file's instances with that network's, and the other way round.
            One that the other side has just below a threshold counts with that.
        instances: Number of instances of that network over all pictures.
        pictures: Number of pictures.
    """

    offset: float
    bandwidth: float
    seed: float
    weights: float
    offset_pixels: float
    mean_iou: float
    instances: int
    pictures: int

    def figures(self) -> dict[str, float]:
        """Return all of it by name, as an artifact's metadata keeps it."""
        return {name: round(float(value), 9) for name, value in asdict(self).items()}

    def faults(self, precision: Precision, *, made_up: bool = False) -> list[str]:
        """Return a sentence for each bound that does not hold.

        Args:
            precision: Of the file.
            made_up: Whether the pictures were made up (`MADE_UP_IOU`).
        """
        bounds = BOUNDS[precision]
        mean_iou = min(bounds.mean_iou, MADE_UP_IOU) if made_up else bounds.mean_iou
        differences = [
            ("offset", self.offset, bounds.offset, "up to {}"),
            ("bandwidth", self.bandwidth, bounds.raw, "up to {}"),
            ("seed", self.seed, bounds.raw, "up to {}"),
            ("offset", self.offset_pixels, bounds.offset_pixels, "{} pixels in the mean"),
        ]
        faults = [
            f"{name} differs from PyTorch by {text.format(apart(seen, bound))}, expected at most "
            f"{bound:g}"
            for name, seen, bound, text in differences
            if not seen <= bound  # also where the difference is not a number
        ]
        if not self.mean_iou >= mean_iou:
            faults.append(
                f"mean IoU of {self.instances} instances with those of PyTorch is "
                f"{apart(self.mean_iou, mean_iou, 3)}, expected at least {mean_iou} with "
                f"{precision} weights"
            )
        if bounds.instances and not self.instances:
            faults.append(
                f"PyTorch finds no instance in the {self.pictures} pictures that {precision} is "
                "verified on, expected some; give pictures with objects"
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
        engine: The exported file, for batches of `BATCH`.
        deployed: The network with fused and rounded weights, as it was exported.
        original: The network as it was trained.
        pictures: uint8 (N, H, W, 3) RGB.
    """
    parts = [
        _compare(engine, deployed, original, pictures[first : first + BATCH])
        for first in range(0, len(pictures), BATCH)
    ]
    ious = [iou for part in parts for iou in part.ious]
    inside = np.concatenate([part.inside for part in parts])
    largest = np.array([part.largest for part in parts]).max(axis=0)
    offset, bandwidth, seed, weights = largest.tolist()
    return Comparison(
        offset=offset,
        bandwidth=bandwidth,
        seed=seed,
        weights=weights,
        offset_pixels=float(inside.mean()) if inside.size else 0.0,
        mean_iou=float(np.mean(ious)) if ious else 1.0,
        instances=sum(part.instances for part in parts),
        pictures=len(pictures),
    )


def faults_at_another_size(
    engine: OnnxEngine, deployed: DeployedNetwork, pictures: NDArray[np.uint8]
) -> list[str]:
    """Compare the file with the network on a picture that is 8 pixels wider and higher.

    Args:
        engine: The exported file, whose input size may vary.
        deployed: The network with fused and rounded weights, as it was exported.
        pictures: uint8 (N, H, W, 3) RGB of the declared size, at least one.

    Returns:
        A sentence for each bound that does not hold.
    """
    larger = np.pad(pictures[:1], ((0, 0), (0, STRIDE), (0, STRIDE), (0, 0)), mode="edge")
    file, same = engine.run(larger), _run(deployed, larger)
    bounds = BOUNDS[engine.artifact.precision]
    differences = [
        ("offset", _largest(file.offset, same.offset), bounds.offset),
        ("bandwidth", _largest(file.bandwidth, same.bandwidth), bounds.raw),
        ("seed", _largest(file.seed, same.seed), bounds.raw),
    ]
    height, width = larger.shape[1:3]
    return [
        f"{name} differs from PyTorch by up to {apart(seen, bound)} at another input size, "
        f"{height}x{width}, expected at most {bound:g}"
        for name, seen, bound in differences
        if not seen <= bound
    ]


def apart(seen: float, bound: float, least: int = 2) -> str:
    """Return a number in as few digits, at least ``least``, as tell it from its bound."""
    for digits in range(least, 9):
        text = f"{seen:.{digits}g}"
        if float(text) != bound:
            break
    return text


@dataclass(frozen=True)
class _Part:
    """One batch: largest differences, offset differences inside instances in pixels, IoUs."""

    largest: tuple[float, float, float, float]
    inside: NDArray[np.float32]
    ious: list[float]
    instances: int


def _compare(
    engine: OnnxEngine,
    deployed: DeployedNetwork,
    original: DeployedNetwork,
    pictures: NDArray[np.uint8],
) -> _Part:
    file, same, trained = engine.run(pictures), _run(deployed, pictures), _run(original, pictures)
    indices = range(len(pictures))
    expected = [_instances(trained, i, engine.artifact) for i in indices]
    found = [_instances(file, i, engine.artifact) for i in indices]
    lenient = msgspec.structs.replace(
        engine.artifact,
        seed_threshold=max(0.0, engine.artifact.seed_threshold - _LESS_SCORE),
        min_pixels=int(engine.artifact.min_pixels * _LESS_PIXELS),
    )
    ious: list[float] = []
    for i in indices:
        rows = best_ious(expected[i], found[i], _instances(file, i, lenient))
        columns = best_ious(found[i], expected[i], _instances(trained, i, lenient))
        ious += [*rows, *columns]
    step = np.array(engine.artifact.grid_step, np.float32)[:, None, None]
    pixels = np.hypot(*np.moveaxis((file.offset - trained.offset) / step, 1, 0))
    return _Part(
        largest=(
            _largest(file.offset, same.offset),
            _largest(file.bandwidth, same.bandwidth),
            _largest(file.seed, same.seed),
            _largest(file.seed, trained.seed),
        ),
        inside=pixels[np.stack([clusters.instance_map > 0 for clusters in expected])],
        ious=ious,
        instances=sum(len(clusters.scores) for clusters in expected),
    )


def matched_ious(expected: Clusters, found: Clusters) -> list[float]:
    """Return the best IoU of every expected and every found instance with the other side's.

    Instances of different classes do not match; one without a partner counts 0.
    """
    return [*best_ious(expected, found), *best_ious(found, expected)]


def best_ious(instances: Clusters, *others: Clusters) -> list[float]:
    """Return the best IoU of every instance with those of others.

    Those that later ones covered wholly have no area, and are left out.
    """
    best = np.zeros(len(instances.scores))
    area = np.bincount(instances.instance_map.reshape(-1), minlength=len(best) + 1)[1:]
    for other in others:
        n = len(other.scores)
        pairs = instances.instance_map.astype(np.int64) * (n + 1) + other.instance_map
        table = np.bincount(pairs.reshape(-1), minlength=(len(best) + 1) * (n + 1))
        overlap = table.reshape(len(best) + 1, n + 1)
        inside = overlap[1:, 1:] * (instances.classes[:, None] == other.classes)
        iou = inside / np.maximum(area[:, None] + overlap.sum(0)[1:] - inside, 1)
        best = np.maximum(best, iou.max(1, initial=0))
    return [float(each) for each in best[area > 0]]


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
