"""Host names that are none, in settings or from a server, are reported, without a traceback."""

from http.client import HTTPException

import pytest
from kafka import errors
from pydantic import ValidationError
from redis import exceptions

from producer.camera_answer import digest_algorithm, rtsp_fault
from producer.http_client import HttpClient, connection_reason
from servers.host_names import can_be_looked_up
from servers.kafka_connection import KafkaConnection
from servers.kafka_network import Connector
from servers.kafka_visit import visit
from servers.redis_connection import RedisConnection
from servers.redis_nodes import ask_for_slots, first_that_answers
from servers.redis_visit import other_protocol
from servers.refusals import About
from servers.strangers import stranger
from servers.tls import answers_tls

BAD = pytest.mark.parametrize("host", ["kafka..internal", ".kafka", "k" * 64 + ".internal"])


@pytest.mark.parametrize(
    "host", ["kafka", "kafka.internal", "kafka.", "k_1", "k" * 63, "::1", "[::1]", "10.0.0.1"]
)
def test_names_and_addresses_can_be_looked_up(host: str) -> None:
    assert can_be_looked_up(host)
    assert KafkaConnection(bootstrap_servers=f"{host}:9092").servers == [f"{host}:9092"]


@BAD
def test_settings_refuse_it(host: str) -> None:
    with pytest.raises(ValidationError, match=r"is no host name: .*expected HOST:PORT"):
        KafkaConnection(bootstrap_servers=f"good:9092, {host}:9092")
    with pytest.raises(ValidationError, match="its host is no host name") as error:
        RedisConnection.model_validate({"redis_url": f"redis://:hunter2@{host}:6379"})
    assert "hunter2" not in error.value.errors()[0]["msg"]


@BAD
def test_a_broker_that_advertises_it_is_a_refusal_that_names_it(host: str) -> None:
    found = visit(KafkaConnection(), f"{host}:9092")
    assert found.outcome == "refused"
    assert found.refusal is not None
    assert found.refusal.about is About.HOST_NAME
    assert host in found.seen


@BAD
def test_kafkas_clients_take_it_for_a_broker_that_is_away(host: str) -> None:
    with pytest.raises(errors.KafkaConnectionError, match="is no host name"):
        Connector().dns_lookup(host, 9092)


@BAD
def test_who_asks_what_answers_there_learns_nothing(host: str) -> None:
    assert stranger("Kafka", (host, 9092), 1, tls=True) is None
    assert not answers_tls((host, 9092), 1)
    assert other_protocol(f"redis://{host}:6379") is None
    assert other_protocol(f"rediss://{host}:6379") is None


@BAD
def test_a_node_of_a_redis_cluster_with_it_does_not_answer(host: str) -> None:
    with pytest.raises(exceptions.ConnectionError, match="none of 2 nodes"):
        first_that_answers("redis://.:1", [(host, 6379)], 5, ask_for_slots({}))


@BAD
def test_a_camera_with_it_is_told_so(host: str) -> None:
    assert rtsp_fault(f"rtsp://{host}/a", 1) == "the host's name is not as names are"
    assert digest_algorithm(f"rtsp://{host}/a", 1) is None
    with pytest.raises((OSError, HTTPException, ValueError)) as error:
        HttpClient(f"http://{host}/a").get(1)
    assert connection_reason(error.value) == "the host's name is not as names are"
