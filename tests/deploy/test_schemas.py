"""Every overlay builds, and every object fits its schema to the letter."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as prometheus_operator

from tests.deploy.manifests import COMPONENTS, K8S, OVERLAYS, build, everything

KUBERNETES = "1.34"
KEDA = "v2.18.0"
LESS = {"further-lane", "same-cameras"}
"""Components that leave something out."""

OTHERS = {"ScaledObject", "TriggerAuthentication", "PodMonitor", "PrometheusRule"}


def test_every_overlay_builds() -> None:
    assert set(OVERLAYS) == {"local", "production"}
    for name in OVERLAYS:
        assert len(build(K8S / "overlays" / name)) > 10


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_component_builds_upon_the_base(name: str, tmp_path: Path) -> None:
    shutil.copytree(K8S.parent, tmp_path / "deploy")
    folder = tmp_path / "deploy" / "k8s" / "overlays" / "alone"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(
        f"resources: [../../base]\ncomponents: [../../components/{name}]\n"
    )
    more = len(build(folder)) - len(build(K8S / "base"))
    assert more < 0 if name in LESS else more >= 0


def test_every_object_of_kubernetes_fits_its_schema() -> None:
    seen = 0
    for name, each in everything():
        if each["kind"] in OTHERS:
            continue
        try:
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{name}: {error.message} at {list(error.path)}")
        seen += 1
    assert seen > 100


def test_a_misspelt_key_would_be_found() -> None:
    each = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


@pytest.fixture(scope="module")
def keda_schemas() -> dict[str, Any]:
    """KEDA's own schemas, out of its Go module, with unknown keys refused."""
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine, which brings KEDA's schemas")
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"github.com/kedacore/keda/v2@{KEDA}"],
        capture_output=True, text=True, check=True, cwd="/",
    )  # fmt: skip
    schemas = {}
    for file in (Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "bases").glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
        schemas[spec["names"]["kind"]] = _closed(schema)
    return schemas


def _closed(schema: Any) -> Any:
    """Refuse what the schema does not name, as `kubectl apply --validate=strict` does."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        closed.setdefault("additionalProperties", False)
    return closed


def test_the_objects_for_keda_fit_its_schemas(keda_schemas: dict[str, Any]) -> None:
    seen = set()
    for name, each in everything():
        if each["kind"] not in ("ScaledObject", "TriggerAuthentication"):
            continue
        schema = dict(keda_schemas[each["kind"]])
        schema["properties"] = {**schema["properties"], "metadata": {"type": "object"}}
        try:
            jsonschema.validate(each, schema)
        except jsonschema.ValidationError as error:
            pytest.fail(f"{name}: {error.message} at {list(error.path)}")
        seen.add(each["kind"])
    assert seen == {"ScaledObject", "TriggerAuthentication"}


@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_the_objects_for_the_prometheus_operator_fit_its_types(kind: str) -> None:
    found = [each for _, each in everything() if each["kind"] == kind]
    assert found
    for each in found:
        assert through_the_type(each) == each, "what the operator knows is less than what it says"


def test_a_misspelt_key_for_the_prometheus_operator_would_be_found() -> None:
    monitor = yaml.safe_load(
        (K8S / "components" / "monitoring" / "podmonitor-worker.yaml").read_text()
    )
    monitor["spec"]["podMetricsEndpoints"][0]["scrapeTimeOut"] = "5s"
    assert through_the_type(monitor) != monitor
    monitor["spec"]["podMetricsEndpoints"][0]["scrapeTimeout"] = "soon"
    with pytest.raises(ValueError, match="scrapeTimeout"):
        through_the_type(monitor)


def through_the_type(each: dict[str, Any]) -> Any:
    """Return an object as the operator's type has it: without what it does not know."""
    model = getattr(prometheus_operator, each["kind"]).model_validate(each)
    return model.model_dump(mode="json", by_alias=True, exclude_unset=True)
