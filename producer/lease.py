"""One thread's right to a camera, which the watchdog revokes when the thread hangs."""

import threading
from collections.abc import Callable
from typing import Literal

Phase = Literal["wait", "open", "first frame", "next frame", "deliver", "close"]

Clock = Callable[[], float]
"""Monotonic time in seconds."""


class LeaseRevokedError(Exception):
    """The watchdog has given this thread up: it must end and touch nothing."""


class Lease:
    """One thread's right to a camera, for as long as each phase of its work keeps to its limit.

    The thread renews it with ``enter``; the watchdog calls ``overdue``. Exactly one wins: a thread
    that was given up gets ``LeaseRevokedError`` from its next ``enter``, so what it does after an
    ``enter`` that returned is never done twice.

    Args:
        clock: Monotonic clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._phase: Phase = "wait"
        self._deadline: float | None = None
        self._revoked = False

    def enter(self, phase: Phase, limit_seconds: float | None = None) -> None:
        """Begin ``phase``, which may last ``limit_seconds``, None for any time.

        Raises:
            LeaseRevokedError: The thread has been given up.
        """
        deadline = None if limit_seconds is None else self._clock() + limit_seconds
        with self._lock:
            if self._revoked:
                raise LeaseRevokedError
            self._phase, self._deadline = phase, deadline

    def overdue(self) -> Phase | None:
        """Give the thread up if its phase lasts too long; return that phase, else None."""
        with self._lock:
            if self._revoked or self._deadline is None or self._clock() < self._deadline:
                return None
            self._revoked = True
            return self._phase

    def revoke(self) -> None:
        """Give the thread up whatever it does, unless it is delivering a frame."""
        with self._lock:
            if self._phase != "deliver":
                self._revoked = True

    @property
    def revoked(self) -> bool:
        """Whether the thread has been given up."""
        with self._lock:
            return self._revoked
