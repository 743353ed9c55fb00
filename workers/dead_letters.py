"""Invalid records into the dead-letter topic, unchanged, with headers that say why.

Library: kafka-python.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, Protocol

from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from contract.errors import InvalidMessageError, UnavailableError
from contract.frame import Header
from contract.kafka import (
    DEAD_DETAIL_HEADER,
    DEAD_PARTITION_HEADER,
    DEAD_POSITION_HEADER,
    DEAD_REASON_HEADER,
    DEAD_TOPIC_HEADER,
)
from workers.records import Position, Record

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 64
"""Dead letters that wait for Kafka's acknowledgement before the loop stops taking records."""

_MAX_DETAIL_CHARACTERS = 500
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class Producer(Protocol):
    """What is used of ``kafka.KafkaProducer``."""

    def send(self, topic: str, **record: Any) -> Any:
        """Queue a record; the future's ``get(timeout)`` waits for the acknowledgement."""
        ...

    def close(self, timeout: float | None = None) -> None:
        """Close the connections."""
        ...


class _Letter(NamedTuple):
    record: Record
    reason: str
    detail: str
    position: Position


def dead_headers(record: Record, topic: str, reason: str, detail: str) -> list[Header]:
    """Return the headers of a dead letter: the record's own, then why and where from.

    Kafka knows headers without a value, which its client reads (as None) but does not write: they
    become empty.
    """
    return [
        *((name, value or b"") for name, value in record.headers),
        (DEAD_REASON_HEADER, reason.encode()),
        (DEAD_DETAIL_HEADER, detail[:_MAX_DETAIL_CHARACTERS].encode()),
        (DEAD_TOPIC_HEADER, topic.encode()),
        (DEAD_PARTITION_HEADER, str(record.partition).encode()),
        (DEAD_POSITION_HEADER, str(record.number).encode()),
    ]


class DeadLetters:
    """Writes dead letters in a thread of its own, since Kafka's ``send`` may block.

    Args:
        producer: Kafka producer, with acknowledgement by all replicas.
        topic: Dead-letter topic.
        source_topic: Topic that the records came from.
        timeout_seconds: How long one may take before giving up, in seconds.
        on_done: Called in the thread when Kafka has acknowledged: the position may be committed.
    """

    def __init__(
        self,
        producer: Producer,
        *,
        topic: str,
        source_topic: str,
        timeout_seconds: float,
        on_done: Callable[[Position, str], None],
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._source_topic = source_topic
        self._timeout_seconds = timeout_seconds
        self._on_done = on_done
        self._letters: queue.SimpleQueue[_Letter | None] = queue.SimpleQueue()
        self._in_flight = 0
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="dead-letters")
        self._run_future: Future[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._run_future = self._executor.submit(self._run)

    @property
    def full(self) -> bool:
        """Whether the caller should take no further records for now."""
        with self._lock:
            return self._in_flight >= MAX_IN_FLIGHT

    def put(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        """Queue an invalid record; never blocks."""
        log.warning(
            "dead letter from %s/%d at %d: %s: %s",
            self._source_topic, record.partition, record.number, error.reason, error,
        )  # fmt: skip
        with self._lock:
            self._in_flight += 1
        self._letters.put(_Letter(record, error.reason, str(error), position))

    def check(self) -> None:
        """Raise what ended the thread.

        Raises:
            UnavailableError: Kafka did not take a dead letter in time.
        """
        if self._run_future is not None and self._run_future.done():
            self._run_future.result()

    def stop(self, timeout_seconds: float) -> None:
        """Write what is queued within the bound, then close the producer."""
        self._letters.put(None)
        if self._run_future is not None:
            wait([self._run_future], timeout=timeout_seconds)
        self._executor.shutdown(wait=False, cancel_futures=True)
        # All is acknowledged, or its time is over: 0 breaks off, and so ends the thread.
        with contextlib.suppress(KafkaError):
            self._producer.close(timeout=0)

    def _run(self) -> None:
        while True:
            letters, ended = self._queued()
            sent = [(letter, self._send(letter)) for letter in letters]
            for letter, future in sent:
                self._acknowledged(letter, future)
                with self._lock:
                    self._in_flight -= 1
                self._on_done(letter.position, letter.reason)
            if ended:
                return

    def _queued(self) -> tuple[list[_Letter], bool]:
        """Wait for a letter; return all that are queued, and whether the end was asked for."""
        waiting: list[_Letter | None] = [self._letters.get()]
        while not self._letters.empty() and len(waiting) < MAX_IN_FLIGHT:
            waiting.append(self._letters.get())
        return [letter for letter in waiting if letter is not None], None in waiting

    def _send(self, letter: _Letter, *, with_value: bool = True) -> Any:
        record, detail = letter.record, letter.detail
        if not with_value:
            size = len(record.value or b"")
            detail = f"value of {size} bytes left out, too large for {self._topic}; {detail}"
        try:
            value = record.value if with_value else None
            if value is None and record.key is None:
                value = b""  # Kafka's client refuses a record with neither
            return self._producer.send(
                self._topic,
                key=record.key,
                value=value,
                headers=dead_headers(record, self._source_topic, letter.reason, detail),
            )
        except _TOO_LARGE as error:
            if with_value:
                return self._send(letter, with_value=False)
            raise self._unavailable(error) from error
        except KafkaError as error:
            raise self._unavailable(error) from error

    def _acknowledged(self, letter: _Letter, future: Any) -> None:
        try:
            try:
                future.get(timeout=self._timeout_seconds)
            except _TOO_LARGE:
                without = self._send(letter, with_value=False)
                without.get(timeout=self._timeout_seconds)
        except KafkaError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: KafkaError) -> UnavailableError:
        return UnavailableError(
            f"Kafka did not take a dead letter for {self._topic} within "
            f"{self._timeout_seconds:g} s: {error!r}; does the topic exist and may this worker "
            "write to it?"
        )
