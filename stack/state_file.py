"""The state file of ``seedstream stack``: which servers run; only those are ever stopped."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, without_mark
from stack.child_process import ChildProcess, ProcessIdentity
from stack.jars import cache_folder


class ServerRecord(msgspec.Struct, frozen=True):
    """A server as the state file remembers it.

    Attributes:
        role: ``kafka`` or ``redis``.
        name: What it is, for people.
        address: HOST:PORT that it answers on.
        pid: Process id.
        started: Start time of the process in clock ticks since boot.
        log_path: Everything it wrote.
    """

    role: str
    name: str
    address: str
    pid: int
    started: int
    log_path: str

    @classmethod
    def of(cls, role: str, server: ChildProcess) -> "ServerRecord":
        """Return the record of a running server."""
        identity = server.identity
        return cls(
            role,
            server.name,
            server.address,
            identity.pid,
            identity.started,
            str(server.log_path),
        )

    def server(self) -> ChildProcess:
        """Return the server; it may have ended."""
        return ChildProcess(
            name=self.name,
            address=self.address,
            identity=ProcessIdentity(self.pid, self.started),
            log_path=Path(self.log_path),
        )


class State(msgspec.Struct, frozen=True):
    """What is in the file.

    Attributes:
        boot: Id of the boot in which the servers were started: none of them survives another.
        folder: Data and logs of the servers.
        servers: The servers, in the order of their start.
    """

    boot: str
    folder: str
    servers: tuple[ServerRecord, ...]


_states = msgspec.json.Decoder(State)


def state_folder() -> Path:
    """Return the folder of the state file and of the servers' data and logs."""
    return cache_folder() / "stack"


def boot_id() -> str:
    """Return the kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def read_state() -> State | None:
    """Return what runs, None where nothing was started or the machine was restarted since.

    Raises:
        ConfigurationError: The file is not a state file.
    """
    path = _path()
    try:
        state = _states.decode(without_mark(path.read_bytes()))
    except FileNotFoundError:
        return None
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{path}: not a state file of `seedstream stack` ({error}): check that none of its "
            "servers is running, then remove the file"
        ) from error
    return state if state.boot == boot_id() else None


def write_state(state: State | None) -> None:
    """Replace the file in one step; None removes it."""
    path = _path()
    if state is None:
        path.unlink(missing_ok=True)
        return
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2))
    partial.replace(path)


@contextmanager
def exclusive() -> Iterator[None]:
    """Let one command at a time start or stop the servers.

    Raises:
        ConfigurationError: Another one is at it.
    """
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                "another `seedstream stack` command is running: wait for it to finish"
            ) from error
        yield


def _path() -> Path:
    return state_folder() / "state.json"
