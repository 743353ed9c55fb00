"""Pascal VOC: ``JPEGImages/``, ``SegmentationObject/``, ``SegmentationClass/``, one file NAME each.

Each map has a palette and numbers its objects (or gives the class) per pixel: 0 background, 255 the
outline between things (void), which is ignored. CVAT and Datumaro write the same maps in colours
and name these in ``labelmap.txt``; LabelMe's converter names the numbers in ``class_names.txt``.
Parts: ``ImageSets/Segmentation/train*.txt`` and ``val*.txt``. As the challenge packs it, the folder
lies below another one: ``VOCdevkit/VOC2012/``.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError, DataSet, Split, split_by_name
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, UNNAMED, Image, Labelled
from model.data.read import files_in, find_pictures, map_size, read_codes, read_placed, show
from model.data.split_folders import TEST, TRAIN, VALIDATION, only, part_of_word, split_by_lists

IMAGES, OBJECTS, CLASSES = "JPEGImages", "SegmentationObject", "SegmentationClass"
NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The classes of the challenge, 1..20."""

_LISTS = Path("ImageSets", "Segmentation")
_COLOURS, _NUMBERS = "labelmap.txt", "class_names.txt"
_BACKGROUND = ("background", "_background_", "__ignore__")
_VOID = 0xE0E0C0
"""Colour of the palette's number 255."""


class Voc(DataSet):
    """The pictures that have a map of objects.

    Args:
        root: Folder with ``JPEGImages`` and ``SegmentationObject``, or one around it.

    Raises:
        ConfigurationError: A folder is missing, there are several years, or ``labelmap.txt`` is
            none.
    """

    def __init__(self, root: Path) -> None:
        years = voc_folders(root)
        if len(years) > 1:
            raise ConfigurationError(
                f"{root}: holds several data sets, name one of them: {', '.join(map(str, years))}"
            )
        root = years[0] if years else root
        missing = [name for name in (IMAGES, OBJECTS) if not (root / name).is_dir()]
        if missing:
            raise ConfigurationError(
                f"{root}: expected folders {IMAGES}/ and {OBJECTS}/, {missing} missing; boxes "
                f"(Annotations/) and {CLASSES}/ alone do not say which pixel is whose"
            )
        self.root = root
        self._images = _by_name(root / IMAGES)
        self._objects = _by_name(root / OBJECTS)
        self._has_classes = (root / CLASSES).is_dir()
        self.names = tuple(name for name in self._objects if name in self._images)
        self._labels = _named_colours(root / _COLOURS)
        self.classes = tuple(self._labels) or _numbered_names(root / _NUMBERS) or NAMES
        if not self._has_classes:
            self.classes = (UNNAMED,)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image, objects and, where there are any, classes of picture ``index``."""
        name = self.names[index]
        classes = [self.root / CLASSES / f"{name}.png"] if self._has_classes else []
        return (self._images[name], self._objects[name], *classes)

    def part(self, split: Split) -> DataSet:
        """Return a part: as ``ImageSets/Segmentation`` lists it, or by name."""
        listed = {part: _listed(self.root, part) for part in (TRAIN, VALIDATION, TEST)}
        numbers = {
            part: {i for i, name in enumerate(self.names) if name in names}
            for part, names in listed.items()
        }
        if numbers[TRAIN] and numbers[VALIDATION]:
            parts: dict[Split, set[int]] = {
                "train": numbers[TRAIN],
                "validation": numbers[VALIDATION],
            }
            return split_by_lists(self, split, parts)
        own = numbers[TRAIN] or set(range(len(self))) - numbers[TEST]
        return split_by_name(only(self, sorted(own)), split)

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        image_path, objects_path, *classes_path = self.files(index)
        image, upright = read_placed(image_path, map_size(objects_path))
        objects, coloured = read_codes(objects_path, image.shape, colours=False)
        void = objects == (_VOID if coloured else IGNORE)
        instances = np.where(void, 0, objects).astype(np.int32)
        labels = np.where(void, IGNORE, instances > 0).astype(np.uint8)
        if not classes_path:
            return show(Labelled(image, instances, labels), upright)
        own = self._read_classes(classes_path[0], image.shape)
        labels[(instances == 0) & (own > 0)] = IGNORE  # of a class, but nobody says of which object
        flaws = _give_classes(instances, labels, own)
        return show(Labelled(image, instances, labels, flaws), upright)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return maps without a picture."""
        return [
            BrokenSampleError(path, f"there is no picture of this name below {IMAGES}/")
            for name, path in self._objects.items()
            if name not in self._images
        ]

    def _read_classes(self, path: Path, shape: tuple[int, ...]) -> Image:
        codes, coloured = read_codes(path, shape, colours=bool(self._labels))
        table = self._labels or {name: _palette(k) for k, name in enumerate(self.classes, start=1)}
        if coloured:
            known = {colour: label for label, colour in enumerate(table.values(), start=1)}
            known |= {0: 0, _VOID: IGNORE}
        else:
            known = {number: number for number in (*range(len(self.classes) + 1), IGNORE)}
        different, places = np.unique(codes, return_inverse=True)
        wrong = [code for code in different.tolist() if code not in known]
        if wrong:
            seen = [f"#{code:06x}" for code in wrong] if coloured else wrong
            own = f"0..{len(self.classes)} or 255, or a {_COLOURS}"
            raise BrokenSampleError(
                path,
                f"has the classes {seen[:8]}, expected those of "
                f"{_COLOURS if self._labels else own}",
            )
        labels: Image = np.array([known[code] for code in different.tolist()], np.uint8)
        return np.asarray(labels[places.reshape(codes.shape)], np.uint8)


def voc_folders(root: Path) -> list[Path]:
    """Return the folders of this layout: the named one, or those that the challenge puts in it."""
    for folders in ([root], sorted(root.glob("VOC*/")), sorted(root.glob("VOCdevkit/VOC*/"))):
        found = [each for each in folders if any((each / n).is_dir() for n in (IMAGES, OBJECTS))]
        if found:
            return found
    return []


def _give_classes(instances: NDArray[np.int32], labels: Image, own: Image) -> tuple[Flaw, ...]:
    """Give each object the class of most of its pixels, in place; without any it is ignored."""
    flaws = []
    for number in np.unique(instances[instances > 0]).tolist():
        inside = instances == number
        found = own[inside]
        found = found[(found > 0) & (found < IGNORE)]
        if found.size:
            labels[inside] = np.bincount(found).argmax()
        else:
            labels[inside], instances[inside] = IGNORE, 0
            flaws.append(Flaw(FlawKind.UNKNOWN_CLASS, f"object {number}"))
    return tuple(flaws)


def _palette(number: int) -> int:
    """Return the colour of a number in VOC's palette: its bits, spread over three channels."""
    colour = 0
    for place in range(8):  # bits 0, 1, 2 go to red, green, blue; each three more to the next place
        for channel, shift in enumerate((16, 8, 0)):
            colour |= (number >> (3 * place + channel) & 1) << (7 - place + shift)
    return colour


def _named_colours(path: Path) -> dict[str, int]:
    """Return the colour of each class by its name, without the background.

    Raises:
        ConfigurationError: A line is none, or a name is there twice.
    """
    if not path.is_file():
        return {}
    found: dict[str, int] = {}
    faults = []
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, rest = line.partition(":")
        if not line.strip() or line.startswith("#") or name in _BACKGROUND:
            continue
        words = [word.strip() for word in rest.split(":")[0].split(",")]
        if len(words) != 3 or not all(map(_is_byte, words)):
            faults.append(f"{path}: line {number}: expected `name:red,green,blue::`, got {line!r}")
        elif name in found:
            faults.append(f"{path}: line {number}: {name!r} is there twice")
        else:
            red, green, blue = map(int, words)
            found[name] = red << 16 | green << 8 | blue
    if faults or len(found) >= IGNORE:
        raise ConfigurationError(faults or f"{path}: {len(found)} classes, expected at most 254")
    return found


def _numbered_names(path: Path) -> tuple[str, ...]:
    """Return the names of the numbers 1, 2, ...; none where there is no such file.

    Raises:
        ConfigurationError: A name is there twice, or there are none.
    """
    if not path.is_file():
        return ()
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [line.strip() for line in lines if line.strip() and line.strip() not in _BACKGROUND]
    if len(set(names)) < len(names) or not 0 < len(names) < IGNORE:
        raise ConfigurationError(f"{path}: expected 1..254 different names, got {names!r:.200}")
    return tuple(names)


def _is_byte(word: str) -> bool:
    return word.isdecimal() and len(word) <= 3 and int(word) < 256


def _listed(root: Path, part: str) -> set[str]:
    """Return the names in the lists of one part; ``trainval`` is both and counts for none."""
    return {
        line.strip()
        for path in files_in(root / _LISTS, ".txt")
        if part_of_word(path.stem) == part
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        if line.strip()
    }


def _by_name(folder: Path) -> dict[str, Path]:
    return {p.relative_to(folder).with_suffix("").as_posix(): p for p in find_pictures(folder)}
