"""kafka-python's fetcher, which goes past what cannot be read instead of raising for ever.

Library: kafka-python 3, of whose ``Fetcher`` (3.0.12) two methods are replaced.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition, errors
from kafka.consumer.fetcher import Fetcher
from kafka.protocol.consumer import IsolationLevel
from kafka.record import MemoryRecords

from servers.record_batches import Batch, FetchedRecord, read_batch, split, unreadable


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
    machine did to it is then undone.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.PartitionRecords = self._read
        self._suspects: dict[TopicPartition, int] = {}

    def _read(self, position: int, partition: TopicPartition, records: Any, **options: Any) -> Any:
        return _PartitionRecords(position, partition, records, **options, condemn=self._condemn)

    def _condemn(self, partition: TopicPartition, position: int) -> bool:
        """Note that a position looks damaged, and return whether it did so before."""
        before = self._suspects.get(partition)
        self._suspects[partition] = position
        return before == position

    def _parse_fetched_data(self, completed_fetch: Any) -> Any:
        fetched = completed_fetch.partition_data
        try:
            return super()._parse_fetched_data(completed_fetch)
        except errors.CorruptRecordError as error:
            why = f"the broker cannot read its log: {error}"
        except errors.KafkaError as error:
            if fetched.error_code != errors.NoError.errno:
                raise
            why = f"no whole batch came: {error}"  # which brokers never do since KIP-74
        partition, position = completed_fetch.topic_partition, completed_fetch.fetched_offset
        if not self._subscriptions.is_fetchable(partition):
            return None
        nothing = MemoryRecords(b"")
        return _PartitionRecords(
            position,
            partition,
            nothing,
            condemn=self._condemn,
            raw=fetched.records or b"",
            why=why,
            on_drain=self._on_partition_records_drain,
        )


class _PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # no types there
    """Records of one partition of one response.

    Args:
        condemn: Told of what looks damaged; answers whether to go past it.
        raw: What came instead of whole batches.
        why: What is wrong with that.
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
        raw: bytes = b"",
        why: str = "",
        **options: Any,
    ) -> None:
        super().__init__(position, partition, records, **options)
        self._condemn = condemn
        self._raw = raw
        self._why = why

    def _unpack_records(
        self, partition: TopicPartition, records: MemoryRecords, *_: object
    ) -> Iterator[FetchedRecord]:
        batches = list(split(records._buffer))
        for batch, following in itertools.zip_longest(batches, batches[1:]):
            damage = batch.damage
            position = max(self.next_fetch_offset, batch.base)
            if damage and not self._condemn(partition, position):
                break
            end = _end_of_damaged(batch, following, position) if damage else batch.end
            if damage or not self._invisible(batch):
                for record in read_batch(batch, position, end, damage):
                    self._count(record)
                    yield record
            self.next_fetch_offset = max(self.next_fetch_offset, end)
        else:
            if self.next_fetch_offset == self.fetch_offset and (records._buffer or self._why):
                yield from self._go_past_one(partition, records._buffer)
        self.drain()

    def _go_past_one(self, partition: TopicPartition, raw: bytes) -> Iterator[FetchedRecord]:
        """Give up one position, where nothing says how long what lies there is."""
        position = self.fetch_offset
        if self._condemn(partition, position):
            why = self._why or "its length leads nowhere"
            for record in unreadable(raw or self._raw, why, position, position + 1):
                self._count(record)
                yield record

    def _count(self, record: FetchedRecord) -> None:
        self.records_read += 1
        self.bytes_read += len(record.value or b"")
        self.next_fetch_offset = record.offset + 1

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
