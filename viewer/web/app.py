"""The live page's process: settings in, exit code out."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator

import uvicorn

from contract.errors import ConfigurationError
from contract.process import EXIT_OK, Shutdown, configure_logging
from contract.settings import warn_of_unknown_variables
from viewer.web.hub import Hub
from viewer.web.preview_reader import PreviewReader
from viewer.web.routes import make_application
from viewer.web.settings import ViewSettings

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 256 * 1024
"""Longest message of a page: a thousand tiles."""

_PING_SECONDS = 5.0
_PONG_SECONDS = 15.0
"""A page that does not answer a ping for so long is gone."""

_LISTEN_SECONDS = 0.1


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(settings: ViewSettings) -> int:
    """Serve the live page until SIGTERM.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: The viewer cannot run as configured.
    """
    configure_logging("view", settings.log_level, settings.log_format)
    warn_of_unknown_variables(type(settings))
    shutdown = Shutdown()
    shutdown.install()
    with _listening(settings) as listener:
        log.info("the live page is at http://%s:%d/", settings.host, listener.getsockname()[1])
        asyncio.run(_serve(settings, listener, shutdown))
    return EXIT_OK


async def _serve(settings: ViewSettings, listener: socket.socket, shutdown: Shutdown) -> None:
    hub = Hub(asyncio.get_running_loop())
    reader = PreviewReader(settings, hub)
    hub.use(reader)
    server = _Server(_config(make_application(lambda: hub)))
    reader.start()
    serving = asyncio.create_task(server.serve([listener]))
    telling = asyncio.create_task(hub.run())
    try:
        while not (shutdown.requested or hub.refusal.done() or serving.done()):
            await asyncio.sleep(_LISTEN_SECONDS)
        server.should_exit = True
        await serving
        if hub.refusal.done():
            raise hub.refusal.result()
    finally:
        telling.cancel()
        await asyncio.to_thread(reader.stop)


def _config(application: object) -> uvicorn.Config:
    return uvicorn.Config(
        application,  # type: ignore[arg-type]
        http="h11",
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=_PONG_SECONDS,
        ws_per_message_deflate=False,  # JPEG does not get smaller
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


@contextlib.contextmanager
def _listening(settings: ViewSettings) -> Iterator[socket.socket]:
    try:
        (family, kind, proto, _, address), *_ = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listener = socket.socket(family, kind, proto)
        with listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(128)
            yield listener
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {settings.host}:{settings.port} for the live page: "
            f"{error.strerror}; choose another address with VIEW_HOST and VIEW_PORT"
        ) from error
