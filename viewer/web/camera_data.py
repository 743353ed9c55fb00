"""What Redis keeps of a camera, read when somebody asks: its last results, its last hour."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from contract.minutes import read_minutes
from contract.result import DOCUMENT_FIELD
from servers.redis import AS_BYTES, Client, Redis
from servers.redis_connection import RedisConnection

MAX_RESULTS = 200
"""Results that are returned at once."""

_AT_ONCE = 4
_MOST_WAITING = 64
_HOUR = 60
_MINUTE_SECONDS = 60

T = TypeVar("T")


class BusyError(Exception):
    """So many questions wait for Redis already that another one is refused."""


class CameraData:
    """Asks Redis in threads, a few questions at once.

    Args:
        connection: Where Redis is.
    """

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = Redis(connection, quiet=True)
        self._keys = connection.result_keys
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def results(self, camera: str, count: int) -> bytes:
        """Return the JSON of the newest results of a camera, the newest first.

        Raises:
            SeedstreamError: Redis does not answer, or refuses.
            BusyError: Too many ask.
        """

        def read(client: Client) -> list[bytes]:
            entries: Any = client.xrevrange(self._keys.results(camera), count=count)
            found = [fields.get(DOCUMENT_FIELD.encode()) for _, fields in entries]
            return [document for document in found if document is not None]

        documents = await self._ask("read results from", read)
        return b'{"results":[' + b",".join(documents) + b"]}"

    async def minutes(self, camera: str, now: float) -> list[dict[str, Any]]:
        """Return what a camera showed in the minutes of the last hour, in order.

        Args:
            camera: Camera id.
            now: Seconds since 1970.

        Raises:
            SeedstreamError: Redis does not answer, or refuses.
            BusyError: Too many ask.
        """

        def read(client: Client) -> Any:
            return client.execute_command(  # type: ignore[no-untyped-call]
                "HGETALL", self._keys.minutes(camera), **AS_BYTES
            )

        fields = await self._ask("read results from", read)
        first = now // _MINUTE_SECONDS * _MINUTE_SECONDS - (_HOUR - 1) * _MINUTE_SECONDS
        return [
            {
                "minute": minute.start_seconds,
                "frames": minute.frames,
                "classes": {
                    name: {"mean": round(minute.mean(name), 3), "most": minute.most(name)}
                    for name in sorted(minute.classes)
                },
            }
            for minute in read_minutes(_pairs(fields))
            if minute.start_seconds >= first
        ]

    def close(self) -> None:
        """End what still tries, and close the connections."""
        self._redis.give_up()
        self._redis.close()

    async def _ask(self, doing: str, read: Callable[[Client], T]) -> T:
        if self._waiting >= _MOST_WAITING:
            raise BusyError
        self._waiting += 1
        try:
            async with self._room:
                return await asyncio.to_thread(self._redis.attempt, doing, read)
        finally:
            self._waiting -= 1


def _pairs(fields: Any) -> dict[bytes, bytes]:
    """Return a hash, which redis-py passes on as a dictionary or as a flat list."""
    if isinstance(fields, dict):
        return fields
    return dict(zip(fields[::2], fields[1::2], strict=True))
