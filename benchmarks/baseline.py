"""The published way to segment a picture: what our worker is measured against.

Written from the paper (Neven et al., CVPR 2019, section 3.3) and the golden values in
``tests/data``. Network in PyTorch, eager float32; then clustering in PyTorch, one object after
another, each compared with every candidate pixel. PyTorch chooses the number of threads.

Shape letters: H, W; S bandwidths per pixel; K classes; P candidate pixels; I instances.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from contract.artifact_files import read_card
from model.export.artifact_weights import read_artifact
from model.net.erfnet import BranchedERFNet
from segmentation.cluster import FOREGROUND_THRESHOLD

MARGIN = 0.5
"""A pixel belongs to an object where the Gaussian around the seed is above it."""

Candidates = Literal["foreground", "image"]
"""Pixels that are compared with each seed: the class's foreground alone, or the whole image."""


class Maps(NamedTuple):
    """Activated maps of one image.

    Attributes:
        offset: float32 (2, H, W), after tanh, grid units.
        bandwidth: float32 (S, H, W), raw.
        seed: float32 (H, W), score of the best class, 0..1.
        class_index: int64 (H, W), that class.
    """

    offset: Tensor
    bandwidth: Tensor
    seed: Tensor
    class_index: Tensor


class Found(NamedTuple):
    """Instances of one image.

    Attributes:
        instance_map: int32 (H, W), 0 background, 1..I in order of discovery.
        scores: float32 (I,), score of each instance's seed pixel.
    """

    instance_map: NDArray[np.int32]
    scores: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """When a pixel starts an object, and when an object counts.

    Attributes:
        grid_step: One pixel in grid units, (x, y).
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        min_pixels: Fewest pixels of a class's foreground, and of an instance.
        n_classes: Number of classes.
        candidates: Pixels that each seed is compared with.
    """

    grid_step: tuple[float, float]
    seed_threshold: float
    min_pixels: int
    n_classes: int = 1
    candidates: Candidates = "foreground"


def activate(prediction: Tensor, n_sigma: int) -> Maps:
    """Turn the raw float32 (2 + S + K, H, W) output of the network into maps."""
    best, class_index = prediction[2 + n_sigma :].max(dim=0)
    return Maps(
        torch.tanh(prediction[:2]), prediction[2 : 2 + n_sigma], torch.sigmoid(best), class_index
    )


@torch.inference_mode()
def cluster(maps: Maps, rules: Rules) -> Found:
    """Find the objects of each class in turn, the pixel with the highest seed score first."""
    height, width = maps.seed.shape
    step_x, step_y = rules.grid_step
    grid = torch.stack(
        [
            (torch.arange(width) * step_x).expand(height, width),
            (torch.arange(height) * step_y)[:, None].expand(height, width),
        ]
    )
    embedding = maps.offset + grid
    instance_map = torch.zeros(height * width, dtype=torch.int32)
    scores: list[float] = []
    for index in range(rules.n_classes):
        mask = (maps.seed > FOREGROUND_THRESHOLD) & (maps.class_index == index)
        n_free = int(mask.sum())
        if n_free < rules.min_pixels:
            continue
        # `free` marks candidates that are foreground and in no proposal yet.
        if rules.candidates == "foreground":
            pixel = mask.reshape(-1).nonzero().squeeze(1)
            free = torch.ones(len(pixel), dtype=torch.bool)
        else:
            pixel = torch.arange(height * width)
            free = mask.reshape(-1).clone()
        _cluster_class(maps, embedding, pixel, free, rules, instance_map, scores)
    return Found(instance_map.reshape(height, width).numpy(), np.array(scores, np.float32))


def _cluster_class(
    maps: Maps,
    embedding: Tensor,
    pixel: Tensor,
    free: Tensor,
    rules: Rules,
    instance_map: Tensor,
    scores: list[float],
) -> None:
    """Add one class's instances to ``instance_map`` (H * W,) and ``scores``.

    Args:
        maps: Maps of the image.
        embedding: float32 (2, H, W), grid units.
        pixel: int64 (P,), flat positions of the candidates.
        free: bool (P,), foreground that no proposal has taken; changed here.
        rules: See `Rules`.
        instance_map: int32 (H * W,), changed here.
        scores: Scores so far, appended to.
    """
    place = embedding.reshape(2, -1)[:, pixel]
    bandwidth = maps.bandwidth.reshape(len(maps.bandwidth), -1)[:, pixel]
    score = maps.seed.reshape(-1)[pixel]
    is_foreground = free.clone()
    while int(free.sum()) >= rules.min_pixels:
        seed = int((score * free).argmax())
        if float(score[seed]) < rules.seed_threshold:
            return
        free[seed] = False
        precision = torch.exp(bandwidth[:, seed : seed + 1] * 10)
        distance = ((place - place[:, seed : seed + 1]) ** 2 * precision).sum(dim=0)
        member = (torch.exp(-distance) > MARGIN) & is_foreground
        n_members, n_new = int(member.sum()), int((member & free).sum())
        free &= ~member
        if n_members >= rules.min_pixels and 2 * n_new > n_members:
            scores.append(float(score[seed]))
            instance_map[pixel[member]] = len(scores)


class PublishedWay:
    """Network, then clustering, one picture at a time.

    Args:
        path: Folder of an artifact, whose weights are loaded into the PyTorch network.
        candidates: Pixels that each seed is compared with.

    Raises:
        ConfigurationError: No artifact whose weights can be read back.
    """

    def __init__(self, path: Path, candidates: Candidates = "foreground") -> None:
        self.artifact = read_card(path)
        weights = read_artifact(path)
        network = BranchedERFNet(
            [2 + self.artifact.n_sigma, len(self.artifact.classes)], weights.input_power or 1.0
        )
        network.load_state_dict(dict(weights.state))
        self._network = network.eval()
        self.rules = Rules(
            grid_step=self.artifact.grid_step,
            seed_threshold=max(self.artifact.seed_threshold, self.artifact.score_threshold),
            min_pixels=self.artifact.min_pixels,
            n_classes=len(self.artifact.classes),
            candidates=candidates,
        )

    @torch.inference_mode()
    def maps(self, image: NDArray[np.uint8]) -> Maps:
        """Run the network over uint8 (H, W, 3) RGB in the artifact's input size."""
        scaled = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        return activate(self._network(scaled)[0], self.artifact.n_sigma)

    def segment(self, image: NDArray[np.uint8]) -> Found:
        """Return the objects of uint8 (H, W, 3) RGB in the artifact's input size."""
        return cluster(self.maps(image), self.rules)
