"""Results into Redis: idempotent, in order, expiring."""

from collections.abc import Sequence
from typing import Any

from contract.errors import UnavailableError
from contract.frame import session_start_ms
from contract.minutes import class_counts, minute_name
from contract.preview import wanted_width
from contract.result import Result, encode_result
from servers.redis import AS_BYTES, Client, Redis
from workers.previews import Previews
from workers.records import Entry, Outcome
from workers.sink_scripts import SEEN, SEEN_COMMANDS, STORE, STORE_COMMANDS
from workers.track_chains import TrackChains

_NO_CAMERA = "-"
"""No camera's id: its keys are asked about before there is one."""

_CONFLICT = b"conflict"
_OWN = b"own"

_MOST_RACES = 16
"""How often in a row other workers may be first with a camera; each time one of them stored."""


class RedisSink:
    """Stores batches of results.

    Args:
        server: The connection.
        ttl_seconds: Time to live of every key, in seconds.
        max_results: About how many results a stream keeps.
        tracks: Says who the instances are; None stores them as they are.
        previews: Told who is looking at which camera; None stores no pictures.
    """

    def __init__(
        self,
        server: Redis,
        *,
        ttl_seconds: int,
        max_results: int,
        tracks: TrackChains | None = None,
        previews: Previews | None = None,
    ) -> None:
        self._server = server
        self._results = server.connection.result_keys
        self._tracks = tracks
        self._previews = previews
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
            keys, channel = self._keys(_NO_CAMERA)
            pipeline.execute_command("EVAL", STORE_COMMANDS, len(keys), *keys, channel)
            pipeline.execute_command("EVAL", SEEN_COMMANDS, 1, self._results.cameras)
            pipeline.execute()

        self._server.attempt("reach", ask)

    def store(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Store results; those of one camera in the order given, all or nothing.

        A repetition after a lost answer finds its own entries; they count as stored. With tracks,
        what was computed from another state than Redis holds is computed again from that one.

        Returns:
            What became of each result.

        Raises:
            ConfigurationError: The server refuses the credentials or the commands.
            UnavailableError: Not all are stored, and their cameras noted, in time, or others stored
                frames of a camera all the while; repeating the call is safe.
        """
        by_camera: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            by_camera.setdefault(entry.result.camera, []).append(index)
        batches = [
            _Batch([entries[index] for index in group], self._tracks)
            for group in by_camera.values()
        ]

        def send(client: Client) -> None:
            left = [batch for batch in batches if batch.left]
            while True:
                self._send(client, left, list(by_camera))
                left = [batch for batch in left if batch.left]
                if not left:
                    return

        if entries:
            self._server.attempt("store results in", send)
        outcomes = {
            index: outcome
            for group, batch in zip(by_camera.values(), batches, strict=True)
            for index, outcome in zip(group, batch.outcomes, strict=True)
        }
        return [outcomes[index] for index in range(len(entries))]

    def give_up(self) -> None:
        """End a ``store`` that still tries, from another thread: it raises UnavailableError."""
        self._server.give_up()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _send(self, client: Client, batches: Sequence["_Batch"], cameras: Sequence[str]) -> None:
        """Send one script for each camera, then note that all were seen.

        One camera's keys lie in one slot, so its script is atomic in a cluster too. Redis compiles
        a script once and finds it by its hash; sent as EVAL, there is no NOSCRIPT to heal after a
        failover, and a cluster's pipeline takes it (it refuses EVALSHA).
        """
        pipeline = client.pipeline(transaction=False)
        for batch in batches:
            keys, channel = self._keys(batch.camera)
            given = (channel, self._max_results, self._ttl_seconds)
            pipeline.execute_command(
                *("EVAL", STORE, len(keys), *keys, *given, *batch.arguments()),
                **AS_BYTES,
            )
        pipeline.execute_command(
            "EVAL", SEEN, 1, self._results.cameras, self._ttl_seconds, *cameras
        )
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        for batch, answer in zip(batches, answers, strict=False):
            if not isinstance(answer, Exception):
                watched, *told = answer
                if self._previews is not None:
                    self._previews.watched(batch.camera, wanted_width(watched))
                batch.take(told)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer

    def _keys(self, camera: str) -> tuple[list[str], str]:
        """Return the keys of a camera, and the channel of its previews, empty where none are."""
        of = self._results
        keys = [of.results(camera), of.latest(camera), of.sessions(camera), of.minutes(camera)]
        if self._tracks is not None:
            keys.append(of.tracks(camera))
        if self._previews is None:
            return keys, ""
        return [*keys, of.preview(camera), of.watch(camera)], of.previews_channel(camera)


class _Batch:
    """The results of one camera on their way to Redis.

    Attributes:
        camera: Its id.
        outcomes: What became of the first of them.
    """

    def __init__(self, entries: Sequence[Entry], tracks: TrackChains | None) -> None:
        self.camera = entries[0].result.camera
        self.outcomes: list[Outcome] = []
        self._entries = entries
        self._tracks = tracks
        self._links = [] if tracks is None else tracks.chain(entries)
        self._unanswered = 0
        self._races_lost = 0

    @property
    def left(self) -> Sequence[Entry]:
        """Those of which it is not known what became of them."""
        return self._entries[len(self.outcomes) :]

    def arguments(self) -> list[str | int | bytes]:
        """Return what the script is told of what is left; to be called each time it is sent."""
        self._unanswered += 1
        newest = next((entry for entry in reversed(self.left) if entry.jpeg), None)
        jpegs = [entry.jpeg if entry is newest else b"" for entry in self.left]
        if self._tracks is None:
            return [
                part
                for entry, jpeg in zip(self.left, jpegs, strict=True)
                for part in _arguments(entry, entry.result, jpeg)
            ]
        return [
            part
            for entry, link, jpeg in zip(self.left, self._links, jpegs, strict=True)
            for part in (*_arguments(entry, link.result, jpeg), link.base, link.token, link.text)
        ]

    def take(self, answer: Sequence[bytes]) -> None:
        """Take the script's answer, without what it says about who is looking.

        Raises:
            UnavailableError: Others stored frames of the camera first, again and again.
        """
        repeated, self._unanswered = self._unanswered > 1, 0
        words, conflict = list(answer), []
        if _CONFLICT in words:
            at = words.index(_CONFLICT)
            words, conflict = words[:at], words[at + 1 :]
        outcomes = [_outcome(word, repeated=repeated) for word in words]
        self.outcomes += outcomes
        if self._tracks is None:
            return
        for link, outcome in zip(self._links, outcomes, strict=False):
            if outcome.stored:
                self._tracks.stored(link)
        if conflict:
            self._races_lost = 0 if outcomes else self._races_lost + 1
            if self._races_lost >= _MOST_RACES:
                raise UnavailableError(
                    f"others changed the tracks of camera {self.camera} {_MOST_RACES} times before "
                    "a result of it could be stored: expected the workers of one consumer group "
                    "to store it; do two groups share WORKER_RESULT_PREFIX?"
                )
            self._tracks.adopt(self.camera, *conflict)
            self._links = self._tracks.chain(self.left)


def _arguments(entry: Entry, result: Result, jpeg: bytes) -> tuple[str | int | bytes, ...]:
    return (
        result.session,
        session_start_ms(result.session),
        result.sequence,
        entry.log,
        entry.position,
        int(result.processed_at.timestamp() * 1000),
        encode_result(result),
        minute_name(result.captured_at),
        class_counts(result.instances),
        jpeg,
    )


def _outcome(answer: bytes, *, repeated: bool) -> Outcome:
    if answer == _OWN:
        # After a lost answer, the entry found is the one that this call wrote before; that of
        # another worker is a duplicate, also then.
        return Outcome.STORED if repeated else Outcome.DUPLICATE
    return Outcome(answer.decode())
