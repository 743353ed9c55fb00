"""What a producer and a worker say of a Kafka and a Redis that go away and come back."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from stack.broker import Broker
from stack.jars import missing_programs
from stack.kafka_server import start_kafka
from stack.launch import LOCALHOST, free_ports
from stack.seedstream_process import SeedstreamProcess, start_seedstream
from tests.chaos.restartable_redis import RestartableRedis
from tests.fakes import make_frame, wait_until
from tests.integration.test_worker import make_producer
from tests.integration.worker_line import Line
from tests.waits import PATIENCE

KAFKA, REDIS = "seedstream_kafka_connected", "seedstream_redis_connected"
CLOSED_SECONDS = 8.0
"""How soon the end of a connection must show, in seconds: sooner than silence does."""

SILENT_SECONDS = 30.0
"""How soon a server that neither answers nor closes must show, in seconds."""

BACK_SECONDS = 60.0


def seen(process: SeedstreamProcess, gauge: str) -> float | None:
    """Return a gauge's value, None where the process does not answer or has no such series."""
    samples = process.metrics()
    return None if samples is None else samples.values.get((gauge, frozenset({("lane", "main")})))


def shows(value: int, within_seconds: float, *asked: tuple[SeedstreamProcess, str]) -> None:
    """Wait until all gauges have a value, and report how long each took."""
    began = time.monotonic()
    for process, name in asked:
        left = within_seconds - (time.monotonic() - began)
        wait_until(
            lambda p=process, n=name: seen(p, n) == value, left / PATIENCE, f"{name} {value}"
        )
        print(f"{name} {value} after {time.monotonic() - began:.1f} s")


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RestartableRedis]:
    (tmp_path / "redis").mkdir()
    server = RestartableRedis(tmp_path / "redis", LOCALHOST)
    yield server
    server.close()


@contextmanager
def processes(
    folder: Path, broker: Broker, redis_url: str, name: str
) -> Iterator[tuple[Line, SeedstreamProcess, SeedstreamProcess]]:
    """A worker, and a producer whose only camera gives no frame."""
    broker.create_topic(name, 2)
    broker.create_topic(f"{name}.dead", 1)
    sender = make_producer(broker)
    line = Line(folder, broker.bootstrap_servers, redis_url, name, name, sender)
    with ExitStack() as stack:
        stack.callback(sender.close, 0)
        stack.enter_context(line.stack)
        patient = {"kafka_timeout_seconds": 120}
        worker = line.worker(**patient, redis_timeout_seconds=120)
        settings = {
            "bootstrap_servers": broker.bootstrap_servers, "topic": name, "http_port": 0,
            "http_host": "127.0.0.1", **patient,
        }  # fmt: skip
        camera = f"--camera=away=http://127.0.0.1:{free_ports(1)[0]}/away.mjpg"
        producer = start_seedstream(
            "produce", camera, log_path=folder / "producer.log", settings=settings
        )
        stack.callback(producer.kill)
        yield line, worker, producer


def test_kafka_goes_silent_dies_and_comes_back_while_nobody_has_anything_to_say(
    own_redis: RestartableRedis, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    if missing_programs():
        pytest.skip("no Java or Maven here")
    port, name = free_ports(1)[0], unique_name("frames")
    with (
        start_kafka(port, folder=tmp_path / "kafka") as broker,
        processes(tmp_path, broker, own_redis.url, name) as (_, worker, producer),
    ):
        both = (worker, KAFKA), (producer, KAFKA)
        shows(1, 40, *both, (worker, REDIS))
        broker.signal(signal.SIGSTOP)
        shows(0, SILENT_SECONDS, *both)
        broker.signal(signal.SIGCONT)
        shows(1, BACK_SECONDS, *both)
        broker.kill()
        shows(0, CLOSED_SECONDS, *both)
        assert seen(worker, REDIS) == 1
        with start_kafka(port, folder=tmp_path / "kafka"):
            shows(1, BACK_SECONDS, *both)
            time.sleep(15)  # longer than any silence that counts
            assert [seen(process, gauge) for process, gauge in both] == [1, 1]


def test_redis_goes_silent_dies_and_comes_back_with_and_without_frames(
    kafka: Broker, own_redis: RestartableRedis, unique_name: Callable[[str], str], tmp_path: Path
) -> None:
    with processes(tmp_path, kafka, own_redis.url, unique_name("frames")) as (line, worker, _):
        gauge = (worker, REDIS)
        shows(1, 40, gauge, (worker, KAFKA))
        own_redis.process.signal(signal.SIGSTOP)
        shows(0, SILENT_SECONDS, gauge)
        own_redis.process.signal(signal.SIGCONT)
        shows(1, BACK_SECONDS, gauge)
        own_redis.process.kill()
        shows(0, CLOSED_SECONDS, gauge)
        own_redis.start_again()
        shows(1, BACK_SECONDS, gauge)
        own_redis.client.config_set("maxmemory", 1)
        assert seen(worker, REDIS) == 1, "a full Redis answers those who only ask"
        line.send(make_frame("gate", 0))
        shows(0, CLOSED_SECONDS, gauge)
        own_redis.client.config_set("maxmemory", 0)
        shows(1, BACK_SECONDS, gauge)
        wait_until(lambda: worker.metric("seedstream_frames_processed_total") == 1, 20)
        assert seen(worker, KAFKA) == 1
