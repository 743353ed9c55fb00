import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from contract.errors import ConfigurationError
from contract.samples import Samples
from producer.metrics import ProducerMetrics
from tests.fakes import FakeClock
from viewer.page_fetch import TooLargeError, TooSlowError, fetch_page
from viewer.top_rows import STAGES, Look, process_row
from viewer.top_screen import lines, look, page_address, run_top
from workers.metrics import WorkerMetrics
from workers.stages.stage_times import State

WORKER, PRODUCER = "http://127.0.0.1:8080/metrics", "http://127.0.0.1:8081/metrics"


class Worker:
    """A worker's page, with a clock that the test moves."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = WorkerMetrics(self.registry)
        self.clock = FakeClock()
        self.times = {stage: self.metrics.times(stage, self.clock) for stage in STAGES}
        for times in self.times.values():
            times.enter(State.INPUT)

    def pass_seconds(self, seconds: float, **states: State) -> None:
        for stage, state in states.items():
            self.times[stage].enter(state)
        self.clock.now += seconds
        for times in self.times.values():
            times.enter(State.INPUT)

    def look(self) -> Look:
        return Look(self.clock.now, samples(self.registry))


def samples(registry: CollectorRegistry) -> Samples:
    return Samples.of(text_string_to_metric_families(generate_latest(registry).decode()))


def test_the_stage_that_works_while_the_others_wait_is_the_bottleneck() -> None:
    worker = Worker()
    before = worker.look()
    worker.metrics.lag(0, 7, 1.5)
    worker.metrics.skipped("gate", "too_old")
    for _ in range(20):
        worker.metrics.stored("gate", 0.12, {})
    worker.pass_seconds(9, decode=State.OUTPUT, infer=State.WORK)
    worker.pass_seconds(1, store=State.WORK)
    row = process_row(WORKER, before, worker.look())
    assert row.kind == "worker"
    assert row.fps == 2
    assert row.p50_seconds == pytest.approx(0.125)
    assert row.dropped_fps == {"too_old": 0.1}
    assert (row.lag_records, row.lag_seconds) == (7, 1.5)
    assert row.bottleneck is not None
    assert row.bottleneck.name == "infer"
    shares = {stage.name: stage for stage in row.stages}
    assert shares["infer"].working == pytest.approx(0.9)
    assert shares["decode"].waiting_for_output == pytest.approx(0.9)
    assert shares["store"].waiting_for_input == pytest.approx(0.9)
    shown = lines([row])
    assert "infer (90%)" in shown[1]
    assert next(line for line in shown if "<- bottleneck" in line).lstrip().startswith("infer")
    assert "left out a second: too_old 0.1" in "\n".join(shown)


def test_a_worker_whose_stages_all_wait_has_no_bottleneck() -> None:
    worker = Worker()
    before = worker.look()
    worker.pass_seconds(1, infer=State.WORK)
    worker.pass_seconds(9)
    row = process_row(WORKER, before, worker.look())
    assert row.bottleneck is None
    assert lines([row])[1].endswith("none")


def test_a_producer_shows_what_it_publishes_and_drops() -> None:
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)
    metrics.add_camera("gate")
    before = Look(0.0, samples(registry))
    metrics.published.labels("gate").inc(30)
    metrics.dropped.labels("gate", "buffer_full").inc(10)
    row = process_row(PRODUCER, before, Look(10.0, samples(registry)))
    assert (row.kind, row.fps, row.dropped_fps) == ("producer", 3, {"buffer_full": 1})
    assert row.lag_records is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8080", "http://127.0.0.1:8080/metrics"),
        (":8080", "http://127.0.0.1:8080/metrics"),
        ("worker-1:8080", "http://worker-1:8080/metrics"),
        ("[::1]:8080", "http://[::1]:8080/metrics"),
        ("https://gate.example/worker/metrics", "https://gate.example/worker/metrics"),
    ],
)
def test_a_process_is_named_by_port_address_or_url(text: str, address: str) -> None:
    assert page_address(text) == address


@pytest.mark.parametrize("text", ["worker", "ftp://worker:1", "worker:http", ""])
def test_what_is_no_address_is_refused_and_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match="HOST:PORT"):
        page_address(text)


@pytest.fixture
def page() -> Iterator[str]:
    """The address of a worker's page."""
    worker = Worker()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(generate_latest(worker.registry))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_once_prints_every_process_and_tells_whether_all_answered(page: str) -> None:
    out = io.StringIO()
    assert run_top([page], 1, once=True, out=out, sleep=lambda _: None)
    assert out.getvalue().splitlines()[1].split()[:2] == ["worker", page]
    assert "\x1b" not in out.getvalue()
    assert not run_top([page, "127.0.0.1:1"], 1, once=True, out=out, sleep=lambda _: None)
    assert "refused" in out.getvalue()


def test_the_screen_is_drawn_again_after_each_interval(page: str) -> None:
    out, slept = io.StringIO(), list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_top([page], 5, once=False, out=out, sleep=sleep)
    assert out.getvalue().count("\x1b[H\x1b[J") == 2
    assert slept == [5, 5, 5]


def test_a_page_that_is_not_metrics_is_named(page: str) -> None:
    row = process_row(WORKER, Look(0.0), Look(1.0, samples(CollectorRegistry())))
    assert "no metrics" in row.fault
    assert look(f"http://{page}/metrics").samples is not None


def test_nothing_is_told_of_rates_before_two_looks_at_the_same_process() -> None:
    worker = Worker()
    worker.metrics.lag(0, 7, 1.5)
    for _ in range(1000):
        worker.metrics.stored("gate", 0.12, {})
    worker.pass_seconds(1000, infer=State.WORK)
    row = process_row(WORKER, Look(999.0, fault="Service Unavailable"), worker.look())
    assert (row.kind, row.fps, row.p50_seconds, row.stages) == ("worker", None, None, ())
    assert (row.lag_records, row.lag_seconds) == (7, 1.5)
    assert lines([row])[1].split() == ["worker", "127.0.0.1:8080", "-", "-", "-", "7", "1.5", "-"]
    assert len(lines([row])) == 2


def test_a_process_that_began_anew_is_another_one() -> None:
    old, new = Worker(), Worker()
    for worker, frames in ((old, 500), (new, 20)):
        worker.pass_seconds(frames, infer=State.WORK)
        for _ in range(frames):
            worker.metrics.stored("gate", 0.12, {})
    row = process_row(
        WORKER, replace(old.look(), seconds=100.0), replace(new.look(), seconds=102.0)
    )
    assert (row.fault, row.fps, row.stages) == ("", None, ())


@pytest.mark.parametrize(("started", "fps"), [(5.0, 2), (6.0, None)])
def test_the_time_of_its_start_tells_whether_it_is_the_same_process(
    started: float, fps: float | None
) -> None:
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)
    metrics.add_camera("gate")
    start = Gauge("process_start_time_seconds", "When it began.", registry=registry)
    start.set(5.0)
    before = Look(0.0, samples(registry))
    metrics.published.labels("gate").inc(20)
    start.set(started)
    assert process_row(PRODUCER, before, Look(10.0, samples(registry))).fps == fps


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf"])
def test_a_value_that_is_no_number_is_not_shown(value: str) -> None:
    worker = Worker()
    before = worker.look()
    worker.pass_seconds(10, infer=State.WORK)
    page = generate_latest(worker.registry).decode()
    page += f'seedstream_lag_records{{partition="0"}} {value}\n'
    page += f'seedstream_lag_seconds{{partition="0"}} {value}\n'
    page += f'seedstream_frames_skipped_total{{reason="too_old"}} {value}\n'
    page += f'seedstream_frames_processed_total{{camera="a"}} {value}\n'
    page += f'seedstream_result_latency_seconds_bucket{{le="+Inf"}} {value}\n'
    page += f'seedstream_stage_time_seconds_total{{stage="fetch",state="working"}} {value}\n'
    after = Look(worker.clock.now, Samples.of(text_string_to_metric_families(page)))
    row = process_row(WORKER, before, after)
    assert (row.lag_records, row.lag_seconds, dict(row.dropped_fps)) == (None, None, {})
    shown = "\n".join(lines([row]))
    assert "nan" not in shown
    assert "inf " not in shown.replace("infer ", "")


def test_a_bound_that_is_no_number_makes_no_latency() -> None:
    worker = Worker()
    page = generate_latest(worker.registry).decode()
    page += 'seedstream_result_latency_seconds_bucket{le="soon"} 1\n'
    after = Look(worker.clock.now, Samples.of(text_string_to_metric_families(page)))
    assert process_row(WORKER, worker.look(), after).p50_seconds is None


def test_words_of_a_page_reach_the_terminal_as_text_alone() -> None:
    registry = CollectorRegistry()
    metrics = ProducerMetrics(registry)
    before = Look(0.0, samples(registry))
    metrics.dropped.labels("gate", "\x1b[31mred\u202e\r\n" + "x" * 100).inc(10)
    rows = [
        process_row(PRODUCER, before, Look(10.0, samples(registry))),
        process_row(PRODUCER, before, Look(10.0, fault="\x1b]0;title\x07" + "y" * 1000)),
    ]
    shown = lines(rows)
    assert all(line.isprintable() and len(line) < 300 for line in shown)
    assert "left out a second: \\x1b[31mred\\x202e\\x0d\\x0axxx" in shown[2]


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of a page that answers like this."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:
                # The one who asked has gone, as it should.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/metrics"
    server.shutdown()
    thread.join()
    server.server_close()


def drip(request: BaseHTTPRequestHandler, piece: bytes) -> None:
    """Send a little, again and again, for 20 s."""
    never = threading.Event()
    for _ in range(2000):
        request.wfile.write(piece)
        never.wait(0.01)


def drip_page(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    drip(request, b"#\n")


def drip_head(request: BaseHTTPRequestHandler) -> None:
    drip(request, b"H")


@pytest.mark.parametrize("answer", [drip_page, drip_head])
def test_a_page_that_drips_is_given_up_after_the_whole_time(
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> None:
    with answering(answer) as address:
        began = time.monotonic()
        with pytest.raises(TooSlowError, match=r"not whole within 0\.2 s"):
            fetch_page(address, 0.2, 2**20)
        assert time.monotonic() - began < 5


def test_a_page_that_is_too_large_is_not_half_read() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(b"x" * (int(request.path[len("/metrics") :] or 0)))

    with answering(answer) as address:
        assert len(fetch_page(f"{address}1048576", 60, 2**20)) == 2**20
        with pytest.raises(TooLargeError, match="larger than 1 MiB"):
            fetch_page(f"{address}1048577", 60, 2**20)


def test_a_page_leads_elsewhere_within_the_same_time() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/metrics":
            request.send_response(302)
            request.send_header("Location", "/drip")
            request.end_headers()
        else:
            drip_page(request)

    with answering(answer) as address, pytest.raises(TooSlowError):
        fetch_page(address, 0.2, 2**20)
