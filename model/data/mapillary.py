"""Mapillary Vistas: ``training/images``, ``training/v2.0/instances`` (or ``training/instances``).

A pixel of a map is ``class * 256 + n``, of 16 bits; ``config_v2.0.json`` (or ``config.json``) says
what the classes are. Those with ``instances`` are learned; those of them that are not evaluated are
ignored, as is what nobody labelled. Everything else is background. Where there are no instances,
``training/v2.0/panoptic/panoptic_2020.json`` (or ``training/panoptic/panoptic_2018.json``) is read
as COCO's panoptic annotations.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, without_mark
from model.data.data_set import BrokenSampleError, DataSet, Split
from model.data.labels import IGNORE, Labelled
from model.data.read import find_pictures, map_size, read_map, read_placed, show
from model.data.split_folders import notes_on_parts, split_by_folders

PARTS = ("training", "validation")

_PANOPTIC = "panoptic_*.json"

_UNLABELLED = "void--unlabeled"

_MOST_LABELS = 256
"""As many as the upper eight bits of a map can tell apart."""

_UNCOVERED = 0.01
"""Share of a map, 0..1, that class 0 (birds) covers at most."""


class _Label(msgspec.Struct):
    name: str
    instances: bool
    evaluate: bool = True


class _Config(msgspec.Struct):
    labels: list[_Label]


_CONFIG = msgspec.json.Decoder(_Config)


class Mapillary(DataSet):
    """Street scenes; the newest version of the labels that is there.

    Classes are called by the last part of their name (``object--vehicle--car``: ``car``), or by all
    of it where two share that.

    Args:
        root: Folder with ``training`` or ``validation`` or both, and the configuration.

    Raises:
        ConfigurationError: There are none, or the configuration is missing or none.
    """

    def __init__(self, root: Path) -> None:
        folders = _instance_folders(root)
        if not folders and any(_versions(root).values()):
            found = {part: sorted(each) for part, each in _versions(root).items()}
            raise ConfigurationError(
                f"{root}: its parts have no version of the labels in common: {found}"
            )
        if not folders:
            hint = "; its panoptic maps are read as layout coco" if panoptic_files(root) else ""
            raise ConfigurationError(
                f"{root}: expected training/ or validation/ with images/ and instances/ "
                f"(or v2.0/instances/){hint}"
            )
        self.root = root
        first = next(iter(folders.values())).parent.name
        version = first if first.startswith("v") and first not in PARTS else ""
        labels = _read_config(root, version)
        self.classes, self._table = _classes(labels)
        self._files: dict[str, tuple[Path, Path]] = {}
        self._twins: list[BrokenSampleError] = []
        for part, folder in folders.items():
            images = root / part / "images"
            for path in find_pictures(images):
                below = path.relative_to(images).with_suffix("")
                name = f"{part}/{below.as_posix()}"
                if name in self._files:
                    reason = f"is left out: {self._files[name][0].name} has the same name"
                    self._twins.append(BrokenSampleError(path, reason))
                else:
                    self._files[name] = (path, folder / below.with_name(f"{below.name}.png"))
        self._folders = folders
        self.names = tuple(self._files)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image and instance numbers of picture ``index``."""
        return self._files[self.names[index]]

    def part(self, split: Split) -> DataSet:
        """Return the official part; where only training is on disk, it is split by name."""
        return split_by_folders(self, split, official=True)

    def notes(self) -> Sequence[str]:
        """Return that a part is missing."""
        return notes_on_parts([*self._folders], PARTS)

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        image_path, map_path = self.files(index)
        image, upright = read_placed(image_path, map_size(map_path))
        stored = read_map(map_path, image.shape)
        if stored.dtype.itemsize == 1:
            raise BrokenSampleError(
                map_path,
                "has 8 bits, which is a map of classes; expected instances of 16 bits "
                "(class * 256 + n)",
            )
        numbers = stored.astype(np.int32)
        official = numbers >> 8
        wrong = np.unique(official[official >= len(self._table)])
        if wrong.size:
            raise BrokenSampleError(
                map_path,
                f"has the classes {wrong[:8].tolist()}, expected 0..{len(self._table) - 1}",
            )
        labels = self._table[official]
        # From 1, because the first object of class 0 has the number 0.
        instances = np.where((labels > 0) & (labels < IGNORE), numbers + 1, 0)
        return show(Labelled(image, instances, labels), upright)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return label files without a picture, and pictures of one name."""
        known = {path for _, path in self._files.values()}
        return [
            *self._twins,
            *(
                BrokenSampleError(path, "there is no picture of this name below images/")
                for folder in self._folders.values()
                for path in find_pictures(folder)
                if path not in known
            ),
        ]


def is_mapillary(root: Path) -> bool:
    """Whether a folder has the parts and a configuration of Mapillary Vistas."""
    return any(_versions(root).values()) and any(root.glob("config*.json"))


def is_part(folder: Path) -> bool:
    """Whether a folder is one part of Mapillary Vistas, whose maps mean nothing by themselves."""
    return folder.name in PARTS and is_mapillary(folder.parent)


def refuse_incomplete(root: Path) -> None:
    """Refuse what is of Mapillary Vistas, but does not say what its numbers mean.

    As label maps each class, and even the sky, would be an object.

    Raises:
        ConfigurationError: It is such.
    """
    parts = [root / part for part in PARTS if (root / part / "images").is_dir()]
    if not any(root.glob("config*.json")):
        maps = [folder for part in parts for folder in _labels_of(part, "instances").values()]
        first = next((path for folder in maps for path in find_pictures(folder)), None)
        if first is not None and _is_numbered_so(first):
            raise ConfigurationError(
                f"{first}: has numbers class * 256 + n, as Mapillary Vistas has them; put its "
                f"config.json, which says what the classes are, into {root}"
            )
    elif parts and not any(_versions(root).values()):
        classes = [folder for part in parts for folder in _labels_of(part, "labels").values()]
        if classes and not panoptic_files(root) and _holds_config(root):
            raise ConfigurationError(
                f"{classes[0]}: holds Mapillary's maps of classes, which do not say which pixel is "
                "whose; expected instances/ (or panoptic/) beside images/"
            )


def _is_numbered_so(path: Path) -> bool:
    """Whether a map covers its picture with numbers class * 256 + n, most of which are n = 0."""
    try:
        numbers = np.asarray(read_map(path, map_size(path)))
    except BrokenSampleError:
        return False
    if numbers.dtype.itemsize == 1 or not numbers.size or (numbers < 256).mean() > _UNCOVERED:
        return False
    different = np.unique(numbers)
    kinds, counts = np.unique(different >> 8, return_counts=True)
    plain = np.isin(kinds << 8, different) & (counts == 1)
    return len(kinds) > 1 and bool(plain.mean() >= 0.5)


def _holds_config(root: Path) -> bool:
    for path in root.glob("config*.json"):
        try:
            if _CONFIG.decode(without_mark(path.read_bytes())).labels:
                return True
        except JSON_ERRORS:
            continue
    return False


def panoptic_files(root: Path) -> list[Path]:
    """Return the panoptic annotations of the parts that have some, of their newest version."""
    found: dict[str, dict[str, Path]] = {}
    for part in PARTS:
        for version, folder in _labels_of(root / part, "panoptic").items():
            for file in sorted(folder.glob(_PANOPTIC)):
                found.setdefault(part, {})[version] = file
    return list(_newest(found).values())


def _instance_folders(root: Path) -> dict[str, Path]:
    """Return the folder of instances of every part, of the newest version that all parts have."""
    return _newest(_versions(root))


def _newest(found: Mapping[str, Mapping[str, Path]]) -> dict[str, Path]:
    """Return the path of every part, of the newest version that all parts have."""
    common = set.intersection(*map(set, found.values())) if found else set()
    newest = max(common, key=_number, default=None)
    return {} if newest is None else {part: folders[newest] for part, folders in found.items()}


def _versions(root: Path) -> dict[str, dict[str, Path]]:
    """Return the folders of instances of every part by their version, "" without one."""
    parts = [part for part in PARTS if (root / part / "images").is_dir()]
    return {part: _labels_of(root / part, "instances") for part in parts}


def _labels_of(part: Path, kind: str) -> dict[str, Path]:
    """Return the folders of one kind of labels by their version, "" without one."""
    folders = [*part.glob(f"v*/{kind}"), part / kind]
    return {
        folder.parent.name if folder.parent != part else "": folder
        for folder in folders
        if folder.is_dir()
    }


def _number(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]


def _read_config(root: Path, version: str) -> Sequence[_Label]:
    path = root / (f"config_{version}.json" if version else "config.json")
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such file; it says what the classes are")
    try:
        labels = _CONFIG.decode(without_mark(path.read_bytes())).labels
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{path}: expected Mapillary's configuration (labels with name and instances): {error}"
        ) from error
    count = sum(label.instances and label.evaluate for label in labels)
    if not 0 < count < IGNORE:
        raise ConfigurationError(f"{path}: {count} classes with instances, expected 1..254")
    if len(labels) > _MOST_LABELS:
        raise ConfigurationError(f"{path}: {len(labels)} labels, expected at most {_MOST_LABELS}")
    names = Counter(label.name for label in labels if label.instances and label.evaluate)
    twice = [name for name, times in names.items() if times > 1]
    if twice:
        raise ConfigurationError(f"{path}: names are not unique: {', '.join(twice[:8])}")
    return labels


def _classes(
    labels: Sequence[_Label],
) -> tuple[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """Return the names of the classes, and the label of every official number."""
    learned = [label for label in labels if label.instances and label.evaluate]
    short = Counter(label.name.rpartition("--")[2] for label in learned)
    names = []
    table = np.zeros(len(labels), np.uint8)
    for number, label in enumerate(labels):
        if label.instances and label.evaluate:
            last = label.name.rpartition("--")[2]
            names.append(last if short[last] == 1 else label.name)
            table[number] = len(names)
        elif label.instances or label.name == _UNLABELLED:
            table[number] = IGNORE
    return tuple(names), table
