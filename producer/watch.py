"""What each decoding thread is doing and until when: how a hung thread is noticed and given up."""

import threading
from collections.abc import Callable
from typing import Literal

Phase = Literal["wait", "open", "first frame", "next frame", "deliver", "close"]

Clock = Callable[[], float]
"""Monotonic time in seconds."""


class AbandonedError(Exception):
    """The watchdog gave this thread up: it must end and touch nothing."""


class Watch:
    """The watchdog's view of one decoding thread.

    The thread announces each phase with ``enter``; the watchdog calls ``overdue``. Exactly one
    wins: a thread that was given up gets ``AbandonedError`` from its next ``enter``, so what it
    does after an ``enter`` that returned is never done twice.

    Args:
        clock: Monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._phase: Phase = "wait"
        self._deadline: float | None = None
        self._abandoned = False

    def enter(self, phase: Phase, limit_seconds: float | None = None) -> None:
        """Begin ``phase``, which may last ``limit_seconds``, None for any time.

        Raises:
            AbandonedError: The thread has been given up.
        """
        deadline = None if limit_seconds is None else self._clock() + limit_seconds
        with self._lock:
            if self._abandoned:
                raise AbandonedError
            self._phase, self._deadline = phase, deadline

    def overdue(self) -> Phase | None:
        """Give the thread up if its phase lasts too long; return that phase, else None."""
        with self._lock:
            if self._abandoned or self._deadline is None or self._clock() < self._deadline:
                return None
            self._abandoned = True
            return self._phase

    def abandon(self) -> None:
        """Give the thread up whatever it does, unless it is delivering a frame."""
        with self._lock:
            if self._phase != "deliver":
                self._abandoned = True

    @property
    def abandoned(self) -> bool:
        """Whether the thread has been given up."""
        with self._lock:
            return self._abandoned
