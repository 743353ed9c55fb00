"""Ask whether what is pinned has known vulnerabilities; says so where nobody could be asked.

    .venv/supply/bin/python requirements/audit.py

pip-audit exits with 0 for a package that it could not look up. Here only what was looked up counts:
exit codes 0 all of it, nothing known; 1 vulnerabilities; 3 NOT AUDITED. A package with known faults
is asked for first: a service that does not find those cannot be believed.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CANARY = "jinja2==2.10"
FILES = (
    "constraints.txt",
    "cuda.txt",
    "docs.txt",
    "openvino.txt",
    "policy.txt",
    "supply.txt",
    "trackeval.txt",
)
CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 3
SECONDS = 600

Report = dict[str, Any]


def ask(file: Path) -> Report | str:
    """Return pip-audit's report on a file of pinned versions, or why there is none."""
    program = Path(sys.executable).parent / "pip-audit"
    command = [str(program), "--requirement", str(file), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        return dict(json.loads(done.stdout))
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    except ValueError:
        return (done.stderr.strip().splitlines() or ["no answer"])[-1]


def unknown(report: Report | str) -> list[str]:
    """Return what could not be looked up."""
    if isinstance(report, str):
        return [report]
    return [f"{each['name']}: {each['skip_reason']}" for each in _of(report) if "vulns" not in each]


def vulnerable(report: Report | str) -> list[str]:
    """Return the packages with known vulnerabilities, a line each."""
    if isinstance(report, str):
        return []
    return [
        f"{each['name']} {each['version']}: {vulnerability['id']}, fixed in "
        f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
        for each in _of(report)
        for vulnerability in each.get("vulns", ())
    ]


def _of(report: Report) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = report.get("dependencies", [])
    return found


def verdict(canary: Report | str, reports: dict[str, Report | str]) -> tuple[int, list[str]]:
    """Return the exit code, and what to print.

    Args:
        canary: Report on a package that has known vulnerabilities.
        reports: Report by file.
    """
    if not vulnerable(canary):
        why = unknown(canary) or [f"it knows nothing against {CANARY}"]
        return NOT_AUDITED, [
            "NOT AUDITED: the vulnerability service cannot be asked from here", *why
        ]  # fmt: skip
    found = [f"{name}: {line}" for name, each in reports.items() for line in vulnerable(each)]
    missed = [f"{name}: {line}" for name, each in reports.items() for line in unknown(each)]
    counted = sum(len(_of(each)) for each in reports.values() if not isinstance(each, str))
    if found:
        return VULNERABLE, [f"{len(found)} known vulnerabilities", *found, *missed]
    if missed or not counted:
        return NOT_AUDITED, [f"NOT AUDITED: {len(missed)} of {counted} packages", *missed]
    return CLEAN, [f"{counted} packages, no known vulnerability"]


def main() -> int:
    """Audit; return the exit status."""
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "canary.txt"
        file.write_text(f"{CANARY}\n")
        canary = ask(file)
    reports = {name: ask(here / name) for name in FILES} if vulnerable(canary) else {}
    code, lines = verdict(canary, reports)
    print("\n".join(lines), file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
