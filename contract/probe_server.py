"""Kubernetes' questions and Prometheus': probes and /metrics over HTTP.

Library: prometheus-client.
"""

import http.server
import logging
import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from contract.errors import ConfigurationError

_STOP_SECONDS = 0.05
"""How soon the probe server notices that it is to stop, in seconds."""

Check = Callable[[], str | None]
"""Returns None when all is well, else what is wrong in one line."""


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
            self._server = http.server.ThreadingHTTPServer((host, port), self._handler())
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port} for /metrics and probes: {error.strerror}; "
                "choose another port with HTTP_PORT (--http-port)"
            ) from error
        self._server.daemon_threads = True
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
            timeout = 10  # seconds: a silent client must not hold a thread for ever

            def do_GET(self) -> None:
                status, content_type, body = answer(self.path, self.headers.get("Accept", ""))
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                logging.getLogger("seedstream.probes").debug(format, *args)

        return Handler
