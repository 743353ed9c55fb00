"""Where the seconds of a stage go: waiting for input, working, waiting for output."""

import enum
import threading
import time
from collections.abc import Callable

from prometheus_client import Counter


class State(enum.Enum):
    """What a stage does at a moment."""

    INPUT = "waiting_for_input"
    WORK = "working"
    OUTPUT = "waiting_for_output"


class StageTimes:
    """Adds each second of one stage to the counter of its state; thread-safe.

    Args:
        counter: Labelled by ``stage`` and ``state``.
        stage: Name of the stage.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, counter: Counter, stage: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._counters = {state: counter.labels(stage, state.value) for state in State}
        self._clock = clock
        self._lock = threading.Lock()
        self._state: State | None = None
        self._since = 0.0

    def enter(self, state: State | None, worked_seconds: float = 0.0) -> None:
        """Note what the stage does from now on.

        Args:
            state: None once it has ended.
            worked_seconds: How much of the time since the last call it was working nevertheless.
        """
        with self._lock:
            now = self._clock()
            if self._state is not None:
                passed = max(0.0, now - self._since)
                worked = min(passed, worked_seconds)
                self._counters[State.WORK].inc(worked)
                self._counters[self._state].inc(passed - worked)
            self._state, self._since = state, now
