r"""Find the pictures that a COCO file names.

Tools write the path at which they had a picture: ``images\x.png`` on Windows,
``../../media/upload/4/x.png`` on Label Studio's server, ``my%20x.png`` where it was an address.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import msgspec

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS
from model.data import coco_file
from model.data.coco_file import Picture, label_of, same
from model.data.read import ENDINGS
from model.data.shapes import join_faults

_FIRST = 100
"""Pictures that tell which folder it is."""


class PictureFinder:
    """Finds pictures by their names in one annotation file.

    Args:
        path: The annotation file.
        names: All ``file_name`` s.
        folder: Folder that they are in; None looks in the usual ones.

    Raises:
        ConfigurationError: No usual folder holds any of the first pictures.
    """

    def __init__(self, path: Path, names: Sequence[str], folder: Path | None = None) -> None:
        # Two pictures whose paths end alike may not both become the one file that is there.
        endings = Counter(ending for name in names for ending in _endings(name))
        self._shared = {ending for ending, count in endings.items() if count > 1}
        self._folder = folder or self._usual(path, names)

    def find(self, name: str) -> Path:
        """Return a picture's file; where there is none, the path at which it was expected."""
        for spelling in self._spellings(name):
            if is_file(self._folder / spelling):
                return self._folder / spelling
        return self._folder / name

    def _usual(self, path: Path, names: Sequence[str]) -> Path:
        part = path.stem.removeprefix("instances_").removeprefix("panoptic_")
        folders = [
            folder / name
            for folder in places(path)
            for name in (part, f"images/{part}", "images", "data", ".")
        ]
        first = names[:_FIRST]
        for exact in (True, False):
            for folder in folders:
                if any(
                    is_file(folder / spelling)
                    for name in first
                    for spelling in ([name] if exact else self._spellings(name))
                ):
                    return folder
        looked = ", ".join(str(folder) for folder in folders)
        raise ConfigurationError(f"{path}: expected {first[0]} in one of {looked}")

    def _spellings(self, name: str) -> Iterator[str]:
        """Return how a name may be meant, the most literal first."""
        yield name
        yield from (ending for ending in _endings(name) if ending not in self._shared)


def listed(entries: Sequence[msgspec.Raw], path: Path) -> tuple[dict[str, Picture], list[str]]:
    """Read the list of pictures.

    Args:
        entries: The list.
        path: The annotation file, for messages.

    Returns:
        Pictures by their number, as `coco_file.same` writes it; and what is wrong with others.

    Raises:
        ConfigurationError: There is no picture.
    """
    found: dict[str, Picture] = {}
    stems: set[str] = set()
    reasons: list[str] = []
    for raw in entries:
        try:
            entry = coco_file.pictures.decode(raw)
        except JSON_ERRORS as error:
            reasons.append(f"picture {label_of(raw)}: {error}")
            continue
        if same(entry.id) in found or stem(entry.file_name) in stems:
            reasons.append(f"picture {entry.id}, {entry.file_name}, is listed twice; left out")
            continue
        stems.add(stem(entry.file_name))
        found[same(entry.id)] = entry
    if found:
        return found, reasons
    faults = join_faults(reasons)
    none = f"none of its pictures can be used: {faults}" if faults else "lists no pictures"
    raise ConfigurationError(f"{path}: {none}")


def stem(file_name: str) -> str:
    """Return a picture's plain name without its ending."""
    name = plain_name(file_name)
    start, dot, ending = name.rpartition(".")
    return start if dot and f".{ending.lower()}" in ENDINGS else name


def plain_name(name: str) -> str:
    """Return a ``file_name`` with ``/`` between folders and without what leads out of them."""
    if "\\" not in name and ".." not in name and not name.startswith(("/", ".")):
        return name
    parts = PurePosixPath(_posix(name)).parts
    return "/".join(part for part in parts if part not in ("/", "..")) or name


def places(path: Path) -> tuple[Path, ...]:
    """Return where an annotation file's pictures may be: one level up may be another data set."""
    up = path.parent.name.lower() == "annotations"
    return (path.parent, path.parent.parent) if up else (path.parent,)


def is_file(path: Path) -> bool:
    """Whether it is a file; a name that is too long, or a folder that is closed, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _posix(name: str) -> str:
    return name.replace("\\", "/")


def _endings(name: str) -> list[str]:
    """Return a path without its first 0, 1, ... folders, as it is and with %20 for a space."""
    found: dict[str, None] = {}
    for whole in (_posix(name), _posix(unquote(name))):
        parts = [part for part in PurePosixPath(whole).parts if part not in ("/", "..")]
        found |= {"/".join(parts[start:]): None for start in range(len(parts))}
    return list(found)
