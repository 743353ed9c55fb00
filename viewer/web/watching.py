"""What the live page asks of Redis, one round trip each: who watches, what is new, who is there.

Library: redis-py's clients, as the door opens them.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from contract.frame import CAMERA_ID
from contract.preview import WATCH_SECONDS
from contract.result_keys import ResultKeys
from servers.redis import AS_BYTES, Client
from servers.redis_clock import server_time

WATCH = """
local width, seconds = tonumber(ARGV[1]), ARGV[2]
local other = tonumber(redis.call('GET', KEYS[1]) or '')
if not (other and other > width and redis.call('PTTL', KEYS[1]) > 2500) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', seconds)
end
return 1
"""
"""Says that somebody watches a camera.

A larger width that another viewer asked for, and renews, stays; once it is renewed no more, ours
takes its place before it expires. Key: the watch. Arguments: width, seconds that it lasts.
"""

KNOWN_BYTES = 512
"""So many first bytes tell one preview of a camera from another: the length of the document, and
in it camera, session and number of the frame."""

_BATCH = 200
"""Cameras that are asked about in one round trip."""

Command = tuple[Any, ...]


def renew(
    client: Client, keys: ResultKeys, widths: Mapping[str, int], known: Mapping[str, bytes]
) -> set[str]:
    """Say that cameras are watched, and return those that have another preview than is known.

    Args:
        client: Redis.
        keys: Of the lane.
        widths: Camera -> width in pixels.
        known: Camera -> first bytes of the preview that is known.

    Raises:
        servers.redis_connection.ERRORS: One of the commands failed.
    """
    fresh: set[str] = set()

    def take(camera: str, answers: list[Any]) -> None:
        if answers[1] != known.get(camera, b""):
            fresh.add(camera)

    _each(
        client,
        widths,
        lambda camera: [
            ("EVAL", WATCH, 1, keys.watch(camera), widths[camera], WATCH_SECONDS),
            ("GETRANGE", keys.preview(camera), 0, KNOWN_BYTES - 1),
        ],
        take,
    )
    return fresh


def read(
    client: Client,
    keys: ResultKeys,
    cameras: Collection[str],
    take: Callable[[str, bytes], None],
) -> None:
    """Read previews, and pass on each that is there, also when another one cannot be read.

    Raises:
        servers.redis_connection.ERRORS: One of the commands failed.
    """

    def pass_on(camera: str, answers: list[Any]) -> None:
        if answers[0] is not None:
            take(camera, answers[0])

    _each(client, cameras, lambda camera: [("GET", keys.preview(camera))], pass_on)


def read_ages(client: Client, keys: ResultKeys) -> dict[str, float]:
    """Return all cameras with the seconds since their newest result, by the clock of Redis.

    Raises:
        servers.redis_connection.ERRORS: It failed.
    """
    listed: Any = client.zrange(keys.cameras, 0, -1, withscores=True)
    now = server_time(client, keys.cameras)
    names = {_text(name): float(score) for name, score in listed}
    return {name: int(now) - seen for name, seen in names.items() if CAMERA_ID.fullmatch(name)}


def _each(
    client: Client,
    cameras: Collection[str],
    commands: Callable[[str], list[Command]],
    take: Callable[[str, list[Any]], None],
) -> None:
    """Send commands for each camera, and hand over the answers of those where none failed.

    What one node of a cluster answers is handed over even when another one does not answer.
    """
    ordered = list(cameras)
    failure: Exception | None = None
    for first in range(0, len(ordered), _BATCH):
        part = ordered[first : first + _BATCH]
        pipeline = client.pipeline(transaction=False)
        counts = []
        for camera in part:
            listed = commands(camera)
            counts.append(len(listed))
            for command in listed:
                pipeline.execute_command(*command, **AS_BYTES)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        start = 0
        for camera, count in zip(part, counts, strict=True):
            own = answers[start : start + count]
            start += count
            failed = next((each for each in own if isinstance(each, Exception)), None)
            failure = failure or failed
            if failed is None:
                take(camera, own)
    if failure is not None:
        raise failure


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name
