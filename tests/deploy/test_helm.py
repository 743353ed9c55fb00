"""The Helm chart makes the objects that kustomize makes, and refuses values that mean nothing."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from deploy.helm_chart import CHART, HELM, LANES, PREFIXES, files
from tests.deploy.manifests import REPOSITORY, Object, overlay, tool
from tests.deploy.test_variants import Variant, variant  # noqa: F401 - a fixture

HELM_VERSION = "3.19.5"
HASH = re.compile(r"^([a-z-]+-settings(?:-[a-z]+)?|cameras|keda-kafka)-[a-z0-9]{10}$")
Render = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Run `helm template` on values, files or what stands in them."""
    program = tool(f"helm-{HELM_VERSION}")

    def run(*values: Path | Object, namespace: str = "seedstream") -> Any:
        named = []
        for number, each in enumerate(values):
            if not isinstance(each, Path):
                file = tmp_path / f"{number}.yaml"
                file.write_text(yaml.safe_dump(each))
                each = file
            named.append(str(each))
        return subprocess.run(
            [program, "template", CHART, namespace, *named],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    return run


def rendered(done: "subprocess.CompletedProcess[str]") -> list[Object]:
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def comparable(objects: Any) -> dict[str, Object]:
    """Objects by kind and name, without what rolls pods: a hash in a name, or in an annotation."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if key != "checksum/settings"}
        if isinstance(value, list):
            return [plain(each) for each in value]
        return HASH.sub(r"\1", value) if isinstance(value, str) else value

    found = {}
    for each in map(plain, objects):
        template = each.get("spec", {}).get("template", {})
        if isinstance(template, dict) and template.get("metadata", {}).get("annotations") == {}:
            del template["metadata"]["annotations"]
        if each["kind"] == "ConfigMap" and "cameras.yaml" in each["data"]:
            each["data"]["cameras.yaml"] = yaml.safe_load(each["data"]["cameras.yaml"])
        name = f"{each['kind']}/{each['metadata']['name']}"
        assert name not in found
        found[name] = each
    return found


@pytest.mark.parametrize("name", ["local", "production"])
def test_the_chart_makes_the_objects_of_the_overlay(render: Render, name: str) -> None:
    theirs = comparable(overlay(name))
    ours = comparable(rendered(render(HELM / f"values-{name}.yaml")))
    assert set(ours) == set(theirs)
    for each in theirs:
        assert ours[each] == theirs[each], each


@pytest.mark.parametrize("name", LANES)
def test_over_the_first_lane_s_values_the_chart_makes_a_lane_s_objects(
    render: Render, name: str
) -> None:
    theirs = comparable(overlay(name))
    values = HELM / "values-production.yaml", HELM / f"values-{name}.yaml"
    ours = comparable(rendered(render(*values)))
    assert set(ours) == set(theirs)
    for each in theirs:
        assert ours[each] == theirs[each], each


def test_lanes_of_a_namespace_have_no_object_in_common(render: Render) -> None:
    first = comparable(rendered(render(HELM / "values-production.yaml")))
    for name in LANES:
        values = HELM / "values-production.yaml", HELM / f"values-{name}.yaml"
        further = comparable(rendered(render(*values)))
        assert not set(first) & set(further)


def test_a_lane_is_said_once_and_who_says_otherwise_wins(render: Render) -> None:
    north = {"WORKER_LANE": "north", "WORKER_TOPIC": "frames-north"}
    mine = {
        "worker": {"settings": north},
        "viewer": {"settings": {"VIEW_TOPIC": "other"}},
    }
    objects = comparable(rendered(render(mine)))
    producer = objects["ConfigMap/producer-settings"]["data"]
    viewer = objects["ConfigMap/viewer-settings"]["data"]
    assert (producer["PRODUCER_LANE"], producer["PRODUCER_TOPIC"]) == ("north", "frames-north")
    assert (viewer["VIEW_LANE"], viewer["VIEW_TOPIC"]) == ("north", "other")
    labels = objects["Service/viewer"]["spec"]["selector"]
    assert labels["app.kubernetes.io/instance"] == "north"


def test_a_lane_named_by_a_number_is_a_word(render: Render) -> None:
    mine = {"worker": {"settings": {"WORKER_LANE": "7"}}}
    objects = comparable(rendered(render(mine)))
    labels = objects["Deployment/worker"]["spec"]["selector"]["matchLabels"]
    assert labels["app.kubernetes.io/instance"] == "7"
    assert objects["ConfigMap/viewer-settings"]["data"]["VIEW_LANE"] == "7"


def test_with_a_password_the_chart_makes_what_the_component_makes(
    render: Render,
    variant: Variant,  # noqa: F811
) -> None:
    theirs = comparable(variant("sasl"))
    by_password = {"kafka": {"sasl": {"enabled": True}}}
    ours = comparable(rendered(render(HELM / "values-production.yaml", by_password)))
    assert set(ours) == set(theirs)
    for each in theirs:
        assert ours[each] == theirs[each], each


@pytest.mark.parametrize(
    ("mechanism", "word"), [("PLAIN", "plaintext"), ("SCRAM-SHA-256", "scram_sha256")]
)
def test_keda_proves_its_password_as_the_processes_do(
    render: Render, mechanism: str, word: str
) -> None:
    mine = {
        "kafka": {"sasl": {"enabled": True, "mechanism": mechanism}},
        "tls": {"secretName": "mine"},
    }
    objects = comparable(rendered(render(HELM / "values-production.yaml", mine)))
    for process, prefix in PREFIXES.items():
        settings = objects[f"ConfigMap/{process}-settings"]["data"]
        assert settings[f"{prefix}SASL_MECHANISM"] == mechanism
        assert settings[f"{prefix}SECURITY_PROTOCOL"] == "SASL_SSL"
    assert objects["ConfigMap/keda-kafka-sasl"]["data"] == {"tls": "enable", "sasl": word}
    secrets = objects["TriggerAuthentication/kafka"]["spec"]["secretTargetRef"]
    assert [each["name"] for each in secrets] == ["mine", "worker-secrets", "worker-secrets"]


def test_the_copies_are_current() -> None:
    wanted = files()
    for path, text in wanted.items():
        assert path.read_text() == text, f"{path}: run `make chart`"
    there = {path for path in (CHART / "files").rglob("*") if path.is_file()}
    assert there == {path for path in wanted if CHART / "files" in path.parents}


def test_the_defaults_are_valid_and_all_of_them_are_described() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(defaults, schema)

    def same(described: Any, given: Any) -> None:
        assert set(described["properties"]) == set(given)
        for name, each in described["properties"].items():
            if "properties" in each:
                same(each, given[name])
            else:
                assert each["description"]

    same(schema, defaults)


def test_the_chart_has_the_project_s_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert f'version = "{chart["version"]}"' in project
    assert chart["appVersion"] == chart["version"]


def further(**settings: str) -> Object:
    """Values of a further lane."""
    names = ("WORKER_LANE", "WORKER_TOPIC", "WORKER_GROUP", "WORKER_RESULT_PREFIX")
    return {
        "lane": {"suffix": "-b"},
        "worker": {"settings": dict.fromkeys(names, "b") | settings},
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"worker": {"replica": 3}}, "replica"),
        ({"worker": {"replicas": "three"}}, "replicas"),
        ({"worker": {"settings": {"PRODUCER_TOPIC": "x"}}}, "PRODUCER_TOPIC"),
        ({"worker": {"settings": {"WORKER_REDIS_PASSWORD": "x"}}}, "WORKER_REDIS_PASSWORD"),
        ({"kafka": {"bootstrapServers": "broker"}}, "bootstrapServers"),
        ({"redis": {"url": "redis://user:password@host"}}, "url"),
        ({"images": {"digests": {"worker": "latest"}}}, "worker"),
        ({"kafka": {"sasl": {"enabled": True}}}, "kafka.sasl.enabled needs tls.enabled"),
        ({"kafka": {"sasl": {"mechanism": "GSSAPI"}}}, "mechanism"),
        ({"lane": {"suffix": "shadow"}}, "suffix"),
        ({"lane": {"sameCameras": True}}, "lane.sameCameras needs lane.suffix"),
        ({"lane": {"suffix": "-b"}}, "a WORKER_LANE of its own"),
        (further(WORKER_GROUP="seedstream-workers"), "a WORKER_GROUP of its own"),
        (further(WORKER_TOPIC="frames"), "a WORKER_TOPIC of its own"),
        (further() | {"development": {"redis": True}}, "are the first lane's"),
        ({"patches": {"worker": {}}}, "worker"),
        ({"patches": {"Deployment/workers": {}}}, "there is no object Deployment/workers"),
    ],
)
def test_values_that_mean_nothing_are_refused(render: Render, values: Object, said: str) -> None:
    done = render(values)
    assert done.returncode == 1
    assert said in done.stderr


def test_what_a_user_says_wins_and_reaches_where_it_should(render: Render) -> None:
    mine = {
        "images": {"registry": "r.example", "tag": "7", "digests": {"worker": "sha256:" + "a" * 64},
                   "pullSecrets": [{"name": "pull"}]},
        "tls": {"secretName": "mine"},
        "fixedUsers": False,
        "producer": {"replicas": 12},
        "worker": {
            "settings": {"WORKER_SECURITY_PROTOCOL": "SASL_SSL", "WORKER_MAX_BATCH_SIZE": 32,
                         "WORKER_SSL_CERTFILE": "", "WORKER_TRACK": False},
            "pod": {"runtimeClassName": "nvidia", "nodeSelector": {"pool": "gpu"}},
            "container": {"resources": {"limits": {"nvidia.com/gpu": 2}}},
        },
        "patches": {"Service/viewer": {"spec": {"type": "LoadBalancer"}}},
    }  # fmt: skip
    base = HELM / "values-production.yaml"
    made = rendered(render(base, mine, namespace="east"))
    for each in made:
        if each["kind"] in ("Deployment", "StatefulSet", "Service", "ConfigMap"):
            kubernetes_validate.validate(each, "1.34", strict=True)
    objects = comparable(made)
    assert {each["metadata"].get("namespace", "east") for each in objects.values()} == {"east"}
    worker = objects["Deployment/worker"]["spec"]["template"]["spec"]
    assert worker["containers"][0]["image"] == "r.example/seedstream/worker-gpu@sha256:" + "a" * 64
    assert worker["runtimeClassName"] == "nvidia"
    assert worker["nodeSelector"] == {"nvidia.com/gpu.present": "true", "pool": "gpu"}
    assert worker["containers"][0]["resources"]["limits"] == {"memory": "4Gi", "nvidia.com/gpu": 2}
    assert worker["imagePullSecrets"] == [{"name": "pull"}]
    assert "runAsUser" not in worker["securityContext"]
    assert worker["volumes"][-1]["secret"]["secretName"] == "mine"
    settings = objects["ConfigMap/worker-settings"]["data"]
    assert settings["WORKER_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert settings["WORKER_MAX_BATCH_SIZE"] == "32"
    assert settings["WORKER_TRACK"] == "false"
    assert settings["WORKER_SSL_CERTFILE"] == ""
    assert objects["StatefulSet/producer"]["spec"]["replicas"] == 12
    assert objects["Service/viewer"]["spec"]["type"] == "LoadBalancer"
    scaled = str(objects["ScaledObject/worker"])
    assert "seedstream.svc" not in scaled


def test_other_settings_roll_the_pods_that_have_them_and_no_others(render: Render) -> None:
    def checksums(values: Object) -> dict[str, str]:
        return {
            each["metadata"]["name"]: each["spec"]["template"]["metadata"]["annotations"]
            for each in rendered(render(HELM / "values-local.yaml", values))
            if each["kind"] in ("Deployment", "StatefulSet")
        }

    before, after = checksums({}), checksums({"worker": {"settings": {"WORKER_TRACK": "false"}}})
    assert set(before) == {"kafka", "producer", "redis", "viewer", "worker"}
    assert {name for name in before if before[name] != after[name]} == {"worker"}
