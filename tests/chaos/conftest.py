"""The fault suite: `make chaos` runs all of it, `make test` what is marked ``brief``."""

import itertools
import os
import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.cluster import ClusterNode
from redis.cluster import RedisCluster as ClusterClient

from producer.assignment import assign
from stack.jars import missing_programs
from tests.chaos.account import Row
from tests.chaos.faults_page import write
from tests.chaos.kafka_cluster import KafkaCluster, running_kafka_cluster
from tests.chaos.rig import WHOLE, Rig
from tests.namespaces import Network, missing, own_network
from tests.redis_cluster import RedisCluster, running_cluster

PARTITIONS = 6


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long unless the whole suite is asked for."""
    if WHOLE in os.environ:
        return
    here = Path(__file__).parent
    long = [x for x in items if here in x.path.parents and not x.get_closest_marker("brief")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def seed() -> int:
    """Decides what is random: moments, victims, payloads."""
    return int(os.environ.get(WHOLE) or 14)


@pytest.fixture
def dice(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """A generator of its own for each test, so that one alone does what it does among all."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture(scope="session")
def rows(seed: int) -> Iterator[list[Row]]:
    """The table of faults, written at the end of a whole run."""
    found: list[Row] = []
    yield found
    if WHOLE in os.environ and found:
        write(found, seed)


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """A network of our own for all servers of the whole suite, where root may make one."""
    if WHOLE in os.environ and not missing():
        with own_network() as made:
            yield made
    else:
        yield Network()


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[KafkaCluster]:
    """A Kafka of three brokers; a test leaves them running and in sync."""
    missing = missing_programs()
    if missing:
        pytest.skip(f"no Apache Kafka on this machine: missing {', '.join(missing)}")
    with running_kafka_cluster(
        tmp_path_factory.mktemp("kafka"),
        network.host,
        small_disk=WHOLE in os.environ and os.geteuid() == 0,
    ) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def six_nodes(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Iterator[RedisCluster]:
    """A Redis Cluster of three masters, each with a replica."""
    folder = tmp_path_factory.mktemp("redis")
    with running_cluster(folder, host=network.host, replicas=3, node_timeout_ms=2000) as cluster:
        yield cluster


@pytest.fixture
def rig(tmp_path: Path, brokers: KafkaCluster, six_nodes: RedisCluster) -> Iterator[Rig]:
    """Six cameras on the three brokers and the six nodes; nothing is started yet."""
    nodes = [ClusterNode(*node.address.split(":")) for node in six_nodes.nodes]
    with ExitStack() as stack:
        client = stack.enter_context(ClusterClient(startup_nodes=nodes, socket_timeout=1))
        made = make_rig(tmp_path, brokers.bootstrap_servers, brokers.create_topic, client)
        made.worker = {"redis_url": six_nodes.url, "redis_cluster": True}
        stack.enter_context(made.stack)
        yield made


def make_rig(
    folder: Path,
    bootstrap_servers: str,
    create_topic: Callable[[str, int], None],
    client: "redis.Redis | ClusterClient",
    cameras: int = 6,
) -> Rig:
    """Return a rig with fresh topics and camera ids, one in each partition in turn."""
    name = f"chaos-{uuid.uuid4().hex[:8]}"
    create_topic(name, PARTITIONS)
    create_topic(f"{name}.dead", 1)
    ids = [_camera(name, number % PARTITIONS, number) for number in range(cameras)]
    return Rig(folder, bootstrap_servers, client, name, ids)


def _camera(prefix: str, partition: int, number: int) -> str:
    names = (f"{prefix}-camera-{number}-{attempt}" for attempt in itertools.count())
    # By itself a camera goes where it goes among others that all want another partition.
    return next(x for x in names if assign((x,), PARTITIONS, "partition")[x] == partition)
