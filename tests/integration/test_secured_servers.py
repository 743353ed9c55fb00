"""Kafka with TLS, SCRAM and ACLs, Redis with TLS and ACL users: as the tests set them up."""

from contextlib import closing

import pytest
from kafka import KafkaProducer
from kafka.errors import TopicAuthorizationFailedError
from pydantic import SecretStr

from contract.errors import ConfigurationError
from servers.kafka import KafkaConnection, open_client
from servers.redis import Redis
from servers.redis_connection import RedisConnection
from tests.secured_kafka import SecuredKafka
from tests.secured_redis import SecuredRedis


def test_a_user_writes_to_the_topic_it_was_granted_and_to_no_other(
    secured_kafka: SecuredKafka,
) -> None:
    secured_kafka.add_user("writer", "writer-Pw")
    secured_kafka.allow("writer", "WRITE TOPIC granted")
    for topic in ("granted", "kept"):
        secured_kafka.broker.create_topic(topic)
    connection = KafkaConnection(
        bootstrap_servers=secured_kafka.at["secure"],
        security_protocol="SASL_SSL",
        sasl_username="writer",
        sasl_password=SecretStr("writer-Pw"),
        ssl_cafile=secured_kafka.certificates.ca.crt,
    )
    with closing(open_client(KafkaProducer, connection, enable_idempotence=False)) as producer:
        assert producer.send("granted", b"frame").get(timeout=10).offset == 0
        with pytest.raises(TopicAuthorizationFailedError):
            producer.partitions_for("kept")


def test_a_redis_user_does_what_it_was_granted_and_nothing_else(
    secured_redis: SecuredRedis,
) -> None:
    secured_redis.allow("pinger", "pinger-Pw", "+ping")
    connection = RedisConnection(
        redis_url=SecretStr(secured_redis.url),
        redis_username="pinger",
        redis_password=SecretStr("pinger-Pw"),
    )
    with closing(Redis(connection)) as server:
        assert server.attempt("ask", lambda client: client.ping())
        with pytest.raises(ConfigurationError, match="permission"):
            server.attempt("write to", lambda client: client.set("seedstream:x", "1"))
