"""The publisher: every frame settled once, bounds kept, a broken client replaced."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from kafka import errors
from prometheus_client import CollectorRegistry

from contract.errors import ConfigurationError
from contract.frame import Frame, Header, decode_frame, new_session
from producer.metrics import DROP_REASONS, ProducerMetrics
from producer.outbox import Outbox
from producer.publisher import Publisher
from producer.sender import Failure, OnDone, classify, client_options
from producer.settings import ProducerSettings
from tests.fakes import FakeClock

SESSION = new_session()
WAIT_SECONDS = 30.0


def frame(sequence: int, size: int = 100) -> Frame:
    return Frame("cam", SESSION, sequence, datetime.now(UTC), 2, 2, b"x" * size)


class FakeSender:
    """Takes records and answers when told to; ``answer`` decides at once where given."""

    def __init__(self, answer: Callable[[int], Failure | str | None] | None = None) -> None:
        self.taken: list[tuple[int, OnDone]] = []
        self.closed = False
        self.answered = True
        self.away = threading.Event()
        self._answer = answer

    def send(
        self, key: bytes, value: bytes, headers: list[Header], session: str, on_done: OnDone
    ) -> bool:
        if self.away.is_set():
            time.sleep(0.01)  # as the real one, which blocks for metadata
            return False
        sequence = decode_frame(key, value, headers, max_bytes=1 << 30).sequence
        self.taken.append((sequence, on_done))
        outcome = "later" if self._answer is None else self._answer(sequence)
        if outcome != "later":
            on_done(outcome, "made up")  # type: ignore[arg-type]
        return True

    def close(self, timeout_seconds: float) -> None:
        self.closed = True

    @property
    def sequences(self) -> list[int]:
        return [sequence for sequence, _ in self.taken]


class Bench:
    """A publisher with fakes around it."""

    def __init__(
        self,
        *senders: FakeSender,
        restarts: int = 5,
        clock: Callable[[], float] = time.monotonic,
        **settings: object,
    ) -> None:
        self.registry = CollectorRegistry()
        self.metrics = ProducerMetrics(self.registry)
        self.metrics.add_camera("cam")
        self.outbox = Outbox(lambda lost, reason: self.metrics.drop(lost.camera, reason))
        self.senders = list(senders)
        self.publisher = Publisher(
            ProducerSettings(**settings),  # type: ignore[arg-type]
            self.outbox,
            lambda: self.senders.pop(0),
            self.metrics,
            clock,
            restarts,
        )
        self.publisher.start(self.senders.pop(0))

    def put(self, *sequences: int, size: int = 100) -> None:
        for sequence in sequences:
            self.metrics.capture("cam")
            self.outbox.put(frame(sequence, size), 1000, wait=False)

    def value(self, name: str, **labels: str) -> float:
        labels = labels or {"camera": "cam"}
        return self.registry.get_sample_value(f"seedstream_{name}", labels) or 0.0

    def dropped(self, reason: str) -> float:
        return self.value("frames_dropped_total", camera="cam", reason=reason)

    def check_account(self) -> None:
        settled = self.value("frames_published_total") + sum(map(self.dropped, DROP_REASONS))
        in_flight = self.value("frames_in_flight")
        assert self.value("frames_captured_total") == settled + in_flight


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def test_frames_are_sent_in_order_and_counted_when_acknowledged() -> None:
    sender = FakeSender()
    bench = Bench(sender)
    bench.put(0, 1, 2)
    until(lambda: len(sender.taken) == 3)
    assert bench.value("frames_in_flight") == 3
    for _, on_done in sender.taken:
        on_done(None, "")
    assert bench.value("frames_published_total") == 3
    assert bench.publisher.stop(1.0)
    assert sender.sequences == [0, 1, 2]
    bench.check_account()


def test_sends_in_flight_are_bounded_by_number() -> None:
    sender = FakeSender()
    bench = Bench(sender, sends_in_flight=2)
    bench.put(*range(5))
    until(lambda: len(sender.taken) == 2)
    sender.taken[0][1](None, "")
    until(lambda: len(sender.taken) == 3)
    assert bench.registry.get_sample_value("seedstream_sends_in_flight") == 2
    bench.publisher.stop(0.0)
    bench.check_account()


def test_sends_in_flight_are_bounded_by_the_bytes_of_the_four_largest_records() -> None:
    sender = FakeSender()
    bench = Bench(sender, max_record_bytes=65_536)
    bench.put(*range(6), size=64_000)
    for number in range(6):
        until(lambda number=number: len(sender.taken) == min(number + 5, 6))
        assert bench.registry.get_sample_value("seedstream_sends_in_flight_bytes") < 5 * 65_536
        sender.taken[number][1](None, "")
    assert bench.publisher.stop(1.0)


def test_a_frame_above_the_record_limit_is_dropped_and_the_rest_goes_on() -> None:
    sender = FakeSender(lambda _: None)
    bench = Bench(sender, max_record_bytes=65_536)
    bench.put(0)
    bench.put(1, size=70_000)
    bench.put(2)
    assert bench.publisher.stop(5.0)
    assert sender.sequences == [0, 2]
    assert bench.dropped("too_large") == 1
    bench.check_account()


def test_a_send_that_timed_out_is_dropped_and_the_rest_goes_on() -> None:
    sender = FakeSender(lambda sequence: "timeout" if sequence == 1 else None)
    bench = Bench(sender)
    bench.put(0, 1, 2)
    assert bench.publisher.stop(5.0)
    assert bench.value("frames_published_total") == 2
    assert bench.dropped("send_failed") == 1
    bench.check_account()


def test_a_record_that_kafka_finds_too_large_costs_no_other_frame_and_no_restart() -> None:
    first, second, third = FakeSender(), FakeSender(), FakeSender(lambda _: None)
    bench = Bench(first, second, third, restarts=0)
    bench.put(0)
    bench.put(1, size=3000)
    bench.put(2)
    until(lambda: first.sequences == [0, 1, 2])
    first.taken[1][1]("too_large", "about its own record")
    first.taken[0][1]("too_large", "the client fails all others with that error")
    bench.put(3, size=2000)
    until(lambda: second.sequences == [0, 2, 3])
    second.taken[2][1]("too_large", "a smaller one")
    second.taken[0][1]("fatal", "the client has ended")
    until(lambda: bench.value("frames_published_total") == 2)
    assert third.sequences == [0, 2]
    assert bench.dropped("too_large") == 2
    assert bench.publisher.error is None
    assert bench.publisher.stop(5.0)
    bench.check_account()


def test_after_kafka_refused_a_size_such_frames_are_dropped_unsent_and_smaller_ones_sent() -> None:
    first, second = FakeSender(lambda _: "too_large"), FakeSender(lambda _: None)
    bench = Bench(first, second)
    bench.put(0, 1, size=3000)
    bench.put(2, size=4000)
    bench.put(3, size=2999)
    assert bench.publisher.stop(5.0)
    assert first.sequences == [0]
    assert second.sequences == [3]
    assert bench.dropped("too_large") == 3
    bench.check_account()


def test_a_new_client_that_is_refused_as_configured_ends_the_process() -> None:
    sender = FakeSender(lambda _: "fatal")
    bench = Bench(sender)

    def refuse() -> FakeSender:
        raise ConfigurationError("wrong password")

    bench.publisher._connect = refuse
    bench.put(0)
    until(lambda: isinstance(bench.publisher.error, ConfigurationError))
    bench.publisher.stop(0.0)
    bench.check_account()


def test_a_broken_client_is_replaced_and_unsettled_frames_are_sent_again_in_order() -> None:
    first, second = FakeSender(), FakeSender(lambda _: None)
    bench = Bench(first, second)
    bench.put(0, 1, 2)
    until(lambda: len(first.taken) == 3)
    first.taken[0][1](None, "")
    first.taken[1][1]("fatal", "UnknownProducerIdError")
    bench.put(3)
    until(lambda: bench.value("frames_published_total") == 4)
    assert first.closed
    assert second.sequences == [1, 2, 3]
    first.taken[2][1]("fatal", "an answer of the client before")  # void
    assert bench.publisher.stop(5.0)
    assert bench.registry.get_sample_value("seedstream_kafka_client_restarts_total") == 1
    bench.check_account()


def test_one_partition_at_which_a_broker_fails_does_not_stop_the_cameras_of_the_others() -> None:
    clock = FakeClock()
    senders = [FakeSender(lambda number: "failing" if number >= 100 else None) for _ in range(9)]
    bench = Bench(*senders, clock=clock)
    bench.metrics.add_camera("bad")

    def put_bad(number: int) -> None:
        bench.metrics.capture("bad")
        bench.outbox.put(replace(frame(number), camera="bad"), 1000, wait=False)

    for number in range(20):
        put_bad(100 + number)
        bench.put(number)
    until(lambda: bench.value("frames_published_total") == 20)
    dropped = {"camera": "bad", "reason": "send_failed"}
    until(lambda: bench.value("frames_dropped_total", **dropped) == 20)
    assert len(bench.senders) == 9 - 3, "the first, and one for each of the two tries"
    clock.advance(60)
    put_bad(200)
    until(lambda: bench.value("frames_dropped_total", **dropped) == 21)
    bench.put(20)
    until(lambda: bench.value("frames_published_total") == 21)
    assert len(bench.senders) == 9 - 5, "it is tried again after a while"
    assert bench.publisher.stop(WAIT_SECONDS)


def test_a_client_that_never_recovers_ends_the_process_after_bounded_restarts() -> None:
    senders = [FakeSender(lambda _: "fatal") for _ in range(4)]
    bench = Bench(*senders, restarts=3)
    bench.put(*range(10))
    until(lambda: bench.publisher.error is not None)
    assert "failed 4 times" in str(bench.publisher.error)
    assert not bench.publisher.stop(0.5)
    bench.check_account()
    assert bench.value("frames_in_flight") == 0


def test_rights_that_are_refused_twice_end_the_process() -> None:
    clock = FakeClock()
    bench = Bench(FakeSender(lambda _: "refused"), FakeSender(lambda _: "refused"), clock=clock)
    bench.publisher._pause = clock.advance
    bench.put(0)
    until(lambda: isinstance(bench.publisher.error, ConfigurationError))
    assert "does not accept our frames" in str(bench.publisher.error)
    assert "grant WRITE on the topic 'frames'" in str(bench.publisher.error)
    bench.publisher.stop(0.0)
    bench.check_account()


def test_a_right_that_is_refused_for_a_moment_costs_no_frame() -> None:
    clock, second = FakeClock(), FakeSender(lambda _: None)
    bench = Bench(FakeSender(lambda _: "refused"), second, clock=clock)
    bench.publisher._pause = clock.advance
    bench.put(0, 1)
    until(lambda: bench.value("frames_published_total") == 2)
    assert second.sequences == [0, 1]
    assert bench.publisher.error is None
    assert clock.now > 1_001
    assert bench.publisher.stop(WAIT_SECONDS)
    bench.check_account()


def test_kafka_that_acknowledges_nothing_is_asked_whether_it_lets_us_in() -> None:
    clock, sender = FakeClock(), FakeSender()
    bench = Bench(sender, clock=clock)
    bench.publisher._find_refusal = lambda: ConfigurationError("wrong password")
    bench.put(0)
    until(lambda: len(sender.taken) == 1)
    clock.now += 6.0
    until(lambda: isinstance(bench.publisher.error, ConfigurationError))
    bench.publisher.stop(0.0)
    bench.check_account()


@pytest.mark.parametrize("silent", [True, False], ids=["takes and is silent", "takes nothing"])
def test_a_server_that_stays_away_ends_the_process_after_the_bound(silent: bool) -> None:
    sender = FakeSender()
    if not silent:
        sender.away.set()
    bench = Bench(sender, delivery_timeout_seconds=0.3, request_timeout_seconds=0.1)
    bench.put(0, 1)
    until(lambda: bench.publisher.error is not None)
    assert "acknowledged nothing" in str(bench.publisher.error)
    assert not bench.publisher.stop(0.0)
    bench.check_account()
    assert bench.value("frames_in_flight") == 0


def test_a_failure_before_a_quiet_time_does_not_make_that_time_count_as_kafkas_silence() -> None:
    now = 0.0
    sender = FakeSender()
    bench = Bench(sender, clock=lambda: now)
    bench.put(0)
    until(lambda: len(sender.taken) == 1)
    now = 30.0
    sender.taken[0][1]("timeout", "its partition has no leader")
    now = 300.0  # no camera gives a frame
    bench.put(1)
    until(lambda: len(sender.taken) == 2)
    now = 320.0
    until(lambda: bench.publisher.heartbeat == 320.0)
    assert bench.publisher.error is None
    now = 331.0  # with the 30 s before, more than 60 s of asking without an answer
    until(lambda: bench.publisher.error is not None)
    assert "acknowledged nothing for 61 s" in str(bench.publisher.error)
    bench.publisher.stop(0.0)
    bench.check_account()


def test_a_server_that_comes_back_in_time_gets_every_frame() -> None:
    sender = FakeSender(lambda _: None)
    sender.away.set()
    bench = Bench(sender)
    bench.put(0, 1, 2)
    until(lambda: bench.value("frames_in_flight") == 3)
    sender.away.clear()
    assert bench.publisher.stop(5.0)
    assert sender.sequences == [0, 1, 2]
    assert bench.value("frames_published_total") == 3


def test_stopping_publishes_what_waits_and_counts_what_it_must_leave() -> None:
    sender = FakeSender(lambda sequence: None if sequence < 3 else "later")
    bench = Bench(sender, sends_in_flight=2)
    bench.put(*range(8))
    assert not bench.publisher.stop(0.3)
    assert bench.value("frames_published_total") == 3
    assert bench.dropped("shutdown") == 5
    bench.check_account()


def test_what_kafka_acknowledges_while_the_client_closes_counts_as_published() -> None:
    class Acknowledging(FakeSender):
        def close(self, timeout_seconds: float) -> None:
            for _, on_done in self.taken[:2]:
                on_done(None, "")
            for _, on_done in self.taken[2:]:
                on_done("fatal", "the client was closed")

    sender = Acknowledging()
    bench = Bench(sender)
    bench.put(0, 1)
    until(lambda: len(sender.taken) == 2)
    assert bench.publisher.stop(0.05), "nothing is lost"
    assert bench.value("frames_published_total") == 2
    bench.check_account()

    sender = Acknowledging()
    bench = Bench(sender)
    bench.put(0, 1, 2)
    until(lambda: len(sender.taken) == 3)
    assert not bench.publisher.stop(0.05)
    assert bench.value("frames_published_total") == 2
    assert bench.dropped("shutdown") == 1
    assert bench.value("frames_in_flight") == 0
    bench.check_account()


def test_an_answer_after_the_end_changes_no_account() -> None:
    sender = FakeSender()
    bench = Bench(sender)
    bench.put(0)
    until(lambda: len(sender.taken) == 1)
    assert not bench.publisher.stop(0.0)
    sender.taken[0][1](None, "")
    assert bench.dropped("shutdown") == 1
    assert bench.value("frames_published_total") == 0
    bench.check_account()


def test_an_acknowledgement_that_comes_after_its_client_was_replaced_counts() -> None:
    first, second = FakeSender(), FakeSender()
    bench = Bench(first, second)
    bench.put(0, 1)
    until(lambda: len(first.taken) == 2)
    first.taken[1][1]("fatal", "UnknownProducerIdError")
    until(lambda: second.sequences == [0, 1])
    first.taken[0][1](None, "")
    assert bench.value("frames_published_total") == 1
    second.taken[0][1]("timeout", "the second copy")
    second.taken[1][1](None, "")
    assert bench.publisher.stop(5.0)
    assert bench.value("frames_published_total") == 2
    bench.check_account()


def test_a_reader_that_the_end_turns_away_makes_the_end_a_loss() -> None:
    sender = FakeSender()
    bench = Bench(sender, sends_in_flight=1)
    bench.put(0, 1)
    until(lambda: len(sender.taken) == 1)
    bench.metrics.capture("cam")
    reader = threading.Thread(target=bench.outbox.put, args=(frame(2), 1), kwargs={"wait": True})
    reader.start()

    def answer() -> None:
        reader.join(WAIT_SECONDS)
        for number in (0, 1):
            until(lambda number=number: len(sender.taken) > number)
            sender.taken[number][1](None, "")

    kafka = threading.Thread(target=answer)
    kafka.start()
    assert not bench.publisher.stop(WAIT_SECONDS)
    kafka.join(WAIT_SECONDS)
    assert bench.value("frames_published_total") == 2
    assert bench.dropped("shutdown") == 1
    bench.check_account()


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (errors.MessageSizeTooLargeError("x"), "too_large"),
        (errors.RecordListTooLargeError("x"), "too_large"),
        (errors.KafkaTimeoutError("x"), "timeout"),
        (errors.NotLeaderForPartitionError("x"), "timeout"),
        (errors.KafkaConnectionError("x"), "timeout"),
        (errors.UnsupportedVersionError("a broker is being upgraded"), "fatal"),
        (OSError("of the client's own"), "fatal"),
        (errors.TopicAuthorizationFailedError("x"), "refused"),
        (errors.KafkaError(str(errors.ClusterAuthorizationFailedError("x"))), "refused"),
        (errors.KafkaError(errors.ClusterAuthorizationFailedError("x")), "refused"),
        (errors.UnknownProducerIdError("x"), "fatal"),
        (errors.UnknownError("x"), "failing"),
        (errors.OutOfOrderSequenceNumberError("x"), "fatal"),
        (errors.ProducerFencedError("x"), "fatal"),
        (errors.IllegalStateError("x"), "fatal"),
    ],
)
def test_kafka_errors_are_told_apart_by_what_to_do(
    error: errors.KafkaError, failure: Failure
) -> None:
    assert classify(error) == failure


def test_the_kafka_client_gets_options_that_it_accepts() -> None:
    from kafka import KafkaProducer

    options = client_options(ProducerSettings())
    assert options.keys() <= KafkaProducer.DEFAULT_CONFIG.keys()
    assert options["delivery_timeout_ms"] > options["linger_ms"] + options["request_timeout_ms"]
    assert options["acks"] == "all"
    assert options["enable_idempotence"]
