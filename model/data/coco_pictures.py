r"""Find the pictures that a COCO file names.

Tools write the path at which they had a picture: ``images\x.png`` on Windows,
``../../media/upload/4/x.png`` on Label Studio's server, ``my%20x.png`` where it was an address.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import msgspec

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS
from model.data import coco_file
from model.data.coco_categories import same
from model.data.coco_file import Picture, label_of
from model.data.data_set import BrokenSampleError
from model.data.read import ENDINGS, alike
from model.data.shapes import join_faults

ROBOFLOW = "_annotations.coco.json"
"""Name of the annotation file in each part of Roboflow's export."""

_FIRST = 100
"""Pictures that tell which folder it is."""

_TOLD = 4
"""Names that end alike that are told."""


class PictureFinder:
    """Finds pictures by their names in one annotation file, never outside of the data set's folder.

    Args:
        path: The annotation file.
        names: All ``file_name`` s.
        folder: Folder that they are in; None looks in the usual ones.
        root: Folder of the whole data set; None where the annotation file alone was named.

    Raises:
        ConfigurationError: No usual folder holds any of the first pictures.
    """

    def __init__(
        self,
        path: Path,
        names: Sequence[str],
        folder: Path | None = None,
        root: Path | None = None,
    ) -> None:
        # Two pictures whose paths end alike may not both become the one file that is there.
        self._names = names
        endings = Counter(ending for name in names for ending in _endings(name))
        self._shared = {ending for ending, count in endings.items() if count > 1}
        self._listings: dict[Path, dict[str, list[str]]] = {}
        self._folder = folder or self._usual(path, names, root)

    def find(self, name: str) -> Path:
        """Return a picture's file; where there is none, the path at which it was expected."""
        for spelling in self._spellings(name):
            found = self._on_disk(self._folder, spelling)
            if found is not None:
                return found
        return self._folder / plain_name(name)

    def existing(self, name: str) -> Path:
        """Return a picture's file.

        Raises:
            BrokenSampleError: There is one, but it may be that of another picture as well.
        """
        path = self.find(name)
        if is_file(path):
            return path
        for ending in _endings(name):
            found = self._on_disk(self._folder, ending)
            if found is not None:
                rivals = [other for other in self._names if ending in _endings(other)]
                raise BrokenSampleError(
                    path,
                    f"there is no such file, and {found} may be any of "
                    f"{', '.join(rivals[:_TOLD])}, which end alike; keep the folders that they are "
                    "named with",
                )
        return path

    def _usual(self, path: Path, names: Sequence[str], root: Path | None) -> Path:
        part = part_of(path)
        folders = dict.fromkeys(
            folder / name
            for folder in places(path, root)
            for name in (part, f"images/{part}", "images", "data", ".")
        )
        first = names[:_FIRST]
        for exact in (True, False):
            for folder in folders:
                if any(
                    self._on_disk(folder, spelling)
                    for name in first
                    for spelling in ([plain_name(name)] if exact else self._spellings(name))
                ):
                    return folder
        looked = ", ".join(str(folder) for folder in folders)
        raise ConfigurationError(f"{path}: expected {first[0]} in one of {looked}")

    def _spellings(self, name: str) -> Iterator[str]:
        """Return how a name may be meant, the most literal first."""
        if not _leads_out(name):
            yield name
        yield from (ending for ending in _endings(name) if ending not in self._shared)

    def _on_disk(self, folder: Path, spelling: str) -> Path | None:
        """Return the file of a name, or the only one that people take for it (`alike`)."""
        path = folder / spelling
        if is_file(path):
            return path
        found = self._listing(path.parent).get(alike(path.name), [])
        return path.with_name(found[0]) if len(found) == 1 else None

    def _listing(self, folder: Path) -> dict[str, list[str]]:
        """Return the files of a folder by what their names share with those that look like them."""
        if folder not in self._listings:
            found: dict[str, list[str]] = {}
            for path in _files_of(folder):
                found.setdefault(alike(path.name), []).append(path.name)
            self._listings[folder] = found
        return self._listings[folder]


def listed(entries: Sequence[msgspec.Raw], path: Path) -> tuple[dict[str, Picture], list[str]]:
    """Read the list of pictures.

    Args:
        entries: The list.
        path: The annotation file, for messages.

    Returns:
        Pictures by their number, as `same` writes it; and what is wrong with others.

    Raises:
        ConfigurationError: There is no picture.
    """
    found: dict[str, Picture] = {}
    names: set[str] = set()
    reasons: list[str] = []
    for raw in entries:
        try:
            entry = coco_file.pictures.decode(raw)
        except JSON_ERRORS as error:
            reasons.append(f"picture {label_of(raw)}: {error}")
            continue
        if same(entry.id) in found or plain_name(entry.file_name) in names:
            reasons.append(f"picture {entry.id}, {entry.file_name}, is listed twice; left out")
            continue
        names.add(plain_name(entry.file_name))
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


def unique_names(file_names: Sequence[str]) -> list[str]:
    """Return each picture's `stem`, or its whole plain name where another has the same stem."""
    count = Counter(map(stem, file_names))
    return [stem(name) if count[stem(name)] == 1 else plain_name(name) for name in file_names]


def plain_name(name: str) -> str:
    """Return a ``file_name`` with ``/`` between folders and without what leads out of them."""
    if "\\" not in name and ".." not in name and not name.startswith(("/", ".")):
        return name
    parts = PurePosixPath(_posix(name)).parts
    return "/".join(part for part in parts if part not in ("/", "..")) or name


def part_of(path: Path) -> str:
    """Return what an annotation file is of, for instance ``train2017``."""
    if path.name == ROBOFLOW:
        return path.parent.name
    if above := _mapillary_part(path):
        return above.name
    return path.stem.removeprefix("instances_").removeprefix("panoptic_")


def places(path: Path, root: Path | None = None) -> tuple[Path, ...]:
    """Return where an annotation file's pictures may be.

    One level up may be another data set, unless that is known to be this one's ``root``.
    """
    up = path.parent.name.lower() == "annotations"
    near = (path.parent, path.parent.parent) if up else (path.parent,)
    if above := _mapillary_part(path):
        near = (path.parent, above)
    return near if root is None or root in near else (*near, root)


def _mapillary_part(path: Path) -> Path | None:
    """Return ``training`` of ``training/panoptic/X.json`` and ``training/v2.0/panoptic/X.json``."""
    if path.parent.name != "panoptic":
        return None
    up = path.parent.parent
    return up.parent if re.fullmatch(r"v\d+(\.\d+)*", up.name) else up


def is_file(path: Path) -> bool:
    """Whether it is a file; a name that is too long, or a folder that is closed, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _files_of(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_file()]
    except (OSError, ValueError):
        return []


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def _posix(name: str) -> str:
    return name.replace("\\", "/")


def _endings(name: str) -> list[str]:
    """Return a path without its first 0, 1, ... folders, as it is and with %20 for a space."""
    found: dict[str, None] = {}
    for whole in (_posix(name), _posix(unquote(name))):
        parts = [part for part in PurePosixPath(whole).parts if part not in ("/", "..")]
        found |= {"/".join(parts[start:]): None for start in range(len(parts))}
    return list(found)
