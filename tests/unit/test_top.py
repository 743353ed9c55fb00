import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from contract.errors import ConfigurationError
from contract.samples import Samples
from producer.metrics import ProducerMetrics
from tests.fakes import FakeClock
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
