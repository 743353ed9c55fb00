"""The site, as `make site` builds it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

BUILDER = Path(sys.prefix) / "docs" / "bin" / "mkdocs"


def build_site(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    if not BUILDER.exists():
        pytest.skip(f"no builder of the site at {BUILDER}: `make site` installs it")
    return subprocess.run(
        [BUILDER, "build", "--strict", "--config-file", config, "--site-dir", out],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


def test_the_site_builds_with_every_link_and_name_found(tmp_path: Path) -> None:
    done = build_site(REPOSITORY / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.html")}
    for page in (REPOSITORY / "docs").rglob("*.md"):
        assert page.relative_to(REPOSITORY / "docs").with_suffix(".html").as_posix() in built
    assert {"develop/contributing.html", "develop/changelog.html", "operate/manifests.html"} < built
    api = (tmp_path / "reference" / "python-api.html").read_text()
    assert 'id="segmentation.open_segmenter"' in api


@pytest.mark.parametrize("link", ["stack.md#no-such-part", "no-such-page.md"])
def test_a_link_of_the_site_that_leads_nowhere_is_refused(link: str, tmp_path: Path) -> None:
    for name in ("docs", "deploy"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    for name in ("mkdocs.yml", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    for package in {path.parent for path in REPOSITORY.glob("*/__init__.py")}:
        (tmp_path / package.name).symlink_to(package)
    page = tmp_path / "docs" / "start" / "stack.md"
    page.write_text(f"{page.read_text()}\n[nowhere]({link})\n")
    done = build_site(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode != 0
    assert link in done.stderr
