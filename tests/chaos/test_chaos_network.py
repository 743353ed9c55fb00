"""A cable that is cut, servers that cannot be reached, packets that are lost."""

import time
from collections.abc import Iterator

import pytest

from tests.chaos.account import Row
from tests.chaos.kafka_cluster import KafkaCluster
from tests.chaos.rig import SESSION_SECONDS, Rig, clean
from tests.namespaces import Network
from tests.redis_cluster import RedisCluster

CUT_SECONDS = 15.0
RETURN_SECONDS = 30.0
"""TCP sends again after up to this long, and a session that was lost is joined anew."""


@pytest.fixture
def cable(network: Network) -> Iterator[Network]:
    """The cable to the far namespace, whole again at the end."""
    if not network.far:
        pytest.skip("network namespaces need root, ip and iptables")
    yield network
    network.clear()
    network.mend()


def test_a_worker_is_cut_off_and_another_takes_over(
    rig: Rig, cable: Network, rows: list[Row]
) -> None:
    rig.add_worker("worker-near")
    rig.add_worker("worker-far", prefix=cable.prefix)
    rig.add_producer()
    rig.steady()
    began = time.time()
    cable.cut()
    took = rig.recovery(began, SESSION_SECONDS + 5)
    rig.run_for(CUT_SECONDS)
    cable.mend()
    rig.run_for(10)
    name = "network cut between a worker and all servers; another takes over; cut mended"
    rows.append(rig.finish(name, took, SESSION_SECONDS + 5))
    clean(rows[-1])


@pytest.mark.parametrize("server", ["Redis", "Kafka"])
def test_the_only_worker_loses_one_server_for_a_while(
    rig: Rig, cable: Network, brokers: KafkaCluster, six_nodes: RedisCluster, rows: list[Row],
    server: str,
) -> None:  # fmt: skip
    rig.add_worker("worker-far", prefix=cable.prefix)
    rig.add_producer()
    rig.steady()
    redis_ports = [int(node.address.rpartition(":")[2]) for node in six_nodes.nodes]
    cable.drop(redis_ports if server == "Redis" else brokers.ports)
    rig.run_for(CUT_SECONDS)
    cable.clear()
    took = rig.recovery(time.time(), RETURN_SECONDS)
    rows.append(rig.finish(f"packets to {server} dropped for 15 s", took, RETURN_SECONDS))
    clean(rows[-1])


def test_packets_are_lost(rig: Rig, cable: Network, rows: list[Row]) -> None:
    rig.add_worker("worker-far", prefix=cable.prefix)
    rig.add_producer()
    rig.steady()
    cable.lose(0.1)
    rig.run_for(20)
    cable.clear()
    took = rig.recovery(time.time(), RETURN_SECONDS)
    name = "10 % of the packets lost, both ways, for 20 s"
    rows.append(rig.finish(name, took, RETURN_SECONDS))
    clean(rows[-1])
