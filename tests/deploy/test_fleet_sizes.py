"""A fleet's size is stated once; what follows from it are shares that hold for any size."""

import math
import re

import pytest

from tests.deploy.manifests import K8S, OVERLAYS, REPOSITORY, find, overlay

SAID = re.compile(r"--topic frames --partitions (\d+)")
AWAY = 0.25
"""Of the workers may be away: docs/operate/deploy.md has a third added for it, 4/3 x 3/4 = 1."""


def share(value: object) -> float:
    """Return a percentage as a share; a fixed number would be wrong for some fleet."""
    assert isinstance(value, str), f"{value!r} is no percentage"
    assert value.endswith("%"), f"{value!r} is no percentage"
    return int(value.removesuffix("%")) / 100


def test_the_number_of_gpus_is_stated_in_one_place() -> None:
    folder = K8S / "overlays" / "production"
    files = [each for each in folder.rglob("*") if each.is_file()]
    stating = [each.name for each in files if "maxReplicaCount:" in each.read_text()]
    assert stating == ["scaledobject.yaml"]
    worker = find(overlay("production"), "Deployment", "worker")["spec"]
    (only,) = worker["template"]["spec"]["containers"]
    assert only["resources"]["limits"]["nvidia.com/gpu"] == 1, "a worker is then no longer a GPU"
    scaled = find(overlay("production"), "ScaledObject", "worker")["spec"]
    assert scaled["minReplicaCount"] <= scaled["maxReplicaCount"]
    assert scaled["fallback"]["replicas"] <= scaled["maxReplicaCount"]
    partitions = SAID.search((REPOSITORY / "docs" / "operate" / "deploy.md").read_text())
    assert partitions
    assert scaled["maxReplicaCount"] <= int(partitions[1])


@pytest.mark.parametrize("name", OVERLAYS)
def test_as_many_may_be_away_as_the_sizes_in_the_docs_have_to_spare(name: str) -> None:
    strategy = find(overlay(name), "Deployment", "worker")["spec"]["strategy"]["rollingUpdate"]
    assert share(strategy["maxUnavailable"]) == AWAY
    for workload in ("worker", "producer"):
        budget = find(overlay(name), "PodDisruptionBudget", workload)["spec"]
        assert share(budget["maxUnavailable"]) == AWAY
    assert "plus a third for rollouts" in (REPOSITORY / "docs/operate/deploy.md").read_text()


@pytest.mark.parametrize("workers", [9, 12, 40, 160])
def test_a_worker_without_a_gpu_holds_up_neither_releases_nor_drains(workers: int) -> None:
    """As the controllers count: rounded down for a rollout, up for evictions."""
    objects = overlay("production")
    strategy = find(objects, "Deployment", "worker")["spec"]["strategy"]["rollingUpdate"]
    budget = find(objects, "PodDisruptionBudget", "worker")["spec"]
    ready = workers - 1
    assert strategy["maxSurge"] == 0
    assert ready > workers - math.floor(workers * share(strategy["maxUnavailable"]))
    assert ready > workers - math.ceil(workers * share(budget["maxUnavailable"]))


def test_a_deadline_is_longer_than_one_start_may_take() -> None:
    """It begins anew with each worker that becomes ready, so the fleet's size is not in it."""
    worker = find(overlay("production"), "Deployment", "worker")["spec"]
    (only,) = worker["template"]["spec"]["containers"]
    probe = only["startupProbe"]
    start_seconds = probe["periodSeconds"] * probe["failureThreshold"]
    leave_seconds = worker["template"]["spec"]["terminationGracePeriodSeconds"]
    spare_seconds = 240  # to fetch the image
    assert worker["progressDeadlineSeconds"] >= start_seconds + leave_seconds + spare_seconds
