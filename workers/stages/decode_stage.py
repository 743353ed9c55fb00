"""Decode: records' images -> pixels in the model's size, a bounded number ahead of the network.

Frames wait undecoded in a `FairQueue`, the one place in the line where they wait long. A frame is
begun only when the next stage has room for it, and decoded frames are handed over in order per
camera, by whichever thread brought the news: the one that put a frame, that decoded one, or that
took one out of the next stage. A thread of the stage's own only watches the decoders' time.
"""

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from contract.errors import InvalidMessageError
from segmentation.decode import Image
from segmentation.segmenter import Fitted
from workers import decoders
from workers.decoders import Decoders, Decoding
from workers.endings import Endings
from workers.fair_queue import FairQueue
from workers.freshness import SUPERSEDED, TOO_OLD, Freshness
from workers.records import Job
from workers.stages.infer_stage import Decoded
from workers.stages.stage import ThreadStage
from workers.stages.stage_times import StageTimes, State

_WATCH_SECONDS = 0.1
"""How soon a slow decode gets a spare thread, once it counts as slow."""


class DecodeStage:
    """The first stage of the line.

    Args:
        following: Runs the network.
        decode: Returns a frame's pixels; in a thread of a pool.
        waiting: Where frames wait undecoded, empty.
        freshness: Tells which of them are dropped.
        endings: Ends frames.
        times: Accounts for its seconds.
        threads: Frames that are decoded side by side.
        clock: Monotonic clock, in seconds.
        on_end: Called when the stage has ended.
    """

    name = "decode"

    def __init__(
        self,
        following: ThreadStage[Decoded],
        decode: Callable[[Job], Image | Fitted],
        waiting: FairQueue[Job],
        freshness: Freshness,
        endings: Endings,
        times: StageTimes,
        *,
        threads: int = decoders.DECODE_THREADS,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._following = following
        self._waiting = waiting
        self._freshness = freshness
        self._endings = endings
        self._times = times
        self._on_end = on_end
        self._lock = threading.RLock()
        self._decoders = Decoders(
            decode, lambda: following.room, self._lock, self._move, clock, threads
        )
        self._failure: BaseException | None = None
        self._end = threading.Event()
        self._watcher = ThreadPoolExecutor(1, thread_name_prefix="decode-watch")
        self._watching: Future[None] | None = None
        following.on_room = self._move

    def start(self) -> None:
        """See `stage.Stage`."""
        self._watching = self._watcher.submit(self._watch)

    @property
    def room(self) -> int:
        """See `stage.Stage`."""
        with self._lock:
            return self._waiting.places

    def put(self, job: Job) -> None:
        """Take a frame.

        In ``live`` mode a frame for which there is no room pushes out the oldest of the camera that
        holds the most; in ``complete`` mode the caller looks at ``room`` first.
        """
        with self._lock:
            pushed_out = self._waiting.make_room(job) if self._freshness.live else []
            self._waiting.put(job.frame.camera, job)
            self._move()
        for each in pushed_out:
            self._endings.skip(each, SUPERSEDED)

    def abandon(self, partitions: Collection[int]) -> None:
        """Forget the undecoded frames of ``partitions``; they are not committed past."""
        with self._lock:
            removed = self._waiting.remove(lambda job: job.position.partition in partitions)
        for job in removed:
            self._endings.abandon(job)

    @property
    def hung(self) -> int:
        """How many decoders are at a frame for too long; each has cost a thread for good."""
        with self._lock:
            return self._decoders.hung

    @property
    def busy_seconds(self) -> float:
        """Always 0: decoders that hang have a bound and a count of their own."""
        return 0.0

    @property
    def ended(self) -> bool:
        """See `stage.Stage`."""
        return self._failure is not None

    def check(self) -> None:
        """See `stage.Stage`."""
        with self._lock:
            self._decoders.look()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> list[Future[Any]]:
        """See `stage.Stage`."""
        self._end.set()
        self._watcher.shutdown(wait=False)
        with self._lock:
            self._decoders.stop()
            self._times.enter(None)
            running: list[Future[Any]] = [*self._decoders.running]
        return running if self._watching is None else [*running, self._watching]

    def _watch(self) -> None:
        while not self._end.wait(self._watch_seconds()):
            self._move()

    def _watch_seconds(self) -> float:
        with self._lock:
            return min(_WATCH_SECONDS, self._decoders.due_seconds)

    def _move(self) -> None:
        """Bring every frame as far as it can go now."""
        try:
            with self._lock:
                if not self._end.is_set() and self._failure is None:
                    self._give_up_late()
                    self._hand_over()
                    self._begin()
                    self._times.enter(self._state())
        except BaseException as error:  # noqa: BLE001 - `check` raises it where the loop sees it
            self._failure = error
            self._on_end()

    def _give_up_late(self) -> None:
        for late in self._decoders.give_up():
            # Not the worker's end: the next one would meet the same record, and end as well.
            limit = decoders.MAX_DECODE_SECONDS
            slow = InvalidMessageError("decode_timeout", f"decoding took longer than {limit:g} s")
            self._endings.bury_frame(late.job, slow)

    def _hand_over(self) -> None:
        while self._following.room and (decoding := self._decoders.ready()) is not None:
            self._decoders.take(decoding)
            self._finish(decoding)

    def _finish(self, decoding: Decoding) -> None:
        assert decoding.image is not None, "it is ready"
        try:
            image = decoding.image.result()
        except InvalidMessageError as error:
            self._endings.bury_frame(decoding.job, error)
        else:
            self._following.put(Decoded(decoding.job, image))

    def _begin(self) -> None:
        """Keep the decoders busy, past those that hang."""
        self._decoders.start()
        while self._decoders.has_room:
            job, gave_way = self._waiting.take(self._freshness.gives_way, self._decoders.blocks)
            for each in gave_way:
                self._endings.skip(each, SUPERSEDED)
            if job is None:
                return
            if not self._endings.is_wanted(job):
                continue
            if self._freshness.too_old(job.reference_seconds):
                self._endings.skip(job, TOO_OLD)
            else:
                self._decoders.add(job)

    def _state(self) -> State:
        if self._decoders.at_work:
            return State.WORK
        return State.OUTPUT if len(self._waiting) else State.INPUT
