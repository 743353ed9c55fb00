import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from contract.probe_server import ProbeServer
from contract.samples import FILES_VARIABLE
from stack.child_process import (
    ChildProcess,
    ProcessIdentity,
    StartError,
    check_alive,
    died,
    log_tail,
)
from stack.demo.settings import DemoOptions, check
from stack.jars import cache_folder, missing_programs
from stack.seedstream_process import SeedstreamProcess, environment


def python(code: str, log_path: Path) -> ChildProcess:
    command = [sys.executable, "-I", "-S", "-c", code]
    return ChildProcess.spawn("child", command, log_path=log_path)


def test_a_child_that_ends_on_sigterm_is_not_killed(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(15, lambda *_: sys.exit(3)); print('up', flush=True)\n"
    )
    child = python(code + "while True: signal.pause()", tmp_path / "log")
    child.wait_until(lambda: "up" in child.text(), 10, "not up")
    assert child.stop(5) == 3
    assert not child.alive()


def test_a_child_that_ignores_sigterm_is_killed_after_the_bound(tmp_path: Path) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\n"
    child = python(code + "while True: signal.pause()", tmp_path / "log")
    child.wait_until(lambda: "up" in child.text(), 10, "not up")
    assert child.stop(0.1) == -signal.SIGKILL


def test_a_dead_child_is_named_with_how_it_ended_and_its_last_words(tmp_path: Path) -> None:
    child = python("print('last words'); raise SystemExit(7)", tmp_path / "log")
    assert child.wait(10) == 7
    with pytest.raises(StartError) as caught:
        check_alive([child])
    assert "child ended unexpectedly (exit code 7)" in str(caught.value)
    assert "last words" in str(caught.value)


def test_a_killed_child_is_named_with_the_signal(tmp_path: Path) -> None:
    child = python("import signal; signal.pause()", tmp_path / "log")
    child.kill()
    assert child.exit_code == -signal.SIGKILL
    assert "killed by SIGKILL" in str(died(child))


def test_waiting_for_a_child_that_ends_or_takes_too_long_shows_its_last_words(
    tmp_path: Path,
) -> None:
    ended = python("print('no licence'); raise SystemExit(7)", tmp_path / "log")
    with pytest.raises(StartError, match=r"exit code 7.*\n.*no licence"):
        ended.wait_until(lambda: False, 10, "no answer")
    code = "import signal; print('still thinking', flush=True); signal.pause()"
    with python(code, tmp_path / "other") as child:
        child.wait_until(lambda: "still" in child.text(), 10, "not up")
        with pytest.raises(StartError, match=r"child: no answer within 0.01 s;.*\n.*still thinki"):
            child.wait_until(lambda: False, 0.01, "no answer")
    assert not child.alive()


def test_a_frozen_child_goes_on_when_it_is_continued_and_can_be_killed(tmp_path: Path) -> None:
    code = "import time\nwhile True: print('x', flush=True); time.sleep(0.001)"
    child = python(code, tmp_path / "log")
    child.wait_until(child.text, 10, "no word")
    child.signal(signal.SIGSTOP)
    stat = Path(f"/proc/{child.pid}/stat")
    child.wait_until(lambda: ") T " in stat.read_text(), 10, "not frozen")
    frozen = child.text()
    child.signal(signal.SIGCONT)
    child.wait_until(lambda: len(child.text()) > len(frozen), 10, "still frozen")
    child.signal(signal.SIGSTOP)
    child.kill()
    assert child.exit_code == -signal.SIGKILL


def test_the_pages_of_a_process_are_found_by_the_port_in_its_log(tmp_path: Path) -> None:
    own, log_path = ProcessIdentity.of(os.getpid()), tmp_path / "log"
    assert own is not None
    process = SeedstreamProcess(name="worker", identity=own, log_path=log_path)
    log_path.write_text("connecting to Kafka\n")
    assert (process.port, process.ready(), process.metrics()) == (None, False, None)
    registry, reasons = CollectorRegistry(), ["no partition yet"]
    frames = Counter("frames", "Frames.", ["camera"], registry=registry)
    frames.labels("a").inc(3)
    frames.labels("b").inc(4)
    server = ProbeServer(
        registry, lambda: None, lambda: reasons[0] if reasons else None, "127.0.0.1", 0
    )
    server.start()
    try:
        log_path.write_text(f"probes and /metrics on port {server.port}\nand more\n")
        assert process.get("/readyz") == (503, "no partition yet\n")
        reasons.clear()
        process.wait_until_ready(10)
        assert process.metric("frames_total") == 7
        assert process.metric("frames_total", camera="b") == 4
    finally:
        server.stop()
    assert process.get("/metrics")[0] == 0


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no-such-program"):
        ChildProcess.spawn("child", ["no-such-program"], log_path=tmp_path / "log", detached=True)


def test_an_identity_with_another_start_time_is_never_signalled() -> None:
    own = ProcessIdentity.of(os.getpid())
    assert own is not None
    assert own.alive()
    recycled = ProcessIdentity(own.pid, own.started + 1)
    assert not recycled.alive()
    recycled.signal(signal.SIGKILL)  # and this test still runs


def test_a_process_that_is_only_an_exit_status_has_ended() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert ProcessIdentity.of(child.pid) is None
    child.wait()


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert log_tail(path) == "(no log)"
    path.write_text("")
    assert log_tail(path) == "(the log is empty)"
    path.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert log_tail(path, lines=2) == "line 9998\nline 9999"


def test_the_cache_follows_the_xdg_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/seedstream")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/invalid")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_folder() == Path("/home/someone/.cache/seedstream")


def test_what_is_missing_for_kafka_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert missing_programs() == ["Java 17 or newer (`java`)"]


def test_the_shipped_options_of_the_demo_are_usable(tmp_path: Path) -> None:
    check(DemoOptions(out=tmp_path))
    assert (tmp_path / "logs").is_dir()


def test_settings_of_the_shell_do_not_reach_the_children(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("PRODUCER_TOPIC", "WORKER_MODE", "worker_device", "VIEWER_MIN_SCORE"):
        monkeypatch.setenv(name, "of another pipeline")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    given = environment("WORKER_", {"topic": "own"}, tmp_path / "values")
    assert "of another pipeline" not in given.values()
    assert given["WORKER_TOPIC"] == "own"
    assert given["OMP_NUM_THREADS"] == "2"
    assert given[FILES_VARIABLE] == str(tmp_path / "values")
