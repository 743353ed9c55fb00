"""Bills of materials: complete, valid, and the same for the same image."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import REPOSITORY

PYTHON = Path(sys.prefix) / "supply" / "bin" / "python"
SCRIPT = REPOSITORY / "deploy" / "images" / "sbom.py"
STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u10
Description: GNU C Library
 with a continued line: and a colon

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
VALIDATE = """\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(error and str(error))
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def write(tmp_path: Path) -> Run:
    if not PYTHON.exists():
        pytest.skip("no cyclonedx here: `make setup` installs it into an environment of its own")

    def run(root: Path, out: str = "a.json", seed: str = "0") -> "subprocess.CompletedProcess[str]":
        arguments = ["--root", root, "--name", "seedstream/worker", "--out", tmp_path / out]
        return subprocess.run(
            [PYTHON, "-W", "error", SCRIPT, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system like an image's, with this environment's packages."""
    home = tmp_path / "root"
    (home / "var/lib/dpkg").mkdir(parents=True)
    (home / "var/lib/dpkg/status").write_text(STATUS)
    (home / "opt/seedstream/lib/python3.11").mkdir(parents=True)
    (home / "opt/seedstream/pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.13\n")
    packages = home / "opt/seedstream/lib/python3.11/site-packages"
    packages.symlink_to(sysconfig.get_path("purelib"))
    return home


def test_a_bill_lists_debian_s_packages_python_and_ours_and_is_valid_and_reproducible(
    write: Run, root: Path, tmp_path: Path
) -> None:
    for out, seed in (("a.json", "0"), ("b.json", "1")):
        done = write(root, out, seed)
        assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "a.json").read_text()
    assert text == (tmp_path / "b.json").read_text()
    checked = subprocess.run(
        [PYTHON, "-c", VALIDATE],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stderr
    document: dict[str, Any] = json.loads(text)
    assert document["metadata"]["component"]["name"] == "seedstream/worker"
    found = {each["name"]: each for each in document["components"]}
    assert {"seedstream", "kafka-python", "redis", "numpy", "libc6", "cpython"} <= set(found)
    assert "removed" not in found
    assert found["libc6"]["purl"] == "pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=amd64"
    assert found["cpython"]["version"] == "3.11.13"
    assert found["redis"]["licenses"][0]["license"]["id"] == "MIT"
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in document["dependencies"]}
    assert found["redis"]["bom-ref"] in needs[found["seedstream"]["bom-ref"]]
    assert found["libc6"]["bom-ref"] in needs["seedstream/worker"]


def test_an_empty_file_system_gives_no_bill(write: Run, tmp_path: Path) -> None:
    done = write(tmp_path)
    assert done.returncode == 1
    assert "no Python packages below" in done.stderr
    assert not (tmp_path / "a.json").exists()


def test_each_image_of_the_dockerfile_can_have_its_bill() -> None:
    script = (REPOSITORY / "tests" / "cluster" / "images.sh").read_text()
    dockerfile = (REPOSITORY / "deploy" / "images" / "Dockerfile").read_text()
    makefile = (REPOSITORY / "Makefile").read_text()
    for image, target in (("producer", "producer"), ("worker", "worker-cpu"),
                          ("viewer", "viewer"), ("worker-gpu", "worker-gpu"),
                          ("trainer", "trainer")):  # fmt: skip
        assert f" AS {target}\n" in dockerfile
        assert image in makefile.partition("\nsbom:")[2].partition("\n")[0]
    assert "target=${1/%worker/worker-cpu}" in script
