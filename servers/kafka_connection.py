"""Settings with which every process opens Kafka."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from contract.settings import DAY_SECONDS
from servers import host_names
from servers.tls import tls_context


class KafkaConnection(BaseModel):
    """Connection and security settings; a settings class inherits them under its own prefix."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, validate_default=True)

    sections: ClassVar[Mapping[str, str]] = {"bootstrap_servers": "Kafka"}

    bootstrap_servers: str = "127.0.0.1:9092"
    """Kafka brokers to connect to first: HOST:PORT, comma-separated."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """Kafka security protocol."""

    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """SASL mechanism, used with the SASL_ protocols."""

    sasl_username: str | None = None
    """SASL user name."""

    sasl_password: SecretStr | None = None
    """SASL password."""

    ssl_cafile: Path | None = None
    """PEM file of the brokers' CAs; default: the system's."""

    ssl_certfile: Path | None = None
    """PEM file of the client certificate, for mutual TLS."""

    ssl_keyfile: Path | None = None
    """PEM file of the client key, for mutual TLS."""

    ssl_password: SecretStr | None = None
    """Password of the client key."""

    ssl_check_hostname: bool = True
    """Whether a broker's certificate must match its host."""

    kafka_timeout_seconds: float = Field(default=30.0, gt=0, le=DAY_SECONDS)
    """How long to try to reach Kafka, in seconds."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"{server!r} is not HOST:PORT")
            if not host_names.can_be_looked_up(host):
                raise ValueError(
                    f"{host!r} is no host name: {host_names.WHY}; expected HOST:PORT, for instance "
                    "kafka.internal:9092"
                )
        return value

    # Fields are checked one by one, each against those above it, so that all faults come at once.
    @field_validator("sasl_username", "sasl_password")
    @classmethod
    def _check_sasl(cls, value: object, info: ValidationInfo) -> object:
        protocol = info.data.get("security_protocol", "PLAINTEXT")
        if protocol.startswith("SASL_") and value is None:
            raise ValueError(f"missing: security_protocol {protocol} needs it")
        return value

    @field_validator("ssl_cafile", "ssl_certfile", "ssl_keyfile")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"no file at {value}")
        return value

    @field_validator("ssl_keyfile")
    @classmethod
    def _check_pair(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if "ssl_certfile" in info.data and (info.data["ssl_certfile"] is None) != (value is None):
            raise ValueError("ssl_certfile and ssl_keyfile go together: give both or neither")
        return value

    @property
    def prefix(self) -> str:
        """Prefix of the environment variables, for messages."""
        return str(self.model_config.get("env_prefix", ""))

    @property
    def servers(self) -> list[str]:
        """The brokers as a list of HOST:PORT."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    def client_options(self) -> dict[str, Any]:
        """Return the keyword arguments that every kafka-python client shares.

        Raises:
            ConfigurationError: With every TLS file that cannot be used.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL_"):
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.sasl_username
            options["sasl_plain_password"] = _plain(self.sasl_password)
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = tls_context(
                cafile=self.ssl_cafile,
                certfile=self.ssl_certfile,
                keyfile=self.ssl_keyfile,
                password=_plain(self.ssl_password),
                check_hostname=self.ssl_check_hostname,
                prefix=self.prefix,
            )
        return options


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
