"""The least rights in Kafka and Redis with which everything works, and that each is needed."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis
from kafka import KafkaProducer
from pydantic import SecretStr

from contract.errors import ConfigurationError, UnavailableError
from servers.kafka import KafkaConnection
from servers.redis import Redis
from servers.redis_connection import RedisConnection
from servers.refusals import PASSING_SECONDS
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.default_keys import KEYS
from tests.fakes import wait_until
from tests.integration.worker_line import Line
from tests.redis_cluster import RedisCluster
from tests.secured_kafka import PRODUCER_RIGHTS, VIEWER_RIGHTS, WORKER_RIGHTS, SecuredKafka
from tests.secured_redis import CLUSTER_RULES, VIEWER_RULES, WORKER_RULES, SecuredRedis
from tests.sink_parts import make_entry, make_previews, make_sink
from tests.waits import PATIENCE
from viewer.history import ResultReader, read_frames
from workers.records import Outcome

Names = Callable[[str], str]
PASSWORD = "least-Pw9"
CAMERA = "--camera=gate=test:?size=160x120&fps=20"


@dataclass
class Place:
    """Topics and a group on the secured servers."""

    line: Line
    kafka: SecuredKafka
    redis: SecuredRedis

    def user(self, rights: tuple[str, ...], listener: str = "secure") -> dict[str, str]:
        """Return the settings of a new user with these rights."""
        name = f"least-{uuid.uuid4().hex[:8]}"
        self.kafka.add_user(name, PASSWORD)
        line = self.line
        self.kafka.allow(
            name,
            *(r.format(topic=line.topic, group=line.group, dead=line.dead_topic) for r in rights),
        )
        return self.kafka.settings(name, listener)

    def worker(self, rights: tuple[str, ...]) -> SeedstreamProcess:
        """Start a worker with these rights in Kafka, and all that it needs in Redis."""
        self.redis.allow("worker", PASSWORD, *WORKER_RULES)
        return self.line.worker(**self.user(rights), **self.redis.settings("worker", PASSWORD))

    def producer(self, rights: tuple[str, ...], *options: str) -> SeedstreamProcess:
        """Start a producer with these rights."""
        process = start_seedstream(
            "produce",
            CAMERA,
            *options,
            log_path=self.line.folder / f"producer-{uuid.uuid4().hex[:8]}.log",
            settings=self.user(rights)
            | {"topic": self.line.topic, "http_port": 0, "http_host": "127.0.0.1"},
        )
        self.line.stack.callback(process.kill)
        return process


@pytest.fixture
def place(
    tmp_path: Path, secured_kafka: SecuredKafka, secured_redis: SecuredRedis, unique_name: Names
) -> Iterator[Place]:
    topic = unique_name("frames")
    for each in (topic, f"{topic}.dead"):
        secured_kafka.broker.create_topic(each)
    address = secured_kafka.broker.address
    with closing(KafkaProducer(bootstrap_servers=address)) as producer:
        line = Line(tmp_path, address, secured_redis.url, topic, unique_name("workers"), producer)
        with line.stack:
            yield Place(line, secured_kafka, secured_redis)


def without(rights: tuple[str, ...], right: str) -> tuple[str, ...]:
    return tuple(each for each in rights if each != right)


def test_with_the_least_rights_frames_become_results_and_poison_dead_letters(
    place: Place,
) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    worker = place.worker(WORKER_RIGHTS)
    producer = place.producer(PRODUCER_RIGHTS, "--max-frames=20")
    place.line.producer.send(place.line.topic, value=b"poison")
    assert producer.wait(60) == 0, producer.text()
    wait_until(lambda: worker.metric("seedstream_frames_processed_total") == 20, 60)
    assert len(place.line.dead(1)) == 1
    assert worker.stop(30) == 0, worker.text()

    place.redis.allow("viewer", PASSWORD, *VIEWER_RULES)
    results = RedisConnection.model_validate(place.redis.settings("viewer", PASSWORD))
    with closing(Redis(results)) as server:
        reader = ResultReader(server)
        assert "gate" in reader.cameras()
        newest = reader.newest("gate")
        assert newest is not None
        assert len(list(reader.results("gate", began, newest))) >= 20
    connection = KafkaConnection.model_validate(place.user(VIEWER_RIGHTS))
    assert len(list(read_frames(connection, place.line.topic, "gate", began, 3.0))) == 20


def test_each_right_that_kafka_does_not_grant_ends_the_process_with_two_and_its_name(
    place: Place,
) -> None:
    topic, group = place.line.topic, place.line.group
    processes = {
        "producer without any": (place.producer(()), topic, "write"),
        "producer that may only look": (
            place.producer(("DESCRIBE TOPIC {topic}",)),
            topic,
            "grant WRITE on the topic",
        ),
        **{
            f"worker without {right}": (
                place.worker(without(WORKER_RIGHTS, right)),
                right.format(topic=topic, group=group, dead=place.line.dead_topic).split()[2],
                right.split()[1].lower(),
            )
            for right in WORKER_RIGHTS
        },
    }
    for name, (process, resource, words) in processes.items():
        assert process.wait(60) == 2, f"{name}: {process.text()}"
        last = process.text().splitlines()[-1]
        assert resource in last, name
        assert words in last, name
        assert PASSWORD not in process.text()


def test_a_viewer_without_the_right_to_read_is_refused_and_not_told_that_there_is_no_topic(
    place: Place,
) -> None:
    connection = KafkaConnection.model_validate(place.user(()))
    began = datetime.now(UTC)
    with pytest.raises(ConfigurationError, match=f"{place.line.topic}.*READ.*rights"):
        list(read_frames(connection, place.line.topic, "gate", began, 1.0))
    everything = KafkaConnection(bootstrap_servers=place.kafka.broker.address)
    with pytest.raises(UnavailableError, match="has no topic 'absent'"):
        list(read_frames(everything, "absent", "gate", began, 1.0))


def test_a_worker_that_loses_a_right_while_it_runs_ends_with_two(place: Place) -> None:
    settings = place.user(WORKER_RIGHTS)
    place.redis.allow("worker", PASSWORD, *WORKER_RULES)
    worker = place.line.worker(**settings, **place.redis.settings("worker", PASSWORD))
    worker.wait_until_ready()
    place.kafka.disallow(settings["sasl_username"], f"READ TOPIC {place.line.topic}")
    assert worker.wait(60) == 2, worker.text()
    assert "READ on the topic" in worker.text().splitlines()[-1]


@pytest.mark.parametrize("rule", WORKER_RULES)
def test_each_rule_of_a_workers_user_of_redis_is_needed_and_named(
    secured_redis: SecuredRedis, rule: str
) -> None:
    secured_redis.allow("sink", PASSWORD, *without(WORKER_RULES, rule))
    user = {"redis_username": "sink", "redis_password": SecretStr(PASSWORD)}
    sink = make_sink(secured_redis.url, timeout_seconds=30, previews=make_previews(), **user)
    named = {"~": "key", "&": "publish"}.get(rule[0], rule.removeprefix("+"))
    began = time.monotonic()
    with closing(sink), pytest.raises(ConfigurationError, match=f"(?i)rights: .*{named}"):
        sink.start()  # before the first frame
    assert time.monotonic() - began < 2 * PATIENCE + PASSING_SECONDS  # heard twice, not for 30 s


def test_a_lane_s_user_may_store_under_its_prefix_and_is_told_what_it_lacks_elsewhere(
    secured_redis: SecuredRedis,
) -> None:
    of_the_lane = [rule.replace("seedstream:", "seedstream-shadow:") for rule in WORKER_RULES]
    secured_redis.allow("shadow", PASSWORD, *of_the_lane)
    user = {"redis_username": "shadow", "redis_password": SecretStr(PASSWORD)}
    shadow = {"result_prefix": "seedstream-shadow", "previews": make_previews(), **user}
    with closing(make_sink(secured_redis.url, **shadow)) as sink:
        sink.start()
        assert sink.store([make_entry("gate-of-two-lanes", 1)]) == [Outcome.STORED]
    with (
        closing(make_sink(secured_redis.url, previews=make_previews(), **user)) as sink,
        pytest.raises(
            ConfigurationError, match=r"permissions on ~seedstream:\* and &seedstream:\*"
        ),
    ):
        sink.start()


def test_the_rules_are_enough_in_a_cluster_with_two_more(redis_cluster: RedisCluster) -> None:
    for client in redis_cluster.clients:
        client.execute_command(
            "ACL", "SETUSER", "least", "reset", "on", f">{PASSWORD}", *WORKER_RULES, *CLUSTER_RULES
        )
    user = {"redis_username": "least", "redis_password": SecretStr(PASSWORD)}
    cameras = [redis_cluster.camera_of(node) for node in range(3)]
    with redis.RedisCluster.from_url(redis_cluster.url) as client:
        for camera in cameras:
            client.set(KEYS.watch(camera), 384, ex=60)  # so that its picture is announced
    sink = make_sink(redis_cluster.url, redis_cluster=True, previews=make_previews(), **user)
    with closing(sink):
        sink.start()
        stored = sink.store([make_entry(camera, 1)._replace(jpeg=b"jpeg") for camera in cameras])
    assert stored == [Outcome.STORED] * 3


def test_a_worker_without_previews_needs_neither_channel_nor_publish(
    secured_redis: SecuredRedis,
) -> None:
    fewer = without(without(WORKER_RULES, "+publish"), "&seedstream:*")
    secured_redis.allow("sink", PASSWORD, *fewer)
    user = {"redis_username": "sink", "redis_password": SecretStr(PASSWORD)}
    with closing(make_sink(secured_redis.url, **user)) as sink:
        sink.start()
        assert sink.store([make_entry("gate-without-previews", 1)]) == [Outcome.STORED]


@pytest.mark.parametrize("rule", CLUSTER_RULES)
def test_each_rule_for_a_cluster_is_needed(redis_cluster: RedisCluster, rule: str) -> None:
    rules = (*WORKER_RULES, *without(CLUSTER_RULES, rule))
    for client in redis_cluster.clients:
        client.execute_command("ACL", "SETUSER", "lesser", "reset", "on", f">{PASSWORD}", *rules)
    user = {"redis_username": "lesser", "redis_password": SecretStr(PASSWORD)}
    named = rule.removeprefix("+").partition("|")[0]
    sink = make_sink(redis_cluster.url, redis_cluster=True, **user)
    with closing(sink), pytest.raises(ConfigurationError, match=f"(?i)rights: .*{named}"):
        sink.start()
