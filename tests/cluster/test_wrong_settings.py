"""A pod that cannot work says why, in its log and its termination message, and is never ready."""

import json
from typing import Any

import pytest

from tests.cluster.stack import OVERLAYS, Stack


@pytest.fixture(scope="module", autouse=True)
def settings(stack: Stack) -> None:
    stack.apply(OVERLAYS / "delivery")


def pod_like(stack: Stack, kind: str, name: str, own: str, env: dict[str, str]) -> dict[str, Any]:
    """A pod as the workload makes it, under another name and with some settings changed."""
    spec = stack.get(kind, name)["spec"]["template"]["spec"]
    changed = [{"name": key, "value": value} for key, value in env.items()]
    kept = [each for each in spec["containers"][0].get("env", []) if each["name"] not in env]
    spec["containers"][0]["env"] = kept + changed
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": own}, "spec": spec}


@pytest.mark.parametrize(
    ("own", "kind", "name", "env", "says"),
    [
        (
            "wrong-setting", "deployment", "worker",
            {"WORKER_MODE": "fast", "WORKER_DRAIN_SECONDS": "-1"},
            ["WORKER_MODE", "WORKER_DRAIN_SECONDS"],
        ),
        (
            "wrong-model", "deployment", "worker",
            {"WORKER_MODEL": "/models/street/7"},
            ["WORKER_MODEL", "/models/street/7"],
        ),
        (
            "missing-secret", "deployment", "worker",
            {"WORKER_SECURITY_PROTOCOL": "SASL_SSL"},
            ["WORKER_SASL_USERNAME", "missing"],
        ),
        (
            "missing-tls", "deployment", "worker",
            {"WORKER_SECURITY_PROTOCOL": "SSL", "WORKER_SSL_CAFILE": "/etc/seedstream-tls/ca.crt"},
            ["WORKER_SSL_CAFILE", "no file at /etc/seedstream-tls/ca.crt"],
        ),
        (
            "wrong-shard", "statefulset", "producer",
            {"PRODUCER_SHARD": "2/2"},
            ["PRODUCER_SHARD", "no part 2 of 2"],
        ),
        (
            "wrong-gpu", "deployment", "worker",
            {"WORKER_PROVIDER": "cuda"},
            ["provider is 'cuda'"],
        ),
    ],
)  # fmt: skip
def test_a_pod_says_what_is_wrong_and_is_never_ready(
    stack: Stack, own: str, kind: str, name: str, env: dict[str, str], says: list[str]
) -> None:
    pod = pod_like(stack, kind, name, own, env)
    stack.kubectl("delete", "pod", own, "--ignore-not-found", timeout=90)
    stack.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

    def ended() -> Any:
        (status,) = stack.get("pod", own)["status"].get("containerStatuses", [None])
        assert not (status and status["ready"]), "it was ready"
        states = (status["state"], status["lastState"]) if status else ()
        return next((s["terminated"] for s in states if "terminated" in s), None)

    try:
        state = stack.cluster.wait(f"{own} to end", ended, 120)
        assert state["exitCode"] == 2
        for word in says:
            assert word in state["message"], state["message"]
        stack.row(f"{own}: its message", state["message"].strip().splitlines()[-1][:150])
    finally:
        stack.kubectl("delete", "pod", own, "--grace-period=0", "--force", timeout=60)
