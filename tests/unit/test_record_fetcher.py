"""When a broker that gives nothing of a partition counts as unable to read it."""

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.subscription_state import SubscriptionState
from kafka.errors import UnknownError

from servers.kafka_network import network_client
from servers.record_fetcher import (
    FAILING_SECONDS,
    MOST_FAILING,
    STARVED_ANSWERS,
    STARVED_SECONDS,
    RecordFetcher,
)

STARVED, OTHER = TopicPartition("frames", 0), TopicPartition("frames", 1)
ROOM = {"fetch_max_bytes": 4_000, "max_partition_fetch_bytes": 1_000}


def answer(other: int, *, throttle_time_ms: int = 0, error_code: int = 0) -> Any:
    """Return a response with nothing of the one partition, and so many bytes of the other."""
    sizes = {STARVED: 0, OTHER: other}
    partitions = [
        SimpleNamespace(
            partition_index=partition.partition,
            error_code=0,
            records=b"r" * size,
            high_watermark=100,
            last_stable_offset=100,
        )
        for partition, size in sizes.items()
    ]
    return SimpleNamespace(
        API_VERSION=6,  # without sessions
        error_code=error_code,
        throttle_time_ms=throttle_time_ms,
        responses=[SimpleNamespace(topic="frames", partitions=partitions)],
    )


def given_up(response: Any, times: int, seconds: float) -> bool:
    """Return whether the position is given up after so many answers over so long."""
    now = 0.0
    fetcher = RecordFetcher(
        network_client(bootstrap_servers="127.0.0.1:1"),
        SubscriptionState(),
        clock=lambda: now,
        **ROOM,
    )
    for _ in range(times):
        fetcher._handle_fetch_response(0, {STARVED: 7, OTHER: 7}, 0.0, response)
        now += seconds / (times - 1)
    return any(each.partition_data.error_code for each in fetcher._completed_fetches)


@pytest.mark.parametrize("other", [0, 1, 3_000])
def test_a_broker_that_could_give_records_and_does_not_is_given_up(other: int) -> None:
    assert given_up(answer(other), STARVED_ANSWERS + 1, STARVED_SECONDS)


def test_nothing_is_given_up_sooner() -> None:
    assert not given_up(answer(0), STARVED_ANSWERS + 1, STARVED_SECONDS - 1)


def test_a_busy_worker_that_asks_seldom_gives_nothing_up() -> None:
    assert not given_up(answer(0), 3, 10 * STARVED_SECONDS)


@pytest.mark.parametrize(
    "response",
    [answer(3_001), answer(0, throttle_time_ms=900), answer(0, error_code=70)],
    ids=["full of other partitions", "held back by a quota", "of a session that has ended"],
)
def test_an_answer_without_room_for_a_partition_says_nothing_of_it(response: Any) -> None:
    assert not given_up(response, 100, 10 * STARVED_SECONDS)


@pytest.mark.parametrize(
    ("asked", "others_fail", "patience"),
    [
        ({STARVED, OTHER}, False, STARVED_SECONDS),
        ({STARVED, OTHER}, True, FAILING_SECONDS),
        ({STARVED}, False, STARVED_SECONDS),
    ],
    ids=["one of two", "all of two", "the only one"],
)
def test_a_broker_that_fails_at_everything_is_given_more_time_than_one_bad_record(
    asked: set[TopicPartition], others_fail: bool, patience: float
) -> None:
    now, subscriptions = 0.0, SubscriptionState()
    subscriptions.assign_from_user([STARVED, OTHER])
    for partition in (STARVED, OTHER):
        subscriptions.seek(partition, 7)
    client = network_client(bootstrap_servers="127.0.0.1:1")
    fetcher = RecordFetcher(client, subscriptions, clock=lambda: now, **ROOM)

    def given_up_now() -> bool:
        """Whether the position of the one partition is given up, of which the broker fails."""
        response = answer(0)
        failing, other = response.responses[0].partitions
        failing.error_code = UnknownError.errno
        other.error_code = UnknownError.errno if others_fail else 0
        fetcher._completed_fetches.clear()
        response.responses[0].partitions = [failing, other][: len(asked)]
        fetcher._handle_fetch_response(0, dict.fromkeys(asked, 7), 0.0, response)
        (fetched,) = (f for f in fetcher._completed_fetches if f.topic_partition == STARVED)
        return bool(fetcher._parse_fetched_data(fetched)._lost)

    assert not given_up_now()
    now = patience - 1
    assert not given_up_now()
    now = patience
    assert given_up_now()


def test_a_partition_whose_broker_fails_everywhere_is_waited_for_and_not_drained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, subscriptions = 0.0, SubscriptionState()
    subscriptions.assign_from_user([STARVED, OTHER])
    client = network_client(bootstrap_servers="127.0.0.1:1")
    fetcher = RecordFetcher(client, subscriptions, clock=lambda: now, **ROOM)

    def given_up(position: int) -> bool:
        subscriptions.seek(STARVED, position)
        response = answer(0)
        failing, _ = response.responses[0].partitions
        failing.error_code = UnknownError.errno
        fetcher._completed_fetches.clear()
        fetcher._handle_fetch_response(0, {STARVED: position, OTHER: 7}, 0.0, response)
        (fetched,) = (f for f in fetcher._completed_fetches if f.topic_partition == STARVED)
        return bool(fetcher._parse_fetched_data(fetched)._lost)

    position = 7
    for _ in range(1_000):
        now += STARVED_SECONDS
        position += given_up(position)
    assert position == 7 + MOST_FAILING
    assert "the other partitions go on" in caplog.text
    assert len(caplog.records) < 200, "at most one a minute"
