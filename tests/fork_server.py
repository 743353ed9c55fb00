"""A fork server: a Python that has imported what our processes import, and becomes one at a fork.

Two hundred tests start a producer, a worker or a viewer. Most of a start is importing (a worker's:
seconds of processor time), which is done once here. What a process does from its first own line on
is the same. Whatever is more than a plain ``python -m seedstream`` or ``tests.fake_worker`` is
started as ever: with a program before it, or with variables that are read while modules are
imported. So is what `seedstream demo` starts, in its tests as well.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from stack.child_process import ProcessIdentity, StartError
from stack.seedstream_process import SeedstreamProcess

IMPORTED = (
    "tests.fake_worker", "producer.app", "viewer.web.app", "seedstream.commands.produce",
    "seedstream.commands.work", "seedstream.commands.view", "seedstream.commands.dead",
    "seedstream.commands.doctor", "seedstream.commands.render", "seedstream.commands.probe",
    "seedstream.commands.results", "seedstream.commands.dataset", "model.data.open",
    "model.data.check", "model.data.check_report", "model.data.sheet",
)  # fmt: skip
PROGRAMS = ("seedstream", "tests.fake_worker")
SETTINGS = (
    "WORKER_", "PRODUCER_", "VIEWER_", "VIEW_", "DEAD_", "RESULTS_", "FAKE_", "COLUMNS", "TERM",
)  # fmt: skip
"""Variables that are read when a process begins, and by no module while it is imported."""

REPOSITORY = Path(__file__).resolve().parent.parent
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LENGTH = struct.Struct("!I")


def _beside_settings(environment: Mapping[str, str]) -> dict[str, str]:
    # pytest's own tell which test is running; the others are set by modules that are imported.
    others = (*SETTINGS, "PYTEST_", "LD_LIBRARY_PATH", "ORT_DISABLE_TELEMETRY")
    return {name: value for name, value in environment.items() if not name.startswith(others)}


_ENVIRONMENT = _beside_settings(os.environ)


def note_environment() -> None:
    """Take the variables of this process, as they are now, for those of the fork server.

    Folders of tests may set some when they are collected: until then they are not the ones that the
    tests' processes get.
    """
    _ENVIRONMENT.clear()
    _ENVIRONMENT.update(_beside_settings(os.environ))


class Forked:
    """What is known of a process that the fork server started, as of a `subprocess.Popen`.

    Args:
        pid: Process id.
        status: Where its exit status will be told.
    """

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status = status
        self._code: int | None = None
        self._asking = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit status (negative: the signal), None while it runs."""
        with self._asking:
            if self._code is None and select.select([self._status], [], [], 0)[0]:
                told = os.read(self._status, 16)
                os.close(self._status)
                # Without a word the server is gone, and the process with it.
                self._code = int(told) if told else -signal.SIGKILL
            return self._code


class ForkServer:
    """Starts it; ``close`` ends it, and with it what it started."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=REPOSITORY,
                env=_ENVIRONMENT,
                start_new_session=True,
            )

    def start(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, files: Sequence[int]
    ) -> Forked:
        """Start ``python -m WORDS...``.

        Args:
            words: Module and arguments.
            env: Its whole environment.
            cwd: Its working directory.
            files: Descriptors of its standard input, output and error.

        Raises:
            StartError: The server is gone.
        """
        body = json.dumps({"words": [*words], "env": dict(env), "cwd": str(cwd)}).encode()
        status, theirs = os.pipe()
        try:
            with self._asking:
                socket.send_fds(self._ours, [_LENGTH.pack(len(body))], [theirs, *files])
                self._ours.sendall(body)
                answer = self._ours.recv(_LENGTH.size, socket.MSG_WAITALL)
        except OSError as error:
            raise StartError(f"the fork server is gone: {error}") from error
        finally:
            os.close(theirs)
        if not answer:
            raise StartError(f"the fork server is gone: {self._process.poll()}")
        return Forked(_LENGTH.unpack(answer)[0], status)

    def close(self) -> None:
        """End it."""
        self._ours.close()
        self._process.wait(30)


_running: list[ForkServer] = []
_starting = threading.Lock()


def fork_server() -> ForkServer:
    """Return the one of this process, started now if it is not there yet."""
    with _starting:
        if not _running:
            _running.append(ForkServer())
        return _running[0]


def close_fork_server() -> None:
    """End the one of this process."""
    while _running:
        _running.pop().close()


def can_fork(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Return whether a fork is as good as starting this command in this environment."""
    return (
        _beside_settings(env) == _ENVIRONMENT
        and [*command[:2]] == [sys.executable, "-m"]
        and command[2] in PROGRAMS
    )


@contextmanager
def forking() -> Iterator[None]:
    """Let `SeedstreamProcess.spawn` fork what it can."""
    spawn = SeedstreamProcess.spawn.__func__  # type: ignore[attr-defined]

    def fork_or_spawn(
        cls: type[SeedstreamProcess],
        /,
        name: str,
        command: Sequence[str],
        *,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        **attributes: Any,
    ) -> SeedstreamProcess:
        variables = os.environ if env is None else env
        if attributes or not can_fork(command, variables):
            made: SeedstreamProcess = spawn(
                cls, name, command, log_path=log_path, env=env, cwd=cwd, **attributes
            )
            return made
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log, Path(os.devnull).open("rb") as nothing:
            files = (nothing.fileno(), log.fileno(), log.fileno())
            forked = fork_server().start(command[2:], variables, cwd or Path.cwd(), files)
        identity = ProcessIdentity.of(forked.pid) or ProcessIdentity(forked.pid, 0)
        return cls(name=name, identity=identity, log_path=log_path, _process=forked)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SeedstreamProcess, "spawn", classmethod(fork_or_spawn))
        yield


def run_seedstream(
    *words: str, said: str = "", env: Mapping[str, str] | None = None, timeout_seconds: float = 90
) -> "subprocess.CompletedProcess[str]":
    """Run a command of ours to its end, as `subprocess.run` with captured text does.

    Args:
        words: Subcommand and arguments.
        said: What stands on its standard input.
        env: Variables beside those of this process, of which none is a setting.
        timeout_seconds: How long it may take.
    """
    command = [sys.executable, "-m", "seedstream", *words]
    variables = _beside_settings(os.environ) | dict(env or {})
    if not can_fork(command, variables):
        return subprocess.run(
            command, env=variables, input=said, timeout=timeout_seconds,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    with ExitStack() as stack:
        given, out, err = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3))
        given.write(said)
        given.seek(0)
        files = [file.fileno() for file in (given, out, err)]
        forked = fork_server().start(command[2:], variables, Path.cwd(), files)
        deadline = time.monotonic() + timeout_seconds
        while (code := forked.poll()) is None:
            if time.monotonic() > deadline:
                os.kill(forked.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(command, timeout_seconds)
            time.sleep(0.01)
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(command, code, out.read(), err.read())


def _die_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _become(asked: Mapping[str, Any], files: Sequence[int]) -> None:
    """Become what is asked for, as a process that is started anew would be."""
    _die_with_the_parent()
    os.setsid()
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, 1 << 16)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    module, *words = asked["words"]
    sys.path[0] = asked["cwd"]
    sys.argv = [module, *words]
    sys.modules.pop(module, None)
    sys.modules.pop(f"{module}.__main__", None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _serve(asking: socket.socket) -> None:
    """Fork for each request, and tell the ends; returns in the children when they have ended."""
    woken, wake = os.pipe2(os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    statuses: dict[int, int] = {}
    while True:
        ready = select.select([asking, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            for pid in [*statuses]:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    told = statuses.pop(pid)
                    with contextlib.suppress(BrokenPipeError):  # nobody asks any more
                        os.write(told, b"%d" % os.waitstatus_to_exitcode(status))
                    os.close(told)
        if asking in ready:
            head, given, _, _ = socket.recv_fds(asking, _LENGTH.size, 4)
            if not head:
                os._exit(0)  # the tests are over, or dead: the kernel ends what still runs
            body = asking.recv(_LENGTH.unpack(head)[0], socket.MSG_WAITALL)
            status, *files = given
            pid = os.fork()
            if pid == 0:
                asking.detach()
                _become(json.loads(body), files)
                return
            for file in files:
                os.close(file)
            statuses[pid] = status
            asking.sendall(_LENGTH.pack(pid))


if __name__ == "__main__":
    for each in IMPORTED:
        importlib.import_module(each)
    gc.collect()
    gc.freeze()
    _serve(socket.socket(fileno=int(sys.argv[1])))
