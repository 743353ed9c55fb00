"""Workers on real servers when clocks are wrong, and when Redis lets them do only half of it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kafka import KafkaProducer

from contract.frame import encode_frame
from stack.broker import Broker
from stack.redis_server import RedisServer, start_redis
from tests.fakes import make_frame, wait_until
from tests.integration.worker_line import Line
from tests.sink_parts import frames, make_session

Name = Callable[[str], str]
HOUR = 3600.0


@pytest.fixture
def line(
    tmp_path: Path, kafka: Broker, redis_server: RedisServer, unique_name: Name
) -> Iterator[Line]:
    topic = unique_name("frames")
    kafka.create_topic(topic, 2)
    kafka.create_topic(f"{topic}.dead", 1)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, linger_ms=2)
    line = Line(
        tmp_path, kafka.bootstrap_servers, redis_server.url, topic, unique_name("workers"),
        producer,
    )  # fmt: skip
    with line.stack:
        yield line
    producer.close(5)


def test_wrong_clocks_cost_no_frame_and_are_told(
    line: Line, redis_server: RedisServer, unique_name: Name
) -> None:
    camera, now = unique_name("gate"), time.time()
    good, future, set_back = make_session(now - 9), make_session(now * 3), make_session(now - HOUR)
    worker = line.worker()
    order = [(good, number) for number in range(10)]
    order += [(future, 0), *((good, number) for number in range(10, 110))]
    order += [(set_back, number) for number in range(10)]
    line.send(*(make_frame(camera, number, session=session) for session, number in order[:10]))
    line.send(make_frame(camera, 7, session=future, captured_at=now + 2 * 365 * 24 * HOUR))
    key, value, headers = encode_frame(make_frame(camera, 8, session=future))
    year_1 = [(n, b"0001-01-01T00:00:00Z" if n == "ce_time" else v) for n, v in headers]
    line.producer.send(line.topic, key=key, value=value, headers=year_1)
    line.send(*(make_frame(camera, number, session=session) for session, number in order[10:]))
    with redis.Redis.from_url(redis_server.url) as client:
        wait_until(lambda: len(frames(client, camera)) >= len(order), 40, "all results")
        assert frames(client, camera) == order
    letters = line.dead(2)
    reasons = [headers["seedstream_dead_reason"] for _, _, headers in letters]
    assert sorted(reasons) == [b"future_time", b"implausible_time"]
    suspect = {
        reason: worker.metric("seedstream_frames_suspect_total", camera=camera, reason=reason)
        for reason in ("ahead", "resumed", "set_back")
    }
    assert suspect == {"ahead": 1, "resumed": 1, "set_back": 1}
    assert worker.metric("seedstream_end_to_end_latency_seconds_sum", camera=camera) < HOUR
    assert worker.stop(30) == 0
    assert line.committed() == len(order) + 2
    for told in ("in the future", "goes on after another one", "clock set back"):
        assert worker.text().count(told) == 1, told


def test_a_redis_user_without_set_ends_the_worker_with_2_and_is_named(
    line: Line, unique_name: Name
) -> None:
    line.send(make_frame(unique_name("gate"), 0))
    with start_redis() as own, redis.Redis.from_url(own.url) as client:
        allowed = (
            *("ping", "eval", "get", "xadd", "expire", "xrange", "xrevrange", "zadd", "time"),
            *("hget", "hset", "hkeys", "hdel", "publish"),
        )
        client.execute_command(
            "ACL", "SETUSER", "worker", "on", ">hunter2", "~seedstream:*", "&*",
            *(f"+{name}" for name in allowed),
        )  # fmt: skip
        worker = line.worker(redis_url=own.url, redis_username="worker", redis_password="hunter2")
        assert worker.wait(30) == 2
        assert "the user may not run SET" in worker.text()
        assert "hunter2" not in worker.text()
        assert client.keys("*") == []
    assert line.committed() == 0
