"""Results into Redis: idempotent, in order, expiring.

Library: redis-py.
"""

import enum
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
import redis.backoff
import redis.cluster
import redis.exceptions
import redis.retry

from contract.errors import ConfigurationError, UnavailableError
from contract.result import (
    CAMERAS_KEY,
    DOCUMENT_FIELD,
    Result,
    encode_result,
    latest_key,
    results_key,
    stream_id,
)

log = logging.getLogger(__name__)

Client = redis.Redis | redis.cluster.RedisCluster

# One camera's keys lie in one slot, so this is atomic in a cluster too, and a camera's results of a
# batch are stored in order or not at all. `latest` moves only when the stream does: a worker that
# comes late with an old frame cannot put the old result back.
# Redis compiles a script once and finds it by its hash; sent as EVAL, there is no NOSCRIPT to heal
# after a failover, and a cluster's pipeline takes it (it refuses EVALSHA).
_STORE = """
local max_results, ttl, field = ARGV[1], ARGV[2], ARGV[3]
local outcomes = {}
for i = 4, #ARGV, 2 do
  local id, document = ARGV[i], ARGV[i + 1]
  local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', max_results, id, field, document)
  if type(added) ~= 'table' or not added.err then
    redis.call('SET', KEYS[2], document, 'EX', ttl)
    redis.call('EXPIRE', KEYS[1], ttl)
    outcomes[#outcomes + 1] = 'stored'
  elseif not string.find(added.err, 'ID specified in XADD', 1, true) then
    return added
  elseif #redis.call('XRANGE', KEYS[1], id, id) > 0 then
    outcomes[#outcomes + 1] = 'duplicate'
  else
    outcomes[#outcomes + 1] = 'out_of_order'
  end
end
return outcomes
"""

_REFUSED = (
    redis.exceptions.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.NoPermissionError,
)
_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 2.0
_ANSWER_SECONDS = 5.0


class Outcome(enum.Enum):
    """What became of a result."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The stream already has the frame's result: a redelivery."""
    OUT_OF_ORDER = "out_of_order"
    """The stream has newer results and not this one: the camera's clock stepped back between two
    sessions, two producers send under one camera id, or the result was trimmed long ago."""


def connect(
    url: str,
    *,
    cluster: bool,
    timeout_seconds: float,
    username: str | None = None,
    password: str | None = None,
) -> Client:
    """Return a client; nothing is sent yet, except that a cluster is asked for its nodes.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        cluster: Whether the URL is a node of a Redis Cluster.
        timeout_seconds: How long the caller goes on trying; one answer is waited for at most 5 s.
        username: User, unless the URL names one.
        password: Password, unless the URL holds one.

    Raises:
        redis.exceptions.RedisError: The cluster does not answer.
    """
    options: dict[str, Any] = {
        "socket_timeout": min(timeout_seconds, _ANSWER_SECONDS),
        "socket_connect_timeout": min(timeout_seconds, _ANSWER_SECONDS),
    }
    options |= {"username": username} if username else {}
    options |= {"password": password} if password else {}
    if cluster:
        return redis.cluster.RedisCluster.from_url(url, **options)
    # The sink repeats a whole batch itself, within one bound.
    never = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    return redis.Redis.from_url(url, retry=never, **options)


class RedisSink:
    """Stores batches of results.

    Args:
        make_client: Opens the connection; called again after it failed.
        ttl_seconds: Time to live of every key, in seconds.
        max_results: About how many results a stream keeps.
        timeout_seconds: How long a batch is tried before giving up, in seconds.
        where: The server's address without credentials, for messages.
        clock: Monotonic clock, in seconds.
    """

    def __init__(
        self,
        make_client: Callable[[], Client],
        *,
        ttl_seconds: int,
        max_results: int,
        timeout_seconds: float,
        where: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_client = make_client
        self._client: Client | None = None
        self._ttl_seconds = ttl_seconds
        self._max_results = max_results
        self._timeout_seconds = timeout_seconds
        self._where = where
        self._clock = clock
        self._given_up = threading.Event()

    def start(self) -> None:
        """Reach the server.

        Raises:
            ConfigurationError: It refuses the credentials, or is no cluster though asked for.
            UnavailableError: It does not answer in time.
        """
        self._within_bound("reach", lambda attempt: self._opened().ping())

    def store(self, results: Sequence[Result]) -> list[Outcome]:
        """Store results; those of one camera in the order given, all or nothing.

        A repetition after a lost answer finds its own entries; they count as stored.

        Returns:
            What became of each result.

        Raises:
            ConfigurationError: The server refuses the credentials or the commands.
            UnavailableError: Not all are stored in time; repeating the call is safe.
        """
        outcomes: dict[int, Outcome] = {}
        by_camera: dict[str, list[int]] = {}
        for index, result in enumerate(results):
            by_camera.setdefault(result.camera, []).append(index)

        def send(attempt: int) -> None:
            groups = [group for group in by_camera.values() if group[0] not in outcomes]
            answers = self._send([[results[index] for index in group] for group in groups])
            for group, answer in zip(groups, answers, strict=False):
                if not isinstance(answer, Exception):
                    found = (_outcome(text, repeated=attempt > 0) for text in answer)
                    outcomes.update(zip(group, found, strict=True))
            failure = next((answer for answer in answers if isinstance(answer, Exception)), None)
            if failure is not None:
                raise failure

        if results:
            self._within_bound("store results in", send)
        return [outcomes[index] for index in range(len(results))]

    def give_up(self) -> None:
        """End a ``store`` that still tries, from another thread: it raises UnavailableError."""
        self._given_up.set()

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _send(self, groups: Sequence[Sequence[Result]]) -> list[Any]:
        """Send one script per camera, then note the cameras; answers in that order."""
        pipeline = self._opened().pipeline(transaction=False)
        for group in groups:
            camera = group[0].camera
            documents = [part for r in group for part in (stream_id(r), encode_result(r))]
            keys = (results_key(camera), latest_key(camera))
            limits = (self._max_results, self._ttl_seconds, DOCUMENT_FIELD)
            pipeline.execute_command("EVAL", _STORE, len(keys), *keys, *limits, *documents)
        seen = {group[-1].camera: group[-1].processed_at.timestamp() for group in groups}
        if seen:
            gone_before = max(seen.values()) - self._ttl_seconds
            pipeline.zadd(CAMERAS_KEY, seen, gt=True)
            pipeline.zremrangebyscore(CAMERAS_KEY, "-inf", f"({gone_before}")
            pipeline.expire(CAMERAS_KEY, self._ttl_seconds)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def _opened(self) -> Client:
        if self._client is None:
            self._client = self._make_client()
        return self._client

    def _within_bound(self, what: str, attempt_once: Callable[[int], object]) -> None:
        give_up_at = self._clock() + self._timeout_seconds
        delay, attempt = _FIRST_DELAY_SECONDS, 0
        while True:
            try:
                attempt_once(attempt)
                return
            except _REFUSED as error:
                raise ConfigurationError(
                    f"Redis at {self._where} refuses this worker: {error}; check WORKER_REDIS_URL, "
                    "WORKER_REDIS_USERNAME, WORKER_REDIS_PASSWORD and the user's permissions"
                ) from error
            except redis.exceptions.RedisError as error:
                seen = error
            left = give_up_at - self._clock()
            if left <= 0 or self._given_up.wait(min(delay, left)):
                raise UnavailableError(
                    f"could not {what} Redis at {self._where} within {self._timeout_seconds:g} s: "
                    f"{seen}"
                ) from seen
            if attempt == 0:
                log.warning("Redis at %s: %s; trying again", self._where, seen)
            delay, attempt = min(2 * delay, _LONGEST_DELAY_SECONDS), attempt + 1


def _outcome(answer: Any, *, repeated: bool) -> Outcome:
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    outcome = Outcome(text)
    # After a lost answer, the entry found is the one that this call wrote before.
    return Outcome.STORED if repeated and outcome is Outcome.DUPLICATE else outcome
