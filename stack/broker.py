"""What every Kafka broker of the stack has: waiting until it answers, and topics."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from kafka import KafkaAdminClient

from contract.errors import UnavailableError
from contract.topics import MAX_RECORD_BYTES
from servers.kafka import KafkaConnection, KafkaError, TopicAlreadyExistsError, failed, open_client
from stack.child_process import ChildProcess

START_SECONDS = 120.0
"""How long a broker may take until it answers; a real one takes 3 s on an idle machine."""

RETENTION_BYTES = 512 * 1024 * 1024
"""Default size of a partition's log, in bytes, beyond which its oldest segments go."""

RETENTION_MS = 3_600_000
"""Default age, in milliseconds, beyond which records go."""

_SEGMENT_BYTES = 64 * 1024 * 1024
"""Retention removes whole closed segments, so they must be smaller than what is kept."""


@dataclass(kw_only=True)
class Broker(ChildProcess):
    """A running Kafka broker.

    Attributes:
        kind: ``kafka`` (Apache Kafka) or ``embedded``.
    """

    kind: str

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT for clients."""
        return self.address

    def create_topic(
        self,
        name: str,
        partitions: int = 1,
        *,
        retention_bytes: int = RETENTION_BYTES,
        retention_ms: int = RETENTION_MS,
    ) -> None:
        """Create a topic and wait until it can be used; an existing one is left as it is.

        Args:
            name: Name of the topic.
            partitions: Number of partitions.
            retention_bytes: Size of each partition's log that is kept, in bytes.
            retention_ms: Age of records that is kept, in milliseconds.

        Raises:
            UnavailableError: The broker does not answer or refuses.
        """
        create_topic(
            self.address,
            name,
            partitions,
            retention_bytes=retention_bytes,
            retention_ms=retention_ms,
        )


@contextlib.contextmanager
def admin_client(bootstrap_servers: str, timeout_seconds: float) -> Iterator[KafkaAdminClient]:
    """Connect an admin client; it is closed at the end.

    Raises:
        ConfigurationError: A request was refused.
        UnavailableError: Nothing answers there within ``timeout_seconds``, or a request failed.
    """
    connection = KafkaConnection(bootstrap_servers=bootstrap_servers)
    client = open_client(
        KafkaAdminClient,
        connection,
        timeout_seconds=timeout_seconds,
        request_timeout_ms=int(timeout_seconds * 1000),
    )
    with contextlib.closing(client):
        try:
            yield client
        except KafkaError as error:
            raise failed(error, connection, "asking for a change or a list of topics") from error


def create_topic(
    bootstrap_servers: str,
    name: str,
    partitions: int,
    *,
    retention_bytes: int = RETENTION_BYTES,
    retention_ms: int = RETENTION_MS,
    timeout_seconds: float = 20.0,
) -> None:
    """Create a topic sized for frames, see ``Broker.create_topic``."""
    configs = {
        "max.message.bytes": str(MAX_RECORD_BYTES),
        "retention.bytes": str(retention_bytes),
        "retention.ms": str(retention_ms),
        "segment.bytes": str(min(_SEGMENT_BYTES, max(retention_bytes, MAX_RECORD_BYTES * 2))),
    }
    topic = {"num_partitions": partitions, "replication_factor": 1, "configs": configs}
    with (
        admin_client(bootstrap_servers, timeout_seconds) as client,
        contextlib.suppress(TopicAlreadyExistsError),
    ):
        client.create_topics({name: topic}, wait_for_metadata=True)


def delete_topics(bootstrap_servers: str, names: list[str], timeout_seconds: float = 20.0) -> None:
    """Delete topics.

    Raises:
        UnavailableError: Nothing answers there, or it refuses.
    """
    with admin_client(bootstrap_servers, timeout_seconds) as client:
        client.delete_topics(names)


def wait_until_answering(broker: Broker, timeout_seconds: float = START_SECONDS) -> None:
    """Wait until the broker lists its topics.

    Raises:
        StartError: It died or did not answer in time; the message carries the end of its log.
    """
    broker.wait_until(
        lambda: _answers(broker.address), timeout_seconds, f"no answer at {broker.address}"
    )


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        # First whether it listens at all: that is cheaper than a client, and fills no log.
        socket.create_connection((host, int(port)), timeout=1).close()
        # A short attempt, so that a broker that died is noticed at once.
        with admin_client(address, timeout_seconds=1.0) as client:
            client.list_topics()
    except (OSError, UnavailableError):
        return False
    return True
