"""The same with TLS, SCRAM and ACLs to Kafka, TLS and an ACL user to Redis."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.chaos.account import Row
from tests.chaos.conftest import make_rig
from tests.chaos.rig import SESSION_SECONDS, Rig, clean
from tests.namespaces import Network
from tests.secured_kafka import SecuredKafka
from tests.secured_redis import ADMIN, WORKER_RULES, SecuredRedis


@pytest.fixture
def secured(
    network: Network, tmp_path: Path, secured_kafka: SecuredKafka, secured_redis: SecuredRedis
) -> Iterator[tuple[Rig, SecuredKafka, SecuredRedis]]:
    """A rig whose processes have the least rights that they need."""
    user, password = ADMIN
    with contextlib.closing(
        redis.Redis(port=secured_redis.plain_port, username=user, password=password)
    ) as client:
        broker = secured_kafka.broker
        rig = make_rig(tmp_path, broker.bootstrap_servers, broker.create_topic, client)
        with rig.stack:
            yield rig, secured_kafka, secured_redis


def test_a_worker_with_the_least_rights_is_killed_and_another_takes_over(
    secured: tuple[Rig, SecuredKafka, SecuredRedis], rows: list[Row]
) -> None:
    rig, kafka, store = secured
    kafka.add_user("chaos-producer", "producer-Pw1")
    kafka.allow("chaos-producer", f"WRITE TOPIC {rig.topic}")
    kafka.add_user("chaos-worker", "worker-Pw1")
    kafka.allow(
        "chaos-worker",
        f"READ TOPIC {rig.topic}",
        f"READ GROUP {rig.topic}.workers",
        f"WRITE TOPIC {rig.dead_topic}",
    )
    store.allow("chaos-worker", "worker-Pw2", *WORKER_RULES)
    worker_env = kafka.environment("WORKER_", "chaos-worker")
    worker_env |= store.environment("chaos-worker", "worker-Pw2")
    for number in range(2):
        rig.add_worker(f"worker-{number}", env=worker_env)
    rig.add_producer(env=kafka.environment("PRODUCER_", "chaos-producer"))
    rig.steady()
    died_at = time.time()
    rig.slots["worker-0"].process.kill()
    took = rig.recovery(died_at, SESSION_SECONDS + 5)
    rig.until(lambda: rig.slots["worker-0"].starts == 2, 20, "its successor")
    rig.steady()
    name = "worker killed -9, with TLS, SCRAM and least ACLs"
    rows.append(rig.finish(name, took, SESSION_SECONDS + 5))
    clean(rows[-1])
