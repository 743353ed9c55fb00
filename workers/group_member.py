"""Opening a member of the consumer group. Library: kafka-python 3."""

import math
import socket
import time
from functools import partial

from kafka import KafkaConsumer
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor

from servers.kafka import KafkaError, failed, heard_twice, open_client
from servers.record_fetcher import reading_past_faults
from workers.settings import WorkerSettings

_HUNG_MS = 60_000
"""After this long without a poll, and the time to hand partitions over, a member counts as hung and
the group goes on without it; until then all the others wait for it in a rebalance."""


def open_consumer(settings: WorkerSettings, timeout_seconds: float | None = None) -> KafkaConsumer:
    """Return a member of the group, not subscribed yet; Kafka has ``timeout_seconds`` to answer.

    Raises:
        ConfigurationError: Kafka refuses the credentials.
        UnavailableError: Kafka does not answer in time.
    """
    session_ms = math.ceil(settings.session_timeout_seconds * 1000)
    consumer = open_client(
        reading_past_faults,
        settings,
        timeout_seconds=timeout_seconds,
        client_id=f"seedstream-worker-{socket.gethostname()}",
        allow_auto_create_topics=False,
        metrics_enabled=False,
        group_id=settings.group,
        enable_auto_commit=False,
        auto_offset_reset=settings.auto_offset_reset,
        isolation_level="read_committed",
        partition_assignment_strategy=[CooperativeStickyAssignor],
        session_timeout_ms=session_ms,
        max_poll_interval_ms=max(session_ms, math.ceil(settings.drain_seconds * 1000) + _HUNG_MS),
        heartbeat_interval_ms=min(3000, session_ms // 3),
        max_poll_records=settings.max_poll_records,
        max_partition_fetch_bytes=settings.max_partition_fetch_bytes,
        fetch_max_bytes=settings.fetch_max_bytes,
    )
    try:
        # A leader of the group that does not know the partitions yet assigns none, and again.
        heard_twice(partial(consumer.partitions_for_topic, settings.topic), time.sleep)
    except KafkaError as error:
        raise failed(error, settings, f"asking for the topic {settings.topic!r}") from error
    return consumer
