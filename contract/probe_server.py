"""Kubernetes' questions and Prometheus': probes and /metrics over HTTP.

Library: prometheus-client.
"""

import contextlib
import http.server
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from contract.errors import ConfigurationError

log = logging.getLogger("seedstream.probes")

_STOP_SECONDS = 0.05
"""How soon the probe server notices that it is to stop, in seconds."""

_BACKLOG = 128
"""Connections that may wait to be accepted: with the default of 5, a few slow clients that connect
at once keep the kubelet's probes out."""

_REQUEST_SECONDS = 10.0
"""How long one connection may last, in seconds, whatever its client does."""

_MOST_CONNECTIONS = 64
"""Connections that are served side by side; the oldest one gives way to a new one."""

Check = Callable[[], str | None]
"""Returns None when all is well, else what is wrong in one line."""


class _Server(http.server.ThreadingHTTPServer):
    """A thread for each connection, and a bound on how long and how many."""

    request_queue_size = _BACKLOG
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler]
    ) -> None:
        self._open: dict[socket.socket, float] = {}  # since when, the oldest first
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open[request] = time.monotonic()
        self._end_old_ones()
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        self._end_old_ones()

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a client of the probes has gone", exc_info=True)

    def _end_old_ones(self) -> None:
        """Let the threads of connections that are too old, or too many, read an end."""
        with self._lock:
            opened = list(self._open.items())
        now, too_many = time.monotonic(), len(opened) - _MOST_CONNECTIONS
        for number, (request, since) in enumerate(opened):
            if number < too_many or now - since > _REQUEST_SECONDS:
                with contextlib.suppress(OSError):  # it has ended by itself
                    request.shutdown(socket.SHUT_RDWR)


class ProbeServer:
    """Serves ``/metrics``, ``/healthz`` (liveness) and ``/readyz`` (readiness) in a thread.

    Args:
        registry: What ``/metrics`` shows.
        alive: Liveness: the loop turns and the device is healthy.
        ready: Readiness: able to take work now.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.

    Raises:
        ConfigurationError: The port is taken or the address is not this machine's.
    """

    def __init__(
        self, registry: CollectorRegistry, alive: Check, ready: Check, host: str, port: int
    ) -> None:
        self._registry = registry
        self._checks = {"/healthz": alive, "/readyz": ready}
        try:
            self._server = _Server((host, port), self._handler())
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port} for /metrics and probes: {error.strerror}; "
                "choose another port with HTTP_PORT (--http-port)"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOP_SECONDS,), name="probes", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(timeout=5)
        self._server.server_close()

    def _answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        path = path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(accept)
            return 200, content_type, encode(self._registry)
        check = self._checks.get(path)
        if check is None:
            return 404, "text/plain", b"try /metrics, /healthz or /readyz\n"
        wrong = check()
        text = "ok" if wrong is None else wrong
        return (200 if wrong is None else 503), "text/plain", f"{text}\n".encode()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(http.server.BaseHTTPRequestHandler):
            timeout = _REQUEST_SECONDS  # of each read and write

            def do_GET(self) -> None:
                status, content_type, body = answer(self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                log.debug(format, *args)

        return Handler
