"""TensorBoard: scalars of every step and pictures of what the network sees.

Letters: H, W the model's input, S bandwidths. Library: torch.utils.tensorboard.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from contract.artifact import Artifact
from model.data.labels import IGNORE, Image, Labelled
from model.training.learner import StepReport
from model.training.validation import TorchEngine, Validation
from segmentation.cluster import cluster
from segmentation.engines.onnx import Predictions


class Board:
    """Writes a run's TensorBoard files; steps after ``step`` of an earlier attempt are dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step)

    def step(self, number: int, report: StepReport, learning_rate: float, seconds: float) -> None:
        """Write the scalars of a step."""
        values = {
            "loss/total": report.loss,
            "loss/instance": report.instance,
            "loss/variance": report.variance,
            "loss/seed": report.seed,
            "optimizer/gradient_norm": report.gradient_norm,
            "optimizer/learning_rate": learning_rate,
            "speed/step_seconds": seconds,
        }
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)

    def validation(self, number: int, result: Validation) -> None:
        """Write the scalars of a validation."""
        add = self._writer.add_scalar
        add("validation/loss", result.loss, number)
        add("validation/score", result.score, number)
        for threshold, value in result.average_precision.items():
            add(f"average_precision/{threshold:.2f}", value, number)

    def picture(self, number: int, name: str, shown: Labelled, engine: TorchEngine) -> None:
        """Write input, truth, seeds, offsets, bandwidth and instances of a fitted picture."""
        maps = engine.run(shown.image[None])
        panels = panels_of(shown, maps, engine.artifact)
        strip = np.concatenate(list(panels.values()), axis=1)
        add = self._writer.add_image
        add(name, strip, number, dataformats="HWC")

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def panels_of(shown: Labelled, maps: Predictions, artifact: Artifact) -> dict[str, Image]:
    """Draw what the network sees in a picture.

    Args:
        shown: A picture of the model's input size.
        maps: Of that picture, N = 1.
        artifact: Thresholds and grid.

    Returns:
        uint8 (H, W, 3) RGB each: ``input``, ``truth`` (grey: ignored), ``seed`` (bright: high),
        ``offset`` (hue: direction, brightness: length), ``bandwidth`` (bright: narrow margin),
        ``instances``.
    """
    clusters = cluster(
        maps.offset[0],
        np.ascontiguousarray(maps.bandwidth[0]),
        maps.seed[0],
        maps.class_index[0],
        grid_step=artifact.grid_step,
        seed_threshold=artifact.seed_threshold,
        min_pixels=artifact.min_pixels,
        n_classes=len(artifact.classes),
    )
    truth = color_instances(shown.instances)
    truth[shown.labels == IGNORE] = 90
    bandwidth = maps.bandwidth[0].mean(axis=0)
    low, high = np.quantile(bandwidth, [0.02, 0.98])
    return {
        "input": shown.image,
        "truth": truth,
        "seed": _heat(maps.seed[0]),
        "offset": color_offsets(maps.offset[0]),
        "bandwidth": _heat((bandwidth - low) / max(high - low, 1e-6)),
        "instances": color_instances(clusters.instance_map),
    }


def color_instances(instances: NDArray[np.int32]) -> Image:
    """Give each instance (H, W) a colour of its own, black where there is none."""
    colors = np.random.default_rng(1).integers(60, 256, (997, 3), dtype=np.uint8)
    drawn: Image = colors[instances % len(colors)]
    drawn[instances == 0] = 0
    return drawn


def color_offsets(offset: NDArray[np.float32]) -> Image:
    """Draw offsets (2, H, W): hue is the direction, brightness the length up to 24 pixels.

    What all pixels have in common is left out: where centres are learned, it is free to drift.
    """
    x, y = offset - np.median(offset, axis=(1, 2), keepdims=True)
    angle = (np.arctan2(y, x) / (2 * np.pi) * 180) % 180  # OpenCV's hue is 0..179
    length = np.hypot(x, y) / (24 / 1023)
    full = np.full(x.shape, 255)
    hsv = np.stack([angle, full, np.clip(length, 0, 1) * 255], axis=-1).astype(np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _heat(values: NDArray[np.float32]) -> Image:
    grey = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1], np.uint8)
