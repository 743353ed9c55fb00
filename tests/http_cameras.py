"""A real HTTP server that plays cameras, for tests: each path is answered by a function."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler], None]


class HttpCameras:
    """The running server.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        requests: Path and headers of every request so far, in order.
        connections: How many connections have been opened.
    """

    def __init__(self, answers: dict[str, Answer], port: int) -> None:
        self.answers = answers
        self.port = port
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.connections = 0
        self.over = threading.Event()

    def url(self, path: str, credentials: str = "") -> str:
        at = f"{credentials}@" if credentials else ""
        return f"http://{at}127.0.0.1:{self.port}{path}"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cameras: HttpCameras

    def __init__(self, cameras: HttpCameras, *args: object) -> None:
        self.cameras = cameras
        cameras.connections += 1
        with suppress(ConnectionResetError):  # of a client that has seen enough
            super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.cameras.requests.append((self.path, dict(self.headers)))
        try:
            self.cameras.answers[self.path.partition("?")[0]](self)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def http_cameras(answers: dict[str, Answer]) -> Iterator[HttpCameras]:
    """Serve ``answers`` until the end of the ``with``."""
    cameras = HttpCameras(answers, 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, cameras)) as server:
        server.daemon_threads = True
        server.block_on_close = False
        cameras.port = server.server_port
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield cameras
        finally:
            cameras.over.set()
            server.shutdown()


def send(handler: Handler, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
    """Answer with a whole body; ``_`` in a header's name stands for ``-``."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    if handler.headers.get("Connection") == "close":  # FFmpeg goes by what the answer says
        handler.send_header("Connection", "close")
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def serve_file(body: bytes, kind: str) -> Answer:
    """Return what answers with a file, also from the middle of it (ranges)."""

    def answer(handler: Handler) -> None:
        asked = handler.headers.get("Range", "").removeprefix("bytes=")
        first = int(asked.partition("-")[0] or 0)
        if not asked:
            send(handler, body, kind, Accept_Ranges="bytes")
            return
        span = f"bytes {first}-{len(body) - 1}/{len(body)}"
        send(handler, body[first:], kind, 206, Accept_Ranges="bytes", Content_Range=span)

    return answer


def stream(handler: Handler, kind: str) -> None:
    """Begin an answer that ends with the connection."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
