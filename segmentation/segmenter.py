"""From images of any size to instances in their own pixels: fit, network, clustering, masks.

The same composition runs in the worker, offline (`seedstream segment`) and in the evaluation.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from contract.result import ModelReference
from segmentation.cluster import Clusters, cluster
from segmentation.engines.base import Engine, Predictions
from segmentation.instances import ArrayMask, Instances
from segmentation.kernels import measure
from segmentation.letterbox import Fit, Resize

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

Observe = Callable[[str, float], None]
"""Takes a stage, ``infer`` or ``cluster``, and its seconds."""


class Prepared(NamedTuple):
    """Images as the network takes them.

    Attributes:
        batch: uint8 (N, H, W, 3) RGB, in the model's size.
        fits: How each image lies in it.
    """

    batch: NDArray[np.uint8]
    fits: list[Fit]


class Segmenter:
    """Finds the instances of images.

    Args:
        engine: Runs the network.
        score_threshold: Lowest score that is reported, 0..1; None takes the artifact's. Below the
            artifact's seed threshold it changes nothing: no instance has such a score.
        resize: How images are fitted into the model's input.
        threads: Images that are clustered side by side.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        score_threshold: float | None = None,
        resize: Resize = "letterbox",
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._artifact = engine.artifact
        default = self._artifact.score_threshold
        self._score_threshold = default if score_threshold is None else score_threshold
        self._resize: Resize = resize
        self._clock = clock
        self._pool = ThreadPoolExecutor(threads, "cluster") if threads > 1 else None

    @property
    def reference(self) -> ModelReference:
        """Which weights it uses."""
        a = self._artifact
        return ModelReference(name=a.name, version=a.version, sha256=a.weights_sha256)

    def warm_up(self) -> None:
        """Compile (or load from the cache) the clustering, so that no frame waits for it."""
        one = np.ones((2, 2), np.float32)
        maps = np.stack([one, one])
        clusters = self._cluster(maps, maps[: self._artifact.n_sigma], one, one.astype(np.uint8))
        measure(clusters.instance_map, len(clusters.scores))

    @property
    def largest_batch(self) -> int:
        """Most images that run through the network together."""
        return self._engine.batch_sizes[-1]

    def segment(self, images: Sequence[Image], observe: Observe | None = None) -> list[Instances]:
        """Find the instances of each image: prepare, infer, describe.

        Args:
            images: uint8 (H, W, 3) RGB, of any sizes and any number: more than the engine's
                largest batch run in several.
            observe: Called for each batch with the stages ``infer`` and ``cluster`` and the seconds
                that they took.

        Returns:
            For each image its instances, in its own pixels, in order of discovery.

        Raises:
            DeviceError: The accelerator failed.
        """
        found: list[Instances] = []
        for first in range(0, len(images), self.largest_batch):
            began = self._clock()
            prepared = self.prepare(images[first : first + self.largest_batch])
            predictions = self.infer(prepared)
            inferred = self._clock()
            found += self.describe(predictions, prepared.fits)
            if observe is not None:
                observe("infer", inferred - began)
                observe("cluster", self._clock() - inferred)
        return found

    def prepare(self, images: Sequence[Image]) -> Prepared:
        """Fit 1 to ``largest_batch`` images, uint8 (H, W, 3) RGB of any sizes, into one batch."""
        size = (self._artifact.height, self._artifact.width)
        fits = [Fit.of(image.shape[:2], size, self._resize) for image in images]
        batch = np.stack([fit.apply(image) for fit, image in zip(fits, images, strict=True)])
        return Prepared(batch, fits)

    def infer(self, prepared: Prepared) -> Predictions:
        """Run the network.

        Raises:
            DeviceError: The accelerator failed.
        """
        return self._engine.run(prepared.batch)

    def describe(self, predictions: Predictions, fits: Sequence[Fit]) -> list[Instances]:
        """Cluster the maps of a batch and describe each image's instances in its own pixels."""
        run = map if self._pool is None else self._pool.map
        return list(run(lambda i: self._instances(predictions, i, fits[i]), range(len(fits))))

    def _cluster(
        self,
        offset: NDArray[np.float32],
        bandwidth: NDArray[np.float32],
        seed: NDArray[np.float32],
        class_index: NDArray[np.uint8],
    ) -> Clusters:
        return cluster(
            offset,
            bandwidth,
            seed,
            class_index,
            grid_step=self._artifact.grid_step,
            # A seed below the reporting threshold would only be dropped after its clustering.
            seed_threshold=max(self._artifact.seed_threshold, self._score_threshold),
            min_pixels=self._artifact.min_pixels,
            n_classes=len(self._artifact.classes),
        )

    def _instances(self, maps: Predictions, i: int, fit: Fit) -> Instances:
        clusters = self._cluster(
            maps.offset[i], maps.bandwidth[i], maps.seed[i], maps.class_index[i]
        )
        # What later instances left of an earlier one may be a sliver.
        left = np.bincount(clusters.instance_map.reshape(-1), minlength=len(clusters.scores) + 1)
        large = left[1:] >= self._artifact.min_pixels
        return describe(clusters, large, fit, self._artifact.classes)


def describe(
    clusters: Clusters, keep: NDArray[np.bool_], fit: Fit, classes: Sequence[str]
) -> Instances:
    """Describe instances in pixels of the captured frame.

    Args:
        clusters: Instances on the model's input.
        keep: bool (I,), which of them to describe.
        fit: How the frame lies in the input.
        classes: Class names.

    Returns:
        The kept instances that have a pixel in the frame, numbered from 1.
    """
    instance_map = fit.restore(clusters.instance_map)
    table = measure(instance_map, len(clusters.scores))
    kept = np.flatnonzero(keep & (table[:, 4] > 0))
    left, top, right, bottom, area, sum_x, sum_y = table[kept].T
    boxes = np.stack([left, top, right - left + 1, bottom - top + 1], axis=1)
    return Instances.of(
        fit.frame_size,
        classes,
        classes=clusters.classes[kept],
        scores=clusters.scores[kept],
        centers=np.stack([sum_x / area, sum_y / area], axis=1),
        areas=area,
        masks=[
            ArrayMask.cut(instance_map, number, (x, y, width, height))
            for number, (x, y, width, height) in zip(
                (kept + 1).tolist(), boxes.tolist(), strict=True
            )
        ],
    )
