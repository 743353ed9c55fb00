"""The examination: which parts, by whose settings, and what the exit code says."""

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, get_args

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from contract.errors import ConfigurationError
from contract.process import EXIT_FAILED, EXIT_OK
from contract.settings import load_settings, unknown_variables
from doctor.agreement_checks import check_agreement
from doctor.artifact_checks import check_artifact
from doctor.camera_checks import check_cameras, check_list
from doctor.findings import Finding, Part, Task, examine
from doctor.findings_report import without_secrets
from doctor.kafka_checks import KafkaUse, check_kafka
from doctor.machine_checks import (
    Clocks,
    check_machine,
    check_newest_record,
    check_redis_clock,
    check_wall_clock,
    read_clocks,
)
from doctor.redis_checks import RedisUse, check_redis
from doctor.redis_rights import SINK_COMMANDS, VIEWER_COMMANDS
from doctor.settings import ExaminedWorker
from doctor.topic_checks import TopicUse
from producer.cameras import Camera
from producer.settings import ProducerSettings
from viewer.settings import ViewerSettings

Process = Literal["producer", "worker", "viewer"]
PROCESSES: tuple[Process, ...] = get_args(Process)
PARTS = ("settings", "kafka", "redis", "artifact", "clocks", "cameras", "machine")

_KINDS: Mapping[Process, type[BaseSettings]] = {
    "producer": ProducerSettings,
    "worker": ExaminedWorker,
    "viewer": ViewerSettings,
}
_ADVANCE_SECONDS = 1.0
"""The cameras end before the whole does, so that each of them has its own line."""

_SKEW_SECONDS = 2.0
"""Skew that is a fault, unless a worker in live mode says how old a frame may be."""

_SHORTEST_SECRET = 4
"""Shorter ones would take letters out of every word."""


@dataclass(frozen=True)
class Choice:
    """What is examined.

    Attributes:
        processes: Whose settings are read.
        parts: Which parts.
        seconds: How long all of it may take.
        clocks: This machine's.
    """

    processes: tuple[Process, ...]
    parts: Collection[str] = PARTS
    seconds: float = 60.0
    clocks: Clocks = field(default_factory=Clocks)


def chosen_processes(
    asked: Sequence[Process], environment: Mapping[str, str] = os.environ
) -> tuple[Process, ...]:
    """Return whose settings are read: those asked for, else those that the environment sets.

    Raises:
        ConfigurationError: None is asked for, and no variable of any is set.
    """
    if asked:
        return tuple(asked)
    prefixes = {name: f"{name}_".upper() for name in PROCESSES}
    found = tuple(
        name
        for name, prefix in prefixes.items()
        if any(each.upper().startswith(prefix) for each in environment)
    )
    if not found:
        raise ConfigurationError(
            "nothing to examine: no variable that begins with "
            f"{', '.join(prefixes.values())} is set; choose --producer, --worker or --viewer"
        )
    return found


def chosen_parts(only: str | None, cameras: bool) -> tuple[str, ...]:
    """Return the parts that are examined.

    Args:
        only: Their names, comma-separated; None for all.
        cameras: Whether cameras are opened.

    Raises:
        ConfigurationError: There is no such part.
    """
    wanted = PARTS if only is None else tuple(each.strip() for each in only.split(","))
    unknown = [each for each in wanted if each not in PARTS]
    if unknown:
        raise ConfigurationError(
            f"--only: no part {', '.join(map(repr, unknown))}; expected some of {', '.join(PARTS)}"
        )
    return tuple(each for each in wanted if cameras or each != "cameras")


def examination(choice: Choice) -> list[Finding]:
    """Examine, and return what was found, without secrets.

    Raises:
        ConfigurationError: With every invalid setting of the processes.
    """
    settings = _load(choice.processes)
    clocks = choice.clocks
    first = read_clocks(clocks)
    began = time.monotonic()
    cameras: list[Camera] | None = None
    findings: list[Finding] = []
    producer = settings.get("producer")
    if isinstance(producer, ProducerSettings) and {"kafka", "cameras", "machine"} & {*choice.parts}:
        cameras, listed = check_list(producer, Part("cameras", "producer"))
        findings += listed if "cameras" in choice.parts else ()
    tasks = dict(_tasks(choice, settings, cameras))
    left = max(1.0, choice.seconds - (time.monotonic() - began))
    found = examine(tasks, threads=max(1, len(tasks)), seconds=left)
    findings += found
    if "clocks" in choice.parts:
        findings.append(check_wall_clock(first, read_clocks(clocks), Part("clocks")))
    findings.sort(key=_place)
    return without_secrets(findings, _secrets(settings.values(), cameras or ()))


def exit_code(findings: Sequence[Finding]) -> int:
    """Return what the command exits with: 1 if anything is at fault."""
    return EXIT_FAILED if any(each.status == "fault" for each in findings) else EXIT_OK


def _load(processes: Sequence[Process]) -> dict[Process, BaseSettings]:
    settings: dict[Process, BaseSettings] = {}
    faults: list[str] = []
    for name in processes:
        try:
            settings[name] = load_settings(_KINDS[name])
        except ConfigurationError as error:
            faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    return settings


def _place(finding: Finding) -> tuple[int, int]:
    """Return where a finding stands in the report: the machine last."""
    processes = (*PROCESSES, "")
    return processes.index(finding.process), PARTS.index(finding.part)


def _tasks(
    choice: Choice, settings: Mapping[Process, BaseSettings], cameras: list[Camera] | None
) -> Iterator[tuple[str, Task]]:
    for process, of in settings.items():
        yield from _own_tasks(choice, process, of, cameras)
    producer, worker = settings.get("producer"), settings.get("worker")
    if isinstance(producer, ProducerSettings) and isinstance(worker, ExaminedWorker):
        both = Part("settings", "producer")
        look = partial(check_agreement, producer, worker, both)
        yield from _if_chosen(choice, "agreement", both, look)
    limit = _skew_limit(settings)
    for process, of in settings.items():
        part = Part("clocks", process)
        if isinstance(of, ExaminedWorker | ViewerSettings):
            clock = partial(check_redis_clock, of, limit, choice.clocks, part)
            yield from _if_chosen(choice, f"{process}'s Redis' clock", part, clock)
        topic = str(getattr(of, "topic", ""))
        if isinstance(of, ExaminedWorker | ProducerSettings):
            record = partial(check_newest_record, of, topic, limit, choice.clocks, part)
            yield from _if_chosen(choice, f"{process}'s newest record", part, record)
    machine = Part("machine")
    count = len(cameras) if cameras else None
    yield from _if_chosen(
        choice, "machine", machine, partial(check_machine, tuple(settings), count, machine)
    )


def _own_tasks(
    choice: Choice, process: Process, of: BaseSettings, cameras: list[Camera] | None
) -> Iterator[tuple[str, Task]]:
    """Yield the tasks of one process but for the clocks."""

    def task(name: str, look: Callable[[Part], Iterator[Finding]]) -> Iterator[tuple[str, Task]]:
        part = Part(name, process)
        yield from _if_chosen(choice, f"{process}'s {name}", part, partial(look, part))

    yield from task("settings", partial(_unknown, _KINDS[process]))
    kafka = kafka_use(of, len(cameras) if cameras else None)
    yield from task("kafka", partial(check_kafka, kafka))
    if isinstance(of, ExaminedWorker):
        redis = RedisUse(of, SINK_COMMANDS, writes=True)
        yield from task("redis", partial(check_redis, redis))
        look = partial(
            check_artifact, of.named_model, of.provider, of.precision, of.intra_op_threads
        )
        yield from task("artifact", look)
    if isinstance(of, ViewerSettings):
        yield from task("redis", partial(check_redis, RedisUse(of, VIEWER_COMMANDS, writes=False)))
    if process == "producer" and cameras:
        seconds = max(1.0, choice.seconds - _ADVANCE_SECONDS)
        yield from task("cameras", partial(check_cameras, cameras, seconds))


def _if_chosen(
    choice: Choice, name: str, part: Part, look: Callable[[], Iterator[Finding]]
) -> Iterator[tuple[str, Task]]:
    if part.name in choice.parts:
        yield name, (part, look)


def kafka_use(settings: BaseSettings, cameras: int | None) -> KafkaUse:
    """Return what a process does with Kafka, by its settings.

    Args:
        settings: Of a producer, a worker or a viewer.
        cameras: How many cameras are published, None where unknown.
    """
    if isinstance(settings, ProducerSettings):
        topic = TopicUse(
            settings.topic,
            "PRODUCER_TOPIC",
            "WRITE",
            settings.max_record_bytes,
            "PRODUCER_MAX_RECORD_BYTES",
        )
        return KafkaUse(settings, (topic,), cameras=cameras)
    if isinstance(settings, ExaminedWorker):
        topics = (
            TopicUse(settings.topic, "WORKER_TOPIC", "READ"),
            TopicUse(settings.dead_topic, "WORKER_DEAD_TOPIC", "WRITE", shared=False),
        )
        return KafkaUse(settings, topics, settings.group, cameras)
    assert isinstance(settings, ViewerSettings)
    return KafkaUse(settings, (TopicUse(settings.topic, "VIEWER_TOPIC", "READ"),), None, cameras)


def _skew_limit(settings: Mapping[Process, BaseSettings]) -> float:
    worker = settings.get("worker")
    live = isinstance(worker, ExaminedWorker) and worker.mode == "live"
    return worker.max_age_seconds if live and isinstance(worker, ExaminedWorker) else _SKEW_SECONDS


def _unknown(kind: type[BaseSettings], part: Part) -> Iterator[Finding]:
    unknown = unknown_variables(kind)
    for name, advice in unknown.items():
        yield part.warning(name, "this variable sets nothing", advice)
    if not unknown:
        yield part.ok("variables", "each sets something, and each value is valid")


def _secrets(settings: Collection[BaseSettings], cameras: Sequence[Camera]) -> Iterator[str]:
    for model in (*settings, *cameras):
        for name in type(model).model_fields:
            value = getattr(model, name)
            if isinstance(value, SecretStr) and "url" not in name:
                secret = value.get_secret_value()
                if len(secret) >= _SHORTEST_SECRET:
                    yield secret
