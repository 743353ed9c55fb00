"""Whether the cluster's tests have passed before with all that they read as it is now.

A run of all of them that passed leaves a note in the cluster's folder, named by a hash of what was
read. `python -m tests.cluster.proof` says so and exits with 0 where there is one, else with 1.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.machine import DIR

REPOSITORY = Path(__file__).resolve().parent.parent.parent
FORCE = "CLUSTER_FORCE"
"""Set to run the tests all the same."""

READ = (
    # The tests, and the scripts that build the cluster.
    "tests/cluster", ":(glob)tests/*.py", ".ci",
    # The manifests, and the images with all that goes into them.
    "deploy", ".dockerignore", "pyproject.toml", "requirements", "LICENSE", "NOTICE", "README.md",
    "artifacts", "contract", "servers", "media", "segmentation", "tracking", "producer", "workers",
    "model", "viewer", "stack", "doctor", "planner", "seedstream",
)  # fmt: skip


def output(*command: str, folder: Path = REPOSITORY) -> str:
    """Return what a command prints; nothing where it cannot run or fails."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def machine() -> str:
    """Return what else a result depends on: the system, its kernel, and Go's compiler."""
    release = Path("/etc/os-release")
    system = release.read_text() if release.exists() else ""
    kernel = (platform.system(), platform.release(), platform.machine())
    return "\n".join((*kernel, system, output("go", "version")))


def hash_of_what_is_read(folder: Path = REPOSITORY) -> str | None:
    """Return a hash of the content of every file, committed or not; None outside of a checkout."""
    listing = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = output(*listing, "--", *READ, folder=folder)
    if not names:
        return None
    total = hashlib.sha256(machine().encode())
    for name in sorted(set(names.split("\0")) - {""}):
        path = folder / name
        # A file that was deleted, but is still known to git, is not read.
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{name}\0{content}\0{os.access(path, os.X_OK)}\n".encode())
    return total.hexdigest()[:24]


def note_of(key: str) -> Path:
    """Return where the note of a hash is."""
    return DIR / "proved" / key


def record(key: str, text: str) -> None:
    """Note that everything passed."""
    commit = output("git", "describe", "--always", "--dirty", "--exclude=*").strip()
    path = note_of(key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"proved at {commit} {text}\n")


def main() -> int:
    """Say whether it is proved."""
    key = hash_of_what_is_read()
    if key is None or os.environ.get(FORCE) or not note_of(key).exists():
        return 1
    print(
        "tests/cluster: NOT RUN, since nothing that they read has changed since they passed: "
        f"{note_of(key).read_text().strip()}. {FORCE}=1 runs them."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
