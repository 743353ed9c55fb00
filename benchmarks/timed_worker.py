"""A worker whose network is an equal wait: ``python -m benchmarks.timed_worker``.

All else is real: Kafka, decoding, letterbox, clustering of what the network once said about a real
frame, Redis. So the worker's own work and its waits are measured, whatever the device. Settings
come from the environment, as a worker's; ``TIMED_SECONDS`` is how long a frame takes,
``TIMED_PICTURE`` the frame that the maps are of.
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
from segmentation.engines import open_engine
from segmentation.engines.base import Engine, Predictions
from segmentation.letterbox import Fit
from segmentation.segmenter import Segmenter
from workers import app
from workers.inference import Inference, cluster_threads
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
        self._said = Predictions(
            np.repeat(said.offset, batch_size, axis=0),
            np.repeat(said.bandwidth, batch_size, axis=0),
            np.repeat(said.seed, batch_size, axis=0),
            np.repeat(said.class_index, batch_size, axis=0),
        )

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Wait as long as a device would take, without using the processor."""
        time.sleep(self._seconds * len(images))
        n, said = len(images), self._said
        return Predictions(said.offset[:n], said.bandwidth[:n], said.seed[:n], said.class_index[:n])


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
    segmenter = Segmenter(
        timed,
        batch_size=batch_size,
        threads=cluster_threads(len(os.sched_getaffinity(0)), on_gpu=True),
    )
    return Inference(segmenter, "timed", batch_size, segmenter.warm_up)


if __name__ == "__main__":
    sys.exit(app.run(load_settings(WorkerSettings), build))
