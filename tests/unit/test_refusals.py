"""A refusal that may pass counts once it has lasted; who asks meanwhile gives up in time."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import errors
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
    """A member of a group whose commits fail."""

    def __init__(self, error: errors.KafkaError) -> None:
        self.error = error

    def group_metadata(self) -> Any:
        return SimpleNamespace(state=MemberState.STABLE, generation_id=1)

    def commit(self, *_: object, **__: object) -> None:
        raise self.error


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
