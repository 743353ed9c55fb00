"""`kubectl apply -k deploy/k8s/overlays/local` is the whole installation."""

import json
import re
from datetime import datetime
from typing import Any

import pytest

from contract.result import decode_result
from tests.cluster.installation import LOCAL, NAMESPACE, Stack, Timer
from tests.cluster.machine import ClusterError
from tests.default_keys import KEYS

PROBED = re.compile(r"(metrics and probes|probes and /metrics) on port")


def test_one_command_gives_ready_pods_and_results(stack: Stack) -> None:
    timer = Timer()
    stack.cluster.kubectl("apply", "-k", str(LOCAL), timeout=360)
    stack.rolled_out()
    ready = timer.seconds
    # Read where Redis is: nothing of the tests is installed yet.
    document = stack.cluster.wait(
        "a result in Redis",
        lambda: stack.kubectl(
            "exec", "redis-0", "--", "valkey-cli", "get", KEYS.latest("synthetic")
        ),
        120,
    )
    first = timer.seconds
    text = document[document.index("{") :].strip()
    result = decode_result(text)
    assert result.camera == "synthetic"
    assert (result.model.name, result.model.version) == ("street", "1")
    stack.row("apply -k overlays/local: all pods ready", f"{ready:.0f} s")
    stack.row("... first result in Redis", f"{first:.0f} s, {len(result.instances)} instances")


def test_the_startup_probes_leave_several_times_what_a_start_takes(stack: Stack) -> None:
    for component in ("worker", "producer", "viewer"):
        (pod, *_) = stack.pods(component)
        probe = pod["spec"]["containers"][0]["startupProbe"]
        budget = probe["failureThreshold"] * probe["periodSeconds"]
        running = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        took = (answering(stack, pod) - datetime.fromisoformat(running)).total_seconds()
        stack.row(f"{component}: container to its first probe", f"{took:.0f} s of {budget} s")
        assert 0 <= took < budget / 4


def answering(stack: Stack, pod: Any) -> datetime:
    """Return when it began to answer probes, by its log; ready it is when Kafka is there, too."""
    said = stack.kubectl("logs", pod["metadata"]["name"], "--limit-bytes=20000").splitlines()
    line = next((line for line in said if PROBED.search(line)), "")
    assert line, said
    return datetime.fromisoformat(json.loads(line)["time"])


def test_the_live_page_is_a_port_forward_away(stack: Stack) -> None:
    with stack.forwarded("deployment/viewer", 8090) as get:
        page = get("/")
        assert page.kind.startswith("text/html")
        assert "<script" in page.text

        def shown() -> Any:
            cameras = {each["id"]: each for each in json.loads(get("/api/cameras").text)["cameras"]}
            return cameras.get("synthetic", {}).get("state") == "live"

        stack.cluster.wait("the page's camera is live", shown, 60)
        still = get("/cameras/synthetic/still.jpg")
    assert still.kind == "image/jpeg"
    assert still.text.startswith("\xff\xd8")
    stack.row("live page, by kubectl port-forward", f"camera live, still of {still.size} bytes")


def test_every_pod_is_accepted_under_the_restricted_standard(stack: Stack) -> None:
    namespace = stack.cluster.json("get", "namespace", NAMESPACE)
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    events = stack.get("events", "--field-selector", "reason=FailedCreate")["items"]
    assert [event["message"] for event in events] == []
    pods = stack.get("pods")["items"]
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert components >= {"kafka", "redis", "producer", "worker", "viewer"}
    stack.row("refused under `restricted`", f"{len(events)}; there are {sorted(components)}")
    faulty = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Failed"]
    assert not faulty


def test_the_standard_is_enforced_here(stack: Stack) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless"},
        "spec": {"containers": [{"name": "c", "image": "seedstream/worker:0.1.0"}]},
    }
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        stack.kubectl("apply", "-f", "-", stdin=json.dumps(pod))


def test_applying_again_changes_nothing(stack: Stack) -> None:
    # Exits with 1, and a ClusterError, when anything would change.
    stack.cluster.kubectl("diff", "-k", str(LOCAL), timeout=360)
