"""Kafka clients of the worker, and the bounded wait for Kafka at start.

Library: kafka-python 3.
"""

import math
import socket
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.errors import (
    AuthorizationError,
    KafkaConfigurationError,
    KafkaError,
    RetriableError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)

from contract.errors import ConfigurationError, UnavailableError
from contract.kafka import MAX_RECORD_BYTES
from workers.settings import WorkerSettings

Wait = Callable[[float], bool]
"""Waits at most so many seconds; returns whether the end of the process is requested."""

_STEP_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_REFUSED = (
    AuthorizationError,
    KafkaConfigurationError,
    SaslAuthenticationFailedError,
    UnsupportedSaslMechanismError,
)
_RECONNECT_MAX_MS = 2_000
"""kafka-python's own bound of 30 s would leave a worker away long after its broker is back."""

_ENVELOPE_BYTES = 64 * 1024
"""Room for key and headers beside the largest value."""


class KafkaClients:
    """Opens the worker's Kafka clients within one bound.

    Args:
        settings: Connection, group and sizes.
        wait: Waits between attempts; see ``Wait``.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self, settings: WorkerSettings, wait: Wait, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._wait = wait
        self._clock = clock
        self._give_up_at = clock() + settings.kafka_timeout_seconds

    def reach(self) -> bool:
        """Wait until a broker accepts connections; False when the end was requested meanwhile.

        Raises:
            UnavailableError: None did in time.
        """
        seen = "no server given"
        while not self._wait(0):
            for server in self._settings.servers:
                host, _, port = server.rpartition(":")
                try:
                    with socket.create_connection((host.strip("[]"), int(port)), _STEP_SECONDS):
                        return True
                except OSError as error:
                    seen = f"{server}: {error.strerror or error}"
            if self._clock() >= self._give_up_at:
                raise UnavailableError(
                    f"Kafka at {self._settings.bootstrap_servers} not reached within "
                    f"{self._settings.kafka_timeout_seconds:g} s: {seen}; is it running, and is "
                    "WORKER_BOOTSTRAP_SERVERS right?"
                )
            self._wait(_RETRY_SECONDS)
        return False

    def producer(self) -> KafkaProducer:
        """Return the producer of dead letters.

        Raises:
            ConfigurationError: Kafka refuses the credentials.
            UnavailableError: Kafka does not answer in time.
        """
        settings = self._settings
        largest = max(settings.max_frame_bytes, MAX_RECORD_BYTES) + _ENVELOPE_BYTES
        timeout_ms = math.ceil(settings.kafka_timeout_seconds * 1000)
        return self._open(
            KafkaProducer,
            acks="all",
            # Not idempotent: a record that the broker finds too large ends an idempotent producer
            # of kafka-python for good. A dead letter may so come twice.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            linger_ms=5,
            max_request_size=largest,
            max_block_ms=math.ceil(_STEP_SECONDS * 1000),
            request_timeout_ms=timeout_ms,
            delivery_timeout_ms=timeout_ms + 1000,
        )

    def consumer(self) -> KafkaConsumer:
        """Return the consumer of frames, not subscribed yet.

        Raises:
            ConfigurationError: Kafka refuses the credentials.
            UnavailableError: Kafka does not answer in time.
        """
        settings = self._settings
        session_ms = math.ceil(settings.session_timeout_seconds * 1000)
        consumer = self._open(
            KafkaConsumer,
            group_id=settings.group,
            enable_auto_commit=False,
            auto_offset_reset=settings.auto_offset_reset,
            isolation_level="read_committed",
            partition_assignment_strategy=[CooperativeStickyAssignor],
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(3000, session_ms // 3),
            max_poll_records=settings.max_poll_records,
            max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
            fetch_max_bytes=settings.fetch_max_bytes,
        )
        # A leader of the group that does not know the partitions yet assigns none, and again.
        consumer.partitions_for_topic(settings.topic)
        return consumer

    def check_topics(self, producer: KafkaProducer) -> bool:
        """Wait until both topics exist; False when the end was requested meanwhile.

        Raises:
            ConfigurationError: Kafka does not let this worker see them.
            UnavailableError: They do not exist in time.
        """
        for topic in (self._settings.topic, self._settings.dead_topic):
            while not self._exists(producer, topic):
                if self._clock() >= self._give_up_at:
                    raise UnavailableError(
                        f"Kafka at {self._settings.bootstrap_servers} has no topic {topic!r} after "
                        f"{self._settings.kafka_timeout_seconds:g} s; create it, or choose "
                        "another with WORKER_TOPIC and WORKER_DEAD_TOPIC"
                    )
                if self._wait(_RETRY_SECONDS):
                    return False
        return True

    def _exists(self, producer: KafkaProducer, topic: str) -> bool:
        try:
            return bool(producer.partitions_for(topic))
        except RetriableError:
            return False
        except KafkaError as error:
            raise self._failed(error) from error

    def _open(self, kind: Callable[..., Any], **options: object) -> Any:
        left_seconds = max(_STEP_SECONDS, self._give_up_at - self._clock())
        try:
            return kind(
                **self._settings.client_options(),
                client_id=f"seedstream-worker-{socket.gethostname()}",
                bootstrap_timeout_ms=math.ceil(left_seconds * 1000),
                reconnect_backoff_max_ms=_RECONNECT_MAX_MS,
                allow_auto_create_topics=False,
                metrics_enabled=False,
                **options,
            )
        except (KafkaError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> Exception:
        where = self._settings.bootstrap_servers
        if isinstance(error, _REFUSED) or not isinstance(error, KafkaError):
            return ConfigurationError(
                f"Kafka at {where} cannot be used as configured: {error!r}; check "
                "WORKER_SECURITY_PROTOCOL, the credentials, certificates and permissions"
            )
        return UnavailableError(
            f"Kafka at {where} not usable within {self._settings.kafka_timeout_seconds:g} s: "
            f"{error!r}"
        )
