"""What a stage of the worker's line is, and the thread that most of them are.

The line is decode -> infer -> describe -> store; `workers.stages.line` puts it together, and the
loop (fetch) feeds it. Every stage keeps the same contract, whoever calls it:

- **start** begins to work. Called once, by the thread that owns the line, last stage first.
- **room** is how many items may be put in now. It never waits. An input is bounded: what has no
  room stays with the stage before, and in the end in Kafka.
- **put** hands an item over and never waits: the caller has seen ``room``. One thread, or one lock,
  puts into a stage, so that room which was seen is still there. A stage begins no work before the
  next one has room for what comes of it; so nothing that is finished ever waits in a hand.
- **check** raises what ended the stage. Called by the loop, at least every second.
- **stop** asks for the end and returns at once: the present piece of work is the last one, and what
  waits is left undone, hence uncommitted. Returned are the futures of what still runs, which the
  caller waits for, within a bound. It may be called twice.

Besides: items of one camera leave a stage in the order in which they came. ``busy_seconds`` tells
how long the present piece of work has taken, so that what hangs is found, stage by stage. A
`StageTimes` accounts for every second of a stage: waiting for input, working, waiting for output;
the stage that hardly waits is the bottleneck. Errors are instructions: InvalidMessageError ends a
frame, as a dead letter; any other one ends the stage, and with it the worker. What finishes a frame
calls one of `workers.endings`; nothing else touches positions.

Tracking is part of two stages: describe observes the instances, for which it has the pixels; store
computes who they are, in the order in which results are stored, because only Redis knows the state
that this begins from. See `workers.track_chains`.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, Protocol, TypeVar

from workers.stages.stage_times import StageTimes, State

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

_IDLE_WAIT_SECONDS = 1.0


class Stage(Protocol[T_contra]):
    """The contract, see above."""

    @property
    def name(self) -> str:
        """What it is called in metrics and messages."""
        ...

    def start(self) -> None:
        """Begin to work."""
        ...

    @property
    def room(self) -> int:
        """How many items may be put in now."""
        ...

    def put(self, item: T_contra) -> None:
        """Hand an item over."""
        ...

    def check(self) -> None:
        """Raise what ended it."""
        ...

    def stop(self) -> list[Future[Any]]:
        """Begin no more work; return what still runs."""
        ...

    @property
    def busy_seconds(self) -> float:
        """How long the present piece of work has taken, in seconds; 0 when idle."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it works no more, for whatever reason."""
        ...


class StoppedError(Exception):
    """The end came while a stage waited, or between two steps of its work."""


class ThreadStage(ABC, Generic[T]):
    """A stage that is one thread, which takes items in order, a few at a time.

    Attributes:
        on_room: Called by the thread each time it has taken an item: a stage before that has no
            thread of its own to wait with may put the next one.

    Args:
        name: See `Stage`.
        places: Most items that wait, besides those in work.
        times: Accounts for its seconds.
        most: Most items that are worked on together.
        linger_seconds: How long the first of these waits for others, in seconds.
        clock: Monotonic clock, in seconds.
        on_end: Called when the thread has ended.
    """

    def __init__(
        self,
        name: str,
        places: int,
        times: StageTimes,
        *,
        most: int = 1,
        linger_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._name = name
        self._places = places
        self._times = times
        self._most = most
        self._linger_seconds = linger_seconds
        self._clock = clock
        self._on_end = on_end
        self.on_room: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._in_work: Sequence[T] = ()
        self._busy_since: float | None = None
        self._stopping = False
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._running: Future[None] | None = None

    @abstractmethod
    def work(self, items: Sequence[T]) -> None:
        """Do the work, in the stage's thread; hand what comes of it on.

        Call `alive` between two steps, and `until_room` before the next stage gets an item.
        """

    def accept(self, item: T) -> bool:
        """Return whether to work on an item whose turn has come; if not, it has ended here."""
        return True

    def has_room_beside(self, held: Sequence[T]) -> bool:
        """Return whether another item may come beside those that wait or are worked on."""
        return True

    @property
    def name(self) -> str:
        """See `Stage`."""
        return self._name

    def start(self) -> None:
        """See `Stage`."""
        self._running = self._executor.submit(self._run)
        self._running.add_done_callback(lambda _: self._on_end())

    @property
    def room(self) -> int:
        """See `Stage`."""
        with self._changed:
            return self._room()

    def put(self, item: T) -> None:
        """See `Stage`."""
        with self._changed:
            self._items.append(item)
            self._changed.notify_all()

    def check(self) -> None:
        """See `Stage`."""
        if self._running is not None and self._running.done():
            self._running.result()

    def stop(self) -> list[Future[Any]]:
        """See `Stage`."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._executor.shutdown(wait=False)
        return [] if self._running is None else [self._running]

    @property
    def busy_seconds(self) -> float:
        """See `Stage`; `alive` sets it back."""
        since = self._busy_since
        return 0.0 if since is None else self._clock() - since

    @property
    def ended(self) -> bool:
        """See `Stage`."""
        return self._running is not None and self._running.done()

    def wait_for_room(self) -> None:
        """Wait, in the thread of the stage before, until an item may be put in.

        Raises:
            StoppedError: The end came first.
        """
        with self._changed:
            while not self._room():
                if self._stopping:
                    raise StoppedError
                self._changed.wait(_IDLE_WAIT_SECONDS)

    def until_room(self, following: "ThreadStage[Any]") -> None:
        """Wait, in the midst of work, until the next stage has room.

        Raises:
            StoppedError: The end came first.
        """
        self._busy_since = None
        if not following.room:
            self._times.enter(State.OUTPUT)
            following.wait_for_room()
            self._times.enter(State.WORK)
        self.alive()

    def alive(self) -> None:
        """Give a sign of life: a step of the work is done.

        Raises:
            StoppedError: The end came; the rest of the work is left undone.
        """
        if self._stopping:
            raise StoppedError
        self._busy_since = self._clock()

    def _run(self) -> None:
        try:
            while True:
                items = self._take()
                self._times.enter(State.WORK)
                self._busy_since = self._clock()
                self.work(items)
                self._busy_since = None
                with self._changed:
                    self._in_work = ()
                    self._changed.notify_all()
        except StoppedError:
            pass
        finally:
            self._busy_since = None
            self._times.enter(None)

    def _take(self) -> list[T]:
        """Return the items to work on next, once there are enough or the first has lingered."""
        self._times.enter(State.INPUT)
        taken: list[T] = []
        due_at = 0.0
        while len(taken) < self._most:
            wait = max(0.0, due_at - self._clock()) if taken else _IDLE_WAIT_SECONDS
            if not self._wait_for_item(wait):
                if taken and self._clock() >= due_at:
                    break
                self._times.enter(State.INPUT)  # so that the counters grow while it waits
                continue
            # This thread alone takes items out: the one that is judged is the one that is taken.
            accepted = self.accept(self._items[0])
            with self._changed:
                item = self._items.popleft()
                if accepted:
                    taken.append(item)
                    self._in_work = taken
                self._changed.notify_all()
            if accepted and len(taken) == 1:
                due_at = self._clock() + self._linger_seconds
            self.on_room()
        return taken

    def _wait_for_item(self, timeout_seconds: float) -> bool:
        with self._changed:
            if not self._items and not self._stopping and timeout_seconds > 0:
                self._changed.wait(timeout_seconds)
            if self._stopping:
                raise StoppedError
            return bool(self._items)

    def _room(self) -> int:
        if not self.has_room_beside((*self._in_work, *self._items)):
            return 0
        return max(0, self._places - len(self._items))
