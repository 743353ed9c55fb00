"""One search finds one thing: no name of a Python file stands twice in the tree."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

ROOMS = (
    "benchmarks", "contract", "doctor", "media", "model", "producer", "seedstream", "segmentation",
    "servers", "stack", "viewer", "workers",
)  # fmt: skip
ROLES = {"__init__.py", "__main__.py", "app.py", "conftest.py", "metrics.py", "settings.py"}
"""These say which part of a process, or of Python, a file is: the folder says whose."""


def python_files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py") if not path.name.startswith("test_"))


def test_no_file_name_stands_twice() -> None:
    found = defaultdict(list)
    for folder in (*ROOMS, "tests"):
        for path in python_files(REPOSITORY / folder):
            found[path.name].append(str(path.relative_to(REPOSITORY)))
    twice = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert {name: paths for name, paths in twice.items() if name not in ROLES} == {}
