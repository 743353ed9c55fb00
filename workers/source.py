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
from kafka.errors import (
    AuthorizationError,
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    RetriableError,
    UnknownMemberIdError,
)
from kafka.structs import MemberState

from contract.errors import ConfigurationError, UnavailableError
from workers.rebalance import Event, HandOver, RebalanceListener
from workers.records import Record

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

_NOT_OURS = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


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
        listener = RebalanceListener(
            self._events.append,
            hand_over,
            lambda positions: self._consumer.commit_async(self._offsets(positions)),
        )
        self._consumer.subscribe([self._topic], listener=listener)

    @property
    def joined(self) -> bool:
        """Whether the worker is a member of the group, with or without partitions."""
        return bool(self._consumer.group_metadata().generation_id >= 0)

    def poll(self, max_records: int) -> list[Record]:
        """Return records that have arrived, at most ``max_records``.

        It waits 50 ms for the first one. With ``max_records`` 0 it does not wait: the partitions
        are paused, and polling only keeps the membership. In a rebalance it waits up to a second.

        Raises:
            ConfigurationError: Kafka refuses access.
            UnavailableError: Kafka stays away.
        """
        self._pause(max_records == 0)
        try:
            polled = self._consumer.poll(self._patience_ms(max_records), max(1, max_records))
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
                timestamp_seconds=record.timestamp / 1000 if record.timestamp > 0 else None,
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

    def _patience_ms(self, max_records: int) -> int:
        # kafka-python 3.0.12 completes a rebalance only while a poll waits for it. When the answer
        # comes between two polls, and the rebalance was begun for changed metadata, nobody looks
        # at it any more: the member stays "rebalancing", without heartbeats, for ever.
        coordinator = self._consumer._coordinator
        rebalancing = self._consumer.group_metadata().state != MemberState.STABLE
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

    def _ask_when_silent(self) -> None:
        # poll() itself never says that the brokers are gone.
        now = self._clock()
        if now - self._silent_since < _SILENCE_SECONDS or now - self._asked_at < _ASK_SECONDS:
            return
        self._asked_at = now
        # Any partition will do, so a worker that owns none asks too.
        asked = next(iter(self._consumer.assignment()), TopicPartition(self._topic, 0))
        try:
            self._consumer.committed(asked, timeout_ms=_CALL_MS)
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
