import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack.child_process import (
    ProcessIdentity,
    Server,
    StartError,
    check_alive,
    died,
    log_tail,
    spawn,
)
from stack.demo.settings import DemoOptions, check
from stack.jars import cache_folder, missing_programs


def python(code: str, log_path: Path) -> Server:
    command = [sys.executable, "-I", "-S", "-c", code]
    return spawn("child", command, log_path=log_path)


def test_a_child_that_ends_on_sigterm_is_not_killed(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(15, lambda *_: sys.exit(3)); print('up', flush=True)\n"
    )
    child = python(code + "while True: signal.pause()", tmp_path / "log")
    while "up" not in child.tail():
        assert child.alive()
    assert child.stop(5)
    assert child.exit_code == 3
    assert not child.alive()


def test_a_child_that_ignores_sigterm_is_killed_after_the_bound(tmp_path: Path) -> None:
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\n"
    child = python(code + "while True: signal.pause()", tmp_path / "log")
    while "up" not in child.tail():
        assert child.alive()
    assert not child.stop(0.1)
    assert child.exit_code == -signal.SIGKILL


def test_a_dead_child_is_named_with_how_it_ended_and_its_last_words(tmp_path: Path) -> None:
    child = python("print('last words'); raise SystemExit(7)", tmp_path / "log")
    assert child.wait(10)
    with pytest.raises(StartError) as caught:
        check_alive([child])
    assert "child ended unexpectedly (exit code 7)" in str(caught.value)
    assert "last words" in str(caught.value)


def test_a_killed_child_is_named_with_the_signal(tmp_path: Path) -> None:
    child = python("import signal; signal.pause()", tmp_path / "log")
    child.identity.signal(signal.SIGKILL)
    assert child.wait(10)
    assert "killed by SIGKILL" in str(died(child))


def test_a_program_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no-such-program"):
        spawn("child", ["no-such-program"], log_path=tmp_path / "log", detached=True)


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
