"""What a camera showed in the last hour is counted with the result, each stored frame once."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis
from msgspec import structs
from prometheus_client import CollectorRegistry

from contract.errors import ConfigurationError, UnavailableError
from contract.minutes import KEPT_MINUTES, Minute, read_minutes
from stack.redis_server import RedisServer
from tests.default_keys import KEYS
from tests.redis_cluster import RedisCluster
from tests.sink_parts import (
    CAPTURED_AT,
    TTL_SECONDS,
    LosesAnswers,
    make_sink,
    make_tracked,
    stored_results,
)
from workers.metrics import WorkerMetrics
from workers.records import Entry, Outcome
from workers.sink import RedisSink

STORED, DUPLICATE, OUT_OF_ORDER = Outcome.STORED, Outcome.DUPLICATE, Outcome.OUT_OF_ORDER
START = int(CAPTURED_AT.timestamp())


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture(params=["tracks", "no tracks"])
def sink(request: pytest.FixtureRequest, redis_server: RedisServer) -> Iterator[RedisSink]:
    tracks = WorkerMetrics(CollectorRegistry()) if request.param == "tracks" else None
    sink = make_sink(redis_server.url, metrics=tracks)
    yield sink
    sink.close()


@pytest.fixture
def camera(unique_name: Callable[[str], str]) -> str:
    return unique_name("gate")


def frame(camera: str, number: int, seconds: float = 0.0, people: int = 1, cars: int = 0) -> Entry:
    """Return a frame captured so many seconds after the start of the first minute."""
    entry = make_tracked(camera, number, seconds=seconds - 0.1 * number, lanes=range(people + cars))
    instances = [
        structs.replace(each, class_name="person" if index < people else "car")
        for index, each in enumerate(entry.result.instances)
    ]
    return entry._replace(result=structs.replace(entry.result, instances=instances))


def minutes(client: "redis.Redis | redis.RedisCluster", camera: str) -> list[Minute]:
    return read_minutes(client.hgetall(KEYS.minutes(camera)))


def counted(found: list[Minute]) -> list[tuple[int, int, dict[str, tuple[int, int]]]]:
    return [
        (
            each.start_seconds - START,
            each.frames,
            {n: (c.total, c.most) for n, c in each.classes.items()},
        )
        for each in found
    ]


def test_frames_count_into_the_minute_of_their_capture(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([frame(camera, 0, 0, people=2), frame(camera, 1, 59.9, people=4, cars=1)])
    sink.store([frame(camera, 2, 59.95, people=0), frame(camera, 3, 60, people=0)])
    sink.store([frame(camera, 4, 61, people=1), frame(camera, 5, 200, people=0, cars=3)])
    assert counted(minutes(client, camera)) == [
        (0, 3, {"person": (6, 4), "car": (1, 1)}),
        (60, 2, {"person": (1, 1)}),
        (180, 1, {"car": (3, 3)}),
    ]
    assert minutes(client, camera)[0].mean("person") == 2
    assert 0 < client.ttl(KEYS.minutes(camera)) <= TTL_SECONDS


def test_what_comes_again_or_is_not_stored_counts_no_more(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([frame(camera, number) for number in (0, 2, 3)])
    before = client.hgetall(KEYS.minutes(camera))
    again = [frame(camera, number) for number in (1, 2, 3)]
    assert sink.store(again) == [OUT_OF_ORDER, DUPLICATE, DUPLICATE]
    assert client.hgetall(KEYS.minutes(camera)) == before
    assert sink.store([*again, frame(camera, 4)])[-1] is STORED
    assert minutes(client, camera)[0].frames == len(stored_results(client, camera)) == 4


def test_after_conflicts_and_lost_answers_each_stored_frame_has_counted_once(
    redis_server: RedisServer, client: "redis.Redis", camera: str
) -> None:
    sinks = [
        make_sink(
            redis_server.url,
            metrics=WorkerMetrics(CollectorRegistry()),
            make_client=LosesAnswers(lost),
        )
        for lost in (0, 1, 2)
    ]
    for first in range(0, 12, 2):
        sinks[first % 3].store([frame(camera, n, people=n % 3) for n in range(first, first + 4)])
    for sink in sinks:
        sink.close()
    (found,) = minutes(client, camera)
    results = stored_results(client, camera)
    assert found.frames == len(results) == 14
    assert found.classes["person"].total == sum(len(each.instances) for each in results)


def test_the_hash_never_holds_more_than_61_minutes(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    for number in range(100):
        sink.store([frame(camera, number, 60.0 * number)])
        assert client.hlen(KEYS.minutes(camera)) <= KEPT_MINUTES
    assert [start // 60 for start, *_ in counted(minutes(client, camera))] == list(range(40, 100))


def test_a_clock_that_is_set_back_a_little_goes_on_and_one_set_far_begins_anew(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([frame(camera, 0, 119), frame(camera, 1, 121), frame(camera, 2, 118)])
    sink.store([frame(camera, 3, 122)])
    assert [each[:2] for each in counted(minutes(client, camera))] == [(60, 2), (120, 2)]
    sink.store([frame(camera, 4, -86_400)])
    assert [each[:2] for each in counted(minutes(client, camera))] == [(-86_400, 1)]
    sink.store([frame(camera, 5, 125)])
    assert [each[:2] for each in counted(minutes(client, camera))] == [(120, 1)]


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"{", b"[]", b"7", b"null", b'"text"', b"\xff", b'{"frames": 3}', b"[[[[[["),
        b'{"frames": "x", "classes": {"person": null, "car": [], "": {"total": -1}}}',
        b'{"frames": 1e999, "classes": {"person": {"total": NaN, "most": Infinity}}}',
        b'{"frames": 1e300, "classes": [{"total": {}, "most": {}}, 3]}',
    ],
)
def test_a_value_that_no_worker_wrote_counts_as_nothing_and_loses_no_result(
    redis_server: RedisServer, client: "redis.Redis", camera: str, value: bytes
) -> None:
    client.hset(KEYS.minutes(camera), str(START // 60), value)
    client.hset(KEYS.minutes(camera), "another", "application's")
    sink = make_sink(redis_server.url)
    assert sink.store([frame(camera, 0, people=2)]) == [STORED]
    (found,) = minutes(client, camera)
    assert (found.frames, found.most("person")) == (1, 2)
    assert sink.store([frame(camera, 1, 60)]) == [STORED]
    assert client.hlen(KEYS.minutes(camera)) == 2, "what is no minute goes with the next one"
    sink.close()


def test_a_key_of_another_type_is_named_with_nothing_written(
    redis_server: RedisServer, client: "redis.Redis", camera: str
) -> None:
    client.set(KEYS.minutes(camera), "not ours")
    sink = make_sink(redis_server.url, timeout_seconds=0.2)
    with pytest.raises(ConfigurationError, match=r"WRONGTYPE.*:minutes.*delete the key"):
        sink.store([frame(camera, 0)])
    assert stored_results(client, camera) == []
    client.delete(KEYS.minutes(camera))
    assert sink.store([frame(camera, 0)]) == [STORED]
    sink.close()


def test_a_server_that_takes_no_writes_counts_nothing(
    sink: RedisSink, client: "redis.Redis", camera: str, redis_server: RedisServer
) -> None:
    sink.store([frame(camera, 0)])
    client.config_set("min-replicas-to-write", "1")
    short = make_sink(redis_server.url, timeout_seconds=0.3)
    try:
        with pytest.raises(UnavailableError, match="could not store results"):
            short.store([frame(camera, 1)])
    finally:
        client.config_set("min-replicas-to-write", "0")
        short.close()
    assert minutes(client, camera)[0].frames == 1
    sink.store([frame(camera, 1)])
    assert minutes(client, camera)[0].frames == 2


def test_the_names_of_classes_come_back_whatever_they_are(
    sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    names = ["1", "", "größer", 'a "b" / \\ c', "line\nbreak", "{}", "total"]
    entry = make_tracked(camera, 0, lanes=range(len(names)))
    instances = [
        structs.replace(each, class_name=name)
        for each, name in zip(entry.result.instances, names, strict=True)
    ]
    result = structs.replace(entry.result, instances=instances)
    sink.store([entry._replace(result=result)])
    again = structs.replace(
        result, sequence=1, captured_at=result.captured_at + timedelta(seconds=1)
    )
    sink.store([entry._replace(result=again, position=1)])
    (found,) = minutes(client, camera)
    assert {name: (each.total, each.most) for name, each in found.classes.items()} == dict.fromkeys(
        names, (2, 1)
    )


def test_in_a_cluster_each_node_counts_its_cameras(redis_cluster: RedisCluster) -> None:
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    sink = make_sink(redis_cluster.url, redis_cluster=True)
    sink.store([frame(camera, number) for number in range(2) for camera in cameras])
    sink.close()
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        assert [minutes(client, camera)[0].frames for camera in cameras] == [2, 2, 2]
