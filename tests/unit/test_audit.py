"""What an audit of dependencies says: green only where everything was looked up."""

import importlib.util
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "requirements" / "audit.py"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": list(packages), "fixes": []}


CLEAN = {"name": "numpy", "version": "2.4.6", "vulns": []}
SKIPPED = {"name": "redis", "skip_reason": "Dependency not found"}
BROKEN = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}],
}
KNOWN = report(BROKEN)


@pytest.mark.parametrize(
    ("canary", "reports", "code", "expected"),
    [
        (KNOWN, {"a": report(CLEAN)}, 0, "1 packages, no known vulnerability"),
        (KNOWN, {"a": report(CLEAN, BROKEN)}, 1, "a: jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1"),
        (KNOWN, {"a": report(CLEAN, SKIPPED)}, 3, "NOT AUDITED: 1 of 2 packages"),
        (KNOWN, {"a": report(CLEAN), "b": "it timed out"}, 3, "b: it timed out"),
        (KNOWN, {"a": report()}, 3, "NOT AUDITED"),
        (report(SKIPPED), {}, 3, "NOT AUDITED: the vulnerability service cannot be asked"),
        ("no network", {}, 3, "no network"),
        (report(CLEAN), {}, 3, "it knows nothing against jinja2==2.10"),
    ],
)
def test_only_what_was_looked_up_counts(
    audit: ModuleType, canary: Any, reports: dict[str, Any], code: int, expected: str
) -> None:
    found, lines = audit.verdict(canary, reports)
    assert found == code
    assert any(expected in line for line in lines)


def test_every_file_of_pinned_versions_is_audited(audit: ModuleType) -> None:
    pinned = {path.name for path in (REPOSITORY / "requirements").glob("*.txt")}
    assert set(audit.FILES) == pinned


def test_where_the_program_is_missing_it_says_that_nothing_was_audited() -> None:
    # This environment has no pip-audit: that is in one of its own.
    done = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("NOT AUDITED")
