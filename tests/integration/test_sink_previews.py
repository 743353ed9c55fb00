"""The picture is stored with its result or not at all, and who looks is learnt from the answer."""

from collections.abc import Callable, Iterator

import pytest
import redis
from prometheus_client import CollectorRegistry

from contract.frame import new_session, session_start_ms
from contract.preview import Preview, decode_preview, wanted_width
from stack.redis_server import RedisServer
from tests.default_keys import KEYS
from tests.fakes import SESSION, wait_until
from tests.redis_cluster import RedisCluster
from tests.sink_parts import (
    TTL_SECONDS,
    LosesAnswers,
    make_entry,
    make_sink,
    make_tracked,
    stored_results,
)
from workers.metrics import WorkerMetrics
from workers.previews import Previews
from workers.records import Entry, Outcome
from workers.sink import RedisSink

STORED, DUPLICATE, OUT_OF_ORDER = Outcome.STORED, Outcome.DUPLICATE, Outcome.OUT_OF_ORDER
Open = Callable[..., RedisSink]


class Heard(Previews):
    """Notes what the sink says of who is looking."""

    def __init__(self) -> None:
        super().__init__(WorkerMetrics(CollectorRegistry()))
        self.told: list[tuple[str, int | None]] = []

    def watched(self, camera: str, width: int | None) -> None:
        self.told.append((camera, width))


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture(params=["tracks", "no tracks"])
def tracked(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "tracks")


@pytest.fixture
def sink(redis_server: RedisServer, heard: Heard, tracked: bool) -> Iterator[RedisSink]:
    metrics = WorkerMetrics(CollectorRegistry()) if tracked else None
    sink = make_sink(redis_server.url, previews=heard, metrics=metrics)
    sink.start()
    yield sink
    sink.close()


@pytest.fixture
def camera(unique_name: Callable[[str], str]) -> str:
    return unique_name("gate")


def with_picture(entry: Entry) -> Entry:
    """Return an entry whose picture says which frame it is of."""
    return entry._replace(jpeg=f"jpeg {entry.result.session}/{entry.result.sequence}".encode())


def pictured(camera: str, *numbers: int, session: str = SESSION) -> list[Entry]:
    return [with_picture(make_tracked(camera, number, session)) for number in numbers]


def shown(client: "redis.Redis | redis.RedisCluster", camera: str) -> int | None:
    """Return the sequence of the stored pair, once its two halves are of one frame."""
    value = client.get(KEYS.preview(camera))
    if value is None:
        return None
    pair = decode_preview(value)
    result = pair.result()
    assert pair.jpeg == f"jpeg {result.session}/{result.sequence}".encode()
    assert result in stored_results(client, camera)
    return result.sequence


def test_the_pair_is_of_the_newest_stored_frame_that_has_a_picture(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([make_tracked(camera, 0)])
    assert shown(client, camera) is None
    sink.store([*pictured(camera, 1, 2), make_tracked(camera, 3)])
    assert shown(client, camera) == 2
    sink.store([make_tracked(camera, 4)])
    assert shown(client, camera) == 2
    sink.store(pictured(camera, 5))
    assert shown(client, camera) == 5
    assert decode_preview(client.get(KEYS.preview(camera))).document == client.get(
        KEYS.latest(camera)
    )
    assert 0 < client.ttl(KEYS.preview(camera)) <= TTL_SECONDS


def test_a_frame_that_is_not_stored_brings_no_picture(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store(pictured(camera, 5))
    assert sink.store(pictured(camera, 3)) == [OUT_OF_ORDER]
    assert shown(client, camera) == 5
    client.delete(KEYS.preview(camera))
    assert sink.store(pictured(camera, 5)) == [DUPLICATE]
    assert sink.store([*pictured(camera, 6), *pictured(camera, 5)]) == [STORED, DUPLICATE]
    assert shown(client, camera) is None


def test_who_looks_is_told_with_each_answer(
    sink: RedisSink, client: "redis.Redis", camera: str, heard: Heard
) -> None:
    sink.store(pictured(camera, 0))
    client.set(KEYS.watch(camera), 640, ex=5)
    sink.store(pictured(camera, 1))
    sink.store(pictured(camera, 1))
    client.set(KEYS.watch(camera), "100000", ex=5)
    sink.store(pictured(camera, 2))
    client.delete(KEYS.watch(camera))
    client.hset(KEYS.watch(camera), "another", "application's")
    sink.store(pictured(camera, 3))
    widths = [None, 640, 640, wanted_width(b"100000"), None]
    assert heard.told == [(camera, width) for width in widths]


def test_a_picture_is_announced_only_while_somebody_looks(
    sink: RedisSink, client: "redis.Redis", camera: str, unique_name: Callable[[str], str]
) -> None:
    unseen = unique_name("yard")
    with client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.psubscribe("*")
        wait_until(lambda: client.pubsub_numpat() >= 1)
        sink.store([*pictured(camera, 0), *pictured(unseen, 0)])
        client.set(KEYS.watch(camera), 384, ex=5)
        sink.store([*pictured(camera, 1), *pictured(unseen, 1)])
        sink.store([make_tracked(camera, 2)])
        sink.store(pictured(camera, 1))
        sink.store(pictured(camera, 3, 4))
        client.publish("the end", "")
        messages: list[tuple[bytes, bytes]] = []
        wait_until(lambda: (b"the end", b"") in _heard(listener, messages))
    channel = KEYS.previews_channel(camera).encode()
    of_these = [m for m in messages if camera.encode() in m[0] or unseen.encode() in m[0]]
    assert of_these == [(channel, f"{SESSION}/{number}".encode()) for number in (1, 4)]


def test_of_several_pictures_only_the_last_travels(
    redis_server: RedisServer, client: "redis.Redis", camera: str, heard: Heard
) -> None:
    sent: list[bytes] = []

    class Listening(redis.Redis):
        def pipeline(self, *args: object, **kwargs: object) -> "redis.client.Pipeline":
            pipeline = super().pipeline(*args, **kwargs)
            execute = pipeline.execute_command

            def note(*command: object, **options: object) -> object:
                sent.extend(part for part in command if isinstance(part, bytes))
                return execute(*command, **options)

            pipeline.execute_command = note
            return pipeline

    sink = make_sink(
        redis_server.url,
        previews=heard,
        make_client=lambda *_: Listening.from_url(redis_server.url),
    )
    sink.store([*pictured(camera, *range(9)), make_entry(camera, 9)])
    sink.close()
    assert [part for part in sent if part.startswith(b"jpeg")] == [f"jpeg {SESSION}/8".encode()]
    assert shown(client, camera) == 8


def test_after_a_conflict_the_picture_comes_with_its_frame(
    redis_server: RedisServer, client: "redis.Redis", camera: str
) -> None:
    one, other = (
        make_sink(redis_server.url, previews=Heard(), metrics=WorkerMetrics(CollectorRegistry()))
        for _ in range(2)
    )
    one.store(pictured(camera, 0, 1))
    assert other.store(pictured(camera, 1, 2, 3)) == [DUPLICATE, STORED, STORED]
    assert shown(client, camera) == 3
    assert one.store(pictured(camera, 3, 4)) == [DUPLICATE, STORED]
    assert shown(client, camera) == 4
    later = new_session(session_start_ms(SESSION) + 1)
    moved = make_tracked(camera, 0, later, position=99)
    assert other.store([with_picture(moved)]) == [STORED]
    assert shown(client, camera) == 0
    for sink in (one, other):
        sink.close()


def test_a_call_repeated_after_a_lost_answer_leaves_the_pair(
    redis_server: RedisServer, client: "redis.Redis", camera: str, tracked: bool
) -> None:
    client.set(KEYS.watch(camera), 200, ex=5)
    heard = Heard()
    sink = make_sink(
        redis_server.url,
        previews=heard,
        metrics=WorkerMetrics(CollectorRegistry()) if tracked else None,
        make_client=LosesAnswers(1),
    )
    assert sink.store(pictured(camera, 0, 1)) == [STORED, STORED]
    sink.close()
    assert shown(client, camera) == 1
    assert heard.told == [(camera, 200)]


def test_without_previews_neither_picture_nor_watch_is_touched(
    redis_server: RedisServer, client: "redis.Redis", camera: str
) -> None:
    client.set(KEYS.watch(camera), 384)
    sink = make_sink(redis_server.url)
    sink.start()
    assert sink.store(pictured(camera, 0)) == [STORED]
    sink.close()
    assert client.get(KEYS.preview(camera)) is None
    assert client.get(KEYS.watch(camera)) == b"384"
    client.delete(KEYS.watch(camera))


def test_a_key_of_another_type_is_replaced(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    client.hset(KEYS.preview(camera), "not", "ours")
    assert sink.store(pictured(camera, 0)) == [STORED]
    assert shown(client, camera) == 0


def test_a_picture_of_any_bytes_comes_back_as_it_was(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    jpeg = bytes(range(256)) * 300
    sink.store([make_tracked(camera, 0)._replace(jpeg=jpeg)])
    assert decode_preview(client.get(KEYS.preview(camera))) == Preview(
        client.get(KEYS.latest(camera)), jpeg
    )


def test_in_a_cluster_each_node_has_its_cameras_pairs(redis_cluster: RedisCluster) -> None:
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    heard = Heard()
    metrics = WorkerMetrics(CollectorRegistry())
    sink = make_sink(redis_cluster.url, redis_cluster=True, previews=heard, metrics=metrics)
    sink.start()
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        client.set(KEYS.watch(cameras[1]), 384, ex=5)
        # A message of one node reaches who listens at another.
        with redis_cluster.clients[2].pubsub(ignore_subscribe_messages=True) as listener:
            listener.subscribe(KEYS.previews_channel(cameras[1]))
            wait_until(
                lambda: redis_cluster.clients[2].pubsub_numsub(KEYS.previews_channel(cameras[1]))
            )
            entries = [entry for camera in cameras for entry in pictured(camera, 0, 1)]
            assert sink.store(entries) == [STORED] * 6
            told: list[tuple[bytes, bytes]] = []
            wait_until(lambda: _heard(listener, told), 10, "the announcement")
        assert told == [(KEYS.previews_channel(cameras[1]).encode(), f"{SESSION}/1".encode())]
        assert [shown(client, camera) for camera in cameras] == [1, 1, 1]
    assert sorted(heard.told) == sorted(
        (camera, 384 if camera == cameras[1] else None) for camera in cameras
    )
    sink.close()


def _heard(
    listener: "redis.client.PubSub", told: list[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Add the next message, channel and data, to what was told before."""
    message = listener.get_message(timeout=1)
    told += [(message["channel"], message["data"])] if message else []
    return told


def test_a_server_that_takes_no_writes_keeps_pair_and_result_together(
    redis_server: RedisServer, client: "redis.Redis", camera: str
) -> None:
    sink = make_sink(redis_server.url, previews=Heard(), timeout_seconds=0.3)
    sink.store(pictured(camera, 0))
    client.config_set("min-replicas-to-write", "1")
    try:
        with pytest.raises(Exception, match="could not store results"):
            sink.store(pictured(camera, 1))
    finally:
        client.config_set("min-replicas-to-write", "0")
    assert shown(client, camera) == 0
    assert sink.store(pictured(camera, 1)) == [STORED]
    assert shown(client, camera) == 1
    sink.close()
