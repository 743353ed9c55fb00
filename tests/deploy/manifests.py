"""What `kubectl apply -k` would send, parsed."""

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent.parent
K8S = REPOSITORY / "deploy" / "k8s"
LANES = ("second-site", "shadow")
"""Overlays that add a lane to `production`."""

OVERLAYS = sorted(f.name for f in (K8S / "overlays").iterdir() if f.name not in LANES)
"""Overlays that are a whole installation."""

COMPONENTS = sorted(folder.name for folder in (K8S / "components").iterdir())
TESTED = sorted(f.name for f in (REPOSITORY / "tests" / "cluster" / "overlays").iterdir())

Object = dict[str, Any]


@functools.cache
def tool(name: str) -> Path:
    """Return a program of `tools.sh`, which builds it where it has not been built yet."""
    if shutil.which("go") is None:
        pytest.skip(f"no Go on this machine, which builds {name} (tests/deploy/tools.sh)")
    done = subprocess.run(
        [REPOSITORY / "tests" / "deploy" / "tools.sh", name],
        capture_output=True, text=True, check=False, timeout=850,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


@functools.cache
def build(folder: Path, version: str | None = None) -> tuple[Object, ...]:
    """Return the objects of a folder with a kustomization.

    Args:
        folder: The folder.
        version: Release of kustomize; None takes kubectl's own.
    """
    if version is not None:
        command = [str(tool(f"kustomize-{version}")), "build"]
    elif shutil.which("kubectl") is not None:
        command = ["kubectl", "kustomize"]
    else:
        pytest.skip("no kubectl, 1.27 or later: it builds overlays", allow_module_level=True)
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(each for each in yaml.safe_load_all(done.stdout) if each)


def overlay(name: str) -> tuple[Object, ...]:
    """Return the objects of an overlay."""
    return build(K8S / "overlays" / name)


def everything() -> Iterator[tuple[str, Object]]:
    """Every object of every overlay, ours and those of the cluster's tests."""
    for name in (*OVERLAYS, *LANES):
        for each in overlay(name):
            yield f"{name}/{each['kind']}/{each['metadata']['name']}", each
    for name in TESTED:
        for each in build(REPOSITORY / "tests" / "cluster" / "overlays" / name):
            yield f"{name}/{each['kind']}/{each['metadata']['name']}", each


def find(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """Return the one object of a kind whose name is ``name``, or that and a hash."""
    found = [
        each
        for each in objects
        if each["kind"] == kind
        and (
            each["metadata"]["name"] == name or each["metadata"]["name"].rpartition("-")[0] == name
        )
    ]
    assert len(found) == 1, f"{kind}/{name}: {len(found)} of them"
    return found[0]


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """The pod specification of each workload, with its name."""
    for each in objects:
        name = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield name, each["spec"]
        elif each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield name, each["spec"]["template"]["spec"]


def container(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """Return the only container of a workload."""
    (only,) = find(objects, kind, name)["spec"]["template"]["spec"]["containers"]
    return dict(only)
