"""Whether Redis speaks TLS on its port, and what it has answered that a person must mend.

redis-py calls most of it a connection error, as it calls a server that is away.
"""

import contextlib
import socket
from urllib.parse import urlsplit

from redis import exceptions

from servers.refusals import About, Refusal, causes
from servers.strangers import stranger
from servers.tls import answers_tls, tls_refusal

_STEP_SECONDS = 2.0
"""How long one step of a visit may take."""

_CREDENTIALS = (
    exceptions.AuthenticationError,
    exceptions.AuthenticationWrongNumberOfArgsError,
    exceptions.AuthorizationError,
    exceptions.ExternalAuthProviderError,
)
_DENIED_IN_A_SCRIPT = ("ACL failure in script", "The user executing the script can't")
"""What Valkey and Redis say when a command inside a script is denied, without a code of its own."""

_NO_CLUSTER = "cluster support disabled"
"""redis-py says "Cluster mode is not enabled" whatever a node answers: that it is busy, too."""

_WRONG_TYPE = "WRONGTYPE"


def read_refusal(error: BaseException) -> Refusal | None:
    """Return what a person must mend, None if an error of redis-py asks for nothing of it."""
    if (found := tls_refusal(error)) is not None:
        return found
    # A cluster's error is made of what the last node that was asked has answered: so the innermost
    # first.
    for each in reversed(list(causes(error))):
        denied = isinstance(each, exceptions.ResponseError) and any(
            text in str(each) for text in _DENIED_IN_A_SCRIPT
        )
        if denied or isinstance(each, exceptions.NoPermissionError):
            return Refusal(About.RIGHTS, str(each))
        if isinstance(each, _CREDENTIALS):
            return Refusal(About.CREDENTIALS, str(each))
        # The server is a node of a cluster, and was opened as a single one.
        if isinstance(each, exceptions.MovedError):
            return Refusal(About.SETTINGS, f"it is a Redis Cluster: {each}")
        if isinstance(each, exceptions.ResponseError) and _NO_CLUSTER in str(each):
            return Refusal(About.SETTINGS, f"it is no Redis Cluster: {each}")
        if isinstance(each, exceptions.ResponseError) and _WRONG_TYPE in str(each):
            return Refusal(About.KEY, str(each))
        if isinstance(each, exceptions.ResponseError) and str(each).startswith("DENIED"):
            return Refusal(About.CREDENTIALS, str(each).partition(".")[0])
    return None


def lost(error: BaseException) -> bool:
    """Return whether the server may not have answered at all, or not as a Redis."""
    kinds = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse)
    return any(isinstance(each, kinds) for each in causes(error))


def other_protocol(url: str) -> Refusal | None:
    """Ask a server whether it is no Redis, or can be reached with TLS only, or without TLS only.

    Args:
        url: Its address, as redis-py takes it.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix" or not parts.hostname:
        return None
    address = (parts.hostname, parts.port or 6379)
    if parts.scheme == "redis" and answers_tls(address, _STEP_SECONDS):
        return Refusal(About.PROTOCOL, "it speaks TLS on this port, and redis:// does not")
    if parts.scheme == "rediss" and _answers_plainly(address):
        return Refusal(About.PROTOCOL, "it speaks no TLS on this port, and rediss:// does")
    return stranger("Redis", address, _STEP_SECONDS / 2, tls=parts.scheme == "rediss")


def _answers_plainly(address: tuple[str, int]) -> bool:
    with (
        contextlib.suppress(OSError, UnicodeError),
        socket.create_connection(address, _STEP_SECONDS) as plain,
    ):
        plain.sendall(b"PING\r\n")
        # "+PONG", "-NOAUTH ..." or "-LOADING ...".
        return plain.recv(1) in (b"+", b"-")
    return False
