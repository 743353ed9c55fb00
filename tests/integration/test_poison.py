"""What Kafka's own client cannot read, against a real broker and a real worker."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cramjam
import pytest
import redis
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from contract.frame import encode_frame
from servers import record_fetcher
from servers.record_batches import FetchedRecord, split
from servers.record_fetcher import reading_past_faults
from stack.broker import Broker
from stack.kafka_server import start_kafka
from stack.redis_server import RedisServer
from tests.fakes import make_frame, wait_until
from tests.integration.worker_line import Line, sequences
from tests.raw_batches import ZSTD, RawProducer, batch, raw_producer, record, varint

Name = Callable[[str], str]

BAD_NAME = [(b"\xff\xfe", b"v")]


@pytest.fixture
def line(
    tmp_path: Path, kafka: Broker, redis_server: RedisServer, unique_name: Name
) -> Iterator[Line]:
    topic = unique_name("frames")
    kafka.create_topic(topic, 2)
    kafka.create_topic(f"{topic}.dead", 1)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    line = Line(
        tmp_path, kafka.bootstrap_servers, redis_server.url, topic, unique_name("workers"),
        producer,
    )  # fmt: skip
    with line.stack:
        yield line
    producer.close(5)


@pytest.fixture
def raw(kafka: Broker) -> Iterator[RawProducer]:
    with raw_producer(kafka.bootstrap_servers) as producer:
        yield producer


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


def frame_record(delta: int, camera: str, sequence: int) -> bytes:
    key, value, headers = encode_frame(make_frame(camera, sequence))
    named = [(name.encode(), text) for name, text in headers]
    return record(delta, value, named, key=key)


def recent(*records: bytes, **changes: Any) -> bytes:
    return batch(*records, timestamp_ms=int(time.time() * 1000), **changes)


def wait_for(client: "redis.Redis", cameras: list[str], expected: list[list[int]]) -> None:
    wait_until(lambda: [*sequences(client, *cameras)] == expected, 20)


def hostile_batches(camera: str, base: int) -> list[bytes]:
    """Return a batch of each kind; some have frames of the camera, numbered from ``base``."""
    bomb = bytes(cramjam.zstd.compress(record(value=bytes(100 << 20))))
    return [
        recent(record(headers=BAD_NAME)),
        recent(
            frame_record(0, camera, base + 16),
            record(1, headers=BAD_NAME),
            frame_record(2, camera, base + 17),
            codec=ZSTD,
        ),
        recent(record(1_000_000), frame_record(0, camera, base + 99), record(-5)),
        recent(record(headers=varint(500_000) + b"\0" * 1_000_000)),
        recent(packed=bomb, codec=ZSTD, count=1),
        recent(record(key=b"k" * (10 << 20))),
    ]


@pytest.mark.parametrize("mode", ["live", "complete"])
def test_a_worker_goes_past_every_kind_and_its_neighbours_lose_less_than_a_second(
    line: Line, raw: RawProducer, client: "redis.Redis", unique_name: Name, mode: str
) -> None:
    same, other = unique_name("camera"), unique_name("camera")
    worker = line.worker(mode=mode, max_age_seconds=60, old_after_seconds=60)
    line.send(make_frame(same, 0), partition=0)
    line.send(make_frame(other, 0), partition=1)
    wait_until(lambda: [*sequences(client, same, other)] == [[0], [0]], 40)
    expected: list[list[int]] = [[0], [0]]
    costs = []
    for base in (0, 100):  # a busy machine may delay either time, what is at fault delays both
        costs.append([])
        for number, each in enumerate(hostile_batches(same, base), 1):
            raw.send(line.topic, each)
            began = time.monotonic()
            line.send(make_frame(same, base + 10 * number + 5), partition=0)
            line.send(make_frame(other, base + number), partition=1)
            expected[0] += [base + 16, base + 17] if number == 2 else []
            expected[0].append(base + 10 * number + 5)
            expected[1].append(base + number)
            wait_for(client, [same, other], expected)
            costs[-1].append(time.monotonic() - began)
    assert max(map(min, *costs)) < 1.0, f"the hostile batches cost their neighbours {costs} s"
    letters = line.dead(2 * 8)
    found = [
        (int(headers["seedstream_dead_position"]), headers["seedstream_dead_reason"].decode())
        for _, _, headers in letters
    ]
    once = [
        (1, "unreadable_header"),
        (4, "unreadable_header"),
        (7, "unreadable_record"), (8, "unreadable_record"), (9, "unreadable_record"),
        (11, "unreadable_header"),
        (13, "unreadable_batch"),
        (15, "missing_header"),
    ]  # fmt: skip
    assert found == [*once, *((position + 16, reason) for position, reason in once)]
    assert all(headers["seedstream_dead_partition"] == b"0" for _, _, headers in letters)
    assert letters[0][:2] == (b"key", b"value")
    counted = {
        reason: worker.metric("seedstream_dead_letters_total", reason=reason)
        for reason in ("unreadable_header", "unreadable_record", "unreadable_batch")
    }
    assert counted == {"unreadable_header": 6, "unreadable_record": 6, "unreadable_batch": 2}
    assert worker.stop(30) == 0
    assert line.committed() == 33 + 13


@pytest.mark.parametrize("codec", ["zstd", "snappy", "lz4", "gzip"])
def test_topics_of_every_codec_are_read_and_written(
    line: Line, client: "redis.Redis", unique_name: Name, codec: str
) -> None:
    line.topic = unique_name("frames")
    admin = KafkaAdminClient(bootstrap_servers=line.bootstrap_servers)
    configs = {"compression.type": codec}
    admin.create_topics([
        NewTopic(name, 1, 1, topic_configs=configs) for name in (line.topic, line.dead_topic)
    ])  # fmt: skip
    admin.close()
    camera = unique_name("camera")
    line.send(make_frame(camera, 0))
    line.producer.send(line.topic, key=b"x", value=b"no headers" * 100)
    line.send(make_frame(camera, 1))
    worker = line.worker()
    wait_until(lambda: [*sequences(client, camera)] == [[0, 1]], 40)
    wait_until(lambda: worker.metric("seedstream_dead_letters_total") == 1, 10)
    assert worker.stop(30) == 0
    assert line.committed() == 3
    (letter,) = read_through(line.bootstrap_servers, line.dead_topic, 1)
    assert letter.value == b"no headers" * 100


def test_a_topic_of_poison_ends_the_worker_with_what_it_saw(line: Line) -> None:
    for number in range(1_500):
        line.producer.send(line.topic, key=b"x%d" % number, value=b"no headers")
    line.producer.flush(30)
    worker = line.worker()
    assert worker.wait(60) == 2
    text = worker.text()
    assert "of the last" in text
    assert "missing_header" in text
    assert "WORKER_MAX_DEAD_SHARE" in text
    assert text.count("dead letter from") == 1
    ends = ends_of(line.bootstrap_servers, line.dead_topic)
    assert 200 <= ends < 1_500
    assert line.committed() == ends


def ends_of(bootstrap_servers: str, topic: str) -> int:
    consumer = reading_past_faults(bootstrap_servers=bootstrap_servers)
    try:
        found = consumer.end_offsets([TopicPartition(topic, 0)])
        return int(sum(found.values()))
    finally:
        consumer.close()


def read_through(bootstrap_servers: str, topic: str, end: int) -> list[FetchedRecord]:
    """Return the records of a topic's first partition up to a position, for ten seconds."""
    consumer = reading_past_faults(
        bootstrap_servers=bootstrap_servers, isolation_level="read_committed"
    )
    target = TopicPartition(topic, 0)
    found: list[FetchedRecord] = []
    try:
        consumer.assign([target])
        consumer.seek(target, 0)

        def read() -> bool:
            for records in consumer.poll(timeout_ms=100).values():
                found.extend(records)
            return bool(consumer.position(target) >= end)

        wait_until(read, 20)
        return found
    finally:
        consumer.close()


COUNT = 6
"""Records of the damaged log, each a batch; the one at position 3 is damaged."""

HURT = 3


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Path]]:
    """A broker whose files a test may damage."""
    folder = tmp_path_factory.mktemp("damaged")
    with start_kafka(folder=folder) as broker:
        yield broker, folder / "data"


@pytest.mark.parametrize(
    # Behind some damage, the broker itself finds nothing more in the file, or not always.
    ("at", "new", "lost"),
    [
        (70, b"\x00", [HURT]),
        (21, b"\x00\x07", [HURT]),
        (16, b"\x03", [HURT]),
        (16, b"\x01", [HURT, 4, 5]),
        (23, (1_000).to_bytes(4, "big"), [HURT]),
        (57, (1_000).to_bytes(4, "big"), [HURT]),
        (0, (5_000).to_bytes(8, "big"), [HURT]),
        (8, (-5).to_bytes(4, "big", signed=True), [HURT, 4, 5]),
        (8, (3).to_bytes(4, "big"), [HURT, 4, 5]),
        (8, (10_000_000).to_bytes(4, "big"), [HURT, 4, 5]),
    ],
    ids=["a bit of the value", "the codec", "the format", "the old format", "the last position",
         "the count", "the base position", "a negative length", "a short length", "a long length"],
)  # fmt: skip
def test_a_log_that_is_damaged_on_the_brokers_disk_is_gone_past(
    own_kafka: tuple[Broker, Path],
    unique_name: Name,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
    new: bytes,
    lost: list[int],
) -> None:
    monkeypatch.setattr(record_fetcher, "STARVED_SECONDS", 0.5)
    broker, data = own_kafka
    topic = unique_name("damaged")
    broker.create_topic(topic, 1)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for number in range(COUNT):
        producer.send(topic, key=b"k", value=b"value %d" % number).get(10)
    producer.close(5)
    (log,) = (data / f"{topic}-0").glob("*.log")
    begin = sum(len(each.raw) for each in list(split(log.read_bytes()))[:HURT])
    with log.open("r+b") as file:
        file.seek(begin + at)
        file.write(new)
    found = read_through(broker.bootstrap_servers, topic, COUNT)
    assert [each.offset for each in found] == list(range(COUNT))
    faults = [each.offset for each in found if each.fault is not None]
    assert faults in ([HURT], lost)
    faults = {each.fault.reason for each in found if each.fault is not None}
    assert faults == {"unreadable_batch"}
    for each in found:
        assert each.fault or each.value == b"value %d" % each.offset


def test_aborted_transactions_and_markers_are_no_records(kafka: Broker, unique_name: Name) -> None:
    topic = unique_name("transactions")
    kafka.create_topic(topic, 1)
    producer = KafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id=unique_name("producer")
    )
    producer.init_transactions()
    for value, finish in (
        (b"one", producer.commit_transaction),
        (b"two", producer.abort_transaction),
        (b"three", producer.commit_transaction),
    ):
        producer.begin_transaction()
        producer.send(topic, value=value)
        producer.flush(10)
        finish()
    producer.close(5)
    found = read_through(kafka.bootstrap_servers, topic, 6)
    assert [(each.offset, each.value) for each in found] == [(0, b"one"), (4, b"three")]
