"""Lanes side by side: each has objects, pods, scaling and settings of its own."""

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from contract.settings import load_settings
from contract.topics import DEAD_TOPIC
from tests.deploy.manifests import K8S, LANES, REPOSITORY, Object, build, overlay, pods
from tests.deploy.network import End, allowed
from workers.settings import WorkerSettings

ALL = ("production", *LANES)
WORKLOADS = ("Deployment", "StatefulSet")
ONCE = {"Namespace", "PodMonitor", "PrometheusRule"}
"""What a namespace has once."""


def only(objects: tuple[Object, ...], kind: str, beginning: str) -> Object:
    """Return the one object of a kind whose name begins so."""
    found = [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"].startswith(beginning)
    ]
    (one,) = found
    return one


def settings(objects: tuple[Object, ...], process: str) -> dict[str, str]:
    return dict(only(objects, "ConfigMap", f"{process}-settings")["data"])


def selectors(objects: tuple[Object, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    """What says by labels which pods are its own: workloads, budgets, services, spreading."""
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] in (*WORKLOADS, "PodDisruptionBudget"):
            yield name, each["spec"]["selector"]["matchLabels"]
        elif each["kind"] == "Service":
            yield name, each["spec"]["selector"]
        if each["kind"] in WORKLOADS:
            for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]:
                yield name, spread["labelSelector"]["matchLabels"]


def scaling(objects: tuple[Object, ...]) -> None:
    """Expect an autoscaler that means the workers, the login and the series of its own lane."""
    scaled = only(objects, "ScaledObject", "worker")
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    assert ("Deployment", scaled["spec"]["scaleTargetRef"]["name"]) in names
    lag, offered = scaled["spec"]["triggers"]
    assert ("TriggerAuthentication", lag["authenticationRef"]["name"]) in names
    labels = re.findall(r"\{([^}]*)\}", offered["metadata"]["query"])
    lane = settings(objects, "worker")["WORKER_LANE"]
    assert labels == [f'namespace="{scaled["metadata"]["namespace"]}",lane="{lane}"'] * 2
    deployment = only(objects, "Deployment", "worker")
    assert "replicas" not in deployment["spec"], "the autoscaler alone sets them"
    assert deployment["metadata"]["namespace"] == scaled["metadata"]["namespace"]


@pytest.mark.parametrize("name", LANES)
def test_a_further_lane_shares_no_object_with_the_first_and_has_none_that_is_there_once(
    name: str,
) -> None:
    first, further = (
        {(each["kind"], each["metadata"]["name"]) for each in overlay(one)}
        for one in ("production", name)
    )
    assert first & further == set()
    assert {kind for kind, _ in further} & ONCE == set()
    assert {each["metadata"]["namespace"] for each in overlay(name)} == {"seedstream"}


def test_nothing_selects_the_pods_of_another_workload() -> None:
    together = tuple(itertools.chain.from_iterable(map(overlay, ALL)))
    templates = {
        f"{each['kind']}/{each['metadata']['name']}": each["spec"]["template"]["metadata"]["labels"]
        for each in together
        if each["kind"] in WORKLOADS
    }
    assert len(templates) == 8  # three of two lanes, two of the one without producers
    seen = 0
    for name, wanted in selectors(together):
        chosen = [other for other, labels in templates.items() if wanted.items() <= labels.items()]
        assert [other.partition("/")[2] for other in chosen] == [name.partition("/")[2]], name
        seen += 1
    assert seen > 30


@pytest.mark.parametrize("name", ALL)
def test_the_autoscaler_of_a_lane_means_that_lane(name: str) -> None:
    scaling(overlay(name))


@pytest.mark.parametrize("name", ["production", "shadow"])
def test_the_autoscaler_follows_another_namespace_a_suffix_and_a_lane(
    name: str, tmp_path: Path
) -> None:
    shutil.copytree(K8S.parent, tmp_path / "deploy")
    overlays = tmp_path / "deploy" / "k8s" / "overlays"
    of_production = overlays / "production" / "kustomization.yaml"
    of_production.write_text(
        of_production.read_text().replace("namespace: seedstream\n", "namespace: site-7\n")
    )
    outer = overlays / "outer"
    outer.mkdir()
    outer.joinpath("kustomization.yaml").write_text(
        f"resources: [../{name}]\nnamePrefix: my-\nnameSuffix: -blue\n"
    )
    for folder in (overlays / name, outer):
        objects = tuple(
            each
            | {
                "metadata": each["metadata"]
                | {"name": each["metadata"]["name"].removeprefix("my-")}
            }
            for each in build(folder)
        )
        spaces = {each["metadata"].get("namespace") for each in objects} - {None}
        assert spaces == {"site-7"}
        scaled = only(objects, "ScaledObject", "worker")
        wanted = "my-" if folder == outer else ""
        assert scaled["spec"]["scaleTargetRef"]["name"].startswith(f"{wanted}worker")
        assert 'namespace="site-7"' in str(scaled)
        if folder != outer:
            scaling(objects)


def test_lanes_have_groups_prefixes_and_names_of_their_own() -> None:
    of_all = [settings(overlay(name), "worker") for name in ALL]
    for key in ("WORKER_LANE", "WORKER_GROUP", "WORKER_RESULT_PREFIX"):
        assert len({each[key] for each in of_all}) == len(ALL), key
    for key in ("WORKER_BOOTSTRAP_SERVERS", "WORKER_REDIS_URL", "WORKER_SSL_CAFILE"):
        assert len({each[key] for each in of_all}) == 1, key
    production, second_site, shadow = (each["WORKER_TOPIC"] for each in of_all)
    assert production == shadow != second_site


@pytest.mark.parametrize("name", ALL)
def test_all_of_a_lane_means_the_same_lane(name: str) -> None:
    objects = overlay(name)
    worker = settings(objects, "worker")
    viewer = settings(objects, "viewer")
    assert viewer["VIEW_RESULT_PREFIX"] == worker["WORKER_RESULT_PREFIX"]
    assert viewer["VIEW_TOPIC"] == worker["WORKER_TOPIC"]
    assert viewer["VIEW_LANE"] == worker["WORKER_LANE"]
    workloads = [each for each in objects if each["kind"] in WORKLOADS]
    for each in workloads:
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == worker["WORKER_LANE"]
    producers = [each for each in workloads if each["kind"] == "StatefulSet"]
    assert len(producers) == (name != "shadow")
    if producers:
        producer = settings(objects, "producer")
        assert producer["PRODUCER_LANE"] == worker["WORKER_LANE"]
        assert producer["PRODUCER_TOPIC"] == worker["WORKER_TOPIC"]
        assert (
            producers[0]["spec"]["serviceName"]
            == only(objects, "Service", "producer")["metadata"]["name"]
        )
    made = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"}
    for _, spec in pods(objects):
        (container,) = spec["containers"]
        taken = {e["configMapRef"]["name"] for e in container["envFrom"] if "configMapRef" in e}
        mounted = {v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v}
        assert taken | mounted <= made
        assert spec["serviceAccountName"] in {
            each["metadata"]["name"] for each in objects if each["kind"] == "ServiceAccount"
        }


@pytest.mark.parametrize("name", LANES)
def test_the_settings_of_a_lane_s_workers_load(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in settings(overlay(name), "worker").items():
        assert key.removeprefix("WORKER_").lower() in WorkerSettings.model_fields, key
        if value.startswith("/etc/seedstream"):
            (tmp_path / Path(value).name).touch()
            value = str(tmp_path / Path(value).name)
        value = value.replace("/opt/models/", f"{REPOSITORY}/artifacts/")
        monkeypatch.setenv(key, value)
    loaded = load_settings(WorkerSettings)
    assert loaded.lane in {"shadow", "yard"}
    assert loaded.dead_topic in {DEAD_TOPIC, f"{loaded.topic}.dead"}


@pytest.mark.parametrize("name", LANES)
def test_the_first_lane_s_prometheus_finds_and_reaches_the_pods_of_a_further_one(name: str) -> None:
    policies = [each for each in overlay(name) if each["kind"] == "NetworkPolicy"]
    policies += [each for each in overlay("production") if each["kind"] == "NetworkPolicy"]
    operator, brokers = End({"app": "prometheus"}, "monitoring"), End(None, address="10.1.2.3")
    stranger = End({"app": "shell"}, "default")
    monitors = [each for each in overlay("production") if each["kind"] == "PodMonitor"]
    for each in overlay(name):
        if each["kind"] in WORKLOADS:
            labels = each["spec"]["template"]["metadata"]["labels"]
            ports = {
                p["name"]: p["containerPort"]
                for c in each["spec"]["template"]["spec"]["containers"]
                for p in c["ports"]
            }
            pod = End(labels)
            assert allowed(policies, operator, pod, ports["http"])
            assert not allowed(policies, stranger, pod, ports["http"])
            assert allowed(policies, pod, brokers, 9093)
            watching = [
                m for m in monitors
                if m["spec"]["selector"]["matchLabels"].items() <= labels.items()
            ]  # fmt: skip
            assert len(watching) == 1, "found twice, it would count twice"


def test_prometheus_knows_the_lane_of_a_pod_that_does_not_answer() -> None:
    label = "__meta_kubernetes_pod_label_app_kubernetes_io_instance"
    monitors = [each for each in overlay("production") if each["kind"] == "PodMonitor"]
    assert len(monitors) == 3
    for each in monitors:
        (endpoint,) = each["spec"]["podMetricsEndpoints"]
        assert endpoint["honorLabels"] is True
        assert {"sourceLabels": [label], "targetLabel": "lane"} in endpoint["relabelings"]
    plain = yaml.safe_load((REPOSITORY / "deploy" / "monitoring" / "prometheus.yaml").read_text())
    (job,) = plain["scrape_configs"]
    assert job["honor_labels"] is True
    assert {"source_labels": [label], "target_label": "lane"} in job["relabel_configs"]
