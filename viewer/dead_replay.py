"""Dead letters back to the topic they came from; they stay where they are.

Library: kafka-python.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaProducer

from contract.frame import Header
from contract.topics import DEAD_RAW_HEADERS_HEADER, MAX_RECORD_BYTES, REPLAY_HEADER
from servers.kafka import KafkaConnection, KafkaError, Meaning, failed, meaning, open_client
from servers.partitioning import FrontOfKey
from viewer.dead_topic import DeadLetter

_ENVELOPE_BYTES = 64 * 1024


@dataclass
class ReplayCounts:
    """What became of the letters.

    Attributes:
        sent: Acknowledged by all replicas.
        refused: Id of each that could not be sent -> why.
    """

    sent: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def replay(
    letters: Iterable[DeadLetter],
    connection: KafkaConnection,
    dead_topic: str,
    on_sent: Callable[[DeadLetter], None] = lambda letter: None,
) -> ReplayCounts:
    """Send letters to their own topics, one after the other, each acknowledged before the next.

    Args:
        letters: What to send.
        connection: Where Kafka is, and how long it may take.
        dead_topic: Where the letters lie, for `REPLAY_HEADER`.
        on_sent: Called after each acknowledgement.

    Raises:
        ConfigurationError: Kafka refuses access.
        UnavailableError: Kafka stays away; what was not acknowledged may have been written.
    """
    counts = ReplayCounts()
    timeout_ms = round(connection.kafka_timeout_seconds * 1000)
    producer = open_client(
        KafkaProducer,
        connection,
        client_id="seedstream-dead",
        allow_auto_create_topics=False,
        metrics_enabled=False,
        acks="all",
        enable_idempotence=False,  # see workers.dead_letters
        max_in_flight_requests_per_connection=1,
        partitioner=FrontOfKey(),
        max_request_size=MAX_RECORD_BYTES + _ENVELOPE_BYTES,
        max_block_ms=timeout_ms,
        request_timeout_ms=timeout_ms,
        delivery_timeout_ms=timeout_ms + 1000,
    )
    try:
        for letter in letters:
            why = letter.incomplete
            try:
                if not why:
                    record = record_of(letter, dead_topic)
                    if record["partition"] not in producer.partitions_for(letter.topic):
                        record["partition"] = None  # the topic was made anew with fewer
                    future = producer.send(letter.topic, **record)
                    future.get(timeout=connection.kafka_timeout_seconds)
            except KafkaError as error:
                if meaning(error) is not Meaning.INVALID:
                    doing = f"sending the dead letter {letter.id} to {letter.topic!r}"
                    raise failed(error, connection, doing) from error
                why = f"Kafka rejects it: {error}"
            if why:
                counts.refused[letter.id] = why
            else:
                counts.sent += 1
                on_sent(letter)
    finally:
        with contextlib.suppress(KafkaError):
            producer.close(timeout=1)
    return counts


def record_of(letter: DeadLetter, dead_topic: str) -> dict[str, Any]:
    """Return what is sent: the record's own key, value and headers, and where it was found.

    It goes to its own partition, where Kafka's order decides between its session and others.
    """
    headers: list[Header] = [
        (name, value)
        for name, value in letter.headers
        if name not in (REPLAY_HEADER, DEAD_RAW_HEADERS_HEADER)
    ]
    headers.append((REPLAY_HEADER, f"{dead_topic}/{letter.id}".encode()))
    value = b"" if letter.key is None and letter.value is None else letter.value
    return {"key": letter.key, "value": value, "headers": headers, "partition": letter.partition}
