"""What a scanner of other people's making finds in the manifests and the Dockerfile."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

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
WORSE = "worse"
"""Name of a file with a container that the scanner must find."""

OF_THE_TESTS = {"Pod/looker", "Deployment/camera", "Job/topic-few"}


class Found(NamedTuple):
    """A check that did not pass, on which object of which file."""

    check: str
    resource: str
    file: str


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """What the scanner finds, in one run: it takes far longer to start than to look."""
    if not CHECKOV.exists():
        pytest.skip("no checkov here: `make setup` installs it into an environment of its own")
    folder = tmp_path_factory.mktemp("scan")
    built = [build(each) for each in FOLDERS]
    worse = json.loads(json.dumps(built[0]))
    worker = next(
        o for o in worse if (o["kind"], o["metadata"]["name"]) == ("Deployment", "worker")
    )
    worker["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = True
    files = [DOCKERFILE]
    for name, objects in [*((str(n), each) for n, each in enumerate(built)), (WORSE, worse)]:
        files.append(folder / f"{name}.yaml")
        files[-1].write_text(yaml.safe_dump_all(objects))
    named = [word for file in files for word in ("-f", str(file))]
    command = [CHECKOV, *named, "--framework", "kubernetes", "dockerfile", "-o", "json"]
    done = subprocess.run(
        [*command, "--skip-download"], capture_output=True, text=True, check=False, timeout=170
    )
    reports = {each["check_type"]: each for each in json.loads(done.stdout)}
    assert not any(each["results"]["parsing_errors"] for each in reports.values())
    assert reports["kubernetes"]["summary"]["passed"] > 100 * len(built)
    assert reports["dockerfile"]["summary"]["passed"] > 100
    return [
        Found(each["check_id"], each["resource"], Path(each["file_path"]).stem)
        for report in reports.values()
        for each in report["results"]["failed_checks"]
    ]


def test_the_scanner_finds_what_is_explained_and_nothing_else(found: list[Found]) -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for check, resource, file in found:
        if file == DOCKERFILE.stem:
            seen[check].add(str(DOCKERFILE.relative_to(REPOSITORY)))
        elif file != WORSE:
            kind, _, name = resource.split(".")[:3]
            if f"{kind}/{name}" not in OF_THE_TESTS:
                seen[check].add(f"{kind}/{name}")
    assert dict(seen) == {check: set(each["found"]) for check, each in EXCEPTIONS.items()}


def test_the_scanner_sees_what_should_not_be(found: list[Found]) -> None:
    assert Found("CKV_K8S_16", "Deployment.seedstream.worker", WORSE) in found


@pytest.mark.parametrize("check", EXCEPTIONS)
def test_an_exception_says_why(check: str) -> None:
    assert set(EXCEPTIONS[check]) == {"check", "why", "found"}
    assert len(EXCEPTIONS[check]["why"].split()) > 10


def test_the_bases_of_the_images_have_a_version() -> None:
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)", DOCKERFILE.read_text(), re.M)
    assert bases
    for base in bases:
        assert re.search(r":\d+\.\d+\.\d+", base), base
