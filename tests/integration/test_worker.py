"""The worker process against real Kafka and real Redis; only the network is a fake."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kafka import KafkaProducer

from contract.frame import encode_frame
from contract.topics import MAX_RECORD_BYTES
from stack.broker import Broker
from stack.frame_ledger import read_results
from stack.kafka_server import start_kafka
from stack.launch import free_ports
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import SeedstreamProcess
from tests.fakes import jpeg, make_frame, wait_until
from tests.integration.worker_line import Line, sequences

PARTITIONS = 4
Name = Callable[[str], str]


def make_producer(broker: Broker) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=broker.bootstrap_servers,
        max_request_size=2 * MAX_RECORD_BYTES,
        linger_ms=2,
    )


@pytest.fixture
def line(
    tmp_path: Path, kafka: Broker, redis_server: RedisServer, unique_name: Name
) -> Iterator[Line]:
    topic = unique_name("frames")
    kafka.create_topic(topic, PARTITIONS)
    kafka.create_topic(f"{topic}.dead", 1)
    producer = make_producer(kafka)
    line = Line(
        tmp_path, kafka.bootstrap_servers, redis_server.url, topic, unique_name("workers"),
        producer,
    )  # fmt: skip
    with line.stack:
        yield line
    producer.close(5)


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def cameras(unique_name: Name) -> list[str]:
    return [unique_name("camera") for _ in range(6)]


def wait_for_results(
    client: "redis.Redis", cameras: list[str], count: int, seconds: float = 40
) -> None:
    wait_until(
        lambda: all(len(found) >= count for found in sequences(client, *cameras)),
        seconds,
        f"{count} results of each of {len(cameras)} cameras",
    )


def owned(worker: SeedstreamProcess) -> set[int]:
    """Return the partitions that a worker owns by its log."""
    partitions: set[int] = set()
    for change, listed in re.findall(r"partitions (\w+): \[([\d, ]*)\]", worker.text()):
        named = {int(number) for number in listed.split(",") if number.strip()}
        partitions = partitions | named if change == "assigned" else partitions - named
    return partitions


def test_every_frame_has_exactly_one_result_in_order(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    worker = line.worker()
    for number in range(50):
        line.send(*(make_frame(camera, number) for camera in cameras))
    wait_for_results(client, cameras, 50)
    assert list(sequences(client, *cameras)) == [list(range(50))] * 6
    assert worker.metric("seedstream_frames_processed_total") == 300
    assert worker.stop(30) == 0
    assert line.committed() == 300


def test_redelivered_frames_change_nothing(
    line: Line, client: "redis.Redis", cameras: list[str], unique_name: Name
) -> None:
    line.send(*(make_frame(cameras[0], number) for number in range(20)))
    with line.worker() as first:
        wait_for_results(client, cameras[:1], 20)
        assert first.stop(30) == 0
    entries = client.xrange(f"seedstream:{{{cameras[0]}}}:results")
    second = line.worker(group=unique_name("other"))
    wait_until(lambda: second.metric("seedstream_frames_duplicate_total") == 20, 30)
    assert client.xrange(f"seedstream:{{{cameras[0]}}}:results") == entries
    assert second.metric("seedstream_frames_processed_total") == 0


def test_objects_are_followed_unless_a_worker_is_told_not_to(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    camera, began = cameras[0], time.time() - 5
    for number, track in enumerate((True, False, True)):
        numbers = range(10 * number, 10 * number + 10)
        line.send(*(make_frame(camera, n, captured_at=began + n / 50) for n in numbers))
        with line.worker(track=track) as worker:
            wait_for_results(client, [camera], 10 * number + 10)
            wait_until(
                lambda worker=worker: worker.metric("seedstream_frames_processed_total") == 10
            )
            assert worker.metric("seedstream_track_conflicts_total") == (number == 2)
            assert worker.metric("seedstream_tracks_began_total") == (number == 0)
            assert worker.stop(30) == 0
    one = [[each.track for each in result.instances] for result in read_results(client, camera)]
    assert one == [one[0]] * 10 + [[None]] * 10 + [one[0]] * 10
    newest = read_results(client, camera)[-1].instances[0]
    assert newest.confirmed
    assert newest.age_seconds == pytest.approx(0.58, abs=0.01)


def test_poison_is_dead_lettered_while_the_rest_goes_on(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    camera = cameras[0]
    worker = line.worker(max_frame_bytes=100_000)
    line.send(make_frame(camera, 0))
    line.producer.send(line.topic, key=b"x", value=b"no headers", partition=0)
    line.producer.send(line.topic, partition=0, value=b"")
    key, value, headers = encode_frame(make_frame(camera, 1))
    future = [(n, b"seedstream.frame.v2" if n == "ce_type" else v) for n, v in headers]
    line.producer.send(line.topic, key=key, value=value, headers=future)
    line.send(
        make_frame(camera, 2, data=jpeg()[:60]),
        make_frame(camera, 3, data=b"x" * 100_001),
        make_frame(camera, 4, width=640, data=jpeg()),
        make_frame(camera, 5),
    )
    wait_for_results(client, [camera], 2)
    letters = line.dead(6)
    reasons = sorted(headers["seedstream_dead_reason"].decode() for _, _, headers in letters)
    assert reasons == [
        "corrupt_image", "missing_header", "missing_header", "oversized", "size_mismatch",
        "unknown_version",
    ]  # fmt: skip
    unknown = next(x for x in letters if x[2]["seedstream_dead_reason"] == b"unknown_version")
    assert unknown[:2] == (key, value)
    assert unknown[2]["ce_type"] == b"seedstream.frame.v2"
    assert unknown[2]["seedstream_dead_topic"] == line.topic.encode()
    assert list(sequences(client, camera)) == [[0, 5]]
    assert worker.stop(30) == 0
    assert line.committed() == 8


def test_a_record_of_the_largest_size_is_taken(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    # 15 MB, above what a fetch asks for; bytes after the end of a JPEG image are ignored.
    big = jpeg() + b"\0" * 15_000_000
    line.worker()
    line.send(make_frame(cameras[0], 0, data=big), make_frame(cameras[0], 1))
    wait_for_results(client, cameras[:1], 2)


def test_live_mode_skips_old_frames_and_counts_every_one(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    camera, now = cameras[0], time.time()
    line.send(*(make_frame(camera, number, captured_at=now - 60) for number in range(100)))
    worker = line.worker(mode="live", max_age_seconds=5)
    worker.wait_until_ready()
    line.send(*(make_frame(camera, number) for number in range(100, 110)))
    wait_for_results(client, [camera], 10)
    assert list(sequences(client, camera)) == [list(range(100, 110))]
    skipped = worker.metric("seedstream_frames_skipped_total", camera=camera, reason="too_old")
    assert skipped == 100
    assert worker.stop(30) == 0
    assert line.committed() == 110


def test_under_overload_live_mode_stays_near_the_present_and_accounts_for_every_frame(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    worker = line.worker(0.2, mode="live", max_batch_size=1, max_waiting_frames=4)
    worker.wait_until_ready()
    camera, count = cameras[0], 100
    for number in range(count):  # 50 per second against 5
        line.send(make_frame(camera, number))
        time.sleep(0.02)

    def accounted() -> float:
        names = ("seedstream_frames_processed_total", "seedstream_frames_skipped_total")
        return sum(worker.metric(name, camera=camera) for name in names)

    wait_until(lambda: accounted() == count, 20, "an account of every frame")
    (stored,) = sequences(client, camera)
    assert stored == sorted(set(stored))
    assert stored[-1] == count - 1
    latency = worker.metric("seedstream_end_to_end_latency_seconds_sum") / len(stored)
    assert latency < 1.0
    assert worker.stop(30) == 0
    assert line.committed() == count


def test_two_workers_share_the_cameras_and_each_frame_has_one_result(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    first = line.worker(0.01)
    first.wait_until_ready()
    for number in range(30):
        line.send(*(make_frame(camera, number) for camera in cameras))
    second = line.worker(0.01)
    wait_until(lambda: len(owned(first)) == len(owned(second)) == 2, 30, "two partitions each")
    assert owned(first) | owned(second) == set(range(PARTITIONS))
    for number in range(30, 60):
        line.send(*(make_frame(camera, number) for camera in cameras))
    wait_for_results(client, cameras, 60)
    assert list(sequences(client, *cameras)) == [list(range(60))] * 6
    name = "seedstream_frames_processed_total"
    assert first.metric(name) + second.metric(name) == 360
    duplicates = "seedstream_frames_duplicate_total"
    assert first.metric(duplicates) + second.metric(duplicates) == 0
    assert first.stop(30) == 0
    wait_until(lambda: owned(second) == set(range(PARTITIONS)), 30, "the rest")
    assert second.stop(30) == 0
    assert line.committed() == 360


def test_after_a_kill_another_worker_takes_over_and_nothing_is_lost(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    first = line.worker(0.05)
    for number in range(20):
        line.send(*(make_frame(camera, number) for camera in cameras))
    wait_until(lambda: any(sequences(client, *cameras)), 20, "a first result")
    first.kill()
    second = line.worker()
    wait_for_results(client, cameras, 20)
    assert list(sequences(client, *cameras)) == [list(range(20))] * 6
    assert second.stop(30) == 0
    assert line.committed() == 120


def test_sigterm_finishes_and_commits_what_is_in_flight(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    worker = line.worker(0.3, max_batch_size=1, max_waiting_frames=4)
    line.send(*(make_frame(cameras[0], number) for number in range(40)))
    wait_for_results(client, cameras[:1], 1)
    assert worker.stop(30) == 0
    (stored,) = sequences(client, cameras[0])
    assert 1 < len(stored) < 40
    assert line.committed() == len(stored)


def test_sigterm_ends_a_worker_whose_network_hangs_and_another_takes_its_frames(
    line: Line, client: "redis.Redis", cameras: list[str]
) -> None:
    worker = line.worker(600, drain_seconds=1)
    line.send(make_frame(cameras[0], 0))
    worker.wait_until_ready()
    wait_until(lambda: worker.metric("seedstream_batch_size_count") == 1, 20, "the batch")
    assert worker.stop(30) == 1
    assert "still hangs" in worker.text()
    assert line.committed() == 0
    line.worker().wait_until_ready()
    wait_for_results(client, cameras[:1], 1)


def test_probes_tell_life_and_readiness(line: Line) -> None:
    worker = line.worker()
    worker.wait_until_ready()
    assert worker.get("/healthz") == (200, "ok\n")
    page = worker.get("/metrics")[1]
    info = 'lane="main",name="fake",precision="unknown",provider="cpu",reason="",version="1"'
    assert f"seedstream_model_info{{{info}}} 1.0" in page
    assert "seedstream_batch_size_count" in page
    assert "_created" not in page


def test_redis_away_at_start_ends_the_worker_with_nothing_committed(line: Line) -> None:
    line.send(make_frame())
    url = f"redis://user:hunter2@127.0.0.1:{free_ports(1)[0]}/0"
    worker = line.worker(redis_url=url, redis_timeout_seconds=1)
    assert worker.wait(30) == 1
    assert "could not reach Redis at 127.0.0.1" in worker.text()
    assert "hunter2" not in worker.text()
    assert line.committed() == 0


def test_redis_gone_midway_ends_the_worker_and_the_next_one_goes_on_without_loss(
    line: Line, cameras: list[str]
) -> None:
    camera = cameras[0]
    with start_redis() as own, redis.Redis.from_url(own.url) as client:
        worker = line.worker(redis_url=own.url, redis_timeout_seconds=1)
        line.send(*(make_frame(camera, number) for number in range(10)))
        wait_for_results(client, [camera], 10)
        wait_until(lambda: line.committed() == 10, 10, "the commit")
        own.kill()
        line.send(*(make_frame(camera, number) for number in range(10, 20)))
        assert worker.wait(30) == 1
        assert "could not store results in Redis" in worker.text()
        assert line.committed() == 10
    with start_redis() as back, redis.Redis.from_url(back.url) as client:
        line.worker(redis_url=back.url)
        wait_for_results(client, [camera], 10)
        assert list(sequences(client, camera)) == [list(range(10, 20))]


def test_kafka_away_at_start_ends_the_worker(line: Line) -> None:
    servers = f"127.0.0.1:{free_ports(1)[0]}"
    worker = line.worker(bootstrap_servers=servers, kafka_timeout_seconds=1)
    assert worker.wait(30) == 1
    assert f"Kafka at {servers} not reached within 1 s" in worker.text()


def test_sigterm_while_waiting_for_kafka_ends_the_worker_at_once(line: Line) -> None:
    servers = f"127.0.0.1:{free_ports(1)[0]}"
    worker = line.worker(bootstrap_servers=servers, kafka_timeout_seconds=300)
    wait_until(lambda: worker.get("/readyz")[0] == 503, 20, "the probes")
    assert worker.get("/healthz")[0] == 200
    assert worker.stop(30) == 0


def test_a_missing_topic_ends_the_worker_and_is_named(line: Line) -> None:
    worker = line.worker(topic="nothing-here", kafka_timeout_seconds=2)
    assert worker.wait(30) == 1
    assert "has no topic 'nothing-here'" in worker.text()


def test_wrong_settings_are_all_named_and_end_with_2(line: Line) -> None:
    worker = line.worker(mode="fast", model=line.folder / "absent", redis_url="http://x")
    assert worker.wait(30) == 2
    for variable in ("WORKER_MODE", "WORKER_MODEL", "WORKER_REDIS_URL"):
        assert variable in worker.text()


def test_kafka_gone_for_good_ends_the_worker(
    tmp_path: Path, redis_server: RedisServer, kafka: Broker, unique_name: Name
) -> None:
    with start_kafka() as own:
        own.create_topic("frames", 1)
        own.create_topic("frames.dead", 1)
        producer = make_producer(own)
        line = Line(
            tmp_path, own.bootstrap_servers, redis_server.url, "frames", "workers", producer
        )
        with line.stack:
            worker = line.worker(kafka_timeout_seconds=3)
            worker.wait_until_ready()
            own.stop()
            assert worker.get("/healthz")[0] == 200
            assert worker.wait(60) == 1
            assert "has not answered for" in worker.text()
            producer.close(0.1)
