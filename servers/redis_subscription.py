"""Channels of Redis, heard over a connection of their own.

Library: redis-py.
"""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from redis import exceptions
from redis.cluster import RedisCluster

from servers.redis import Client, failed, open_redis
from servers.redis_connection import ERRORS, RedisConnection
from servers.redis_nodes import Node

_PING_SECONDS = 3.0
"""How often a quiet connection is asked whether it is still there."""

_SILENT_SECONDS = 8.0
"""A connection that says nothing for so long, not even to a ping, is lost."""

_CHANNELS_PER_COMMAND = 500

MESSAGE = "message"


class Announcement(NamedTuple):
    """What was said on a channel.

    Attributes:
        channel: Its name.
        payload: What was said; None where the channel has just been joined: what was said before
            was not heard.
    """

    channel: str
    payload: bytes | None


class Subscription:
    """Hears channels of one server or cluster; used by one thread.

    In a cluster every node passes on what is published at any of them, so one connection is enough.

    Args:
        connection: Where and how.
        make_client: Opens the client.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        connection: RedisConnection,
        make_client: Callable[[RedisConnection, Sequence[Node]], Client] = open_redis,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._make_client = make_client
        self._clock = clock
        self._client: Client | None = None
        self._channels: Any = None
        self._joined: set[str] = set()
        self._heard_at = self._asked_at = 0.0

    def listen(self, channels: Collection[str], seconds: float) -> list[Announcement]:
        """Join and leave channels so that these are heard, and return what is said on them.

        Args:
            channels: Whose announcements are wanted, at least one.
            seconds: How long to wait for the first one.

        Raises:
            ConfigurationError: Redis refuses.
            UnavailableError: The connection is lost; the next call opens another.
        """
        try:
            self._join(channels)
            heard = []
            message = self._next(seconds)
            while message is not None:
                heard.append(message)
                message = self._next(0.0)
            self._check_silence()
            return [each for message in heard for each in _announcements(message)]
        except ERRORS as error:
            self.close()
            raise failed(error, self._connection, "hear what is announced by") from error

    def close(self) -> None:
        """Close the connection."""
        channels, self._channels = self._channels, None
        client, self._client = self._client, None
        self._joined.clear()
        if channels is not None:
            channels.close()
        if client is not None:
            client.close()

    def _join(self, channels: Collection[str]) -> None:
        if self._channels is None:
            self._client = client = self._make_client(self._connection, ())
            options: dict[str, Any] = {}
            if isinstance(client, RedisCluster):
                options["node"] = client.get_random_node()  # type: ignore[no-untyped-call]
            self._channels = client.pubsub(**options)  # type: ignore[no-untyped-call]
            self._heard_at = self._asked_at = self._clock()
        wanted = set(channels)
        self._in_parts(self._channels.subscribe, wanted - self._joined)
        self._in_parts(self._channels.unsubscribe, self._joined - wanted)
        self._joined = wanted

    def _in_parts(self, command: Callable[..., object], names: Collection[str]) -> None:
        ordered = sorted(names)
        for first in range(0, len(ordered), _CHANNELS_PER_COMMAND):
            command(*ordered[first : first + _CHANNELS_PER_COMMAND])

    def _next(self, seconds: float) -> dict[str, Any] | None:
        message: dict[str, Any] | None = self._channels.get_message(timeout=seconds)
        if message is not None:
            self._heard_at = self._clock()
        return message

    def _check_silence(self) -> None:
        now = self._clock()
        if now - self._heard_at > _SILENT_SECONDS:
            raise exceptions.TimeoutError(f"nothing heard for {_SILENT_SECONDS:g} s")
        if now - max(self._heard_at, self._asked_at) > _PING_SECONDS:
            self._asked_at = now
            self._channels.ping()


def _announcements(message: dict[str, Any]) -> list[Announcement]:
    kind, channel, payload = message["type"], message["channel"], message["data"]
    if kind not in (MESSAGE, "subscribe"):
        return []
    name = channel.decode(errors="replace") if isinstance(channel, bytes) else str(channel)
    if kind == "subscribe":
        return [Announcement(name, None)]
    return [Announcement(name, payload if isinstance(payload, bytes) else str(payload).encode())]
