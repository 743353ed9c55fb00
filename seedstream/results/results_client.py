"""A client of the results that workers store: the newest, those since a time, those to come.

Library: redis-py, through `servers.redis`: every call is repeated within a bound while the server
is away.
"""

import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from contract.errors import InvalidMessageError
from contract.log_limit import LogLimit
from contract.minutes import Minute, read_minutes
from contract.preview import Preview, decode_preview
from contract.result import DOCUMENT_FIELD, decode_result
from contract.settings import load_settings
from seedstream.results.camera_result import CameraResult
from seedstream.results.results_settings import ResultsSettings
from servers.redis import AS_BYTES, Redis
from servers.redis_connection import RedisConnection

log = logging.getLogger(__name__)

_PAGE = 100
_BLOCK_SECONDS = 1.0
"""How long one call waits for news; the server's answer has 5 s."""

_REMEMBERED = 1000
_START = "0-0"

Entry = tuple[str, Mapping[bytes, bytes]]


class Results:
    """Reads the results of cameras; close it, or use it as a context manager. One per thread.

    What is None comes from the environment (``RESULTS_REDIS_URL``, ``RESULTS_REDIS_USERNAME``,
    ``RESULTS_REDIS_PASSWORD``, ``RESULTS_REDIS_CLUSTER``, ``RESULTS_REDIS_TIMEOUT_SECONDS``,
    ``RESULTS_RESULT_PREFIX``), or is the default of these settings. Nothing is sent before the
    first read.

    Args:
        url: ``redis://``, ``rediss://`` (TLS; ``?ssl_ca_certs=FILE``) or ``unix://``.
        username: Redis (ACL) user name.
        password: Its password.
        cluster: Whether the URL points to a node of a Redis Cluster.
        timeout_seconds: How long a read tries to reach Redis before it raises, in seconds.
        prefix: What the keys of the lane's results begin with, as its `WORKER_RESULT_PREFIX`.
        clock: Monotonic clock, in seconds.

    Raises:
        ConfigurationError: An argument or a variable is invalid.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        username: str | None = None,
        password: str | None = None,
        cluster: bool | None = None,
        timeout_seconds: float | None = None,
        prefix: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        settings = load_settings(
            ResultsSettings,
            redis_url=url,
            redis_username=username,
            redis_password=password,
            redis_cluster=cluster,
            redis_timeout_seconds=timeout_seconds,
            result_prefix=prefix,
        )
        self._begin(settings, clock)

    @classmethod
    def of(cls, connection: RedisConnection, clock: Callable[[], float] = time.monotonic) -> Self:
        """Return a reader with connection settings of one's own class."""
        made = cls.__new__(cls)
        made._begin(connection, clock)
        return made

    def _begin(self, connection: RedisConnection, clock: Callable[[], float]) -> None:
        self._server = Redis(connection)
        self._keys = connection.result_keys
        self._clock = clock
        self._log_limit = LogLimit(clock=clock)
        self._block_seconds = min(_BLOCK_SECONDS, connection.redis_timeout_seconds / 2)

    def cameras(self) -> list[str]:
        """Return the cameras with results, sorted.

        Raises:
            SeedstreamError: As for `follow`.
        """
        members = self._ask("ZRANGE", self._keys.cameras, 0, -1)
        return sorted(member.decode(errors="replace") for member in members)

    def latest(self, camera: str) -> CameraResult | None:
        """Return the newest result of a camera; None where it has none.

        Raises:
            SeedstreamError: As for `follow`.
        """
        return next(iter(self.newest(camera, 1)), None)

    def newest(self, camera: str, count: int) -> list[CameraResult]:
        """Return the newest results of a camera, at most so many, oldest first.

        Raises:
            SeedstreamError: As for `follow`.
        """
        entries = self._ask("XREVRANGE", self._keys.results(camera), "+", "-", "COUNT", count)
        return list(self._decoded(camera, map(_entry, reversed(entries))))

    def history(
        self, camera: str, since: datetime | timedelta | None = None
    ) -> Iterator[CameraResult]:
        """Yield the stored results of a camera in Kafka's order, then end.

        Args:
            camera: Camera id.
            since: Those captured before are left out: a time with its zone, or how long ago; None
                yields all.

        Raises:
            SeedstreamError: As for `follow`.
            ValueError: ``since`` has no zone.
        """
        start = _moment(since)
        for result in self._decoded(camera, self._stored(camera)):
            if start is None or result.captured_at >= start:
                yield result

    def follow(
        self,
        camera: str,
        since: datetime | timedelta | None = None,
        *,
        after: str | None = None,
        wait_seconds: float | None = None,
    ) -> Iterator[CameraResult]:
        """Yield the results of a camera as they come, in Kafka's order, each once.

        A reader that is slower than the camera falls back until Redis has trimmed what it has not
        read (`WORKER_MAX_RESULTS_PER_CAMERA`); then it goes on with the oldest result that is left.

        Args:
            camera: Camera id; one without results yet is waited for.
            since: Begins with the stored results captured at that time or later: a time with its
                zone, or how long ago; None begins with the next one.
            after: Begins after the entry with this id instead (`CameraResult.entry`).
            wait_seconds: Ends when no result came for so long, in seconds; None waits for ever.

        Raises:
            ConfigurationError: Redis refuses access, or an argument of the connection is wrong.
            UnavailableError: Redis stays away for longer than the connection's timeout.
            InvalidMessageError: Redis refuses the command.
            ValueError: ``since`` has no zone, or ``after`` is no id.
        """
        start = _moment(since)
        if after is not None:
            _order(after)
        last = after or (_START if start is not None else self._newest_id(camera) or _START)
        seen = deque([last], _REMEMBERED)
        until = self._deadline(wait_seconds)
        while (left := until - self._clock()) > 0:
            entries = self._next(camera, last, min(left, self._block_seconds))
            for result in self._decoded(camera, entries):
                if start is None or result.captured_at >= start:
                    yield result
                    until = self._deadline(wait_seconds)
            if len(entries) < _PAGE:
                start = None  # all that was stored is read: the rest is new
            seen.extend(entry for entry, _ in entries)
            last = seen[-1] if entries else self._go_on(camera, seen)

    def preview(self, camera: str) -> Preview | None:
        """Return the newest picture of a camera with its result; None where it has none.

        Raises:
            InvalidMessageError: ``malformed_preview``: no worker wrote what is there.
            SeedstreamError: As for `follow`.
        """
        value = self._ask("GET", self._keys.preview(camera))
        return None if value is None else decode_preview(value)

    def minutes(self, camera: str) -> list[Minute]:
        """Return what a camera showed in each of the last minutes, in order.

        Raises:
            SeedstreamError: As for `follow`.
        """
        return read_minutes(self._ask("HGETALL", self._keys.minutes(camera)))

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, *command: str | int) -> Any:
        def send(client: Any) -> Any:
            return client.execute_command(*command, **AS_BYTES)

        return self._server.attempt("read results from", send)

    def _stored(self, camera: str) -> Iterator[Entry]:
        start = "-"
        while True:
            page = self._ask("XRANGE", self._keys.results(camera), start, "+", "COUNT", _PAGE)
            yield from map(_entry, page)
            if len(page) < _PAGE:
                return
            start = f"({_entry(page[-1])[0]}"

    def _next(self, camera: str, last: str, seconds: float) -> list[Entry]:
        milliseconds = max(1, int(seconds * 1000))  # 0 would wait for ever
        answer = self._ask(
            *(
                "XREAD",
                "COUNT",
                _PAGE,
                "BLOCK",
                milliseconds,
                "STREAMS",
                self._keys.results(camera),
                last,
            )
        )
        return [_entry(raw) for raw in _of_one_stream(answer)]

    def _newest_id(self, camera: str) -> str | None:
        newest = self._ask("XREVRANGE", self._keys.results(camera), "+", "-", "COUNT", 1)
        return _entry(newest[0])[0] if newest else None

    def _go_on(self, camera: str, seen: deque[str]) -> str:
        """Return the entry to go on after when none came: the stream may have been begun anew.

        It may also have lost its end, when a replica took over: then what is left was seen.
        """
        newest = self._newest_id(camera)
        while seen and (newest is None or _order(seen[-1]) > _order(newest)):
            seen.pop()
        if not seen:
            seen.append(_START)
        return seen[-1]

    def _decoded(
        self, camera: str, entries: Iterator[Entry] | list[Entry]
    ) -> Iterator[CameraResult]:
        for entry, fields in entries:
            try:
                document = fields[DOCUMENT_FIELD.encode()]
                yield CameraResult(decode_result(document), entry)
            except (KeyError, InvalidMessageError) as error:
                if (more := self._log_limit.due(camera)) is not None:
                    where = f"{self._keys.results(camera)} in Redis, entry {entry}"
                    log.warning("%s is left out, it is no result: %r%s", where, error, more)

    def _deadline(self, wait_seconds: float | None) -> float:
        return float("inf") if wait_seconds is None else self._clock() + wait_seconds


def _moment(since: datetime | timedelta | None) -> datetime | None:
    if isinstance(since, timedelta):
        return datetime.now(UTC) - since
    if since is not None and since.tzinfo is None:
        raise ValueError(f"{since} has no zone: give one, for instance tzinfo=datetime.UTC")
    return since


def _entry(raw: Any) -> Entry:
    entry, fields = raw
    return entry.decode(), fields or {}


def _of_one_stream(answer: Any) -> list[Any]:
    """Return the entries in an answer to XREAD, which differs between Redis' two protocols."""
    if not answer:
        return []
    if isinstance(answer, Mapping):
        (pages,) = answer.values()
        return list(itertools.chain.from_iterable(pages))
    ((_, entries),) = answer
    return list(entries)


def _order(entry: str) -> tuple[int, int]:
    milliseconds, _, number = entry.partition("-")
    if not (milliseconds.isdecimal() and (number or "0").isdecimal()):
        raise ValueError(f"{entry!r} is no id of an entry, expected one like 1764417600000-7")
    return int(milliseconds), int(number or 0)
