"""Results into Redis: idempotent, in order, expiring."""

from collections.abc import Sequence
from typing import Any

from contract.frame import session_start_ms
from contract.result import (
    CAMERAS_KEY,
    encode_result,
    latest_key,
    results_key,
    sessions_key,
)
from servers.redis import Client, Redis
from workers.records import Entry, Outcome
from workers.sink_scripts import SEEN, SEEN_COMMANDS, STORE, STORE_COMMANDS

_NO_CAMERA = "-"
"""No camera's id: its keys are asked about before there is one."""


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
        """Reach the server, and ask whether it lets us run what we need.

        Raises:
            ConfigurationError: It refuses the credentials or the commands, or is no cluster though
                asked for.
            UnavailableError: It does not answer in time.
        """

        def ask(client: Client) -> None:
            client.ping()
            pipeline = client.pipeline(transaction=False)
            for script, keys in (
                (STORE_COMMANDS, _keys(_NO_CAMERA)),
                (SEEN_COMMANDS, (CAMERAS_KEY,)),
            ):
                pipeline.execute_command("EVAL", script, len(keys), *keys)
            pipeline.execute()

        self._server.attempt("reach", ask)

    def store(self, entries: Sequence[Entry]) -> list[Outcome]:
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
        for index, entry in enumerate(entries):
            by_camera.setdefault(entry.result.camera, []).append(index)

        attempts = 0

        def send(client: Client) -> None:
            nonlocal attempts
            repeated, attempts = attempts > 0, attempts + 1
            left = [group for group in by_camera.values() if group[0] not in outcomes]
            answers = self._send(
                client, [[entries[index] for index in group] for group in left], list(by_camera)
            )
            for group, answer in zip(left, answers, strict=False):
                if not isinstance(answer, Exception):
                    found = (_outcome(text, repeated=repeated) for text in answer)
                    outcomes.update(zip(group, found, strict=True))
            if failures := [answer for answer in answers if isinstance(answer, Exception)]:
                raise failures[0]

        if entries:
            self._server.attempt("store results in", send)
        return [outcomes[index] for index in range(len(entries))]

    def give_up(self) -> None:
        """End a ``store`` that still tries, from another thread: it raises UnavailableError."""
        self._server.give_up()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _send(
        self, client: Client, groups: Sequence[Sequence[Entry]], cameras: Sequence[str]
    ) -> list[Any]:
        """Send one script for each camera, then note that all were seen; answers in order.

        One camera's keys lie in one slot, so its script is atomic in a cluster too. Redis compiles
        a script once and finds it by its hash; sent as EVAL, there is no NOSCRIPT to heal after a
        failover, and a cluster's pipeline takes it (it refuses EVALSHA).
        """
        pipeline = client.pipeline(transaction=False)
        for group in groups:
            keys = _keys(group[0].result.camera)
            arguments = [part for entry in group for part in _arguments(entry)]
            limits = (self._max_results, self._ttl_seconds)
            pipeline.execute_command("EVAL", STORE, len(keys), *keys, *limits, *arguments)
        pipeline.execute_command("EVAL", SEEN, 1, CAMERAS_KEY, self._ttl_seconds, *cameras)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers


def _keys(camera: str) -> tuple[str, str, str]:
    return results_key(camera), latest_key(camera), sessions_key(camera)


def _arguments(entry: Entry) -> tuple[str | int | bytes, ...]:
    result = entry.result
    return (
        result.session,
        session_start_ms(result.session),
        result.sequence,
        entry.log,
        entry.position,
        int(result.processed_at.timestamp() * 1000),
        encode_result(result),
    )


def _outcome(answer: Any, *, repeated: bool) -> Outcome:
    text = answer.decode() if isinstance(answer, bytes) else str(answer)
    outcome = Outcome(text)
    # After a lost answer, the entry found is the one that this call wrote before.
    return Outcome.STORED if repeated and outcome is Outcome.DUPLICATE else outcome
