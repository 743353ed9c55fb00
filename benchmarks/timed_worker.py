"""A worker whose network is an equal wait: ``python -m benchmarks.timed_worker``.

All else is real: Kafka, decoding, letterbox, clustering of what the network once said about a real
frame (its foreground, as it comes back from a GPU), Redis. So the worker's own work and its waits
are measured, whatever the device. Settings come from the environment, as a worker's;
``TIMED_SECONDS`` is how long a frame takes, ``TIMED_PICTURE`` the frame that the maps are of.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.artifact import Artifact
from contract.settings import load_settings
from media.pictures import read_image
from segmentation.cluster import FOREGROUND_THRESHOLD
from segmentation.engines import open_engine
from segmentation.engines.base import Engine, Predictions
from segmentation.engines.foreground import Foreground, Pixels
from segmentation.letterbox import Fit
from segmentation.segmenter import Segmenter
from workers import app
from workers.inference import Inference, host_threads
from workers.settings import WorkerSettings


class TimedEngine:
    """Says the same about every image, after a wait.

    Args:
        artifact: The model that it stands for.
        said: What the model says about one image.
        seconds: How long an image takes.
        batch_size: Most images of a run.
    """

    variable_size = False
    provider = "timed"

    def __init__(
        self, artifact: Artifact, said: Predictions, seconds: float, batch_size: int
    ) -> None:
        self.artifact = artifact
        self.batch_sizes = tuple(range(1, batch_size + 1))
        self._seconds = seconds
        pixels = foreground_of(said)
        self._said = [repeated(pixels, said.seed.shape[1:], n) for n in self.batch_sizes]

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Wait as long as a device would take, without using the processor."""
        time.sleep(self._seconds * len(images))
        return self._said[len(images) - 1]


def foreground_of(said: Predictions) -> Pixels:
    """Return what a GPU sends of one image."""
    place = np.flatnonzero(said.seed > FOREGROUND_THRESHOLD).astype(np.int32)
    channels = [*said.offset[0], *said.bandwidth[0], said.seed[0]]
    values = np.stack([each.ravel()[place] for each in channels])
    return Pixels(place, values, said.class_index.ravel()[place])


def repeated(pixels: Pixels, size: tuple[int, ...], n: int) -> Foreground:
    """Return the predictions of n equal images of (H, W) pixels."""
    height, width = size
    firsts = np.arange(n, dtype=np.int32)[:, None] * (height * width)
    places = (firsts + pixels.place).ravel()
    values, classes = np.tile(pixels.values, n), np.tile(pixels.classes, n)
    return Foreground(Pixels(places, values, classes), (n, height, width))


def said_of(picture: Path, engine: Engine) -> Predictions:
    """Return what the real network says about a picture."""
    image = read_image(picture)
    size = engine.artifact.height, engine.artifact.width
    fit = Fit.of((image.shape[0], image.shape[1]), size)
    return engine.run(fit.apply(image)[np.newaxis])


def build(settings: WorkerSettings) -> Inference:
    """Take the place of ``workers.app.build_inference``."""
    batch_size = settings.max_batch_size or 8
    real = open_engine(settings.model, "cpu", threads=1, batch_sizes=(1,))
    timed = TimedEngine(
        real.artifact,
        said_of(Path(os.environ["TIMED_PICTURE"]), real),
        float(os.environ["TIMED_SECONDS"]),
        batch_size,
    )
    threads = host_threads(len(os.sched_getaffinity(0)), on_gpu=True)
    segmenter = Segmenter(timed, batch_size=batch_size, threads=threads)
    warm_up = segmenter.warm_up
    return Inference(segmenter, "timed", batch_size, warm_up, decode_threads=threads)


if __name__ == "__main__":
    sys.exit(app.run(load_settings(WorkerSettings), build))
