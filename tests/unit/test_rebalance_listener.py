"""The rebalance listener on kafka-python's own event loop."""

import threading
import time
from collections.abc import Iterator, Mapping

import pytest
from kafka import TopicPartition
from kafka.future import Future
from kafka.net.selector import NetworkSelector

from workers.rebalance_listener import RebalanceListener
from workers.records import Change, Event


@pytest.fixture
def loop() -> Iterator[NetworkSelector]:
    loop = NetworkSelector(client_id="test")
    loop.start()
    yield loop
    loop.close()


def hand_over_when_idle(partitions: frozenset[int]) -> Mapping[int, int]:
    time.sleep(0.05)  # the loop has nothing to do by then, and no timer to wake it
    return dict.fromkeys(partitions, 5)


def answered(positions: Mapping[int, int]) -> Future:
    assert positions == {1: 5}
    return Future().success(None)


def refused(positions: Mapping[int, int]) -> Future:
    return Future().failure(RuntimeError("rebalancing"))


def failing(positions: Mapping[int, int]) -> Future:
    raise AssertionError("a fault of ours")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("commit", [answered, refused, failing])
def test_partitions_are_given_up_on_an_idle_loop_however_soon_the_commit_ends(
    loop: NetworkSelector, commit: object
) -> None:
    events: list[Event] = []
    listener = RebalanceListener(
        events.append,
        hand_over_when_idle,
        commit,
        loop.call_soon_threadsafe,  # type: ignore[arg-type]
    )
    revoked = [TopicPartition("frames", 1)]
    waiting = threading.Thread(
        target=loop.run, args=(listener.on_partitions_revoked, revoked), daemon=True
    )
    waiting.start()
    waiting.join(5)
    for thread in threading.enumerate():
        if thread.name == "hand-over":
            thread.join(5)  # what it raises is seen in this test, not in the next
    assert events == [Event(Change.REVOKED, frozenset({1}))]
