"""From images of any size to instances in their own pixels: fit, network, clustering, masks.

The same composition runs in the worker, offline (`seedstream segment`) and in the evaluation.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.mask import encode_mask
from contract.result import Instance, ModelReference
from segmentation.cluster import Clusters, cluster
from segmentation.engines.onnx import Predictions
from segmentation.kernels import measure
from segmentation.letterbox import Fit, Resize

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

Observe = Callable[[str, float], None]
"""Takes a stage, ``infer`` or ``cluster``, and its seconds."""


class Engine(Protocol):
    """What runs the network; see :class:`segmentation.engines.onnx.OnnxEngine`."""

    @property
    def artifact(self) -> Artifact:
        """The model that it runs."""
        ...

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """Batch sizes, ascending; the last one is the largest that it takes."""
        ...

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Map uint8 (N, H, W, 3) to predictions."""
        ...


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

    def segment(
        self, images: Sequence[Image], observe: Observe | None = None
    ) -> list[list[Instance]]:
        """Find the instances of each image.

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
        largest = self._engine.batch_sizes[-1]
        found: list[list[Instance]] = []
        for first in range(0, len(images), largest):
            found += self._segment_batch(images[first : first + largest], observe)
        return found

    def _segment_batch(
        self, images: Sequence[Image], observe: Observe | None
    ) -> list[list[Instance]]:
        size = (self._artifact.height, self._artifact.width)
        began = self._clock()
        fits = [Fit.of(image.shape[:2], size, self._resize) for image in images]
        batch = np.stack([fit.apply(image) for fit, image in zip(fits, images, strict=True)])
        predictions = self._engine.run(batch)
        inferred = self._clock()
        run = map if self._pool is None else self._pool.map
        found = list(run(lambda i: self._instances(predictions, i, fits[i]), range(len(images))))
        if observe is not None:
            observe("infer", inferred - began)
            observe("cluster", self._clock() - inferred)
        return found

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

    def _instances(self, maps: Predictions, i: int, fit: Fit) -> list[Instance]:
        clusters = self._cluster(
            maps.offset[i], maps.bandwidth[i], maps.seed[i], maps.class_index[i]
        )
        # What later instances left of an earlier one may be a sliver.
        left = np.bincount(clusters.instance_map.reshape(-1), minlength=len(clusters.scores) + 1)
        large = left[1:] >= self._artifact.min_pixels
        return describe(clusters, large, fit, self._artifact.classes)


def describe(
    clusters: Clusters, keep: NDArray[np.bool_], fit: Fit, classes: Sequence[str]
) -> list[Instance]:
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
    instances: list[Instance] = []
    for i in np.flatnonzero(keep & (table[:, 4] > 0)).tolist():
        left, top, right, bottom, area, sum_x, sum_y = table[i].tolist()
        crop = instance_map[top : bottom + 1, left : right + 1] == i + 1
        instances.append(
            Instance(
                id=len(instances) + 1,
                class_name=classes[clusters.classes[i]],
                score=round(float(clusters.scores[i]), 4),
                box=(left, top, right - left + 1, bottom - top + 1),
                center=(round(sum_x / area, 2), round(sum_y / area, 2)),
                area=area,
                mask=encode_mask(crop, fit.frame_size, (left, top)),
            )
        )
    return instances
