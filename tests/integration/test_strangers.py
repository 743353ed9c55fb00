"""Something else than Kafka or Redis answers on their port: the message says what."""

import socket
import time
from contextlib import closing

import pytest
from kafka import KafkaProducer
from pydantic import SecretStr

from contract.errors import ConfigurationError, UnavailableError
from servers.kafka import KafkaConnection, open_client
from servers.redis import Redis
from servers.redis_connection import RedisConnection
from stack.broker import Broker
from stack.redis_server import RedisServer
from tests.integration.test_kafka_refusals import server_that

REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n"


def http(accepted: socket.socket, answer: bytes = REFUSAL) -> None:
    accepted.recv(100)
    accepted.sendall(answer)
    accepted.close()


def open_kafka(address: str) -> None:
    made = KafkaConnection(bootstrap_servers=address, kafka_timeout_seconds=90)
    open_client(KafkaProducer, made).close()


def open_redis(address: str, seconds: float = 90) -> None:
    made = RedisConnection(redis_url=SecretStr(f"redis://{address}"), redis_timeout_seconds=seconds)
    with closing(Redis(made)) as server:
        server.attempt("reach", lambda client: client.ping())


def test_an_http_server_is_named() -> None:
    with server_that(http) as address:
        began = time.monotonic()
        with pytest.raises(ConfigurationError, match="not Kafka but an HTTP server"):
            open_kafka(address)
        with pytest.raises(ConfigurationError, match="not Redis but an HTTP server"):
            open_redis(address)
        assert time.monotonic() - began < 60


def test_kafka_and_redis_are_named_on_each_others_port(
    kafka: Broker, redis_server: RedisServer
) -> None:
    with pytest.raises(ConfigurationError, match="not Kafka but Redis answers"):
        open_kafka(redis_server.url.removeprefix("redis://").partition("/")[0])
    with pytest.raises(ConfigurationError, match="not Redis but Kafka answers"):
        open_redis(kafka.bootstrap_servers)


def test_a_proxy_whose_server_is_away_does_not_refuse() -> None:
    with (
        server_that(lambda accepted: http(accepted, AWAY)) as address,
        pytest.raises(UnavailableError),
    ):
        open_redis(address, 0.5)
