"""What answers on a port where Kafka or Redis was expected.

Only what a server says itself counts: one that is silent, or ends the connection, may be starting.
"""

import contextlib
import re
import socket
import ssl
import struct
from typing import Literal

from servers.refusals import About, Refusal
from servers.tls import unverified_context

Expected = Literal["Kafka", "Redis"]

_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
"""HTTP servers answer it, and Redis, for which it is a command with an argument too many."""

_CORRELATION = 0x5EED
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, _CORRELATION, -1)
"""The one request that every Kafka answers, whether it has let us in or not."""

_UNAVAILABLE = re.compile(rb"HTTP/\d\.\d 50[234]\b")
"""A proxy's word that what is behind it is away."""

_REDIS = (b"+", b"-", b"$", b"*", b":")
_NAMES = ((b"HTTP/", "an HTTP server"), (b"RTSP/", "an RTSP server"), (b"SSH-", "an SSH server"))
_MOST_BYTES = 60


def stranger(
    expected: Expected, address: tuple[str, int], timeout_seconds: float, *, tls: bool
) -> Refusal | None:
    """Return what a person must mend where something else answers, None if nothing shows so.

    Args:
        expected: What should answer.
        address: Host and port.
        timeout_seconds: How long each step may take; there are at most a dozen.
        tls: Whether to ask over TLS as well.
    """
    for encrypted in (False, True) if tls else (False,):
        said = _exchange(address, _REQUEST, timeout_seconds, encrypted)
        if _UNAVAILABLE.match(said):
            return None
        found = _kind(said)
        if expected != "Kafka" and not said:
            said = _exchange(address, _API_VERSIONS, timeout_seconds, encrypted)
            found = "Kafka" if said[4:8] == struct.pack(">i", _CORRELATION) else None
        if found is not None:
            text = f"not {expected} but {found} answers on this port"
            return None if found == expected else Refusal(About.PROTOCOL, text)
    return None


def _kind(said: bytes) -> str | None:
    line = said.splitlines()[0] if said.splitlines() else b""
    if not line.isascii() or not line.decode("ascii").isprintable() or not line:
        return None  # an alert of TLS, for instance, which others read
    for start, name in _NAMES:
        if line.startswith(start):
            return f'{name} ("{line.decode("ascii")}")'
    if line.startswith(_REDIS):
        return "Redis"
    return f'something that says "{line.decode("ascii")}"'


def _exchange(address: tuple[str, int], request: bytes, seconds: float, tls: bool) -> bytes:
    """Return the beginning of the answer; nothing if there is none in time."""
    said = b""
    with contextlib.suppress(OSError, UnicodeError), contextlib.ExitStack() as stack:
        connection = stack.enter_context(socket.create_connection(address, seconds))
        if tls:
            wrapped: ssl.SSLSocket = unverified_context().wrap_socket(
                connection, server_hostname=address[0]
            )
            connection = stack.enter_context(wrapped)
        connection.sendall(request)
        while len(said) < _MOST_BYTES and b"\n" not in said:
            data = connection.recv(_MOST_BYTES - len(said))
            if not data:
                break
            said += data
    return said
