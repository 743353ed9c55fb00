"""Redis as a process sees it: the server, this user's rights, memory, persistence, replicas.

Nothing is written: see `doctor.redis_rights`.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from contract.errors import SeedstreamError
from contract.result_keys import ResultKeys
from doctor.findings import Finding, Part
from doctor.redis_rights import harmless, probe_camera, rule, was_let_in
from servers.redis import Redis, failed
from servers.redis_connection import ERRORS, RedisConnection

NO_RIGHT = "no permissions"
"""Redis' words for a command or key that the user's ACL lacks, unlike a wrong password."""

_ANSWER_SECONDS = 5.0

_MOST_CAMERAS = 100
"""How many cameras' keys are looked at."""

_FULL = 0.9
"""Share of `maxmemory` above which writes will soon be refused."""


@dataclass(frozen=True)
class RedisUse:
    """What a process does with Redis.

    Attributes:
        connection: How it connects.
        commands: The commands that it sends.
        writes: Whether it writes.
    """

    connection: RedisConnection
    commands: tuple[str, ...]
    writes: bool


def brief(connection: RedisConnection, **changes: object) -> RedisConnection:
    """Return a connection that gives up sooner than a process would."""
    seconds = min(connection.redis_timeout_seconds, _ANSWER_SECONDS)
    return connection.model_copy(update={"redis_timeout_seconds": seconds, **changes})


def check_redis(use: RedisUse, part: Part) -> Iterator[Finding]:
    """Examine a process's Redis: server, mode, rights, keys, memory, persistence, replicas."""
    connection = brief(use.connection)
    # One node first, however the setting is: it says itself whether it is one of a cluster.
    with closing(Redis(brief(connection, redis_cluster=False))) as server:
        try:
            # Every user may say this, and PING only those that were granted it.
            greeting = hello(server.attempt("reach", lambda client: send(client, "HELLO")))
        except SeedstreamError as error:
            yield _unreached(connection, error, part)
            return
    yield part.ok("connection", connection.redis_where)
    yield from unlocked(connection, part)
    yield part.ok("version", f"{greeting['server']} {greeting['version']}")
    mode = _mode(connection, greeting["mode"], part)
    yield mode
    if mode.status == "fault":
        return
    if use.writes and greeting["role"] not in ("master", "primary"):
        yield part.fault(
            "role",
            f"{connection.redis_where} is a {greeting['role']}: it refuses writes",
            f"point {_setting(connection, 'redis_url')} at the primary",
        )
    with closing(Redis(connection)) as server:
        client: Any = server.attempt("open", lambda opened: opened)
        for node, camera in _nodes(client, connection):
            yield from _rights(use, client, camera, node, part)
            yield from _resources(client, node, part)
        yield from _keys(client, connection.result_keys, part)


def unlocked(connection: RedisConnection, part: Part) -> Iterator[Finding]:
    """Yield a warning for a server that has let us in without a secret, and may so let in others.

    One on this machine is reached by those on it alone.
    """
    url = urlsplit(connection.redis_url.get_secret_value())
    own = connection.redis_password is not None or url.password
    mutual = "ssl_certfile" in parse_qs(url.query)
    if own or mutual or url.scheme == "unix" or _is_loopback(url.hostname or "localhost"):
        return
    yield part.warning(
        "password",
        f"{connection.redis_where} lets in whoever reaches it: results can be read, changed and "
        "deleted",
        f"ACL SETUSER NAME with a password, {_setting(connection, 'redis_username')} and "
        f"{_setting(connection, 'redis_password')}, ACL SETUSER default off; and close the port "
        "to others",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unreached(connection: RedisConnection, error: SeedstreamError, part: Part) -> Finding:
    found = part.failed("connection", error)
    if found.advice:
        return found
    setting = _setting(connection, "redis_url")
    return part.fault("connection", found.seen, f"is it running, and is {setting} right?")


def send(client: Any, *command: str | int) -> Any:
    """Return the answer to a command."""
    return client.execute_command(*command)


def hello(answer: Any) -> dict[str, str]:
    """Return what HELLO answers, which is a list of names and values in the older protocol."""
    pairs = answer.items() if isinstance(answer, Mapping) else zip(*[iter(answer)] * 2, strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _setting(connection: RedisConnection, name: str) -> str:
    return f"{connection.model_config.get('env_prefix', '')}{name}".upper()


def _mode(connection: RedisConnection, mode: str, part: Part) -> Finding:
    setting = _setting(connection, "redis_cluster")
    if mode == "sentinel":
        return part.fault(
            "mode", "this is a Sentinel, which stores nothing", "give the address of the primary"
        )
    if (mode == "cluster") != connection.redis_cluster:
        expected = "true" if mode == "cluster" else "false"
        return part.fault(
            "mode",
            f"the server's mode is {mode}, {setting} is {str(connection.redis_cluster).lower()}",
            f"set {setting}={expected}",
        )
    return part.ok("mode", mode)


def _nodes(client: Any, connection: RedisConnection) -> Iterator[tuple[str, str]]:
    """Yield each primary's name, empty outside a cluster, with a camera whose keys lie there."""
    if not connection.redis_cluster:
        yield "", ".doctor"
        return
    for node in client.get_primaries():
        camera = probe_camera(client.get_node_from_key, node, connection.result_keys)
        if camera is not None:
            yield node.name, camera


def _rights(use: RedisUse, client: Any, camera: str, node: str, part: Part) -> Iterator[Finding]:
    check = f"rights {node}".rstrip()
    allowed = []
    for command in use.commands:
        try:
            client.execute_command(*harmless(command, camera, use.connection.result_keys))
        except ERRORS as error:
            if not was_let_in(error):
                yield _refused(use, command, error, check, part)
                continue
        allowed.append(command)
    if len(allowed) == len(use.commands):
        yield part.ok(check, f"may {', '.join(allowed)}")


def _refused(use: RedisUse, command: str, error: BaseException, check: str, part: Part) -> Finding:
    text = str(error)
    if "WRONGTYPE" in text:
        return part.fault(
            check,
            f"{use.connection.result_keys.cameras} holds another type of value: {text}",
            "another application writes there: give Seedstream a database of its own, or delete "
            "the key",
        )
    if NO_RIGHT in text.lower():
        return part.fault(
            check,
            f"{command} is refused: {text}",
            f"ACL SETUSER NAME {rule(use.commands, use.connection.result_prefix)}",
        )
    return part.failed(f"{check} {command}", failed(error, use.connection, f"try {command} on"))


def _keys(client: Any, keys: ResultKeys, part: Part) -> Iterator[Finding]:
    """Yield the keys of cameras that hold something else; quiet where this user may not look."""
    try:
        cameras: Sequence[Any] = client.execute_command(
            "ZRANGE", keys.cameras, 0, _MOST_CAMERAS - 1
        )
    except ERRORS:
        return
    wrong = []
    for camera in map(_text, cameras):
        try:
            client.execute_command("XRANGE", keys.results(camera), "0-1", "0-1")
        except ERRORS as error:
            if "WRONGTYPE" in str(error):
                wrong.append(keys.results(camera))
    if wrong:
        yield part.fault(
            "keys",
            f"no streams of results: {', '.join(wrong[:8])}",
            "another application writes there: give Seedstream a database of its own, or delete "
            "them",
        )
    else:
        yield part.ok("keys", f"results of {len(cameras)} camera{'s' * (len(cameras) != 1)}")


def _resources(client: Any, node: str, part: Part) -> Iterator[Finding]:
    target = {"target_nodes": client.get_node(node_name=node)} if node else {}
    suffix = f" {node}" if node else ""
    try:
        # Its answer for one node is text; the client parses it.
        told: Any = client.info(**target)
    except ERRORS:
        yield part.skipped(
            f"memory{suffix}",
            "this user may not ask for memory, persistence and replicas",
            "run doctor as a user with +info to have them checked",
        )
        return
    info: Mapping[str, Any] = told
    yield _memory(f"memory{suffix}", info, part)
    yield _persistence(f"persistence{suffix}", info, part)
    yield _replicas(f"replicas{suffix}", info, part)


def _memory(check: str, info: Mapping[str, Any], part: Part) -> Finding:
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if limit and policy != "noeviction":
        return part.warning(
            check,
            f"maxmemory-policy is {policy}: when memory is full, results go without a word",
            "CONFIG SET maxmemory-policy noeviction: then workers wait, and say so",
        )
    if not limit:
        return part.warning(
            check,
            "maxmemory is not set: Redis grows until the system ends it",
            "CONFIG SET maxmemory to what the machine can spare",
        )
    if used > _FULL * limit:
        return part.warning(
            check,
            f"{used / limit:.0%} of {limit / 2**20:.0f} MiB are used: writes are refused when full",
            "raise maxmemory, or lower WORKER_RESULT_TTL_SECONDS or WORKER_MAX_RESULTS_PER_CAMERA",
        )
    return part.ok(check, f"{used / 2**20:.0f} of {limit / 2**20:.0f} MiB used, {policy}")


def _persistence(check: str, info: Mapping[str, Any], part: Part) -> Finding:
    states = {
        "rdb_last_bgsave_status": "saving to disk",
        "aof_last_write_status": "writing the log of changes",
    }
    broken = [text for name, text in states.items() if info.get(name, "ok") != "ok"]
    if broken:
        return part.fault(
            check,
            f"{' and '.join(broken)} failed lately: Redis may refuse writes",
            "see Redis' log and the free space of its disk",
        )
    if int(info.get("loading", 0)):
        return part.fault(check, "Redis still loads its data", "wait until it has")
    return part.ok(check, f"append-only file {'on' if info.get('aof_enabled') else 'off'}")


def _replicas(check: str, info: Mapping[str, Any], part: Part) -> Finding:
    replicas = int(info.get("connected_slaves", 0))
    if info.get("role") == "slave" and info.get("master_link_status") != "up":
        return part.fault(check, "the link to its primary is down", "see Redis' log")
    if info.get("role") == "master" and not replicas:
        return part.warning(
            check,
            "no replica: the kept results are lost with this server",
            "add a replica, if results must outlive a machine",
        )
    return part.ok(check, f"{replicas} connected")
