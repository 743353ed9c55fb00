"""The Kafka source against a real broker."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.structs import MemberState

from contract.errors import UnavailableError
from contract.settings import load_settings
from stack.broker import Broker
from stack.kafka_server import start_kafka
from tests.fakes import FakeClock, wait_until
from workers import source as source_module
from workers.group_member import open_consumer
from workers.records import Change, Event, Record
from workers.settings import WorkerSettings
from workers.source import KafkaSource

Name = Callable[[str], str]


@dataclass
class Member:
    """One member of a group, polled by the test."""

    source: KafkaSource
    ready: dict[int, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    handed_over: list[frozenset[int]] = field(default_factory=list)

    def hand_over(self, partitions: frozenset[int]) -> Mapping[int, int]:
        self.handed_over.append(partitions)
        return {number: self.ready[number] for number in partitions & self.ready.keys()}

    def poll(self, max_records: int = 100) -> list[Record]:
        polled = self.source.poll(max_records)
        self.events += self.source.take_events()
        self.records += polled
        return polled

    @contextmanager
    def polled_in_background(self) -> Iterator[None]:
        ended = threading.Event()

        def poll_on() -> None:
            while not ended.is_set():
                self.poll()

        thread = threading.Thread(target=poll_on, daemon=True)
        thread.start()
        yield
        ended.set()
        thread.join(10)

    @property
    def owned(self) -> set[int]:
        partitions: set[int] = set()
        for change, named in self.events:
            partitions = partitions | named if change is Change.ASSIGNED else partitions - named
        return partitions


@dataclass
class Group:
    """A topic with a group on it."""

    settings: WorkerSettings
    producer: KafkaProducer
    stack: ExitStack

    def join(self, clock: Callable[[], float] = time.monotonic) -> Member:
        source = KafkaSource(open_consumer(self.settings), self.settings, clock)
        member = Member(source)
        source.subscribe(member.hand_over)
        self.stack.callback(source.close, 5)
        return member

    def send(self, *values: bytes, partition: int = 0) -> None:
        for value in values:
            self.producer.send(
                self.settings.topic, key=b"k", value=value, partition=partition,
                headers=[("ce_id", b"x")],
            )  # fmt: skip
        self.producer.flush(10)

    def committed(self, partition: int) -> int | None:
        consumer = open_consumer(self.settings)
        try:
            target = TopicPartition(self.settings.topic, partition)
            found: int | None = consumer.committed(target, timeout_ms=5000)
            return found
        finally:
            consumer.close()


@pytest.fixture
def group(tmp_path: Path, kafka: Broker, unique_name: Name) -> Iterator[Group]:
    with make_group(tmp_path, kafka, unique_name, 2) as group:
        yield group


@contextmanager
def make_group(
    tmp_path: Path, kafka: Broker, unique_name: Name, partitions: int
) -> Iterator[Group]:
    topic = unique_name("frames")
    kafka.create_topic(topic, partitions)
    (tmp_path / "model.onnx").write_bytes(b"x")
    settings = load_settings(
        WorkerSettings, model=tmp_path, bootstrap_servers=kafka.bootstrap_servers, topic=topic,
        group=unique_name("group"), session_timeout_seconds=6, kafka_timeout_seconds=10,
    )  # fmt: skip
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    with ExitStack() as stack:
        yield Group(settings, producer, stack)
    producer.close(5)


def test_records_come_as_they_were_sent_and_in_order(group: Group) -> None:
    before = time.time()
    group.send(b"one", b"two", partition=1)
    member = group.join()
    wait_until(lambda: member.poll() and len(member.records) >= 2, 20)
    assert [(r.partition, r.number, r.key, r.value) for r in member.records] == [
        (1, 0, b"k", b"one"),
        (1, 1, b"k", b"two"),
    ]
    assert list(member.records[0].headers) == [("ce_id", b"x")]
    assert before - 1 < member.records[0].timestamp_seconds < time.time() + 1
    assert member.owned == {0, 1}
    assert member.source.joined
    assert member.source.end(1) == 2


def test_a_record_without_time_stamp_comes_without_one(group: Group) -> None:
    group.producer.send(group.settings.topic, value=b"x", partition=0, timestamp_ms=-1)
    group.producer.flush(10)
    member = group.join()
    wait_until(lambda: member.poll(), 20)
    assert member.records[0].timestamp_seconds is None


def test_a_poll_takes_no_more_than_asked(group: Group) -> None:
    group.send(*(b"%d" % number for number in range(10)))
    member = group.join()
    wait_until(lambda: member.poll(3), 20)
    assert [record.number for record in member.records] == [0, 1, 2]
    assert len(member.poll(2)) == 2


def test_polling_without_room_keeps_the_membership_and_loses_nothing(group: Group) -> None:
    group.send(*(b"%d" % number for number in range(20)))
    member = group.join()
    wait_until(lambda: member.poll(5), 20)
    end = time.monotonic() + 8  # longer than the session
    while time.monotonic() < end:
        assert member.poll(0) == []
        time.sleep(0.1)
    wait_until(lambda: member.poll() and len(member.records) >= 20, 20)
    assert [record.number for record in member.records] == list(range(20))
    assert member.events == [Event(Change.ASSIGNED, frozenset({0, 1}))]


def test_a_partition_assigned_while_there_is_no_room_is_read_from_its_start(group: Group) -> None:
    group.send(*(b"%d" % number for number in range(5)))
    member = group.join()
    wait_until(lambda: member.poll(0) == [] and member.owned == {0, 1}, 20)
    time.sleep(0.3)
    assert member.poll(0) == []
    wait_until(lambda: member.poll() and len(member.records) >= 5, 20)
    assert [record.number for record in member.records] == list(range(5))


def test_what_waits_is_read_on_when_another_partition_came_meanwhile(group: Group) -> None:
    first, second = group.join(), group.join()
    with second.polled_in_background():
        wait_until(lambda: first.poll() == [] and len(first.owned) == len(second.owned) == 1, 30)
        (own,), (other,) = first.owned, second.owned
        group.send(*[b"%d" % i for i in range(50)], partition=own)
        # The other 49 are in the client then, and wait there.
        wait_until(lambda: bool(first.poll(1)), 20)
        first.poll(0)
    group.send(*[b"%d" % i for i in range(5)], partition=other)
    second.source.close(5)
    wait_until(lambda: first.poll(0) or first.owned == {own, other}, 20)
    wait_until(lambda: first.poll(100) == [] and len(first.records) >= 55, 20)
    for partition, count in ((own, 50), (other, 5)):
        assert [r.number for r in first.records if r.partition == partition] == [*range(count)]


def test_a_commit_is_where_the_next_member_begins(group: Group) -> None:
    group.send(*(b"%d" % number for number in range(5)))
    first = group.join()
    wait_until(lambda: first.poll() and len(first.records) >= 5, 20)
    assert first.source.commit({0: 3})
    first.source.close(5)
    second = group.join()
    wait_until(lambda: second.poll() and len(second.records) >= 2, 20)
    assert [record.number for record in second.records] == [3, 4]


def test_a_partition_is_handed_over_only_after_what_was_done_is_committed(group: Group) -> None:
    for partition in (0, 1):
        group.send(*(b"%d" % number for number in range(8)), partition=partition)
    first = group.join()
    wait_until(lambda: first.poll() and len(first.records) >= 16, 20)
    first.ready = {0: 8, 1: 8}  # done in time, and not committed yet
    second = group.join()
    with first.polled_in_background(), second.polled_in_background():
        wait_until(lambda: len(first.owned) == len(second.owned) == 1, 30, "one partition each")
        time.sleep(0.5)
    assert first.handed_over == [frozenset(second.owned)]
    assert second.records == []
    (given,) = second.owned
    (kept,) = first.owned
    assert group.committed(given) == 8
    assert group.committed(kept) is None


def test_a_member_that_was_thrown_out_is_told_that_its_partitions_are_lost(group: Group) -> None:
    group.send(*(b"%d" % number for number in range(3)))
    first = group.join()
    wait_until(lambda: first.poll() and len(first.records) >= 3, 20)
    # It leaves behind its own back: what a session timeout does, without the wait.
    coordinator = first.source._consumer._coordinator
    coordinator.reset_generation()
    coordinator.request_rejoin()
    assert not first.source.commit({0: 3})
    wait_until(lambda: first.poll() or first.events[-1].change is Change.ASSIGNED, 30)
    wait_until(lambda: [event.change for event in first.events][1:2] == [Change.LOST], 1)
    assert group.committed(0) is None


def test_a_rebalance_whose_answer_came_between_two_polls_is_completed(group: Group) -> None:
    group.send(b"0")
    member = group.join()
    wait_until(lambda: member.poll() and len(member.records) == 1, 20)
    end = time.monotonic() + 2  # the client looks at the metadata again soon after it has joined
    while time.monotonic() < end:
        member.poll()
    consumer = member.source._consumer
    consumer._coordinator._assignment_snapshot = {}  # as after a change of the topic's partitions
    consumer.poll(0)
    time.sleep(1)
    assert consumer.group_metadata().state != MemberState.STABLE
    member.poll()
    assert consumer.group_metadata().state == MemberState.STABLE
    assert member.source.commit({0: 1})


def test_a_rebalance_that_waits_for_a_hung_member_is_waited_out(group: Group) -> None:
    clock = FakeClock()
    hung = group.join()
    wait_until(lambda: hung.poll() == [] and hung.owned, 20, "the first member")
    member = group.join(clock)
    # `hung` sends heartbeats and polls no more, so it does not join again.
    consumer = member.source._consumer
    wait_until(
        lambda: member.poll() == [] and consumer.group_metadata().state == MemberState.REBALANCING,
        20,
        "a join that waits",
    )
    for _ in range(3):
        clock.now += 60  # well above what Kafka may be away
        began = time.monotonic()
        assert member.poll() == []
        assert not member.source.commit({0: 1})
        assert time.monotonic() - began < 5  # not one call that waited for its answer in vain
    hung.source.close(5)
    wait_until(lambda: member.poll() == [] and member.owned == {0, 1}, 20, "the rest")


def test_members_without_partitions_notice_that_kafka_has_gone(
    tmp_path: Path, unique_name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "_SILENCE_SECONDS", 2.0)
    with start_kafka() as own, make_group(tmp_path, own, unique_name, 1) as group:
        first, second, late = group.join(), group.join(), group.join()
        with first.polled_in_background(), second.polled_in_background():
            wait_until(lambda: first.source.joined and second.source.joined, 30, "both members")
            wait_until(lambda: first.owned or second.owned, 30, "the assignment")
            time.sleep(3)  # idle for longer than the silence: the answer counts
        idle = second if first.owned else first
        assert not idle.owned
        own.stop()
        for member in (idle, late):
            with pytest.raises(UnavailableError, match="has not answered for"):
                wait_until(lambda member=member: member.poll() and False, 40)  # type: ignore[misc]
