"""Which servers and brokers are visited to learn why Kafka does not let us in, and for how long."""

import pytest

from contract.errors import ConfigurationError
from servers import kafka
from servers.kafka import KafkaConnection, find_refusal, knock
from servers.kafka_visit import Visit
from servers.refusals import About, Refusal

REFUSAL = Refusal(About.CREDENTIALS, "unknown user")


def connection(*servers: str) -> KafkaConnection:
    return KafkaConnection(bootstrap_servers=",".join(servers))


def test_a_broker_that_differs_is_found_where_the_settings_name_it_after_a_good_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brokers = ("a:9092", "b:9092", "c:9092")

    def visit(_: KafkaConnection, server: str) -> Visit:
        if server == "c:9092":
            return Visit(server, "refused", "no", REFUSAL)
        return Visit(server, "admitted", brokers=brokers)

    monkeypatch.setattr(kafka, "visit", visit)
    found = find_refusal(connection(*brokers))
    assert isinstance(found, ConfigurationError)
    assert "c:9092" in str(found)
    assert [each.server for each in knock(connection(*brokers))] == ["a:9092"]


def test_many_silent_servers_do_not_hold_up_a_loop_that_must_show_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0

    def visit(_: KafkaConnection, server: str) -> Visit:
        nonlocal now
        now += 6.0
        return Visit(server, "silent", "no answer")

    monkeypatch.setattr(kafka, "visit", visit)
    servers = connection(*(f"broker-{number}:9092" for number in range(20)))
    assert len(knock(servers, thorough=True, clock=lambda: now)) == 2
    assert now <= 20
