"""Cameras that move between partitions and producers: real processes, Kafka and Redis."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import redis
from kafka import KafkaConsumer

from contract.frame import Frame, decode_frame
from contract.process import EXIT_OK
from producer.assignment import assign
from stack.broker import Broker
from stack.frame_ledger import read_topic, topic_ends
from stack.redis_server import RedisServer
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.default_keys import KEYS
from tests.fakes import wait_until
from tests.sink_parts import make_entry, make_sink
from tests.waits import PATIENCE
from workers.records import Entry, Outcome

Names = Callable[[str], str]
PARTITIONS = 4
PUBLISHED = "seedstream_frames_published_total"
FPS = 5
HANDOVER_SECONDS = 3.0
LONGEST_DARK_SECONDS = 15.0


@dataclass(frozen=True)
class Seen:
    """A frame on the topic, and where."""

    frame: Frame
    partition: int
    position: int


@pytest.fixture
def topic(kafka: Broker, unique_name: Names) -> str:
    name = unique_name("frames")
    kafka.create_topic(name, PARTITIONS)
    return name


def write_list(path: Path, cameras: Iterable[str], *lines: str) -> None:
    """Write a list as careful people do: whole, then in its place."""
    entry = "  - {{id: {}, url: 'test:?size=64x64&fps={}&objects=1', when_full: wait}}\n"
    text = "".join(f"{line}\n" for line in lines) + "cameras:\n"
    beside = path.with_suffix(".new")
    beside.write_text(text + "".join(entry.format(camera, FPS) for camera in cameras))
    beside.rename(path)


def produce(
    folder: Path, broker: str, topic: str, config: Path, **settings: object
) -> SeedstreamProcess:
    given = {"bootstrap_servers": broker, "topic": topic, "http_port": 0, "http_host": "127.0.0.1"}
    return start_seedstream(
        "produce",
        log_path=folder / f"produce-{len(list(folder.iterdir()))}.log",
        settings=given | {"config": config, "log_format": "text"} | settings,
        env={"OMP_NUM_THREADS": "1"},
    )


def read(broker: str, topic: str) -> dict[str, list[Seen]]:
    """Return each camera's frames, by the time of their capture."""
    found: dict[str, list[Seen]] = {}
    with closing(KafkaConsumer(bootstrap_servers=broker)) as consumer:
        for record in read_topic(consumer, topic_ends(consumer, topic)):
            frame = decode_frame(record.key, record.value, record.headers, max_bytes=1 << 20)
            seen = Seen(frame, record.partition, record.offset)
            found.setdefault(frame.camera, []).append(seen)
    return {name: sorted(each, key=lambda s: s.frame.captured_at) for name, each in found.items()}


def sessions(seen: Iterable[Seen]) -> list[str]:
    return list(dict.fromkeys(each.frame.session for each in seen))


def test_a_camera_that_changes_its_partition_keeps_every_frame_in_order_also_with_a_backlog(
    kafka: Broker, redis_server: RedisServer, topic: str, tmp_path: Path
) -> None:
    names = [f"moving-{number}" for number in range(12)]
    before, after = (assign(names[:count], PARTITIONS, "partition") for count in (6, 12))
    moving = [name for name in before if before[name] != after[name]]
    path = tmp_path / "cameras.yaml"
    write_list(path, names[:6])
    with produce(tmp_path, kafka.bootstrap_servers, topic, path) as process:
        wait_until(lambda: process.metric(PUBLISHED) >= 60, 60, "frames of six cameras")
        write_list(path, names)
        wait_until(lambda: process.metric(PUBLISHED, camera=names[11]) > 20, 60, "of the twelfth")
        assert process.metric("seedstream_camera_list_reloads_total", result="applied") == 1
        assert process.metric("seedstream_camera_reconnects_total") == 0
        process.signal(signal.SIGTERM)
        assert process.wait(60) == EXIT_OK, process.text()
    topic_now = read(kafka.bootstrap_servers, topic)
    assert topic_now.keys() == set(names)
    for name, seen in topic_now.items():
        assert len(sessions(seen)) == (2 if name in moving else 1)
        for session in sessions(seen):
            run = [each for each in seen if each.frame.session == session]
            assert [each.frame.sequence for each in run] == list(range(len(run)))
            assert len({each.partition for each in run}) == 1
        assert seen[0].partition == (after | before)[name]
        assert seen[-1].partition == after[name]
    assert moving
    for name in moving:
        check_that_a_backlog_is_stored(redis_server, topic, topic_now[name])


def check_that_a_backlog_is_stored(server: RedisServer, topic: str, seen: list[Seen]) -> None:
    """Store as workers do of which that of the old partition is behind the one of the new."""
    entries = {
        session: [entry(each, topic) for each in seen if each.frame.session == session]
        for session in sessions(seen)
    }
    old, new = entries.values()
    order = [*old[:5], *new[:4], *old[5:8], *new[4:], *old[8:]]
    sink = make_sink(server.url)
    with closing(sink), redis.Redis.from_url(server.url) as client:
        outcomes = [sink.store([each])[0] for each in order]
        assert all(outcome.stored for outcome in outcomes), outcomes
        assert set(sink.store(old)) | set(sink.store(new)) == {Outcome.DUPLICATE}
        camera = seen[0].frame.camera
        assert client.xlen(KEYS.results(camera)) == len(seen)


def entry(seen: Seen, topic: str) -> Entry:
    frame, log = seen.frame, f"{topic}/{seen.partition}"
    return make_entry(frame.camera, frame.sequence, frame.session, log=log, position=seen.position)


def test_a_running_producer_takes_a_changed_list_refuses_a_broken_one_and_ends_with_its_files(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    path = tmp_path / "cameras.yaml"
    write_list(path, ["stays", "goes"])
    with produce(tmp_path, kafka.bootstrap_servers, topic, path) as process:

        def reloads(result: str) -> float:
            return process.metric("seedstream_camera_list_reloads_total", result=result)

        wait_until(process.ready, 60, "ready")
        write_list(path, ["stays", "comes", "goes: {"])
        wait_until(lambda: reloads("refused") == 1, 30, "refused")
        assert process.metric("seedstream_camera_list_refused") == 1
        assert process.metric(PUBLISHED, camera="comes") == 0
        write_list(path, ["stays", "comes"])
        wait_until(lambda: process.metric(PUBLISHED, camera="comes") > 0, 30, "the new camera")
        wait_until(lambda: 'camera="goes"' not in process.get("/metrics")[1], 30, "its series gone")
        assert process.metric("seedstream_camera_list_refused") == 0
        process.signal(signal.SIGHUP)
        wait_until(lambda: reloads("applied") == 2, 30, "read on SIGHUP")
        assert process.ready()
        path.write_text("cameras: [{id: ends, url: 'test:?size=64x64&frames=5', pace: fast}]\n")
        assert process.wait(60) == EXIT_OK, process.text()
    seen = read(kafka.bootstrap_servers, topic)
    assert {name: len(sessions(each)) for name, each in seen.items()} == {
        "stays": 1, "goes": 1, "comes": 1, "ends": 1
    }  # fmt: skip
    assert [each.frame.sequence for each in seen["ends"]] == list(range(5))


class Producers:
    """Shards of a list, each a process."""

    def __init__(self, folder: Path, broker: str, topic: str, cameras: list[str]) -> None:
        self._folder, self._broker, self._topic = folder, broker, topic
        self._config = folder / "cameras.yaml"
        self._cameras = cameras
        self._stack = ExitStack()
        self.running: list[SeedstreamProcess] = []

    def __enter__(self) -> "Producers":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, shards: int) -> None:
        write_list(self._config, self._cameras, f"shards: {shards}")

    def start(self) -> None:
        """Start one more: the pod that a StatefulSet adds."""
        process = produce(
            self._folder, self._broker, self._topic, self._config,
            shard=len(self.running), handover_seconds=HANDOVER_SECONDS,
        )  # fmt: skip
        self.running.append(self._stack.enter_context(process))

    def end_last(self) -> None:
        """Ask the last one to end: the pod that a StatefulSet removes."""
        self.running.pop().signal(signal.SIGTERM)

    def owners(self) -> dict[str, list[int]]:
        """Return which processes have series of each camera."""
        found: dict[str, list[int]] = {name: [] for name in self._cameras}
        for index, process in enumerate(self.running):
            values = process.metrics()
            for name in self._cameras if values else []:
                if values.total(PUBLISHED, camera=name) > 0:
                    found[name].append(index)
        return found

    def settled(self, shards: int) -> bool:
        expected = assign(self._cameras, shards, "shard")
        return self.owners() == {name: [shard] for name, shard in expected.items()}


def dark_seconds(seen: list[Seen]) -> float:
    """Return the longest time between two frames, less that between any two of a steady camera."""
    times = [each.frame.captured_at.timestamp() for each in seen]
    return max(b - a for a, b in pairwise(times)) - 1 / FPS


def overlaps(seen: list[Seen]) -> int:
    """Return how many frames of a session are younger than one of the next."""
    order = sessions(seen)
    return sum(
        order.index(a.frame.session) > order.index(b.frame.session) for a, b in pairwise(seen)
    )


def rescale(producers: Producers, least: int) -> Iterator[str]:
    """Go from ``least`` shards to one more and back, as docs/operate/deploy.md says."""
    producers.write(least)
    for _ in range(least + 1):  # the last is one too many for this list, and idle
        producers.start()
    wait_until(lambda: producers.settled(least), 120, f"{least} shards")
    producers.write(least + 1)
    wait_until(lambda: producers.settled(least + 1), 60, f"{least + 1} shards")
    yield f"{least} to {least + 1}"
    producers.write(least)
    producers.end_last()
    wait_until(lambda: producers.settled(least), 60, f"{least} shards again")
    yield f"{least + 1} to {least}"


def test_more_and_fewer_producers_leave_no_camera_dark_for_long_and_none_on_two(
    kafka: Broker, topic: str, tmp_path: Path
) -> None:
    cameras = [f"camera-{number:02d}" for number in range(12)]
    with Producers(tmp_path, kafka.bootstrap_servers, topic, cameras) as producers:
        steps = list(rescale(producers, 2))
        time.sleep(1)
    assert len(steps) == 2
    for name, seen in read(kafka.bootstrap_servers, topic).items():
        shards = [assign(cameras, count, "shard")[name] for count in (2, 3, 2)]
        moves = sum(a != b for a, b in pairwise(shards))
        assert len(sessions(seen)) == 1 + moves, name
        assert overlaps(seen) == 0, name
        least = HANDOVER_SECONDS - 1 if moves else 0
        assert least <= dark_seconds(seen) <= PATIENCE * LONGEST_DARK_SECONDS, name
