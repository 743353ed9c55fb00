"""What the Dockerfile copies is let into the build, and what builds anew sees a change of it."""

import re

from tests.cluster.proof import READ
from tests.conftest import REPOSITORY

DOCKERFILE = (REPOSITORY / "deploy" / "images" / "Dockerfile").read_text()


def copied() -> set[str]:
    """The paths of the repository that the Dockerfile copies."""
    found: set[str] = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = line.split()
        found |= set(sources)
    return found


def covered(path: str, names: set[str]) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in names)


def test_all_that_is_copied_is_there_and_let_in() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert copied() >= {"workers", "servers", "pyproject.toml"}
    assert {path for path in copied() if not (REPOSITORY / path).exists()} == set()
    assert {path for path in copied() if not covered(path, allowed)} == set()


def test_an_image_is_built_anew_when_anything_in_it_changed() -> None:
    script = (REPOSITORY / "tests" / "cluster" / "images.sh").read_text()
    (names,) = re.findall(r"ours_key\(\) .*hash_of (.*)\); }", script)
    assert {path for path in copied() if not covered(path, set(names.split()))} == set()


def test_a_proof_of_the_cluster_ends_when_anything_in_an_image_changes() -> None:
    assert {path for path in copied() if not covered(path, set(READ))} == set()


def test_every_package_that_a_command_needs_is_copied() -> None:
    (names,) = re.findall(
        r"^include = \[(.*)\]$", (REPOSITORY / "pyproject.toml").read_text(), re.MULTILINE
    )
    packages = {name.split(".")[0].rstrip("*") for name in re.findall(r'"(.*?)"', names)}
    assert packages - copied() == set()


def test_images_of_what_runs_online_share_the_layer_of_what_all_need() -> None:
    built_on = re.findall(r"^FROM common AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert built_on == ["producer", "viewer", "worker-cpu", "worker-gpu"]
    for name in built_on:
        stage = DOCKERFILE.partition(f" AS {name}\n")[2].partition("\nFROM ")[0]
        copied = re.findall(r"^COPY --from=(\S+) (\S+) ", stage, re.MULTILINE)
        assert {source for source, _ in copied} == {f"build-{name}"}
        assert copied[-1][1] == "/added/project"
