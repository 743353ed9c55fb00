"""Nodes are drained through the eviction API, and lost, without a lock-up."""

import time

from tests.fleet.fleet import Fleet
from tests.fleet.kube_api import Object
from tests.fleet.test_releases import NewFleet

STAYS_SECONDS = 5.0
COLLECTED_SECONDS = 45
"""The collector of lost pods looks every 20 s."""


def drain(fleet: Fleet, node: str, timeout_seconds: int = 60) -> tuple[bool, float, str]:
    """Drain it as docs/operate/deploy.md has it; return whether it ended, after what, its words."""
    began = time.monotonic()
    options = ("--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={timeout_seconds}s")
    done = fleet.plane.tried("drain", node, *options, timeout=timeout_seconds + 30)
    return done.returncode == 0, time.monotonic() - began, done.stderr


def on(fleet: Fleet, node: str, component: str) -> list[Object]:
    return [each for each in fleet.pods(component) if each["spec"].get("nodeName") == node]


def test_a_node_is_drained_beside_a_pending_worker(new_fleet: NewFleet) -> None:
    fleet = new_fleet(gpus=9, producers=40)
    fleet.add_nodes(gpus=(1,) * 8, others=8)
    fleet.apply()
    fleet.scale_to(9)
    fleet.wait_ready(worker=8, producer=40)
    fleet.forget_lowest()
    ended, took, said = drain(fleet, fleet.node("gpu", 0))
    assert ended, said
    fleet.row("drain a node, 9 workers for 8 GPUs", f"{took:.0f} s")
    node = fleet.node("cpu", 0)
    there = len(on(fleet, node, "producer"))
    ended, took, said = drain(fleet, node)
    assert ended, said
    fleet.wait_ready(producer=40)
    lowest = fleet.lowest("producer")
    fleet.row(f"drain a node with {there} of 40 producers", f"{took:.0f} s, never below {lowest}")


def test_a_node_with_a_third_of_the_gpus_is_drained_once_keda_is_paused(
    new_fleet: NewFleet,
) -> None:
    fleet = new_fleet()
    fleet.add_nodes(gpus=(4, 4, 4), others=1)
    fleet.install(workers=12)
    fleet.forget_lowest()
    node = fleet.node("gpu", 0)
    ended, _, said = drain(fleet, node, 8)
    assert not ended
    assert "disruption budget" in said
    assert fleet.lowest("worker") == 9
    fleet.row("drain 4 of 12 GPUs, KEDA not paused", "held at 9 workers by the budget")
    took = fleet.run_documented("Drain a node", 0, node)
    fleet.wait_ready(worker=8)
    fleet.row("... with the drain's commands, which pause it", f"{took:.0f} s")
    fleet.run_documented("Drain a node", 1, node)
    fleet.wait_ready(worker=12)


def test_what_a_lost_node_had_comes_back_after_one_command(new_fleet: NewFleet) -> None:
    fleet = new_fleet(producers=40)
    fleet.add_nodes(gpus=(1,) * 12, others=8)
    fleet.install(workers=12)
    node = fleet.node("cpu", 3)
    gone = {each["metadata"]["name"] for each in on(fleet, node, "producer")}
    assert gone
    began = time.monotonic()
    for name in (node, fleet.node("gpu", 3)):
        fleet.kubelet.lose_node(name)

    def leaving() -> bool:
        return fleet.versions("producer")[("1", "leaving")] == len(gone)

    fleet.plane.wait("the lost node's producers to be given up", leaving, 60)
    took = time.monotonic() - began
    time.sleep(STAYS_SECONDS)
    assert leaving(), "the lost node's producers moved by themselves: the runbook says they do not"
    fleet.row(f"a node with {len(gone)} producers is lost", f"Terminating after {took:.0f} s "
              "(350 s by default), and they stay so")  # fmt: skip
    # The worker is one of a Deployment: another takes its place at once, and waits for a GPU.
    assert fleet.versions("worker") == {
        ("1", "ready"): 11,
        ("1", "leaving"): 1,
        ("1", "pending"): 1,
    }
    ended, took, said = drain(fleet, fleet.node("cpu", 5))
    assert ended, said
    fleet.row("... drain of another node meanwhile", f"{took:.0f} s")

    began = time.monotonic()
    for name in (node, fleet.node("gpu", 3)):
        fleet.run_documented("A node is lost", 0, name)
    fleet.wait_ready(producer=40, timeout_seconds=COLLECTED_SECONDS)
    took = time.monotonic() - began
    fleet.row("... tainted as out of service", f"all 40 producers ready after {took:.0f} s")
