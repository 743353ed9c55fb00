"""Whatever kustomize a user has: the same objects, in which the user's settings have arrived."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import K8S, OVERLAYS, REPOSITORY, Object, build, find, pods

VERSIONS = ("5.0.3", "5.8.1")
"""Before and after components moved behind an overlay's generators (5.1); kubectl has a third."""

FOLDERS = [K8S / "overlays" / name for name in OVERLAYS]
FOLDERS += sorted((REPOSITORY / "tests" / "cluster" / "overlays").iterdir())
PRODUCTION = K8S / "overlays" / "production"
PROCESSES = ("producer", "viewer", "worker")


def by_name(objects: tuple[Object, ...]) -> dict[tuple[str, str], Object]:
    """The objects by kind and name."""
    return {(each["kind"], each["metadata"]["name"]): each for each in objects}


def given(file: Path) -> dict[str, str]:
    """The settings of a file."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def arrived(objects: tuple[Object, ...]) -> dict[str, str]:
    """The settings of all processes, from those ConfigMaps that their pods take."""
    found: dict[str, str] = {}
    for process in PROCESSES:
        settings = find(objects, "ConfigMap", f"{process}-settings")
        taken = [
            source["configMapRef"]["name"]
            for name, spec in pods(objects)
            if name.endswith(f"/{process}")
            for source in spec["containers"][0]["envFrom"]
            if "configMapRef" in source
        ]
        assert taken == [settings["metadata"]["name"]]
        found |= settings["data"]
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_kustomize_builds_the_same_objects(version: str, folder: Path) -> None:
    assert by_name(build(folder, version)) == by_name(build(folder))


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_every_key_of_every_settings_file_arrives(version: str | None) -> None:
    files = [PRODUCTION / "servers" / "servers.env", *(PRODUCTION / "settings").glob("*.env")]
    assert len(files) == 4
    seen = arrived(build(PRODUCTION, version))
    for file in files:
        wanted = given(file)
        assert {name: seen.get(name) for name in wanted} == wanted, file
    assert seen["VIEW_BOOTSTRAP_SERVERS"] == seen["WORKER_BOOTSTRAP_SERVERS"]
    assert seen["PRODUCER_BOOTSTRAP_SERVERS"] == seen["WORKER_BOOTSTRAP_SERVERS"]


@pytest.mark.parametrize("version", [None, *VERSIONS])
def test_what_a_user_writes_wins_over_every_component(version: str | None, tmp_path: Path) -> None:
    """Every setting that base or components give is given otherwise, with the components of all."""
    shutil.copytree(K8S.parent, tmp_path / "deploy")
    folder = tmp_path / "deploy" / "k8s" / "overlays" / "production"
    theirs = arrived(build(PRODUCTION))
    wanted = {name: f"mine {value}" for name, value in theirs.items()}
    wanted |= {"WORKER_SECURITY_PROTOCOL": "SASL_SSL", "WORKER_SSL_CERTFILE": ""}
    for process in PROCESSES:
        prefix = "VIEW_" if process == "viewer" else f"{process.upper()}_"
        lines = [f"{name}={value}\n" for name, value in wanted.items() if name.startswith(prefix)]
        (folder / "settings" / f"{process}.env").write_text("".join(lines))
    assert len(wanted) > 30
    assert arrived(build(folder, version)) == wanted


def test_the_settings_come_after_all_other_components() -> None:
    kustomization = yaml.safe_load((PRODUCTION / "kustomization.yaml").read_text())
    # But for what copies from the settings, and sets nothing of its own.
    listed = [each for each in kustomization["components"] if not each.endswith("/lane")]
    assert listed[-2:] == ["servers", "settings"]
