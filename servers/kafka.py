"""The door to Kafka: opening within a bound, and what each error means.

Every process opens its clients here and lets its errors be read here. Library: kafka-python 3.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from kafka import errors

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from servers.kafka_connection import KafkaConnection
from servers.kafka_meaning import (
    DENIED,
    REBALANCING,
    REFUSED,
    TOO_LARGE,
    Meaning,
    meaning,
    refusal_within,
)
from servers.kafka_network import network_client
from servers.kafka_visit import STEP_SECONDS, Visit, read_refusal, topic_error, visit
from servers.refusals import About, Refusal

__all__ = [
    "DENIED",
    "REBALANCING",
    "REFUSED",
    "REQUEST_SECONDS",
    "STEP_SECONDS",
    "TOO_LARGE",
    "KafkaConnection",
    "KafkaError",
    "KafkaTimeoutError",
    "Meaning",
    "TopicAlreadyExistsError",
    "Wait",
    "failed",
    "find_refusal",
    "knock",
    "meaning",
    "missing_topic",
    "open_client",
    "reach",
    "refusal_within",
    "refused",
    "wait_for_topics",
]

KafkaError = errors.KafkaError
KafkaTimeoutError = errors.KafkaTimeoutError
TopicAlreadyExistsError = errors.TopicAlreadyExistsError
ClientT = TypeVar("ClientT")

Wait = Callable[[float], bool]
"""Waits at most so many seconds; returns whether the end of the process is requested."""

_RETRY_SECONDS = 0.5
_RECONNECT_MAX_MS = 2_000
"""kafka-python's own bound of 30 s would leave a client away long after its broker is back."""

REQUEST_SECONDS = 10.0
"""How long one request may take. A broker that has moved to another address, without a last word
from the old one, is looked for anew after this; kafka-python's own bound is 30 s."""

_MOST_BROKERS = 5
"""Brokers that are visited besides the servers of the settings."""

_THOROUGH_SECONDS = 12.0
"""How long visiting one after the other may go on; a loop that must show life waits for it, and a
server that accepts connections and says nothing costs 6 s."""

_CHECK = {
    About.CA: "check {prefix}SSL_CAFILE",
    About.CERTIFICATE: "renew the broker's certificate, or set this machine's clock",
    About.CLIENT_CERTIFICATE: "check {prefix}SSL_CERTFILE and {prefix}SSL_KEYFILE",
    About.CREDENTIALS: "check {prefix}SASL_USERNAME, {prefix}SASL_PASSWORD and "
    "{prefix}SASL_MECHANISM",
    About.HOST_NAME: "check {prefix}BOOTSTRAP_SERVERS, the brokers' advertised.listeners and the "
    "names in their certificates",
    About.MECHANISM: "check {prefix}SASL_MECHANISM",
    About.PROTOCOL: "check {prefix}SECURITY_PROTOCOL and the port in {prefix}BOOTSTRAP_SERVERS",
    About.RIGHTS: "grant this user the right",
    About.SETTINGS: "check the settings",
}


def failed(error: BaseException, connection: KafkaConnection, doing: str) -> SeedstreamError:
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
        refusal = read_refusal(error, connection)
        check = _check(refusal, connection) if refusal else _CHECK[About.SETTINGS]
        return ConfigurationError(
            f"{where} cannot be used as configured, {doing}: {refusal or repr(error)}; {check}"
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


def refused(server: str, refusal: Refusal, connection: KafkaConnection) -> ConfigurationError:
    """Return our error for a server that does not let us in."""
    return ConfigurationError(
        f"Kafka at {server} ({connection.security_protocol}) does not let us in: {refusal}; "
        f"{_check(refusal, connection)}"
    )


def _check(refusal: Refusal, connection: KafkaConnection) -> str:
    return _CHECK[refusal.about].format(prefix=connection.prefix)


def open_client(
    kind: Callable[..., ClientT],
    connection: KafkaConnection,
    *,
    timeout_seconds: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    **options: object,
) -> ClientT:
    """Open a client of kafka-python within a bound.

    Args:
        kind: ``KafkaProducer``, ``KafkaConsumer`` or ``KafkaAdminClient``.
        connection: Where and how.
        timeout_seconds: How long the brokers may take to answer, in seconds; the connection's own
            bound unless given.
        clock: Monotonic clock, in seconds.
        options: Further options of that client.

    Raises:
        ConfigurationError: Kafka does not let us in, or an option is wrong; at once.
        UnavailableError: No broker answers in time.
    """
    give_up_at = clock() + (
        connection.kafka_timeout_seconds if timeout_seconds is None else timeout_seconds
    )
    while True:
        visits = knock(connection)
        left = max(give_up_at - clock(), 0.1)
        if visits[-1].outcome != "admitted":
            left = min(left, STEP_SECONDS)  # then they are visited again
        try:
            # The client would wait for ever for one that lets it connect and then says nothing.
            if all(each.outcome == "silent" for each in visits):
                raise KafkaTimeoutError(_told(visits))
            shared = {
                "bootstrap_timeout_ms": math.ceil(left * 1000),
                "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
                "request_timeout_ms": math.ceil(REQUEST_SECONDS * 1000),
                "kafka_client": network_client,
            }
            return kind(**connection.client_options(), **(shared | options))
        except KafkaTimeoutError as error:
            if clock() >= give_up_at:
                raise failed(error, connection, "opening a client") from error
        except (KafkaError, OSError, ValueError) as error:
            raise failed(error, connection, "opening a client") from error
        time.sleep(min(_RETRY_SECONDS, max(0.0, give_up_at - clock())))


def knock(
    connection: KafkaConnection,
    *,
    thorough: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[Visit]:
    """Visit the servers, and the brokers that they name, until one lets us in.

    Args:
        connection: Where and how.
        thorough: Whether one that lets us in does not make up for another that does not; then the
            visits are bounded in time.
        clock: Monotonic clock, in seconds.

    Returns:
        The visits; unless ``thorough``, the last one says whether we are let in.

    Raises:
        ConfigurationError: A server does not let us in, or a TLS file cannot be used.
    """
    visits: list[Visit] = []
    named: list[str] = []
    end = clock() + (_THOROUGH_SECONDS if thorough else math.inf)
    for server in connection.servers:
        if clock() >= end:
            break
        visits.append(visit(connection, server))
        if visits[-1].outcome == "admitted":
            visited = {each.server for each in visits}
            named = [each for each in visits[-1].brokers if each not in visited]
            if server in visits[-1].brokers and not thorough:
                return visits
            break
    for broker in named[:_MOST_BROKERS]:
        if clock() >= end:
            break
        visits.append(visit(connection, broker))
        if visits[-1].outcome == "admitted" and not thorough:
            return visits
    for each in visits:
        if each.refusal is not None:
            raise refused(each.server, each.refusal, connection)
    return visits


def missing_topic(connection: KafkaConnection, topic: str, expected: str) -> SeedstreamError:
    """Return our error for a topic that a consumer does not find: it may not be ours to see.

    Args:
        connection: How Kafka was opened.
        topic: Its name.
        expected: What it should be, for people.
    """
    error = topic_error(connection, topic)
    if error is not None and meaning(error) is Meaning.REFUSED:
        return failed(error, connection, f"asking for the topic {topic!r}, which needs READ")
    where = connection.bootstrap_servers
    return UnavailableError(
        f"Kafka at {where} has no topic {topic!r}: expected {expected}; "
        f"create it, or name another with {connection.prefix}TOPIC"
    )


def find_refusal(connection: KafkaConnection) -> ConfigurationError | None:
    """Return why Kafka, which a client has lost, does not let us in; None if it is away."""
    try:
        knock(connection, thorough=True)
    except ConfigurationError as error:
        return error
    return None


def reach(
    connection: KafkaConnection, wait: Wait, clock: Callable[[], float] = time.monotonic
) -> bool:
    """Wait until a broker lets us in; False if the end was requested meanwhile.

    Raises:
        ConfigurationError: Kafka does not let us in; at once.
        UnavailableError: No broker answered in time.
    """
    give_up_at = clock() + connection.kafka_timeout_seconds
    while not wait(0):
        visits = knock(connection)
        if visits[-1].outcome == "admitted":
            return True
        if clock() >= give_up_at:
            raise UnavailableError(
                f"Kafka at {connection.bootstrap_servers} not reached within "
                f"{connection.kafka_timeout_seconds:g} s: {_told(visits)}; is it running, and is "
                f"{connection.prefix}BOOTSTRAP_SERVERS right?"
            )
        wait(_RETRY_SECONDS)
    return False


def _told(visits: Sequence[Visit]) -> str:
    return ", ".join(f"{each.server}: {each.seen or each.outcome}" for each in visits)


def wait_for_topics(
    client: Any,
    topics: dict[str, str],
    connection: KafkaConnection,
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


def _exists(client: Any, topic: str, connection: KafkaConnection) -> bool:
    try:
        return bool(client.partitions_for(topic))
    except KafkaError as error:
        if meaning(error) is Meaning.AWAY:
            return False
        raise failed(error, connection, f"asking for the topic {topic!r}") from error
