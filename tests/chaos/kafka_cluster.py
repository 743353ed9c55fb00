"""An Apache Kafka of three brokers on this machine, whose brokers a test kills and starts again."""

import contextlib
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contract.errors import UnavailableError
from contract.topics import MAX_RECORD_BYTES
from stack.broker import START_SECONDS, admin_client
from stack.child_process import ChildProcess
from stack.jars import fetch_jars
from stack.kafka_server import Listener, format_data, java_command
from stack.launch import LOCALHOST, free_ports
from tests.fakes import wait_until

BROKERS = 3
DISK_MEGABYTES = 192
_ADMIN_SECONDS = 20.0
_PREFERRED = 0


@dataclass
class KafkaCluster:
    """Three brokers, each a voter of the quorum too; topics have three replicas, two in sync.

    Attributes:
        host: Address that the brokers listen on.
        homes: Folder of each broker; broker n has the id n + 1.
        ports: Port of each for clients.
        brokers: The running processes by index.
    """

    host: str
    homes: list[Path]
    ports: list[int]
    brokers: dict[int, ChildProcess] = field(default_factory=dict)

    @property
    def bootstrap_servers(self) -> str:
        """All brokers."""
        return ",".join(f"{self.host}:{port}" for port in self.ports)

    def start(self, number: int) -> None:
        """Start a broker on the data that it has; does not wait."""
        self.brokers[number] = ChildProcess.spawn(
            f"broker {number + 1}",
            [
                *java_command(fetch_jars(), "kafka.Kafka"),
                str(self.homes[number] / "server.properties"),
            ],
            log_path=self.homes[number] / f"kafka-{len(list(self.homes[number].iterdir()))}.log",
            address=f"{self.host}:{self.ports[number]}",
        )

    def kill(self, number: int) -> None:
        """End a broker at once."""
        self.brokers.pop(number).kill()

    def create_topic(self, name: str, partitions: int) -> None:
        """Create a topic of three replicas and wait until it can be used."""
        topic = {
            "num_partitions": partitions,
            "replication_factor": BROKERS,
            "configs": {
                "max.message.bytes": str(MAX_RECORD_BYTES),
                "min.insync.replicas": "2",
                "segment.bytes": str(MAX_RECORD_BYTES),
            },
        }
        with admin_client(self.bootstrap_servers, _ADMIN_SECONDS) as client:
            client.create_topics({name: topic}, wait_for_metadata=True)

    def leaders(self, topic: str) -> list[int]:
        """Return the index of each partition's leader, -1 where there is none; empty if unknown."""
        found = sorted(self._described(topic), key=lambda each: int(each["partition_index"]))
        return [int(each["leader_id"]) - 1 if each["leader_id"] > 0 else -1 for each in found]

    def led_by(self, topic: str, others_than: int) -> bool:
        """Return whether every partition has a leader, and none this broker."""
        leaders = self.leaders(topic)
        return bool(leaders) and not {others_than, -1} & set(leaders)

    def joined(self, number: int) -> bool:
        """Return whether the cluster counts a broker among its own."""
        with (
            contextlib.suppress(UnavailableError),
            admin_client(self.bootstrap_servers, _ADMIN_SECONDS) as client,
        ):
            brokers = client.describe_cluster()["brokers"]
            return number + 1 in [each["broker_id"] for each in brokers]
        return False

    def in_sync(self, topic: str) -> bool:
        """Return whether every replica of a topic is in sync."""
        found = self._described(topic)
        return bool(found) and all(len(each["isr_nodes"]) == BROKERS for each in found)

    def _described(self, topic: str) -> list[dict[str, Any]]:
        # An attempt may meet a broker that is gone; the next one asks another.
        with (
            contextlib.suppress(UnavailableError),
            admin_client(self.bootstrap_servers, _ADMIN_SECONDS) as client,
        ):
            partitions: list[dict[str, Any]] = client.describe_topics([topic])[0]["partitions"]
            return partitions
        return []

    def elect_preferred(self) -> None:
        """Give every partition its preferred leader again."""
        with admin_client(self.bootstrap_servers, _ADMIN_SECONDS) as client:
            client.elect_leaders(_PREFERRED, raise_errors=False)


@contextlib.contextmanager
def running_kafka_cluster(
    folder: Path, host: str = LOCALHOST, *, small_disk: bool = False
) -> Iterator[KafkaCluster]:
    """Start three brokers and wait until they answer; takes about 10 s.

    Args:
        folder: Where their data and logs go.
        host: Address to listen on.
        small_disk: Whether the last broker's data lies on a disk of its own (needs root).
    """
    ports = free_ports(2 * BROKERS)
    voters = ",".join(f"{n + 1}@{host}:{ports[BROKERS + n]}" for n in range(BROKERS))
    homes = [folder / f"broker-{n + 1}" for n in range(BROKERS)]
    cluster = KafkaCluster(host, homes, ports[:BROKERS])
    jars = fetch_jars()

    def prepare(number: int) -> None:
        client, controller = ports[number], ports[BROKERS + number]
        properties = {
            "node.id": str(number + 1),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{host}:{client},CONTROLLER://{host}:{controller}",
            "default.replication.factor": str(BROKERS),
            "min.insync.replicas": "2",
            "offsets.topic.replication.factor": str(BROKERS),
            "transaction.state.log.replication.factor": str(BROKERS),
            "transaction.state.log.min.isr": "2",
            "replica.lag.time.max.ms": "5000",
            "broker.session.timeout.ms": "6000",
            "broker.heartbeat.interval.ms": "1000",
            "auto.leader.rebalance.enable": "false",
            "unclean.leader.election.enable": "false",
            # Small files, so that a small disk holds what the topics need.
            "log.index.size.max.bytes": "262144",
            "offsets.topic.segment.bytes": "4194304",
        }
        listener = Listener("PLAINTEXT", host, client, "PLAINTEXT")
        format_data(jars, homes[number], [listener], properties)

    with contextlib.ExitStack() as stack:
        if small_disk:
            stack.enter_context(mounted(homes[-1] / "data"))
        with ThreadPoolExecutor(BROKERS) as pool:
            list(pool.map(prepare, range(BROKERS)))
        for number in range(BROKERS):
            cluster.start(number)
        # Whatever runs then: killed together, since one by one they would wait for each other.
        stack.callback(lambda: [broker.kill() for broker in cluster.brokers.values()])
        wait_until(lambda: _answers(cluster), START_SECONDS, "the three brokers")
        yield cluster


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int = DISK_MEGABYTES) -> Iterator[None]:
    """Have a disk of a size in a folder (memory; needs root)."""
    folder.mkdir(parents=True)
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "chaos", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _answers(cluster: KafkaCluster) -> bool:
    try:
        with admin_client(cluster.bootstrap_servers, 2.0) as client:
            return len(client.describe_cluster()["brokers"]) == BROKERS
    except UnavailableError:
        return False
