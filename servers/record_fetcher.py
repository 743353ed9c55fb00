"""kafka-python's fetcher, which goes past what cannot be read instead of raising for ever.

Library: kafka-python 3, of whose ``Fetcher`` (3.0.12) two methods are replaced.
"""

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.consumer.fetcher import CompletedFetch, Fetcher
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords

from contract.log_limit import LogLimit
from servers.record_batches import Batch, FetchedRecord, read_batch, split, unreadable

STARVED_SECONDS = 10.0
"""How long a broker may give nothing where it has records, as it does for a moment when other
partitions fill its answers, before the first of them counts as unreadable."""

STARVED_ANSWERS = 5
"""How often it must do so. A worker that is busy asks seldom: two answers may lie a minute apart,
and both be full of other partitions."""

FAILING_SECONDS = 120.0
"""How long a broker may fail at a position without saying why, when it fails at all of several
partitions that it is asked for: then the broker is at fault, more likely than the record."""


MOST_FAILING = 3
"""At how many positions of a partition, without a record between them, a broker may fail without
saying why. Then the partition is broken and not its records: it waits, and its lag shows."""

log = logging.getLogger(__name__)


def reading_past_faults(**options: Any) -> KafkaConsumer:
    """Return a consumer that gives a ``FetchedRecord`` for every position, readable or not.

    Args:
        options: Those of ``KafkaConsumer``, without topics and deserializers.
    """
    consumer = KafkaConsumer(**options)
    consumer._fetcher = RecordFetcher(consumer._client, consumer._subscription, **consumer.config)
    return consumer


class RecordFetcher(Fetcher):  # type: ignore[misc]  # no types there
    """Fetches what ``servers.record_batches`` reads.

    What looks damaged is fetched once more before it counts as unreadable: what the network or this
    machine did to it is then undone. So is a position where a broker gives nothing although it has
    something there, for as long as `STARVED_SECONDS`.
    """

    def __init__(
        self, *arguments: Any, clock: Callable[[], float] = time.monotonic, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._damaged = _Suspects(clock)
        self._starved = _Suspects(clock)  # on the network's thread
        self._stable: dict[TopicPartition, int] = {}
        self._whole_broker: dict[TopicPartition, bool] = {}
        self._failed_at: dict[TopicPartition, set[int]] = {}
        self._warnings = LogLimit(clock=clock)

    def _handle_fetch_response(
        self, node_id: int, positions: dict[TopicPartition, int], send_time: float, response: Any
    ) -> None:
        answers = {
            TopicPartition(topic.topic, answer.partition_index): answer
            for topic in response.responses
            for answer in topic.partitions
        }
        failing = {
            partition
            for partition, answer in answers.items()
            if answer.error_code == errors.UnknownError.errno
        }
        several = len(positions) > 1  # of one alone nobody can tell
        self._whole_broker |= dict.fromkeys(failing, several and failing >= positions.keys())
        super()._handle_fetch_response(node_id, positions, send_time, response)
        could_give = self._could_give_more(response)
        for partition, position in positions.items():
            answer = answers.get(partition)  # within a session only what has changed is answered
            if answer is not None and answer.error_code == errors.NoError.errno:
                self._stable[partition] = min(answer.high_watermark, answer.last_stable_offset)
            nothing = answer is None or (not answer.records and not answer.error_code)
            if not nothing or position >= self._stable.get(partition, -1):
                self._starved.clear(partition)
            elif could_give and self._starved.again(
                partition, position, STARVED_SECONDS, STARVED_ANSWERS
            ):
                self._completed_fetches.append(_unreadable_answer(partition, position))

    def _could_give_more(self, response: Any) -> bool:
        """Return whether a partition without records is none for lack of room, or of quota."""
        if response.error_code or response.throttle_time_ms:
            return False
        given = sum(
            len(answer.records or b"")
            for topic in response.responses
            for answer in topic.partitions
        )
        room = self.config["fetch_max_bytes"] - given
        return bool(not given or room >= self.config["max_partition_fetch_bytes"])

    def _parse_fetched_data(self, completed_fetch: Any) -> Any:
        fetched = completed_fetch.partition_data
        partition, position = completed_fetch.topic_partition, completed_fetch.fetched_offset
        self.PartitionRecords = partial(
            _PartitionRecords, damaged=self._damaged, highwater=fetched.high_watermark
        )
        patience = 0.0
        try:
            read = super()._parse_fetched_data(completed_fetch)
            if fetched.records:
                self._failed_at.pop(partition, None)
            return read
        except (errors.CorruptRecordError, errors.InvalidRecordError) as error:
            why = f"the broker cannot read its log there: {error.message}"
        except errors.UnknownError as error:
            # Whatever went wrong within the broker, perhaps for a moment.
            why = f"the broker fails there: {error.message}"
            at_all = self._whole_broker.get(partition, False)
            patience = FAILING_SECONDS if at_all else STARVED_SECONDS
            if not self._one_record(partition, position):
                patience = math.inf
        except errors.KafkaError as error:
            if fetched.error_code != errors.NoError.errno:
                raise
            why = f"no whole batch came: {error}"  # which brokers never do since KIP-74
        if not self._subscriptions.is_fetchable(partition):
            return None
        lost: list[FetchedRecord] = []
        if self._damaged.again(partition, position, patience):
            lost = list(unreadable(fetched.records or b"", why, position, position + 1))
        return self.PartitionRecords(
            position,
            partition,
            MemoryRecords(b""),
            lost=lost,
            on_drain=self._on_partition_records_drain,
        )

    def _one_record(self, partition: TopicPartition, position: int) -> bool:
        """Note that a broker fails there; return whether it may be the record's fault."""
        failed_at = self._failed_at.setdefault(partition, set())
        one_record = position in failed_at or len(failed_at) < MOST_FAILING
        if one_record:
            failed_at.add(position)
        more = self._warnings.due(f"{partition.topic}/{partition.partition}")
        if more is not None:
            log.warning(
                "the broker fails at %s/%d from position %d on, without saying why: %s; the other "
                "partitions go on%s",
                partition.topic, partition.partition, position,
                "the record is given up if that lasts" if one_record else
                "it is asked again until it does not; see its log, and move the partition to "
                "another broker",
                more,
            )  # fmt: skip
        return one_record


class _Suspects:
    """Where something was wrong last, for each partition.

    Args:
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[TopicPartition, tuple[int, float, int]] = {}

    def again(
        self, partition: TopicPartition, position: int, seconds: float = 0.0, times: int = 1
    ) -> bool:
        """Note a position; return whether it was noted ``times`` before, and first so long ago."""
        now = self._clock()
        before, since, count = self._seen.get(partition, (-1, now, 0))
        if before != position:
            since, count = now, 0
        self._seen[partition] = (position, since, count + 1)
        return count >= times and now - since >= seconds

    def clear(self, partition: TopicPartition) -> None:
        """Forget what was noted."""
        self._seen.pop(partition, None)


def _unreadable_answer(partition: TopicPartition, position: int) -> CompletedFetch:
    """Return what a broker answers that knows that it cannot read its log."""
    answer = SimpleNamespace(
        error_code=errors.CorruptRecordError.errno, high_watermark=-1, records=b""
    )
    return CompletedFetch(partition, position, 0, answer, None)


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # no types there
    """Records of one partition of one response.

    Args:
        damaged: Where damage was seen before.
        highwater: Position after the last record that the broker gives to consumers.
        lost: What to give instead of what cannot be read.
    """

    fetch_offset: int
    next_fetch_offset: int

    def __init__(
        self,
        position: int,
        partition: TopicPartition,
        records: MemoryRecords,
        *,
        damaged: _Suspects,
        highwater: int,
        lost: Sequence[FetchedRecord] = (),
        **options: Any,
    ) -> None:
        super().__init__(position, partition, records, **options)
        self._damaged = damaged
        self._highwater = highwater
        self._lost = lost

    def _unpack_records(
        self, partition: TopicPartition, records: MemoryRecords, *_: object
    ) -> Iterator[FetchedRecord]:
        yield from map(self._counted, self._lost)
        data = records._buffer
        batches = list(split(data))
        for batch, following in itertools.zip_longest(batches, batches[1:]):
            position = self.next_fetch_offset
            misplaced = self._misplaced(batch, following)
            damage = misplaced or batch.damage
            if not misplaced:
                position = max(position, batch.base)
            if damage and not self._damaged.again(partition, position):
                break
            end = _end_of_damaged(batch, following, position) if damage else batch.end
            if damage or not self._invisible(batch):
                yield from map(self._counted, read_batch(batch, position, end, damage))
            self.next_fetch_offset = max(self.next_fetch_offset, end)
        else:
            position = self.fetch_offset
            if (
                data
                and self.next_fetch_offset == position
                and self._damaged.again(partition, position)
            ):
                why = "its length leads nowhere"
                yield from map(self._counted, unreadable(data, why, position, position + 1))
        self.drain()

    def _misplaced(self, batch: Batch, following: Batch | None) -> str:
        """Return why a batch cannot lie where its head says, which no checksum covers."""
        if following is not None and following.base <= batch.base:
            return f"it says position {batch.base}, the next one {following.base}"
        if self.next_fetch_offset < self._highwater <= batch.base:
            return f"it says position {batch.base}, the last one is {self._highwater - 1}"
        return ""

    def _counted(self, record: FetchedRecord) -> FetchedRecord:
        self.records_read += 1
        self.bytes_read += len(record.value or b"")
        self.next_fetch_offset = record.offset + 1
        return record

    def _invisible(self, batch: Batch) -> bool:
        """Return whether a batch is a transaction's marker, or was aborted with its transaction."""
        self.leader_epoch = batch.leader_epoch
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.producer_id >= 0:
            self._consume_aborted_transactions_up_to(batch.end - 1)
            if batch.aborts:
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return batch.is_control


def _end_of_damaged(batch: Batch, following: Batch | None, position: int) -> int:
    """Return the position after a batch whose head may be wrong: past one at least, no good one."""
    if following is not None and following.base > position:
        return following.base
    return batch.end if batch.consistent else position + 1
