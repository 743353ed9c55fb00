"""A refusal that may pass counts once it has lasted; who asks meanwhile gives up in time."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition, errors
from kafka.structs import MemberState

from contract.errors import ConfigurationError, UnavailableError
from servers.kafka import KafkaConnection, wait_for_topics
from servers.refusals import PASSING_SECONDS, Hearing
from tests.fakes import FakeClock
from workers.settings import WorkerSettings
from workers.source import KafkaSource

REFUSAL = errors.TopicAuthorizationFailedError("frames")


def test_a_refusal_that_may_pass_counts_once_it_has_lasted() -> None:
    clock = FakeClock()
    hearing = Hearing(clock)
    assert not hearing.counts(may_pass=True)
    clock.advance(PASSING_SECONDS)
    assert hearing.counts(may_pass=True)
    hearing.over()
    assert not hearing.counts(may_pass=True)
    assert hearing.counts(may_pass=False)


def test_a_refusal_long_after_another_is_a_new_one() -> None:
    clock = FakeClock()
    hearing = Hearing(clock)
    hearing.counts(may_pass=True)
    clock.advance(3_600)
    assert not hearing.counts(may_pass=True)


def test_kafka_that_refuses_and_then_goes_away_is_given_up_in_time() -> None:
    clock, answers = FakeClock(), [REFUSAL]

    def partitions_for(_: str) -> None:
        raise answers.pop() if answers else errors.KafkaTimeoutError("away")

    def wait(seconds: float) -> bool:
        clock.advance(seconds)
        assert clock.now < 2_000, "waited for ever"
        return False

    client, connection = SimpleNamespace(partitions_for=partitions_for), KafkaConnection()
    with pytest.raises(UnavailableError, match="no topic 'frames'"):
        wait_for_topics(client, {"frames": "TOPIC"}, connection, wait, clock.now + 30, clock)


class Consumer:
    """A member of a group whose commits, and those polls that are told to, fail."""

    def __init__(self, error: errors.KafkaError | None = None) -> None:
        self.error = error
        self.state = MemberState.STABLE
        self.polls: list[errors.KafkaError | dict[Any, Any]] = []
        self.questions = 0
        self._coordinator = SimpleNamespace(need_rejoin=lambda: False)
        self._fetcher = SimpleNamespace(_next_partition_records=None)

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=self.state, generation_id=1)

    def commit(self, *_: object, **__: object) -> None:
        if self.error is not None:
            raise self.error

    def poll(self, *_: object) -> dict[Any, Any]:
        found = self.polls.pop(0) if self.polls else {}
        if isinstance(found, errors.KafkaError):
            raise found
        return found

    def assignment(self) -> set[Any]:
        return set()

    def paused(self) -> set[Any]:
        return set()

    def pause(self, *_: object) -> None:
        pass

    def seek(self, *_: object) -> None:
        pass

    def committed(self, *_: object, **__: object) -> int:
        self.questions += 1
        return 0


def test_a_worker_bears_what_may_pass_and_no_longer(tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    clock, settings = FakeClock(), WorkerSettings(model=tmp_path)
    source = KafkaSource(Consumer(REFUSAL), settings, clock)
    assert not source.commit({0: 1})
    clock.advance(PASSING_SECONDS)
    with pytest.raises(ConfigurationError, match="READ on the topic"):
        source.commit({0: 1})


def test_a_worker_bears_trouble_within_a_broker(tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    source = KafkaSource(Consumer(errors.UnknownError("oops")), WorkerSettings(model=tmp_path))
    assert not source.commit({0: 1})


def test_commits_that_fail_for_ever_end_a_worker_though_records_go_on_coming(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    clock, settings = FakeClock(), WorkerSettings(model=tmp_path)
    consumer = Consumer(errors.UnknownError("oops"))
    source, began = KafkaSource(consumer, settings, clock), clock.now

    def work_for_an_hour() -> None:
        for _ in range(720):
            consumer.polls = [{TopicPartition("frames", 0): [SimpleNamespace(offset=0)]}]
            source.poll(0)
            source.commit({0: 1})
            clock.advance(5)

    with pytest.raises(UnavailableError, match=r"acknowledged no commit for \d+ s: .*oops"):
        work_for_an_hour()
    assert clock.now - began <= settings.kafka_timeout_seconds + 5
    assert len([each for each in caplog.records if "committing" in each.message]) == 1


def test_commits_that_fail_now_and_then_or_while_the_group_changes_end_no_worker(
    tmp_path: Any,
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    clock, settings = FakeClock(), WorkerSettings(model=tmp_path)
    consumer = Consumer()
    source = KafkaSource(consumer, settings, clock)
    fails = errors.UnknownError("oops")
    for number in range(100):
        consumer.polls = [{TopicPartition("frames", 0): [SimpleNamespace(offset=0)]}]
        source.poll(0)
        consumer.error = fails
        assert not source.commit({0: 1})
        clock.advance(settings.kafka_timeout_seconds - 1)
        if number % 2:
            consumer.error = None
            assert source.commit({0: 1})
        else:
            consumer.state = MemberState.REBALANCING
            assert not source.commit({0: 1})
            consumer.state = MemberState.STABLE
        clock.advance(settings.kafka_timeout_seconds - 1)


def test_momentary_refusals_with_answers_in_between_end_no_idle_worker(tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    clock, consumer = FakeClock(), Consumer()
    source = KafkaSource(consumer, WorkerSettings(model=tmp_path), clock)
    for _ in range(3):
        consumer.polls = [REFUSAL]
        for _ in range(42):
            assert source.poll(1) == []
            clock.advance(1)
    assert consumer.questions >= 9


def test_a_commit_does_not_excuse_a_refused_fetch(tmp_path: Any) -> None:
    (tmp_path / "model.onnx").write_bytes(b"x")
    clock, consumer = FakeClock(), Consumer()
    source = KafkaSource(consumer, WorkerSettings(model=tmp_path), clock)
    consumer.polls = [REFUSAL, REFUSAL]
    source.poll(1)
    clock.advance(PASSING_SECONDS)
    assert source.commit({0: 1})
    with pytest.raises(ConfigurationError, match="READ on the topic"):
        source.poll(1)
