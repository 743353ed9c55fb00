"""Kafka as a process sees it: the cluster, this user's rights, and the consumer group.

Library: kafka-python. Nothing is written: rights are those that Kafka itself tells.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from contract.errors import SeedstreamError
from doctor.findings import Finding, Part
from doctor.topic_checks import TopicUse, check_dead_topic, check_topic
from servers.kafka import KafkaConnection, KafkaError, Meaning, failed, meaning, open_client

T = TypeVar("T")

_ANSWER_SECONDS = 10.0
"""Longest wait for Kafka, to open and for each answer."""

_ASKED_AGAIN = 20
_PAUSE_SECONDS = 0.25
"""The coordinator of a group is still being found when Kafka is asked for the first time."""

_OLDEST = (3, 0)
"""Before, an idempotent producer needs the right IDEMPOTENT_WRITE on the cluster as well."""

_EARLIEST, _LATEST = -2, -1
"""Sentinels of ListOffsets."""

_DEAD_STATES = ("Empty", "Dead")


@dataclass(frozen=True)
class KafkaUse:
    """What a process does with Kafka.

    Attributes:
        connection: How it connects.
        topics: Its topics; the frames' first, the dead letters' second.
        group: Its consumer group, None without one.
        cameras: How many cameras it publishes, None where unknown.
    """

    connection: KafkaConnection
    topics: tuple[TopicUse, ...]
    group: str | None = None
    cameras: int | None = None


def check_kafka(use: KafkaUse, part: Part) -> Iterator[Finding]:
    """Examine a process's Kafka: cluster, topics, rights, group.

    Raises:
        SeedstreamError: Kafka does not answer, or refuses, half-way.
    """
    connection = use.connection
    seconds = min(connection.kafka_timeout_seconds, _ANSWER_SECONDS)
    try:
        client = open_client(
            KafkaAdminClient,
            connection,
            timeout_seconds=seconds,
            request_timeout_ms=int(seconds * 1000),
        )
    except SeedstreamError as error:
        yield part.failed("connection", error)
        return
    with closing(client):
        ask = _Asking(client, connection)
        brokers = ask("asking for the brokers", client.describe_cluster)["brokers"]
        yield part.ok(
            "connection",
            f"{connection.bootstrap_servers} ({connection.security_protocol}), {len(brokers)} "
            f"broker{'s' * (len(brokers) != 1)}",
        )
        yield _version(client._manager.broker_version, part)  # no public way
        sizes: list[int | None] = []
        for topic in use.topics:
            configs = _configs(topic.name, ask)
            (description,) = ask("asking for a topic", client.describe_topics, [topic.name])
            yield from check_topic(topic, description, configs, len(brokers), use.cameras, part)
            sizes.append(_number(configs.get("max.message.bytes")))
        if len(sizes) > 1:
            dead = check_dead_topic(sizes[0], sizes[1], use.topics[1].name, part)
            yield from () if dead is None else (dead,)
        if use.group is not None:
            frames = use.topics[0].name
            yield from _group(use.group, frames, ask, part)


@dataclass(frozen=True)
class _Asking:
    """Asks an admin client, and turns its errors into ours."""

    client: Any
    connection: KafkaConnection

    def __call__(self, doing: str, question: Callable[..., T], *arguments: Any, **named: Any) -> T:
        for left in range(_ASKED_AGAIN, -1, -1):
            try:
                return question(*arguments, **named)
            except KafkaError as error:
                if left == 0 or meaning(error) is not Meaning.AWAY:
                    raise failed(error, self.connection, doing) from error
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("unreachable: the last attempt returns or raises")


def _version(version: Sequence[int], part: Part) -> Finding:
    text = ".".join(map(str, version))
    if tuple(version) < _OLDEST:
        return part.warning(
            "version",
            f"speaks as Kafka {text}, expected {_OLDEST[0]}.{_OLDEST[1]} or later",
            "grant producers IDEMPOTENT_WRITE on the cluster, or update Kafka",
        )
    return part.ok("version", f"speaks as Kafka {text}")


def _configs(topic: str, ask: _Asking) -> dict[str, str]:
    """Return a topic's settings; nothing where this user may not see them."""
    told = ask(
        "asking for a topic's settings",
        ask.client.describe_configs,
        [ConfigResource(ConfigResourceType.TOPIC, topic)],
        config_filter="all",
    )
    found = told.get("topic", {}).get(topic, {})
    return {name: str(entry["value"]) for name, entry in found.items()}


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _group(group: str, topic: str, ask: _Asking, part: Part) -> Iterator[Finding]:
    check = f"group {group}"
    try:
        described = ask(
            "asking for the group",
            ask.client.describe_groups,
            [group],
            include_authorized_operations=True,
        )
        offsets = ask("asking for its positions", ask.client.list_group_offsets, {group: None})
    except ValueError:
        # Of rights that the client has no name for; the embedded broker tells such.
        yield part.skipped(check, "this Kafka's answer about groups cannot be read")
        return
    except SeedstreamError as error:
        if "AuthorizationFailed" not in str(error):
            raise
        yield part.fault(
            check,
            f"this user may not use the consumer group {group!r}",
            f"grant it READ on the group: kafka-acls.sh --add --allow-principal User:NAME "
            f"--operation Read --group {group}",
        )
        return
    found = described.get(group) if isinstance(described, dict) else described[0]
    yield from _members(check, group, found or {}, topic, ask, part)
    positions = {
        partition.partition: offset.offset
        for partition, offset in offsets.get(group, {}).items()
        if partition.topic == topic and offset.offset >= 0
    }
    yield from _lag(check, found or {}, topic, positions, ask, part)


def _members(
    check: str, group: str, found: Mapping[str, Any], topic: str, ask: _Asking, part: Part
) -> Iterator[Finding]:
    rights = found.get("authorized_operations")
    if rights is not None and "READ" not in rights:
        yield part.fault(
            check, f"this user may {', '.join(rights) or 'do nothing'}", f"grant READ on {group!r}"
        )
    protocol = found.get("protocol_type") or "consumer"
    if protocol != "consumer":
        yield part.fault(
            check,
            f"its members are of the kind {protocol!r}, expected consumers",
            "another application uses this name: set WORKER_GROUP",
        )
    members = len(found.get("members") or ())
    (description,) = ask("asking for a topic", ask.client.describe_topics, [topic])
    partitions = len(description["partitions"])
    state = str(found.get("group_state") or "unknown")
    if members > partitions > 0:
        yield part.warning(
            check,
            f"{members} workers share {partitions} partitions: the others are idle",
            f"add partitions to {topic!r}, or run fewer workers",
        )
    else:
        told = "does not exist yet" if state == "Dead" else state
        yield part.ok(check, f"{told}, {members} worker{'s' * (members != 1)}")


def _lag(
    check: str,
    found: Mapping[str, Any],
    topic: str,
    positions: Mapping[int, int],
    ask: _Asking,
    part: Part,
) -> Iterator[Finding]:
    check = f"{check} lag"
    if not positions:
        yield part.ok(check, f"no committed position on {topic!r} yet")
        return
    first, last = _ends(topic, positions, ask)
    lost = {n: first[n] - position for n, position in positions.items() if position < first[n]}
    if lost:
        yield part.warning(
            check,
            f"{sum(lost.values())} records expired before they were read (partitions "
            f"{', '.join(map(str, sorted(lost)))})",
            "run more workers, or raise the topic's retention.ms and retention.bytes",
        )
    behind = sum(max(0, last[n] - position) for n, position in positions.items())
    idle = not (found.get("members") or ()) or found.get("group_state") in _DEAD_STATES
    if behind and idle:
        yield part.warning(check, f"{behind} records wait and no worker reads", "start workers")
    else:
        yield part.ok(check, f"{behind} records behind")


def _ends(
    topic: str, positions: Mapping[int, int], ask: _Asking
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the first and the next position of each partition."""
    wanted = [TopicPartition(topic, number) for number in positions]

    def at(sentinel: int) -> dict[int, int]:
        told = ask(
            "asking for positions",
            ask.client.list_partition_offsets,
            dict.fromkeys(wanted, sentinel),
        )
        return {partition.partition: found.offset for partition, found in told.items()}

    return at(_EARLIEST), at(_LATEST)
