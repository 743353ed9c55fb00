"""An interrupt at any moment of a start: nothing of what was started stays."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.child_process import ChildProcess, ChildrenSince, ProcessIdentity
from stack.interrupts import held_interrupts, interruptible

ROOT = Path(__file__).parents[2]
NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

START = """
import contextlib, subprocess, signal, sys
from pathlib import Path
from stack import child_process
from stack.child_process import ChildProcess, ChildrenSince
from stack.interrupts import ignore_interrupts, interruptible
from stack.launch import launch

moment, number, home = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
detached = sys.argv[4] == "1"
Real, started = subprocess.Popen, []

class Popen(Real):
    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        started.append(self.pid)
        if "within" in moment:
            signal.raise_signal(number)

subprocess.Popen = child_process.subprocess.Popen = Popen

def start(port, folder):
    return ChildProcess.spawn("child", ["sleep", "60"], log_path=folder / "log", detached=detached)

def wait(child):
    if moment == "waiting":
        signal.raise_signal(number)

try:
    with interruptible(), contextlib.ExitStack() as cleanup:
        cleanup.callback(ChildrenSince().stop)
        try:
            if moment in ("within", "alone"):
                start(0, home)
            else:
                launch("child", None, None, start, wait)
            signal.raise_signal(number)
        finally:
            ignore_interrupts()
except KeyboardInterrupt:
    print(*started)
"""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Let SIGHUP be heard, which is ignored where the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("detached", [False, True], ids=["guarded", "detached"])
@pytest.mark.parametrize("moment", ["within", "alone", "within a launch", "waiting", "launched"])
@pytest.mark.parametrize("number", NUMBERS)
def test_an_interrupt_at_any_moment_of_a_start_leaves_nothing(
    tmp_path: Path, number: signal.Signals, moment: str, detached: bool
) -> None:
    command = [sys.executable, "-c", START, moment, str(int(number)), str(tmp_path / "own")]
    done = subprocess.run(
        [*command, str(int(detached))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    [pid] = done.stdout.split()
    assert ProcessIdentity.of(int(pid)) is None
    assert not list(tmp_path.glob("seedstream-*"))


@pytest.mark.parametrize("number", NUMBERS)
def test_what_is_held_has_its_effect_at_the_end_of_the_block(number: signal.Signals) -> None:
    reached = []

    def hold() -> None:
        with held_interrupts():
            with held_interrupts():
                signal.raise_signal(number)
                reached.append("inner")
            reached.append("outer")
        reached.append("never")

    with interruptible():
        before = signal.getsignal(number)
        with pytest.raises(KeyboardInterrupt):
            hold()
        assert signal.getsignal(number) is before
    assert reached == ["inner", "outer"]


def test_what_is_ignored_stays_ignored_also_in_a_child(tmp_path: Path) -> None:
    # What this process was started with may be ignored as well: a shell's background does that.
    before = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    try:
        with held_interrupts():
            signal.raise_signal(signal.SIGHUP)
            status = subprocess.run(
                ["cat", "/proc/self/status"], capture_output=True, text=True, check=True
            ).stdout
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    [ignored] = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")]
    assert int(ignored, 16) & 1 << (signal.SIGHUP - 1)
    assert not int(ignored, 16) & 1 << (signal.SIGINT - 1)


def test_a_command_goes_on_without_its_terminal_where_that_was_asked_for() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interruptible(once=True):
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_elsewhere_than_in_the_main_thread_nothing_is_held() -> None:
    held: list[bool] = []

    def hold() -> None:
        before = signal.getsignal(signal.SIGINT)
        with held_interrupts():
            held.append(signal.getsignal(signal.SIGINT) is not before)

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert held == [False]


def test_a_copy_of_a_process_does_not_stop_the_children_of_the_one_it_was_copied_from(
    tmp_path: Path,
) -> None:
    children = ChildrenSince()
    with ChildProcess.spawn("child", ["sleep", "60"], log_path=tmp_path / "log") as child:
        copy = os.fork()
        if copy == 0:
            children.stop()
            os._exit(0)
        assert os.waitpid(copy, 0)[1] == 0
        assert child.alive()


def test_what_was_started_before_is_somebody_elses(tmp_path: Path) -> None:
    command = ["sleep", "60"]
    with ChildProcess.spawn("before", command, log_path=tmp_path / "before") as before:
        children = ChildrenSince()
        after = [
            ChildProcess.spawn("after", command, log_path=tmp_path / f"{number}")
            for number in range(2)
        ]
        children.stop()
        assert before.alive()
        assert not any(each.alive() for each in after)
