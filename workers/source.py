"""Frames out of Kafka: one consumer of a group, polled by one thread.

Library: kafka-python 3. Its network runs in a thread of its own, so heartbeats go on whatever the
polling thread does, and listeners are called there, while the polling thread waits in ``poll``.
"""

import enum
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    RetriableError,
    UnknownMemberIdError,
)
from kafka.future import Future
from kafka.structs import MemberState

from contract.errors import ConfigurationError, UnavailableError
from workers.records import Record

log = logging.getLogger(__name__)

_CALL_MS = 5_000
"""Longest single call that blocks the loop."""

_JOIN_MS = 1_000
"""How long a poll waits for a rebalance to complete. Waiting is a must: when the answer to a join
comes between two polls, kafka-python throws it away and joins again, which delays the whole group;
until then it delivers no records anyway."""

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
    """They went to another worker, after what was done here had been committed."""
    LOST = "lost"
    """The group has given them away already: nothing may be committed."""


class Event(NamedTuple):
    """A change of the partitions that this worker owns."""

    change: Change
    partitions: frozenset[int]


HandOver = Callable[[frozenset[int]], Mapping[int, int]]
"""Finishes what is in flight of partitions that go to another worker, within a bound, and returns
what may be committed of them. Called in a thread of its own."""


class _Listener(AsyncConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python has no types
    """Called on kafka-python's own event loop, which must not be blocked: it sends heartbeats."""

    def __init__(
        self,
        note: Callable[[Change, Collection[Any]], None],
        hand_over: Callable[[Collection[Any], Future], None],
    ) -> None:
        self._note = note
        self._hand_over = hand_over

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        self._note(Change.ASSIGNED, assigned)

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        # The group waits for this worker to join again, and it joins when this returns.
        done = Future()
        threading.Thread(
            target=self._hand_over, args=(revoked, done), name="hand-over", daemon=True
        ).start()
        await done
        self._note(Change.REVOKED, revoked)

    async def on_partitions_lost(self, lost: Collection[Any]) -> None:
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

    def subscribe(self, hand_over: HandOver) -> None:
        """Ask for partitions; ``poll`` joins the group.

        Args:
            hand_over: Called when partitions go to another worker.
        """

        def hand_over_and_commit(partitions: Collection[Any], done: Future) -> None:
            ready = hand_over(frozenset(p.partition for p in partitions))
            # On the same connection before the join, so it comes first.
            commit = self._consumer.commit_async(self._offsets(ready))
            # Completed on the event loop, which the result wakes up.
            commit.add_both(lambda _: done.success(None))

        self._consumer.subscribe(
            [self._topic], listener=_Listener(self._note, hand_over_and_commit)
        )

    @property
    def joined(self) -> bool:
        """Whether the worker is a member of the group, with or without partitions."""
        return bool(self._consumer.group_metadata().generation_id >= 0)

    def poll(self, max_records: int) -> list[Record]:
        """Return records that have arrived, at most ``max_records``.

        It waits neither for records nor, with ``max_records`` 0, takes any (partitions are paused
        and polling only keeps the membership); during a rebalance it waits a while for its end.

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away.
        """
        self._pause(max_records == 0)
        try:
            stable = self._consumer.group_metadata().state == MemberState.STABLE
            polled = self._consumer.poll(0 if stable else _JOIN_MS, max(1, max_records))
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
        try:
            self._consumer.commit(self._offsets(positions), timeout_ms=_CALL_MS)
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

    def _offsets(self, positions: Mapping[int, int]) -> dict[Any, Any]:
        return {
            TopicPartition(self._topic, partition): OffsetAndMetadata(number, "", -1)
            for partition, number in positions.items()
        }

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
