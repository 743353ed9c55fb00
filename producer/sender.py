"""The Kafka client behind a narrow interface.

Library: kafka-python 3.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Protocol

from kafka import KafkaProducer

from contract.errors import UnavailableError
from contract.frame import Header
from producer.placement import Placement
from producer.settings import ProducerSettings
from servers.kafka import (
    DENIED,
    TOO_LARGE,
    KafkaError,
    KafkaTimeoutError,
    Meaning,
    failed,
    heard_twice,
    meaning,
    open_client,
    refusal_within,
    watch_brokers,
    within_broker,
)

Failure = Literal["too_large", "timeout", "fatal", "failing", "refused"]
"""What a failed send means: the record is too large; Kafka did not acknowledge it in time; the
client will not recover and must be replaced; the same, for trouble within a broker that may be of
this record's partition alone; Kafka does not let us write."""

OnDone = Callable[[Failure | None, str], None]
"""Called once for each send, from the client's thread: None for success, and the error's text."""

_CONNECT_SLICE_SECONDS = 3.0
_METADATA_SECONDS = 2.0


class Sender(Protocol):
    """Sends records, in order for each session."""

    def send(
        self, key: bytes, value: bytes, headers: list[Header], session: str, on_done: OnDone
    ) -> bool:
        """Hand one record of a session over.

        Returns:
            False if the server is away and the record was not taken: offer it again later. It may
            block for some seconds to find that out.
        """
        ...

    @property
    def answered(self) -> bool:
        """Whether the server answers, as far as is known."""
        ...

    def close(self, timeout_seconds: float) -> None:
        """Let go of the connection; what is not acknowledged may be lost."""
        ...


class KafkaSender:
    """An idempotent producer that waits for all in-sync replicas.

    Frames are not compressed again, and each is a batch by itself.

    Args:
        settings: Connection, limits and timeouts.
        sleep: Waits so many seconds.
        placement: Tells each session's partition.

    Raises:
        ConfigurationError: A TLS file cannot be used, or Kafka refuses the credentials or rights.
        UnavailableError: No broker could be reached, or the topic could not be found, now.
    """

    def __init__(
        self,
        settings: ProducerSettings,
        sleep: Callable[[float], None] = time.sleep,
        placement: Placement | None = None,
    ) -> None:
        self._topic = settings.topic
        self._placement = placement or Placement()
        slice_seconds = min(_CONNECT_SLICE_SECONDS, settings.kafka_timeout_seconds)
        self._client = open_client(
            KafkaProducer, settings, timeout_seconds=slice_seconds, **client_options(settings)
        )
        try:
            heard_twice(partial(self._client.partitions_for, settings.topic), sleep)
        except KafkaError as error:
            self.close(0.0)
            doing = f"which needs the right to write to topic {settings.topic!r}"
            if meaning(error) is Meaning.REFUSED:
                raise failed(error, settings, doing) from error
            raise UnavailableError(
                f"Kafka at {settings.bootstrap_servers} answers, but has no topic "
                f"{settings.topic!r}: {error}; create it, or check PRODUCER_TOPIC and rights"
            ) from error
        self._answered = watch_brokers(self._client)

    @property
    def answered(self) -> bool:
        """Whether brokers answer; see ``servers.kafka.watch_brokers``."""
        return self._answered()

    def send(
        self, key: bytes, value: bytes, headers: list[Header], session: str, on_done: OnDone
    ) -> bool:
        """Hand one record over; see ``Sender.send``."""
        try:
            count = len(self._client.partitions_for(self._topic))
            future = self._client.send(
                self._topic,
                key=key,
                value=value,
                headers=headers,
                partition=self._placement.partition(key.decode(), session, count),
            )
        except KafkaError as error:
            if isinstance(error, KafkaTimeoutError):
                return False
            on_done(classify(error), str(error))
            return True
        future.add_callback(lambda _metadata: on_done(None, ""))
        future.add_errback(lambda error: on_done(classify(error), str(error)))
        return True

    def close(self, timeout_seconds: float) -> None:
        """Close the client within about ``timeout_seconds``."""
        try:
            self._client.close(timeout=timeout_seconds)
        except KafkaError:
            # close() flushes first and gives up when that takes too long; with nothing to
            # wait for it only tells its thread to end.
            self._client._sender.force_close()


def connect(
    settings: ProducerSettings,
    stopping: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    placement: Placement | None = None,
) -> KafkaSender | None:
    """Reach Kafka within ``kafka_timeout_seconds``.

    Args:
        settings: Connection and limits.
        stopping: Asked between tries; True ends them.
        clock: Monotonic clock.
        sleep: Waits so many seconds.
        placement: Tells each session's partition.

    Returns:
        The sender, or None if the process is asked to end first.

    Raises:
        ConfigurationError: Kafka cannot be used as configured; not tried again.
        UnavailableError: Kafka stayed away.
    """
    deadline = clock() + settings.kafka_timeout_seconds
    while not stopping():
        try:
            return KafkaSender(settings, sleep, placement)
        except UnavailableError:
            if clock() >= deadline:
                raise
        sleep(min(0.2, settings.kafka_timeout_seconds))
    return None


def client_options(settings: ProducerSettings) -> dict[str, Any]:
    """Return the keyword arguments of ``KafkaProducer``."""
    return {
        "client_id": "seedstream-producer",
        "enable_idempotence": True,
        "acks": "all",
        "compression_type": None,
        "batch_size": 0,
        "linger_ms": 0,
        "max_request_size": settings.max_record_bytes,
        "request_timeout_ms": round(settings.request_timeout_seconds * 1000),
        # Later than the publisher's own bound, which ends the process before a frame is lost here.
        "delivery_timeout_ms": round((settings.delivery_timeout_seconds + 5) * 1000),
        "max_block_ms": round(_METADATA_SECONDS * 1000),
    }


def classify(error: Exception) -> Failure:
    """Return what a failed send means for the publisher."""
    if isinstance(error, TOO_LARGE):
        return "too_large"
    if isinstance(error, DENIED) or isinstance(refusal_within(error), DENIED):
        return "refused"
    if within_broker(error):
        return "failing"
    # A connection that broke is tried again by the client itself until the delivery timeout; what
    # else fails within the client is cured by another one, or ends the process after some.
    away = isinstance(error, KafkaError) and meaning(error) is Meaning.AWAY
    return "timeout" if away else "fatal"
