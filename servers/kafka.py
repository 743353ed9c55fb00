"""The door to Kafka: opening within a bound, and what each error means.

Every process opens its clients here and lets its errors be read here. Library: kafka-python 3.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from kafka import KafkaAdminClient, errors

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from servers.kafka_connection import KafkaConnection
from servers.kafka_knocking import knock, refused, what_to_check
from servers.kafka_meaning import (
    DENIED,
    REBALANCING,
    REFUSED,
    TOO_LARGE,
    Meaning,
    may_pass,
    meaning,
    refusal_within,
    within_broker,
)
from servers.kafka_network import network_client, watch_brokers
from servers.kafka_visit import STEP_SECONDS, Visit, read_refusal, topic_error
from servers.refusals import PASSING_SECONDS, Hearing

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
    "heard_twice",
    "knock",
    "may_pass",
    "meaning",
    "missing_topic",
    "open_client",
    "reach",
    "refusal_within",
    "refused",
    "wait_for_topics",
    "watch_brokers",
    "within_broker",
]

KafkaError = errors.KafkaError
KafkaTimeoutError = errors.KafkaTimeoutError
TopicAlreadyExistsError = errors.TopicAlreadyExistsError
ClientT = TypeVar("ClientT")
AnswerT = TypeVar("AnswerT")

Wait = Callable[[float], bool]
"""Waits at most so many seconds; returns whether the end of the process is requested."""

_RETRY_SECONDS = 0.5
_RECONNECT_MAX_MS = 2_000
"""kafka-python's own bound of 30 s would leave a client away long after its broker is back."""

REQUEST_SECONDS = 10.0
"""How long one request may take. A broker that has moved to another address, without a last word
from the old one, is looked for anew after this; kafka-python's own bound is 30 s."""


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
        return ConfigurationError(
            f"{where} cannot be used as configured, {doing}: {refusal or repr(error)}; "
            f"{what_to_check(refusal, connection)}"
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
                "kafka_client": partial(network_client, first=_admitting(visits, connection)),
            }
            if kind is not KafkaAdminClient:  # which knows no such option
                shared["metrics_enabled"] = False  # unread, and a tenth of a producer's own work
            return kind(**connection.client_options(), **(shared | options))
        except KafkaTimeoutError as error:
            if clock() >= give_up_at:
                raise failed(error, connection, "opening a client") from error
        except (KafkaError, OSError, ValueError) as error:
            raise failed(error, connection, "opening a client") from error
        time.sleep(min(_RETRY_SECONDS, max(0.0, give_up_at - clock())))


def _admitting(visits: Sequence[Visit], connection: KafkaConnection) -> str | None:
    """Return the server of the settings that has let us in, None if none has."""
    admitted = [each.server for each in visits if each.outcome == "admitted"]
    return next((each for each in admitted if each in connection.servers), None)


def heard_twice(ask: Callable[[], AnswerT], sleep: Callable[[float], object]) -> AnswerT:
    """Ask Kafka something, and once more, 2 s later, after a refusal that may pass.

    Args:
        ask: Called once or twice.
        sleep: Waits so many seconds.

    Raises:
        KafkaError: What the last call raised.
    """
    try:
        return ask()
    except KafkaError as error:
        if not may_pass(error):
            raise
    sleep(PASSING_SECONDS)
    return ask()


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
        visits = knock(connection, sleep=wait)
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
        hearing = Hearing(clock)
        while True:
            try:
                if client.partitions_for(topic):
                    break
                hearing.over()
            except KafkaError as error:
                if meaning(error) is Meaning.AWAY:
                    hearing.over()
                elif hearing.counts(may_pass=may_pass(error)):
                    raise failed(error, connection, f"asking for the topic {topic!r}") from error
            if not hearing.pending and clock() >= give_up_at:
                raise UnavailableError(
                    f"Kafka at {connection.bootstrap_servers} has no topic {topic!r} after "
                    f"{connection.kafka_timeout_seconds:g} s; create it, or name another with "
                    f"{setting}"
                )
            if wait(_RETRY_SECONDS):
                return False
    return True
