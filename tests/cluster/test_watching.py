"""A real Prometheus finds the pods by itself, and its rules say what Redis says."""

import json
import time

import pytest

from tests.cluster.installation import OVERLAYS, Stack, Timer

WINDOW_SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def watched(stack: Stack) -> None:
    stack.apply(OVERLAYS / "delivery")
    stack.kubectl("rollout", "status", "deployment/prometheus", "--timeout=120s", timeout=130)
    stack.kubectl("wait", "--for=condition=Ready", "pod/looker", "--timeout=90s", timeout=100)


def test_it_scrapes_every_pod_of_ours(stack: Stack) -> None:
    expected = {p["metadata"]["name"] for c in ("worker", "producer") for p in stack.pods(c)}

    def found() -> bool:
        return expected <= {
            each["metric"]["pod"] for each in stack.query("up") if each["value"][1] == "1"
        }

    stack.cluster.wait(f"targets {expected}", found, 90)
    stack.row("Prometheus found by itself", ", ".join(sorted(expected)))


def test_the_rules_fps_is_what_redis_received(stack: Stack) -> None:
    stack.cluster.wait(
        "the recording rule",
        lambda: stack.query("namespace:seedstream_frames_processed:rate1m"),
        120,
    )
    time.sleep(WINDOW_SECONDS)
    before = json.loads(stack.look("received"))
    time.sleep(WINDOW_SECONDS)
    after = json.loads(stack.look("received"))
    received = (after["received"] - before["received"]) / (after["at"] - before["at"])
    ruled = float(stack.query("namespace:seedstream_frames_processed:rate1m")[0]["value"][1])
    stack.row("fps by the recording rule", f"{ruled:.2f}, Redis received {received:.2f} a second")
    assert ruled == pytest.approx(received, rel=0.05)


def test_the_memory_that_pods_take_is_well_within_what_they_are_granted(stack: Stack) -> None:
    for component in ("worker", "producer"):
        job = f'job="seedstream-{component}"'
        memory = max(
            float(each["value"][1])
            for each in stack.query(f"max_over_time(process_resident_memory_bytes{{{job}}}[5m])")
        )
        cores = max(
            float(each["value"][1])
            for each in stack.query(f"rate(process_cpu_seconds_total{{{job}}}[1m])")
        )
        (resources,) = {
            json.dumps(pod["spec"]["containers"][0]["resources"]) for pod in stack.pods(component)
        }
        text = json.loads(resources)["limits"]["memory"]
        limit = int(text[:-2]) * {"Mi": 2**20, "Gi": 2**30}[text[-2:]]
        stack.row(
            f"{component}: what a pod takes",
            f"{memory / 2**20:.0f} MiB of {limit / 2**20:.0f}, {cores:.2f} cores",
        )
        assert memory < 0.8 * limit


def test_an_alert_fires_when_a_camera_is_cut_and_resolves_when_it_is_back(stack: Stack) -> None:
    alert = 'ALERTS{alertname="SeedstreamCameraDown",camera="door",alertstate="firing"}'
    assert not stack.query(alert)
    timer = Timer()
    stack.kubectl("scale", "deployment/camera", "--replicas=0")
    stack.cluster.wait("the alert to fire", lambda: stack.query(alert), 240)
    fired = timer.seconds
    timer = Timer()
    stack.kubectl("scale", "deployment/camera", "--replicas=1")
    stack.cluster.wait("the alert to resolve", lambda: not stack.query(alert), 240)
    stack.row(
        "camera `door` cut",
        f"alert after {fired:.0f} s, resolved {timer.seconds:.0f} s after it is back",
    )
