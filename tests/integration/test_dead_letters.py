"""Dead letters against a real broker."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic

from contract.errors import InvalidMessageError, UnavailableError
from contract.frame import Header
from contract.settings import load_settings
from stack.broker import Broker
from tests.fakes import wait_until
from workers.dead_letters import DeadLetters, open_producer
from workers.records import Position, Record
from workers.settings import WorkerSettings

ERROR = InvalidMessageError("corrupt_image", "it is broken")
LIMIT = 100_000
Name = Callable[[str], str]


@pytest.fixture
def topic(kafka: Broker, unique_name: Name) -> str:
    """A topic that takes small records only."""
    name = unique_name("dead")
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": str(LIMIT)})])
    admin.close()
    return name


@pytest.fixture
def producer(tmp_path: Path, kafka: Broker) -> Iterator[KafkaProducer]:
    (tmp_path / "model.onnx").write_bytes(b"x")
    producer = open_producer(settings_for(tmp_path, kafka, "frames.dead"))
    yield producer
    producer.close(0)


def settings_for(folder: Path, kafka: Broker, dead_topic: str) -> WorkerSettings:
    return load_settings(
        WorkerSettings,
        model=folder,
        bootstrap_servers=kafka.bootstrap_servers,
        dead_topic=dead_topic,
        kafka_timeout_seconds=5,
    )


class Box:
    def __init__(self, producer: KafkaProducer, settings: WorkerSettings) -> None:
        self.done: list[int] = []
        self.letters = DeadLetters(
            producer, settings, lambda position, _: self.done.append(position.number)
        )
        self.letters.start()

    def put(
        self,
        number: int,
        value: bytes | None,
        key: bytes | None = b"gate",
        headers: Sequence[Header] = (("ce_id", b"x"),),
    ) -> None:
        record = Record(2, number, key, value, headers, time.time())
        self.letters.put(record, Position(2, number, 1), ERROR)


def read(kafka: Broker, topic: str, count: int) -> list[object]:
    consumer = KafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    consumer.assign([TopicPartition(topic, 0)])
    found: list[object] = []

    def enough() -> bool:
        for records in consumer.poll(timeout_ms=100).values():
            found.extend(records)
        return len(found) >= count

    wait_until(enough, 20)
    consumer.close()
    return found


def test_a_dead_letter_carries_the_record_unchanged(
    tmp_path: Path, kafka: Broker, producer: KafkaProducer, topic: str
) -> None:
    box = Box(producer, settings_for(tmp_path, kafka, topic))
    box.put(7, b"image")
    box.put(8, None)
    box.put(9, None, key=None)
    wait_until(lambda: box.done == [7, 8, 9], 20)
    box.letters.stop(5)
    first, second, third = read(kafka, topic, 3)
    assert (first.key, first.value) == (b"gate", b"image")
    assert dict(first.headers)["seedstream_dead_position"] == b"7"
    assert (second.key, second.value) == (b"gate", None)
    assert (third.key, third.value) == (None, b"")


def test_a_value_too_large_for_the_broker_is_left_out(
    tmp_path: Path, kafka: Broker, producer: KafkaProducer, topic: str
) -> None:
    box = Box(producer, settings_for(tmp_path, kafka, topic))
    box.put(0, b"x" * (LIMIT + 1))
    box.put(1, b"small")
    wait_until(lambda: box.done == [0, 1], 20)
    box.letters.stop(5)
    large, small = sorted(read(kafka, topic, 2), key=lambda r: dict(r.headers)[POSITION])
    assert large.value is None
    assert b"left out" in dict(large.headers)["seedstream_dead_detail"]
    assert small.value == b"small"


POSITION = "seedstream_dead_position"
LARGE = b"x" * (LIMIT + 1)


@pytest.mark.parametrize("factor", [1, 170], ids=["the broker's limit", "the client's own limit"])
def test_whatever_of_a_record_is_too_large_is_left_out_and_the_next_ones_come(
    tmp_path: Path, kafka: Broker, producer: KafkaProducer, topic: str, factor: int
) -> None:
    large = LARGE * factor
    box = Box(producer, settings_for(tmp_path, kafka, topic))
    box.put(0, b"image", headers=[("ce_id", b"x"), ("padding", large)])
    box.put(1, b"image", headers=[(f"name-{n}", b"x") for n in range(LIMIT // 8)])
    box.put(2, b"image", key=large)
    box.put(3, large, key=large, headers=[("padding", large)])
    box.put(4, b"image")
    wait_until(lambda: box.letters.check() or box.done == [0, 1, 2, 3, 4], 120)
    box.letters.stop(5)
    letters = sorted(read(kafka, topic, 5), key=lambda r: dict(r.headers)[POSITION])
    details = [dict(letter.headers)["seedstream_dead_detail"].decode() for letter in letters]
    assert [(letter.key, letter.value) for letter in letters] == [
        (b"gate", None), (b"gate", None), (None, b""), (None, b""), (b"gate", b"image"),
    ]  # fmt: skip
    assert f"2 headers of {len(large) + 13} bytes left out" in details[0]
    assert f"{LIMIT // 8} headers of " in details[1]
    assert f"key of {len(large)} bytes left out" in details[2]
    assert details[3].startswith(f"value of {len(large)} bytes, 1 headers of ")
    assert details[4] == "it is broken"
    for letter in letters:
        assert dict(letter.headers)["seedstream_dead_reason"] == b"corrupt_image"


def test_a_missing_topic_ends_the_writing_within_the_bound(
    tmp_path: Path, kafka: Broker, producer: KafkaProducer, unique_name: Name
) -> None:
    name = unique_name("absent")
    box = Box(producer, settings_for(tmp_path, kafka, name))
    box.put(0, b"image")
    with pytest.raises(UnavailableError, match=name):
        wait_until(box.letters.check, 20)
    assert box.done == []
    box.letters.stop(1)
