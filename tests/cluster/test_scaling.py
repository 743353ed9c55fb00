"""KEDA adds workers while there is lag, never more than there are partitions, and removes them."""

from collections.abc import Iterator

import pytest

from tests.cluster.installation import OVERLAYS, TOPIC, Stack, Timer

PARTITIONS = 3
BURST = 360
"""Frames: more than the threshold of 50 a worker for every partition."""
FURTHER, FURTHER_EVERY_SECONDS = 240, 10.0
"""Further frames, more than a worker does meanwhile, until KEDA has looked."""


@pytest.fixture(scope="module")
def scaling(stack: Stack) -> Iterator[Stack]:
    stack.cluster.kubectl("apply", "-k", str(OVERLAYS / "scaling"), timeout=360)
    # No cameras: how long the lag takes to go must not hang on what else this machine has to do.
    producers("0", stack)
    yield stack
    producers("1", stack)
    # `apply` takes nothing away: the autoscaler would go on with the tests that follow.
    stack.kubectl("delete", "scaledobject", "worker", timeout=270)


def producers(replicas: str, stack: Stack) -> None:
    stack.kubectl("scale", "statefulset/producer", f"--replicas={replicas}")
    stack.kubectl("rollout", "status", "statefulset/producer", "--timeout=270s", timeout=300)


def wanted(stack: Stack) -> int:
    return int(stack.get("deployment", "worker")["spec"]["replicas"])


def test_workers_come_with_the_lag_and_go_without_it(scaling: Stack) -> None:
    stack = scaling
    stack.cluster.wait("the autoscaler to be ready", lambda: _ready(stack), 90)
    stack.cluster.wait("one worker when there is no lag", lambda: wanted(stack) == 1, 180)
    timer, most, bursts = Timer(), 0, 0

    def grown() -> bool:
        nonlocal most, bursts
        most = max(most, wanted(stack))
        if most < PARTITIONS and timer.seconds >= bursts * FURTHER_EVERY_SECONDS:
            stack.look("burst", TOPIC, str(FURTHER if bursts else BURST), "12")
            bursts += 1
        return most >= PARTITIONS

    stack.cluster.wait(f"{PARTITIONS} workers for the lag", grown, 120)
    up = timer.seconds

    def shrunk() -> bool:
        nonlocal most
        most = max(most, wanted(stack))
        return wanted(stack) == 1

    stack.cluster.wait("one worker again", shrunk, 420)
    seen = stack.count()
    stack.row(
        f"KEDA on {seen['published']} frames of lag",
        f"1 to {most} workers in {up:.0f} s, back to 1 after {timer.seconds:.0f} s, never above "
        f"{PARTITIONS} partitions; published {seen['published']} = stored {seen['stored']}",
    )
    assert most == PARTITIONS
    assert (seen["missing"], seen["duplicates"], seen["cameras_out_of_order"]) == (0, 0, 0), seen


def _ready(stack: Stack) -> bool:
    conditions = stack.get("scaledobject", "worker").get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
