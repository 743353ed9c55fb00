"""kafka-python's fetcher, which goes past what cannot be read instead of raising for ever.

Library: kafka-python 3, of whose ``Fetcher`` (3.0.12) two methods are replaced.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.consumer.fetcher import Fetcher
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords

from servers.record_batches import Batch, FetchedRecord, read_batch, split, unreadable

STARVED_SECONDS = 10.0
"""How long a broker may give nothing where it has records, as it does for a moment when other
partitions fill its answers, before the first of them counts as unreadable."""


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
        self._clock = clock
        self._suspects: dict[TopicPartition, tuple[int, float]] = {}

    def condemn(self, partition: TopicPartition, position: int, seconds: float = 0.0) -> bool:
        """Note that a position looks damaged; return whether it did before, so long ago."""
        now = self._clock()
        suspect, since = self._suspects.get(partition, (-1, now))
        if suspect != position:
            self._suspects[partition] = (position, now)
        return suspect == position and now - since >= seconds

    def _parse_fetched_data(self, completed_fetch: Any) -> Any:
        fetched = completed_fetch.partition_data
        self.PartitionRecords = partial(
            _PartitionRecords, condemn=self.condemn, highwater=fetched.high_watermark
        )
        partition, position = completed_fetch.topic_partition, completed_fetch.fetched_offset
        if not self._subscriptions.is_fetchable(partition):
            return super()._parse_fetched_data(completed_fetch)
        patience = 0.0
        try:
            parsed = super()._parse_fetched_data(completed_fetch)
            if fetched.error_code != errors.NoError.errno or not _starved(fetched, position):
                return parsed
            why, patience = "the broker gives nothing there", STARVED_SECONDS
        except errors.CorruptRecordError as error:
            why = f"the broker cannot read its log: {error}"
        except errors.KafkaError as error:
            if fetched.error_code != errors.NoError.errno:
                raise
            why = f"no whole batch came: {error}"  # which brokers never do since KIP-74
        if not self.condemn(partition, position, patience):
            return None
        return self.PartitionRecords(
            position,
            partition,
            MemoryRecords(b""),
            lost=list(unreadable(fetched.records or b"", why, position, position + 1)),
            on_drain=self._on_partition_records_drain,
        )


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # no types there
    """Records of one partition of one response.

    Args:
        condemn: See ``RecordFetcher.condemn``.
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
        condemn: Callable[[TopicPartition, int], bool],
        highwater: int,
        lost: Sequence[FetchedRecord] = (),
        **options: Any,
    ) -> None:
        super().__init__(position, partition, records, **options)
        self._condemn = condemn
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
            if damage and not self._condemn(partition, position):
                break
            end = _end_of_damaged(batch, following, position) if damage else batch.end
            if damage or not self._invisible(batch):
                yield from map(self._counted, read_batch(batch, position, end, damage))
            self.next_fetch_offset = max(self.next_fetch_offset, end)
        else:
            position = self.fetch_offset
            if data and self.next_fetch_offset == position and self._condemn(partition, position):
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


def _starved(fetched: Any, position: int) -> bool:
    """Return whether nothing came although the broker knows of something at a position."""
    ends = [end for end in (fetched.high_watermark, fetched.last_stable_offset) if end >= 0]
    return not fetched.records and bool(ends) and position < min(ends)


def _end_of_damaged(batch: Batch, following: Batch | None, position: int) -> int:
    """Return the position after a batch whose head may be wrong: past one at least, no good one."""
    if following is not None and following.base > position:
        return following.base
    return batch.end if batch.consistent else position + 1
