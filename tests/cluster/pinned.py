"""Print those of the constraints that count for what the image with some extras installs.

    python tests/cluster/pinned.py EXTRA...

Asked in an environment that has all of it, since only installed packages say what they need.
"""

import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CONSTRAINTS = Path(__file__).resolve().parents[2] / "requirements" / "constraints.txt"


def needed(project: str, extras: Iterable[str]) -> set[str]:
    """Return the names of all that a project with extras needs, directly or not."""
    seen: set[tuple[str, str]] = set()
    left = [(project, extra) for extra in ("", *extras)]
    while left:
        name, extra = left.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            listed = requires(name) or []
        except PackageNotFoundError:  # for another platform
            continue
        for requirement in map(Requirement, listed):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                wanted = canonicalize_name(requirement.name)
                left += [(wanted, each) for each in ("", *requirement.extras)]
    return {name for name, _ in seen} - {project}


def main() -> None:
    """Print them in their order."""
    names = needed("seedstream", sys.argv[1:])
    for line in CONSTRAINTS.read_text().splitlines():
        if canonicalize_name(line.partition("==")[0]) in names:
            print(line)


if __name__ == "__main__":
    main()
