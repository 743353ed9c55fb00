"""What a result must say about where it was measured."""

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS_VARIABLE = "SEEDSTREAM_BENCHMARK_RESULTS"


def results_folder(named: str) -> Path:
    """Return the folder that was named for results, made if need be: before anything is measured.

    Raises:
        SystemExit: It can be neither made nor written into.
    """
    folder = Path(named)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"{RESULTS_VARIABLE} is {folder}: {error}; name a folder") from error
    if not os.access(folder, os.W_OK):
        raise SystemExit(f"{RESULTS_VARIABLE} is {folder}, which cannot be written: name another")
    return folder


RESULTS = (
    results_folder(os.environ[RESULTS_VARIABLE])
    if os.environ.get(RESULTS_VARIABLE)
    else ROOT / "benchmarks" / "results"
)
"""Where result files go: beside the benchmarks, or where the environment says."""

_PACKAGES = (
    "av",
    "kafka-python",
    "numba",
    "numpy",
    "onnxruntime",
    "opencv-python-headless",
    "redis",
    "simplejpeg",
)


def result_file(text: str) -> Path:
    """Return the file that a result goes to, for argparse: asked before anything is measured.

    Raises:
        argparse.ArgumentTypeError: No file can be written there.
    """
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder, expected a file in one: name it")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}: make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} cannot be written: choose another place")
    return path


def describe() -> dict[str, object]:
    """Return command, commit, versions, hardware and time of a measurement."""
    return {
        "command": " ".join(["python", *map(_relative, sys.orig_argv[1:])]),
        "commit": _git("describe", "--always", "--dirty", "--abbrev=10"),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _relative(argument: str) -> str:
    path = Path(argument)
    inside = path.is_absolute() and path.is_relative_to(ROOT)
    return str(path.relative_to(ROOT)) if inside else argument


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?")
