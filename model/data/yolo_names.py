"""What says the names of YOLO's classes, and where the pictures of each part are.

``data.yaml`` has ``names`` and, for its own tools, ``path``, ``train`` and ``val``; LabelImg, CVAT
and Label Studio write the names into ``classes.txt``, Darknet into ``obj.names``, one a line.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from contract.errors import ConfigurationError
from contract.yaml_text import RepeatedKeyError, read_yaml
from model.data.data_set import Split
from model.data.labels import IGNORE
from model.data.read import files_in, find_pictures

NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")
"""Files that hold one name a line, among the labels or above them."""

_LONGEST_NAME = 255
"""Bytes of a file's name, on every common file system."""

_KEYS: Mapping[Split, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("val", "valid", "validation"),
}


class DataYaml(NamedTuple):
    """What a ``data.yaml`` says.

    Attributes:
        base: The folder that its pictures are below.
        parts: The pictures of each part that it names.
        names: Of the classes; none where it does not say them.
    """

    base: Path
    parts: Mapping[Split, Sequence[Path]]
    names: tuple[str, ...]


def read_names(root: Path, folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the names that a file in ``root`` or among the labels gives; none without such a file.

    Args:
        root: Folder of the data set.
        folders: Folders of its labels.

    Raises:
        ConfigurationError: A file with names is none, or has none that can be used.
    """
    for path in _yamls(root):
        values = _values(path)
        _refuse_keypoints(path, values)
        names = _yaml_names(path, values)
        if names:
            return names
    around = {folder for each in folders for folder in (each, each.parent)}
    for folder in (root, *sorted(around)):
        for path in (folder / name for name in NAME_FILES):
            if path.is_file():
                return _listed_names(path)
    return ()


def read_parts(root: Path) -> tuple[DataYaml | None, str]:
    """Read the ``data.yaml`` in a folder, if it says which of the pictures there validate.

    Args:
        root: Folder of the data set.

    Returns:
        What it says, None where there is none; and why one is not followed, "" otherwise.

    Raises:
        ConfigurationError: One is no YAML.
    """
    for path in _yamls(root):
        values = _values(path)
        if not all(any(values.get(key) for key in keys) for keys in _KEYS.values()):
            continue
        try:
            card = read_data_yaml(path)
        except ConfigurationError as error:
            return None, f"{path.name} does not say what validates: {error.faults[0]}"
        outside = [p for images in card.parts.values() for p in images if not _is_in(p, root)]
        if outside or len(card.parts) < len(_KEYS):
            return None, f"{path.name} names other pictures than those here, and is not followed"
        return card, ""
    return None, ""


def read_data_yaml(path: Path) -> DataYaml:
    """Read a ``data.yaml``.

    Raises:
        ConfigurationError: It is none, is of keypoints, or names a folder or list that is not
            there; all faults.
    """
    values = _values(path)
    _refuse_keypoints(path, values)
    bases = [_plain(path.parent)]
    if isinstance(values.get("path"), str):
        bases.insert(0, _plain(path.parent / _slashed(values["path"])))
    parts: dict[Split, Sequence[Path]] = {}
    faults = []
    for part, keys in _KEYS.items():
        key = next((key for key in keys if values.get(key)), keys[0])
        value = values.get(key) or []
        entries = value if isinstance(value, list) else [value]
        found = {str(entry): _find(str(entry), bases) for entry in entries}
        faults += [
            f"{path}: {key}: {entry} is the whole file system, expected a folder of pictures"
            for entry, place in found.items()
            if place is not None and place == Path(place.anchor)
        ]
        looked = " or ".join(str(base) for base in dict.fromkeys(bases))
        faults += [
            f"{path}: {key}: {entry} is not there; looked below {looked}"
            for entry, place in found.items()
            if place is None
        ]
        if faults:  # all are told, and nothing is looked through in vain
            continue
        pictures = [image for place in found.values() if place for image in _pictures(place)]
        if pictures:
            parts[part] = pictures
    if not parts and not faults:
        faults.append(f"{path}: expected `train` and `val` to name folders that hold pictures")
    if faults:
        raise ConfigurationError(faults)
    base = next((base for base in bases if _holds(base.is_dir)), bases[-1])
    return DataYaml(base, parts, _yaml_names(path, values))


def _yamls(root: Path) -> list[Path]:
    return sorted([*files_in(root, ".yaml"), *files_in(root, ".yml")])


def _is_in(path: Path, root: Path) -> bool:
    return path.is_relative_to(_plain(root))


def _refuse_keypoints(path: Path, values: Mapping[str, Any]) -> None:
    """Refuse labels of a box and points each, whose numbers would pass for outlines.

    Raises:
        ConfigurationError: They are such.
    """
    if "kpt_shape" in values:
        raise ConfigurationError(
            f"{path}: has labels of keypoints (kpt_shape {values['kpt_shape']!r:.40}), which do "
            "not say which pixel is whose; expected outlines (YOLO's task `segment`)"
        )


def _find(entry: str, bases: Sequence[Path]) -> Path | None:
    """Return what an entry names; ``../train`` may stand for ``train``, as Roboflow writes it."""
    places = (
        _plain(base / word)
        for name in dict.fromkeys((entry, _slashed(entry)))
        for word in (name, name.removeprefix("../"))
        for base in bases
    )
    return next((place for place in places if _holds(place.exists)), None)


def _pictures(path: Path) -> Iterator[Path]:
    """Return the pictures of a folder, or those that a list names."""
    if path.is_dir():
        yield from find_pictures(path)
        return
    for line in _text(path).splitlines():
        if line.strip():
            yield _listed(path.parent, line.strip())


def _listed(folder: Path, line: str) -> Path:
    """Return a picture of a list, whose paths may begin above the folder of the list."""
    parts = Path(line if _holds((folder / line).is_file) else _slashed(line)).parts
    places = (folder.joinpath(*parts[start:]) for start in range(len(parts)))
    found = _plain(next((place for place in places if _holds(place.is_file)), folder / line))
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in found.parts):
        raise ConfigurationError(f"{found.as_posix()[:80]}...: is listed, and too long for a name")
    return found


def _holds(question: Callable[[], bool]) -> bool:
    """Return what a path answers; one that is too long for a name, or closed, is not there."""
    try:
        return question()
    except OSError:
        return False


def _plain(path: Path) -> Path:
    """Return an absolute path without ``..``; links stay, for labels lie beside the link."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _slashed(text: str) -> str:
    """Return a path with the separators of this system, where Windows wrote it."""
    return text.replace("\\", "/")


def _listed_names(path: Path) -> tuple[str, ...]:
    names = [line.strip() for line in _text(path).rstrip().splitlines()]
    if not 0 < len(names) < IGNORE or not all(names):
        raise ConfigurationError(
            f"{path}: expected 1..254 names of classes, one a line, got {len(names)} lines"
            f"{'' if all(names) else ', some of them empty'}"
        )
    return _different(names, path)


def _values(path: Path) -> dict[str, Any]:
    try:
        values = read_yaml(_text(path))
    except RepeatedKeyError as error:
        raise ConfigurationError(
            f"{path}, line {error.line}: {error.key!r} {error.where}"
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: expected YAML: {error}") from error
    return values if isinstance(values, dict) else {}


def _yaml_names(path: Path, values: Mapping[str, Any]) -> tuple[str, ...]:
    names = values.get("names")
    if names is None:
        return ()
    if isinstance(names, dict) and all(str(key).isdecimal() for key in names):
        names = {int(key): name for key, name in names.items()}
    if isinstance(names, dict) and names.keys() == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if isinstance(names, list) and len(names) >= IGNORE:
        raise ConfigurationError(
            f"{path}: has {len(names)} names, expected 1..254; keep those that are to be learned, "
            "numbered anew, and their lines, or name the COCO file that the set was made from with "
            "classes in the recipe"
        )
    if not isinstance(names, list) or not names:
        raise ConfigurationError(
            f"{path}: expected `names` to be a list or numbers 0, 1, ... with names, got {names!r}"
        )
    return _different([str(name).strip() for name in names], path)


def _different(names: Sequence[str], path: Path) -> tuple[str, ...]:
    """Return names, of which none may be there twice.

    Raises:
        ConfigurationError: One is.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(
            f"{path}: names several classes {', '.join(map(repr, twice[:8]))}, expected a name of "
            "its own for each"
        )
    return tuple(names)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigurationError(f"{path}: expected text: {error}") from error
