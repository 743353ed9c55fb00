"""The client library of results against real servers: what is stored, what comes, what is lost."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import redis
from msgspec import structs
from prometheus_client import CollectorRegistry

from contract.errors import ConfigurationError, UnavailableError
from contract.result import DOCUMENT_FIELD, encode_result
from seedstream.results import CameraResult, Results, follow, latest
from stack.launch import free_ports
from stack.redis_server import RedisServer, start_redis
from tests.default_keys import KEYS
from tests.fakes import wait_until
from tests.redis_cluster import RedisCluster
from tests.secured_redis import CLUSTER_RULES, READER_RULES, SecuredRedis
from tests.sink_parts import CAPTURED_AT, make_previews, make_sink, make_tracked
from workers.metrics import WorkerMetrics
from workers.sink import RedisSink

Name = Callable[[str], str]


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def results(redis_server: RedisServer) -> Iterator[Results]:
    with Results(redis_server.url) as results:
        yield results


@pytest.fixture
def sink(redis_server: RedisServer) -> Iterator[RedisSink]:
    metrics = WorkerMetrics(CollectorRegistry())
    sink = make_sink(redis_server.url, metrics=metrics, previews=make_previews())
    yield sink
    sink.close()


@pytest.fixture
def camera(unique_name: Name) -> str:
    return unique_name("gate")


class Reader:
    """Follows a camera in a thread.

    Attributes:
        found: What came.
        error: What ended it.
    """

    def __init__(self, iterator: Iterator[CameraResult]) -> None:
        self.found: list[CameraResult] = []
        self.error: BaseException | None = None
        self._iterator = iterator
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for result in self._iterator:
                self.found.append(result)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    @property
    def sequences(self) -> list[int]:
        return [result.sequence for result in self.found]

    def wait_for(self, *sequences: int) -> None:
        wait_until(lambda: self.sequences == list(sequences), 20, f"{sequences}, {self.error}")


def waits(client: "redis.Redis") -> bool:
    """Whether somebody waits for news."""
    return any(each["cmd"] == "xread" and "b" in each["flags"] for each in client.client_list())


def add(client: "redis.Redis", camera: str, entry: str, sequence: int) -> None:
    """Add an entry under an id of one's own."""
    document = encode_result(make_tracked(camera, sequence).result)
    client.xadd(KEYS.results(camera), {DOCUMENT_FIELD: document}, id=entry)


def test_what_is_stored_is_read_typed_and_its_masks_decoded(
    results: Results, sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    assert results.latest(camera) is None
    assert results.newest(camera, 3) == list(results.history(camera)) == []
    assert (results.preview(camera), results.minutes(camera)) == (None, [])
    sink.store([make_tracked(camera, n)._replace(jpeg=b"jpeg") for n in range(250)])
    assert camera in results.cameras()
    newest = results.latest(camera)
    assert newest is not None
    assert (newest.camera, newest.sequence, newest.size) == (camera, 249, (48, 64))
    assert newest.captured_at == CAPTURED_AT + timedelta(seconds=24.9)
    assert [each.sequence for each in results.newest(camera, 3)] == [247, 248, 249]
    assert [each.sequence for each in results.history(camera)] == list(range(250))
    pairs = list(newest)
    assert len(newest) == len(pairs) == 2
    for instance, pixels in pairs:
        assert (instance.class_name, pixels.dtype, pixels.shape) == ("person", np.bool_, (8, 12))
        assert pixels.sum() == instance.area == 96
        assert instance.track is not None
    assert newest.instances.boxes.tolist() == [list(instance.box) for instance, _ in pairs]
    pair = results.preview(camera)
    assert pair is not None
    assert (pair.result(), pair.jpeg) == (newest.document, b"jpeg")
    assert sum(each.frames for each in results.minutes(camera)) == 250


def test_history_begins_at_a_time(results: Results, sink: RedisSink, camera: str) -> None:
    sink.store([make_tracked(camera, n) for n in range(20)])
    since = CAPTURED_AT + timedelta(seconds=1.5)
    assert [each.sequence for each in results.history(camera, since)] == [15, 16, 17, 18, 19]
    elsewhere = since.astimezone(timezone(timedelta(hours=5)))
    assert len(list(results.history(camera, elsewhere))) == 5
    ago = datetime.now(UTC) - since
    assert len(list(results.history(camera, ago + timedelta(seconds=60)))) == 20
    assert list(results.history(camera, ago - timedelta(seconds=60))) == []
    with pytest.raises(ValueError, match="has no zone"):
        list(results.history(camera, since.replace(tzinfo=None)))


def test_followed_results_come_once_in_order_from_the_next_one_on(
    redis_server: RedisServer, sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([make_tracked(camera, n) for n in range(3)])
    reader = Reader(follow(camera, url=redis_server.url, wait_seconds=4))
    wait_until(lambda: waits(client), what="a reader that waits")
    sink.store([make_tracked(camera, 3)])
    reader.wait_for(3)
    sink.store([make_tracked(camera, n) for n in range(4, 130)])
    reader.wait_for(*range(3, 130))
    reader.thread.join(20)
    assert not reader.thread.is_alive(), "it ends when nothing comes"
    assert reader.error is None


def test_following_since_a_time_reads_what_is_stored_and_goes_on(
    results: Results, sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    sink.store([make_tracked(camera, n) for n in range(120)])
    reader = Reader(results.follow(camera, CAPTURED_AT + timedelta(seconds=10), wait_seconds=5))
    reader.wait_for(*range(100, 120))
    wait_until(lambda: waits(client))
    sink.store([make_tracked(camera, 120, seconds=-60)])
    reader.wait_for(*range(100, 121))


def test_following_goes_on_after_an_entry(results: Results, sink: RedisSink, camera: str) -> None:
    sink.store([make_tracked(camera, n) for n in range(10)])
    left_at = results.newest(camera, 4)[0].entry
    found = results.follow(camera, after=left_at, wait_seconds=0.5)
    assert [each.sequence for each in found] == [7, 8, 9]
    with pytest.raises(ValueError, match="no id of an entry"):
        next(results.follow(camera, after="yesterday"))


def test_a_camera_without_results_is_waited_for(
    results: Results, sink: RedisSink, client: "redis.Redis", camera: str
) -> None:
    reader = Reader(results.follow(camera, wait_seconds=5))
    wait_until(lambda: waits(client))
    sink.store([make_tracked(camera, 0)])
    reader.wait_for(0)


def test_a_stream_that_begins_anew_is_followed_and_one_that_lost_its_end_not_read_twice(
    results: Results, client: "redis.Redis", camera: str
) -> None:
    for number in range(5):
        add(client, camera, f"2000-{number + 1}", number)
    reader = Reader(results.follow(camera, timedelta(days=9000), wait_seconds=8))
    reader.wait_for(0, 1, 2, 3, 4)
    with client.pipeline() as together:  # a replica takes over that lacks the last two
        together.delete(KEYS.results(camera))
        for number in range(3):
            document = encode_result(make_tracked(camera, number).result)
            together.xadd(KEYS.results(camera), {DOCUMENT_FIELD: document}, id=f"2000-{number + 1}")
        together.execute()
    threading.Event().wait(1.5)
    add(client, camera, "2000-4", 3)
    reader.wait_for(0, 1, 2, 3, 4, 3)
    client.delete(KEYS.results(camera))  # expired, and the clock was set back
    add(client, camera, "1000-1", 70)
    add(client, camera, "1000-2", 71)
    reader.wait_for(0, 1, 2, 3, 4, 3, 70, 71)
    client.expire(KEYS.results(camera), 100)


def test_what_is_no_result_is_left_out_and_told_once(
    results: Results, client: "redis.Redis", camera: str, caplog: pytest.LogCaptureFixture
) -> None:
    add(client, camera, "1000-1", 0)
    for number in range(3):
        client.xadd(KEYS.results(camera), {DOCUMENT_FIELD: "{}"}, id=f"1000-{number + 2}")
    client.xadd(KEYS.results(camera), {"another": "field"}, id="1000-7")
    newer = encode_result(structs.replace(make_tracked(camera, 8).result, schema=9))
    client.xadd(KEYS.results(camera), {DOCUMENT_FIELD: newer}, id="1000-8")
    add(client, camera, "1000-9", 9)
    with caplog.at_level(logging.WARNING):
        assert [each.sequence for each in results.history(camera)] == [0, 9]
        found = results.follow(camera, after="0-0", wait_seconds=0.3)
        assert [each.sequence for each in found] == [0, 9]
    assert len(caplog.records) == 1
    assert KEYS.results(camera) in caplog.text
    client.expire(KEYS.results(camera), 100)


@pytest.mark.parametrize("option", ["?protocol=3", "?decode_responses=True"])
def test_every_protocol_gives_the_same(
    redis_server: RedisServer, sink: RedisSink, camera: str, option: str
) -> None:
    sink.store([make_tracked(camera, n)._replace(jpeg=b"\xff\xd8") for n in range(3)])
    with Results(redis_server.url + option) as results:
        found = results.follow(camera, after="0-0", wait_seconds=0.3)
        assert [each.sequence for each in found] == [0, 1, 2]
        assert [each.sequence for each in results.history(camera)] == [0, 1, 2]
        pair = results.preview(camera)
        assert pair is not None
        assert pair.jpeg == b"\xff\xd8"
        assert results.minutes(camera)[0].frames == 3
        assert camera in results.cameras()


def test_a_server_that_comes_back_is_followed_on_and_one_that_stays_away_is_told() -> None:
    with start_redis() as first:
        port = int(first.address.rpartition(":")[2])
        sink = make_sink(first.url)
        sink.store([make_tracked("gate", 0)])
        reader = Reader(follow("gate", after="0-0", url=first.url, timeout_seconds=20))
        reader.wait_for(0)
    with start_redis(port) as back:
        sink = make_sink(back.url)
        sink.store([make_tracked("gate", n) for n in range(2)])
        reader.wait_for(0, 1)  # frame 0 is stored again under the id that was read
    reader.thread.join(40)
    assert isinstance(reader.error, UnavailableError)
    assert "could not read results from Redis" in str(reader.error)


def test_an_unreachable_server_ends_the_wait_within_the_bound() -> None:
    url = f"redis://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(UnavailableError, match=r"within 0\.3 s"):
        latest("gate", url=url, timeout_seconds=0.3)


def test_settings_come_from_the_environment_and_faults_are_told_at_once(
    redis_server: RedisServer, sink: RedisSink, camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.store([make_tracked(camera, 4)])
    monkeypatch.setenv("RESULTS_REDIS_URL", redis_server.url)
    found = latest(camera)
    assert found is not None
    assert found.sequence == 4
    with pytest.raises(ConfigurationError, match="RESULTS_REDIS_URL"):
        follow(camera, url="http://elsewhere")


def test_with_tls_and_the_least_rights_everything_is_read(
    secured_redis: SecuredRedis, unique_name: Name
) -> None:
    camera = unique_name("gate")
    secured_redis.allow("reader", "reader-Pw5", *READER_RULES)
    with secured_redis.admin() as admin:
        add(admin, camera, "1000-1", 1)
        admin.expire(KEYS.results(camera), 100)
    with Results(secured_redis.url, username="reader", password="reader-Pw5") as results:
        results.cameras()
        assert [each.sequence for each in results.history(camera)] == [1]
        found = results.follow(camera, after="0-0", wait_seconds=0.3)
        assert [each.sequence for each in found] == [1]
        assert (results.preview(camera), results.minutes(camera)) == (None, [])
    with (
        Results(secured_redis.url, username="reader", password="guess") as wrong,
        pytest.raises(ConfigurationError, match="credentials"),
    ):
        wrong.latest(camera)


@pytest.mark.parametrize("rule", READER_RULES)
def test_each_rule_of_a_reader_is_needed(secured_redis: SecuredRedis, rule: str) -> None:
    rules = [each for each in READER_RULES if each != rule]
    secured_redis.allow("lesser", "reader-Pw5", *rules)
    refusals: list[str] = []
    with Results(secured_redis.url, username="lesser", password="reader-Pw5") as results:
        for read in (
            results.cameras,
            lambda: list(results.history("gate")),
            lambda: results.newest("gate", 1),
            lambda: list(results.follow("gate", after="0-0", wait_seconds=0.2)),
            lambda: results.preview("gate"),
            lambda: results.minutes("gate"),
        ):
            try:
                read()
            except ConfigurationError as error:
                refusals.append(str(error))
    assert all("rights" in each for each in refusals)
    assert len(refusals) == (6 if rule.startswith("%") else 2 if rule == "+xrevrange" else 1)


def test_cameras_on_every_node_of_a_cluster_are_followed(redis_cluster: RedisCluster) -> None:
    for client in redis_cluster.clients:
        client.execute_command(
            *("ACL", "SETUSER", "reader", "reset", "on", ">reader-Pw5"),
            *(*READER_RULES, *CLUSTER_RULES),
        )
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    sink = make_sink(redis_cluster.url, redis_cluster=True, previews=make_previews())
    sink.store([make_tracked(each, n)._replace(jpeg=b"x") for n in range(2) for each in cameras])
    with Results(
        redis_cluster.url, cluster=True, username="reader", password="reader-Pw5"
    ) as results:
        assert set(cameras) <= set(results.cameras())
        for camera in cameras:
            found = results.follow(camera, after="0-0", wait_seconds=0.3)
            assert [each.sequence for each in found] == [0, 1]
            assert results.preview(camera) is not None
            assert results.minutes(camera)[0].frames == 2


def test_importing_it_loads_neither_model_nor_kafka_nor_pictures() -> None:
    heavy = (
        "onnxruntime",
        "kafka",
        "numba",
        "cv2",
        "av",
        "torch",
        "scipy",
        "PIL",
        "prometheus_client",
    )
    code = (
        "import sys; from seedstream.results import follow; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
