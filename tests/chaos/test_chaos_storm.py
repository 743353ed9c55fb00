"""The part of the suite that runs in CI: a worker's death, and faults of every kind at once.

One file, since tests that run side by side share their servers within a file.
"""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable

import msgspec
import pytest
import redis

from contract.samples import last_values
from servers.redis import Client
from stack.frame_ledger import read_results
from stack.redis_server import start_redis
from tests.chaos.account import Row
from tests.chaos.kafka_cluster import BROKERS, KafkaCluster
from tests.chaos.rig import SESSION_SECONDS, WHOLE, Rig, clean
from tests.default_keys import KEYS
from tests.redis_cluster import RedisCluster

STORM_BOUND_SECONDS = 30.0
BOUND_SECONDS = SESSION_SECONDS + 5
ROUNDS = 9


@pytest.mark.brief
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


@pytest.mark.brief
@pytest.mark.timeout(1800)
def test_workers_killed_again_and_again_give_each_object_the_number_it_has_without_kills(
    rig: Rig, rows: list[Row], dice: random.Random
) -> None:
    kills = 20 if WHOLE in os.environ else 2
    finds = {"FAKE_FINDS": "colours"}
    names = ["worker-0", "worker-1"]
    for name in names:
        rig.add_worker(name, env=finds)
    scene = "test:?size=192x128&fps=10&objects=6&seed={}"
    rig.add_producer(*(scene.format(number) for number in range(len(rig.cameras))))
    slowest = 0.0
    for number in range(kills):
        rig.steady(dice.random())
        died_at = time.time()
        rig.slots[names[number % 2]].process.kill()
        slowest = max(slowest, rig.recovery(died_at, BOUND_SECONDS))
    conflicts = sum(
        last_values(folder).total("seedstream_track_conflicts_total")
        for folder in rig.folder.glob("values-worker*")
    )
    said = f"identities and states as of one worker alone; {conflicts:g} states taken over"
    rows.append(rig.finish(f"{kills} times kill -9 and rebalance", slowest, BOUND_SECONDS, said))
    account = clean(rows[-1])
    assert account.stored == account.published
    assert conflicts >= kills, "states went from worker to worker"
    with start_redis() as server, redis.Redis.from_url(server.url) as alone:
        rig.add_worker(
            "alone",
            env=finds,
            group=f"{rig.topic}.alone",
            redis_url=server.url,
            redis_cluster=False,
        )
        rig.until(
            lambda: sum(alone.xlen(KEYS.results(each)) for each in rig.cameras) == account.stored,
            300,
            "the same frames in a worker alone",
        )
        assert rig.remove("alone") == 0
        for camera in rig.cameras:
            assert _identities(rig.client, camera) == _identities(alone, camera)
            assert rig.client.get(KEYS.tracks(camera)) == alone.get(KEYS.tracks(camera))
            results = read_results(alone, camera)
            numbers = {each.track for result in results for each in result.instances}
            assert len(numbers) > 3, "objects come and go"


def _identities(client: Client, camera: str) -> list[tuple[str, int, bytes]]:
    """Return session, sequence and instances of each result, in the order of the stream."""
    return [
        (result.session, result.sequence, msgspec.json.encode(result.instances))
        for result in read_results(client, camera)
    ]


def _role(client: "redis.Redis") -> str:
    with contextlib.suppress(redis.exceptions.RedisError):
        return str(client.info("replication")["role"])
    return "unknown"
