"""The worker's line: decode -> infer -> describe -> store, put together, watched and ended.

Each stage works on other frames than the next one, so none waits for another longer than its
bounded input makes it: a network that returns in 2 ms does not wait for Redis, nor for clustering.
"""

import time
from collections.abc import Callable, Collection
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any

from segmentation.decode import Image, decode_image
from segmentation.segmenter import Fitted, Segmenter
from workers.decoders import DECODE_THREADS
from workers.endings import Endings
from workers.fair_queue import FairQueue
from workers.freshness import Freshness
from workers.interfaces import Sink
from workers.large_frames import LargeFrames
from workers.metrics import WorkerMetrics
from workers.previews import Previews
from workers.records import Job
from workers.stages.decode_stage import DecodeStage
from workers.stages.describe_stage import DescribeStage
from workers.stages.infer_stage import InferStage
from workers.stages.stage import Stage
from workers.stages.store_stage import StoreStage
from workers.track_chains import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of the line; their meaning is that of the settings of the same name.

    Attributes:
        max_batch_size: Most frames of a batch; as many are decoded ahead of the network.
        linger_seconds: How long the first frame of a batch waits for others, in seconds.
        decode_threads: Frames that are decoded side by side.
    """

    max_waiting_frames: int
    max_waiting_bytes: int
    max_batch_size: int
    max_frame_pixels: int
    linger_seconds: float
    decode_threads: int = DECODE_THREADS


class Line:
    """Owns the stages between the loop and Redis.

    Args:
        segmenter: Finds the instances.
        sink: Stores the results.
        endings: Ends frames.
        metrics: Counts.
        limits: Bounds.
        freshness: Tells which frames are dropped.
        look: Observes instances for tracking; None where the sink tracks nothing.
        previews: Makes pictures for who looks at cameras; None where the sink stores none.
        on_end: Called when a stage has ended.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        sink: Sink,
        endings: Endings,
        metrics: WorkerMetrics,
        limits: Limits,
        freshness: Freshness,
        look: Look | None = None,
        previews: Previews | None = None,
        *,
        on_end: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._segmenter = segmenter
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._large_frames = LargeFrames()
        waiting: FairQueue[Job] = FairQueue(
            limits.max_waiting_frames, limits.max_waiting_bytes, lambda job: len(job.frame.data)
        )
        store = StoreStage(sink, endings, metrics, clock=clock, on_end=on_end)
        describe = DescribeStage(
            store,
            segmenter,
            metrics,
            look,
            previews,
            clock=clock,
            wall_clock=freshness.wall_clock,
            on_end=on_end,
        )
        infer = InferStage(
            describe,
            segmenter,
            freshness,
            waiting.holds,
            endings,
            metrics,
            max_batch_size=limits.max_batch_size,
            linger_seconds=limits.linger_seconds,
            clock=clock,
            on_end=on_end,
        )
        self._decode = DecodeStage(
            infer,
            self._decode_image,
            waiting,
            freshness,
            endings,
            metrics.times("decode", clock),
            threads=limits.decode_threads,
            clock=clock,
            on_end=on_end,
        )
        self._stages: tuple[Stage[Any], ...] = (self._decode, infer, describe, store)

    def start(self) -> None:
        """Begin to process, from the end of the line."""
        for stage in reversed(self._stages):
            stage.start()

    @property
    def room(self) -> int:
        """How many frames may be put in now."""
        return self._decode.room

    def put(self, job: Job) -> None:
        """Take a frame; see `DecodeStage.put` for what happens where there is no room."""
        self._decode.put(job)

    def abandon_waiting(self, partitions: Collection[int]) -> None:
        """Forget the undecoded frames of ``partitions``; they are not committed past."""
        self._decode.abandon(partitions)

    def check(self) -> None:
        """Raise what ended a stage; to be called at least every second.

        Raises:
            UnavailableError: Redis stays away.
            DeviceError: The accelerator failed.
        """
        for stage in self._stages:
            stage.check()

    @property
    def busy_seconds(self) -> dict[str, float]:
        """How long each stage's present piece of work has taken, in seconds; 0 when idle."""
        return {stage.name: stage.busy_seconds for stage in self._stages}

    @property
    def hung_decoders(self) -> int:
        """How many decoders are at a frame for too long; each has cost a thread for good."""
        return self._decode.hung

    @property
    def ended(self) -> str | None:
        """The first stage that has ended, for whatever reason."""
        return next((stage.name for stage in self._stages if stage.ended), None)

    def stop(self, timeout_seconds: float) -> bool:
        """End every stage after its present piece of work; frames not yet stored stay undone.

        Returns:
            Whether all ended within the bound, or one hangs.
        """
        running = {future for stage in self._stages for future in stage.stop()}
        return not wait(running, timeout_seconds).not_done

    def _decode_image(self, job: Job) -> Image | Fitted:
        began = self._clock()
        job.enter("decode")
        image = decode_image(job.frame, max_pixels=self._limits.max_frame_pixels)
        fitted = self._segmenter.fit(image)  # too many tiles are the record's own fault
        if isinstance(fitted, Fitted):
            self._large_frames.look(job.frame.camera, fitted.fit)
        self._metrics.stage_seconds.labels("decode").observe(self._clock() - began)
        job.enter("wait_infer")
        return fitted
