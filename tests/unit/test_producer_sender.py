"""Reaching Kafka: what cannot work is told at once, and only what may come back is waited for."""

import time
from pathlib import Path

import pytest
from kafka import errors

from contract.errors import ConfigurationError, UnavailableError
from producer import sender
from producer.sender import connect
from producer.settings import ProducerSettings
from servers.refusals import PASSING_SECONDS

ABSENT = "127.0.0.1:1"


def test_a_certificate_file_of_garbage_is_a_configuration_error_at_once_that_names_it(
    tmp_path: Path,
) -> None:
    garbage = tmp_path / "authority.pem"
    garbage.write_text("garbage")
    settings = ProducerSettings(
        bootstrap_servers=ABSENT, security_protocol="SSL", ssl_cafile=garbage
    )
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=f"PRODUCER_SSL_CAFILE is {garbage}"):
        connect(settings)
    assert time.monotonic() - began < 15


def test_all_certificate_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    garbage = tmp_path / "any.pem"
    garbage.write_text("garbage")
    settings = ProducerSettings(
        bootstrap_servers=ABSENT,
        security_protocol="SASL_SSL",
        sasl_username="u",
        sasl_password="hunter2",
        ssl_cafile=garbage,
        ssl_certfile=garbage,
        ssl_keyfile=garbage,
        ssl_password="hunter2",
    )
    with pytest.raises(ConfigurationError) as raised:
        connect(settings)
    assert len(raised.value.faults) == 2
    assert "PRODUCER_SSL_CERTFILE" in raised.value.faults[1]
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "error",
    [
        errors.SaslAuthenticationFailedError("wrong password"),
        errors.UnsupportedSaslMechanismError("PLAIN"),
        errors.ClusterAuthorizationFailedError("not for you"),
        errors.KafkaConfigurationError("wrong option"),
        ValueError("wrong option"),
    ],
)
def test_what_kafka_refuses_is_a_configuration_error_and_not_tried_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def refuse(**options: object) -> None:
        tries.append(options)
        raise error

    monkeypatch.setattr(sender, "KafkaProducer", refuse)
    with pytest.raises(ConfigurationError, match="cannot be used as configured"):
        connect(ProducerSettings(bootstrap_servers=ABSENT))
    assert len(tries) == 1


def test_a_topic_that_we_may_not_see_is_a_configuration_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Client:
        def __init__(self, **options: object) -> None:
            pass

        def partitions_for(self, topic: str) -> None:
            raise errors.TopicAuthorizationFailedError(topic)

        def close(self, timeout: float) -> None:
            pass

    monkeypatch.setattr(sender, "KafkaProducer", Client)
    waited: list[float] = []
    with pytest.raises(ConfigurationError, match="right to write to topic 'frames'"):
        connect(ProducerSettings(bootstrap_servers=ABSENT), sleep=waited.append)
    assert sum(waited) == PASSING_SECONDS


def test_a_topic_that_we_may_not_see_for_a_moment_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Client:
        def __init__(self, **options: object) -> None:
            self.asked = 0

        def partitions_for(self, topic: str) -> set[int]:
            self.asked += 1
            if self.asked == 1:
                raise errors.TopicAuthorizationFailedError(topic)
            return {0}

    monkeypatch.setattr(sender, "KafkaProducer", Client)
    monkeypatch.setattr(sender, "watch_brokers", lambda client: lambda: True)
    settings = ProducerSettings(bootstrap_servers=ABSENT)
    assert connect(settings, sleep=lambda _: None) is not None


def test_a_broker_that_is_away_is_tried_until_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def away(**options: object) -> None:
        tries.append(options)
        raise errors.KafkaTimeoutError("Unable to bootstrap")

    monkeypatch.setattr(sender, "KafkaProducer", away)
    with pytest.raises(UnavailableError, match="cannot reach Kafka"):
        connect(ProducerSettings(bootstrap_servers=ABSENT, kafka_timeout_seconds=0.3))
    assert len(tries) > 1
