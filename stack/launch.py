"""How every server of the stack is brought up: its port, its folder, and the wait for an answer."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from contract.errors import ConfigurationError
from stack.child_process import ChildProcess, StartError
from stack.interrupts import held_interrupts

LOCALHOST = "127.0.0.1"

ATTEMPTS = 5
"""How often a free port is chosen: another process may take it before the server does."""

_PORT_TAKEN = ("Address already in use", "AddrInUse")

ServerT = TypeVar("ServerT", bound=ChildProcess)


def free_ports(count: int) -> list[int]:
    """Return TCP ports of 127.0.0.1 that are free now; starters retry when one is taken later."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOCALHOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def free_port(preferred: int) -> int:
    """Return a port of 127.0.0.1 that is free now: the preferred one, else any."""
    try:
        require_free(preferred, "", "")
    except ConfigurationError:
        return free_ports(1)[0]
    return preferred


def require_free(port: int, server: str, option: str) -> None:
    """Check that a port that was asked for is free.

    Args:
        port: The port on 127.0.0.1.
        server: Who would listen on it, for the message.
        option: How to choose another one, for the message.

    Raises:
        ConfigurationError: Another process listens on it.
    """
    with socket.socket() as probe:
        # As servers do: ports of connections that ended lately are free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"port {port} of {LOCALHOST}, wanted for {server}, is taken ({error.strerror}): "
                f"stop what listens there, or {option}"
            ) from error


def launch(
    name: str,
    port: int | None,
    folder: Path | None,
    start: Callable[[int, Path], ServerT],
    wait_until_answering: Callable[[ServerT], None],
) -> ServerT:
    """Start a server and wait until it answers; nothing is left of one that does not.

    Args:
        name: What the server is, for messages.
        port: Its port on 127.0.0.1; None takes a free one.
        folder: Its folder; None makes a temporary one, removed after the stop.
        start: Starts the process on a port, in a folder.
        wait_until_answering: Returns when it answers, raises ``StartError`` where it does not.

    Raises:
        ConfigurationError: ``port`` is taken.
        UnavailableError: The server did not come up; the message carries the end of its log.
    """
    if port is not None:
        require_free(port, name, "choose another one")
    attempts = ATTEMPTS if port is None else 1
    for attempt in range(1, attempts + 1):
        try:
            return _launch(port or free_ports(1)[0], folder, start, wait_until_answering)
        except StartError as error:
            taken = any(words in str(error) for words in _PORT_TAKEN)
            if not taken or attempt == attempts:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def _launch(
    port: int,
    folder: Path | None,
    start: Callable[[int, Path], ServerT],
    wait_until_answering: Callable[[ServerT], None],
) -> ServerT:
    home, server = folder, None
    try:
        with held_interrupts():
            home = home or Path(tempfile.mkdtemp(prefix="seedstream-"))
            server = start(port, home)
            server.folder = home if folder is None else None
        wait_until_answering(server)
    except BaseException:  # also Ctrl-C: nobody else knows this process and folder yet
        if server is not None:
            server.stop()
        if folder is None and home is not None:
            shutil.rmtree(home, ignore_errors=True)
        raise
    return server
