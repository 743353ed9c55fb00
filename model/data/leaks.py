"""Pictures that are learned from and validate: figures measured on them say little."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from model.data.data_set import DataSet

_END_BYTES = 64 * 1024
"""What is compared of files of one size: their first and last bytes."""


def leaked(learned: Iterable[DataSet], validation: DataSet) -> list[tuple[str, str]]:
    """Return the pictures that validate and are learned from too, under whatever name.

    Args:
        learned: What is learned from.
        validation: What validates.

    Returns:
        Names: of the picture that validates, and of the one that is learned from.
    """
    by_size: dict[int, list[tuple[str, Path]]] = defaultdict(list)
    for name, path, size in _pictures(validation):
        by_size[size].append((name, path))
    found: dict[str, str] = {}
    digests: dict[Path, bytes] = {}
    for data in learned:
        for name, path, size in _pictures(data):
            for other, its_path in by_size.get(size, ()):
                if other in found:
                    continue
                if its_path not in digests:
                    digests[its_path] = _digest(its_path, size)
                if digests[its_path] == _digest(path, size):
                    found[other] = name
    return list(found.items())


def describe_leaks(learned: Iterable[DataSet], validation: DataSet) -> list[str]:
    """Return a sentence where pictures that validate are learned from; nothing where none is."""
    found = leaked(learned, validation)
    if not found:
        return []
    held, taught = found[0]
    return [
        f"{len(found)} of {len(validation)} pictures that validate are learned from as well "
        f"(first: {held} is {taught}): figures measured on them flatter the model; take them out "
        "of one part"
    ]


def _pictures(data: DataSet) -> Iterator[tuple[str, Path, int]]:
    """Return name, file and size in bytes of each picture that is there."""
    for index, name in enumerate(data.names):
        path = data.files(index)[0]
        try:
            yield name, path, path.stat().st_size
        except (OSError, ValueError):
            continue  # told where it is read


def _digest(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            first = file.read(_END_BYTES)
            file.seek(max(0, size - _END_BYTES))
            return hashlib.sha256(first + file.read(_END_BYTES)).digest()
    except OSError:
        return str(path).encode()  # equal to no other
