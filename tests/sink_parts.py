"""A sink on a real server, results for it, and what it has stored."""

import itertools
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import redis
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.result import (
    DOCUMENT_FIELD,
    ModelReference,
    Result,
    decode_result,
    latest_key,
    results_key,
)
from servers.redis import Client, Node, Redis, RedisConnection, open_redis
from tests.fakes import SESSION
from workers.records import Entry
from workers.sink import RedisSink

TTL_SECONDS = 100
_numbers = itertools.count(1)


class ToRedis(RedisConnection, BaseSettings):
    model_config = SettingsConfigDict(env_prefix="WORKER_")


def make_session(start_seconds: float) -> str:
    """Return a session that began at a time, in seconds since 1970."""
    start_ms = int(start_seconds * 1000)
    value = start_ms << 80 | 0x7 << 76 | 0b10 << 62 | next(_numbers)
    return str(uuid.UUID(int=value))


def make_entry(
    camera: str,
    sequence: int,
    session: str = SESSION,
    *,
    log: str = "",
    position: int = 0,
) -> Entry:
    """Return a result without instances; without ``log`` the clocks decide its order."""
    now = datetime.now(UTC)
    result = Result(
        camera=camera, session=session, sequence=sequence, captured_at=now, processed_at=now,
        width=64, height=48, model=ModelReference("m", "1", "0"), latency_seconds=0.0,
        instances=[],
    )  # fmt: skip
    return Entry(result, log, position)


def make_sink(
    url: str,
    *,
    timeout_seconds: float = 5.0,
    max_results: int = 1000,
    make_client: Callable[[RedisConnection, Sequence[Node]], Client] = open_redis,
    **connection: object,
) -> RedisSink:
    """Return a sink that is not started."""
    settings = ToRedis(redis_url=url, redis_timeout_seconds=timeout_seconds, **connection)
    return RedisSink(Redis(settings, make_client), ttl_seconds=TTL_SECONDS, max_results=max_results)


def frames(client: Client, camera: str) -> list[tuple[str, int]]:
    """Return session and sequence of a camera's results, in the order of the stream."""
    entries = client.xrange(results_key(camera))
    return [entry_frame(fields) for _, fields in entries]


def sequences(client: Client, camera: str) -> list[int]:
    """Return the sequences of a camera's results, in the order of the stream."""
    return [sequence for _, sequence in frames(client, camera)]


def latest(client: "redis.Redis", camera: str) -> int:
    """Return the sequence of a camera's latest result."""
    return decode_result(client.get(latest_key(camera))).sequence


def entry_frame(fields: dict[bytes, bytes]) -> tuple[str, int]:
    """Return session and sequence of the result in a stream entry's fields."""
    result = decode_result(fields[DOCUMENT_FIELD.encode()])
    return result.session, result.sequence
