"""Whether a Redis user may do what the workers do: each command, so that it changes nothing.

Every probe is a command that the server checks in full (rights, memory, whether it may be written
to) and that finds nothing to do: on keys of a camera that no producer can have, or on no member.
"""

from collections.abc import Sequence
from typing import Any

from contract.result_keys import ResultKeys

Command = tuple[str | int, ...]

SINK_COMMANDS = (
    "PING", "EVAL", "XADD", "XRANGE", "XREVRANGE", "GET", "SET", "EXPIRE", "HGET", "HSET", "HKEYS",
    "HDEL", "PUBLISH", "TIME", "ZADD", "ZREMRANGEBYSCORE",
)  # fmt: skip
"""What `workers.sink` sends, itself and in its scripts; a test compares."""

VIEWER_COMMANDS = ("ZRANGE", "XREVRANGE", "XRANGE")
"""What `viewer` sends."""


def harmless(command: str, camera: str, keys: ResultKeys) -> Command:
    """Return a call of a command that changes nothing.

    Args:
        command: Its name.
        camera: A camera without any key.
        keys: Of the lane.
    """
    results, latest, minutes = keys.results(camera), keys.latest(camera), keys.minutes(camera)
    calls: dict[str, Command] = {
        "PING": ("PING",),
        # NOMKSTREAM, XX: only where there is such a key already.
        "XADD": ("XADD", results, "NOMKSTREAM", "MAXLEN", "~", 1, "1-1", "doctor", ""),
        "XRANGE": ("XRANGE", results, "0-1", "0-1"),
        "XREVRANGE": ("XREVRANGE", results, "0-1", "0-1"),
        "SET": ("SET", latest, "", "XX", "EX", 1),
        "GET": ("GET", latest),
        "EXPIRE": ("EXPIRE", results, 1),
        "ZADD": ("ZADD", keys.cameras, "XX", 0, camera),
        "ZREMRANGEBYSCORE": ("ZREMRANGEBYSCORE", keys.cameras, 1, 0),
        "ZRANGE": ("ZRANGE", keys.cameras, 0, 0),
        "EVAL": (
            *("EVAL", "return 1", 7, results, latest, minutes, keys.sessions(camera)),
            *(keys.tracks(camera), keys.preview(camera), keys.watch(camera)),
        ),
        "HGET": ("HGET", minutes, ""),
        "HKEYS": ("HKEYS", minutes),
        "HDEL": ("HDEL", minutes, ""),
        "HSET": ("HSET", minutes, "", "", "a field without a value"),
        "PUBLISH": ("PUBLISH", keys.previews_channel(camera), ""),
        "TIME": ("TIME",),
    }
    return calls[command]


def was_let_in(error: BaseException) -> bool:
    """Return whether an error says that the call of `harmless` got as far as the command itself.

    HSET has no call that changes nothing: it counts its arguments after the server's own checks.
    """
    return "wrong number of arguments" in str(error)


def rule(commands: Sequence[str], prefix: str) -> str:
    """Return the rule of Redis' ACL that grants commands on a lane's keys and channels."""
    places = [f"~{prefix}:*", *[f"&{prefix}:*"] * ("PUBLISH" in commands)]
    return " ".join([*places, *(f"+{command.lower()}" for command in commands)])


def probe_camera(choose: Any, node: Any, keys: ResultKeys, tries: int = 4096) -> str | None:
    """Return a camera without keys whose keys a node of a cluster holds.

    Args:
        choose: Returns the node that holds a key.
        node: The node.
        keys: Of the lane.
        tries: How many names are tried.
    """
    names = (f".doctor.{number}" for number in range(tries))
    return next((name for name in names if choose(keys.results(name)) == node), None)
