"""A broker whose name leads to another address, while the old one says nothing more."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from servers.kafka import KafkaConnection, open_client
from tests.fakes import wait_until
from tests.secured_kafka import SecuredKafka

Names = Callable[[str], str]
LOOKED_UP = socket.getaddrinfo
BOUND_SECONDS = 28.0
"""A request's 10 s, a pause of 2 s at most, a connection's 4 s, and this machine's own slowness."""


class Forwarder:
    """Passes connections to an address on to another one, until it falls silent."""

    def __init__(self, host: str, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listening = socket.create_server((host, port))
        self._silent = threading.Event()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        """Take and give nothing more; connections stay open, as to a machine that has gone."""
        self._silent.set()

    def close(self) -> None:
        """End it."""
        for each in (self._listening, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._connections.append(client)
                if not self._silent.is_set():
                    server = socket.create_connection(self._target)
                    self._connections.append(server)
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if not self._silent.is_set():
                    sink.sendall(data)
            if not self._silent.is_set():
                sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def leads_to(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the brokers' host name leads, in this process."""
    found = ["127.0.0.2"]

    def look_up(host: str, *arguments: Any, **named: Any) -> Any:
        return LOOKED_UP(found[0] if host == "localhost" else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return found


@pytest.fixture
def forwarders(secured_kafka: SecuredKafka) -> Iterator[list[Forwarder]]:
    port = int(secured_kafka.at["secure"].rpartition(":")[2])
    made = [Forwarder(host, port) for host in ("127.0.0.2", "127.0.0.3")]
    yield made
    for each in made:
        each.close()


def test_clients_find_a_broker_that_has_moved_within_seconds(
    secured_kafka: SecuredKafka,
    forwarders: list[Forwarder],
    leads_to: list[str],
    unique_name: Names,
) -> None:
    topic = unique_name("moving")
    secured_kafka.broker.create_topic(topic)
    secured_kafka.add_user("mover", "mover-Pw")
    secured_kafka.allow("mover", f"ALL TOPIC {topic}")
    connection = KafkaConnection.model_validate(secured_kafka.settings("mover"))
    partition = TopicPartition(topic, 0)
    producer = open_client(KafkaProducer, connection, enable_idempotence=True)
    consumer = open_client(KafkaConsumer, connection, group_id=None)
    with closing(consumer), closing(producer):
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        producer.send(topic, b"before").get(timeout=10)
        wait_until(lambda: consumer.poll(timeout_ms=200), 10)

        leads_to[0] = "127.0.0.3"
        forwarders[0].fall_silent()
        began = time.monotonic()
        sent = producer.send(topic, b"after")
        wait_until(lambda: consumer.poll(timeout_ms=200), 40)
        assert sent.get(timeout=1).offset == 1
        assert time.monotonic() - began < BOUND_SECONDS


def test_an_address_that_takes_connections_and_says_nothing_is_left_for_the_next(
    secured_kafka: SecuredKafka, forwarders: list[Forwarder], leads_to: list[str]
) -> None:
    secured_kafka.add_user("mover", "mover-Pw")
    connection = KafkaConnection.model_validate(secured_kafka.settings("mover"))
    forwarders[0].fall_silent()
    threading.Timer(1.0, leads_to.__setitem__, (0, "127.0.0.3")).start()
    began = time.monotonic()
    open_client(KafkaProducer, connection).close()
    assert time.monotonic() - began < BOUND_SECONDS
