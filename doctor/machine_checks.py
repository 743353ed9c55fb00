"""This machine: its clock against the servers', open files, disk for caches, packages."""

import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kafka import KafkaAdminClient, TopicPartition

from contract.errors import SeedstreamError
from doctor.findings import Clock, Finding, Part
from doctor.redis_checks import NO_RIGHT, brief, send
from doctor.topic_checks import absent
from servers.kafka import KafkaConnection, KafkaError, open_client
from servers.redis import Redis
from servers.redis_connection import RedisConnection

NOTED_SECONDS = 0.5
"""Skew above which latencies are visibly wrong."""

_STEP_SECONDS = 0.2
"""How far the wall clock may move against the monotonic one within an examination."""

_KAFKA_SECONDS = 10.0
_NEWEST = -3
"""Sentinel of ListOffsets: the record with the latest time stamp (Kafka 3.0, KIP-734)."""

_FILES = 256
_FILES_OF_A_CAMERA = 8
_CACHE_BYTES = 200 * 1024 * 1024
"""Numba's compiled kernels, with room for the files that ONNX Runtime and uploads make."""

_PYTHON = (3, 11)
PACKAGES = {
    "producer": ("av", "crc32c", "kafka-python", "lz4", "opencv-python-headless", "simplejpeg"),
    "worker": ("crc32c", "kafka-python", "lz4", "numba", "numpy", "redis", "simplejpeg"),
    "viewer": ("av", "kafka-python", "redis", "simplejpeg"),
}
"""Distributions that each process needs beside what doctor needs itself."""


@dataclass(frozen=True)
class Clocks:
    """Clocks of this machine, in seconds; tests give others.

    Attributes:
        wall: Time since the epoch.
        monotonic: Never steps.
    """

    wall: Clock = time.time
    monotonic: Clock = time.monotonic


def check_redis_clock(
    connection: RedisConnection, limit_seconds: float, clocks: Clocks, part: Part
) -> Iterator[Finding]:
    """Compare this machine's clock with that of Redis.

    Args:
        connection: Redis.
        limit_seconds: Skew that makes frames look too old, in seconds.
        clocks: This machine's.
        part: What the finding belongs to.
    """
    with closing(Redis(brief(connection, redis_cluster=False))) as server:
        try:
            server.attempt("ask the time of", lambda client: send(client, "TIME"))  # opens it
            before = clocks.wall()
            seconds, microseconds = server.attempt(
                "ask the time of", lambda client: send(client, "TIME")
            )
        except SeedstreamError as error:
            refused = NO_RIGHT in str(error)
            why = "this user may not ask" if refused else "it does not answer"
            yield part.skipped("Redis' clock", why, "allow +time" if refused else "")
            return
        after = clocks.wall()
    skew = (before + after) / 2 - (int(seconds) + int(microseconds) / 1e6)
    yield skew_finding("Redis' clock", skew, (after - before) / 2, limit_seconds, part)


def skew_finding(
    check: str, skew: float, error: float, limit_seconds: float, part: Part
) -> Finding:
    """Return what a skew means.

    Args:
        check: The other clock.
        skew: This machine's time less the other's, in seconds.
        error: How far that may be wrong, in seconds.
        limit_seconds: Skew that makes frames look too old, in seconds.
        part: What the finding belongs to.
    """
    seen = f"this machine is {abs(skew):.3f} s {'ahead' if skew > 0 else 'behind'} (±{error:.3f})"
    advice = "let both keep their time by NTP (chronyc tracking, timedatectl)"
    if abs(skew) - error > limit_seconds:
        return part.fault(
            check, f"{seen}: frames look too old, or newer than now, beyond {limit_seconds:g} s",
            advice,
        )  # fmt: skip
    if abs(skew) - error > NOTED_SECONDS:
        return part.warning(check, f"{seen}: latencies are wrong by that much", advice)
    return part.ok(check, seen)


def check_newest_record(
    connection: KafkaConnection, topic: str, limit_seconds: float, clocks: Clocks, part: Part
) -> Iterator[Finding]:
    """Compare this machine's clock with the newest record: Kafka has no question for its time."""
    check = f"newest record of {topic}"
    try:
        client = open_client(
            KafkaAdminClient,
            connection,
            timeout_seconds=min(connection.kafka_timeout_seconds, _KAFKA_SECONDS),
            request_timeout_ms=int(_KAFKA_SECONDS * 1000),
        )
    except SeedstreamError:
        yield part.skipped(check, "Kafka does not answer")
        return
    with closing(client):
        try:
            (description,) = client.describe_topics([topic])
            if description["error_code"] or not description["partitions"]:
                yield part.skipped(check, absent(description["error_code"]))
                return
            asked = {
                TopicPartition(topic, each["partition_index"]): _NEWEST
                for each in description["partitions"]
            }
            told = client.list_partition_offsets(asked)
        except KafkaError as error:
            yield part.skipped(check, f"Kafka does not tell: {error!r}")
            return
    newest = max((each.timestamp for each in told.values()), default=-1)
    if newest < 0:
        yield part.skipped(check, "no record yet")
        return
    yield newest_finding(check, clocks.wall() - newest / 1000, limit_seconds, part)


def newest_finding(check: str, age: float, limit_seconds: float, part: Part) -> Finding:
    """Return what the age of the newest record means, in seconds."""
    if age < -NOTED_SECONDS:
        seen = f"its time is {-age:.3f} s after this machine's"
        advice = "let the producer's and this machine keep their time by NTP"
        if -age > limit_seconds:
            return part.fault(check, seen, advice)
        return part.warning(check, seen, advice)
    return part.ok(check, f"{age:.1f} s old")


@dataclass(frozen=True)
class Reading:
    """Both clocks at one moment.

    Attributes:
        wall: Wall clock, in seconds.
        monotonic: Monotonic clock, in seconds.
        error: How far apart the two may have been read, in seconds.
    """

    wall: float
    monotonic: float
    error: float


def read_clocks(clocks: Clocks) -> Reading:
    """Read both clocks, as near to each other as a busy machine lets us."""
    before, wall, after = clocks.monotonic(), clocks.wall(), clocks.monotonic()
    return Reading(wall, (before + after) / 2, (after - before) / 2)


def check_wall_clock(first: Reading, last: Reading, part: Part) -> Finding:
    """Return whether the wall clock has stepped between two readings."""
    passed = last.monotonic - first.monotonic
    step = (last.wall - first.wall) - passed
    if abs(step) > _STEP_SECONDS + first.error + last.error:
        return part.warning(
            "wall clock",
            f"it stepped by {step:+.3f} s within {passed:.1f} s",
            "let NTP slew it rather than step it; frames of a camera whose clock steps back are "
            "skipped",
        )
    return part.ok("wall clock", "did not step against the monotonic clock")


def check_machine(processes: Sequence[str], cameras: int | None, part: Part) -> Iterator[Finding]:
    """Examine Python, packages, open files, and room for caches."""
    found = platform.python_version()
    if sys.version_info < _PYTHON:
        yield part.fault("Python", f"{found}, expected 3.11 or later", "install a newer one")
    else:
        yield part.ok("Python", found)
    yield check_packages(processes, _version, part)
    if "producer" in processes:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield check_open_files(soft, cameras or 0, part)
    folders = {"temporary files": Path(tempfile.gettempdir())}
    if "worker" in processes:
        cache = os.environ.get("NUMBA_CACHE_DIR")
        folders["compiled kernels"] = Path(cache) if cache else Path(__file__).parents[1]
    for name, folder in folders.items():
        yield check_folder(name, folder, part)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_packages(
    processes: Sequence[str], version: Callable[[str], str | None], part: Part
) -> Finding:
    """Examine whether what the processes need is installed."""
    wanted = sorted({name for process in processes for name in PACKAGES[process]})
    versions = {name: version(name) for name in ("seedstream", *wanted)}
    missing = [name for name in wanted if versions[name] is None]
    if missing:
        return part.fault(
            "packages", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}"
        )
    return part.ok("packages", ", ".join(f"{name} {found}" for name, found in versions.items()))


def check_open_files(limit: int, cameras: int, part: Part) -> Finding:
    """Examine the limit of open files against the number of cameras."""
    needed = _FILES + _FILES_OF_A_CAMERA * cameras
    unlimited = limit == resource.RLIM_INFINITY
    if not unlimited and limit < needed:
        return part.fault(
            "open files",
            f"at most {limit}, expected {needed} for {cameras} cameras",
            f"ulimit -n {needed}, or LimitNOFILE= of the service",
        )
    return part.ok("open files", "unlimited" if unlimited else f"at most {limit}")


def check_folder(name: str, folder: Path, part: Part) -> Finding:
    """Examine whether a folder for caches can be written to and has room."""
    place = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if not os.access(place, os.W_OK):
        return part.warning(
            name,
            f"{folder} cannot be written to: each start compiles anew",
            "set NUMBA_CACHE_DIR to a folder that can, for instance an emptyDir",
        )
    free = shutil.disk_usage(place).free
    if free < _CACHE_BYTES:
        return part.warning(
            name,
            f"{folder} has {free / 2**20:.0f} MiB left, expected {_CACHE_BYTES / 2**20:.0f}",
            "free some of it",
        )
    return part.ok(name, f"{folder}, {free / 2**30:.1f} GiB free")
