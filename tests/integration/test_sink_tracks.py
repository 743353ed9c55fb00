"""Identities are stored together with the state they come from, whoever stores them."""

import threading
from collections.abc import Callable, Iterator

import pytest
import redis
from prometheus_client import CollectorRegistry

from contract.errors import UnavailableError
from contract.frame import new_session, session_start_ms
from stack.redis_server import RedisServer
from tests.default_keys import KEYS
from tests.fakes import SESSION
from tests.redis_cluster import RedisCluster
from tests.sink_parts import (
    TTL_SECONDS,
    Undisturbed,
    assert_undisturbed,
    latest,
    make_session,
    make_sink,
    make_tracked,
    sequences,
    stored_results,
)
from tracking.state import MAX_STATE_BYTES
from workers.metrics import WorkerMetrics
from workers.records import Entry, Outcome
from workers.sink import RedisSink

STORED, DUPLICATE, OUT_OF_ORDER = Outcome.STORED, Outcome.DUPLICATE, Outcome.OUT_OF_ORDER


class Worker:
    """A sink that tracks, and what it counts."""

    def __init__(self, url: str, **options: object) -> None:
        self.registry = CollectorRegistry()
        self.sink: RedisSink = make_sink(url, metrics=WorkerMetrics(self.registry), **options)
        self.store = self.sink.store

    def count(self, name: str, camera: str | None = None) -> float:
        labels = {} if camera is None else {"camera": camera}
        return self.registry.get_sample_value(f"seedstream_{name}", labels) or 0.0

    @property
    def conflicts(self) -> float:
        return self.count("track_conflicts_total")


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def workers(redis_server: RedisServer) -> Iterator[Callable[[], Worker]]:
    made: list[Worker] = []

    def make() -> Worker:
        made.append(Worker(redis_server.url))
        return made[-1]

    yield make
    for worker in made:
        worker.sink.close()


@pytest.fixture
def camera(unique_name: Callable[[str], str]) -> str:
    return unique_name("gate")


def walk(camera: str, *numbers: int) -> list[Entry]:
    """Return frames in which one object walks through and another comes and goes."""
    return [make_tracked(camera, n, lanes=(0, 1) if n % 7 < 4 else (0,)) for n in numbers]


def test_the_same_object_keeps_its_number_and_its_age_grows(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    worker = workers()
    worker.store(walk(camera, 0, 1))
    worker.store(walk(camera, 2, 3))
    first = int(make_tracked(camera, 0).result.captured_at.timestamp() * 1_000_000)
    found = [[i.track for i in result.instances] for result in stored_results(client, camera)]
    assert found == [[first, first + 1]] * 4
    newest = stored_results(client, camera)[-1].instances[0]
    assert newest.age_seconds == pytest.approx(0.3)
    assert newest.velocity is not None
    assert newest.velocity[0] > 1
    assert newest.confirmed is not None
    assert worker.conflicts == 0, "a worker that is alone asks nobody"
    assert_undisturbed(client, camera)


def test_the_state_expires_with_the_camera(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    worker = workers()
    worker.store(walk(camera, 0))
    assert 0 < client.ttl(KEYS.tracks(camera)) <= TTL_SECONDS
    client.persist(KEYS.tracks(camera))
    assert worker.store(walk(camera, 0)) == [DUPLICATE]
    assert 0 < client.ttl(KEYS.tracks(camera)) <= TTL_SECONDS


def test_a_worker_that_takes_a_camera_over_goes_on_where_the_other_was(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    one, other = workers(), workers()
    one.store(walk(camera, *range(5)))
    assert other.store(walk(camera, *range(5, 10))) == [STORED] * 5
    assert other.conflicts == 1
    assert other.store(walk(camera, 10)) == [STORED]
    assert other.conflicts == 1, "it knows the state by now"
    assert_undisturbed(client, camera)


def test_a_redelivery_changes_neither_identities_nor_state(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    one = workers()
    one.store(walk(camera, *range(8)))
    kept = client.get(KEYS.tracks(camera)), client.xrange(KEYS.results(camera))
    for worker in (one, workers()):
        assert worker.store(walk(camera, *range(3, 8))) == [DUPLICATE] * 5
    assert (client.get(KEYS.tracks(camera)), client.xrange(KEYS.results(camera))) == kept
    assert one.store(walk(camera, *range(5, 10))) == [DUPLICATE] * 3 + [STORED] * 2
    assert_undisturbed(client, camera)


def test_a_new_worker_that_begins_with_redelivered_frames_forks_nothing(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    workers().store(walk(camera, *range(8)))
    assert workers().store(walk(camera, *range(12))) == [DUPLICATE] * 8 + [STORED] * 4
    assert_undisturbed(client, camera)


def test_a_zombie_and_the_new_owner_store_as_one(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    zombie, owner = workers(), workers()
    zombie.store(walk(camera, *range(3)))
    assert owner.store(walk(camera, *range(6))) == [DUPLICATE] * 3 + [STORED] * 3
    assert zombie.store(walk(camera, *range(3, 9))) == [DUPLICATE] * 3 + [STORED] * 3
    assert owner.store(walk(camera, *range(6, 12))) == [DUPLICATE] * 3 + [STORED] * 3
    assert_undisturbed(client, camera)


def test_many_that_store_the_same_frames_at_once_store_them_as_one(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    frames = walk(camera, *range(60))
    outcomes: list[Outcome] = []

    def store(worker: Worker) -> None:
        for first in range(0, 60, 4):
            outcomes.extend(worker.store(frames[first : first + 4]))

    threads = [threading.Thread(target=store, args=(workers(),), daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count(STORED) == 60
    assert outcomes.count(DUPLICATE) == 180
    assert sequences(client, camera) == list(range(60))
    assert_undisturbed(client, camera)


def test_frames_that_cannot_be_stored_have_no_part_in_the_tracks(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    worker = workers()
    worker.store(walk(camera, 5))
    mixed = walk(camera, 6, 3, 7, 6, 8)
    expected = [STORED, OUT_OF_ORDER, STORED, DUPLICATE, STORED]
    assert worker.store(mixed) == expected
    assert_undisturbed(client, camera)


def test_tracks_go_through_a_new_session_and_one_that_is_set_back(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    later = new_session(session_start_ms(SESSION) + 1000)
    before = make_session(session_start_ms(SESSION) / 1000 - 3600)
    frames = [
        make_tracked(camera, n, session, seconds=0.1 * position, position=position)
        for position, (session, n) in enumerate(
            [(SESSION, 0), (SESSION, 1), (later, 0), (later, 1), (before, 0), (before, 1)]
        )
    ]
    workers().store(frames[:3])
    outcomes = workers().store(frames)
    assert outcomes == [*[DUPLICATE] * 3, STORED, Outcome.SET_BACK, STORED]
    assert_undisturbed(client, camera)


def test_a_conflict_does_not_count_as_a_question_whether_the_camera_is_silent(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    workers().store([make_tracked(camera, 0)])
    client.expire(KEYS.latest(camera), TTL_SECONDS - 12)  # nothing was stored for 12 s
    before = make_session(session_start_ms(SESSION) / 1000 - 3600)
    moved = make_tracked(camera, 0, before, seconds=20)._replace(log="topic/1")
    assert workers().store([moved]) == [Outcome.SET_BACK]
    assert_undisturbed(client, camera)


def test_a_worker_that_does_not_track_leaves_the_state_to_those_that_do(
    redis_server: RedisServer,
    workers: Callable[[], Worker],
    client: "redis.Redis",
    camera: str,
) -> None:
    plain = make_sink(redis_server.url)
    tracking = workers()
    tracking.store(walk(camera, 0, 1))
    kept = client.get(KEYS.tracks(camera))
    assert plain.store(walk(camera, 2, 3)) == [STORED] * 2
    assert client.get(KEYS.tracks(camera)) == kept
    assert tracking.store(walk(camera, 4)) == [STORED]
    results = stored_results(client, camera)
    assert [i.track for i in results[2].instances] == [None, None]
    alone = Undisturbed()
    for result in (results[0], results[1], results[4]):
        assert result.instances == alone.follow(result)
    assert client.get(KEYS.tracks(camera)) == alone.kept()
    plain.close()


def shortened(kept: bytes) -> bytes:
    return kept[:-1]


def of_another_version(kept: bytes) -> bytes:
    return kept.replace(b" ", b" \x00", 1)


def of_another_application(kept: bytes) -> bytes:
    return '{"café": 1}'.encode("latin-1")


def huge(kept: bytes) -> bytes:
    return b"a/1/b " + bytes(100_000)


def empty(kept: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    "damage", [shortened, of_another_version, of_another_application, huge, empty]
)
def test_a_state_that_is_damaged_is_replaced_with_a_warning(
    workers: Callable[[], Worker],
    client: "redis.Redis",
    camera: str,
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    workers().store(walk(camera, 0, 1))
    client.set(KEYS.tracks(camera), damage(client.get(KEYS.tracks(camera))))
    assert workers().store(walk(camera, 2, 3)) == [STORED] * 2
    assert "identities begin afresh" in caplog.text
    fresh = Undisturbed()
    for result in stored_results(client, camera)[-2:]:
        assert result.instances == fresh.follow(result)
    assert client.get(KEYS.tracks(camera)) == fresh.kept()


def test_a_state_of_another_type_is_replaced(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    client.hset(KEYS.tracks(camera), "not", "ours")
    assert workers().store(walk(camera, 0, 1)) == [STORED] * 2
    assert_undisturbed(client, camera)


def test_a_state_that_was_evicted_begins_afresh_without_a_number_used_twice(
    workers: Callable[[], Worker],
    client: "redis.Redis",
    camera: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = workers()
    worker.store(walk(camera, 0, 1))
    client.delete(KEYS.tracks(camera))
    worker.store(walk(camera, 2, 3))
    before, _, after, _ = (
        {i.track for i in each.instances} for each in stored_results(client, camera)
    )
    assert not before & after
    assert not caplog.text


def test_the_state_of_a_crowd_is_bounded(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    for n in range(5):
        assert workers().store([make_tracked(camera, n, lanes=range(400))]) == [STORED]
    assert len(client.get(KEYS.tracks(camera))) <= MAX_STATE_BYTES + 100
    assert_undisturbed(client, camera)


def losing_each_second_answer(url: str) -> Worker:
    """Return a worker that hears of every second call only when it repeats it."""

    class LosesAnswers(redis.Redis):
        loses = False

        def pipeline(self, *args: object, **options: object) -> "redis.client.Pipeline":
            pipeline = super().pipeline(*args, **options)
            execute = pipeline.execute

            def execute_and_lose(**options: bool) -> object:
                answer = execute(**options)
                LosesAnswers.loses = not LosesAnswers.loses
                if LosesAnswers.loses:
                    raise redis.exceptions.ConnectionError("the answer never came")
                return answer

            pipeline.execute = execute_and_lose
            return pipeline

    return Worker(url, make_client=lambda *_: LosesAnswers.from_url(url))


def test_a_repetition_after_a_lost_answer_goes_on_from_what_was_stored(
    redis_server: RedisServer, client: "redis.Redis", camera: str
) -> None:
    worker = losing_each_second_answer(redis_server.url)
    for first in (0, 4, 8):
        assert worker.store(walk(camera, *range(first, first + 4))) == [STORED] * 4
    assert worker.conflicts == 0
    assert_undisturbed(client, camera)


def test_after_a_lost_answer_what_others_stored_is_not_counted_again(
    redis_server: RedisServer, workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    before, worker = workers(), losing_each_second_answer(redis_server.url)
    assert before.store(walk(camera, *range(4))) == [STORED] * 4
    assert worker.store(walk(camera, *range(6))) == [DUPLICATE] * 4 + [STORED] * 2
    assert before.count("tracks_began_total", camera) == 2
    assert worker.count("tracks_began_total", camera) == 0
    assert_undisturbed(client, camera)


def test_another_group_that_is_always_first_ends_the_worker_within_a_bound(
    redis_server: RedisServer, camera: str
) -> None:
    other = redis.Redis.from_url(redis_server.url)
    number = iter(range(10**6))

    class ComesSecond(redis.Redis):
        def pipeline(self, *args: object, **options: object) -> "redis.client.Pipeline":
            other.set(KEYS.tracks(camera), f"{next(number)} ")
            return super().pipeline(*args, **options)

    worker = Worker(redis_server.url, make_client=lambda *_: ComesSecond.from_url(redis_server.url))
    with pytest.raises(UnavailableError, match="two groups"):
        worker.store(walk(camera, 0))
    assert 1 < worker.conflicts < 100
    other.close()


def test_options_of_the_url_do_not_touch_the_bytes_of_a_state(
    redis_server: RedisServer, workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    workers().store(walk(camera, 0, 1))
    worker = Worker(f"{redis_server.url}?decode_responses=True")
    assert worker.store(walk(camera, 2)) == [STORED]
    worker.sink.close()
    assert_undisturbed(client, camera)


def test_tracks_are_counted_where_they_are_stored(
    workers: Callable[[], Worker], client: "redis.Redis", camera: str
) -> None:
    one, other = workers(), workers()
    one.store([make_tracked(camera, n) for n in range(6)])
    assert one.count("tracks_began_total", camera) == 2
    assert one.count("stage_seconds_count") == 0
    other.store([make_tracked(camera, n) for n in range(6)])
    assert other.count("tracks_began_total", camera) == 0
    gone = make_tracked(camera, 6, seconds=3600, lanes=())
    assert other.store([gone]) == [STORED]
    assert other.count("tracks_ended_total", camera) == 2
    assert other.count("tracks_active", camera) == 0


def test_cameras_of_one_call_on_the_nodes_of_a_cluster_go_on_each_from_its_own_state(
    redis_cluster: RedisCluster,
) -> None:
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    one, other = (Worker(redis_cluster.url, redis_cluster=True) for _ in range(2))
    one.sink.start()

    def frames(*numbers: int) -> list[Entry]:
        return [entry for n in numbers for camera in cameras for entry in walk(camera, n)]

    assert one.store(frames(0, 1, 2)) == [STORED] * 9
    assert other.store(frames(2, 3)) == [DUPLICATE] * 3 + [STORED] * 3
    redis_cluster.clients[1].config_set("maxmemory", "100kb")
    try:
        with pytest.raises(UnavailableError, match="maxmemory"):
            Worker(redis_cluster.url, redis_cluster=True, timeout_seconds=0.5).store(frames(4))
    finally:
        redis_cluster.clients[1].config_set("maxmemory", "0")
    assert one.store(frames(4, 5)) == [DUPLICATE, STORED, DUPLICATE] + [STORED] * 3
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        for camera in cameras:
            assert sequences(client, camera) == list(range(6))
            assert latest(client, camera) == 5
            assert_undisturbed(client, camera)
    one.sink.close()
    other.sink.close()
