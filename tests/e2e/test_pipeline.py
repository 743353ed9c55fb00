"""File -> Kafka -> worker -> Redis, in processes as a user starts them."""

import contextlib
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer
from simplejpeg import encode_jpeg

from contract.frame import MAX_FRAME_PIXELS
from contract.topics import DEAD_REASON_HEADER
from producer.assignment import assign
from producer.scene import Scene
from stack.broker import Broker
from stack.frame_ledger import (
    FrameLedger,
    frame_id,
    published_frames,
    read_results,
    read_topic,
    topic_ends,
)
from stack.redis_server import RedisServer
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.fakes import wait_until
from tests.scenes import write_video

FRAMES = 60


@dataclass
class Line:
    """One topic, one group and the means to start processes on them."""

    folder: Path
    topic: str
    group: str
    dead_topic: str
    broker: Broker
    redis_url: str
    model: Path
    clip: Path

    def producer(self, *cameras: str, frames: int = FRAMES, options: str = "") -> SeedstreamProcess:
        config = self.folder / f"cameras-{len(list(self.folder.iterdir()))}.yaml"
        lines = "".join(
            f"  - {{id: {camera}, url: '{self.clip}', pace: fast}}\n" for camera in cameras
        )
        config.write_text(f"cameras:\n{lines}")
        return self.start(
            *("produce", "--config", str(config), "--max-frames", str(frames)),
            *("--topic", self.topic, "--bootstrap-servers", self.broker.bootstrap_servers),
            *("--http-port", "0", *options.split()),
        )

    def worker(self, *options: str) -> SeedstreamProcess:
        return self.start(
            *("work", "--model", str(self.model), "--provider", "cpu", "--mode", "complete"),
            *("--topic", self.topic, "--dead-topic", self.dead_topic, "--group", self.group),
            *("--bootstrap-servers", self.broker.bootstrap_servers),
            *("--redis-url", self.redis_url, "--http-port", "0", "--intra-op-threads", "1"),
            *("--session-timeout-seconds", "6", *options),
        )

    def start(self, command: str, *options: str) -> SeedstreamProcess:
        return start_seedstream(
            command,
            *options,
            log_path=self.folder / f"{command}-{len(list(self.folder.iterdir()))}.log",
            env={"OMP_NUM_THREADS": "1"},
        )

    def ledger(self, client: "redis.Redis") -> FrameLedger:
        """Compare every frame on the topic with every result."""
        consumer = KafkaConsumer(bootstrap_servers=self.broker.bootstrap_servers)
        with contextlib.closing(consumer):
            published, _ = published_frames(read_topic(consumer, topic_ends(consumer, self.topic)))
        return FrameLedger.from_frames(
            published,
            {camera: [frame_id(r) for r in read_results(client, camera)] for camera in published},
        )


@pytest.fixture
def line(
    tmp_path: Path,
    kafka: Broker,
    redis_server: RedisServer,
    tiny_model: Path,
    demo_clip: Path,
    unique_name: Callable[[str], str],
) -> Line:
    topic = unique_name("frames")
    kafka.create_topic(topic, 4)
    kafka.create_topic(f"{topic}.dead", 1)
    return Line(
        tmp_path,
        topic,
        unique_name("workers"),
        f"{topic}.dead",
        kafka,
        redis_server.url,
        tiny_model,
        demo_clip,
    )


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as connected:
        yield connected


def owns_partitions(worker: SeedstreamProcess) -> bool:
    return re.search(r"partitions assigned: \[\d", worker.text()) is not None


def sequences(client: "redis.Redis", camera: str) -> list[int]:
    return [result.sequence for result in read_results(client, camera)]


def traced(process: SeedstreamProcess, camera: str) -> list[str]:
    """Return the traces of a camera's frames that a process published or stored, by its log."""
    ended = rf"camera {camera}: frame \d+ of session .* (?:published|stored) after .*\(trace (.+)\)"
    return re.findall(ended, process.text())


def test_every_frame_of_a_clip_has_exactly_one_result_in_order(
    line: Line, client: "redis.Redis", unique_name: Callable[[str], str]
) -> None:
    camera = unique_name("gate")
    with line.worker() as worker, line.producer(camera, options="--trace-share 1") as producer:
        assert producer.wait(60) == 0
        wait_until(lambda: len(sequences(client, camera)) >= FRAMES, 90, "a result for each frame")
        assert sequences(client, camera) == list(range(FRAMES))
        assert worker.metric("seedstream_frames_processed_total", camera=camera) == FRAMES
        assert worker.metric("seedstream_frames_skipped_total", camera=camera) == 0
        assert worker.stop(60) == 0
    assert line.ledger(client).faults() == []
    results = read_results(client, camera)
    sent, processed = (traced(process, camera) for process in (producer, worker))
    assert sent == processed == [result.trace for result in results]
    document = results[0]
    assert (document.width, document.height) == (768, 576)
    assert document.model.name == "tiny"


def test_a_camera_that_moves_to_another_partition_with_a_backlog_loses_nothing(
    line: Line, client: "redis.Redis"
) -> None:
    cameras = [f"carried-{number}" for number in range(12)]
    before, after = (assign(cameras[:count], 4, "partition") for count in (6, 12))
    config = line.folder / "cameras.yaml"

    def write(count: int) -> None:
        entry = "  - {{id: {}, url: 'test:?size=96x72&fps=5', when_full: wait}}\n"
        text = "cameras:\n" + "".join(entry.format(camera) for camera in cameras[:count])
        config.write_text(text)  # cut short, it would be refused or not yet believed

    write(6)
    settings = ("--topic", line.topic, "--bootstrap-servers", line.broker.bootstrap_servers)
    with line.start("produce", "--config", str(config), "--http-port", "0", *settings) as producer:

        def published(camera: str) -> float:
            return producer.metric("seedstream_frames_published_total", camera=camera)

        with line.worker() as worker:
            wait_until(lambda: all(sequences(client, each) for each in before), 90, "results")
            assert worker.stop(60) == 0
        behind = {camera: published(camera) for camera in before}
        wait_until(lambda: all(published(c) > behind[c] + 10 for c in before), 60, "a backlog")
        write(12)
        wait_until(lambda: published(cameras[11]) > 10, 60, "the longer list")
        assert producer.stop(60) == 0
    total = sum(each.published for each in line.ledger(client).cameras)
    with line.worker() as first, line.worker() as second:
        wait_until(
            lambda: sum(len(sequences(client, c)) for c in cameras) >= total, 90, "all results"
        )
        skipped = [w.metric("seedstream_frames_skipped_total") for w in (first, second)]
    assert skipped == [0, 0]
    ledgers = line.ledger(client).cameras
    assert all(not each.missing and each.published == each.stored for each in ledgers)
    for camera in before:
        results = read_results(client, camera)
        sessions = list(dict.fromkeys(result.session for result in results))
        assert len(sessions) == (1 if before[camera] == after[camera] else 2), camera
        for session in sessions:
            numbers = [result.sequence for result in results if result.session == session]
            assert numbers == list(range(len(numbers)))
    assert any(before[camera] != after[camera] for camera in before)


def test_two_workers_share_the_cameras_and_lose_nothing(
    line: Line, client: "redis.Redis", unique_name: Callable[[str], str]
) -> None:
    cameras = [unique_name("shared") for _ in range(8)]
    with line.worker() as first, line.worker() as second:
        for worker in (first, second):
            # Ready is not yet sharing: the first one hands partitions over in a second round.
            wait_until(partial(owns_partitions, worker), 60, "partitions of each worker")
        with line.producer(*cameras, frames=30) as producer:
            assert producer.wait(60) == 0
        wait_until(
            lambda: sum(len(sequences(client, camera)) for camera in cameras) >= 8 * 30,
            120,
            "a result for each frame of eight cameras",
        )
        shares = [worker.metric("seedstream_frames_processed_total") for worker in (first, second)]
        assert first.stop(60) == 0
        assert second.stop(60) == 0
    assert all(sequences(client, camera) == list(range(30)) for camera in cameras)
    assert line.ledger(client).faults() == []
    assert sum(shares) == 8 * 30
    assert min(shares) > 0, f"one worker did all the work: {shares}"


def counted(worker: SeedstreamProcess, camera: str) -> float:
    return worker.metric("seedstream_frames_processed_total", camera=camera)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_under_load_is_taken_over_without_loss_or_repetition(
    line: Line,
    client: "redis.Redis",
    unique_name: Callable[[str], str],
    how: signal.Signals,
) -> None:
    camera = unique_name("drain")
    with line.producer(camera, frames=120) as producer:
        assert producer.wait(60) == 0
    with line.worker() as worker:
        wait_until(lambda: len(sequences(client, camera)) >= 10, 60, "the first results")
        worker.signal(how)
        code = worker.wait(60)
        assert code == (0 if how is signal.SIGTERM else -signal.SIGKILL), worker.text()
    done = len(sequences(client, camera))
    assert done < 120, "the worker finished before it was ended: the test shows nothing"
    with line.worker() as successor:
        wait_until(lambda: len(sequences(client, camera)) >= 120, 90, "the remaining results")
        # Counted after it is stored.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: counted(successor, camera) >= 120 - done, 10)
        repeated = counted(successor, camera)
        assert successor.stop(60) == 0
    assert sequences(client, camera) == list(range(120))
    assert line.ledger(client).faults() == []
    if how is signal.SIGTERM:  # it drained and committed what it had stored
        assert repeated == 120 - done


def test_a_poison_record_is_dead_lettered_while_the_rest_goes_on(
    line: Line, client: "redis.Redis", unique_name: Callable[[str], str]
) -> None:
    camera = unique_name("poisoned")
    servers = line.broker.bootstrap_servers
    with line.worker() as worker:
        with line.producer(camera, frames=10) as producer:
            assert producer.wait(60) == 0
        with contextlib.closing(KafkaProducer(bootstrap_servers=servers)) as poison:
            for value in (b"no frame", b"\xff\xd8\xff no picture"):
                poison.send(line.topic, key=camera.encode(), value=value).get(timeout=10)
        with line.producer(camera, frames=10) as producer:
            assert producer.wait(60) == 0
        wait_until(lambda: len(sequences(client, camera)) >= 20, 60, "results around the poison")
        assert worker.metric("seedstream_dead_letters_total") == 2
        assert worker.stop(60) == 0
    assert sequences(client, camera) == [*range(10), *range(10)]
    assert line.ledger(client).faults() == []
    dead = KafkaConsumer(
        line.dead_topic,
        bootstrap_servers=servers,
        auto_offset_reset="earliest",
        consumer_timeout_ms=5000,
    )
    with contextlib.closing(dead):
        letters = list(dead)
    assert Counter(letter.value for letter in letters) == Counter(
        [b"no frame", b"\xff\xd8\xff no picture"]
    )
    assert all(dict(letter.headers)[DEAD_REASON_HEADER] == b"missing_header" for letter in letters)


def test_live_mode_counts_what_it_skips_and_accounts_for_every_frame(
    line: Line, client: "redis.Redis", unique_name: Callable[[str], str]
) -> None:
    camera = unique_name("late")
    with line.producer(camera, frames=30) as producer:
        assert producer.wait(60) == 0
    with line.worker("--mode", "live", "--max-age-seconds", "0.001") as worker:

        def seen() -> float:
            return worker.metric(
                "seedstream_frames_processed_total", camera=camera
            ) + worker.metric("seedstream_frames_skipped_total", camera=camera)

        wait_until(lambda: seen() >= 30, 60, "each frame processed or skipped")
        skipped = worker.metric("seedstream_frames_skipped_total", camera=camera, reason="too_old")
        assert worker.stop(60) == 0
    assert skipped == 30
    assert len(line.ledger(client).cameras[0].missing) == 30
    assert sequences(client, camera) == []


def test_a_camera_of_16_megapixels_has_results(
    line: Line, client: "redis.Redis", unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    width, height, frames = 4608, 3456, 3
    path = tmp_path / "large.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mjpeg", rate=5)
        video.width, video.height, video.pix_fmt = width, height, "yuvj420p"
        for number in range(frames):
            packet = av.Packet(encode_jpeg(np.full((height, width, 3), 50 * number, np.uint8)))
            packet.stream, packet.time_base = video, Fraction(1, 5)
            packet.pts = packet.dts = number
            container.mux(packet)
    camera = unique_name("large")
    large = replace(line, clip=path)
    with large.worker() as worker, large.producer(camera, frames=frames) as producer:
        assert producer.wait(60) == 0
        assert f"camera {camera}: frames of 4608x3456 pixels are scaled down" in producer.text()
        wait_until(lambda: len(sequences(client, camera)) == frames, 90, "a result for each frame")
        assert worker.metric("seedstream_dead_letters_total") == 0
        assert worker.stop(60) == 0
    document = read_results(client, camera)[0]
    assert document.width * document.height <= MAX_FRAME_PIXELS
    assert document.width / document.height == pytest.approx(width / height, rel=0.01)


def test_a_file_with_a_cut_tail_publishes_what_is_there_and_exits_with_1(
    line: Line, tmp_path: Path, unique_name: Callable[[str], str]
) -> None:
    path = write_video(tmp_path / "cut.avi", Scene(width=128, height=96, fps=12), 72, codec="mjpeg")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    with replace(line, clip=path).producer(unique_name("cut"), frames=1000) as producer:
        assert producer.wait(60) == 1
        assert re.search(r"ended too early: 72 frames expected, 4\d read", producer.text())
