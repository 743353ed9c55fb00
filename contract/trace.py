"""One frame's way through the processes, for who asks why it was late. Pure.

The producer marks a share of the frames with a W3C trace context
(https://www.w3.org/TR/trace-context/, header ``traceparent`` of the record). Whatever has such a
frame in hand says which part of the way it enters; who ends it makes a log line and, where asked
for, OpenTelemetry spans of that (`contract.trace_export`).
"""

import re
import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.A)
_SAMPLED = 0x01
_NO_VERSION = "ff"


class TraceContext(NamedTuple):
    """What names one span of a trace.

    Attributes:
        trace_id: 128 bits, not 0.
        span_id: 64 bits, not 0.
        sampled: Whether whoever continues the trace is to record it.
    """

    trace_id: int
    span_id: int
    sampled: bool = True

    @classmethod
    def new(cls) -> "TraceContext":
        """Begin a trace."""
        return cls(_random(128), _random(64))

    @classmethod
    def parse(cls, text: str | None) -> "TraceContext | None":
        """Read a ``traceparent``; None where it is absent or malformed, as the standard demands."""
        match = _TRACEPARENT.fullmatch(text or "")
        if match is None or match[1] == _NO_VERSION or (match[1] == "00" and match[5]):
            return None
        context = cls(int(match[2], 16), int(match[3], 16), bool(int(match[4], 16) & _SAMPLED))
        return context if context.trace_id and context.span_id else None

    def child(self) -> "TraceContext":
        """Begin another span of the same trace."""
        return self._replace(span_id=_random(64))

    @property
    def trace(self) -> str:
        """The trace's id as tools show it: 32 hexadecimal digits."""
        return f"{self.trace_id:032x}"

    def __str__(self) -> str:
        """Return the ``traceparent``."""
        return f"00-{self.trace}-{self.span_id:016x}-{_SAMPLED if self.sampled else 0:02x}"


class Part(NamedTuple):
    """One part of the way.

    Attributes:
        name: What happened to the frame.
        began_seconds: Seconds since 1970.
        ended_seconds: Seconds since 1970; not before it began.
    """

    name: str
    began_seconds: float
    ended_seconds: float

    @property
    def milliseconds(self) -> float:
        """How long it took, to a tenth of a millisecond."""
        return round((self.ended_seconds - self.began_seconds) * 1000, 1)


class FrameTrace:
    """One frame's way through one process: parts that follow one another without a gap.

    It is in one thread's hands at a time, as its frame is.

    Attributes:
        context: The span of the whole way.
        parent: The span that it continues; None where the trace begins here.

    Args:
        context: See above.
        parent: See above.
        part: The first part.
        began_seconds: When that began, seconds since 1970.
        clock: Seconds since 1970.
    """

    __slots__ = ("_began", "_clock", "_part", "_parts", "context", "parent")

    def __init__(
        self,
        context: TraceContext,
        part: str,
        began_seconds: float,
        parent: TraceContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.context = context
        self.parent = parent
        self._clock = clock
        self._parts: list[Part] = []
        self._part = part
        self._began = min(began_seconds, clock())

    @classmethod
    def following(
        cls,
        traceparent: str | None,
        part: str,
        began_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> "FrameTrace | None":
        """Continue the trace that a record carries; None where it carries none to be recorded."""
        parent = TraceContext.parse(traceparent)
        if parent is None or not parent.sampled:
            return None
        return cls(parent.child(), part, began_seconds, parent, clock)

    def enter(self, part: str) -> None:
        """End the present part and begin another."""
        now = max(self._clock(), self._began)
        self._parts.append(Part(self._part, self._began, now))
        self._part, self._began = part, now

    def end(self) -> tuple[Part, ...]:
        """End the way; return its parts."""
        self.enter("")
        return tuple(self._parts)


def _random(bits: int) -> int:
    return secrets.randbits(bits) or 1
