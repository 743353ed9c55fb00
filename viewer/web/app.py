"""The live page's process: settings in, exit code out. The only place that knows every part."""

import asyncio
import contextlib
import logging
import math
import socket
import time
from collections.abc import Iterator

import cv2
import uvicorn
from starlette.types import ASGIApp

from contract.errors import ConfigurationError
from contract.probe_server import ProbeServer
from contract.process import (
    EXIT_OK,
    ExitDeadline,
    Shutdown,
    configure_logging,
    process_registry,
)
from contract.settings import warn_of_unknown_variables
from viewer.web.access import Access
from viewer.web.camera_data import CameraData
from viewer.web.connections import PageProtocol, RequestProtocol
from viewer.web.hub import Hub
from viewer.web.metrics import ViewMetrics
from viewer.web.preview_reader import PreviewReader
from viewer.web.routes import make_application
from viewer.web.settings import ViewSettings
from viewer.web.system_state import SystemState
from viewer.web.web_parts import Parts

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
"""Longest message of a page: a thousand tiles."""

_PING_SECONDS = 5.0
_PONG_SECONDS = 15.0
"""A page that does not answer a ping for so long is gone."""

_BACKLOG = 256
_LISTEN_SECONDS = 0.1
_STANDSTILL_SECONDS = 30.0
_LEAVE_SECONDS = 8.0
_MOST_CONNECTIONS = 2000


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Viewer:
    """The viewer: makes its parts, runs them, and stops them in the opposite order.

    Args:
        settings: Settings.
        shutdown: Tells when the end is requested.

    Raises:
        ConfigurationError: The viewer cannot run as configured.
    """

    def __init__(self, settings: ViewSettings, shutdown: Shutdown) -> None:
        self._settings = settings
        self._shutdown = shutdown
        self._registry = process_registry(settings.lane)
        self._metrics = ViewMetrics(self._registry)
        self._access = Access(settings)
        addresses = [each.strip() for each in settings.sources.split(",") if each.strip()]
        url = settings.prometheus_url
        self._system = SystemState(addresses, None if url is None else url.get_secret_value())
        self._reader: PreviewReader | None = None
        self._turned_at = time.monotonic()

    async def run(self, listener: socket.socket) -> None:
        """Serve until the end is requested.

        Raises:
            ConfigurationError: Redis refuses before it ever answered.
        """
        hub = Hub(asyncio.get_running_loop(), self._metrics)
        data = CameraData(self._settings)
        parts = Parts(self._settings, self._access, self._metrics, hub)
        application = make_application(parts, data, self._system)
        server = _Server(_config(application, self._settings.drain_seconds))
        self._reader = reader = PreviewReader(self._settings, hub)
        hub.use(reader)
        reader.start()
        serving = asyncio.create_task(server.serve([listener]))
        telling = asyncio.create_task(hub.run())
        try:
            while not (self._shutdown.requested or hub.refusal.done() or serving.done()):
                self._turned_at = time.monotonic()
                await asyncio.sleep(_LISTEN_SECONDS)
            server.should_exit = True
            await serving
        finally:
            telling.cancel()
            self._system.close()
            data.close()
            await asyncio.to_thread(reader.stop)
        if hub.refusal.done():
            raise hub.refusal.result()

    def alive(self) -> str | None:
        """Return what is wrong with the process, None if nothing is."""
        now = time.monotonic()
        if now - self._turned_at > _STANDSTILL_SECONDS:
            return f"the event loop has stood still for {now - self._turned_at:.0f} s"
        reader = self._reader
        if reader is not None and now - reader.turned_at > _STANDSTILL_SECONDS:
            return f"reading from Redis has stood still for {now - reader.turned_at:.0f} s"
        return None

    def ready(self) -> str | None:
        """Return why no page can be served, None if one can.

        That Redis is away is no reason: the page says so, and recovers.
        """
        return "the page is not served yet" if self._reader is None else self.alive()

    def serve_probes(self) -> ProbeServer:
        """Begin to answer probes."""
        settings = self._settings
        probes = ProbeServer(
            self._registry, self.alive, self.ready, settings.http_host, settings.http_port
        )
        probes.start()
        return probes


def run(settings: ViewSettings) -> int:
    """Serve the live page until SIGTERM.

    Args:
        settings: Settings.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: The viewer cannot run as configured.
    """
    configure_logging("view", settings.log_level, settings.log_format, settings.lane)
    warn_of_unknown_variables(type(settings))
    cv2.setNumThreads(1)  # pictures are parallel anyway
    shutdown = Shutdown()
    shutdown.install()
    viewer = Viewer(settings, shutdown)
    deadline = ExitDeadline(_LEAVE_SECONDS)
    with _listening(settings) as listener:
        probes = viewer.serve_probes()
        try:
            log.info("metrics and probes on port %d", probes.port)
            port = listener.getsockname()[1]
            log.info("the live page is at http://%s:%d", settings.host, port)
            asyncio.run(_until_done(viewer, listener, deadline))
        finally:
            probes.stop()
            deadline.left()
    return EXIT_OK


async def _until_done(viewer: Viewer, listener: socket.socket, deadline: ExitDeadline) -> None:
    try:
        await viewer.run(listener)
    finally:
        deadline.begin()


def _config(application: ASGIApp, drain_seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=RequestProtocol,
        ws=PageProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PONG_SECONDS,
        ws_per_message_deflate=False,  # JPEG does not get smaller
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )


@contextlib.contextmanager
def _listening(settings: ViewSettings) -> Iterator[socket.socket]:
    try:
        (family, kind, number, _, address), *_ = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind, number)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port} for the live page: "
            f"{error.strerror}; choose another address with VIEW_HOST (--host) and VIEW_PORT "
            "(--port)"
        ) from error
    with listener:
        yield listener
