"""A pod that cannot work says why, in its log and its termination message, and is never ready."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.installation import OVERLAYS, Stack


@dataclass(frozen=True)
class Wrong:
    """A pod as a workload makes it, but for some settings; and what it must say."""

    pod: str
    workload: tuple[str, str]
    env: dict[str, str]
    says: tuple[str, ...]


WORKER, PRODUCER = ("deployment", "worker"), ("statefulset", "producer")
WRONG = [
    Wrong(
        "wrong-setting", WORKER,
        {"WORKER_MODE": "fast", "WORKER_DRAIN_SECONDS": "-1"},
        ("WORKER_MODE", "WORKER_DRAIN_SECONDS"),
    ),
    Wrong(
        "wrong-model", WORKER,
        {"WORKER_MODEL": "/models/street/7"},
        ("WORKER_MODEL", "/models/street/7"),
    ),
    Wrong(
        "missing-secret", WORKER,
        {"WORKER_SECURITY_PROTOCOL": "SASL_SSL"},
        ("WORKER_SASL_USERNAME", "missing"),
    ),
    Wrong(
        "missing-tls", WORKER,
        {"WORKER_SECURITY_PROTOCOL": "SSL", "WORKER_SSL_CAFILE": "/etc/seedstream-tls/ca.crt"},
        ("WORKER_SSL_CAFILE", "no file at /etc/seedstream-tls/ca.crt"),
    ),
    Wrong(
        "wrong-shard", PRODUCER,
        {"PRODUCER_SHARD": "2/2"},
        ("PRODUCER_SHARD", "no part 2 of 2"),
    ),
    Wrong(
        "wrong-gpu", WORKER,
        {"WORKER_PROVIDER": "cuda"},
        ("provider is 'cuda'",),
    ),
]  # fmt: skip


def pod_like(stack: Stack, wrong: Wrong) -> dict[str, Any]:
    """A pod as the workload makes it, under another name and with some settings changed."""
    spec = stack.get(*wrong.workload)["spec"]["template"]["spec"]
    changed = [{"name": key, "value": value} for key, value in wrong.env.items()]
    kept = [each for each in spec["containers"][0].get("env", []) if each["name"] not in wrong.env]
    spec["containers"][0]["env"] = kept + changed
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": wrong.pod}, "spec": spec}


@pytest.fixture(scope="module", autouse=True)
def wrong_pods(stack: Stack) -> Iterator[None]:
    """All of them, started at once."""
    stack.apply(OVERLAYS / "delivery")
    names = [each.pod for each in WRONG]
    stack.kubectl("delete", "pod", *names, "--ignore-not-found", timeout=270)
    pods = {"apiVersion": "v1", "kind": "List", "items": [pod_like(stack, each) for each in WRONG]}
    stack.kubectl("apply", "-f", "-", stdin=json.dumps(pods))
    yield
    stack.kubectl("delete", "pod", *names, "--grace-period=0", "--force", timeout=180)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.pod)
def test_a_pod_says_what_is_wrong_and_is_never_ready(stack: Stack, wrong: Wrong) -> None:
    def ended() -> Any:
        (status,) = stack.get("pod", wrong.pod)["status"].get("containerStatuses", [None])
        assert not (status and status["ready"]), "it was ready"
        states = (status["state"], status["lastState"]) if status else ()
        return next((s["terminated"] for s in states if "terminated" in s), None)

    state = stack.cluster.wait(f"{wrong.pod} to end", ended, 120)
    assert state["exitCode"] == 2
    for word in wrong.says:
        assert word in state["message"], state["message"]
    stack.row(f"{wrong.pod}: its message", state["message"].strip().splitlines()[-1][:150])
