import threading
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import (
    InvalidRecordError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from contract.errors import ConfigurationError, InvalidMessageError, UnavailableError
from tests.fakes import FakeClock, make_frame, make_record, wait_until
from workers.dead_letters import MAX_IN_FLIGHT, DeadLetters, dead_headers
from workers.records import Position, Record
from workers.settings import WorkerSettings

ERROR = InvalidMessageError("corrupt_image", "it is broken")


class FakeFuture:
    def __init__(self, producer: "FakeProducer", size: int) -> None:
        self._producer, self._size = producer, size

    def get(self, timeout: float) -> None:
        self._producer.gate.wait(timeout)
        if self._producer.refusals > 0:
            self._producer.refusals -= 1
            raise TopicAuthorizationFailedError("frames.dead")
        if self._producer.failures > 0:
            self._producer.failures -= 1
            raise UnknownError("UnknownServerError")
        if self._producer.away:
            raise KafkaTimeoutError("away")
        if self._producer.invalid:
            raise InvalidRecordError("a compacted topic wants keys")
        if self._size > self._producer.broker_limit:
            raise MessageSizeTooLargeError("too large for the topic")


class FakeProducer:
    """Records what is sent; refuses values above one of two limits, as client or as broker."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.away = self.invalid = False
        self.refusals = self.failures = 0
        self.client_limit = self.broker_limit = 1_000_000
        self.closed = False

    def send(self, topic: str, **record: Any) -> FakeFuture:
        size = len(record["value"] or b"")
        if size > self.client_limit:
            raise MessageSizeTooLargeError("too large for the client")
        self.sent.append({"topic": topic, **record})
        return FakeFuture(self, size)

    def close(self, timeout: float | None = None) -> None:
        self.closed = True


class Bench:
    def __init__(self, settings: WorkerSettings) -> None:
        self.producer = FakeProducer()
        self.done: list[tuple[Position, str]] = []
        clock = FakeClock()
        self.box = DeadLetters(
            self.producer,
            settings,
            lambda position, reason: self.done.append((position, reason)),
            clock,
            clock.advance,
        )
        self.box.start()

    def put(self, number: int = 0, value: bytes | None = b"image") -> Position:
        position = Position(3, number, 1)
        self.box.put(Record(3, number, b"gate", value, [("ce_id", b"x")], 0.0), position, ERROR)
        return position


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    (tmp_path / "model.onnx").write_bytes(b"x")
    bench = Bench(WorkerSettings(model=tmp_path, kafka_timeout_seconds=5))
    yield bench
    bench.producer.gate.set()
    bench.box.stop(5)


def test_a_dead_letter_is_the_record_unchanged_and_says_why_and_where_from(bench: Bench) -> None:
    position = bench.put(17)
    wait_until(lambda: bench.done == [(position, "corrupt_image")])
    (sent,) = bench.producer.sent
    assert (sent["topic"], sent["key"], sent["value"]) == ("frames.dead", b"gate", b"image")
    assert sent["headers"] == [
        ("ce_id", b"x"),
        ("seedstream_dead_reason", b"corrupt_image"),
        ("seedstream_dead_detail", b"it is broken"),
        ("seedstream_dead_topic", b"frames"),
        ("seedstream_dead_partition", b"3"),
        ("seedstream_dead_position", b"17"),
    ]


def test_its_position_is_done_only_after_kafka_has_acknowledged(bench: Bench) -> None:
    bench.producer.gate.clear()
    bench.put()
    wait_until(lambda: len(bench.producer.sent) == 1)
    assert bench.done == []
    bench.producer.gate.set()
    wait_until(lambda: len(bench.done) == 1)


@pytest.mark.parametrize("limit", ["client_limit", "broker_limit"])
def test_a_value_too_large_for_the_topic_is_left_out(bench: Bench, limit: str) -> None:
    setattr(bench.producer, limit, 10)
    bench.put(value=b"x" * 11)
    wait_until(lambda: len(bench.done) == 1)
    sent = bench.producer.sent[-1]
    assert sent["value"] is None
    assert b"value of 11 bytes left out" in dict(sent["headers"])["seedstream_dead_detail"]


def test_when_kafka_takes_none_in_time_the_check_says_so(bench: Bench) -> None:
    bench.producer.away = True
    bench.put()
    with pytest.raises(UnavailableError, match=r"frames\.dead"):
        wait_until(bench.box.check)
    assert bench.done == []


def test_a_record_that_is_refused_for_another_reason_than_its_size_is_not_shrunk(
    bench: Bench,
) -> None:
    bench.producer.invalid = True
    bench.put()
    with pytest.raises(UnavailableError, match="a compacted topic wants keys"):
        wait_until(bench.box.check)
    assert [sent["value"] for sent in bench.producer.sent] == [b"image"]


def test_a_topic_that_refuses_letters_for_a_moment_gets_them_whole(bench: Bench) -> None:
    bench.producer.refusals = 2
    bench.put()
    wait_until(lambda: len(bench.done) == 1)
    bench.box.check()
    assert [sent["value"] for sent in bench.producer.sent] == 3 * [b"image"]


def test_a_topic_that_goes_on_refusing_letters_ends_the_worker(bench: Bench) -> None:
    bench.producer.refusals = 1_000
    bench.put()
    with pytest.raises(ConfigurationError, match=r"frames\.dead"):
        wait_until(bench.box.check)
    assert bench.done == []


def test_letters_that_fail_within_the_broker_for_a_moment_are_sent_again(bench: Bench) -> None:
    bench.producer.failures = 8  # 4 s of the 5
    bench.put()
    wait_until(lambda: len(bench.done) == 1)
    bench.producer.failures = 8  # counted anew
    bench.put(1)
    wait_until(lambda: len(bench.done) == 2)
    bench.box.check()
    assert [sent["value"] for sent in bench.producer.sent] == 18 * [b"image"]


def test_a_broker_that_goes_on_failing_ends_the_worker_and_its_log_is_named(bench: Bench) -> None:
    bench.producer.failures = 1_000
    bench.put()
    with pytest.raises(UnavailableError, match=r"'frames\.dead' for 5 s .*see the log of the"):
        wait_until(bench.box.check)
    assert bench.done == []
    assert len(bench.producer.sent) < 20


def test_those_that_wait_for_acknowledgement_are_bounded(bench: Bench) -> None:
    bench.producer.gate.clear()
    for number in range(MAX_IN_FLIGHT):
        assert not bench.box.full
        bench.put(number)
    assert bench.box.full
    bench.producer.gate.set()
    wait_until(lambda: not bench.box.full)
    assert len(bench.done) >= 1


def test_stopping_writes_what_is_queued(bench: Bench) -> None:
    for number in range(5):
        bench.put(number)
    bench.box.stop(5)
    assert len(bench.done) == 5
    assert bench.producer.closed


def test_headers_without_a_value_become_empty() -> None:
    record = make_record(make_frame(), 0)
    without = Record(0, 0, record.key, None, [("odd", None)], 0.0)  # type: ignore[list-item]
    assert dead_headers(without, "frames", "empty", "")[0] == ("odd", b"")


def test_five_thousand_dead_letters_write_a_line_for_each_reason(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5_000):
        bench.put(number)
    bench.box.stop(20)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "dead letter from frames/3 at 0: corrupt_image: it is broken",
        "4999 more dead letters since the last line: corrupt_image",
    ]
    assert len(bench.producer.sent) == 5_000
