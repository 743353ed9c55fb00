"""Frames on their way through the decoders: ahead of the network, in order per camera.

A decoder cannot be interrupted, so one that is slow must not hold up the others: frames of other
cameras pass it, a spare thread takes its place, and after a bound its frame is given up. Only the
frame that it works on is blamed; those that wait behind it have not begun.
"""

import functools
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from segmentation.decode import Image
from segmentation.segmenter import Fitted
from workers.records import Job

DECODE_THREADS = 2
"""Where the network has the same cores."""

SPARE_THREADS = 4
"""Threads that take the place of slow ones; once as many hang, the worker is not alive."""

SLOW_SECONDS = 0.25
"""After so long a decode no longer holds up frames of other cameras."""

MAX_DECODE_SECONDS = 10.0
"""After so long, counted from its own start, a decode is given up. The slowest picture that passes
`media.jpeg_limits` takes about half a second at the default limit of pixels."""

_SOON_SECONDS = 0.01

_LOOK_SECONDS = 1.0
"""At least this often somebody looks at the decoders while one of them works. Longer between two
looks, and the process was stopped (SIGSTOP, a frozen container, a machine that moves): that time is
not the picture's."""


class AwakeClock:
    """Seconds for which the process could run, of which each look counts one at most.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen = clock()
        self._seconds = 0.0

    def __call__(self) -> float:
        """Return them; called at least every second while it matters."""
        now = self._clock()
        self._seconds += min(now - self._seen, _LOOK_SECONDS)
        self._seen = now
        return self._seconds


@dataclass(slots=True, eq=False)
class Decoding:
    """One frame in the decoders.

    Attributes:
        job: The frame.
        image: Its pixels, or the fault of its record; None before a thread has begun.
        began: When its thread began, in seconds of an `AwakeClock`.
    """

    job: Job
    image: Future[Image | Fitted] | None = None
    began: float = math.inf

    @property
    def done(self) -> bool:
        """Whether the decoder is through with it."""
        return self.image is not None and self.image.done()

    @property
    def camera(self) -> str:
        """The camera."""
        return self.job.frame.camera


class Decoders:
    """The decoders' threads and the frames in them; every call is made under ``lock``.

    Args:
        decode: Returns a frame's pixels; in a thread of the pool, without the lock.
        window: Tells how many frames may be in the decoders, besides those that are slow or behind
            a slow one of their camera, of which there can be as many for each spare thread.
        lock: Lock of the owner.
        on_decoded: Called when a frame has been decoded, in its thread, without the lock.
        clock: Monotonic clock, in seconds.
        threads: Frames that are decoded side by side, besides slow ones.
    """

    def __init__(
        self,
        decode: Callable[[Job], Image | Fitted],
        window: Callable[[], int],
        lock: "threading.Lock | threading.RLock",
        on_decoded: Callable[[], None],
        clock: Callable[[], float],
        threads: int = DECODE_THREADS,
    ) -> None:
        self._decode = decode
        self._threads = threads
        self._window = window
        self._lock = lock
        self._on_decoded = on_decoded
        self._clock = AwakeClock(clock)
        self._in_order: deque[Decoding] = deque()
        self._running: list[Decoding] = []
        self._pool = ThreadPoolExecutor(threads + SPARE_THREADS, thread_name_prefix="decode")

    @property
    def has_room(self) -> bool:
        """Whether a frame may be added."""
        slow = self._slow_cameras()
        return sum(each.camera not in slow for each in self._in_order) < self._window()

    @property
    def at_work(self) -> bool:
        """Whether a frame is being decoded that has not been given up."""
        return any(each.image is not None and not each.done for each in self._in_order)

    @property
    def hung(self) -> int:
        """How many threads are at a frame that has been given up, or ought to be."""
        return sum(self._age(each) > MAX_DECODE_SECONDS for each in self._running)

    @property
    def running(self) -> list[Future[Image | Fitted]]:
        """What is being decoded, also what has been given up."""
        return [each.image for each in self._running if each.image is not None]

    @property
    def due_seconds(self) -> float:
        """How long until a frame is slow, or to be given up, unless it is decoded before."""
        ages = [self._age(each) for each in self._in_order if each.image and not each.done]
        limits = [SLOW_SECONDS if age <= SLOW_SECONDS else MAX_DECODE_SECONDS for age in ages]
        left = [limit - age for limit, age in zip(limits, ages, strict=True)]
        return min(_LOOK_SECONDS, max(_SOON_SECONDS, min(left))) if left else math.inf

    def look(self) -> None:
        """Let time go on; to be called at least every second."""
        self._clock()

    def blocks(self, camera: str) -> bool:
        """Return whether a slow frame of ``camera`` holds up those after it."""
        return camera in self._slow_cameras()

    def add(self, job: Job) -> None:
        """Decode a frame as soon as a thread is free."""
        self._in_order.append(Decoding(job))
        self.start()

    def start(self) -> None:
        """Give waiting frames to free threads, and to spare ones for those that are slow."""
        while self._has_free_thread() and (each := self._waiting()) is not None:
            each.began = self._clock()
            self._running.append(each)
            each.image = self._pool.submit(self._decode, each.job)
            each.image.add_done_callback(functools.partial(self._end, each))

    def ready(self) -> Decoding | None:
        """Return, without taking it, the oldest decoded frame whose camera has none before it."""
        held: set[str] = set()
        for each in self._in_order:
            if each.camera not in held and each.done:
                return each
            held.add(each.camera)
        return None

    def take(self, decoding: Decoding) -> None:
        """Take a frame out."""
        self._in_order.remove(decoding)

    def give_up(self) -> list[Decoding]:
        """Take out and return the frames whose decoding takes too long; their threads go on."""
        late = [
            each
            for each in self._in_order
            if not each.done and self._age(each) > MAX_DECODE_SECONDS
        ]
        for each in late:
            self._in_order.remove(each)
        return late

    def stop(self) -> None:
        """Begin no more frames."""
        self._in_order.clear()
        self._pool.shutdown(wait=False)

    def _has_free_thread(self) -> bool:
        slow = sum(self._age(each) > SLOW_SECONDS for each in self._running)
        return len(self._running) < self._threads + min(slow, SPARE_THREADS)

    def _waiting(self) -> Decoding | None:
        return next((each for each in self._in_order if each.image is None), None)

    def _end(self, decoding: Decoding, _: Future[Image | Fitted]) -> None:
        with self._lock:
            self._running.remove(decoding)
        self._on_decoded()

    def _age(self, decoding: Decoding) -> float:
        return max(0.0, self._clock() - decoding.began)

    def _slow_cameras(self) -> set[str]:
        return {
            each.camera
            for each in self._in_order
            if not each.done and self._age(each) > SLOW_SECONDS
        }
