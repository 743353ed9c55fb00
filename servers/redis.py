"""The door to Redis: opening, retrying within a bound, and what each error means.

Library: redis-py.
"""

import enum
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import redis
from redis import backoff, exceptions, retry
from redis.client import NEVER_DECODE
from redis.cluster import RedisCluster

from contract.errors import (
    ConfigurationError,
    InvalidMessageError,
    SeedstreamError,
    UnavailableError,
)
from servers.presence import Presence
from servers.redis_connection import ERRORS, RedisConnection
from servers.redis_nodes import Node, ask_for_slots, first_that_answers
from servers.redis_visit import lost, other_protocol, read_refusal
from servers.refusals import About, Hearing, Refusal

log = logging.getLogger(__name__)

Client = redis.Redis | RedisCluster
T = TypeVar("T")

AS_BYTES: Mapping[str, Any] = {NEVER_DECODE: True}
"""Options of a command whose answer is no text, whatever options the URL has."""

_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 2.0
_ANSWER_SECONDS = 5.0


class Meaning(enum.Enum):
    """What an error of Redis asks for."""

    AWAY = "away"
    """It does not answer, or not now: try again, within a bound."""
    REFUSED = "refused"
    """It does not let us, or is no such server: a person must change a setting or a right."""
    INVALID = "invalid"
    """This one command cannot be carried out, now or later."""


INVALID = (
    exceptions.ChildDeadlockedError,
    exceptions.ClusterCrossSlotError,
    exceptions.CrossSlotTransactionError,
    exceptions.DataError,
    exceptions.ExecAbortError,
    exceptions.IncorrectPolicyType,
    exceptions.InvalidPipelineStack,
    exceptions.LockError,
    exceptions.ModuleError,
    exceptions.NoScriptError,
    exceptions.NoSuchFieldsetError,
    exceptions.PubSubError,
    exceptions.WatchError,
)


_CHECK = {
    About.CA: "check ssl_ca_certs in {prefix}REDIS_URL",
    About.CERTIFICATE: "renew the server's certificate, or set this machine's clock",
    About.CLIENT_CERTIFICATE: "check ssl_certfile and ssl_keyfile in {prefix}REDIS_URL",
    About.CREDENTIALS: "check {prefix}REDIS_USERNAME and {prefix}REDIS_PASSWORD, or those in "
    "{prefix}REDIS_URL",
    About.HOST_NAME: "check the host in {prefix}REDIS_URL and the names in its certificate",
    About.KEY: "another application writes there: give Seedstream a database of its own with "
    "{prefix}REDIS_URL, or delete the key",
    About.MECHANISM: "check {prefix}REDIS_URL",
    About.PROTOCOL: "check scheme (redis://, rediss://) and port of {prefix}REDIS_URL",
    About.RIGHTS: "grant this user the permissions on ~{keys}:* and &{keys}:*",
    About.SETTINGS: "check {prefix}REDIS_URL and {prefix}REDIS_CLUSTER",
}


def meaning(error: BaseException) -> Meaning:
    """Return what an error of redis-py asks for."""
    if read_refusal(error) is not None:
        return Meaning.REFUSED
    return Meaning.INVALID if isinstance(error, INVALID) else Meaning.AWAY


def open_redis(connection: RedisConnection, nodes: Sequence[Node] = ()) -> Client:
    """Return a client; nothing is sent yet, except that a cluster is asked for its nodes.

    Args:
        connection: Where and how.
        nodes: Nodes of the cluster that are asked besides the one in the URL, which may be gone.

    One answer is waited for at most 5 s; repeating is left to :class:`Redis`.

    Raises:
        ERRORS: The cluster does not answer.
    """
    answer_seconds = min(connection.redis_timeout_seconds, _ANSWER_SECONDS)
    options: dict[str, Any] = {
        "socket_timeout": answer_seconds,
        "socket_connect_timeout": answer_seconds,
        "retry": retry.Retry(backoff.NoBackoff(), 0),
    }
    if connection.redis_username:
        options["username"] = connection.redis_username
    if connection.redis_password:
        options["password"] = connection.redis_password.get_secret_value()
    url = connection.redis_url.get_secret_value()
    if connection.redis_cluster:
        living = first_that_answers(url, nodes, answer_seconds, ask_for_slots(options))
        return RedisCluster.from_url(living, **options)
    return redis.Redis.from_url(url, **options)


def failed(error: BaseException, connection: RedisConnection, doing: str) -> SeedstreamError:
    """Return our error for one of redis-py's.

    Args:
        error: What the client raised.
        connection: How it was opened.
        doing: What could not be done, to be read after "could not".

    Returns:
        ConfigurationError if Redis refuses, InvalidMessageError (``refused_command``) if the
        command is at fault, else UnavailableError.
    """
    where = f"Redis at {connection.redis_where}"
    found = meaning(error)
    if (refusal := read_refusal(error)) is not None:
        return refused(refusal, connection)
    if found is Meaning.INVALID:
        return InvalidMessageError("refused_command", f"could not {doing} {where}: {error!r}")
    return UnavailableError(
        f"could not {doing} {where} within {connection.redis_timeout_seconds:g} s: {error}"
    )


def refused(refusal: Refusal, connection: RedisConnection) -> ConfigurationError:
    """Return our error for a server that does not let us in, or not do what we must."""
    prefix = str(connection.model_config.get("env_prefix", ""))
    return ConfigurationError(
        f"Redis at {connection.redis_where} refuses the configured access: {refusal}; "
        f"{_CHECK[refusal.about].format(prefix=prefix, keys=connection.result_prefix)}"
    )


def _may_pass(error: BaseException) -> bool:
    refusal = read_refusal(error)
    return refusal is not None and refusal.may_pass


class Redis:
    """A connection that is opened when it is needed; each use of it is tried within a bound.

    Attributes:
        presence: Whether the server answers and does what it is asked to.

    Args:
        connection: Where and how.
        make_client: Opens the client; called again after it failed.
        clock: Monotonic clock, in seconds.
        quiet: Whether the caller itself says that Redis is away: one that tries again and again.
    """

    def __init__(
        self,
        connection: RedisConnection,
        make_client: Callable[[RedisConnection, Sequence[Node]], Client] = open_redis,
        clock: Callable[[], float] = time.monotonic,
        *,
        quiet: bool = False,
    ) -> None:
        self.connection = connection
        self._quiet = quiet
        self._make_client = make_client
        self._clock = clock
        self._client: Client | None = None
        self._nodes: list[Node] = []
        self._given_up = threading.Event()
        self._has_answered = False
        self.presence = Presence(clock)

    def attempt(self, doing: str, use: Callable[[Client], T]) -> T:
        """Use the client until that works.

        Args:
            doing: What is being done, to be read after "could not".
            use: Called with the client, again after each error of Redis'; repeating must be safe.

        Raises:
            ConfigurationError: Redis refuses.
            InvalidMessageError: The command is at fault.
            UnavailableError: It did not work within the bound, or was given up.
        """
        with self.presence.asking():
            return self._attempt(doing, use)

    def _attempt(self, doing: str, use: Callable[[Client], T]) -> T:
        give_up_at = self._clock() + self.connection.redis_timeout_seconds
        hearing = Hearing(self._clock)
        delay = _FIRST_DELAY_SECONDS
        warned = False
        while True:
            client = self._client
            try:
                if client is None:
                    self._client = client = self._make_client(self.connection, self._nodes)
                answer = use(client)
            except ERRORS as error:
                seen = error
            else:
                self._has_answered = True
                self.presence.note(answers=True)
                return answer
            self.presence.note(answers=meaning(seen) is Meaning.INVALID)
            if isinstance(client, RedisCluster):
                # The next attempt asks the cluster anew who serves which slot.
                known: list[Any] = client.get_nodes()  # type: ignore[no-untyped-call]
                self._nodes = [(node.host, node.port) for node in known]
                self.close()
            left = give_up_at - self._clock()
            if meaning(seen) is Meaning.AWAY:
                hearing.over()
            else:
                if hearing.counts(may_pass=_may_pass(seen)):
                    self._check_protocol(seen)
                    raise failed(seen, self.connection, doing) from seen
                left = min(left, hearing.remaining_seconds)
            if not warned or left <= 0:
                self._check_protocol(seen)
            if left <= 0 or self._given_up.wait(min(delay, left)):
                raise failed(seen, self.connection, doing) from seen
            if not warned:
                warned = True
                level = logging.DEBUG if self._quiet else logging.WARNING
                log.log(level, "Redis at %s: %s; trying again", self.connection.redis_where, seen)
            delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def _check_protocol(self, error: BaseException) -> None:
        """Raise if something else answers there, or one side speaks TLS and the other does not."""
        refusal = None
        if lost(error) and not self._has_answered:
            refusal = other_protocol(self.connection.redis_url.get_secret_value())
        if refusal is not None:
            raise refused(refusal, self.connection) from error

    def give_up(self) -> None:
        """End an ``attempt`` that still tries, from another thread."""
        self._given_up.set()

    def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None  # `attempt` may close it in another thread
        if client is not None:
            client.close()
