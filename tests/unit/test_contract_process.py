import contextlib
import json
import logging
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, enable_created_metrics
from prometheus_client.exposition import choose_encoder

from contract.errors import ConfigurationError
from contract.probe_server import ProbeServer
from contract.process import Shutdown, _Seldom, configure_logging, process_registry


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def state() -> dict[str, str | None]:
    return {"alive": None, "ready": "the model is loading"}


@pytest.fixture
def server(state: dict[str, str | None]) -> Iterator[ProbeServer]:
    registry = CollectorRegistry()
    Counter("seen", "Seen", registry=registry).inc(3)
    probes = ProbeServer(registry, lambda: state["alive"], lambda: state["ready"], "127.0.0.1", 0)
    probes.start()
    yield probes
    probes.stop()


def test_probes_answer_by_the_state_of_the_process(
    server: ProbeServer, state: dict[str, str | None]
) -> None:
    assert get(server.port, "/healthz") == (200, "ok\n")
    assert get(server.port, "/readyz") == (503, "the model is loading\n")
    state.update(alive="the loop stands still", ready=None)
    assert get(server.port, "/healthz") == (503, "the loop stands still\n")
    assert get(server.port, "/readyz?verbose")[0] == 200
    assert get(server.port, "/else")[0] == 404


def test_metrics_are_those_of_the_registry(server: ProbeServer) -> None:
    status, body = get(server.port, "/metrics")
    assert status == 200
    assert "seen_total 3.0" in body


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_no_series_tells_when_a_metric_was_created(accept: str) -> None:
    enable_created_metrics()
    registry = process_registry()
    counter = Counter("seen", "Seen", ["camera"], registry=registry)
    counter.labels("gate").inc()
    Histogram("took", "Took", registry=registry).observe(1)
    encode, _ = choose_encoder(accept)
    page = encode(registry).decode()
    assert 'seen_total{camera="gate"} 1.0' in page
    assert "_created" not in page


def test_a_taken_port_is_a_clear_fault() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"cannot listen on 127.0.0.1:{port}"):
            ProbeServer(CollectorRegistry(), lambda: None, lambda: None, "127.0.0.1", port)


def test_logs_are_json_lines_without_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        configure_logging("worker")
        logging.getLogger("seedstream.test").warning("lost %s", "rtsp://a:b@c/1")
    finally:
        root.handlers[:], root.level = before
    line = json.loads(capsys.readouterr().err)
    assert line["message"] == "lost rtsp://c"
    assert line["level"] == "WARNING"
    assert line["process"] == "worker"
    assert line["logger"] == "seedstream.test"


def test_what_kafkas_client_repeats_is_logged_once_in_ten_seconds() -> None:
    now = [100.0]
    seldom = _Seldom(lambda: now[0])

    def logged(name: str, text: str) -> str | bool:
        record = logging.LogRecord(name, logging.ERROR, "", 0, "Topic %s not found", (text,), None)
        return seldom.filter(record) and record.getMessage()

    said = "Topic frames not found"
    assert [logged("kafka.cluster", "frames") for _ in range(3)] == [said, False, False]
    assert logged("kafka.cluster", "dead"), "another text"
    assert logged("kafka.coordinator", "frames"), "by another part"
    assert [logged("workers.loop", "frames") for _ in range(3)] == [said] * 3, "our own lines"
    now[0] += 9.9
    assert not logged("kafka.cluster", "frames")
    now[0] += 0.2
    assert [logged("kafka.cluster", "frames") for _ in range(2)] == [
        f"{said} (3 more like this since the last such line)",
        False,
    ]
    assert all(logged("kafka.cluster", str(number)) for number in range(1_000))


@pytest.mark.parametrize("style", ["json", "text"])
def test_an_uncaught_error_is_logged_without_credentials(style: str) -> None:
    program = (
        "from contract.process import configure_logging\n"
        f"configure_logging('worker', style={style!r})\n"
        "raise RuntimeError('cannot open rtsp://user:hunter2@cam/1')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert "rtsp://cam" in done.stderr
    assert "hunter2" not in done.stderr
    if style == "json":
        assert json.loads(done.stderr)["level"] == "CRITICAL"


def test_the_first_sigterm_asks_and_the_second_insists() -> None:
    program = (
        "import os, signal\n"
        "from contract.process import Shutdown\n"
        "shutdown = Shutdown(); shutdown.install()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert shutdown.wait(5)\n"
        "print('asked', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print('still here', flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert done.stdout == b"asked\n"
    assert done.returncode == -signal.SIGTERM


def test_sigterm_is_heard_while_a_call_is_stuck_in_the_network() -> None:
    program = (
        "import socket, threading, time\n"
        "from contract.process import Shutdown\n"
        "shutdown = Shutdown(); shutdown.install()\n"
        "silent = socket.create_server(('127.0.0.1', 0))\n"
        "def stuck():\n"
        "    client = socket.create_connection(silent.getsockname())\n"
        "    print('stuck', flush=True)\n"
        "    client.recv(1)\n"
        "assert shutdown.unless_requested(stuck) is None\n"
        "assert shutdown.wait(0)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"stuck\n"
        process.terminate()
        assert process.wait(30) == 0


def test_what_is_run_unless_the_end_is_requested_returns_and_raises_as_if_called() -> None:
    shutdown = Shutdown()
    assert shutdown.unless_requested(lambda: 7) == 7
    assert not shutdown.wait(0)
    with pytest.raises(ConfigurationError, match="wrong"):
        shutdown.unless_requested(lambda: refuse("wrong"))
    shutdown.request()
    assert shutdown.unless_requested(lambda: refuse("never called")) is None


def refuse(text: str) -> None:
    raise ConfigurationError(text)


def test_probes_answer_while_many_clients_connect_and_say_nothing(server: ProbeServer) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 5))
        assert get(server.port, "/healthz") == (200, "ok\n")


def test_connections_that_come_while_none_is_accepted_wait() -> None:
    probes = ProbeServer(CollectorRegistry(), lambda: None, lambda: None, "127.0.0.1", 0)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", probes.port), 0.5))
        probes.start()
        stack.callback(probes.stop)
        assert get(probes.port, "/healthz") == (200, "ok\n")


def test_a_requested_shutdown_ends_every_wait() -> None:
    shutdown = Shutdown()
    assert not shutdown.requested
    assert not shutdown.wait(0)
    shutdown.request()
    assert shutdown.requested
    assert shutdown.wait(60)


def test_a_signal_in_the_middle_of_a_wait_does_not_hang_the_process() -> None:
    # Signals of another process come at any instruction; those of a thread only where it may run.
    program = (
        "import signal\n"
        "from contract.process import Shutdown\n"
        "signal.alarm(20)\n"  # ends it, should it hang
        "for turn in range(200):\n"
        "    shutdown = Shutdown(); shutdown.install()\n"
        "    print('send', flush=True)\n"
        "    while not shutdown.wait(0):\n"
        "        pass\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        sent = 0
        for _ in child.stdout:
            child.send_signal(signal.SIGTERM)
            sent += 1
    assert (sent, child.returncode) == (200, 0)
