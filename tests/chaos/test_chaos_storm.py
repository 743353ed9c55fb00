"""The part of the suite that runs in CI: a worker's death, and faults of every kind at once.

One file, since tests that run side by side share their servers within a file.
"""

import contextlib
import random
import signal
import time
from collections.abc import Callable

import pytest
import redis

from tests.chaos.account import Row
from tests.chaos.kafka_cluster import BROKERS, KafkaCluster
from tests.chaos.rig import SESSION_SECONDS, Rig, clean
from tests.redis_cluster import RedisCluster

STORM_BOUND_SECONDS = 30.0
BOUND_SECONDS = SESSION_SECONDS + 5
ROUNDS = 9


@pytest.mark.brief
@pytest.mark.timeout(300)
def test_a_storm_of_faults_loses_doubles_and_disorders_nothing(
    rig: Rig,
    brokers: KafkaCluster,
    six_nodes: RedisCluster,
    rows: list[Row],
    dice: random.Random,
) -> None:
    workers = [f"worker-{number}" for number in range(3)]
    for name in workers:
        rig.add_worker(name)
    rig.add_producer()
    rig.steady()

    def any_worker() -> str:
        return dice.choice(workers)

    def kill_worker() -> None:
        rig.slots[any_worker()].process.kill()

    def end_worker() -> None:
        rig.slots[any_worker()].process.signal(signal.SIGTERM)

    def freeze_worker() -> None:
        frozen = rig.slots[any_worker()].process
        frozen.signal(signal.SIGSTOP)
        rig.run_for(dice.uniform(1, SESSION_SECONDS + 2))
        frozen.signal(signal.SIGCONT)

    def kill_broker() -> None:
        victim = dice.randrange(BROKERS)
        brokers.kill(victim)
        rig.run_for(dice.uniform(1, 4))
        brokers.start(victim)
        rig.until(lambda: brokers.joined(victim), 90, "the broker's return")
        rig.until(lambda: brokers.in_sync(rig.topic), 90, "all replicas in sync")

    def fail_over() -> None:
        replica = dice.choice([n for n, master in enumerate(masters()) if not master])
        six_nodes.clients[replica].execute_command("CLUSTER", "FAILOVER")

    def pause_redis() -> None:
        for number, master in enumerate(masters()):
            if master:
                six_nodes.clients[number].client_pause(round(1000 * dice.uniform(1, 4)))

    def refuse_writes() -> None:
        setting, value = dice.choice([("maxmemory", "1"), ("min-replicas-to-write", "9")])
        for client in six_nodes.clients:
            client.config_set(setting, value)
        rig.run_for(dice.uniform(1, 4))
        for client in six_nodes.clients:
            client.config_set(setting, "0")

    def masters() -> list[bool]:
        return [_role(client) == "master" for client in six_nodes.clients]

    kinds: list[Callable[[], None]] = [
        kill_worker, end_worker, freeze_worker, kill_broker, fail_over, pause_redis, refuse_writes,
    ]  # fmt: skip
    done = [*dice.sample(kinds, len(kinds)), *dice.choices(kinds[:3], k=ROUNDS - len(kinds))]
    for fault in done:
        fault()
        rig.run_for(dice.uniform(0.5, 3))
    took = rig.recovery(time.time(), STORM_BOUND_SECONDS)
    said = ", ".join(fault.__name__.replace("_", " ") for fault in done)
    rows.append(rig.finish("storm of faults", took, STORM_BOUND_SECONDS, said))
    clean(rows[-1])


@pytest.mark.brief
def test_a_worker_killed_in_the_middle_of_a_batch(
    rig: Rig, rows: list[Row], dice: random.Random
) -> None:
    for number in range(2):
        rig.add_worker(f"worker-{number}", seconds=0.02)
    rig.add_producer()
    rig.steady()
    rig.run_for(dice.random())
    victim = rig.slots["worker-0"]
    victim.wanted = False
    died_at = time.time()
    victim.process.kill()
    took = rig.recovery(died_at, BOUND_SECONDS)
    rows.append(rig.finish("worker killed -9 in the middle of a batch", took, BOUND_SECONDS))
    clean(rows[-1])


def _role(client: "redis.Redis") -> str:
    with contextlib.suppress(redis.exceptions.RedisError):
        return str(client.info("replication")["role"])
    return "unknown"
