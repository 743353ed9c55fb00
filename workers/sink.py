"""Results into Redis: idempotent, in order, expiring."""

import enum
from collections.abc import Sequence
from typing import Any

from contract.result import (
    CAMERAS_KEY,
    DOCUMENT_FIELD,
    Result,
    encode_result,
    latest_key,
    results_key,
    stream_id,
)
from servers.redis import Client, Redis

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


class Outcome(enum.Enum):
    """What became of a result."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """The stream already has the frame's result: a redelivery."""
    OUT_OF_ORDER = "out_of_order"
    """The stream has newer results and not this one: the camera's clock stepped back between two
    sessions, two producers send under one camera id, or the result was trimmed long ago."""


class RedisSink:
    """Stores batches of results.

    Args:
        server: The connection.
        ttl_seconds: Time to live of every key, in seconds.
        max_results: About how many results a stream keeps.
    """

    def __init__(self, server: Redis, *, ttl_seconds: int, max_results: int) -> None:
        self._server = server
        self._ttl_seconds = ttl_seconds
        self._max_results = max_results

    def start(self) -> None:
        """Reach the server.

        Raises:
            ConfigurationError: It refuses the credentials, or is no cluster though asked for.
            UnavailableError: It does not answer in time.
        """
        self._server.attempt("reach", lambda client: client.ping())

    def store(self, results: Sequence[Result]) -> list[Outcome]:
        """Store results; those of one camera in the order given, all or nothing.

        A repetition after a lost answer finds its own entries; they count as stored.

        Returns:
            What became of each result.

        Raises:
            ConfigurationError: The server refuses the credentials or the commands.
            UnavailableError: Not all are stored, and their cameras noted, in time; repeating the
                call is safe.
        """
        outcomes: dict[int, Outcome] = {}
        by_camera: dict[str, list[int]] = {}
        for index, result in enumerate(results):
            by_camera.setdefault(result.camera, []).append(index)

        attempts = 0

        def send(client: Client) -> None:
            nonlocal attempts
            repeated, attempts = attempts > 0, attempts + 1
            left = [group for group in by_camera.values() if group[0] not in outcomes]
            newest = [results[group[-1]] for group in by_camera.values()]
            answers = self._send(
                client, [[results[index] for index in group] for group in left], newest
            )
            for group, answer in zip(left, answers, strict=False):
                if not isinstance(answer, Exception):
                    found = (_outcome(text, repeated=repeated) for text in answer)
                    outcomes.update(zip(group, found, strict=True))
            if failures := [answer for answer in answers if isinstance(answer, Exception)]:
                raise failures[0]

        if results:
            self._server.attempt("store results in", send)
        return [outcomes[index] for index in range(len(results))]

    def give_up(self) -> None:
        """End a ``store`` that still tries, from another thread: it raises UnavailableError."""
        self._server.give_up()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _send(
        self, client: Client, groups: Sequence[Sequence[Result]], newest: Sequence[Result]
    ) -> list[Any]:
        """Send one script for each camera, then note when each was last seen; answers in order."""
        pipeline = client.pipeline(transaction=False)
        for group in groups:
            camera = group[0].camera
            documents = [part for r in group for part in (stream_id(r), encode_result(r))]
            keys = (results_key(camera), latest_key(camera))
            limits = (self._max_results, self._ttl_seconds, DOCUMENT_FIELD)
            pipeline.execute_command("EVAL", _STORE, len(keys), *keys, *limits, *documents)
        seen = {result.camera: result.processed_at.timestamp() for result in newest}
        gone_before = max(seen.values()) - self._ttl_seconds
        pipeline.zadd(CAMERAS_KEY, seen, gt=True)
        pipeline.zremrangebyscore(CAMERAS_KEY, "-inf", f"({gone_before}")
        pipeline.expire(CAMERAS_KEY, self._ttl_seconds)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers


def _outcome(answer: Any, *, repeated: bool) -> Outcome:
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    outcome = Outcome(text)
    # After a lost answer, the entry found is the one that this call wrote before.
    return Outcome.STORED if repeated and outcome is Outcome.DUPLICATE else outcome
