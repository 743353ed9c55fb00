"""Certificates that are renewed while a process runs: the next connection reads them."""

from contextlib import closing
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from servers.kafka import KafkaConnection
from servers.redis import open_redis
from servers.redis_connection import RedisConnection
from tests.certificates import Certificates
from tests.secured_kafka import SecuredKafka
from tests.secured_redis import WORKER_RULES, SecuredRedis


def test_redis_py_reads_its_authority_at_each_connection(
    secured_redis: SecuredRedis, certificates: Certificates, tmp_path: Path
) -> None:
    secured_redis.allow("renewed", "renewed-Pw1", *WORKER_RULES)
    authority = tmp_path / "ca.crt"
    authority.write_bytes(certificates.ca.crt.read_bytes())
    connection = RedisConnection(
        redis_url=SecretStr(
            f"rediss://localhost:{secured_redis.tls_port}/0?ssl_ca_certs={authority}"
        ),
        redis_username="renewed",
        redis_password=SecretStr("renewed-Pw1"),
    )
    client = open_redis(connection)
    assert client.ping()
    authority.write_bytes(certificates.other_ca.crt.read_bytes())
    assert client.ping(), "a connection that is open goes on"
    client.connection_pool.disconnect()
    with pytest.raises(RedisConnectionError, match="certificate verify failed"):
        client.ping()
    authority.write_bytes(certificates.ca.crt.read_bytes())
    assert client.ping()
    client.close()


def test_kafka_python_s_next_connection_shows_the_certificate_that_is_there_then(
    secured_kafka: SecuredKafka, certificates: Certificates, tmp_path: Path
) -> None:
    crt, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def write(name: str) -> None:
        made = getattr(certificates, name)
        crt.write_bytes(made.crt.read_bytes())
        key.write_bytes(made.key.read_bytes())

    write("client")
    options = KafkaConnection(
        bootstrap_servers=secured_kafka.at["mutual"],
        security_protocol="SSL",
        ssl_cafile=certificates.ca.crt,
        ssl_certfile=crt,
        ssl_keyfile=key,
    ).client_options()

    def is_let_in() -> bool:
        try:
            with closing(KafkaAdminClient(**options, bootstrap_timeout_ms=5000)) as client:
                client.list_topics()
        except KafkaError:
            return False
        return True

    assert is_let_in()
    write("stranger")
    assert not is_let_in()
    write("client")
    assert is_let_in()
