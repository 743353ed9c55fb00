"""Whether a Redis user may do what the workers do: each command, so that it changes nothing.

Every probe is a command that the server checks in full (rights, memory, whether it may be written
to) and that finds nothing to do: on keys of a camera that no producer can have, or on no member.
"""

from collections.abc import Sequence
from typing import Any

from contract.minutes import minutes_key
from contract.preview import preview_key, previews_channel, watch_key
from contract.result import CAMERAS_KEY, latest_key, results_key, sessions_key, tracks_key

Command = tuple[str | int, ...]

SINK_COMMANDS = (
    "PING", "EVAL", "XADD", "XRANGE", "XREVRANGE", "GET", "SET", "EXPIRE", "HGET", "HSET", "HKEYS",
    "HDEL", "PUBLISH", "TIME", "ZADD", "ZREMRANGEBYSCORE",
)  # fmt: skip
"""What `workers.sink` sends, itself and in its scripts; a test compares."""

VIEWER_COMMANDS = ("ZRANGE", "XREVRANGE", "XRANGE")
"""What `viewer` sends."""


def harmless(command: str, camera: str) -> Command:
    """Return a call of a command that changes nothing.

    Args:
        command: Its name.
        camera: A camera without any key.
    """
    results, latest, minutes = results_key(camera), latest_key(camera), minutes_key(camera)
    calls: dict[str, Command] = {
        "PING": ("PING",),
        # NOMKSTREAM, XX: only where there is such a key already.
        "XADD": ("XADD", results, "NOMKSTREAM", "MAXLEN", "~", 1, "1-1", "doctor", ""),
        "XRANGE": ("XRANGE", results, "0-1", "0-1"),
        "XREVRANGE": ("XREVRANGE", results, "0-1", "0-1"),
        "SET": ("SET", latest, "", "XX", "EX", 1),
        "GET": ("GET", latest),
        "EXPIRE": ("EXPIRE", results, 1),
        "ZADD": ("ZADD", CAMERAS_KEY, "XX", 0, camera),
        "ZREMRANGEBYSCORE": ("ZREMRANGEBYSCORE", CAMERAS_KEY, 1, 0),
        "ZRANGE": ("ZRANGE", CAMERAS_KEY, 0, 0),
        "EVAL": (
            *("EVAL", "return 1", 7, results, latest, minutes, sessions_key(camera)),
            *(tracks_key(camera), preview_key(camera), watch_key(camera)),
        ),
        "HGET": ("HGET", minutes, ""),
        "HKEYS": ("HKEYS", minutes),
        "HDEL": ("HDEL", minutes, ""),
        "HSET": ("HSET", minutes, "", "", "a field without a value"),
        "PUBLISH": ("PUBLISH", previews_channel(camera), ""),
        "TIME": ("TIME",),
    }
    return calls[command]


def was_let_in(error: BaseException) -> bool:
    """Return whether an error says that the call of `harmless` got as far as the command itself.

    HSET has no call that changes nothing: it counts its arguments after the server's own checks.
    """
    return "wrong number of arguments" in str(error)


def rule(commands: Sequence[str]) -> str:
    """Return the rule of Redis' ACL that grants commands."""
    places = ["~seedstream:*", *["&seedstream:*"] * ("PUBLISH" in commands)]
    return " ".join([*places, *(f"+{command.lower()}" for command in commands)])


def probe_camera(choose: Any, node: Any, tries: int = 4096) -> str | None:
    """Return a camera without keys whose keys a node of a cluster holds.

    Args:
        choose: Returns the node that holds a key.
        node: The node.
        tries: How many names are tried.
    """
    names = (f".doctor.{number}" for number in range(tries))
    return next((name for name in names if choose(results_key(name)) == node), None)
