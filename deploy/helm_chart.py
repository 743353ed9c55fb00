"""Write the parts of the Helm chart that are the manifests' (deploy/k8s): they cannot drift apart.

    python -m deploy.helm_chart

The chart's ``files/`` are copies of the manifests, to the letter, which its templates change by
the values; settings become YAML. ``deploy/helm/values-*.yaml`` say what the overlays say. Needs
kubectl.
"""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
K8S = REPOSITORY / "deploy" / "k8s"
HELM = REPOSITORY / "deploy" / "helm"
CHART = HELM / "seedstream"
COMPONENTS = ("gpu", "kafka-dev", "keda", "monitoring", "redis-dev")
"""Components that the chart has; `tls` and `sasl` are a few lines of its templates."""

LANES = ("second-site", "shadow")
"""Overlays that stand upon `production`."""

PREFIXES = {"producer": "PRODUCER_", "viewer": "VIEW_", "worker": "WORKER_"}
"""The processes, and what their settings begin with."""

_OTHER = {"kustomization.yaml", "cameras.yaml", "namespace.yaml"}
_HEAD = "# Written by `python -m deploy.helm_chart` from deploy/k8s/{}; change that.\n"

Object = dict[str, Any]


def build(folder: Path) -> list[Object]:
    """Return the objects that kustomize makes of a folder."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=True
    )
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def files() -> dict[Path, str]:
    """Return all that is written, with its text."""
    found = dict(_copies())
    for process in PREFIXES:
        source = f"base/{process}/settings.env"
        found[CHART / "files" / "settings" / f"{process}.yaml"] = _HEAD.format(source) + as_yaml(
            (K8S / source).read_text()
        )
    for component in ("gpu", "tls", "sasl"):
        for process, literals in _literals(component).items():
            text = _HEAD.format(f"components/{component}") + as_yaml("\n".join(literals))
            found[CHART / "files" / "settings" / f"{process}-{component}.yaml"] = text
    found.update(_keda_by_password())
    cameras = _HEAD.format("base/producer/cameras.yaml")
    found[CHART / "files" / "cameras.yaml"] = (
        cameras + (K8S / "base" / "producer" / "cameras.yaml").read_text()
    )
    found.update(_shards())
    said = {"local": local_values(), "production": production_values()}
    said |= {name: lane_values(name) for name in LANES}
    for name, values in said.items():
        head = f"# What deploy/k8s/overlays/{name} says, by `python -m deploy.helm_chart`.\n"
        if name in LANES:
            head += "# Over values-production.yaml, in a release of its own.\n"
        found[HELM / f"values-{name}.yaml"] = head + yaml.safe_dump(
            values, sort_keys=False, width=120, allow_unicode=True
        )
    found[CHART / "README.md"] = _readme()
    return found


def _shards() -> Iterator[tuple[Path, str]]:
    """Yield how many producers share the cameras, where that is a ConfigMap of its own."""
    text = (K8S / "base" / "producer" / "kustomization.yaml").read_text()
    for each in yaml.safe_load(text)["configMapGenerator"]:
        if each["name"] == "camera-shards":
            (literal,) = each["literals"]
            yield CHART / "files" / "shards.yaml", literal.partition("=")[2] + "\n"


def _copies() -> Iterator[tuple[Path, str]]:
    for folder in ("base", *(f"components/{name}" for name in COMPONENTS)):
        for source in sorted((K8S / folder).rglob("*")):
            if source.is_file() and source.name not in _OTHER and _is_of_the_chart(source):
                yield CHART / "files" / source.relative_to(K8S), source.read_text()
    for source in sorted((K8S / "overlays" / "production" / "networks").glob("*.yaml")):
        if source.name not in _OTHER and not _is_patch(source):
            yield CHART / "files" / "networks" / source.name, source.read_text()


def _is_of_the_chart(file: Path) -> bool:
    """Return whether a file is an object, or the configuration of a server."""
    if file.suffix == ".yaml":
        content = yaml.safe_load(file.read_text())
        return isinstance(content, dict) and "kind" in content
    return file.suffix != ".env"


def _is_patch(file: Path) -> bool:
    kustomization = yaml.safe_load((file.parent / "kustomization.yaml").read_text())
    return file.name not in kustomization["resources"]


def _literals(component: str) -> dict[str, list[str]]:
    """Return the settings that a component gives each process."""
    text = (K8S / "components" / component / "kustomization.yaml").read_text()
    return {
        each["name"].removesuffix("-settings"): each["literals"]
        for each in yaml.safe_load(text)["configMapGenerator"]
        if each["name"].endswith("-settings")
    }


def _keda_by_password() -> Iterator[tuple[Path, str]]:
    """Yield what the component ``sasl`` tells KEDA."""
    source = "components/sasl/kustomization.yaml"
    component = yaml.safe_load((K8S / source).read_text())
    (patch,) = component["patches"]
    (replaced,) = yaml.safe_load(patch["patch"])
    words = "\n".join(component["configMapGenerator"][-1]["literals"])
    folder, head = CHART / "files" / "sasl", _HEAD.format(source)
    yield folder / "authentication.yaml", head + yaml.safe_dump(replaced["value"], sort_keys=False)
    yield folder / "words.yaml", head + as_yaml(words)


def as_yaml(environment: str) -> str:
    """Return lines NAME=VALUE as a YAML mapping of strings, comments included."""
    lines = []
    for line in environment.splitlines():
        name, equals, value = line.partition("=")
        comment = line.startswith("#") or not equals
        lines.append(line if comment else f"{name}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def local_values() -> Object:
    """Return the values that say what overlays/local says."""
    built = build(K8S / "overlays" / "local")
    return {
        "namespace": {"create": True},
        "development": {"kafka": True, "redis": True},
        "viewer": {"replicas": _one(built, "Deployment", "viewer")["spec"]["replicas"]},
    }


def production_values() -> Object:
    """Return the values that say what overlays/production says."""
    folder = K8S / "overlays" / "production"
    built, kustomization = (
        build(folder),
        yaml.safe_load((folder / "kustomization.yaml").read_text()),
    )
    servers = environment(folder / "servers" / "servers.env")
    producer = _one(built, "StatefulSet", "producer")["spec"]
    scaled = _one(built, "ScaledObject", "worker")["spec"]
    known = yaml.safe_load((K8S / "components" / "keda" / "scaledobject.yaml").read_text())["spec"]
    cameras = _one(built, "NetworkPolicy", "cameras")["spec"]["egress"]
    words = _one(built, "ConfigMap", "keda-kafka")["data"]
    return {
        "namespace": {"create": True},
        "images": {"registry": _registry(kustomization)},
        "kafka": {"bootstrapServers": servers["WORKER_BOOTSTRAP_SERVERS"]},
        "redis": {
            "url": servers["WORKER_REDIS_URL"],
            "cluster": servers["WORKER_REDIS_CLUSTER"] == "true",
        },
        "tls": {"enabled": True},
        "gpu": {"enabled": True},
        "monitoring": {"enabled": True},
        "networks": {"external": True},
        "autoscaling": {
            "enabled": True,
            "spec": {key: value for key, value in scaled.items() if value != known.get(key)},
            "authentication": _one(built, "TriggerAuthentication", "kafka")["spec"],
            "words": words,
        },
        "producer": {
            "replicas": producer["replicas"],
            "resources": producer["template"]["spec"]["containers"][0]["resources"],
            "cameras": yaml.safe_load((folder / "cameras.yaml").read_text()),
            "settings": environment(folder / "settings" / "producer.env"),
        },
        "viewer": {"settings": environment(folder / "settings" / "viewer.env")},
        "worker": {"settings": environment(folder / "settings" / "worker.env")},
        "patches": {"NetworkPolicy/cameras": {"spec": {"egress": cameras}}},
    }


def lane_values(name: str) -> Object:
    """Return the values that say, over those of production, what the overlay of a lane says."""
    folder = K8S / "overlays" / name
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    suffix = kustomization["nameSuffix"]
    counts = {each["name"]: each["count"] for each in kustomization["replicas"]}
    scaled = _one(build(folder), "ScaledObject", f"worker{suffix}")["spec"]
    first = _one(build(K8S / "overlays" / "production"), "ScaledObject", "worker")["spec"]
    of_the_lane = {"scaleTargetRef", "triggers"}
    spec = {
        key: value
        for key, value in scaled.items()
        if value != first.get(key) and key not in of_the_lane
    }
    cameras = folder / "settings" / "cameras.yaml"
    values: Object = {
        "lane": {
            "suffix": suffix,
            "sameCameras": "../../components/same-cameras" in kustomization["components"],
        },
        "worker": {"settings": environment(folder / "settings" / "worker.env")},
    }
    for process, count in counts.items():
        values[process] = {"replicas": count}
    if cameras.exists():
        values["producer"]["cameras"] = yaml.safe_load(cameras.read_text())
    return values | ({"autoscaling": {"spec": spec}} if spec else {})


def environment(file: Path) -> dict[str, str]:
    """Return the settings of a file of lines NAME=VALUE."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _registry(kustomization: Mapping[str, Any]) -> str:
    (name,) = {each["newName"].rpartition("/seedstream/")[0] for each in kustomization["images"]}
    return str(name)


def _one(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [
        each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)
    ]
    return found


def _readme() -> str:
    """Return the chart's page: what is before the table stays, the table is the schema's."""
    text = (CHART / "README.md").read_text()
    before, _, rest = text.partition("<!-- generated: values -->\n")
    _, _, after = rest.partition("<!-- end -->\n")
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = ["| value | default | meaning |", "|---|---|---|", *_rows(schema, defaults, "")]
    table = "\n".join(rows)
    return f"{before}<!-- generated: values -->\n\n{table}\n\n<!-- end -->\n{after}"


def _rows(schema: Mapping[str, Any], defaults: Any, path: str) -> Iterator[str]:
    for name, each in schema["properties"].items():
        default = defaults[name]
        if "properties" in each and each.get("additionalProperties") is False:
            yield from _rows(each, default, f"{path}{name}.")
        else:
            shown = json.dumps(default) if default != "" else '""'
            yield f"| `{path}{name}` | `{shown}` | {each['description']} |"


def main() -> None:
    """Write what has changed, and remove copies of what is gone."""
    wanted = files()
    for old in (CHART / "files").rglob("*"):
        if old.is_file() and old not in wanted:
            old.unlink()
            print(f"removed {old.relative_to(REPOSITORY)}")
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
