"""Manifests and code cannot say different things."""

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from contract.settings import load_settings
from model.training.settings import TrainSettings
from producer.camera_list import load_list
from producer.settings import ProducerSettings
from producer.shards import Shard
from tests.deploy.manifests import (
    K8S,
    OVERLAYS,
    REPOSITORY,
    Object,
    build,
    container,
    find,
    overlay,
    pods,
)
from viewer.web.settings import ViewSettings
from workers.app import _LEAVE_SECONDS
from workers.settings import WorkerSettings

DOCKERFILE = REPOSITORY / "deploy" / "images" / "Dockerfile"
PROCESSES: list[tuple[str, str, type[BaseSettings]]] = [
    ("worker", "Deployment", WorkerSettings),
    ("producer", "StatefulSet", ProducerSettings),
    ("viewer", "Deployment", ViewSettings),
]


def settings_of(name: str, process: str) -> dict[str, str]:
    return dict(find(overlay(name), "ConfigMap", f"{process}-settings")["data"])


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Paths of the pods, as far as settings look at them, and no setting of this shell."""
    return tmp_path


def load(
    kind: type[BaseSettings], given: dict[str, str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    prefix = str(kind.model_config["env_prefix"])
    for name, value in given.items():
        assert name.startswith(prefix), name
        assert name.removeprefix(prefix).lower() in kind.model_fields, f"{name}: no such setting"
        if value.startswith("/etc/seedstream"):
            file = here / Path(value).name
            file.touch()
            value = str(file)
        if name == "WORKER_MODEL":
            model = (
                REPOSITORY / "artifacts" / value.removeprefix("/opt/models/")
            )  # as the Dockerfile copies it
            assert (model / "model.onnx").is_file(), f"{value} is not in the repository"
            value = str(model)
        monkeypatch.setenv(name, value)
    return load_settings(kind)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize(("process", "kind", "settings"), PROCESSES)
def test_the_settings_load_and_fit_the_workload(
    name: str, process: str, kind: str, settings: type[BaseSettings],
    here: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    loaded = load(settings, settings_of(name, process), here, monkeypatch)
    only = container(overlay(name), kind, process)
    ports = {"http": loaded.http_port} | ({"page": loaded.port} if process == "viewer" else {})
    assert {each["name"]: each["containerPort"] for each in only["ports"]} == ports
    for probe, path in (
        ("startupProbe", "/healthz"),
        ("livenessProbe", "/healthz"),
        ("readinessProbe", "/readyz"),
    ):
        assert only[probe]["httpGet"] == {"path": path, "port": "http"}
    spec = find(overlay(name), kind, process)["spec"]["template"]["spec"]
    leave = _LEAVE_SECONDS if process == "worker" else 5
    assert spec["terminationGracePeriodSeconds"] >= loaded.drain_seconds + leave
    sources = [each.get("configMapRef", {}).get("name", "") for each in only["envFrom"]]
    assert find(overlay(name), "ConfigMap", f"{process}-settings")["metadata"]["name"] in sources
    optional = [each["secretRef"] for each in only["envFrom"] if "secretRef" in each]
    assert all(each["optional"] for each in optional), "a pod that misses one could not say so"


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_process_means_the_same_topic(name: str) -> None:
    worker, producer = settings_of(name, "worker"), settings_of(name, "producer")
    assert worker["WORKER_TOPIC"] == producer["PRODUCER_TOPIC"]
    assert worker["WORKER_BOOTSTRAP_SERVERS"] == producer["PRODUCER_BOOTSTRAP_SERVERS"]


def test_the_topics_job_makes_the_topics_of_the_settings() -> None:
    script = container(overlay("local"), "Job", "kafka-topics")["args"][0]
    worker = settings_of("local", "worker")
    assert f"--topic {worker['WORKER_TOPIC']} " in script
    assert f"--topic {worker['WORKER_DEAD_TOPIC']} " in script
    sizes = {int(size) for size in re.findall(r"max\.message\.bytes=(\d+)", script)}
    properties = find(overlay("local"), "ConfigMap", "kafka-settings")["data"]["server.properties"]
    sizes |= {int(size) for size in re.findall(r"^message\.max\.bytes=(\d+)", properties, re.M)}
    assert min(sizes) >= ProducerSettings().max_record_bytes
    assert min(sizes) >= WorkerSettings.model_fields["max_frame_bytes"].default


def scaled_objects() -> list[Object]:
    component = K8S / "components" / "keda" / "scaledobject.yaml"
    return [
        yaml.safe_load(component.read_text()),
        find(overlay("production"), "ScaledObject", "worker"),
    ]


@pytest.mark.parametrize("scaled", scaled_objects(), ids=["component", "production"])
def test_the_autoscaler_watches_what_the_workers_read(scaled: Object) -> None:
    name = "production" if "authenticationRef" in str(scaled) else "local"
    worker = settings_of(name, "worker")
    lag, offered = scaled["spec"]["triggers"]
    named = {key: value for key, value in lag["metadata"].items() if key.endswith("FromEnv")}
    assert named == {
        "bootstrapServersFromEnv": "WORKER_BOOTSTRAP_SERVERS",
        "consumerGroupFromEnv": "WORKER_GROUP",
        "topicFromEnv": "WORKER_TOPIC",
    }
    assert named.keys() & {f"{key}FromEnv" for key in lag["metadata"]} == set()
    assert set(named.values()) <= worker.keys()
    script = container(overlay("local"), "Job", "kafka-topics")["args"][0]
    partitions = re.search(r"--topic frames --partitions (\d+)", script)
    assert partitions
    assert scaled["spec"]["maxReplicaCount"] <= int(partitions[1])
    assert "seedstream_frames_skipped_total" in offered["metadata"]["query"]


def test_the_autoscaler_alone_sets_the_replicas() -> None:
    assert "replicas" not in find(overlay("production"), "Deployment", "worker")["spec"]


def mounted_list(name: str, folder: Path) -> tuple[ProducerSettings, dict[str, str]]:
    """Write the camera list as a pod of an overlay sees it; return settings, and variables."""
    spec = find(overlay(name), "StatefulSet", "producer")["spec"]["template"]["spec"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "cameras"]
    for source in volume["projected"]["sources"]:
        for key, text in find(overlay(name), "ConfigMap", source["configMap"]["name"])[
            "data"
        ].items():
            assert not (folder / key).exists(), f"{key} comes from two ConfigMaps"
            (folder / key).write_text(text)
    text = "".join(path.read_text() for path in folder.iterdir())
    return ProducerSettings(config=folder), dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "x")


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_producers_and_their_list_know_how_many_there_are(name: str, tmp_path: Path) -> None:
    only = container(overlay(name), "StatefulSet", "producer")
    names = [each["name"] for each in only["env"]]
    assert names.index("POD_INDEX") < names.index("PRODUCER_SHARD"), "expanded in this order"
    shard = only["env"][names.index("PRODUCER_SHARD")]["value"]
    replicas = find(overlay(name), "StatefulSet", "producer")["spec"]["replicas"]
    settings, variables = mounted_list(name, tmp_path)
    lists = [
        load_list(
            settings.model_copy(
                update={"shard": Shard.parse(shard.replace("$(POD_INDEX)", str(i)))}
            ),
            [],
            variables,
        )
        for i in range(replicas)
    ]
    assert [each.shard for each in lists] == [Shard(i, replicas) for i in range(replicas)]
    ids = [camera.id for each in lists for camera in each.cameras]
    assert sorted(ids) == sorted(lists[0].ids)
    assert ids


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_changed_list_restarts_no_pod_and_is_where_the_settings_look(name: str) -> None:
    names = {each["metadata"]["name"] for each in overlay(name) if each["kind"] == "ConfigMap"}
    assert names >= {"cameras", "camera-shards"}, "no hash, which the pods' template would repeat"
    mounts = {
        mount["name"]: mount["mountPath"]
        for mount in container(overlay(name), "StatefulSet", "producer")["volumeMounts"]
        if "subPath" not in mount  # such a mount never changes
    }
    given = settings_of(name, "producer")
    assert given["PRODUCER_CONFIG"] == mounts["cameras"]
    assert given["PRODUCER_CREDENTIALS"] == mounts["credentials"]


def test_a_list_beyond_one_config_map_is_one_source_more_as_the_page_says(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "operate" / "deploy.md").read_text()
    (patch,) = re.findall(r"^ *- \{op: add, path: \S*projected\S*, value: .*\}$", page, re.M)
    production = K8S / "overlays" / "production"
    shutil.copytree(K8S.parent.parent / "deploy", tmp_path / "deploy")
    folder = tmp_path / "deploy" / "k8s" / "overlays" / "large"
    folder.mkdir()
    (folder / "south.yaml").write_text("cameras: [{id: south, url: 'test:'}]\n")
    (folder / "kustomization.yaml").write_text(
        f"resources: [../{production.name}]\n"
        "configMapGenerator:\n"
        "  - {name: cameras-2, files: [south.yaml], options: {disableNameSuffixHash: true}}\n"
        "patches:\n"
        f"  - target: {{kind: StatefulSet, name: producer}}\n    patch: |-\n      {patch.strip()}\n"
    )
    spec = find(build(folder), "StatefulSet", "producer")["spec"]["template"]["spec"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "cameras"]
    assert [each["configMap"]["name"] for each in volume["projected"]["sources"]] == [
        "cameras", "camera-shards", "cameras-2"
    ]  # fmt: skip


def test_the_training_is_set_with_real_settings() -> None:
    component = K8S / "components" / "train"
    given = dict(
        line.split("=", 1)
        for line in (component / "settings.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    for name in given:
        assert name.removeprefix("TRAIN_").lower() in TrainSettings.model_fields, name
    recipe = REPOSITORY / "model" / "recipes" / f"{given['TRAIN_RECIPE']}.toml"
    assert recipe.is_file()
    trained = build(REPOSITORY / "tests" / "cluster" / "overlays" / "training")
    only = container(trained, "Job", "train")
    mounts = [mount["mountPath"] for mount in only["volumeMounts"]]
    assert given["TRAIN_DATA"] in mounts
    assert any(given["TRAIN_OUT"].startswith(mount) for mount in mounts)
    worker = container(trained, "Deployment", "worker")
    (models,) = [m for m in worker["volumeMounts"] if m["name"] == "models"]
    assert models["readOnly"] is True
    assert f"--store {models['mountPath']} " in only["args"][0]


def test_our_images_are_targets_of_the_dockerfile_with_the_projects_version() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    dockerfile = DOCKERFILE.read_text()
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.M))
    assert f'version="{project["version"]}"' in dockerfile
    for name in OVERLAYS:
        for workload, spec in pods(overlay(name)):
            image, _, tag = spec["containers"][0]["image"].rpartition(":")
            if "seedstream/" not in image:
                continue
            target = (
                image.rpartition("/")[2].replace("worker", "worker-cpu").replace("cpu-gpu", "gpu")
            )
            assert target in targets, f"{workload}: {image}"
            assert tag == project["version"], f"{workload}: {tag}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_and_selectors_find_their_pods(name: str) -> None:
    objects = overlay(name)
    templates = [
        each["spec"]["template"]
        for each in objects
        if each["kind"] in ("Deployment", "StatefulSet")
    ]
    for each in objects:
        if each["kind"] != "Service":
            continue
        chosen = [
            t
            for t in templates
            if each["spec"]["selector"].items() <= t["metadata"]["labels"].items()
        ]
        assert len(chosen) == 1, each["metadata"]["name"]
        ports = [p["name"] for c in chosen[0]["spec"]["containers"] for p in c["ports"]]
        assert {p["targetPort"] for p in each["spec"]["ports"]} <= set(ports)


def test_what_kafka_tells_its_clients_is_found_from_every_namespace() -> None:
    properties = find(overlay("local"), "ConfigMap", "kafka-settings")["data"]["server.properties"]
    assert "advertised.listeners=CLIENTS://kafka.seedstream.svc:9092\n" in properties
    # KEDA, too, which takes the address from the workers and asks from a namespace of its own.
    assert settings_of("local", "worker")["WORKER_BOOTSTRAP_SERVERS"] == "kafka.seedstream.svc:9092"
    component = yaml.safe_load((K8S / "components" / "keda" / "scaledobject.yaml").read_text())
    _, offered = (trigger["metadata"] for trigger in component["spec"]["triggers"])
    assert offered["serverAddress"] == "http://prometheus.seedstream.svc:9090"
