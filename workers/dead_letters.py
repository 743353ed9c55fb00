"""Invalid records into the dead-letter topic, unchanged, with headers that say why.

Library: kafka-python.
"""

import contextlib
import dataclasses
import logging
import math
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple, Protocol

from kafka import KafkaProducer

from contract.errors import InvalidMessageError, UnavailableError
from contract.frame import Header
from contract.log_limit import LogLimit
from contract.topics import (
    DEAD_DETAIL_HEADER,
    DEAD_PARTITION_HEADER,
    DEAD_POSITION_HEADER,
    DEAD_REASON_HEADER,
    DEAD_TOPIC_HEADER,
    MAX_RECORD_BYTES,
)
from servers.kafka import (
    REQUEST_SECONDS,
    STEP_SECONDS,
    TOO_LARGE,
    KafkaError,
    Meaning,
    failed,
    find_refusal,
    may_pass,
    meaning,
    open_client,
    within_broker,
)
from servers.partitioning import FrontOfKey
from servers.refusals import Hearing
from workers.records import Position, Record
from workers.settings import WorkerSettings

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 64
"""Dead letters that wait for Kafka's acknowledgement before the loop stops taking records."""

_MAX_DETAIL_CHARACTERS = 500
_PAUSE_SECONDS = 0.5
"""Before a letter is sent again that Kafka refused for what may pass."""

_ENVELOPE_BYTES = 64 * 1024
"""Room for key and headers beside the largest value."""

_WHOLE, _WITHOUT_VALUE, _WITHOUT_HEADERS, _WITHOUT_KEY = range(4)
"""What is left out of a record that Kafka does not take as it is, a step after the other."""


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


def open_producer(settings: WorkerSettings, timeout_seconds: float | None = None) -> KafkaProducer:
    """Return the producer of dead letters; Kafka has ``timeout_seconds`` to answer.

    Raises:
        ConfigurationError: Kafka refuses the credentials.
        UnavailableError: Kafka does not answer in time.
    """
    timeout_ms = math.ceil(settings.kafka_timeout_seconds * 1000)
    return open_client(
        KafkaProducer,
        settings,
        timeout_seconds=timeout_seconds,
        client_id=f"seedstream-worker-{socket.gethostname()}",
        allow_auto_create_topics=False,
        metrics_enabled=False,
        acks="all",
        # Not idempotent: a record that the broker finds too large ends an idempotent producer
        # of kafka-python for good. A dead letter may so come twice; its headers name
        # the record's position, by which readers know it.
        enable_idempotence=False,
        max_in_flight_requests_per_connection=1,
        linger_ms=5,
        partitioner=FrontOfKey(),
        max_request_size=max(settings.max_frame_bytes, MAX_RECORD_BYTES) + _ENVELOPE_BYTES,
        max_block_ms=math.ceil(STEP_SECONDS * 1000),
        request_timeout_ms=min(timeout_ms, math.ceil(REQUEST_SECONDS * 1000)),
        delivery_timeout_ms=timeout_ms + 1000,
    )


class DeadLetters:
    """Writes dead letters in a thread of its own, since Kafka's ``send`` may block.

    Args:
        producer: Kafka producer, with acknowledgement by all replicas.
        settings: Connection and topics; its bound is that of each letter.
        on_done: Called in the thread when Kafka has acknowledged: the position may be committed.
        clock: Monotonic clock, in seconds.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        producer: Producer,
        settings: WorkerSettings,
        on_done: Callable[[Position, str], None],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._producer = producer
        self._settings = settings
        self._topic = settings.dead_topic
        self._source_topic = settings.topic
        self._timeout_seconds = settings.kafka_timeout_seconds
        self._on_done = on_done
        self._letters: queue.SimpleQueue[_Letter | None] = queue.SimpleQueue()
        self._in_flight = 0
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="dead-letters")
        self._run_future: Future[None] | None = None
        self._warnings = LogLimit()
        self._hearing = Hearing(clock)
        self._clock, self._sleep = clock, sleep
        self._failing_since: float | None = None

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
        more = self._warnings.due(error.reason)
        if more is not None:
            log.warning(
                "dead letter from %s/%d at %d: %s: %s%s",
                self._source_topic, record.partition, record.number, error.reason, error, more,
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
        for reason, count in self._warnings.take_left_out().items():
            log.warning("%d more dead letters since the last line: %s", count, reason)
        if self._run_future is not None:
            wait([self._run_future], timeout=timeout_seconds)
        self._executor.shutdown(wait=False, cancel_futures=True)
        # All is acknowledged, or its time is over: 0 breaks off, and so ends the thread.
        with contextlib.suppress(KafkaError):
            self._producer.close(timeout=0)

    def _run(self) -> None:
        while True:
            letters, ended = self._queued()
            sent = [(letter, *self._send(letter)) for letter in letters]
            for letter, future, without in sent:
                self._acknowledged(letter, future, without)
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

    def _send(self, letter: _Letter, without: int = _WHOLE) -> tuple[Any, int]:
        """Give a letter to the client, with less of the record where it is too large for it.

        Returns:
            The future, and what was left out.
        """
        while True:
            try:
                return self._producer.send(self._topic, **self._parts(letter, without)), without
            except KafkaError as error:
                without = self._less(error, without)

    def _parts(self, letter: _Letter, without: int) -> dict[str, Any]:
        record, left_out = letter.record, []
        key, value = record.key, record.value
        if without >= _WITHOUT_VALUE:
            left_out.append(f"value of {len(value or b'')} bytes")
            value = None
        if without >= _WITHOUT_HEADERS:
            size = sum(len(name) + len(text or b"") for name, text in record.headers)
            left_out.append(f"{len(record.headers)} headers of {size} bytes")
            record = dataclasses.replace(record, headers=())
        if without >= _WITHOUT_KEY:
            left_out.append(f"key of {len(key or b'')} bytes")
            key = None
        if value is None and key is None:
            value = b""  # Kafka's client refuses a record with neither
        detail = letter.detail
        if left_out:
            detail = f"{', '.join(left_out)} left out, too large for {self._topic}; {detail}"
        headers = dead_headers(record, self._source_topic, letter.reason, detail)
        return {"key": key, "value": value, "headers": headers}

    def _acknowledged(self, letter: _Letter, future: Any, without: int) -> None:
        """Wait for the broker, which may know a lower limit than the client."""
        while True:
            try:
                future.get(timeout=self._timeout_seconds)
            except KafkaError as error:
                future, without = self._send(letter, self._less(error, without))
            else:
                self._hearing.over()
                self._failing_since = None
                return

    def _less(self, error: KafkaError, without: int) -> int:
        """Return what to leave out next: no more than before after a fault that may pass.

        Raises:
            ConfigurationError: Kafka refuses us.
            UnavailableError: It is not the record's fault, or there is nothing left to leave out.
        """
        if isinstance(error, TOO_LARGE) and without < _WITHOUT_KEY:
            return without + 1
        doing = (
            f"writing a dead letter to {self._topic!r} within {self._timeout_seconds:g} s (does "
            "the topic exist, and may this worker write to it?)"
        )
        if meaning(error) is Meaning.REFUSED:
            if not self._hearing.counts(may_pass=may_pass(error)):
                self._sleep(_PAUSE_SECONDS)
                return without
            raise failed(error, self._settings, doing) from error
        if within_broker(error) and self._failed_seconds() < self._timeout_seconds:
            self._sleep(_PAUSE_SECONDS)
            return without
        if (refusal := find_refusal(self._settings)) is not None:
            raise refusal from error
        where = self._settings.bootstrap_servers
        if within_broker(error):
            raise UnavailableError(
                f"Kafka at {where} has not taken a dead letter for {self._topic!r} for "
                f"{self._timeout_seconds:g} s and does not say why ({error!r}): see the log of the "
                "broker that leads it"
            ) from error
        raise UnavailableError(f"Kafka at {where} failed, {doing}: {error!r}") from error

    def _failed_seconds(self) -> float:
        """Return for how long letters have failed within the broker without one that was taken."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        return now - self._failing_since
