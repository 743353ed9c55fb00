"""One visit to a Kafka server: whether it lets us in, and if not, what a person must mend.

kafka-python tries again for ever whatever a broker answers, and keeps the reason to its log: so we
knock first, with one connection of the same library. A server counts as refusing only by what it
has answered. One that is silent, or that ends the connection, may be restarting.

Library: kafka-python 3, whose connection manager has the errors that its clients swallow.
"""

import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kafka import errors
from kafka.net.selector import NetworkSelector
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.sasl import SaslHandshakeRequest

from servers import host_names
from servers.kafka_connection import KafkaConnection
from servers.kafka_meaning import Meaning, meaning, refusal_within
from servers.kafka_network import Manager
from servers.refusals import About, Refusal, causes
from servers.strangers import stranger
from servers.tls import answers_tls, tls_refusal

STEP_SECONDS = 2.0
"""How long one attempt to connect, and each answer, may take."""

_NODE = "bootstrap-0"
_FAILURES = (
    errors.KafkaError,
    OSError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
"""What a connection raises; all but the first two where an answer makes no sense."""

Address = tuple[str, int]


@dataclass(frozen=True)
class Visit:
    """What came of it.

    Attributes:
        server: HOST:PORT.
        outcome: ``admitted``; ``refused``: it answers, and does not let us in, or its
            name, as a broker may advertise it, is none; ``silent``: it is
            reached, and says nothing that could be understood; ``absent``: it is not reached.
        seen: What was seen, unless it was admitted.
        refusal: What a person must mend.
        brokers: The brokers that it named, as clients are told to reach them.
    """

    server: str
    outcome: Literal["admitted", "refused", "silent", "absent"]
    seen: str = ""
    refusal: Refusal | None = None
    brokers: tuple[str, ...] = ()


def visit(connection: KafkaConnection, server: str, timeout_seconds: float = STEP_SECONDS) -> Visit:
    """Connect to a server as a client would, ask for its brokers, and leave.

    Args:
        connection: How.
        server: HOST:PORT.
        timeout_seconds: How long each step may take; there are at most a dozen.

    Raises:
        ConfigurationError: A TLS file cannot be used.
    """
    host, _, port = server.rpartition(":")
    address = (host.strip("[]"), int(port))
    try:
        socket.create_connection(address, timeout_seconds).close()
    except OSError as error:
        return Visit(server, "absent", error.strerror or str(error))
    except UnicodeError:
        said = f"{host!r} is none: {host_names.WHY}"
        return Visit(server, "refused", said, Refusal(About.HOST_NAME, said))
    try:
        brokers = _ask(server, connection.client_options(), timeout_seconds, _brokers)
    except _FAILURES as error:
        refusal = read_refusal(error, connection)
        if refusal is None or refusal.about is About.PROTOCOL:
            tls = connection.security_protocol.endswith("SSL")
            refusal = (
                stranger("Kafka", address, timeout_seconds / 2, tls=tls)
                or refusal
                or _other_protocol(connection, server, address, timeout_seconds)
            )
        return Visit(server, "silent" if refusal is None else "refused", _seen(error), refusal)
    return Visit(server, "admitted", brokers=tuple(brokers))


def read_refusal(error: BaseException, connection: KafkaConnection) -> Refusal | None:
    """Return what a person must mend, None if an error of kafka-python asks for nothing of it."""
    if (found := tls_refusal(error)) is not None:
        return found
    seen = _seen(error)
    error = refusal_within(error) or error
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return Refusal(About.MECHANISM, f"it does not take {connection.sasl_mechanism}: {seen}")
    if isinstance(error, errors.SaslAuthenticationFailedError):
        user = connection.sasl_username
        said = f"user {user!r} is unknown, or the password is not this user's: {seen}"
        return Refusal(About.CREDENTIALS, said)
    if isinstance(error, errors.IllegalSaslStateError):
        return Refusal(About.PROTOCOL, f"it takes no credentials (SASL) on this port: {seen}")
    if isinstance(error, errors.AuthorizationError):
        return Refusal(About.RIGHTS, seen)
    if isinstance(error, errors.KafkaError) and meaning(error) is Meaning.REFUSED:
        return Refusal(About.SETTINGS, seen)
    return None


def _other_protocol(
    connection: KafkaConnection, server: str, address: Address, timeout_seconds: float
) -> Refusal | None:
    """Return with what the server can be reached instead, if it shows so itself."""
    ours, options = connection.security_protocol, connection.client_options()
    tls = ours.endswith("SSL")
    if not tls and answers_tls(address, timeout_seconds):
        return Refusal(About.PROTOCOL, f"it speaks TLS on this port, and {ours} does not")
    if not ours.startswith("SASL_") and _demands_credentials(server, options, timeout_seconds):
        said = f"it demands credentials (SASL) on this port, and {ours} has none"
        return Refusal(About.PROTOCOL, said)
    if tls:
        with contextlib.suppress(*_FAILURES):
            _ask(server, {"security_protocol": "PLAINTEXT"}, timeout_seconds, _greeting)
            return Refusal(About.PROTOCOL, f"it speaks no TLS on this port, and {ours} does")
    return None


def topic_error(
    connection: KafkaConnection, topic: str, timeout_seconds: float = STEP_SECONDS
) -> errors.KafkaError | None:
    """Return what Kafka says of a topic that a consumer does not find; None without an answer.

    A consumer asks for all topics, and is told of those alone that it may see.
    """

    async def ask(manager: Manager, client: Any, timeout_ms: float) -> list[Any]:
        request = MetadataRequest(
            topics=[MetadataRequest.MetadataRequestTopic(name=topic)],
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        answer = await manager.wait_for(client.send_request(request), timeout_ms)
        return [errors.for_code(each.error_code)(topic) for each in answer.topics]

    for server in connection.servers:
        with contextlib.suppress(*_FAILURES):
            found = _ask(server, connection.client_options(), timeout_seconds, ask)
            return next((each for each in found if not isinstance(each, errors.NoError)), None)
    return None


def _demands_credentials(server: str, options: dict[str, Any], timeout_seconds: float) -> bool:
    with contextlib.suppress(*_FAILURES):
        return bool(_ask(server, options, timeout_seconds, _mechanisms))
    return False


Question = Callable[[Manager, Any, float], Awaitable[list[Any]]]


async def _greeting(_manager: Manager, _client: Any, _ms: float) -> list[str]:
    return []


async def _brokers(manager: Manager, client: Any, timeout_ms: float) -> list[str]:
    answer = await manager.wait_for(
        client.send_request(manager.cluster.metadata_request()), timeout_ms
    )
    return [f"{_bracketed(each.host)}:{each.port}" for each in answer.brokers]


async def _mechanisms(manager: Manager, client: Any, timeout_ms: float) -> list[str]:
    # No mechanism has this name, so the server lists its own: those with SASL have some.
    request = SaslHandshakeRequest(mechanism="WHICH", max_version=1)
    answer = await manager.wait_for(client.send_request(request), timeout_ms)
    return list(answer.mechanisms)


def _ask(
    server: str, options: dict[str, Any], timeout_seconds: float, question: Question
) -> list[Any]:
    """Open one connection, ask one question, close it; raises what the library does."""
    timeout_ms = timeout_seconds * 1000
    with _manager(server, options, timeout_ms) as manager:

        async def ask() -> list[Any]:
            client = manager.get_connection(
                _NODE, timeout_ms=timeout_ms, refresh_metadata_on_err=False
            )
            # The library itself would wait for ever for a TLS handshake.
            await manager.wait_for(client.init_future, 2 * timeout_ms)
            return list(await question(manager, client, timeout_ms))

        answer: list[Any] = manager.run(ask)
        return answer


@contextlib.contextmanager
def _manager(server: str, options: dict[str, Any], timeout_ms: float) -> Iterator[Manager]:
    net = NetworkSelector()
    manager = Manager(
        net,
        **(options | {"bootstrap_servers": [server], "request_timeout_ms": timeout_ms}),
    )
    try:
        yield manager
    finally:
        manager.close()
        net.close()


def _seen(error: BaseException) -> str:
    """Return an error's text, or that of what it was raised from."""
    return next((text for each in causes(error) if (text := str(each))), type(error).__name__)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
