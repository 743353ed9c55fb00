import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from annotated_types import Le
from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contract.errors import ConfigurationError
from contract.settings import (
    YEAR_SECONDS,
    ProcessSettings,
    load_settings,
    warn_of_unknown_variables,
)
from producer.cameras import Camera
from producer.motion_gate import MotionSettings
from producer.settings import ProducerSettings
from seedstream.results.results_settings import ResultsSettings
from servers.kafka import KafkaConnection
from viewer.settings import DeadSettings, ViewerSettings
from viewer.web.settings import ViewSettings
from workers.settings import WorkerSettings


class ExampleSettings(KafkaConnection, ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="EXAMPLE_", frozen=True)

    removed: ClassVar[Mapping[str, str]] = {"chunk_size": "follows from EXAMPLE_BATCH_SIZE"}

    batch_size: int = Field(default=4, ge=1)
    redis_url: SecretStr = SecretStr("redis://127.0.0.1")


def test_options_win_over_the_environment_and_none_means_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EXAMPLE_BATCH_SIZE", "7")
    monkeypatch.setenv("EXAMPLE_LOG_LEVEL", "DEBUG")
    assert load_settings(ExampleSettings, batch_size=None).batch_size == 7
    assert load_settings(ExampleSettings, batch_size="9").batch_size == 9
    assert load_settings(ExampleSettings).log_level == "DEBUG"


def test_all_wrong_settings_are_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXAMPLE_BATCH_SIZE", "many")
    monkeypatch.setenv("EXAMPLE_BOOTSTRAP_SERVERS", "broker")
    monkeypatch.setenv("EXAMPLE_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("EXAMPLE_SSL_CAFILE", "/nowhere/ca.pem")
    monkeypatch.setenv("EXAMPLE_SSL_KEYFILE", __file__)
    monkeypatch.setenv("EXAMPLE_HTTP_PORT", "70000")
    with pytest.raises(ConfigurationError) as error:
        load_settings(ExampleSettings)
    text = str(error.value)
    assert "EXAMPLE_BATCH_SIZE (--batch-size) is 'many'" in text
    assert "'broker' is not HOST:PORT" in text
    assert "EXAMPLE_SASL_USERNAME (--sasl-username)" in text
    assert "EXAMPLE_SASL_PASSWORD" in text
    assert "no file at /nowhere/ca.pem" in text
    assert "ssl_certfile and ssl_keyfile go together" in text
    assert "EXAMPLE_HTTP_PORT (--http-port) is '70000'" in text
    assert len(error.value.faults) == 7


def test_a_secret_is_never_repeated_in_a_fault() -> None:
    with pytest.raises(ConfigurationError) as error:
        load_settings(ExampleSettings, redis_url=["redis://:hunter2@host"])
    assert "hunter2" not in str(error.value)
    assert "EXAMPLE_REDIS_URL" in str(error.value)


def test_client_options_follow_the_security_protocol() -> None:
    plain = KafkaConnection(bootstrap_servers="a:1, b:2").client_options()
    assert plain == {"bootstrap_servers": ["a:1", "b:2"], "security_protocol": "PLAINTEXT"}
    secure = KafkaConnection(
        security_protocol="SASL_SSL",
        sasl_username="camera",
        sasl_password=SecretStr("secret"),
        ssl_check_hostname=False,
    ).client_options()
    assert secure["sasl_mechanism"] == "SCRAM-SHA-512"
    assert secure["sasl_plain_password"] == "secret"
    assert secure["ssl_context"].verify_mode is ssl.CERT_REQUIRED
    assert secure["ssl_context"].check_hostname is False


def test_tls_files_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    garbage = tmp_path / "any.pem"
    garbage.write_text("no certificate")
    settings = load_settings(
        ExampleSettings,
        security_protocol="SSL",
        ssl_cafile=garbage,
        ssl_certfile=garbage,
        ssl_keyfile=garbage,
    )
    with pytest.raises(ConfigurationError) as error:
        settings.client_options()
    assert [fault.split()[0] for fault in error.value.faults] == [
        *("EXAMPLE_SSL_CAFILE", "EXAMPLE_SSL_CERTFILE")
    ]


def test_settings_do_not_change_once_read() -> None:
    settings = load_settings(ExampleSettings)
    with pytest.raises(ValueError, match="frozen"):
        settings.batch_size = 5


def test_variables_that_set_nothing_are_named_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment = {
        "EXAMPLE_BATCH_SIZ": "5",
        "EXAMPLE_CHUNK_SIZE": "5",
        "EXAMPLE_ZEBRA": "hunter2",
        "EXAMPLE_LOG_LEVEL": "DEBUG",
        "example_http_port": "1",
        "HOME": "/",
    }
    warn_of_unknown_variables(ExampleSettings, environment)
    (line,) = caplog.messages
    assert line == (
        "environment variables without effect: "
        "EXAMPLE_BATCH_SIZ (no such setting; EXAMPLE_BATCH_SIZE?); "
        "EXAMPLE_CHUNK_SIZE (no longer a setting: follows from EXAMPLE_BATCH_SIZE); "
        "EXAMPLE_ZEBRA (no such setting)"
    )


def test_variables_that_are_settings_cause_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_unknown_variables(ExampleSettings, {"EXAMPLE_BATCH_SIZE": "5", "EXAMPLES": "x"})
    assert caplog.messages == []


@pytest.mark.parametrize(
    "kind",
    [
        *(Camera, MotionSettings, ProducerSettings, WorkerSettings),
        *(ViewerSettings, DeadSettings, ViewSettings, ResultsSettings),
    ],
)
def test_every_duration_has_an_upper_bound_that_clocks_and_sockets_take(
    kind: type[BaseModel],
) -> None:
    durations = [
        name
        for name in kind.model_fields
        if name.rpartition("_")[2] in ("seconds", "minutes", "hours", "days")
    ]
    assert durations
    for name in durations:
        bounds = [each.le for each in kind.model_fields[name].metadata if isinstance(each, Le)]
        assert len(bounds) == 1, name
        assert float(str(bounds[0])) <= YEAR_SECONDS, name


@pytest.mark.parametrize("value", ["inf", "1e300", "1e10", "nan"])
def test_a_duration_without_end_is_refused_by_name_with_what_may_be(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DRAIN", "KAFKA_TIMEOUT"):
        monkeypatch.setenv(f"EXAMPLE_{name}_SECONDS", value)
    with pytest.raises(ConfigurationError) as error:
        load_settings(ExampleSettings)
    assert len(error.value.faults) == 2
    for name, fault in zip(
        ("KAFKA_TIMEOUT", "DRAIN"), sorted(error.value.faults)[::-1], strict=True
    ):
        assert f"EXAMPLE_{name}_SECONDS" in fault
        assert "86400" in fault or value == "nan"
