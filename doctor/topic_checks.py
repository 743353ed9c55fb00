"""One topic against what a process does with it: pure, from what Kafka tells."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from doctor.findings import Finding, Part
from servers.record_batches import CODECS

_UNKNOWN_TOPIC = 3
_NOT_AUTHORIZED = 29
"""Error codes of Kafka's protocol."""

_READABLE = {"producer", "uncompressed", *CODECS.values()}
"""Values of ``compression.type`` whose batches workers can read."""

_SHORTEST_RETENTION_MS = 60_000
"""A worker that is started again within it finds its frames."""

_UNLIMITED = -1


@dataclass(frozen=True)
class TopicUse:
    """What a process does with a topic.

    Attributes:
        name: The topic.
        setting: Variable that names it.
        right: What this user needs on it: READ or WRITE.
        record_bytes: Largest record that is written, in bytes; None if it only reads.
        record_setting: Variable that sets that.
        shared: Whether workers share its partitions.
    """

    name: str
    setting: str
    right: str
    record_bytes: int | None = None
    record_setting: str = ""
    shared: bool = True


def check_topic(
    use: TopicUse,
    description: Mapping[str, Any],
    configs: Mapping[str, str],
    brokers: int,
    cameras: int | None,
    part: Part,
) -> Iterator[Finding]:
    """Examine a topic.

    Args:
        use: What the process does with it.
        description: Kafka's answer about it (Metadata).
        configs: Its settings; empty where this user may not see them.
        brokers: How many brokers there are.
        cameras: How many cameras are published, None where unknown.
        part: What the findings belong to.
    """
    check = f"topic {use.name}"
    code, partitions = description["error_code"], description["partitions"]
    if code == _NOT_AUTHORIZED:
        yield part.fault(check, absent(code), _grant(use))
        return
    if code == _UNKNOWN_TOPIC or not partitions:
        yield part.fault(
            check,
            absent(code),
            f"create it: kafka-topics.sh --create --topic {use.name}; or name another with "
            f"{use.setting}",
        )
        return
    yield from _partitions(check, partitions, cameras, use.shared, part)
    yield from _replicas(check, partitions, configs, brokers, part)
    yield _rights(check, use, description.get("authorized_operations"), part)
    if configs:
        yield from _configs(check, use, configs, part)
    else:
        yield part.skipped(
            f"{check} settings",
            "this user may not see size limit, retention, codec and cleanup policy",
            "run doctor as a user with DESCRIBE_CONFIGS on the topic to have them checked",
        )


def absent(code: int) -> str:
    """Return why a topic is not seen, by the code of Kafka's answer about it (Metadata)."""
    if code == _NOT_AUTHORIZED:
        return "this user may not see it"
    return f"does not exist (error {code})"


def _grant(use: TopicUse) -> str:
    operation = use.right.capitalize()
    return (
        f"grant it {use.right}: kafka-acls.sh --add --allow-principal User:NAME --operation "
        f"{operation} --topic {use.name}"
    )


def _rights(check: str, use: TopicUse, allowed: list[str] | None, part: Part) -> Finding:
    check = f"{check} rights"
    if allowed is None:
        return part.skipped(check, "this Kafka does not tell what a user may do")
    if use.right in allowed or "ALL" in allowed:
        return part.ok(check, f"may {use.right}")
    return part.fault(
        check, f"may {', '.join(allowed) or 'do nothing'}, expected {use.right}", _grant(use)
    )


def _partitions(
    check: str,
    partitions: list[Mapping[str, Any]],
    cameras: int | None,
    shared: bool,
    part: Part,
) -> Iterator[Finding]:
    count = len(partitions)
    headless = [each["partition_index"] for each in partitions if each["leader_id"] < 0]
    if headless:
        yield part.fault(
            check,
            f"{len(headless)} of {count} partitions have no leader ({_listed(headless)})",
            "start the brokers that hold them",
        )
    elif count == 1 and cameras != 1 and shared:
        yield part.warning(
            check,
            "one partition: only one worker of a group can read it",
            "give it as many partitions as there will be workers, before frames are published: "
            "later a camera's frames move to another partition",
        )
    elif shared and cameras is not None and cameras < count // 2:
        yield part.ok(check, f"{count} partitions for {cameras} cameras: some stay empty")
    else:
        yield part.ok(check, f"{count} partition{'s' * (count != 1)}")


def _replicas(
    check: str,
    partitions: list[Mapping[str, Any]],
    configs: Mapping[str, str],
    brokers: int,
    part: Part,
) -> Iterator[Finding]:
    check = f"{check} replicas"
    copies = min(len(each["replica_nodes"]) for each in partitions)
    in_sync = min(len(each["isr_nodes"]) for each in partitions)
    needed = int(configs.get("min.insync.replicas", 1))
    if in_sync < needed:
        yield part.fault(
            check,
            f"a partition has {in_sync} replicas in sync, min.insync.replicas is {needed}: every "
            "write is refused",
            "start the missing brokers, or lower min.insync.replicas below the number of replicas",
        )
    elif in_sync < copies:
        yield part.warning(
            check,
            f"a partition has {in_sync} of {copies} replicas in sync",
            "start the missing brokers, or wait until they have caught up",
        )
    elif copies == 1:
        yield part.warning(
            check,
            f"one copy of each record, {brokers} broker{'s' * (brokers != 1)}: records are lost "
            "with a broker's disk",
            "in production, three brokers, three replicas and min.insync.replicas=2",
        )
    elif needed == copies:
        yield part.warning(
            check,
            f"min.insync.replicas is {needed} of {copies} replicas: writes stop when one broker "
            "does",
            f"set min.insync.replicas to {copies - 1}",
        )
    elif configs and needed == 1:
        yield part.warning(
            check,
            f"min.insync.replicas is 1 of {copies} replicas: an acknowledged frame may be on one "
            "broker alone",
            "set min.insync.replicas to 2",
        )
    else:
        yield part.ok(check, f"{copies} replicas, {needed} must be in sync")


def _configs(
    check: str, use: TopicUse, configs: Mapping[str, str], part: Part
) -> Iterator[Finding]:
    looks: dict[str, Callable[[str], Finding]] = {
        "max.message.bytes": lambda value: _size(check, use, int(value), part),
        "compression.type": lambda value: _codec(check, value, part),
        "cleanup.policy": lambda value: _cleanup(check, use, value, part),
        "message.timestamp.type": lambda value: _time_stamps(check, value, part),
    }
    for name, look in looks.items():
        if name in configs:  # the embedded broker tells only what differs from its defaults
            yield look(configs[name])
    age, size = configs.get("retention.ms"), configs.get("retention.bytes")
    if age is not None and size is not None:
        yield _retention(check, int(age), int(size), part)


def _time_stamps(check: str, kind: str, part: Part) -> Finding:
    whose = "the producer's clock" if kind == "CreateTime" else "the broker's clock"
    return part.ok(f"{check} time stamps", f"{kind}: {whose}")


def _size(check: str, use: TopicUse, accepted: int, part: Part) -> Finding:
    check = f"{check} size"
    if use.record_bytes is not None and accepted < use.record_bytes:
        return part.fault(
            check,
            f"max.message.bytes is {accepted}, records may have {use.record_bytes} "
            f"({use.record_setting})",
            f"kafka-configs.sh --alter --topic {use.name} --add-config max.message.bytes="
            f"{use.record_bytes}; or lower {use.record_setting}",
        )
    return part.ok(check, f"records up to {accepted} bytes")


def _codec(check: str, name: str, part: Part) -> Finding:
    check = f"{check} codec"
    if name not in _READABLE:
        return part.fault(
            check,
            f"compression.type is {name}, which workers cannot read",
            "set compression.type=producer: frames are compressed anyway",
        )
    return part.ok(check, name)


def _cleanup(check: str, use: TopicUse, policy: str, part: Part) -> Finding:
    check = f"{check} cleanup"
    if "compact" in policy:
        return part.fault(
            check,
            f"cleanup.policy is {policy}: only the newest frame of each camera is kept",
            f"kafka-configs.sh --alter --topic {use.name} --add-config cleanup.policy=delete",
        )
    return part.ok(check, policy)


def _retention(check: str, age_ms: int, size: int, part: Part) -> Finding:
    check = f"{check} retention"
    if age_ms == _UNLIMITED and size == _UNLIMITED:
        return part.warning(
            check,
            "neither retention.ms nor retention.bytes is bounded: the brokers' disks fill",
            "set retention.ms, and retention.bytes per partition",
        )
    if age_ms != _UNLIMITED and age_ms < _SHORTEST_RETENTION_MS:
        return part.warning(
            check,
            f"records go after {age_ms / 1000:g} s: a worker that is restarted loses frames",
            f"set retention.ms to at least {_SHORTEST_RETENTION_MS}",
        )
    age = "any age" if age_ms == _UNLIMITED else f"{age_ms / 3_600_000:.3g} h"
    kept = "any size" if size == _UNLIMITED else f"{size / 2**20:.0f} MiB a partition"
    return part.ok(check, f"{age}, {kept}")


def check_dead_topic(
    frames: int | None, dead: int | None, topic: str, part: Part
) -> Finding | None:
    """Compare the size limits of the two topics: each frame must fit among the dead letters.

    Args:
        frames: ``max.message.bytes`` of the frames' topic; None where unknown.
        dead: The same of the dead letters'.
        topic: Name of the dead letters' topic.
        part: What the finding belongs to.
    """
    if frames is None or dead is None or dead >= frames:
        return None
    return part.fault(
        f"topic {topic} size",
        f"max.message.bytes is {dead}, but the frames' topic accepts {frames}: such a frame could "
        "not become a dead letter",
        f"kafka-configs.sh --alter --topic {topic} --add-config max.message.bytes={frames}",
    )


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:8]))
    return shown + (", ..." if len(numbers) > 8 else "")
