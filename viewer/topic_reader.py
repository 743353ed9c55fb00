"""A topic read from outside a consumer group: nothing is committed.

Library: kafka-python.
"""

import contextlib
from collections.abc import Iterator

from kafka import KafkaConsumer

from servers.kafka import KafkaConnection, KafkaError, failed, missing_topic, open_client
from servers.record_fetcher import reading_past_faults

_FETCH_BYTES = 8 * 1024 * 1024


@contextlib.contextmanager
def open_reader(connection: KafkaConnection, topic: str, what: str) -> Iterator[KafkaConsumer]:
    """Open a client that has no partitions yet, and close it at the end.

    Args:
        connection: Where Kafka is.
        topic: What is to be read.
        what: What the topic is, for the message that it is missing.

    Raises:
        ConfigurationError: Kafka does not let us in, or not see the topic.
        UnavailableError: Kafka does not answer, does not have the topic, or goes away meanwhile.
    """
    try:
        consumer = open_client(
            reading_past_faults,
            connection,
            group_id=None,
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_bytes=_FETCH_BYTES,
        )
        with contextlib.closing(consumer):
            if not consumer.partitions_for_topic(topic):
                raise missing_topic(connection, topic, what)
            yield consumer
    except KafkaError as error:
        raise failed(error, connection, f"reading the topic {topic!r}") from error
