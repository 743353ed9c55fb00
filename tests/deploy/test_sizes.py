"""The manifests' numbers are those that `seedstream plan` counts for the load they are said for."""

import re

import pytest
import yaml

from planner.capacity import plan
from planner.load import Load
from planner.manifest_sizes import manifest_sizes
from tests.deploy.manifests import K8S, REPOSITORY, container, find, overlay

LOAD = Load(cameras=64, worker="gpu")
SIZES = {(each.place, each.name): each.value for each in manifest_sizes(plan(LOAD))}


def mebibytes(text: str) -> float:
    number, unit = float(text[:-2]), text[-2:]
    return number * {"Mi": 1, "Gi": 1024}[unit]


def test_the_producers_of_production_are_those_of_its_load() -> None:
    objects = overlay("production")
    resources = container(objects, "StatefulSet", "producer")["resources"]
    replicas = find(objects, "StatefulSet", "producer")["spec"]["replicas"]
    assert str(replicas) == SIZES["kustomization.yaml", "replicas: producer"]
    assert resources["requests"] == {
        "cpu": SIZES["statefulset.yaml", "requests.cpu"],
        "memory": SIZES["statefulset.yaml", "requests.memory"],
    }
    limit = SIZES["statefulset.yaml", "limits.memory"]
    assert mebibytes(resources["limits"]["memory"]) == mebibytes(limit)
    said = (K8S / "overlays" / "production" / "statefulset.yaml").read_text()
    assert f"{LOAD.cameras // replicas} cameras of {LOAD.width}x{LOAD.height}" in said
    assert f"have {LOAD.cameras}." in said


def test_the_cameras_of_production_are_published_near_the_model_s_input() -> None:
    text = find(overlay("production"), "ConfigMap", "cameras")["data"]["cameras.yaml"]
    defaults = yaml.safe_load(text)["defaults"]
    assert str(defaults["max_side"]) == SIZES["cameras.yaml", "defaults.max_side"]
    assert str(defaults["fps"]) == SIZES["cameras.yaml", "defaults.fps"]


@pytest.mark.parametrize(
    "file", ["deploy/k8s/components/kafka-dev/job.yaml", "docs/operate/deploy.md"]
)
def test_the_topic_keeps_live_frames_for_minutes(file: str) -> None:
    (line,) = re.findall(
        r"--topic frames --partitions.*?(?=--topic|\Z)", (REPOSITORY / file).read_text(), re.S
    )
    for name in ("retention.ms", "segment.ms"):
        assert f"--config {name}={SIZES['topic frames', name]}" in line
