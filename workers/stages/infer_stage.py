"""Infer: decoded frames -> the network's maps, in batches."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from segmentation.decode import Image
from segmentation.segmenter import Fitted, Maps, Segmenter
from workers.endings import Endings
from workers.freshness import SUPERSEDED, TOO_OLD, Freshness
from workers.metrics import WorkerMetrics
from workers.records import Job
from workers.stages.stage import ThreadStage


class Decoded(NamedTuple):
    """A frame and its pixels, in the model's size unless it is tiled."""

    job: Job
    image: Image | Fitted


class Mapped(NamedTuple):
    """Frames and what one run of the network says about them; many runs for a tiled frame.

    Their pixels travel along: the colours of objects tell who they are.
    """

    jobs: Sequence[Job]
    images: Sequence[Image | Fitted]
    maps: Maps

    @property
    def pixels(self) -> int:
        """Pixels of the maps."""
        return sum(height * width for height, width in (fit.input_size for fit in self.maps.fits))


class InferStage(ThreadStage[Decoded]):
    """Takes a batch when the network is free: what waits then, so one frame where one waits.

    Args:
        following: Clusters the maps.
        segmenter: Runs the network.
        freshness: Tells which frames are dropped in their turn.
        newer_waits: Whether an undecoded frame of a camera waits.
        endings: Ends frames.
        metrics: Told of batches, tiles and runs.
        max_batch_size: Most frames of a batch; as many wait, decoded.
        linger_seconds: How long the first frame of a batch waits for others, in seconds.
        clock: Monotonic clock, in seconds.
        on_end: Called when the thread has ended.
    """

    def __init__(
        self,
        following: ThreadStage[Mapped],
        segmenter: Segmenter,
        freshness: Freshness,
        newer_waits: Callable[[str], bool],
        endings: Endings,
        metrics: WorkerMetrics,
        *,
        max_batch_size: int,
        linger_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(
            "infer",
            max_batch_size,
            metrics.times("infer", clock),
            most=max_batch_size,
            linger_seconds=linger_seconds,
            clock=clock,
            on_end=on_end,
        )
        self._following = following
        self._segmenter = segmenter
        self._freshness = freshness
        self._newer_waits = newer_waits
        self._endings = endings
        self._metrics = metrics

    def accept(self, item: Decoded) -> bool:
        """Drop a frame that is no longer wanted.

        A slow network lets even a decoded frame grow old: a decode lost, a batch time won.
        """
        job = item.job
        if not self._endings.is_wanted(job):
            return False
        if self._freshness.gives_way(job) and self._newer_waits(job.frame.camera):
            self._endings.skip(job, SUPERSEDED)
            return False
        if self._freshness.too_old(job.reference_seconds):
            self._endings.skip(job, TOO_OLD)
            return False
        return True

    def work(self, items: Sequence[Decoded]) -> None:
        """Run the network as often as the frames need it."""
        images = [item.image for item in items]
        jobs = [item.job for item in items]
        for job in jobs:
            job.enter("infer")
        self._metrics.batch_size.observe(len(items))
        sizes = [(job.frame.height, job.frame.width) for job in jobs]
        self._metrics.tiles.inc(sum(map(self._segmenter.tiles, sizes)))
        cameras = [job.frame.camera for job in jobs]
        runs = self._segmenter.maps(images, self._ran, cameras)
        done = 0
        while done < len(jobs):
            self.until_room(self._following)
            maps = next(runs)
            end = done + len(maps.fits)
            for job in jobs[done:end]:
                job.enter("wait_describe")
            self._following.put(Mapped(jobs[done:end], images[done:end], maps))
            done = end

    def _ran(self, stage: str, seconds: float) -> None:
        self.alive()  # a batch of tiled frames is many runs
        self._metrics.stage_seconds.labels(stage).observe(seconds)
