"""Releases and rollbacks of a fleet complete, also where there are more workers than GPUs."""

import time
from collections.abc import Callable

from tests.fleet.fleet import Fleet

NewFleet = Callable[..., Fleet]

STUCK_SECONDS = 6.0
"""Without any change for so long, a release whose steps take 2 s counts as stuck."""


def rolled(fleet: Fleet, timeout_seconds: int = 180) -> float:
    """Wait with the operator's own command for a rollout's end; return the seconds."""
    began = time.monotonic()
    arguments = ("rollout", "status", "deployment/worker", f"--timeout={timeout_seconds}s")
    fleet.kubectl(*arguments, timeout=timeout_seconds + 30)
    return time.monotonic() - began


def release(fleet: Fleet, tag: str) -> None:
    """Apply another version of the workers."""
    fleet.forget_lowest()
    fleet.tags["worker"] = tag
    fleet.apply()


def released_as_documented(fleet: Fleet, step: tuple[str, int]) -> float:
    """Do it with KEDA paused, each step as docs/operate/deploy.md has it; return the seconds."""
    return sum(fleet.run_documented(*each) for each in (("Release", 0), step, ("Release", 2)))


def progress(fleet: Fleet) -> str:
    """Return what the Deployment says about its rollout."""
    status = fleet.get("apps/v1", "deployments", "worker")["status"]
    return next(
        str(each["reason"]) for each in status["conditions"] if each["type"] == "Progressing"
    )


def test_a_release_of_twelve_workers_a_broken_one_and_its_rollback(new_fleet: NewFleet) -> None:
    fleet = new_fleet(producers=40)
    fleet.add_nodes(gpus=(1,) * 12, others=8)
    took = fleet.install(workers=12)
    fleet.row("40 producers, 12 GPU workers, applied", f"all ready in {took:.0f} s")
    before = {each["metadata"]["uid"] for each in fleet.pods("producer")}

    release(fleet, "2-broken")
    fleet.plane.wait("what can be released of a broken version", lambda: fleet.versions("worker")
                     == {("1", "ready"): 9, ("2-broken", "unready"): 3})  # fmt: skip
    time.sleep(STUCK_SECONDS)
    assert fleet.lowest("worker") == 9
    fleet.row("... a version that never becomes ready", "stops at 9 of 12 workers")
    took = fleet.run_documented("Roll back", 0)
    assert fleet.versions("worker") == {("1", "ready"): 12}
    assert fleet.lowest("worker") == 9
    fleet.row("... rollback of it", f"{took:.0f} s")

    fleet.forget_lowest()
    fleet.tags["worker"] = "3"
    took = released_as_documented(fleet, ("Release", 1))
    assert fleet.versions("worker") == {("3", "ready"): 12}
    assert fleet.lowest("worker") >= 9
    fleet.row("... release", f"{took:.0f} s, never below {fleet.lowest('worker')} of 12 workers")
    assert {each["metadata"]["uid"] for each in fleet.pods("producer")} == before


def test_a_release_completes_beside_a_pending_worker(new_fleet: NewFleet) -> None:
    fleet = new_fleet(gpus=9)
    fleet.add_nodes(gpus=(1,) * 8, others=1)
    fleet.apply()
    fleet.scale_to(9)
    fleet.wait_ready(worker=8)
    assert fleet.versions("worker") == {("1", "ready"): 8, ("1", "pending"): 1}
    release(fleet, "2")
    began = time.monotonic()
    done = {("2", "ready"): 8, ("2", "pending"): 1}
    fleet.plane.wait("all GPUs to run the new version", lambda: fleet.versions("worker") == done)
    took = time.monotonic() - began
    fleet.row("release, 9 workers for 8 GPUs", f"{took:.0f} s, KEDA not paused")


def test_a_release_that_lacks_gpus_completes_once_keda_is_paused(new_fleet: NewFleet) -> None:
    fleet = new_fleet(gpus=10)
    fleet.add_nodes(gpus=(1,) * 8, others=1)
    fleet.apply()
    fleet.scale_to(10)
    fleet.wait_ready(worker=8)
    release(fleet, "2")
    fleet.plane.wait("the release to begin", lambda: ("2", "pending") in fleet.versions("worker"))
    time.sleep(STUCK_SECONDS)
    stuck = fleet.versions("worker")
    assert stuck[("1", "ready")] == 8, f"it is no longer stuck without the pause: {stuck}"
    fleet.row("release, 10 workers for 8 GPUs, KEDA not paused", "stuck: nothing runs the new one")

    took = released_as_documented(fleet, ("Release", 1))
    fleet.row("... with the release's commands, which pause it", f"completes in {took:.0f} s")
    waiting = {("2", "ready"): 8, ("2", "pending"): 2}
    fleet.plane.wait("KEDA to go on", lambda: fleet.versions("worker") == waiting)
    fleet.forget_lowest()
    took = released_as_documented(fleet, ("Roll back", 0))
    lowest = fleet.lowest("worker")
    assert lowest >= 6
    fleet.row("... rollback", f"{took:.0f} s, never below {lowest} of 8 workers")
    waiting = {("1", "ready"): 8, ("1", "pending"): 2}
    fleet.plane.wait("KEDA to go on", lambda: fleet.versions("worker") == waiting)


def test_a_release_of_160_workers_is_not_declared_failed(new_fleet: NewFleet) -> None:
    fleet = new_fleet(gpus=160)
    fleet.add_nodes(gpus=(8,) * 20, others=1)
    took = fleet.install(workers=160)
    fleet.row("160 GPU workers", f"ready in {took:.0f} s")
    deadline_seconds = max(5, round(took / 3))  # what this machine needs for a part of them
    path = "/spec/progressDeadlineSeconds"
    patch = [{"op": "replace", "path": path, "value": deadline_seconds}]
    fleet.more.append(("Deployment", "worker", patch))
    release(fleet, "2")
    took = rolled(fleet, 360)  # fails when the deadline is exceeded
    assert fleet.versions("worker") == {("2", "ready"): 160}
    assert took > deadline_seconds, "it was over before the deadline could tell anything"
    assert progress(fleet) == "NewReplicaSetAvailable"
    lowest = fleet.lowest("worker")
    assert lowest >= 120
    fleet.row("... release", f"{took:.0f} s (deadline {deadline_seconds} s), never below {lowest}")


def test_forty_producers_are_released_by_the_tenth(new_fleet: NewFleet) -> None:
    fleet = new_fleet(producers=40)
    fleet.add_nodes(gpus=(2,), others=8)
    fleet.install()
    fleet.forget_lowest()
    fleet.tags["producer"] = "2"
    took = fleet.run_documented("Release", 3)
    assert fleet.versions("producer") == {("2", "ready"): 40}
    lowest = fleet.lowest("producer")
    assert lowest >= 30
    fleet.row("release of 40 producers by the tenth", f"{took:.0f} s, never below {lowest}")
