"""Frames to stored results: wait, decode, batch, segment, store; each position done at the end.

The loop's thread only puts frames in. Decoding runs in a small pool, ahead of the network by a
bounded number of frames; one thread runs batch -> segment -> store, so a camera's frames stay in
order.
"""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from contract.errors import InvalidMessageError
from contract.result import Instance, Result
from segmentation.decode import Image, decode_image
from segmentation.segmenter import Segmenter
from workers.camera_log import CameraLog
from workers.dead_letters import DeadLetters
from workers.decoders import MAX_DECODE_SECONDS, Decoders, Decoding
from workers.fair_queue import FairQueue
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.records import Entry, Job, Outcome
from workers.sink import RedisSink

_WARNINGS = {
    Outcome.SET_BACK: "a session follows that began, by its clock, before the one it follows: was "
    "the producer's clock set back? Its frames are stored, in Kafka's order",
    Outcome.RESUMED: "a session goes on after another one began: two producers send under this "
    "camera's id; the frames of both are stored, in Kafka's order",
    Outcome.OUT_OF_ORDER: "frames are skipped because newer ones were stored before: they were "
    "left out when they first came, or came from another partition",
}
_IDLE_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of the pipeline; their meaning is that of the settings of the same name.

    Attributes:
        max_batch_size: Most frames of a batch; as many are decoded ahead of the network.
        max_batch_age_seconds: How long the first frame of a batch waits for others, in seconds.
        max_age_seconds: None in ``complete`` mode.
        old_after_seconds: None in ``complete`` mode.
    """

    max_waiting_frames: int
    max_waiting_bytes: int
    max_batch_size: int
    max_frame_pixels: int
    max_age_seconds: float | None
    old_after_seconds: float | None
    max_batch_age_seconds: float = 0.02


class _Ready(NamedTuple):
    job: Job
    image: Image


class _StoppedError(Exception):
    """The end came between two runs of the network: tiles of a frame may need many more."""


class Pipeline:
    """Owns the threads between the loop and Redis.

    Args:
        segmenter: Finds the instances.
        sink: Stores the results.
        dead_letters: Takes records whose image does not decode.
        positions: Told which positions are done.
        metrics: Told everything else.
        limits: Bounds.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since 1970.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        sink: RedisSink,
        dead_letters: DeadLetters,
        positions: OffsetTracker,
        metrics: WorkerMetrics,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._segmenter = segmenter
        self._sink = sink
        self._dead_letters = dead_letters
        self._positions = positions
        self._metrics = metrics
        self._limits = limits
        self._clock = clock
        self._wall_clock = wall_clock
        self._camera_log = CameraLog(clock)
        self._changed = threading.Condition()
        self._waiting: FairQueue[Job] = FairQueue(
            limits.max_waiting_frames, limits.max_waiting_bytes, lambda job: len(job.frame.data)
        )
        self._decoders = Decoders(self._decode, limits.max_batch_size, self._changed, clock)
        self._inference = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._running: Future[None] | None = None
        self._stopping = False
        self._busy_since: float | None = None

    def start(self) -> None:
        """Begin to process."""
        self._running = self._inference.submit(self._run)
        self._running.add_done_callback(lambda _: self._positions.wake())

    @property
    def room(self) -> int:
        """How many frames may be put in now."""
        with self._changed:
            return self._waiting.places

    def put(self, job: Job) -> None:
        """Take a frame.

        In ``live`` mode a frame for which there is no room pushes out the oldest of the camera that
        holds the most; in ``complete`` mode the caller looks at ``room`` first.
        """
        live = self._limits.max_age_seconds is not None
        with self._changed:
            pushed_out = self._waiting.make_room(job) if live else []
            self._waiting.put(job.frame.camera, job)
            self._decode_ahead()
            self._changed.notify_all()
        for each in pushed_out:
            self._skip(each, "superseded")

    def abandon_waiting(self, partitions: Collection[int]) -> None:
        """Forget the undecoded frames of ``partitions``; they are not committed past."""
        with self._changed:
            removed = self._waiting.remove(lambda job: job.position.partition in partitions)
        for job in removed:
            self._positions.abandon(job.position)

    @property
    def busy_seconds(self) -> float:
        """How long the present run of the network, or clustering, has taken, in seconds.

        0 when idle. A batch of tiled frames is many runs: each that ends is a sign of life.
        """
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since

    @property
    def hung_decoders(self) -> int:
        """How many decoders are at a frame for too long; each has cost a thread for good."""
        with self._changed:
            return self._decoders.hung

    def check(self) -> None:
        """Raise what ended the inference thread; to be called at least every second.

        Raises:
            UnavailableError: Redis stays away.
            DeviceError: The accelerator failed.
        """
        if self._running is not None and self.ended:
            self._running.result()
        with self._changed:
            self._decoders.look()

    @property
    def ended(self) -> bool:
        """Whether the inference thread has ended, for whatever reason."""
        return self._running is not None and self._running.done()

    def stop(self, timeout_seconds: float) -> bool:
        """End the threads after the network's present run; frames not yet segmented stay undone.

        Returns:
            Whether they ended within the bound, or one hangs.
        """
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._sink.give_up()
        self._inference.shutdown(wait=False)
        with self._changed:
            self._decoders.stop()
            started = {self._running, *self._decoders.running}
        busy: set[Future[Any]] = {
            future for future in started if future is not None and not future.done()
        }
        return not wait(busy, timeout_seconds).not_done

    def _run(self) -> None:
        with contextlib.suppress(_StoppedError):
            while (batch := self._gather()) is not None:
                self._process(batch)

    def _gather(self) -> list[_Ready] | None:
        """Return the next batch, once it is full or its first frame has waited; None at the end."""
        batch: list[_Ready] = []
        due_at = math.inf
        while len(batch) < self._limits.max_batch_size and (now := self._clock()) < due_at:
            decoding = self._next(min(_IDLE_WAIT_SECONDS, due_at - now))
            if self._stopping:
                return None
            ready = None if decoding is None else self._finish_decoding(decoding)
            if ready is not None:
                if not batch:
                    due_at = self._clock() + self._limits.max_batch_age_seconds
                batch.append(ready)
        return batch

    def _next(self, timeout_seconds: float) -> Decoding | None:
        with self._changed:
            self._decode_ahead()
            if self._decoders.ready() is None and not self._stopping:
                self._changed.wait(min(timeout_seconds, self._decoders.due_seconds))
                self._decode_ahead()
            decoding = self._decoders.ready()
            # A slow network lets even a decoded frame grow old: a decode lost, a batch time won.
            while decoding is not None and self._outrun(decoding.job):
                self._decoders.take(decoding)
                self._skip(decoding.job, "superseded")
                self._decode_ahead()
                decoding = self._decoders.ready()
            if decoding is not None:
                self._decoders.take(decoding)
                self._decode_ahead()  # the next one, while the network works on this one
            return decoding

    def _decode_ahead(self) -> None:
        """Keep the decoders busy, past those that hang; the caller holds the lock."""
        for late in self._decoders.give_up():
            # Not the worker's end: the next one would meet the same record, and end as well.
            slow = InvalidMessageError(
                "decode_timeout", f"decoding took longer than {MAX_DECODE_SECONDS:g} s"
            )
            self._dead_letters.put(late.job.record, late.job.position, slow)
        self._decoders.start()
        while not self._stopping and self._decoders.has_room:
            job, gave_way = self._waiting.take(self._gives_way, self._decoders.blocks)
            for each in gave_way:
                self._skip(each, "superseded")
            if job is None:
                return
            if self._wanted(job):
                self._decoders.add(job)

    def _decode(self, job: Job) -> Image:
        began = self._clock()
        image = decode_image(job.frame, max_pixels=self._limits.max_frame_pixels)
        self._segmenter.tiles(image.shape[:2])  # too many are the record's own fault
        self._metrics.stage_seconds.labels("decode").observe(self._clock() - began)
        return image

    def _finish_decoding(self, decoding: Decoding) -> _Ready | None:
        job, image = decoding.job, decoding.image
        assert image is not None, "it is ready"
        try:
            pixels = image.result()
        except InvalidMessageError as error:
            self._dead_letters.put(job.record, job.position, error)
            return None
        # Looked at again: the batch before may have taken long, or the partition may be gone.
        return _Ready(job, pixels) if self._wanted(job) else None

    def _outrun(self, job: Job) -> bool:
        return self._gives_way(job) and self._waiting.holds(job.frame.camera)

    def _gives_way(self, job: Job) -> bool:
        limit = self._limits.old_after_seconds
        return limit is not None and self._wall_clock() - job.reference_seconds > limit

    def _wanted(self, job: Job) -> bool:
        if not self._positions.is_current(job.position):
            return False
        limit = self._limits.max_age_seconds
        if limit is not None and self._wall_clock() - job.reference_seconds > limit:
            self._skip(job, "too_old")
            return False
        return True

    def _skip(self, job: Job, reason: str) -> None:
        self._metrics.skipped(job.frame.camera, reason)
        self._positions.finish(job.position)

    def _process(self, batch: Sequence[_Ready]) -> None:
        self._metrics.batch_size.observe(len(batch))
        images = [ready.image for ready in batch]
        self._metrics.tiles.inc(sum(self._segmenter.tiles(image.shape[:2]) for image in images))
        self._busy_since = self._clock()
        cameras = [ready.job.frame.camera for ready in batch]
        found = self._segmenter.segment(images, self._advance, cameras)
        results = [
            self._result(ready.job, instances.documents())
            for ready, instances in zip(batch, found, strict=True)
        ]
        self._busy_since = None
        began = self._clock()
        outcomes = self._sink.store(
            [
                Entry(result, ready.job.record.log, ready.job.position.number)
                for ready, result in zip(batch, results, strict=True)
            ]
        )
        self._observe("store", self._clock() - began)
        for ready, result, outcome in zip(batch, results, outcomes, strict=True):
            self._count(result, outcome)
            self._positions.finish(ready.job.position)

    def _advance(self, stage: str, seconds: float) -> None:
        if self._stopping:
            raise _StoppedError
        self._busy_since = self._clock()
        self._observe(stage, seconds)

    def _observe(self, stage: str, seconds: float) -> None:
        self._metrics.stage_seconds.labels(stage).observe(seconds)

    def _result(self, job: Job, instances: list[Instance]) -> Result:
        frame = job.frame
        processed_at = datetime.fromtimestamp(self._wall_clock(), UTC)
        return Result(
            camera=frame.camera,
            session=frame.session,
            sequence=frame.sequence,
            captured_at=frame.captured_at,
            processed_at=processed_at,
            width=frame.width,
            height=frame.height,
            model=self._segmenter.reference,
            latency_seconds=(processed_at - frame.captured_at).total_seconds(),
            instances=instances,
        )

    def _count(self, result: Result, outcome: Outcome) -> None:
        if outcome in _WARNINGS:
            self._camera_log.warn(result.camera, outcome.value, _WARNINGS[outcome])
        if outcome in (Outcome.SET_BACK, Outcome.RESUMED):
            self._metrics.suspect(result.camera, outcome.value)
        if outcome.stored:
            latency = self._wall_clock() - result.captured_at.timestamp()
            classes = Counter(instance.class_name for instance in result.instances)
            self._metrics.stored(result.camera, latency, classes)
        elif outcome is Outcome.DUPLICATE:
            camera = self._metrics.camera(result.camera)
            self._metrics.frames_duplicate.labels(camera).inc()
        else:
            self._metrics.skipped(result.camera, outcome.value)
