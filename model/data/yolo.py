"""YOLO segmentation labels: ``images/**/NAME.jpg`` beside ``labels/**/NAME.txt``.

One object a line, ``class x1 y1 x2 y2 ...``, coordinates 0..1 of width and height. A picture
without a text file is one without objects, as the format has it.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import yaml

from contract.errors import ConfigurationError
from contract.yaml_text import read_yaml
from model.data.coco80 import COCO_80
from model.data.data_set import BrokenSampleError, DataSet, Split, Subset, split_by_name
from model.data.labels import IGNORE, Labelled
from model.data.read import find_pictures, read_image
from model.data.shapes import Shape, draw, join_faults, polygons_rle

IMAGES, LABELS = "images", "labels"

log = logging.getLogger(__name__)


class Yolo(DataSet):
    """Pictures with YOLO's polygons.

    Class names are those of a ``*.yaml`` with ``names`` in the root. Without one they are COCO's 80
    where the root's name says ``coco`` and no number is above 79, otherwise ``class0``, ``class1``,
    ...; both are logged as a warning, for a wrong guess would name everything wrongly.

    Args:
        root: Folder with ``images/`` and ``labels/``, or with ``train/images/`` and so on.

    Raises:
        ConfigurationError: There are no pictures, or the names are none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._images = [
            path for path in find_pictures(root) if IMAGES in path.relative_to(root).parts[:-1]
        ]
        if not self._images:
            raise ConfigurationError(f"{root}: no pictures below a folder {IMAGES}/")
        self._texts = [_text_of(path, root) for path in self._images]
        self.names = tuple(_name(path, root) for path in self._images)
        self._notes: list[str] = []
        self.classes = self._class_names()
        without = sum(not path.is_file() for path in self._texts)
        if without:
            self._notes.append(
                f"{without} pictures have no text file: treated as having no objects"
            )

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image and, where there is one, the text file of picture ``index``."""
        text = self._texts[index]
        return (self._images[index], *([text] if text.is_file() else []))

    def read(self, index: int) -> Labelled:
        """Read picture ``index``; all faults of its text file are told together."""
        image = read_image(self._images[index])
        height, width = image.shape[:2]
        shapes, faults = [], []
        for number, line in _lines(self._texts[index]):
            shape, found = self._shape(line, height, width)
            faults += [f"line {number} {fault}" for fault in found]
            shapes += [shape] if shape else []
        if faults:
            raise BrokenSampleError(self._texts[index], join_faults(faults))
        return Labelled(image, *draw(shapes, height, width))

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return text files without a picture."""
        known = set(self._texts)
        return [
            BrokenSampleError(path, f"there is no picture of this name below {IMAGES}/")
            for path in _text_files(self.root)
            if path not in known
        ]

    def notes(self) -> Sequence[str]:
        """Return how class names and missing text files were read."""
        return self._notes

    def part(self, split: Split) -> DataSet:
        """Return a split: by folders ``train*`` and ``val*`` where there are both, or by name."""
        folders = {"train": "train", "validation": "val"}
        found = {
            part: [i for i, path in enumerate(self._images) if self._is_below(path, start)]
            for part, start in folders.items()
        }
        if split == "all" or not all(found.values()):
            return split_by_name(self, split)
        return Subset(self, found[split])

    def _is_below(self, path: Path, start: str) -> bool:
        return any(part.startswith(start) for part in path.relative_to(self.root).parts[:-1])

    def _shape(self, line: str, height: int, width: int) -> tuple[Shape | None, list[str]]:
        first, *rest = line.split()
        try:
            numbers = [float(word) for word in rest]
            label = int(first) + 1
        except ValueError:
            return None, ["is not `class x1 y1 x2 y2 ...` with a whole number and fractions"]
        faults = []
        if not 1 <= label <= len(self.classes):
            faults.append(f"has class {first}, expected 0..{len(self.classes) - 1}")
        if len(numbers) == 4:
            faults.append("has 4 coordinates, a box; expected the corners of a polygon")
            return None, faults
        sizes = (width, height) * (len(numbers) // 2 + 1)
        pixels = [value * size for value, size in zip(numbers, sizes, strict=False)]
        rle, found = polygons_rle([pixels], height, width)
        faults += found
        return (None, faults) if faults or rle is None else (Shape(label, rle), [])

    def _class_names(self) -> tuple[str, ...]:
        for path in sorted([*self.root.glob("*.yaml"), *self.root.glob("*.yml")]):
            names = _yaml_names(path)
            if names:
                return names
        highest = max((_highest_class(path) for path in _text_files(self.root)), default=-1)
        if "coco" in self.root.name.lower() and highest < len(COCO_80):
            names, guess = COCO_80, "COCO's 80, because the folder is named coco"
        else:
            names = tuple(f"class{number}" for number in range(max(highest, 0) + 1))
            guess = f"class0..class{max(highest, 0)}"
        note = f"no data.yaml with names: classes are taken as {guess}"
        self._notes.append(note)
        log.warning("%s: %s", self.root, note)
        return names


def _yaml_names(path: Path) -> tuple[str, ...]:
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: expected YAML: {error}") from error
    names = values.get("names") if isinstance(values, dict) else None
    if names is None:
        return ()
    if isinstance(names, dict) and names.keys() == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not 0 < len(names) < IGNORE:
        raise ConfigurationError(
            f"{path}: expected `names` to be a list or numbers 0, 1, ... with names, got {names!r}"
        )
    return tuple(str(name) for name in names)


def _text_of(image: Path, root: Path) -> Path:
    """Replace the last folder ``images`` below the root by ``labels``."""
    parts = list(image.relative_to(root).parts)
    last = len(parts) - 1 - parts[:-1][::-1].index(IMAGES) - 1
    parts[last] = LABELS
    return root.joinpath(*parts).with_suffix(".txt")


def _name(image: Path, root: Path) -> str:
    parts = list(image.relative_to(root).with_suffix("").parts)
    parts.remove(IMAGES)
    return "/".join(parts)


def _text_files(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*.txt") if LABELS in p.relative_to(root).parts[:-1])


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that say something, numbered from 1."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BrokenSampleError(path, f"is no text: {error}") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _highest_class(path: Path) -> int:
    """Return the highest class of a text file; what is no class is told when it is read."""
    try:
        words = [line.split(maxsplit=1)[0] for _, line in _lines(path)]
    except BrokenSampleError:
        return -1
    numbers = (int(word) for word in words if word.isdecimal() and len(word) <= 3)
    return max((number for number in numbers if number < IGNORE - 1), default=-1)
