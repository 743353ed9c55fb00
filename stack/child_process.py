"""A child process: started with its log in a file, watched, signalled, and ended within a bound."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from contract.errors import UnavailableError
from stack.interrupts import held_interrupts

TAIL_LINES = 20
POLL_SECONDS = 0.05
KILL_SECONDS = 5.0
"""How long the kernel may take to end a process after SIGKILL."""


class StartError(UnavailableError):
    """A child did not come up, or died; the message carries the tail of its log."""


class ProcessIdentity(msgspec.Struct, frozen=True):
    """A process that is never mistaken for a later one with the same id.

    Attributes:
        pid: Process id.
        started: Start time in clock ticks since boot (``/proc/PID/stat``, field 22).
    """

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Return the identity of a process; None where nothing of it runs any more."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The program's name, in brackets, may hold blanks and brackets: fields begin after it.
        fields = stat.rpartition(")")[2].split()
        # "Z" is an exit status that nobody fetched, unless other threads outlive the main one.
        ended = fields[0] in "ZX" and int(fields[17]) <= 1
        return None if ended else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        """Return whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process if it still runs."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


_numbers = itertools.count(1)
_unstopped: "dict[int, ChildProcess]" = {}
"""Children that nobody has stopped yet, by their numbers, in the order in which they started."""

os.register_at_fork(after_in_child=_unstopped.clear)  # a copy of this process has none of its own


@dataclass(kw_only=True)
class ChildProcess:
    """A running process; a context manager that stops it.

    An interrupt can come between the start and the moment from which the caller would stop it. A
    command that may be interrupted ends with ``ChildrenSince.stop``, therefore.

    Attributes:
        name: What it is, for messages.
        identity: The process.
        log_path: Everything it wrote.
        address: HOST:PORT that it answers on; empty for a process without one.
        folder: Its own folder, removed after the stop; None keeps everything.
    """

    name: str
    identity: ProcessIdentity
    log_path: Path
    address: str = ""
    folder: Path | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _number: int = field(default_factory=lambda: next(_numbers), repr=False)

    @classmethod
    def spawn(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        detached: bool = False,
        **attributes: Any,
    ) -> Self:
        """Start a child process whose output goes to a file.

        It runs in its own session, so that Ctrl-C in the terminal reaches only the parent, which
        then ends its children in order. Unless detached, the kernel kills it when the *thread* that
        called this ends, hence also when the parent is killed: call from a thread that stays.

        Args:
            name: What it is, for messages.
            command: Program and arguments.
            log_path: File for its standard output and error; its folder is made.
            env: Its whole environment; the parent's if None.
            cwd: Its working directory; the parent's if None.
            detached: Whether it may outlive the parent.
            attributes: The other attributes of the class.

        Raises:
            StartError: The program cannot be run.
        """
        guard = Path(__file__).with_name("parent_death_guard.py")
        guarded = [sys.executable, "-I", "-S", str(guard), str(os.getpid()), *command]
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with held_interrupts(), log_path.open("wb") as log:
            try:
                process = subprocess.Popen(
                    list(command) if detached else guarded,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"cannot run {command[0]}: {error.strerror}") from error
            # One that has already ended has no start time any more; 0 never matches a living one.
            identity = ProcessIdentity.of(process.pid) or ProcessIdentity(process.pid, 0)
            child = cls(
                name=name, identity=identity, log_path=log_path, _process=process, **attributes
            )
            _unstopped[child._number] = child
        return child

    @property
    def pid(self) -> int:
        """Process id."""
        return self.identity.pid

    @property
    def exit_code(self) -> int | None:
        """Exit status of an own child that has ended (negative: the signal), else None."""
        return None if self._process is None else self._process.poll()

    def alive(self) -> bool:
        """Return whether the process still runs."""
        # Of an own child only its exit status is certain: its threads may outlive the main one.
        return self.identity.alive() if self._process is None else self._process.poll() is None

    def text(self) -> str:
        """Return everything that it has logged."""
        return self.log_path.read_text(errors="replace")

    def tail(self) -> str:
        """Return the last lines of its log."""
        return log_tail(self.log_path)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal if it still runs."""
        self.identity.signal(number)

    def wait(self, timeout_seconds: float) -> int | None:
        """Wait at most ``timeout_seconds`` for its end; return ``exit_code``."""
        deadline = time.monotonic() + timeout_seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return self.exit_code

    def wait_until(
        self, condition: Callable[[], object], timeout_seconds: float, otherwise: str
    ) -> None:
        """Wait until ``condition`` holds while the process runs.

        Args:
            condition: Asked again and again.
            timeout_seconds: How long it may take.
            otherwise: What to say if it takes longer, such as "no answer".

        Raises:
            StartError: The process has ended, or the time is over; the message carries the end of
                its log.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            check_alive([self])
            if condition():
                return
            if time.monotonic() >= deadline:
                raise StartError(
                    f"{self.name}: {otherwise} within {timeout_seconds:g} s; the end of its log "
                    f"{self.log_path}:\n{self.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def stop(self, timeout_seconds: float = 10.0) -> int | None:
        """End the process: SIGTERM, a bounded wait, SIGKILL; then remove its folder.

        Returns:
            ``exit_code``: minus SIGKILL if it did not end in time.
        """
        self.signal(signal.SIGTERM)
        self.wait(timeout_seconds)
        self.kill()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        _unstopped.pop(self._number, None)
        return self.exit_code

    def kill(self) -> None:
        """End it at once (SIGKILL), as the kernel does when memory is short."""
        self.signal(signal.SIGKILL)
        self.wait(KILL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class ChildrenSince:
    """The children that this process starts from now on."""

    def __init__(self) -> None:
        self._first = next(_numbers)

    def stop(self) -> None:
        """Stop every one of them that nobody has stopped, the last one first."""
        for number, child in reversed(list(_unstopped.items())):
            if number > self._first:
                child.stop()


def log_tail(path: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log file, at most 16 KiB."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:]) or "(the log is empty)"


def died(process: ChildProcess) -> StartError:
    """Return the error for a child that ended on its own."""
    code = process.exit_code
    how = "" if code is None else f" ({_exit_text(code)})"
    return StartError(
        f"{process.name} ended unexpectedly{how}; the end of its log {process.log_path}:\n"
        f"{process.tail()}"
    )


def check_alive(processes: Iterable[ChildProcess]) -> None:
    """See that all of them still run.

    Raises:
        StartError: One has ended; the message carries the end of its log.
    """
    for process in processes:
        if not process.alive():
            raise died(process)


def _exit_text(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
