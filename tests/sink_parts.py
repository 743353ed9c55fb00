"""A sink on a real server, results for it, and what it has stored."""

import hashlib
import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import redis
from msgspec import structs
from prometheus_client import CollectorRegistry
from pydantic_settings import BaseSettings, SettingsConfigDict

from contract.minutes import KEPT_MINUTES, ClassCount, Minute
from contract.result import DOCUMENT_FIELD, Instance, ModelReference, Result, decode_result
from segmentation.instances import ArrayMask, Instances
from servers.redis import Client, Node, Redis, open_redis
from servers.redis_connection import RedisConnection
from tests.default_keys import KEYS
from tests.fakes import SESSION
from tracking import Moment, State, advance, observe
from tracking.state import encode_state
from workers.metrics import WorkerMetrics
from workers.previews import Previews
from workers.records import Entry, Sighting
from workers.sink import RedisSink
from workers.track_chains import TrackChains

TTL_SECONDS = 100
CAPTURED_AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
_numbers = itertools.count(1)


class ToRedis(RedisConnection, BaseSettings):
    model_config = SettingsConfigDict(env_prefix="WORKER_")


def make_session(start_seconds: float) -> str:
    """Return a session that began at a time, in seconds since 1970."""
    start_ms = int(start_seconds * 1000)
    value = start_ms << 80 | 0x7 << 76 | 0b10 << 62 | next(_numbers)
    return str(uuid.UUID(int=value))


def make_entry(
    camera: str,
    sequence: int,
    session: str = SESSION,
    *,
    log: str = "",
    position: int = 0,
) -> Entry:
    """Return a result without instances; without ``log`` the clocks decide its order."""
    now = datetime.now(UTC)
    return Entry(_result(camera, sequence, session, now), log, position)


def make_tracked(
    camera: str,
    sequence: int,
    session: str = SESSION,
    *,
    seconds: float = 0.0,
    lanes: Sequence[int] = (0, 1),
    position: int | None = None,
) -> Entry:
    """Return a result whose instances can be tracked; Kafka's order is that of the positions.

    Args:
        camera: Camera id.
        sequence: Number of the frame, captured 0.1 s after the one before.
        session: Session id.
        seconds: How much later it was captured than the sequence says.
        lanes: Where its objects walk to the right, 1 pixel a frame; two lanes do not overlap.
        position: Kafka's offset; the sequence unless set.
    """
    captured_at = CAPTURED_AT + timedelta(seconds=seconds + 0.1 * sequence)
    shape = np.zeros((max(48, 12 * len(lanes)), 64), np.int32)
    boxes = [(4 + sequence % 40, 12 * lane + 2, 12, 8) for lane in lanes]
    for number, (x, y, width, height) in enumerate(boxes, 1):
        shape[y : y + height, x : x + width] = number
    instances = Instances.of(
        shape.shape,
        ("person",),
        classes=[0] * len(boxes),
        scores=[0.9] * len(boxes),
        centers=[(x + width / 2, y + height / 2) for x, y, width, height in boxes],
        areas=[width * height for _, _, width, height in boxes],
        masks=[ArrayMask.cut(shape, number, box) for number, box in enumerate(boxes, 1)],
    )
    result = _result(camera, sequence, session, captured_at, instances.documents(), shape.shape[0])
    sighting = Sighting(observe(instances), 0.0)
    return Entry(result, "topic/0", sequence if position is None else position, sighting)


def _result(
    camera: str,
    sequence: int,
    session: str,
    captured_at: datetime,
    instances: Sequence[Instance] = (),
    height: int = 48,
) -> Result:
    return Result(
        camera=camera, session=session, sequence=sequence, captured_at=captured_at,
        processed_at=datetime.now(UTC), width=64, height=height,
        model=ModelReference("m", "1", "0"), latency_seconds=0.0, instances=list(instances),
    )  # fmt: skip


class Undisturbed:
    """Tracks frames one after the other, as a single worker that nothing befalls would."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.last = ""
        self.replaces: bytes | None = None

    def follow(self, result: Result) -> list[Instance]:
        """Return the instances of the camera's next frame with their identities."""
        captured_at = result.captured_at.timestamp()
        state = self.state or State.empty(int(captured_at * 1_000_000))
        seen = Instances.from_documents(result.instances, (result.height, result.width))
        step = advance(state, observe(seen), Moment(captured_at, result.session))
        self.state, self.last = step.state, f"{result.session}/{result.sequence}"
        return [
            structs.replace(
                instance,
                track=identity.track,
                age_seconds=round(identity.age_seconds, 3),
                velocity=tuple(round(part, 2) for part in identity.velocity),
                confirmed=identity.confirmed,
            )
            for instance, identity in zip(result.instances, step.identities, strict=True)
        ]

    def kept(self) -> bytes | None:
        """Return what Redis keeps of it."""
        if self.state is None:
            return self.replaces
        text = encode_state(self.state)
        return f"{self.last}/{self.digest(text)} ".encode() + text

    @staticmethod
    def digest(text: bytes) -> str:
        """Return what names a state."""
        return hashlib.blake2b(text, digest_size=8).hexdigest()


class CountedMinutes:
    """Counts a camera's stored frames by minute, one after the other."""

    def __init__(self) -> None:
        self._objects: dict[int, list[Counter[str]]] = {}

    def follow(self, result: Result) -> None:
        """Count the camera's next frame."""
        at = int(result.captured_at.timestamp() // 60)
        if at not in self._objects:
            near = range(at - KEPT_MINUTES + 2, at + 2)
            self._objects = {n: each for n, each in self._objects.items() if n in near}
        counts = Counter(instance.class_name for instance in result.instances)
        self._objects.setdefault(at, []).append(counts)

    def kept(self) -> list[Minute]:
        """Return what Redis keeps of it."""
        return [
            Minute(
                60 * at,
                len(found),
                {
                    name: ClassCount(sum(each[name] for each in found), max(c[name] for c in found))
                    for name in sum(found, Counter())
                },
            )
            for at, found in sorted(self._objects.items())
        ]


def stored_results(client: Client, camera: str) -> list[Result]:
    """Return a camera's results, in the order of the stream."""
    entries = client.xrange(KEYS.results(camera))
    return [decode_result(fields[DOCUMENT_FIELD.encode()]) for _, fields in entries]


def assert_undisturbed(client: Client, camera: str) -> None:
    """Expect the identities and the state that one worker would have stored."""
    alone = Undisturbed()
    for result in stored_results(client, camera):
        assert result.instances == alone.follow(result), f"frame {result.sequence}"
    assert client.get(KEYS.tracks(camera)) == alone.kept()


def make_previews() -> Previews:
    """Return what knows who is looking; its counts are nobody's."""
    return Previews(WorkerMetrics(CollectorRegistry()))


def make_sink(
    url: str,
    *,
    timeout_seconds: float = 5.0,
    max_results: int = 1000,
    make_client: Callable[[RedisConnection, Sequence[Node]], Client] = open_redis,
    metrics: WorkerMetrics | None = None,
    previews: Previews | None = None,
    **connection: object,
) -> RedisSink:
    """Return a sink that is not started; one with metrics tracks, one with previews stores them."""
    settings = ToRedis(redis_url=url, redis_timeout_seconds=timeout_seconds, **connection)
    return RedisSink(
        Redis(settings, make_client),
        ttl_seconds=TTL_SECONDS,
        max_results=max_results,
        tracks=None if metrics is None else TrackChains(metrics),
        previews=previews,
    )


class LosesAnswers:
    """Opens clients that carry out what they are told, and lose the first answers.

    Args:
        count: How many answers are lost.
    """

    def __init__(self, count: int) -> None:
        self._left = count

    def __call__(self, connection: RedisConnection, nodes: Sequence[Node]) -> Client:
        client = open_redis(connection, nodes)
        make_pipeline = client.pipeline

        def pipeline(**options: bool) -> "redis.client.Pipeline":
            made = make_pipeline(**options)
            execute = made.execute

            def execute_and_lose(**options: bool) -> object:
                answer = execute(**options)
                if self._left == 0:
                    return answer
                self._left -= 1
                raise redis.exceptions.ConnectionError("the answer never came")

            made.execute = execute_and_lose
            return made

        client.pipeline = pipeline
        return client


def frames(client: Client, camera: str) -> list[tuple[str, int]]:
    """Return session and sequence of a camera's results, in the order of the stream."""
    entries = client.xrange(KEYS.results(camera))
    return [entry_frame(fields) for _, fields in entries]


def sequences(client: Client, camera: str) -> list[int]:
    """Return the sequences of a camera's results, in the order of the stream."""
    return [sequence for _, sequence in frames(client, camera)]


def latest(client: "redis.Redis", camera: str) -> int:
    """Return the sequence of a camera's latest result."""
    return decode_result(client.get(KEYS.latest(camera))).sequence


def entry_frame(fields: dict[bytes, bytes]) -> tuple[str, int]:
    """Return session and sequence of the result in a stream entry's fields."""
    result = decode_result(fields[DOCUMENT_FIELD.encode()])
    return result.session, result.sequence
