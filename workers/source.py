"""Frames out of Kafka: one consumer of a group, polled by one thread.

Library: kafka-python 3. Its network runs in a thread of its own, so heartbeats go on whatever the
polling thread does; listeners are called in that network thread and only leave a note here.
"""

import enum
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    RetriableError,
    UnknownMemberIdError,
)

from contract.errors import ConfigurationError, UnavailableError
from workers.records import Record

log = logging.getLogger(__name__)

_CALL_MS = 5_000
"""Longest single call that blocks the loop."""

_SILENCE_SECONDS = 10.0
"""After this long without a word from Kafka, it is asked whether it is there."""

_NOT_OURS = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class Change(enum.Enum):
    """What happened to partitions."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    """They go to another worker, which waits until this one polls again: commit now or never."""
    LOST = "lost"
    """The group has given them away already: nothing may be committed."""


class Event(NamedTuple):
    """A change of the partitions that this worker owns."""

    change: Change
    partitions: frozenset[int]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python ships no types
    def __init__(self, note: Callable[[Change, Collection[Any]], None]) -> None:
        self._note = note

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self._note(Change.ASSIGNED, assigned)

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        self._note(Change.REVOKED, revoked)

    def on_partitions_lost(self, lost: Collection[Any]) -> None:
        self._note(Change.LOST, lost)


class KafkaSource:
    """One member of the consumer group.

    Args:
        consumer: An unsubscribed consumer, without automatic commits.
        topic: Topic of the frames.
        timeout_seconds: How long Kafka may stay away before giving up, in seconds.
        where: The brokers, for messages.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        consumer: KafkaConsumer,
        *,
        topic: str,
        timeout_seconds: float,
        where: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer = consumer
        self._topic = topic
        self._timeout_seconds = timeout_seconds
        self._where = where
        self._clock = clock
        self._events: deque[Event] = deque()
        self._paused = False
        self._silent_since = clock()
        self._asked_at = clock()
        consumer.subscribe([topic], listener=_Listener(self._note))

    @property
    def joined(self) -> bool:
        """Whether the worker is a member of the group, with or without partitions."""
        return bool(self._consumer.group_metadata().generation_id >= 0)

    def poll(self, max_records: int) -> list[Record]:
        """Return records that have arrived, at most ``max_records``; does not wait for them.

        With ``max_records`` 0 the partitions are paused, and polling only keeps the membership. One
        call does at most one step of a rebalance: after a revocation the group waits for the next
        call, so what is in flight can be committed in between (see ``take_events``).

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away.
        """
        self._pause(max_records == 0)
        try:
            polled = self._consumer.poll(timeout_ms=0, max_records=max(1, max_records))
        except RetriableError as error:
            self._not_heard(error)
            return []
        except KafkaError as error:
            raise self._fatal("poll", error) from error
        if polled:
            self._heard()
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
                timestamp_seconds=record.timestamp / 1000,
            )
            for partition, records in polled.items()
            for record in records
        ]

    def take_events(self) -> list[Event]:
        """Return the changes since the last call, in order."""
        events = []
        while self._events:
            events.append(self._events.popleft())
        return events

    def commit(self, positions: Mapping[int, int]) -> bool:
        """Commit, for each partition, the next position to read.

        Returns:
            Whether Kafka acknowledged; if not, a rebalance is under way or Kafka is away for now.

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away.
        """
        offsets = {
            TopicPartition(self._topic, partition): OffsetAndMetadata(number, "", -1)
            for partition, number in positions.items()
        }
        try:
            self._consumer.commit(offsets, timeout_ms=_CALL_MS)
        except _NOT_OURS as error:
            log.info("positions not committed, the group is changing: %r", error)
            return False
        except RetriableError as error:
            self._not_heard(error)
            return False
        except KafkaError as error:
            raise self._fatal("commit", error) from error
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
            log.warning("could not leave the group: %r; it will notice by itself", error)

    def _note(self, change: Change, partitions: Collection[Any]) -> None:
        self._events.append(Event(change, frozenset(p.partition for p in partitions)))

    def _pause(self, wanted: bool) -> None:
        assigned = self._consumer.assignment()
        if wanted:
            # Newly assigned partitions come unpaused.
            self._consumer.pause(*(assigned - self._consumer.paused()))
        elif self._paused:
            self._consumer.resume(*self._consumer.paused())
        self._paused = wanted

    def _ask_when_silent(self) -> None:
        # poll() itself never says that the brokers are gone.
        now = self._clock()
        assigned = self._consumer.assignment()
        quiet_since = max(self._silent_since, self._asked_at)
        if not assigned or now - quiet_since < _SILENCE_SECONDS:
            return
        self._asked_at = now
        try:
            self._consumer.committed(next(iter(assigned)), timeout_ms=_CALL_MS)
        except RetriableError as error:
            self._not_heard(error)
        except KafkaError as error:
            raise self._fatal("answer", error) from error
        else:
            self._heard()

    def _heard(self) -> None:
        self._silent_since = self._clock()

    def _not_heard(self, error: KafkaError) -> None:
        silent_seconds = self._clock() - self._silent_since
        if silent_seconds > max(self._timeout_seconds, _SILENCE_SECONDS):
            raise UnavailableError(
                f"Kafka at {self._where} has not answered for {silent_seconds:.0f} s: {error!r}"
            ) from error

    def _fatal(self, what: str, error: KafkaError) -> Exception:
        if isinstance(error, AuthorizationError):
            return ConfigurationError(
                f"Kafka at {self._where} does not let this worker {what}: {error!r}; it needs "
                f"READ on the topic {self._topic!r} and on its consumer group"
            )
        return UnavailableError(f"Kafka at {self._where}: {what} failed: {error!r}")
