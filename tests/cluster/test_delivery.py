"""Every frame published is stored once, whatever happens to the pods; no frame, no result.

In `complete` mode nothing may be skipped. Every frame on the topic is looked for among the results,
each must be there once, and each camera's results in the order of its frames.
"""

import json
from collections.abc import Callable

import pytest

from tests.cluster.installation import NAMESPACE, OVERLAYS, TOPIC, Count, Stack, Timer


@pytest.fixture(scope="module", autouse=True)
def delivery(stack: Stack) -> None:
    stack.apply(OVERLAYS / "delivery")
    stack.kubectl("wait", "--for=condition=Ready", "pod/looker", "--timeout=270s", timeout=300)
    stack.cluster.wait(
        "frames on the topic", lambda: stack.count()["published"] > 20, timeout_seconds=180
    )


def rolling_update(stack: Stack) -> None:
    stack.kubectl("rollout", "restart", "deployment/worker")
    stack.rolled_out_workers()


def delete_a_worker(stack: Stack) -> None:
    stack.kubectl("delete", "pod", stack.pods("worker")[0]["metadata"]["name"], timeout=270)
    stack.rolled_out_workers()


def kill_a_worker(stack: Stack) -> None:
    name = stack.pods("worker")[0]["metadata"]["name"]
    stack.kubectl("delete", "pod", name, "--grace-period=0", "--force", timeout=270)
    stack.rolled_out_workers()


def delete_the_producer(stack: Stack) -> None:
    stack.kubectl("delete", "pod", "producer-0", timeout=270)
    stack.rolled_out()


def evict_under_load(stack: Stack) -> None:
    # What `kubectl drain` does to each pod, under the disruption budget; draining the only node
    # would leave no place to go.
    stack.look("burst", TOPIC, "60", "6")
    name = stack.pods("worker")[0]["metadata"]["name"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
    stack.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    stack.kubectl("wait", "--for=delete", f"pod/{name}", "--timeout=180s", timeout=210)
    stack.rolled_out_workers()


def restart_redis(stack: Stack) -> None:
    stack.kubectl("delete", "pod", "redis-0", timeout=270)
    stack.rolled_out()


def restart_kafka(stack: Stack) -> None:
    stack.kubectl("delete", "pod", "kafka-0", timeout=360)
    stack.rolled_out()


@pytest.mark.parametrize(
    "disturb",
    [
        rolling_update,
        delete_a_worker,
        kill_a_worker,
        delete_the_producer,
        evict_under_load,
        restart_redis,
        restart_kafka,
    ],
)
def test_no_frame_is_lost_doubled_or_out_of_order(
    stack: Stack, disturb: Callable[[Stack], None]
) -> None:
    timer = Timer()
    disturb(stack)
    disturbed = timer.seconds
    # Frames of after the disturbance must be among those counted. A client whose first packet went
    # to the address of a pod that is gone tries for up to 30 s before it tries anew.
    waited = float(stack.look("flowing", TOPIC, "12", "90"))
    seen = stack.count()
    stack.row(
        disturb.__name__.replace("_", " "),
        f"{described(seen)}; took {disturbed:.0f} s, 12 more frames {waited:.0f} s later",
    )
    assert seen["published"] >= 12
    assert (seen["behind"], seen["missing"], seen["duplicates"]) == (0, 0, 0), seen
    assert seen["cameras_out_of_order"] == 0, seen
    assert seen["published"] == seen["stored"]
    assert (seen["invalid"], seen["new_dead_letters"]) == (0, 0), seen


def test_frames_that_no_network_could_carry_are_not_gaps(stack: Stack) -> None:
    stack.ends = {}
    seen = stack.count()
    stack.row("all of it", described(seen))
    assert (seen["missing"], seen["duplicates"], seen["cameras_out_of_order"]) == (0, 0, 0), seen
    # Test cameras wait when Kafka is away: within a session no number is left out.
    gaps = {s: v for s, v in seen["sessions"].items() if v[1] - v[0] + 1 != v[2]}
    assert not gaps


def test_a_poisoned_record_is_a_dead_letter_and_costs_nothing_else(stack: Stack) -> None:
    stack.count()
    stack.look("burst", TOPIC, "0", "0")
    stack.look("flowing", TOPIC, "6", "90")  # the poison is among neighbours
    seen = stack.count()
    stack.row("a poisoned record", described(seen))
    assert seen["invalid"] == 1
    assert seen["new_dead_letters"] == 1
    assert (seen["missing"], seen["duplicates"], seen["behind"]) == (0, 0, 0), seen


def described(seen: Count) -> str:
    # A frame that a worker skipped has no result either: it would be among those not stored.
    return (
        f"published {seen['published']} = stored {seen['stored']} + not stored {seen['missing']} "
        f"(lost or skipped); doubled {seen['duplicates']}, cameras out of order "
        f"{seen['cameras_out_of_order']}; new dead letters {seen['new_dead_letters']}"
    )
