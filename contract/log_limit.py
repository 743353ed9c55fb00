"""Log lines that one bad input could write by the thousand: one in a while, with a count."""

import threading
import time
from collections.abc import Callable

LOG_SECONDS = 60.0
"""Shortest time between two lines of one kind, in seconds."""


class LogLimit:
    """Tells when a line of a kind is due, and how many of the kind were left out. Thread-safe.

    Args:
        seconds: Shortest time between two lines of one kind, in seconds.
        max_kinds: Most kinds remembered; beyond it, all are forgotten.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        seconds: float = LOG_SECONDS,
        *,
        max_kinds: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._max_kinds = max_kinds
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[float, int]] = {}

    def due(self, kind: str) -> str | None:
        """Count a line.

        Returns:
            What to add to the line, empty or how many like it were left out; None to leave this one
            out too.
        """
        with self._lock:
            now = self._clock()
            said_at, left_out = self._kinds.get(kind, (now - self._seconds, 0))
            if now - said_at < self._seconds:
                self._kinds[kind] = (said_at, left_out + 1)
                return None
            if kind not in self._kinds and len(self._kinds) >= self._max_kinds:
                self._kinds.clear()
            self._kinds[kind] = (now, 0)
        return f" ({left_out} more like this since the last such line)" if left_out else ""

    def take_left_out(self) -> dict[str, int]:
        """Return how many lines of each kind were left out since its last one; they count anew."""
        with self._lock:
            found = {kind: left_out for kind, (_, left_out) in self._kinds.items() if left_out}
            for kind in found:
                self._kinds[kind] = (self._kinds[kind][0], 0)
        return found
