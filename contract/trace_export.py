"""What becomes of a traced frame: a line in the log, and spans for OpenTelemetry where asked for.

Spans go to the collector that the standard's own variable names (``OTEL_EXPORTER_OTLP_ENDPOINT``;
https://opentelemetry.io/docs/specs/otel/protocol/exporter/). A collector that is slow or away costs
spans, never a frame. Library: opentelemetry-sdk (extra ``trace``), loaded only where that is set.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Literal, Protocol

from contract.frame import Frame
from contract.trace import FrameTrace, Part

log = logging.getLogger("seedstream.trace")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""Variables that name a collector; either asks for spans."""

Process = Literal["producer", "worker"]
Attributes = Mapping[str, str | int]


class Export(Protocol):
    """Takes spans; never waits."""

    def span(self, name: str, trace: FrameTrace, parts: Sequence[Part], about: Attributes) -> None:
        """Take the span of a frame's whole way, with one child for each part."""
        ...

    def close(self) -> None:
        """Send what waits, within a bound."""
        ...


class Traces:
    """Ends the traces of a process.

    Args:
        process: Which kind of process.
        topic: Kafka topic that the frames travel on.
        export: Where spans go; None where nobody asked for them.
    """

    def __init__(self, process: Process, topic: str, export: Export | None = None) -> None:
        self._name = f"{'send' if process == 'producer' else 'process'} {topic}"
        self._topic = topic
        self._export = export

    def finish(
        self,
        trace: FrameTrace,
        frame: Frame,
        outcome: str,
        position: tuple[int, int] | None = None,
    ) -> None:
        """Say where a frame's time went.

        Args:
            trace: Its way through this process, which ends here.
            frame: The frame.
            outcome: How it ended.
            position: Partition and offset of its record, where they are known.
        """
        parts = trace.end()
        times = {part.name: part.milliseconds for part in parts}
        log.info(
            "camera %s: frame %d of session %s: %s after %g ms: %s (trace %s)",
            frame.camera,
            frame.sequence,
            frame.session,
            outcome,
            round(sum(times.values()), 1),
            ", ".join(f"{name} {milliseconds:g}" for name, milliseconds in times.items()),
            trace.context.trace,
            extra={
                "trace_id": trace.context.trace,
                "camera": frame.camera,
                "outcome": outcome,
                "milliseconds": times,
            },
        )
        if self._export is not None:
            about = _about(self._topic, frame, outcome, position)
            self._export.span(self._name, trace, parts, about)

    def close(self) -> None:
        """Send the spans that wait, within a bound."""
        if self._export is not None:
            self._export.close()


def open_export(process: Process) -> Export | None:
    """Return where spans go; None where no variable names a collector, or the library is missing.

    That is said in the log and ends nothing: operators of Kubernetes set such variables for all.
    """
    named = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    if named is None:
        return None
    try:
        from contract.trace_spans import SpanExport
    except ModuleNotFoundError as error:
        log.warning(
            "%s is set, but there is no module %s: no spans are sent; install the extra "
            "'trace' (pip install 'seedstream[trace]'), or unset the variable",
            named,
            error.name,
        )
        return None
    return SpanExport(process, version("seedstream"))


def _about(
    topic: str, frame: Frame, outcome: str, position: tuple[int, int] | None
) -> dict[str, str | int]:
    """Return a span's attributes, by OpenTelemetry's conventions for messaging."""
    about: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.kafka.message.key": frame.camera,
        "messaging.message.body.size": len(frame.data),
        "seedstream.camera": frame.camera,
        "seedstream.session": frame.session,
        "seedstream.sequence": frame.sequence,
        "seedstream.outcome": outcome,
    }
    if position is not None:
        about["messaging.destination.partition.id"] = str(position[0])
        about["messaging.kafka.offset"] = position[1]
    return about
