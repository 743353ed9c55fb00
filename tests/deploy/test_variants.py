"""Components for other clusters, upon production as docs/operate/variants.md has them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from contract.settings import load_settings
from tests.deploy.manifests import K8S, REPOSITORY, Object, build, find, overlay, pods
from tests.deploy.network import End, allowed
from tests.deploy.test_network import camera, pod, producer, worker
from tests.deploy.test_schemas import keda_schemas  # noqa: F401 - a fixture
from workers.settings import WorkerSettings

VARIANTS = (
    "cilium", "gitops", "nvidia-runtime", "openshift", "rtp-over-udp", "sasl", "strimzi",
)  # fmt: skip
WITHOUT_SCHEMA = {
    "CiliumNetworkPolicy", "PodMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication",
}  # fmt: skip

TRIGGER = "TriggerAuthentication"

Variant = Callable[..., tuple[Object, ...]]


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Variant:
    """Build the production overlay with other components.

    They come behind ``networks``, which states the addresses, and before ``servers``; instead of
    ``tls`` if one is named so.
    """
    tree = tmp_path_factory.mktemp("variants")
    shutil.copytree(K8S.parent, tree / "deploy")
    folder = tree / "deploy" / "k8s" / "overlays"

    def made(*components: str, instead_of_tls: str | None = None) -> tuple[Object, ...]:
        mine = folder / "-".join(["variant", *components, instead_of_tls or ""])
        if mine.exists():
            return build(mine)
        shutil.copytree(folder / "production", mine)
        file = mine / "kustomization.yaml"
        text = file.read_text()
        listed = "".join(f"  - ../../components/{each}\n" for each in components)
        assert "  - servers\n" in text
        text = text.replace("  - servers\n", f"{listed}  - servers\n")
        if instead_of_tls:
            text = text.replace("components/tls\n", f"components/{instead_of_tls}\n")
        file.write_text(text)
        return build(mine)

    return made


def settings_of(objects: tuple[Object, ...], process: str) -> dict[str, str]:
    return dict(find(objects, "ConfigMap", f"{process}-settings")["data"])


def policies(objects: tuple[Object, ...]) -> list[Any]:
    return [each for each in objects if each["kind"] == "NetworkPolicy"]


def test_the_page_of_the_variants_names_each() -> None:
    page = (REPOSITORY / "docs" / "operate" / "variants.md").read_text()
    for name in VARIANTS:
        assert (K8S / "components" / name / "kustomization.yaml").is_file()
        assert f"`{name}`" in page


@pytest.mark.parametrize("name", VARIANTS)
def test_every_object_that_a_variant_changes_fits_its_schema(variant: Variant, name: str) -> None:
    tls = "strimzi" if name == "strimzi" else None
    known = overlay("production")
    changed = [o for o in variant(*([] if tls else [name]), instead_of_tls=tls) if o not in known]
    assert changed
    for each in changed:
        if each["kind"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(each, "1.34", strict=True)


@pytest.mark.parametrize("name", ["sasl", "strimzi"])
def test_what_keda_is_told_fits_its_schema(
    variant: Variant,
    keda_schemas: dict[str, Any],  # noqa: F811
    name: str,
) -> None:
    tls = "strimzi" if name == "strimzi" else None
    told = find(variant(*([] if tls else [name]), instead_of_tls=tls), TRIGGER, "kafka")
    schema = dict(keda_schemas[TRIGGER])
    schema["properties"] = {**schema["properties"], "metadata": {"type": "object"}}
    jsonschema.validate(told, schema)


def test_openshift_chooses_the_users(variant: Variant) -> None:
    objects = variant("train", "openshift")
    seen = [name for name, _ in pods(objects)]
    assert {"Deployment/worker", "StatefulSet/producer", "Job/train"} <= set(seen)
    for _, spec in pods(objects):
        assert spec["securityContext"] == {
            "runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"},
        }  # fmt: skip


def test_rtp_over_udp_passes_between_cameras_and_producers_alone(variant: Variant) -> None:
    plain, udp = policies(overlay("production")), policies(variant("rtp-over-udp"))
    assert not allowed(plain, producer, camera, 40_000, udp=True)
    assert allowed(udp, producer, camera, 40_000, udp=True)
    assert allowed(udp, camera, producer, 40_000, udp=True)
    assert not allowed(udp, producer, camera, 40_000)
    assert not allowed(udp, producer, camera, 123, udp=True)
    for each in (worker, End({"app": "database"}, "default")):
        assert not allowed(udp, producer, each, 40_000, udp=True)
    assert not allowed(udp, worker, camera, 40_000, udp=True)


def test_sasl_reaches_every_process_and_the_autoscaler(
    variant: Variant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    objects = variant("sasl")
    for process, prefix in (("worker", "WORKER"), ("producer", "PRODUCER"), ("viewer", "VIEW")):
        given = settings_of(objects, process)
        assert given[f"{prefix}_SECURITY_PROTOCOL"] == "SASL_SSL"
        assert given[f"{prefix}_SSL_CERTFILE"] == given[f"{prefix}_SSL_KEYFILE"] == ""
    authority, model = tmp_path / "ca.crt", tmp_path / "model.onnx"
    authority.touch()
    model.touch()
    for name, value in settings_of(objects, "worker").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WORKER_SASL_USERNAME", "worker")
    monkeypatch.setenv("WORKER_SASL_PASSWORD", "secret")
    loaded = load_settings(WorkerSettings, ssl_cafile=authority, model=model)
    assert loaded.ssl_certfile is loaded.ssl_keyfile is None
    asked = find(objects, "TriggerAuthentication", "kafka")["spec"]
    assert {each["parameter"] for each in asked["secretTargetRef"]} == {
        "ca", "username", "password",
    }  # fmt: skip
    words = find(objects, "ConfigMap", "keda-kafka-sasl")["data"]
    named = {(each["name"], each["parameter"]) for each in asked["configMapTargetRef"]}
    assert named == {("keda-kafka-sasl", each) for each in words}
    assert words["sasl"].replace("_", "").upper() == loaded.sasl_mechanism.replace("-", "")


def test_strimzi_s_secrets_lie_where_the_settings_look(variant: Variant) -> None:
    objects = variant(instead_of_tls="strimzi")
    for kind, process in (
        ("Deployment", "worker"), ("StatefulSet", "producer"), ("Deployment", "viewer"),
    ):  # fmt: skip
        spec = find(objects, kind, process)["spec"]["template"]["spec"]
        (volume,) = [each for each in spec["volumes"] if each["name"] == "tls"]
        assert set(volume) == {"name", "projected"}
        secrets = [each["secret"] for each in volume["projected"]["sources"]]
        assert all(each["optional"] for each in secrets), "a pod that misses one could not say so"
        files = {
            item["path"]: (each["name"], item["key"]) for each in secrets for item in each["items"]
        }
        assert files == {
            "ca.crt": ("kafka-cluster-ca-cert", "ca.crt"),
            "tls.crt": (f"seedstream-{process}", "user.crt"),
            "tls.key": (f"seedstream-{process}", "user.key"),
            "redis-ca.crt": ("redis-ca", "ca.crt"),
        }
        (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "tls"]
        prefix = "VIEW" if process == "viewer" else process.upper()
        given = settings_of(objects, process)
        for name in ("CAFILE", "CERTFILE", "KEYFILE"):
            path = Path(given[f"{prefix}_SSL_{name}"])
            assert str(path.parent) == mount["mountPath"]
            assert path.name in files
    broker = End({"strimzi.io/kind": "Kafka"}, "kafka", address="10.244.9.9")
    assert allowed(policies(objects), worker, broker, 9093)
    assert not allowed(policies(objects), pod("trainer"), broker, 9093)


def test_what_pruning_must_leave_is_marked(variant: Variant) -> None:
    objects = variant("gitops")
    marked = [each for each in objects if each["kind"] == "ConfigMap"]
    assert len(marked) >= 4
    for each in marked:
        assert each["metadata"]["annotations"] == {
            "argocd.argoproj.io/sync-options": "PruneLast=true",
            "kustomize.toolkit.fluxcd.io/prune": "disabled",
            "kustomize.toolkit.fluxcd.io/substitute": "disabled",
        }


def test_gpus_under_nvidia_s_runtime(variant: Variant) -> None:
    assert "runtimeClassName" not in str(overlay("production"))
    classes = {name: spec.get("runtimeClassName") for name, spec in pods(variant("nvidia-runtime"))}
    assert classes.pop("Deployment/worker") == "nvidia"
    assert set(classes.values()) == {None}


def test_cilium_lets_through_what_answers_on_nodes(variant: Variant) -> None:
    found = {
        each["metadata"]["name"]: each["spec"]
        for each in variant("cilium")
        if each["kind"] == "CiliumNetworkPolicy"
    }
    assert set(found) == {"dns-on-nodes", "prometheus-to-api-server"}
    (rule,) = found["dns-on-nodes"]["egress"]
    assert rule["toEntities"] == ["host", "remote-node"]
    assert {each["port"] for each in rule["toPorts"][0]["ports"]} == {"53"}
