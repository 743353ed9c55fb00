"""What a camera answers to plain requests, for the reasons that FFmpeg does not tell.

Its RTSP client returns "Invalid data found" for a server that is silent, closes the connection or
speaks another protocol, and "401 Unauthorized" for digest algorithms that it does not know.
"""

import contextlib
import re
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_MOST_BYTES = 65_536
"""Of the head of one answer."""

_STATUS = re.compile(rb"RTSP/\d\.\d (\d{3}) ?([ -~]{0,60})")
_DIGEST = re.compile(rb"^www-authenticate:\s*digest\b(.*)$", re.IGNORECASE | re.MULTILINE)
_ALGORITHM = re.compile(rb'\balgorithm\s*=\s*"?([\w-]{1,40})', re.IGNORECASE)


def rtsp_fault(url: str, limit_seconds: float) -> str | None:
    """Ask an RTSP server for its stream, without credentials, and return what goes wrong.

    Args:
        url: Its URL; user information is left out.
        limit_seconds: How long it may take altogether, but for looking up the host's name.

    Returns:
        The fault; None when the server describes its stream or asks for a password.
    """
    deadline = time.monotonic() + limit_seconds
    method, head = "OPTIONS", bytearray()
    try:
        with _connected(url, deadline) as connection:
            for number, method in enumerate(("OPTIONS", "DESCRIBE"), start=1):
                head.clear()
                _exchange(connection, _request(url, method, number), head, deadline)
                fault = _status_fault(head, method)
                if fault is not None:
                    return fault
    except TimeoutError:
        if head:
            return f"its answer to {method} does not end in time"
        return f"it accepts the connection and does not answer {method}"
    except ssl.SSLError as error:
        return f"no TLS connection: {error.reason or 'the handshake failed'}"
    except (ConnectionResetError, BrokenPipeError):
        return f"it closes the connection instead of answering {method}"
    except OSError as error:
        return error.strerror or type(error).__name__
    except UnicodeError:
        return "the host's name is not as names are"
    return None


def digest_algorithm(url: str, limit_seconds: float) -> str | None:
    """Return the algorithm of the digest authentication that an RTSP or HTTP server asks for.

    Of several the last, which is the one that FFmpeg takes.

    Args:
        url: Its URL; user information is left out.
        limit_seconds: How long it may take altogether, but for looking up the host's name.

    Returns:
        The algorithm as written, "MD5" where none is; None without digest or without an answer.
    """
    deadline = time.monotonic() + limit_seconds
    method = "DESCRIBE" if url.startswith("rtsp") else "GET"
    head = bytearray()
    with contextlib.suppress(OSError, UnicodeError), _connected(url, deadline) as connection:
        _exchange(connection, _request(url, method, 1), head, deadline)
    challenges = _DIGEST.findall(head)
    if not challenges:
        return None
    algorithm = _ALGORITHM.search(challenges[-1])
    return algorithm[1].decode() if algorithm else "MD5"


@contextlib.contextmanager
def _connected(url: str, deadline: float) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or _PORTS[parts.scheme])
    with socket.create_connection(address, _left(deadline)) as plain:
        if parts.scheme not in ("rtsps", "https"):
            yield plain
            return
        # As FFmpeg does: cameras sign their certificates themselves.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain.settimeout(_left(deadline))
        with context.wrap_socket(plain, server_hostname=parts.hostname) as encrypted:
            yield encrypted


def _request(url: str, method: str, number: int) -> bytes:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    if method == "GET":
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
    else:
        target = parts._replace(netloc=host, fragment="").geturl()
        lines = [f"{method} {target} RTSP/1.0", f"CSeq: {number}"]
    if method == "DESCRIBE":
        lines.append("Accept: application/sdp")
    return "\r\n".join([*lines, "", ""]).encode()


def _exchange(connection: socket.socket, request: bytes, head: bytearray, deadline: float) -> None:
    """Add the head of the answer to ``head`` as it comes, until it is complete or the end."""
    connection.settimeout(_left(deadline))
    connection.sendall(request)
    while b"\r\n\r\n" not in head and len(head) < _MOST_BYTES:
        connection.settimeout(_left(deadline))
        data = connection.recv(4096)
        if not data:
            return
        head += data


def _status_fault(head: bytearray, method: str) -> str | None:
    if not head:
        return f"it closes the connection instead of answering {method}"
    status = _STATUS.match(head)
    if status is None:
        protocol = "HTTP" if head.startswith(b"HTTP/") else "something else"
        return f"it does not speak RTSP but {protocol}: check the port and the scheme"
    if int(status[1]) < 400 or status[1] == b"401":
        return None
    return f"it answers {method} with {status[1].decode()} {status[2].decode().strip()}"


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
