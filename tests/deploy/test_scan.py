"""What a scanner of other people's making finds in the manifests and the Dockerfile."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import REPOSITORY, build

CHECKOV = Path(sys.prefix) / "policy" / "bin" / "checkov"
DOCKERFILE = REPOSITORY / "deploy" / "images" / "Dockerfile"
EXCEPTIONS: dict[str, Any] = yaml.safe_load(
    (REPOSITORY / "deploy" / "policy-exceptions.yaml").read_text()
)
# The components that no overlay for users has are in those of the cluster's tests.
FOLDERS = [REPOSITORY / "deploy" / "k8s" / "overlays" / name for name in ("local", "production")]
FOLDERS += [REPOSITORY / "tests" / "cluster" / "overlays" / "training"]
OF_THE_TESTS = {"Pod/looker", "Deployment/camera", "Job/topic-few"}


def scan(framework: str, file: Path) -> tuple[int, list[tuple[str, str]]]:
    """Return how many checks passed, and (check, resource) of those that did not."""
    if not CHECKOV.exists():
        pytest.skip("no checkov here: `make setup` installs it into an environment of its own")
    done = subprocess.run(
        [CHECKOV, "-f", file, "--framework", framework, "-o", "json", "--skip-download"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    report = json.loads(done.stdout)
    assert not report["results"]["parsing_errors"]
    failed = [(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]]
    return report["summary"]["passed"], failed


def test_the_scanner_finds_what_is_explained_and_nothing_else(tmp_path: Path) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for number, folder in enumerate(FOLDERS):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump_all(build(folder)))
        passed, failed = scan("kubernetes", file)
        assert passed > 100
        for check, resource in failed:
            kind, _, name = resource.split(".")[:3]
            if f"{kind}/{name}" not in OF_THE_TESTS:
                found[check].add(f"{kind}/{name}")
    passed, failed = scan("dockerfile", DOCKERFILE)
    assert passed > 100
    for check, _ in failed:
        found[check].add(str(DOCKERFILE.relative_to(REPOSITORY)))
    assert dict(found) == {check: set(each["found"]) for check, each in EXCEPTIONS.items()}


def test_the_scanner_sees_what_should_not_be(tmp_path: Path) -> None:
    objects = json.loads(json.dumps(build(FOLDERS[0])))
    (worker,) = [o for o in objects if o["kind"] == "Deployment"]
    worker["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    (tmp_path / "worse.yaml").write_text(yaml.safe_dump_all(objects))
    _, failed = scan("kubernetes", tmp_path / "worse.yaml")
    assert ("CKV_K8S_16", "Deployment.seedstream.worker") in failed


@pytest.mark.parametrize("check", EXCEPTIONS)
def test_an_exception_says_why(check: str) -> None:
    assert set(EXCEPTIONS[check]) == {"check", "why", "found"}
    assert len(EXCEPTIONS[check]["why"].split()) > 10


def test_the_bases_of_the_images_have_a_version() -> None:
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)", DOCKERFILE.read_text(), re.M)
    assert bases
    for base in bases:
        assert re.search(r":\d+\.\d+\.\d+", base), base
