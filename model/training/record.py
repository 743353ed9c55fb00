"""The record of a run: ``run.json`` for settings and results, ``log.jsonl`` for the curve."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from contract.errors import ConfigurationError

RECORD = "run.json"
LOG = "log.jsonl"


def describe_run() -> dict[str, Any]:
    """Return command, commit, versions and hardware."""
    cuda = torch.cuda.is_available()
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "commit": _commit(),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "seedstream": metadata.version("seedstream"),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "hardware": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "accelerator": torch.cuda.get_device_name() if cuda else None,
        },
    }


class Record:
    """Keeps ``run.json``; every change is written at once, beside and then in place."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORD
        self.values: dict[str, Any] = {}
        if self.path.exists():
            try:
                self.values = json.loads(self.path.read_text())
            except ValueError as error:
                raise ConfigurationError(
                    f"{self.path}: not the record of a run: {error}; choose another --out or "
                    "remove the folder"
                ) from error

    def update(self, **values: Any) -> None:
        """Set values and write the file."""
        self.values |= values
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.values, indent=2) + "\n")
        partial.replace(self.path)


class Log:
    """Appends to ``log.jsonl``; what an earlier attempt wrote from ``step`` on is dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / LOG
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        kept = [line for line in lines if _is_before(line, step)]
        self._path.write_text("".join(f"{line}\n" for line in kept))

    def write(self, **values: Any) -> None:
        """Append a line."""
        with self._path.open("a") as file:
            file.write(json.dumps(values) + "\n")


def _is_before(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) < step
    except (ValueError, KeyError, TypeError):  # half a line of a killed run
        return False


def _commit() -> str:
    here = Path(__file__).parent
    commands = (["git", "rev-parse", "HEAD"], ["git", "status", "--porcelain", "-uno"])
    try:
        commit, changes = (
            subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)
            for command in commands
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    if commit.returncode:
        return "unknown"
    return commit.stdout.strip() + (" with local changes" if changes.stdout.strip() else "")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "")
