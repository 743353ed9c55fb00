"""Instances of the worker's segmenter: at several thresholds, and as maps.

Legend: N batch; H, W pixels; I instances.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.mask import decode_mask
from contract.result import Instance
from segmentation.engines.base import Engine, Predictions
from segmentation.letterbox import Resize
from segmentation.segmenter import Segmenter


class Cell(NamedTuple):
    """What the clustering is run with.

    Attributes:
        threshold: Lowest seed score that starts an instance that is reported, 0..1: the higher one
            of an artifact's seed and score thresholds.
        min_pixels: Smallest instance, in pixels of the model's input.
    """

    threshold: float
    min_pixels: int

    @classmethod
    def of(cls, artifact: Artifact, score_threshold: float | None = None) -> "Cell":
        """Return what an artifact ships with, or that with another score threshold."""
        score = artifact.score_threshold if score_threshold is None else score_threshold
        return cls(max(artifact.seed_threshold, score), artifact.min_pixels)


class ManySegmenters:
    """Segments a picture with several thresholds; the network sees it once.

    Thresholds take part in the clustering (an instance that is not reported does not cut into its
    neighbours), so each is run as it ships instead of filtering the instances of the lowest.

    Args:
        engine: Runs the network.
        cells: What the clustering is run with.
        resize: How pictures are fitted into the model's input.
    """

    def __init__(self, engine: Engine, cells: Sequence[Cell], resize: Resize = "letterbox") -> None:
        self._segmenters = [Segmenter(_With(engine, cell), resize=resize) for cell in cells]

    def segment(self, image: NDArray[np.uint8], source: str = "") -> list[list[Instance]]:
        """Return the instances of a picture for each of the cells.

        Args:
            image: uint8 (H, W, 3) RGB.
            source: Its name, for what is logged at the first one of a size.

        Raises:
            InvalidMessageError: ``too_many_tiles``, see `segmentation.segmenter.Segmenter.tiles`.
        """
        first = self._segmenters[0]  # they differ in nothing but their thresholds
        (maps,) = first.maps([image], sources=[source])
        return [each.describe(maps)[0].documents() for each in self._segmenters]

    def tiles(self, size: tuple[int, ...]) -> int:
        """Return how many pictures of the model's size one of (H, W) pixels costs.

        Raises:
            InvalidMessageError: ``too_many_tiles``, above the bound.
        """
        return self._segmenters[0].tiles(size)


class _With:
    """An engine whose artifact has other thresholds."""

    def __init__(self, engine: Engine, cell: Cell) -> None:
        self._engine = engine
        self.batch_sizes, self.variable_size = engine.batch_sizes, engine.variable_size
        self.artifact = msgspec.structs.replace(
            engine.artifact,
            seed_threshold=cell.threshold,
            score_threshold=cell.threshold,
            min_pixels=cell.min_pixels,
        )

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        return self._engine.run(images)


def instance_map(
    instances: Sequence[Instance], shape: tuple[int, ...], classes: Sequence[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """Draw instances into a map.

    Args:
        instances: Of one picture; their masks do not overlap.
        shape: (H, W) of the picture.
        classes: Class names.

    Returns:
        Map int32 (H, W), 0 background, ``i + 1`` instance i; class index 1..K (I,); score (I,).
    """
    drawn = np.zeros(shape[:2], np.int32)
    for number, instance in enumerate(instances, start=1):
        x, y, width, height = instance.box
        here = np.s_[y : y + height, x : x + width]
        drawn[here][decode_mask(instance.mask, instance.box)] = number
    labels = np.array([classes.index(instance.class_name) + 1 for instance in instances], int)
    return drawn, labels, np.array([instance.score for instance in instances], float)
