"""Which frames are traced, and their way from the camera to Kafka's acknowledgement.

The parts: capture (from the capture time until the frame was in hand: a decoder's backlog), encode,
wait_send (in the outbox), send (until Kafka acknowledged it). The record carries the trace on.
"""

import random
import threading
from collections.abc import Callable
from datetime import datetime

from contract.frame import Frame
from contract.trace import FrameTrace, TraceContext
from contract.trace_export import Traces

_MOST = 4096
"""Traced frames that are under way at most; each one ends as published or dropped."""


class FrameTraces:
    """The traced frames of a process.

    Args:
        traces: Ends them.
        share: Share of the published frames that are traced, 0..1.
        pick: Returns a number of 0..1 by chance, 1 excluded.
    """

    def __init__(
        self, traces: Traces, share: float, pick: Callable[[], float] = random.random
    ) -> None:
        self._traces = traces
        self._share = share
        self._pick = pick
        self._lock = threading.Lock()
        self._under_way: dict[str, FrameTrace] = {}

    def begin(self, captured_at: datetime) -> FrameTrace | None:
        """Begin to trace a frame that is to be encoded, or not: None."""
        if self._pick() >= self._share:
            return None
        trace = FrameTrace(TraceContext.new(), "capture", captured_at.timestamp())
        trace.enter("encode")
        return trace

    def follow(self, trace: FrameTrace | None) -> str | None:
        """Take a trace whose frame is encoded; return what the frame's record says of it."""
        if trace is None:
            return None
        trace.enter("wait_send")
        name = str(trace.context)
        with self._lock:
            if len(self._under_way) >= _MOST:
                del self._under_way[next(iter(self._under_way))]
            self._under_way[name] = trace
        return name

    def send(self, frame: Frame) -> None:
        """Note that a frame is given to Kafka's client."""
        if frame.traceparent is not None:
            with self._lock:
                trace = self._under_way.get(frame.traceparent)
            if trace is not None:
                trace.enter("send")

    def end(self, frame: Frame, outcome: str) -> None:
        """Note how a frame ended; once for each."""
        if frame.traceparent is not None:
            with self._lock:
                trace = self._under_way.pop(frame.traceparent, None)
            if trace is not None:
                self._traces.finish(trace, frame, outcome)
