"""Ports of this machine: free ones, and whether one that was asked for is taken."""

import contextlib
import socket

from contract.errors import ConfigurationError

LOCALHOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Return TCP ports of 127.0.0.1 that are free now; starters retry when one is taken later."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOCALHOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


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
