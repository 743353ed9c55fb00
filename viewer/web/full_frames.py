"""Full-size frames, by the position in Kafka that a result tells.

Library: kafka-python.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable

from kafka import TopicPartition

from contract.errors import InvalidMessageError, UnavailableError
from contract.frame import Frame, decode_frame
from contract.result import Result
from contract.topics import MAX_RECORD_BYTES
from servers.kafka import KafkaConnection
from viewer.topic_reader import open_reader

_POLL_MS = 100
_MOST_WAITING = 8


class TooManyError(Exception):
    """So many wait for a full-size frame already that another one is refused."""


class FullFrames:
    """Reads frames one at a time: each may take 16 MB.

    Args:
        connection: Where Kafka is.
        topic: Topic of the frames.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._topic = topic
        self._clock = clock
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def frame(self, result: Result) -> Frame | None:
        """Return the frame of a result, None where Kafka has it no more.

        Raises:
            ConfigurationError: Kafka does not let us in, or not see the topic.
            UnavailableError: Kafka does not answer.
            TooManyError: Too many wait.
        """
        if result.position is None:
            return None
        if self._waiting >= _MOST_WAITING:
            raise TooManyError
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(self._read, result, *result.position)
        finally:
            self._waiting -= 1

    def _read(self, result: Result, partition: int, offset: int) -> Frame | None:
        give_up_at = self._clock() + self._connection.kafka_timeout_seconds
        where = TopicPartition(self._topic, partition)
        with open_reader(self._connection, self._topic, "the topic of the frames") as consumer:
            if partition not in consumer.partitions_for_topic(self._topic):
                return None
            consumer.assign([where])
            if consumer.beginning_offsets([where])[where] > offset:
                return None
            consumer.seek(where, offset)
            while self._clock() < give_up_at:
                batches = consumer.poll(timeout_ms=_POLL_MS, max_records=1)
                for record in (each for records in batches.values() for each in records):
                    if record.offset != offset or record.fault is not None:
                        return None
                    with contextlib.suppress(InvalidMessageError):
                        frame = decode_frame(
                            record.key, record.value, record.headers, max_bytes=MAX_RECORD_BYTES
                        )
                        if (frame.session, frame.sequence) == (result.session, result.sequence):
                            return frame
                    return None
        raise UnavailableError(f"Kafka sent no frame of {self._topic!r} in time")
