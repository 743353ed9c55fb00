"""Redis that restarts, fails over, has no memory, is slow, and takes no writes."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.chaos.account import Row
from tests.chaos.conftest import make_rig
from tests.chaos.kafka_cluster import KafkaCluster
from tests.chaos.restartable_redis import RestartableRedis
from tests.chaos.rig import Rig, clean
from tests.namespaces import Network
from tests.redis_cluster import NODES, RedisCluster

BOUND_SECONDS = 15.0
"""An answer is waited for 5 s, and attempts are up to 2 s apart."""


def start(rig: Rig) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}")
    rig.add_producer()
    rig.steady()


def masters(cluster: RedisCluster) -> list[int]:
    return [n for n, client in enumerate(cluster.clients) if role(client) == "master"]


def role(client: "redis.Redis") -> str:
    return str(client.info("replication")["role"])


def test_a_masters_place_is_taken_by_order(
    rig: Rig, six_nodes: RedisCluster, rows: list[Row]
) -> None:
    start(rig)
    replica = next(n for n in range(2 * NODES) if n not in masters(six_nodes))
    began = time.time()
    six_nodes.clients[replica].execute_command("CLUSTER", "FAILOVER")
    rig.until(lambda: replica in masters(six_nodes), 30, "the failover")
    took = rig.recovery(began, BOUND_SECONDS)
    rows.append(rig.finish("Redis Cluster: failover by order", took, BOUND_SECONDS))
    clean(rows[-1])


def test_a_master_is_killed(rig: Rig, six_nodes: RedisCluster, rows: list[Row]) -> None:
    start(rig)
    victim = masters(six_nodes)[-1]
    began = time.time()
    six_nodes.nodes[victim].kill()
    took = rig.recovery(began, BOUND_SECONDS + 10)
    six_nodes.start_again(victim)
    rig.until(lambda: in_step(six_nodes.clients[victim]), 30, "the old master as a replica")
    name = "Redis Cluster: a master killed -9, its replica takes over"
    rows.append(rig.finish(name, took, BOUND_SECONDS + 10))
    clean(rows[-1])


def in_step(client: "redis.Redis") -> bool:
    try:
        return bool(client.info("replication").get("master_link_status") == "up")
    except redis.exceptions.RedisError:
        return False


@pytest.mark.parametrize(
    ("fault", "setting", "value", "normal"),
    [
        ("Redis out of memory (noeviction) for 10 s", "maxmemory", "1", "0"),
        ("Redis takes no writes (too few replicas) for 10 s", "min-replicas-to-write", "9", "0"),
    ],
)
def test_writes_are_refused_for_a_while(
    rig: Rig, six_nodes: RedisCluster, rows: list[Row],
    fault: str, setting: str, value: str, normal: str,
) -> None:  # fmt: skip
    start(rig)
    affected = [six_nodes.clients[number] for number in masters(six_nodes)]
    for client in affected:
        client.config_set(setting, value)
    rig.run_for(10)
    for client in affected:
        client.config_set(setting, normal)
    took = rig.recovery(time.time(), BOUND_SECONDS)
    rows.append(rig.finish(fault, took, BOUND_SECONDS))
    clean(rows[-1])


def test_redis_stands_still_for_longer_than_an_answer_is_waited_for(
    rig: Rig, six_nodes: RedisCluster, rows: list[Row]
) -> None:
    start(rig)
    for number in masters(six_nodes):
        six_nodes.clients[number].client_pause(8000)
    rig.run_for(8)
    took = rig.recovery(time.time(), BOUND_SECONDS)
    rows.append(rig.finish("Redis answers nothing for 8 s (CLIENT PAUSE)", took, BOUND_SECONDS))
    clean(rows[-1])


@pytest.fixture
def alone(
    tmp_path: Path, brokers: KafkaCluster, network: Network
) -> Iterator[tuple[Rig, RestartableRedis]]:
    """A rig on a single Redis of its own, which keeps its data on disk."""
    with contextlib.closing(RestartableRedis(tmp_path, network.host)) as server:
        rig = make_rig(tmp_path, brokers.bootstrap_servers, brokers.create_topic, server.client)
        rig.worker = {"redis_url": server.url}
        with rig.stack:
            yield rig, server


@pytest.mark.parametrize("away_seconds", [5, 40])
def test_redis_is_killed_and_started_again(
    alone: tuple[Rig, RestartableRedis], rows: list[Row], away_seconds: int
) -> None:
    rig, server = alone
    start(rig)
    server.process.kill()
    rig.run_for(away_seconds)
    server.start_again()
    bound = BOUND_SECONDS + away_seconds / 2  # with the backlog
    took = rig.recovery(time.time(), bound)
    rows.append(rig.finish(f"Redis killed -9, back after {away_seconds} s", took, bound))
    clean(rows[-1])


def test_redis_is_busy_with_one_command(
    alone: tuple[Rig, RestartableRedis], rows: list[Row]
) -> None:
    rig, server = alone
    start(rig)
    server.client.config_set("busy-reply-threshold", "500")
    loop = "local t = redis.call('TIME')[1] while redis.call('TIME')[1] - t < 8 do end"
    with contextlib.suppress(redis.exceptions.RedisError):
        server.client.eval(loop, 0)
    rig.run_for(8)
    took = rig.recovery(time.time(), BOUND_SECONDS)
    rows.append(rig.finish("Redis busy with a script for 8 s (BUSY)", took, BOUND_SECONDS))
    clean(rows[-1])
