"""Whether a worker is alive and ready: what ``/healthz`` and ``/readyz`` answer.

Neither asks Kafka or Redis: restarting the worker does not bring them back.
"""

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from workers.decoders import MAX_DECODE_SECONDS, SPARE_THREADS

STANDSTILL_SECONDS = 60.0
"""Longest time that the loop, the network or clustering may stand still."""

WARM_UP_SECONDS = 300.0
"""Longest time that the network's first runs may take."""

_AT_WORK = {
    "infer": "the network has been at one batch",
    "describe": "clustering has been at one batch",
}
"""Stages whose standstill a restart heals, and what is said of it. A store waits for Redis, within
a bound of its own."""

_ENDED = {
    "decode": "decoding",
    "infer": "the network",
    "describe": "clustering",
    "store": "storing",
}


class Turning(Protocol):
    """What is looked at of the loop."""

    turned_at: float
    joined: bool


class Working(Protocol):
    """What is looked at of the line of stages."""

    @property
    def busy_seconds(self) -> Mapping[str, float]:
        """How long each stage's present piece of work has taken."""
        ...

    @property
    def hung_decoders(self) -> int:
        """How many decoders hang."""
        ...

    @property
    def ended(self) -> str | None:
        """The first stage that has ended."""
        ...


class Health:
    """Answers the probes.

    Attributes:
        warming_since: Monotonic time since when the network has been at its first runs.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loop: Turning | None = None
        self._line: Working | None = None
        self.warming_since: float | None = None

    def watch(self, loop: Turning, line: Working) -> None:
        """Look at these from now on."""
        self._line, self._loop = line, loop

    def alive(self) -> str | None:
        """Return what stands still, if anything."""
        if self._loop is None or self._line is None:
            since = self.warming_since
            warming = 0.0 if since is None else self._clock() - since
            if warming > WARM_UP_SECONDS:
                return f"the network has been at its first run for {warming:.0f} s"
            return None
        still = self._clock() - self._loop.turned_at
        if still > STANDSTILL_SECONDS:
            return f"the loop has been stuck for {still:.0f} s"
        busy = self._line.busy_seconds
        for stage, what in _AT_WORK.items():
            if busy[stage] > STANDSTILL_SECONDS:
                return f"{what} for {busy[stage]:.0f} s"
        if (ended := self._line.ended) is not None:
            return f"{_ENDED[ended]} has ended: the worker is about to leave"
        hung = self._line.hung_decoders
        if hung >= SPARE_THREADS:
            return f"{hung} decoders hang, each for more than {MAX_DECODE_SECONDS:g} s"
        return None

    def ready(self) -> str | None:
        """Return what is still missing, if anything."""
        if self._loop is None:
            return "starting: model, Kafka and Redis are not ready yet"
        return None if self._loop.joined else "waiting for the consumer group"
