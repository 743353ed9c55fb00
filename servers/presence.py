"""Whether a server answers, as far as those who use it have seen."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

IDLE_SECONDS = 2.0
"""After so long without anybody who asks, what was seen last may not be true any more."""


class Presence:
    """What was seen last of a server.

    Attributes:
        answers: Whether it answered; None before it was first asked.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._asking = 0
        self._noted_at = clock()
        self.answers: bool | None = None

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Mark the time in which somebody asks, and again after each failure."""
        with self._lock:
            self._asking += 1
            if self.answers is None:
                self.answers = False  # it is away until it answers
        try:
            yield
        finally:
            with self._lock:
                self._asking -= 1

    def note(self, *, answers: bool) -> None:
        """Note whether it answered."""
        self.answers, self._noted_at = answers, self._clock()

    @property
    def idle(self) -> bool:
        """Whether it was asked before, nobody asks now, and nothing is known for a while."""
        silent = self._clock() - self._noted_at >= IDLE_SECONDS
        return self.answers is not None and not self._asking and silent
