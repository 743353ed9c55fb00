"""A real Prometheus finds the pods by itself, and its rules say what Redis says."""

import json
import time

import pytest

from tests.cluster.installation import Stack, Timer

WINDOW_SECONDS = 60
ALERT = 'ALERTS{alertname="SeedstreamCameraDown",camera="door",alertstate="firing"}'


@pytest.fixture(scope="module", autouse=True)
def watched(stack: Stack) -> None:
    stack.start_training()  # these tests mostly wait; its own looks at what has come of it
    stack.kubectl("rollout", "status", "deployment/prometheus", "--timeout=360s", timeout=390)
    stack.kubectl("wait", "--for=condition=Ready", "pod/looker", "--timeout=270s", timeout=300)


@pytest.fixture(scope="module")
def cut_at(stack: Stack, watched: None) -> float:
    """The camera `door` is cut before what else waits for minutes; when that was, by this clock."""
    stack.cluster.wait("an answer of Prometheus", lambda: stack.query("up"), 90)
    assert not stack.query(ALERT)
    cut_at = time.time()
    stack.kubectl("scale", "deployment/camera", "--replicas=0")
    return cut_at


def test_it_scrapes_every_pod_of_ours(stack: Stack) -> None:
    expected = {
        p["metadata"]["name"] for c in ("worker", "producer", "viewer") for p in stack.pods(c)
    }

    def found() -> bool:
        return expected <= {
            each["metric"]["pod"] for each in stack.query("up") if each["value"][1] == "1"
        }

    stack.cluster.wait(f"targets {expected}", found, 90)
    stack.row("Prometheus found by itself", ", ".join(sorted(expected)))


@pytest.mark.usefixtures("cut_at")
def test_the_rules_fps_is_what_redis_received(stack: Stack) -> None:
    stack.cluster.wait(
        "the recording rule",
        lambda: stack.query("lane:seedstream_frames_processed:rate1m"),
        120,
    )
    # The rule looks back over a minute in steps of a scrape, 10 s: a burst at its edge may be in it
    # or not. So the means of several such minutes are compared.
    samples: list[tuple[float, int, float]] = []
    minutes: list[tuple[float, float]] = []

    def enough() -> bool:
        redis = json.loads(stack.look("received"))
        rule = stack.query("lane:seedstream_frames_processed:rate1m")[0]["value"][1]
        end = (redis["at"], redis["received"], float(rule))
        samples.append(end)
        time.sleep(5)
        # How often there is a sample hangs on what else this machine has to do.
        minutes.extend(
            (end[2], (end[1] - begin[1]) / (end[0] - begin[0]))
            for begin in samples
            if abs(end[0] - begin[0] - WINDOW_SECONDS) < 5
        )
        return end[0] - samples[0][0] > 2 * WINDOW_SECONDS and len(minutes) >= 4

    stack.cluster.wait("four minutes of which both tell", enough, 5 * WINDOW_SECONDS)
    ruled, received = (sum(each) / len(minutes) for each in zip(*minutes, strict=True))
    stack.row("fps by the recording rule", f"{ruled:.2f}, Redis received {received:.2f} a second")
    assert ruled == pytest.approx(received, rel=0.05)


def test_the_memory_that_pods_take_is_well_within_what_they_are_granted(stack: Stack) -> None:
    for component in ("worker", "producer", "viewer"):
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


def test_an_alert_fires_when_a_camera_is_cut_and_resolves_when_it_is_back(
    stack: Stack, cut_at: float
) -> None:
    stack.cluster.wait("the alert to fire", lambda: stack.query(ALERT), 240)
    (first,) = stack.query(f"min_over_time(timestamp({ALERT})[10m:5s])")
    fired = float(first["value"][1]) - cut_at
    timer = Timer()
    stack.kubectl("scale", "deployment/camera", "--replicas=1")
    stack.cluster.wait("the alert to resolve", lambda: not stack.query(ALERT), 240)
    stack.row(
        "camera `door` cut",
        f"alert after {fired:.0f} s, resolved {timer.seconds:.0f} s after it is back",
    )
    assert fired >= WINDOW_SECONDS  # the rule waits for a minute
