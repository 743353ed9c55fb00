"""The system page's figures: from processes' own pages, and from a real Prometheus."""

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from contract.probe_server import ProbeServer
from producer.metrics import ProducerMetrics
from stack.child_process import ChildProcess
from stack.launch import free_ports
from tests.fakes import wait_until
from tests.open_pages import fetch
from viewer.web.prometheus import PrometheusError, looks
from viewer.web.system_state import SystemState, source, system_answer
from workers.metrics import WorkerMetrics

Step = Callable[[], None]
Count = Callable[[CollectorRegistry], Step]


@contextmanager
def process(count: Count) -> Iterator[str]:
    """Serve metrics as a process does, which go on counting; yield HOST:PORT."""
    registry = CollectorRegistry()
    step = count(registry)
    probes = ProbeServer(registry, lambda: None, lambda: None, "127.0.0.1", 0)
    probes.start()
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(0.05):
            step()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{probes.port}"
    finally:
        ended.set()
        thread.join(5)
        probes.stop()


def worker(registry: CollectorRegistry) -> Step:
    metrics = WorkerMetrics(registry)
    metrics.model_info.labels("street", "2", "cuda", "float16", "fastest").set(1)
    metrics.lag_records.labels("0").set(7)
    metrics.lag_seconds.labels("0").set(1.5)

    def step() -> None:
        metrics.frames_processed.labels("gate").inc()
        metrics.result_latency.observe(0.2)
        metrics.frames_skipped.labels("gate", "too_old").inc(0.5)
        metrics.stage_time.labels("infer", "working").inc(0.04)

    return step


def producer(registry: CollectorRegistry) -> Step:
    metrics = ProducerMetrics(registry)

    def step() -> None:
        metrics.published.labels("gate").inc(2)

    return step


def test_figures_come_from_the_processes_own_pages() -> None:
    async def ask(addresses: list[str]) -> list[dict[str, object]]:
        state = SystemState(addresses, None)
        try:
            first = await state.sources()
            assert await state.sources() is first  # at once: the same answer for everybody
            return first
        finally:
            state.close()

    with process(worker) as one, process(producer) as two:
        made, sent, gone = asyncio.run(ask([one, two, "127.0.0.1:1"]))
    assert made["fps"] == pytest.approx(20, rel=0.3)
    assert made["latency_p50"] == pytest.approx(0.2, rel=0.5)
    assert made["drops"] == {"too_old": pytest.approx(10, rel=0.4)}
    assert (made["kind"], made["lag_records"], made["lag_seconds"]) == ("worker", 7, 1.5)
    assert (made["model"], made["provider"], made["precision"]) == ("street/2", "cuda", "float16")
    assert (sent["kind"], sent["state"]) == ("producer", "ok")
    assert sent["fps"] == pytest.approx(40, rel=0.3)
    assert (gone["address"], gone["state"]) == ("127.0.0.1:1", "away")
    assert gone["reason"]


def test_a_viewer_is_not_told_where_processes_run() -> None:
    sources = [
        {"address": "10.0.0.7:8080", "kind": "worker", "state": "ok", "reason": None, "fps": 5.0},
        {"address": "10.0.0.8:8080", "kind": "", "state": "away", "reason": "at 10.0.0.8: no"},
    ]
    told = system_answer(sources, fault=None, states=["live", "offline"], editor=False)
    assert "10.0.0" not in str(told)
    assert told["processed_fps"] == 5.0
    assert told["cameras"] == {"live": 1, "offline": 1, "waiting": 0}
    told = system_answer(sources, fault=None, states=[], editor=True)
    assert told["sources"] == sources


@contextmanager
def prometheus(folder: Path, targets: list[str]) -> Iterator[str]:
    """Start a Prometheus that scrapes these each second; yield its URL."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on this machine")
    folder.mkdir()
    (folder / "prometheus.yaml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: seedstream, static_configs: [{{targets: {targets}}}]}}]\n"
    )
    address = f"127.0.0.1:{free_ports(1)[0]}"
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
    }
    command = [program, *(f"--{name}={value}" for name, value in options.items())]
    with ChildProcess.spawn("Prometheus", command, log_path=folder / "log") as child:

        def answers() -> bool:
            try:
                return fetch(f"http://{address}/-/ready", {}).status == 200
            except OSError:
                return not child.alive()

        wait_until(answers, seconds=30)
        yield f"http://{address}"


def test_figures_come_from_prometheus_as_well(tmp_path: Path) -> None:
    with (
        process(worker) as one,
        process(producer) as two,
        prometheus(tmp_path / "prometheus", [one, two]) as url,
    ):

        def found() -> dict[str, dict[str, object]]:
            seen = looks(url, time.monotonic(), time.time(), before_seconds=3.0)
            return {address: source(address, *pair) for address, pair in seen.items()}

        wait_until(lambda: set(found()) == {one, two}, seconds=20)
        time.sleep(6)
        made, sent = found()[one], found()[two]
    assert (made["kind"], sent["kind"]) == ("worker", "producer")
    assert made["fps"] == pytest.approx(20, rel=0.5)
    assert sent["fps"] == pytest.approx(40, rel=0.5)
    assert made["model"] == "street/2"
    assert made["lag_records"] == 7
    assert made["latency_p50"] == pytest.approx(0.2, rel=0.5)


def test_what_is_no_prometheus_is_told() -> None:
    with process(worker) as address, pytest.raises(PrometheusError, match=r"status (404|405|501)"):
        looks(f"http://{address}", time.monotonic(), time.time())
    with pytest.raises(PrometheusError, match="does not answer"):
        looks("http://127.0.0.1:1", time.monotonic(), time.time())


def test_prometheus_that_is_away_is_a_source_that_is_away() -> None:
    async def ask() -> list[dict[str, object]]:
        state = SystemState([], "http://user:secret-pw@127.0.0.1:1")
        try:
            return await state.sources()
        finally:
            state.close()

    [told] = asyncio.run(ask())
    assert told["state"] == "away"
    assert "secret" not in str(told)
