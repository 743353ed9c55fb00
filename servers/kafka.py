"""The door to Kafka: settings, opening within a bound, and what each error means.

Every process opens its clients here and lets its errors be read here. Library: kafka-python 3.
"""

import enum
import math
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from kafka import errors
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)

KafkaError = errors.KafkaError
KafkaTimeoutError = errors.KafkaTimeoutError
TopicAlreadyExistsError = errors.TopicAlreadyExistsError
ClientT = TypeVar("ClientT")

Wait = Callable[[float], bool]
"""Waits at most so many seconds; returns whether the end of the process is requested."""

STEP_SECONDS = 2.0
"""How long one attempt to connect may take."""

_RETRY_SECONDS = 0.5
_RECONNECT_MAX_MS = 2_000
"""kafka-python's own bound of 30 s would leave a client away long after its broker is back."""


class Meaning(enum.Enum):
    """What an error of Kafka's client asks for."""

    AWAY = "away"
    """Kafka does not answer for now: the client tries again by itself, within a bound."""
    BROKEN = "broken"
    """The client does not recover: replace it, or end the process."""
    REBALANCING = "rebalancing"
    """The group is changing: what was to be committed belongs to another member."""
    REFUSED = "refused"
    """Kafka does not let us, or does not know how: a person must change a setting or a right."""
    INVALID = "invalid"
    """This one record cannot be written."""


TOO_LARGE = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
)
INVALID = (*TOO_LARGE, errors.InvalidRecordError, errors.InvalidTimestampError)
REBALANCING = (
    errors.CommitFailedError,
    errors.FencedMemberEpochError,
    errors.IllegalGenerationError,
    errors.MemberIdRequiredError,
    errors.RebalanceInProgressError,
    errors.StaleMemberEpochError,
    errors.UnknownMemberIdError,
)
DENIED = (
    errors.AuthorizationError,
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
)
"""The refusals that are about who we are."""

REFUSED = (
    *DENIED,
    errors.DelegationTokenAuthDisabledError,
    errors.DelegationTokenExpiredError,
    errors.DelegationTokenNotFoundError,
    errors.DelegationTokenOwnerMismatchError,
    errors.DelegationTokenRequestNotAllowedError,
    errors.IllegalSaslStateError,
    errors.IncompatibleBrokerVersion,
    errors.InconsistentGroupProtocolError,
    errors.InvalidConfigurationError,
    errors.InvalidGroupIdError,
    errors.InvalidPartitionsError,
    errors.InvalidReplicationAssignmentError,
    errors.InvalidReplicationFactorError,
    errors.InvalidRequiredAcksError,
    errors.InvalidSessionTimeoutError,
    errors.InvalidTopicError,
    errors.KafkaConfigurationError,
    errors.PolicyViolationError,
    errors.SecurityDisabledError,
    errors.UnacceptableCredentialError,
    errors.UnrecognizedBrokerVersion,
    errors.UnsupportedAssignorError,
    errors.UnsupportedCodecError,
    errors.UnsupportedCompressionTypeError,
    errors.UnsupportedVersionError,
)


def meaning(error: BaseException) -> Meaning:
    """Return what an error of kafka-python, or of the arguments given to it, asks for."""
    if isinstance(error, INVALID):
        return Meaning.INVALID
    if isinstance(error, REBALANCING):
        return Meaning.REBALANCING
    # The client checks its arguments and files itself, with Python's own errors.
    if isinstance(error, REFUSED) or not isinstance(error, KafkaError):
        return Meaning.REFUSED
    # A closed or failed client calls everything illegal, the tries of others among it.
    if isinstance(error, errors.IllegalStateError):
        return Meaning.BROKEN
    retriable = isinstance(error, errors.RetriableError) or getattr(error, "retriable", False)
    return Meaning.AWAY if retriable else Meaning.BROKEN


def failed(error: BaseException, connection: "KafkaConnection", doing: str) -> SeedstreamError:
    """Return our error for one of kafka-python's.

    Args:
        error: What the client raised.
        connection: How it was opened.
        doing: What was being done, to be read after "Kafka at HOST:PORT:".

    Returns:
        ConfigurationError if Kafka refuses, InvalidMessageError (``too_large`` or
        ``invalid_record``) if one record is at fault, else UnavailableError.
    """
    where = f"Kafka at {connection.bootstrap_servers} ({connection.security_protocol})"
    found = meaning(error)
    if found is Meaning.REFUSED:
        return ConfigurationError(
            f"{where} cannot be used as configured, {doing}: {error!r}; check "
            f"{connection.prefix}SECURITY_PROTOCOL, the credentials, certificates and this user's "
            "rights"
        )
    if found is Meaning.INVALID:
        reason = "too_large" if isinstance(error, TOO_LARGE) else "invalid_record"
        return InvalidMessageError(reason, f"{where} rejects the record, {doing}: {error!r}")
    if found is Meaning.AWAY or isinstance(error, errors.KafkaConnectionError):
        return UnavailableError(
            f"cannot reach {where}, {doing}: {error!r}; is it running, and is "
            f"{connection.prefix}BOOTSTRAP_SERVERS right?"
        )
    return UnavailableError(f"{where} failed, {doing}: {error!r}")


def open_client(
    kind: Callable[..., ClientT],
    connection: "KafkaConnection",
    *,
    timeout_seconds: float | None = None,
    **options: object,
) -> ClientT:
    """Open a client of kafka-python: one attempt, within a bound.

    Args:
        kind: ``KafkaProducer``, ``KafkaConsumer`` or ``KafkaAdminClient``.
        connection: Where and how.
        timeout_seconds: How long the brokers may take to answer, in seconds; the connection's own
            bound unless given.
        options: Further options of that client.

    Raises:
        ConfigurationError: Kafka refuses the credentials, or an option is wrong.
        UnavailableError: No broker answers in time.
    """
    bound = connection.kafka_timeout_seconds if timeout_seconds is None else timeout_seconds
    shared = {
        "bootstrap_timeout_ms": math.ceil(bound * 1000),
        "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
    }
    try:
        return kind(**connection.client_options(), **(shared | options))
    except (KafkaError, OSError, ValueError) as error:
        raise failed(error, connection, "opening a client") from error


def reach(
    connection: "KafkaConnection", wait: Wait, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Wait until a broker accepts connections; False if the end was requested meanwhile.

    Raises:
        UnavailableError: None did in time.
    """
    give_up_at = clock() + connection.kafka_timeout_seconds
    seen = "no server given"
    while not wait(0):
        for server in connection.servers:
            host, _, port = server.rpartition(":")
            try:
                with socket.create_connection((host.strip("[]"), int(port)), STEP_SECONDS):
                    return True
            except OSError as error:
                seen = f"{server}: {error.strerror or error}"
        if clock() >= give_up_at:
            raise UnavailableError(
                f"Kafka at {connection.bootstrap_servers} not reached within "
                f"{connection.kafka_timeout_seconds:g} s: {seen}; is it running, and is "
                f"{connection.prefix}BOOTSTRAP_SERVERS right?"
            )
        wait(_RETRY_SECONDS)
    return False


def wait_for_topics(
    client: Any,
    topics: dict[str, str],
    connection: "KafkaConnection",
    wait: Wait,
    give_up_at: float,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Wait until topics exist; False if the end was requested meanwhile.

    Args:
        client: A ``KafkaProducer``, asked for their partitions.
        topics: Their names, each with the setting that names it.
        connection: How the client was opened.
        wait: Waits between two questions.
        give_up_at: When to give up, in seconds of ``clock``.
        clock: Monotonic clock, in seconds.

    Raises:
        ConfigurationError: Kafka does not let us see them.
        UnavailableError: They do not exist in time.
    """
    for topic, setting in topics.items():
        while not _exists(client, topic, connection):
            if clock() >= give_up_at:
                raise UnavailableError(
                    f"Kafka at {connection.bootstrap_servers} has no topic {topic!r} after "
                    f"{connection.kafka_timeout_seconds:g} s; create it, or name another with "
                    f"{setting}"
                )
            if wait(_RETRY_SECONDS):
                return False
    return True


def _exists(client: Any, topic: str, connection: "KafkaConnection") -> bool:
    try:
        return bool(client.partitions_for(topic))
    except KafkaError as error:
        if meaning(error) is Meaning.AWAY:
            return False
        raise failed(error, connection, f"asking for the topic {topic!r}") from error


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
    """PEM file of the CAs that sign the brokers' certificates; default: the system's CAs."""

    ssl_certfile: Path | None = None
    """PEM file of the client certificate, for mutual TLS."""

    ssl_keyfile: Path | None = None
    """PEM file of the client key, for mutual TLS."""

    ssl_password: SecretStr | None = None
    """Password of the client key."""

    ssl_check_hostname: bool = True
    """Require each broker's certificate to match its host name."""

    kafka_timeout_seconds: float = Field(default=30.0, gt=0)
    """How long to try to reach Kafka before giving up, in seconds."""

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, value: str) -> str:
        for server in value.split(","):
            host, _, port = server.strip().rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError(f"{server!r} is not HOST:PORT")
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


def tls_context(
    *,
    cafile: Path | None,
    certfile: Path | None,
    keyfile: Path | None,
    password: str | None,
    check_hostname: bool,
    prefix: str,
) -> ssl.SSLContext:
    """Return a client's TLS context, TLS 1.2 or later.

    Args:
        cafile: PEM file of the authorities that sign the brokers; None takes the system's.
        certfile: PEM file of the client's certificate, for mutual TLS.
        keyfile: PEM file of its key.
        password: Password of the key.
        check_hostname: Whether a broker's certificate must name its host.
        prefix: Prefix of the environment variables that faults name, for instance ``WORKER_``.

    Raises:
        ConfigurationError: With every file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = check_hostname
    faults = []
    try:
        if cafile is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile)
    except OSError as error:
        faults.append(_unusable(f"{prefix}SSL_CAFILE", cafile, error))
    try:
        if certfile is not None:
            # A password in any case: without one OpenSSL would ask for it on the terminal.
            context.load_cert_chain(certfile, keyfile, password or "")
    except OSError as error:
        faults.append(
            _unusable(f"{prefix}SSL_CERTFILE", certfile, error)
            + f" ({prefix}SSL_KEYFILE is {keyfile}; is {prefix}SSL_PASSWORD right?)"
        )
    if faults:
        raise ConfigurationError(faults)
    return context


def _unusable(variable: str, path: object, error: OSError) -> str:
    return f"{variable} is {path}: {error.strerror or error}; expected a readable PEM file"
