import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from contract.frame import decode_frame, encode_frame
from contract.process import configure_logging
from contract.trace import FrameTrace, TraceContext
from contract.trace_export import ENDPOINTS, Traces, open_export
from tests.fakes import make_frame

# The example of the standard: https://www.w3.org/TR/trace-context/#traceparent-header
EXAMPLE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_context_is_read_and_written_as_the_standard_says() -> None:
    context = TraceContext.parse(EXAMPLE)
    assert context == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7, True)
    assert str(context) == EXAMPLE
    assert TraceContext.parse(str(new := TraceContext.new())) == new
    not_sampled = TraceContext.parse(EXAMPLE[:-1] + "2")
    assert not_sampled is not None
    assert not not_sampled.sampled
    # A later version may say more.
    assert TraceContext.parse(f"cc{EXAMPLE[2:]}-what-the-future-knows") == context


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "gate",
        EXAMPLE.upper(),
        EXAMPLE + "-00",
        EXAMPLE + "\n",
        "ff" + EXAMPLE[2:],
        EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", "0" * 32),
        EXAMPLE.replace("00f067aa0ba902b7", "0" * 16),
        EXAMPLE[:-1],
        EXAMPLE.replace("4b", "٤b"),
    ],
)
def test_a_malformed_context_counts_as_none(text: str | None) -> None:
    assert TraceContext.parse(text) is None
    assert FrameTrace.following(text, "fetch", 0.0) is None


def test_a_frame_that_is_not_to_be_recorded_is_not_followed() -> None:
    assert FrameTrace.following(EXAMPLE[:-1] + "0", "fetch", 0.0) is None


def test_parts_follow_one_another_without_a_gap() -> None:
    now = [100.0]
    trace = FrameTrace(TraceContext.new(), "capture", 99.5, clock=lambda: now[0])
    trace.enter("encode")
    now[0] = 100.25
    trace.enter("send")
    now[0] = 99.0  # the clock was set back
    parts = trace.end()
    assert [tuple(part) for part in parts] == [
        ("capture", 99.5, 100.0),
        ("encode", 100.0, 100.25),
        ("send", 100.25, 100.25),
    ]
    assert [part.milliseconds for part in parts] == [500, 250, 0]


def test_a_way_that_began_in_the_future_by_another_clock_began_now() -> None:
    trace = FrameTrace(TraceContext.new(), "fetch", 107.0, clock=lambda: 100.0)
    assert [tuple(part) for part in trace.end()] == [("fetch", 100.0, 100.0)]


def test_a_record_carries_the_context() -> None:
    frame = make_frame("gate", traceparent=EXAMPLE)
    key, value, headers = encode_frame(frame)
    assert ("traceparent", EXAMPLE.encode()) in headers
    assert decode_frame(key, value, headers, max_bytes=10_000) == frame


def traced(now: float = 100.0) -> FrameTrace:
    trace = FrameTrace.following(EXAMPLE, "fetch", now - 0.5, lambda: now)
    assert trace is not None
    trace.enter("store")
    return trace


def test_the_log_says_where_the_time_went(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure_logging("worker")
    try:
        Traces("worker", "frames").finish(traced(), make_frame("gate", 7), "stored")
    finally:
        root.handlers[:], root.level = before
        sys.excepthook = sys.__excepthook__
    line = json.loads(capsys.readouterr().err)
    assert line["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert line["milliseconds"] == {"fetch": 500, "store": 0}
    assert line["outcome"] == "stored"
    assert line["message"].startswith("camera gate: frame 7 of session ")
    assert "stored after 500 ms: fetch 500, store 0 (trace 4bf92f35" in line["message"]


@contextmanager
def collector() -> Iterator[tuple[int, list[ResourceSpans]]]:
    """Receive what the standard's protocol sends, on a free port."""
    received: list[ResourceSpans] = []

    class Receive(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.extend(ExportTraceServiceRequest.FromString(body).resource_spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receive) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port, received
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_collector_gets_the_whole_way_and_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    with collector() as (port, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        traces = Traces("worker", "frames", open_export("worker"))
        traces.finish(traced(), make_frame("gate", 7), "stored", (3, 41))
        traces.close()
    (of_us,) = received
    assert "seedstream-worker" in {each.value.string_value for each in of_us.resource.attributes}
    spans = {span.name: span for scope in of_us.scope_spans for span in scope.spans}
    assert set(spans) == {"process frames", "fetch", "store"}
    whole, fetch = spans["process frames"], spans["fetch"]
    assert {span.trace_id.hex() for span in spans.values()} == {EXAMPLE[3:35]}
    assert whole.parent_span_id.hex() == EXAMPLE[36:52]
    assert fetch.parent_span_id == whole.span_id
    assert whole.kind == Span.SPAN_KIND_CONSUMER
    assert (fetch.start_time_unix_nano, fetch.end_time_unix_nano) == (99_500_000_000, 100 * 10**9)
    about = {each.key: each.value for each in whole.attributes}
    assert about["messaging.destination.partition.id"].string_value == "3"
    assert about["messaging.kafka.offset"].int_value == 41
    assert about["seedstream.outcome"].string_value == "stored"


def test_a_collector_that_is_away_costs_spans_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{port}/v1/traces")
    monkeypatch.setattr("contract.trace_spans._CLOSE_SECONDS", 0.2)
    export = open_export("producer")
    assert export is not None
    traces = Traces("producer", "frames", export)
    for number in range(3):
        traces.finish(traced(), make_frame("gate", number), "published")
    traces.close()


def test_a_collector_without_the_library_is_said_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert open_export("worker") is None
    assert caplog.text == ""
    monkeypatch.setenv(ENDPOINTS[1], "http://collector:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    monkeypatch.delitem(sys.modules, "contract.trace_spans", raising=False)
    assert open_export("worker") is None
    assert "OTEL_EXPORTER_OTLP_ENDPOINT is set" in caplog.text
    assert "pip install 'seedstream[trace]'" in caplog.text
