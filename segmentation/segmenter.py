"""From images of any size to instances in their own pixels: fit, network, clustering, masks.

The same composition runs in the worker, offline (`seedstream segment`) and in the evaluation.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from contract.result import ModelReference
from segmentation.batch_memory import BatchMemory, plain_batch
from segmentation.cluster import Clusters, cluster, cluster_foreground
from segmentation.describe import describe
from segmentation.engines.base import Engine, Predictions
from segmentation.engines.foreground import Foreground, Pixels
from segmentation.frame_sizes import FrameSizes
from segmentation.instances import Instances
from segmentation.letterbox import Fit, Resize
from segmentation.tiles import MAX_TILES, Tiling

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

T = TypeVar("T")

Observe = Callable[[str, float], None]
"""Takes a stage, ``infer`` (one run of the network) or ``cluster``, and its seconds."""

_HUGE = 9
"""Objects whose median area at native scale is so many times that of the training data are not
tiled with ``auto``: three times as wide, about as far as training shows objects. On the nuclei that
validate, tiles are better up to 8 times and bad at 33 times the median."""


_LARGE_BYTES = 1 << 20
"""Pictures of so many bytes are placed in a batch side by side."""


class Fitted(NamedTuple):
    """An image in the model's size.

    Attributes:
        picture: uint8 (H, W, 3) RGB, in the model's size.
        fit: How the image lies in it.
    """

    picture: Image
    fit: Fit


class Prepared(NamedTuple):
    """Images as the network takes them.

    Attributes:
        batch: uint8 (N, H, W, 3) RGB, in the model's size.
        fits: How each image lies in it.
    """

    batch: NDArray[np.uint8]
    fits: list[Fit]


class Maps(NamedTuple):
    """What the network says about some images.

    Attributes:
        predictions: Maps of each image: over the model's input, or over the whole of one tiled
            image.
        fits: How each image lies in its maps.
    """

    predictions: Predictions
    fits: list[Fit]


class Segmenter:
    """Finds the instances of images.

    Args:
        engine: Runs the network.
        score_threshold: Lowest score that is reported, 0..1; None takes the artifact's. Below the
            artifact's seed threshold it changes nothing: no instance has such a score.
        resize: How images are fitted into the model's input.
        threads: Images that are clustered side by side; large ones are also placed so in a batch.
        batch_size: Most images or tiles of one run of the network; None takes the engine's largest.
        new_batch: Makes memory for a batch, uint8 (at least ``batch_size``, H, W, 3), such as the
            device reads by itself; None makes plain memory.
        max_tiles: Most tiles of one image if they had the artifact's input size; they bound the
            memory of its maps, about 21 bytes per pixel of the image.
        clock: Monotonic clock, in seconds.

    Raises:
        ConfigurationError: ``auto``, but the artifact does not say how large objects are.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        score_threshold: float | None = None,
        resize: Resize = "letterbox",
        threads: int = 1,
        batch_size: int | None = None,
        new_batch: Callable[[], NDArray[np.uint8]] | None = None,
        max_tiles: int = MAX_TILES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._artifact = engine.artifact
        default = self._artifact.score_threshold
        self._score_threshold = default if score_threshold is None else score_threshold
        self._sizes = FrameSizes(
            self._artifact, resize, any_size=engine.variable_size, max_tiles=max_tiles
        )
        self._judges_size = resize == "auto"
        self._batch_size = batch_size or engine.batch_sizes[-1]
        self._clock = clock
        # No method of its own: a segmenter is freed, with its engine, as soon as nobody has it.
        plain = partial(plain_batch, (self._batch_size, *self._sizes.input_size, 3))
        self._memory = BatchMemory(new_batch or plain)
        self._pool = ThreadPoolExecutor(threads, "cluster") if threads > 1 else None
        # Threads of its own: those that cluster are busy with the batch before.
        self._placing = ThreadPoolExecutor(threads, "place") if threads > 1 else None

    @property
    def reference(self) -> ModelReference:
        """Which weights it uses."""
        a = self._artifact
        return ModelReference(name=a.name, version=a.version, sha256=a.weights_sha256)

    def warm_up(self) -> None:
        """Compile (or load from the cache) the clustering, and make the memory of a batch.

        So no frame waits for them.
        """
        if self.largest_batch > 1:
            self._memory.make_ready()
        height, width = self._sizes.input_size
        ones = np.ones((1, 2, height, width), np.float32)
        of_row = (np.arange(height) % len(self._artifact.classes)).astype(np.uint8)
        labels = np.repeat(of_row, width).reshape(1, height, width)
        maps = Predictions(ones, ones[:, : self._artifact.n_sigma], ones[:, 0], labels)
        fits = [self._sizes.fit((height + 8, width + 8))]
        self.describe(Maps(maps, fits))
        # What a GPU sends; an image is built where there is none.
        places = np.arange(width * min(height, 64), dtype=np.int32)
        values = np.ones((2 + self._artifact.n_sigma + 1, len(places)), np.float32)
        pixels = Pixels(places, values, labels.reshape(-1)[: len(places)])
        self.describe(Maps(Foreground(pixels, (1, height, width)), fits))

    @property
    def largest_batch(self) -> int:
        """Most images or tiles that run through the network together."""
        return self._batch_size

    def tiles(self, size: tuple[int, ...]) -> int:
        """Return how many runs of one picture an image of (H, W) pixels costs, at most.

        Raises:
            InvalidMessageError: ``too_many_tiles``, above the bound.
        """
        tiling = self._sizes.tiling(size)
        return 1 if tiling is None else len(tiling) + self._judges_size

    def segment(
        self,
        images: Sequence[Image],
        observe: Observe | None = None,
        sources: Sequence[str] = (),
    ) -> list[Instances]:
        """Find the instances of each image: `maps`, and what they show.

        Args:
            images: uint8 (H, W, 3) RGB, of any sizes and any number: more than the engine's
                largest batch run in several, and a tiled one in runs of its own.
            observe: Called after each run of the network and each clustering with the stages
                ``infer`` and ``cluster`` and the seconds that they took.
            sources: Camera or file of each image, for what is logged at the first one of a size.

        Returns:
            For each image its instances, in its own pixels, in order of discovery.

        Raises:
            DeviceError: The accelerator failed.
            InvalidMessageError: ``too_many_tiles``, see `tiles`.
        """
        found: list[Instances] = []
        for maps in self.maps(images, observe, sources):
            began = self._clock()
            found += self.describe(maps)
            if observe is not None:
                observe("cluster", self._clock() - began)
        return found

    def fit(self, image: Image) -> Image | Fitted:
        """Fit an image ahead of `maps`, in whichever thread has time; one to be tiled stays as is.

        Raises:
            InvalidMessageError: ``too_many_tiles``, see `tiles`.
        """
        size = image.shape[:2]
        if self._sizes.tiling(size) is not None:
            return image
        fit = self._sizes.fit(size)
        return Fitted(fit.apply(image), fit)

    def maps(
        self,
        images: Sequence[Image | Fitted],
        observe: Observe | None = None,
        sources: Sequence[str] = (),
    ) -> Iterator[Maps]:
        """Run the network over images as `segment` does, and yield their maps in order.

        Maps of one batch, or of one tiled image, are made only when they are asked for.
        """
        waiting: list[Image | Fitted] = []
        for i, image in enumerate(images):
            size = image.fit.frame_size if isinstance(image, Fitted) else image.shape[:2]
            self._sizes.tell(size, sources[i] if sources else "")
            tiling = self._sizes.tiling(size)
            if waiting and (tiling is not None or len(waiting) == self.largest_batch):
                yield self._fitted(waiting, observe)
                waiting = []
            if isinstance(image, Fitted) or tiling is None:
                waiting.append(image)
            else:
                yield self._large(image, tiling, observe)
        if waiting:
            yield self._fitted(waiting, observe)

    def prepare(
        self, images: Sequence[Image | Fitted], out: NDArray[np.uint8] | None = None
    ) -> Prepared:
        """Fit 1 to ``largest_batch`` images, uint8 (H, W, 3) RGB of any sizes, each as a whole.

        Args:
            images: The images; those that `fit` has fitted already are only copied, one that is
                alone not even that.
            out: uint8 (N, H, W, 3), N at least the number of images: their batch is written here.
        """
        if len(images) == 1 and isinstance(images[0], Fitted):
            return Prepared(images[0].picture[np.newaxis], [images[0].fit])
        batch = (
            np.empty((len(images), *self._sizes.input_size, 3), np.uint8) if out is None else out
        )
        # The device waits meanwhile. Small ones are placed sooner than threads are woken.
        run = map if self._placing is None or batch[0].nbytes < _LARGE_BYTES else self._placing.map
        return Prepared(batch[: len(images)], list(run(self._place, images, batch)))

    def infer(self, prepared: Prepared) -> Maps:
        """Run the network once.

        Raises:
            DeviceError: The accelerator failed.
        """
        return Maps(self._engine.run(prepared.batch), prepared.fits)

    def describe(self, maps: Maps) -> list[Instances]:
        """Cluster maps and describe each image's instances in its own pixels."""
        return self.describe_each(maps, lambda _, instances: instances)

    def describe_each(self, maps: Maps, use: Callable[[int, Instances], T]) -> list[T]:
        """Do what `describe` does, and what comes next, side by side for the images.

        Args:
            maps: The maps.
            use: Called with an image's place and its instances, in the thread that found them.

        Returns:
            What it returned, for each image.
        """
        predictions, fits = maps
        # One alone is not handed to another thread, which would only have to be woken.
        run = map if self._pool is None or len(fits) == 1 else self._pool.map
        return list(
            run(lambda i: use(i, self._instances(predictions, i, fits[i])), range(len(fits)))
        )

    def _place(self, image: Image | Fitted, place: NDArray[np.uint8]) -> Fit:
        if isinstance(image, Fitted):
            place[:] = image.picture
            return image.fit
        fit = self._sizes.fit(image.shape[:2])
        fit.apply(image, place)
        return fit

    def _fitted(self, images: Sequence[Image | Fitted], observe: Observe | None) -> Maps:
        began = self._clock()
        prepared = self.prepare(images, self._memory.own() if len(images) > 1 else None)
        return Maps(self._run(prepared.batch, began, observe), prepared.fits)

    def _large(self, image: Image, tiling: Tiling, observe: Observe | None) -> Maps:
        if self._judges_size:
            maps = self._fitted([image], observe)
            (found,) = self.describe(maps)
            expected = self._artifact.object_pixels or math.inf
            if len(found) and np.median(found.areas) > _HUGE * expected:
                return maps
        return self._tiled(image, tiling, observe)

    def _tiled(self, image: Image, tiling: Tiling, observe: Observe | None) -> Maps:
        whole = tiling.blank(self._artifact.n_sigma)
        # Tiles of variable size are large already: more at once would cost memory and gain nothing.
        batch = 1 if self._engine.variable_size else self.largest_batch
        for first in range(0, len(tiling), batch):
            began = self._clock()
            tiles = range(first, min(first + batch, len(tiling)))
            tiling.paste(whole, tiles, self._run(tiling.cut(image, tiles), began, observe))
        return Maps(whole, [Fit.of(tiling.frame_size, tiling.frame_size)])

    def _run(self, batch: NDArray[np.uint8], began: float, observe: Observe | None) -> Predictions:
        predictions = self._engine.run(batch)
        if observe is not None:
            observe("infer", self._clock() - began)
        return predictions

    def _cluster(self, maps: Predictions, i: int) -> Clusters:
        artifact = self._artifact
        # A seed below the reporting threshold would only be dropped after its clustering.
        lowest = max(artifact.seed_threshold, self._score_threshold)
        if isinstance(maps, Foreground):
            clusters = cluster_foreground(
                *maps.of_image(i),
                maps.size,
                grid_step=artifact.grid_step,
                seed_threshold=lowest,
                min_pixels=artifact.min_pixels,
                n_classes=len(artifact.classes),
            )
        else:
            clusters = cluster(
                maps.offset[i],
                maps.bandwidth[i],
                maps.seed[i],
                maps.class_index[i],
                grid_step=artifact.grid_step,
                seed_threshold=lowest,
                min_pixels=artifact.min_pixels,
                n_classes=len(artifact.classes),
            )
        return clusters.without_strays() if artifact.connected else clusters

    def _instances(self, maps: Predictions, i: int, fit: Fit) -> Instances:
        artifact = self._artifact
        return describe(self._cluster(maps, i), artifact.min_pixels, fit, artifact.classes)
