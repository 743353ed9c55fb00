"""An RTSP server of a few lines that answers as told: with an error, slowly, or not at all."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

Handler = Callable[[socket.socket], None]
Step = bytes | Handler

SDP = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    b"a=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)
_GOOD = {
    "OPTIONS": (b"Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n", b""),
    "DESCRIBE": (b"Content-Type: application/sdp\r\nContent-Length: %d\r\n" % len(SDP), SDP),
    "SETUP": (
        b"Session: 1\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", b"",
    ),
}  # fmt: skip


@contextmanager
def served(handle: Handler) -> Iterator[int]:
    """Serve every connection by ``handle``, in a thread of its own; yields the port."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        listener.settimeout(0.05)
        ended = threading.Event()

        def one(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(10)
                handle(connection)

        def accept() -> None:
            while not ended.is_set():
                with suppress(TimeoutError):
                    connection, _ = listener.accept()
                    threading.Thread(target=one, args=(connection,), daemon=True).start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            acceptor.join(5)


def rtsp(steps: Mapping[str, Step]) -> Handler:
    """Return a server that takes ``steps`` for some methods and behaves well in all others."""

    def handle(connection: socket.socket) -> None:
        lines = connection.makefile("rb")
        while request := lines.readline():
            method, number = request.split()[0].decode(), b"1"
            while header := lines.readline().strip():
                if header.lower().startswith(b"cseq:"):
                    number = header.partition(b":")[2].strip()
            step = steps.get(method)
            if isinstance(step, bytes):
                status, _, rest = step.partition(b"\r\n")
                head = b"RTSP/1.0 %s\r\nCSeq: %s\r\n" % (status, number)
                connection.sendall(head + rest + b"\r\n")
            elif step is not None:
                return step(connection)
            else:
                extra, body = _GOOD.get(method, (b"", b""))
                head = b"RTSP/1.0 200 OK\r\nCSeq: %s\r\n" % number
                connection.sendall(head + extra + b"\r\n" + body)

    return handle


def hang(connection: socket.socket) -> None:
    """Say nothing until the other side leaves."""
    while connection.recv(4096):
        pass


def close(_connection: socket.socket) -> None:
    """End the connection."""


def reset(connection: socket.socket) -> None:
    """End the connection with a reset."""
    connection.recv(4096)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def dribble(connection: socket.socket) -> None:
    """Send a good answer, one byte every tenth of a second."""
    pause = threading.Event()
    for byte in b"RTSP/1.0 200 OK\r\n" + b"X-Padding: 0123456789\r\n" * 20:
        connection.sendall(bytes([byte]))
        pause.wait(0.1)


def say(text: bytes) -> Handler:
    """Return a server that reads once, says ``text`` and keeps the connection."""

    def handle(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(text)
        hang(connection)

    return handle
