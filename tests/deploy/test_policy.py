"""What every pod of ours must be: the restricted standard, and a bit more."""

import re

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    REPOSITORY,
    build,
    everything,
    find,
    overlay,
    pods,
)

ALL = [
    pytest.param(spec, id=f"{name}/{workload}")
    for name in OVERLAYS
    for workload, spec in pods(overlay(name))
]
ALL += [
    # Of components that no overlay has.
    pytest.param(spec, id=f"training/{workload}")
    for workload, spec in pods(build(REPOSITORY / "tests" / "cluster" / "overlays" / "training"))
    if workload in ("Job/train", "Deployment/prometheus")
]
TOKENS = {"prometheus"}
"""Accounts whose pods talk to the API server."""


@pytest.mark.parametrize("spec", ALL)
def test_a_pod_has_no_more_rights_than_it_needs(spec: dict) -> None:
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] >= 999
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is (spec["serviceAccountName"] in TOKENS)
    assert spec["enableServiceLinks"] is False
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        assert key not in spec
    for each in spec["containers"] + spec.get("initContainers", []):
        own = each["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
    assert not any("hostPath" in volume for volume in spec.get("volumes", []))


@pytest.mark.parametrize("spec", ALL)
def test_a_container_says_what_it_takes_and_why_it_ended(spec: dict) -> None:
    for each in spec["containers"]:
        assert {"cpu", "memory"} <= each["resources"]["requests"].keys()
        assert "memory" in each["resources"]["limits"]
        assert "cpu" not in each["resources"]["limits"], "throttling costs latency"
        assert each["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert re.search(r":v?\d", each["image"]), f"{each['image']}: no version"
        if spec.get("restartPolicy") != "OnFailure":
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert probe in each


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_has_replicas_has_a_disruption_budget(name: str) -> None:
    for workload in ("worker", "producer"):
        budget = find(overlay(name), "PodDisruptionBudget", workload)["spec"]
        kind = "Deployment" if workload == "worker" else "StatefulSet"
        template = find(overlay(name), kind, workload)["spec"]["template"]
        assert budget["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@pytest.mark.parametrize("name", OVERLAYS)
def test_our_namespace_is_restricted_and_everything_is_in_it(name: str) -> None:
    namespace = find(overlay(name), "Namespace", "seedstream")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for each in overlay(name):
        if each["kind"] != "Namespace":
            assert each["metadata"]["namespace"] == "seedstream"


def test_no_secret_is_in_the_repository() -> None:
    assert [name for name, each in everything() if each["kind"] == "Secret"] == []


def test_a_resource_has_a_file_of_its_own_named_by_its_kind() -> None:
    for file in (REPOSITORY / "deploy" / "k8s").rglob("*.yaml"):
        text = file.read_text()
        kinds = re.findall(r"^kind: (\w+)", text, re.MULTILINE)
        assert len(kinds) <= 1, file
        if kinds and kinds[0] not in ("Kustomization", "Component"):
            assert file.name.startswith(kinds[0].lower()), file


def test_no_account_gives_out_tokens_but_the_one_that_needs_it() -> None:
    for name, each in everything():
        if each["kind"] == "ServiceAccount" and each["metadata"]["name"] not in TOKENS:
            assert each["automountServiceAccountToken"] is False, name


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_says_of_what_it_is_a_part(name: str) -> None:
    for each in overlay(name):
        labels = each["metadata"].get("labels", {})
        assert labels.get("app.kubernetes.io/part-of") == "seedstream", each["metadata"]["name"]
