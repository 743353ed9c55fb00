"""Spans to an OpenTelemetry collector, over OTLP and HTTP.

Library: opentelemetry-sdk; its batches are made and sent in a thread of its own, from a queue that
drops what it has no room for (``OTEL_BSP_MAX_QUEUE_SIZE``). Further variables of the standard, like
``OTEL_EXPORTER_OTLP_HEADERS`` or ``OTEL_RESOURCE_ATTRIBUTES``, are heard by the library itself.
"""

import logging
import threading
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from contract.trace import FrameTrace, Part, TraceContext
from contract.trace_export import Attributes, Process

_CLOSE_SECONDS = 2.0
"""How long spans that wait may take to leave at the end of the process."""

_NANOSECONDS = 1_000_000_000


class SpanExport:
    """Sends spans.

    Args:
        process: Which kind of process: names the service, unless ``OTEL_SERVICE_NAME`` does.
        release: Version of ours.
    """

    def __init__(self, process: Process, release: str) -> None:
        ours = Resource({SERVICE_NAME: f"seedstream-{process}", SERVICE_VERSION: release})
        self._resource = ours.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("seedstream", release)
        self._kind = SpanKind.PRODUCER if process == "producer" else SpanKind.CONSUMER
        # It tells of each attempt, with a stack; that spans were lost it says once as an error.
        logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.ERROR)
        self._batches = BatchSpanProcessor(OTLPSpanExporter())

    def span(self, name: str, trace: FrameTrace, parts: Sequence[Part], about: Attributes) -> None:
        """See `contract.trace_export.Export`."""
        whole = Part(name, parts[0].began_seconds, parts[-1].ended_seconds)
        self._send(whole, trace.context, trace.parent, self._kind, about)
        for part in parts:
            self._send(part, trace.context.child(), trace.context, SpanKind.INTERNAL, {})

    def close(self) -> None:
        """See `contract.trace_export.Export`."""
        # A collector that does not answer holds it up for longer than a process has at its end.
        thread = threading.Thread(target=self._batches.shutdown, name="spans-end", daemon=True)
        thread.start()
        thread.join(_CLOSE_SECONDS)

    def _send(
        self,
        part: Part,
        context: TraceContext,
        parent: TraceContext | None,
        kind: SpanKind,
        about: Attributes,
    ) -> None:
        span = ReadableSpan(
            name=part.name,
            context=_span_context(context, remote=False),
            parent=_span_context(parent, remote=kind is not SpanKind.INTERNAL) if parent else None,
            resource=self._resource,
            attributes=about,
            kind=kind,
            start_time=int(part.began_seconds * _NANOSECONDS),
            end_time=int(part.ended_seconds * _NANOSECONDS),
            instrumentation_scope=self._scope,
        )
        self._batches.on_end(span)


def _span_context(context: TraceContext, *, remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace_id, context.span_id, remote, flags)
