"""Frames out of Kafka: one consumer of a group, polled by one thread.

Library: kafka-python 3. Its network runs in a thread of its own, so heartbeats go on whatever the
polling thread does, and listeners are called there, while the polling thread waits in ``poll``.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.structs import MemberState

from contract.errors import UnavailableError
from contract.frame import EARLIEST
from contract.log_limit import LogLimit
from servers.kafka import (
    KafkaError,
    Meaning,
    failed,
    find_refusal,
    may_pass,
    meaning,
    within_broker,
)
from servers.refusals import Hearing
from workers.rebalance_listener import HandOver, RebalanceListener
from workers.records import Event, Record
from workers.settings import WorkerSettings

log = logging.getLogger(__name__)

_CALL_MS = 5_000
"""Longest single call that blocks the loop."""

_IDLE_MS = 50
"""How long a poll waits for a record; it returns as soon as one comes."""

_JOIN_MS = 1_000
"""How long a poll waits for a rebalance to complete. When the answer comes between two polls,
kafka-python throws it away and joins again, which delays the whole group; and until the rebalance
is complete it delivers no records anyway."""

_SILENCE_SECONDS = 10.0
"""After this long without a word from Kafka, it is asked whether it is there."""

_ASK_SECONDS = 1.0
"""Pause between two such questions."""


def _seconds(timestamp_ms: int) -> float | None:
    """Return a record's time stamp in seconds; None where it has none, or one of no set clock."""
    seconds = timestamp_ms / 1000
    return seconds if seconds >= EARLIEST.timestamp() else None


class KafkaSource:
    """One member of the consumer group.

    Args:
        consumer: See `open_consumer`.
        settings: Connection and topic.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        settings: WorkerSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._settings = settings
        self._topic = settings.topic
        self._clock = clock
        self._events: deque[Event] = deque()
        self._topic_id: object = None
        self._paused = False
        self._silent_since = clock()
        self._asked_at = clock()
        self._hearing = Hearing(clock)
        self._commits_fail_since: float | None = None
        self._log_limit = LogLimit(clock=clock)

    def subscribe(self, hand_over: HandOver) -> None:
        """Ask for partitions; ``poll`` joins the group.

        Args:
            hand_over: Called when partitions go to another worker.
        """
        listener = RebalanceListener(
            self._events.append,
            hand_over,
            lambda positions: self._consumer.commit_async(self._offsets(positions)),
            self._consumer._net.call_soon_threadsafe,
        )
        self._consumer.subscribe([self._topic], listener=listener)

    @property
    def joined(self) -> bool:
        """Whether the worker is a member of the group, with or without partitions.

        It is one when it knows its partitions: after the answer to its joining it may wait long
        for the group's leader to share them out.
        """
        group = self._consumer.group_metadata()
        return bool(group.generation_id >= 0 and group.state == MemberState.STABLE)

    @property
    def rebalancing(self) -> bool:
        """Whether the group shares its partitions out anew, which only ``poll`` completes.

        Until then nothing is committed.
        """
        return bool(self._consumer.group_metadata().state != MemberState.STABLE)

    def poll(self, max_records: int) -> list[Record]:
        """Return records that have arrived, at most ``max_records``.

        It waits 50 ms for the first one. With ``max_records`` 0 it does not wait: the partitions
        are paused, and polling only keeps the membership. In a rebalance it waits up to a second.

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away.
        """
        self._pause(max_records == 0)
        self._unpark()
        try:
            polled = self._consumer.poll(self._patience_ms(max_records), max(1, max_records))
        except KafkaError as error:
            self._bear(error, "polling")
            return []
        if polled:
            self._heard()
            self._hearing.over()
        else:
            self._ask_when_silent()
        if max_records == 0:
            # Only a partition assigned within this very call: it was not paused yet.
            for partition, records in polled.items():
                self._consumer.seek(partition, records[0].offset)
            return []
        return [
            Record(
                partition=partition.partition,
                number=record.offset,
                key=record.key,
                value=record.value,
                headers=record.headers,
                timestamp_seconds=_seconds(record.timestamp),
                fault=record.fault,
                log=self._log(partition.partition),
            )
            for partition, records in polled.items()
            for record in records
        ]

    def take_events(self) -> list[Event]:
        """Return the changes since the last call, in order."""
        events = []
        while self._events:
            events.append(self._events.popleft())
            self._commits_fail_since = None  # what was to be committed may be another's now
        return events

    def commit(self, positions: Mapping[int, int]) -> bool:
        """Commit, for each partition, the next position to read.

        Returns:
            Whether Kafka acknowledged; if not, a rebalance is under way or Kafka is away for now.

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away, or acknowledges no commit for as long.
        """
        if self.rebalancing:
            self._commits_fail_since = None
            return False  # not answered before the join that waits on the same connection
        try:
            self._consumer.commit(self._offsets(positions), timeout_ms=_CALL_MS)
        except KafkaError as error:
            if meaning(error) is Meaning.REBALANCING:
                log.info("positions not committed, the group is rebalancing: %r", error)
                self._commits_fail_since = None
            else:
                self._bear(error, "committing")
                self._bear_failed_commit(error)
            return False
        self._commits_fail_since = None
        self._heard()
        return True

    def end(self, partition: int) -> int | None:
        """Return the position after the partition's last record, as far as it is known."""
        target = TopicPartition(self._topic, partition)
        if target not in self._consumer.assignment():
            return None
        end: int | None = self._consumer.highwater(target)
        return end

    def close(self, timeout_seconds: float) -> None:
        """Leave the group, so that the others take over at once."""
        try:
            self._consumer.close(autocommit=False, timeout_ms=timeout_seconds * 1000)
        except KafkaError as error:
            log.warning("could not leave the group: %r; it will time out", error)

    def _log(self, partition: int) -> str:
        # A topic that is made anew has another id: its positions begin at 0 again.
        topic_id = self._consumer._cluster.topic_id(self._topic)
        if topic_id is not None and topic_id.int != 0:
            self._topic_id = topic_id
        return f"{self._topic_id}/{partition}" if self._topic_id is not None else ""

    def _offsets(self, positions: Mapping[int, int]) -> dict[Any, Any]:
        return {
            TopicPartition(self._topic, partition): OffsetAndMetadata(number, "", -1)
            for partition, number in positions.items()
        }

    def _patience_ms(self, max_records: int) -> int:
        # kafka-python 3.0.12 completes a rebalance only while a poll waits for it. When the answer
        # comes between two polls, and the rebalance was begun for changed metadata, nobody looks
        # at it any more: the member stays "rebalancing", without heartbeats, for ever.
        coordinator = self._consumer._coordinator
        rebalancing = self.rebalancing
        if rebalancing and not coordinator.need_rejoin():
            coordinator.request_rejoin()  # awaits the attempt under way, or begins another
        if rebalancing or coordinator.need_rejoin():
            return _JOIN_MS
        return _IDLE_MS if max_records else 0

    def _pause(self, wanted: bool) -> None:
        assigned = self._consumer.assignment()
        if wanted:
            # Newly assigned partitions come unpaused.
            self._consumer.pause(*(assigned - self._consumer.paused()))
        elif self._paused:
            self._consumer.resume(*self._consumer.paused())
        self._paused = wanted

    def _unpark(self) -> None:
        # kafka-python 3.0.12 keeps what it has fetched of a paused partition, and brings it back
        # only while `_next_partition_records` is None. But a batch that is used up stays there: so
        # a partition that waits while another one comes would never be read again.
        fetcher = self._consumer._fetcher
        if not fetcher._next_partition_records:
            fetcher._next_partition_records = None

    def _ask_when_silent(self) -> None:
        # poll() itself never says that the brokers are gone.
        now = self._clock()
        if now - self._silent_since < _SILENCE_SECONDS or now - self._asked_at < _ASK_SECONDS:
            return
        self._asked_at = now
        # Any partition will do, so a worker that owns none asks too.
        asked = next(iter(self._consumer.assignment()), TopicPartition(self._topic, 0))
        try:
            if self.rebalancing:
                # The coordinator's connection is silent until the last member has joined, for as
                # long as that one may hang; the other brokers' connections are not.
                self._consumer.end_offsets([asked], timeout_ms=_CALL_MS)
            else:
                self._consumer.committed(asked, timeout_ms=_CALL_MS)
        except KafkaError as error:
            self._bear(error, "asking whether it is there")
        else:
            self._heard()
            self._hearing.over()

    def _heard(self) -> None:
        self._silent_since = self._clock()

    def _bear(self, error: KafkaError, doing: str) -> None:
        """Go on after an error that says that Kafka is away, for as long as that is allowed.

        So after one that tells of trouble within a broker, which is one partition's often, and for
        2 s after a refusal that may pass.

        Raises:
            ConfigurationError: It refuses us.
            UnavailableError: It has been away for too long, or the client is broken.
        """
        found = meaning(error)
        if found is Meaning.REFUSED:
            if not self._hearing.pending:
                log.warning("Kafka refuses us, %s: %r; asking again", doing, error)
            if not self._hearing.counts(may_pass=may_pass(error)):
                return
        if found is not Meaning.AWAY and not within_broker(error):
            what = f"{doing}, which needs READ on the topic {self._topic!r} and on the group"
            raise failed(error, self._settings, what) from error
        if (more := self._log_limit.due(doing)) is not None:
            log.warning("Kafka failed, %s: %r; trying again%s", doing, error, more)
        silent_seconds = self._clock() - self._silent_since
        if silent_seconds >= _SILENCE_SECONDS and (refusal := find_refusal(self._settings)):
            raise refusal from error  # it is there, and has let us in before
        if silent_seconds > self._patience_seconds:
            raise UnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} has not answered for "
                f"{silent_seconds:.0f} s: {error!r}"
            ) from error

    def _bear_failed_commit(self, error: KafkaError) -> None:
        """Go on without the commit for a while, even where Kafka answers all else.

        Raises:
            UnavailableError: Commits have failed for too long.
        """
        now = self._clock()
        if self._commits_fail_since is None:
            self._commits_fail_since = now
        failing_seconds = now - self._commits_fail_since
        if failing_seconds > self._patience_seconds:
            raise UnavailableError(
                f"Kafka at {self._settings.bootstrap_servers} has acknowledged no commit for "
                f"{failing_seconds:.0f} s: {error!r}; what is done would be done again after a "
                f"restart; look at the broker that coordinates the group {self._settings.group!r}"
            ) from error

    @property
    def _patience_seconds(self) -> float:
        return max(self._settings.kafka_timeout_seconds, _SILENCE_SECONDS)
