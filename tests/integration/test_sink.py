"""The Redis sink against a real server."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from contract.errors import ConfigurationError, UnavailableError
from contract.frame import new_session, session_start_ms
from stack.launch import free_ports
from stack.redis_server import RedisServer, start_redis
from tests.default_keys import KEYS
from tests.fakes import SESSION, wait_until
from tests.redis_cluster import RedisCluster, running_cluster
from tests.sink_parts import LosesAnswers, latest, make_entry, make_sink, sequences
from workers.records import Outcome
from workers.sink import RedisSink

Name = Callable[[str], str]


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def sink(redis_server: RedisServer) -> Iterator[RedisSink]:
    sink = make_sink(redis_server.url)
    sink.start()
    yield sink
    sink.close()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with start_redis(max_memory_megabytes=8) as server:
        yield server


def test_results_stand_in_the_stream_and_the_newest_as_latest(
    sink: RedisSink, client: "redis.Redis", unique_name: Name
) -> None:
    gate, yard = unique_name("gate"), unique_name("yard")
    batch = [make_entry(gate, 0), make_entry(yard, 7), make_entry(gate, 3)]
    assert sink.store(batch) == [Outcome.STORED] * 3
    assert sequences(client, gate) == [0, 3]
    assert sequences(client, yard) == [7]
    assert latest(client, gate) == 3
    ids = [entry for entry, _ in client.xrange(KEYS.results(gate))]
    assert ids[1] == f"{session_start_ms(SESSION)}-3".encode()
    assert {gate.encode(), yard.encode()} <= set(client.zrange(KEYS.cameras, 0, -1))


def test_every_key_expires(sink: RedisSink, client: "redis.Redis", unique_name: Name) -> None:
    camera = unique_name("gate")
    sink.store([make_entry(camera, 0)])
    for key in (KEYS.results(camera), KEYS.latest(camera), KEYS.cameras):
        assert 0 < client.ttl(key) <= 100


def test_a_redelivered_result_changes_nothing(
    sink: RedisSink, client: "redis.Redis", unique_name: Name
) -> None:
    camera = unique_name("gate")
    sink.store([make_entry(camera, 0), make_entry(camera, 1)])
    before = client.xrange(KEYS.results(camera)), client.get(KEYS.latest(camera))
    again = sink.store([make_entry(camera, 0), make_entry(camera, 1), make_entry(camera, 2)])
    assert again == [Outcome.DUPLICATE, Outcome.DUPLICATE, Outcome.STORED]
    assert client.xrange(KEYS.results(camera))[:2] == before[0]
    assert latest(client, camera) == 2


def test_an_older_result_that_was_never_stored_is_out_of_order(
    sink: RedisSink, client: "redis.Redis", unique_name: Name
) -> None:
    camera = unique_name("gate")
    sink.store([make_entry(camera, 5)])
    assert sink.store([make_entry(camera, 4)]) == [Outcome.OUT_OF_ORDER]
    assert latest(client, camera) == 5
    assert sequences(client, camera) == [5]


def test_a_new_session_follows_the_one_before(
    sink: RedisSink, client: "redis.Redis", unique_name: Name
) -> None:
    camera = unique_name("gate")
    later = new_session(session_start_ms(SESSION) + 1)
    sink.store([make_entry(camera, 90)])
    assert sink.store([make_entry(camera, 0, later)]) == [Outcome.STORED]
    assert sequences(client, camera) == [90, 0]


def test_a_stream_keeps_about_as_many_results_as_asked(
    redis_server: RedisServer, client: "redis.Redis", unique_name: Name
) -> None:
    camera = unique_name("gate")
    sink = make_sink(redis_server.url, max_results=100)
    for first in range(0, 1000, 50):
        sink.store([make_entry(camera, first + number) for number in range(50)])
    sink.close()
    assert 100 <= client.xlen(KEYS.results(camera)) <= 300


def test_cameras_not_seen_for_the_time_to_live_are_forgotten(
    sink: RedisSink, client: "redis.Redis", unique_name: Name
) -> None:
    gone, here = unique_name("gone"), unique_name("here")
    client.zadd(KEYS.cameras, {gone: time.time() - 101})
    sink.store([make_entry(here, 0)])
    assert client.zscore(KEYS.cameras, gone) is None
    assert client.zscore(KEYS.cameras, here) == pytest.approx(time.time(), abs=5)


def test_no_results_are_stored_without_asking_redis() -> None:
    assert make_sink("redis://127.0.0.1:1/0").store([]) == []


def test_a_server_that_is_away_is_unavailable_within_the_bound() -> None:
    sink = make_sink(f"redis://127.0.0.1:{free_ports(1)[0]}/0", timeout_seconds=0.5)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"could not reach Redis at 127.0.0.1:\d+ within"):
        sink.start()
    assert time.monotonic() - began < 15


def test_a_server_that_hangs_is_unavailable_within_the_bound(own_server: RedisServer) -> None:
    sink = make_sink(own_server.url, timeout_seconds=1)
    sink.start()
    own_server.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="could not store results"):
            sink.store([make_entry("gate", 0)])
        assert time.monotonic() - began < 15
    finally:
        own_server.signal(signal.SIGCONT)


def test_a_server_that_comes_back_in_time_gets_the_batch(own_server: RedisServer) -> None:
    sink = make_sink(own_server.url, timeout_seconds=20)
    sink.start()
    port = int(own_server.address.rpartition(":")[2])
    own_server.stop()
    outcomes: list[Outcome] = []
    storing = threading.Thread(
        target=lambda: outcomes.extend(sink.store([make_entry("gate", 0)])), daemon=True
    )
    storing.start()
    with start_redis(port) as back, redis.Redis.from_url(back.url) as client:
        storing.join(20)
        assert outcomes == [Outcome.STORED]
        assert sequences(client, "gate") == [0]


def test_a_batch_repeated_after_a_lost_answer_counts_as_stored(own_server: RedisServer) -> None:
    sink = make_sink(own_server.url, make_client=LosesAnswers(1))
    assert sink.store([make_entry("gate", 0)]) == [Outcome.STORED]
    assert sink.store([make_entry("gate", 0)]) == [Outcome.DUPLICATE]


def test_giving_up_ends_a_store_that_still_tries() -> None:
    sink = make_sink(f"redis://127.0.0.1:{free_ports(1)[0]}/0", timeout_seconds=60)
    ended = threading.Event()

    def store() -> None:
        with pytest.raises(UnavailableError):
            sink.store([make_entry("gate", 0)])
        ended.set()

    threading.Thread(target=store, daemon=True).start()
    sink.give_up()
    assert ended.wait(10)


def test_a_full_server_is_unavailable_and_heals(own_server: RedisServer) -> None:
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("maxmemory", "100kb")  # less than it takes when empty
        sink = make_sink(own_server.url, timeout_seconds=1)
        with pytest.raises(UnavailableError, match="maxmemory"):
            sink.store([make_entry("gate", 0)])
        client.config_set("maxmemory", "8mb")
        assert sink.store([make_entry("gate", 0)]) == [Outcome.STORED]


def test_a_password_beside_the_url_is_used_as_it_is(own_server: RedisServer) -> None:
    secret = "p@ss/w:rd%20"
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("requirepass", secret)
    sink = make_sink(own_server.url, redis_password=secret)
    sink.start()
    assert sink.store([make_entry("a", 0)]) == [Outcome.STORED]
    sink.close()


def test_a_wrong_password_is_a_wrong_setting(own_server: RedisServer) -> None:
    with redis.Redis.from_url(own_server.url) as client:
        client.config_set("requirepass", "right")
    sink = make_sink(own_server.url.replace("redis://", "redis://:wrong@"))
    with pytest.raises(ConfigurationError, match="WORKER_REDIS_URL") as caught:
        sink.start()
    assert "wrong@" not in str(caught.value)
    right = make_sink(own_server.url.replace("redis://", "redis://:right@"))
    right.start()


def test_a_redis_cluster_takes_the_same_batches(redis_cluster: RedisCluster) -> None:
    sink = make_sink(redis_cluster.url, redis_cluster=True)
    sink.start()
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    batch = [make_entry(camera, sequence) for sequence in range(3) for camera in cameras]
    assert sink.store(batch) == [Outcome.STORED] * 9
    assert sink.store(batch[:2]) == [Outcome.DUPLICATE] * 2
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        assert [len(client.xrange(KEYS.results(camera))) for camera in cameras] == [3, 3, 3]
        assert {camera.encode() for camera in cameras} <= set(client.zrange(KEYS.cameras, 0, -1))
        owners = {client.get_node_from_key(KEYS.results(camera)).port for camera in cameras}
        assert len(owners) == 3, "the cameras are to lie on three nodes"
    sink.close()


def test_a_cluster_that_is_away_is_unavailable_within_the_bound() -> None:
    url = f"redis://127.0.0.1:{free_ports(1)[0]}"
    sink = make_sink(url, redis_cluster=True, timeout_seconds=1)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match=r"could not reach Redis .* within 1 s"):
        sink.start()
    assert 0.9 < time.monotonic() - began < 20, "it is tried for the whole bound, and no longer"


def test_an_uncovered_slot_is_tried_again_until_it_is_covered(redis_cluster: RedisCluster) -> None:
    sink = make_sink(redis_cluster.url, redis_cluster=True, timeout_seconds=30)
    sink.start()
    camera = redis_cluster.camera_of(1)
    slot = redis_cluster.slot_of(KEYS.results(camera))
    redis_cluster.uncover(slot)
    outcomes: list[Outcome] = []
    storing = threading.Thread(
        target=lambda: outcomes.extend(sink.store([make_entry(camera, 0)])), daemon=True
    )
    storing.start()
    storing.join(1)
    assert storing.is_alive(), "an error of the cluster was not borne"
    redis_cluster.cover(slot, node=1)
    storing.join(30)
    assert outcomes == [Outcome.STORED]


def test_a_slot_that_stays_uncovered_is_unavailable_within_the_bound(
    redis_cluster: RedisCluster,
) -> None:
    sink = make_sink(redis_cluster.url, redis_cluster=True, timeout_seconds=1)
    sink.start()
    camera = redis_cluster.camera_of(2)
    slot = redis_cluster.slot_of(KEYS.results(camera))
    redis_cluster.uncover(slot)
    try:
        with pytest.raises(UnavailableError, match="could not store results in Redis"):
            sink.store([make_entry(camera, 0)])
    finally:
        redis_cluster.cover(slot, node=2)


def test_a_node_that_hangs_and_comes_back_gets_the_batch(redis_cluster: RedisCluster) -> None:
    sink = make_sink(redis_cluster.url, redis_cluster=True, timeout_seconds=60)
    sink.start()
    camera = redis_cluster.camera_of(2)
    outcomes: list[Outcome] = []
    storing = threading.Thread(
        target=lambda: outcomes.extend(sink.store([make_entry(camera, 0)])), daemon=True
    )
    redis_cluster.nodes[2].signal(signal.SIGSTOP)
    storing.start()
    storing.join(1)
    redis_cluster.nodes[2].signal(signal.SIGCONT)
    storing.join(60)
    assert outcomes in ([Outcome.STORED], [Outcome.DUPLICATE])


def test_the_node_that_the_url_names_may_die_if_a_replica_takes_its_place(tmp_path: Path) -> None:
    with running_cluster(tmp_path, replicas=1, node_timeout_ms=1000) as cluster:
        sink = make_sink(cluster.url, redis_cluster=True, timeout_seconds=60)
        sink.start()
        camera = cluster.camera_of(0)
        assert sink.store([make_entry(camera, 0)]) == [Outcome.STORED]
        with redis.Redis(port=int(cluster.nodes[3].address.rpartition(":")[2])) as replica:
            wait_until(lambda: replica.info("replication")["slave_repl_offset"] > 0)
        cluster.nodes[0].kill()
        assert sink.store([make_entry(camera, 1)]) == [Outcome.STORED]
        sink.close()


def test_a_single_server_that_is_asked_as_a_cluster_is_a_wrong_setting(
    redis_server: RedisServer,
) -> None:
    with pytest.raises(ConfigurationError, match="WORKER_REDIS_CLUSTER"):
        make_sink(redis_server.url, redis_cluster=True).start()


def test_a_cluster_that_is_asked_as_a_single_server_is_a_wrong_setting(
    redis_cluster: RedisCluster,
) -> None:
    sink = make_sink(redis_cluster.url)
    with pytest.raises(ConfigurationError, match="WORKER_REDIS_CLUSTER"):
        sink.store([make_entry(redis_cluster.camera_of(node), 0) for node in range(3)])


def test_a_failed_note_of_the_cameras_is_repeated(own_server: RedisServer) -> None:
    sink = make_sink(own_server.url, timeout_seconds=1)
    with redis.Redis.from_url(own_server.url) as client:
        client.set(KEYS.cameras, "no sorted set")
        with pytest.raises(ConfigurationError, match="WRONGTYPE"):
            sink.store([make_entry("gate", 0)])
        client.delete(KEYS.cameras)
        # The results were stored; the note of their camera comes with the repetition.
        assert sink.store([make_entry("gate", 0)]) == [Outcome.DUPLICATE]
        assert client.zcard(KEYS.cameras) == 1
