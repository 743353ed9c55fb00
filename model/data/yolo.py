"""YOLO segmentation labels: ``images/**/NAME.jpg`` beside ``labels/**/NAME.txt``.

One object a line, ``class x1 y1 x2 y2 ...``, coordinates 0..1 of width and height. A picture
without a text file is one without objects, as the format has it. Labels belong to the picture as
its EXIF asks for it to be shown: so the tools of this format read it.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from contract.errors import ConfigurationError
from model.data.coco80 import COCO_80
from model.data.data_set import BrokenSampleError, DataSet, Split
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, Labelled
from model.data.read import alike, files_in, find_pictures, read_shown, walk
from model.data.shapes import Shape, box_rle, draw_labelled, join_faults, outline
from model.data.split_folders import (
    TRAIN,
    VALIDATION,
    part_of_name,
    split_by_folders,
    split_by_lists,
)
from model.data.yolo_names import NAME_FILES, read_data_yaml, read_names, read_parts

IMAGES, LABELS, TEXT = "images", "labels", ".txt"

_FARTHEST = 2.0
"""Coordinates beyond this are no fractions: pixels, usually."""

_INSIDE = 0.75
"""Part of a box that lies in its picture; exporters let boxes reach over the edge."""

log = logging.getLogger(__name__)


class Yolo(DataSet):
    """Pictures with YOLO's polygons.

    Class names are those of a ``*.yaml`` with ``names`` in the root, or of ``classes.txt``. Without
    either they are COCO's 80 where the root's name says ``coco`` and no number is above 79,
    otherwise ``class0``, ``class1``, ...; both are logged as a warning, for a wrong guess names
    everything wrongly.

    Args:
        path: Folder with ``images/`` and ``labels/``, or with ``train/images/`` and so on; or a
            ``data.yaml`` whose ``path``, ``train`` and ``val`` say where the pictures are.

    Raises:
        ConfigurationError: There are no pictures, or the names are none.
    """

    def __init__(self, path: Path) -> None:
        self.root = path
        self._notes: list[str] = []
        self._parts: dict[Split, set[Path]] = {}
        if path.is_file():
            card = read_data_yaml(path)
            self._base, names = card.base, card.names
            self._images = sorted({image for images in card.parts.values() for image in images})
            self._parts = self._own_parts(card.parts)
        else:
            self._base, names = path, ()
            self._images = [p for p in find_pictures(path) if _is_below(p, path, IMAGES)]
            self._follow_yaml()
        if not self._images:
            raise ConfigurationError(f"{path}: no pictures below a folder {IMAGES}/")
        self._texts = [_text_of(image, self._base) for image in self._images]
        self.names = tuple(_name(image, self._base) for image in self._images)
        self._labels = self._label_files()
        self._texts = _on_disk(self._texts, self._labels)
        self.classes = names or self._class_names()
        without = sum(not _is_there(text) for text in self._texts)
        if without:
            self._notes.append(
                f"{without} pictures have no text file: treated as having no objects"
            )

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image and, where there is one, the text file of picture ``index``."""
        text = self._texts[index]
        return (self._images[index], *([text] if _is_there(text) else []))

    def read(self, index: int) -> Labelled:
        """Read picture ``index``; all faults of its text file are told together."""
        image, upright = read_shown(self._images[index])
        height, width = image.shape[:2]
        turned = () if upright.changes_nothing else (FlawKind.TURNED,)
        shapes, faults = [], []
        flaws: list[Flaw] = []
        for number, line in _lines(self._texts[index]):
            where = f"line {number}"
            found = _shape(line, len(self.classes), height, width)
            if isinstance(found, str):
                faults.append(f"{where} {found}")
                continue
            shape, kinds = found
            shapes.append(shape)
            flaws += [Flaw(kind, where) for kind in (*kinds, *turned)]
        if faults:
            raise BrokenSampleError(self._texts[index], join_faults(faults))
        return draw_labelled(image, shapes, flaws)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return text files without a picture."""
        known = set(self._texts)
        return [
            BrokenSampleError(path, f"there is no picture of this name below {IMAGES}/")
            for path in self._labels
            if path not in known
        ]

    def notes(self) -> Sequence[str]:
        """Return how class names, missing text files and parts were read."""
        return self._notes

    def part(self, split: Split) -> DataSet:
        """Return a split: that of ``data.yaml``, by folders ``train*`` and ``val*``, or by name."""
        if not self._parts:
            return split_by_folders(self, split)
        return split_by_lists(
            self,
            split,
            {
                part: {i for i, image in enumerate(self._images) if image in chosen}
                for part, chosen in self._parts.items()
            },
        )

    def _follow_yaml(self) -> None:
        """Take the parts that ``data.yaml`` names where the folders do not say them."""
        told = {part_of_name(_name(image, self._base)) for image in self._images}
        if {TRAIN, VALIDATION} <= told:
            return
        card, reason = read_parts(self.root)
        self._notes += [reason] if reason else []
        if card is not None:
            own = {Path(os.path.abspath(image)): image for image in self._images}  # noqa: PTH100
            listed = {
                part: [own[image] for image in images if image in own]
                for part, images in card.parts.items()
            }
            self._parts = self._own_parts(listed)

    def _own_parts(self, listed: Mapping[Split, Sequence[Path]]) -> dict[Split, set[Path]]:
        """Return the pictures of both parts; none where they are not two."""
        parts = {part: set(images) for part, images in listed.items()}
        if len(parts) < 2:
            return {}
        # A link to the other part's folder is that part.
        real = {part: {image.resolve() for image in images} for part, images in parts.items()}
        both = len(real["train"] & real["validation"])
        if not both:
            return parts
        self._images = sorted({image.resolve(): image for image in self._images[::-1]}.values())
        self._notes.append(f"{both} pictures are in both train and val: the split is by name")
        return {}

    def _class_names(self) -> tuple[str, ...]:
        names = read_names(self._base, {text.parent for text in self._texts})
        if names:
            return names
        highest = max((_highest_class(path) for path in self._labels), default=-1)
        if "coco" in self._base.name.lower() and highest < len(COCO_80):
            names, guess = COCO_80, "COCO's 80, because the folder is named coco"
        else:
            names = tuple(f"class{number}" for number in range(max(highest, 0) + 1))
            guess = f"class0..class{max(highest, 0)}"
        note = f"no data.yaml with names: classes are taken as {guess}"
        self._notes.append(note)
        log.warning("%s: %s", self.root, note)
        return names

    def _label_files(self) -> list[Path]:
        """Return all texts with labels, also those without a picture."""
        found: Iterable[Path]
        if self.root.is_dir():
            found = (
                p
                for p in walk(self.root)
                if p.suffix.lower() == TEXT and _is_below(p, self.root, LABELS)
            )
        else:
            folders = {text.parent for text in self._texts}
            found = (path for folder in folders for path in files_in(folder, TEXT))
        expected = {*self._texts}
        return sorted(path for path in found if path in expected or path.name not in NAME_FILES)


def _shape(
    line: str, classes: int, height: int, width: int
) -> tuple[Shape, tuple[FlawKind, ...]] | str:
    """Return the object of a line and its flaws, or what makes the line useless."""
    first, *rest = line.split()
    try:
        numbers = [float(word) for word in rest]
        label = _class_number(first) + 1
    except (ValueError, OverflowError):
        return "is not `class x1 y1 x2 y2 ...` with a whole number and fractions"
    if not numbers or len(numbers) % 2:
        return f"has a polygon of {len(numbers)} numbers, expected x y of at least 3 corners"
    far = [number for number in numbers if abs(number) > _FARTHEST]
    if far:
        return f"has the coordinate {far[0]:g}, expected fractions 0..1 of width and height"
    unknown = () if 1 <= label <= classes else (FlawKind.UNKNOWN_CLASS,)
    sizes = (width, height) * (len(numbers) // 2)
    box = _box(numbers)
    if box:
        corners = [value * size for value, size in zip(box, sizes, strict=True)]
        return Shape(IGNORE, box_rle(corners, height, width)), (FlawKind.BOX,)
    found = outline(
        [[value * size for value, size in zip(numbers, sizes, strict=True)]], height, width
    )
    if found.rle is None:
        return "; ".join(found.faults)
    lost = found.lost or unknown
    return Shape(IGNORE if lost else label, found.rle), (*found.kinds, *unknown)


def _class_number(word: str) -> int:
    """Return the class that a word is; NumPy's ``savetxt`` writes ``0.0`` or ``0.000e+00``.

    Raises:
        ValueError: It is no whole number.
        OverflowError: It is infinite.
    """
    number = float(word)
    if int(number) != number:
        raise ValueError(f"{word} is no whole number")
    return int(number)


def _box(numbers: Sequence[float]) -> tuple[float, float, float, float] | None:
    """Return left, top, right, bottom of a box: four numbers, a centre and a size.

    Two corners are four numbers, too: those that make a box much of which lies outside of the
    picture are an outline of two corners.
    """
    if len(numbers) != 4:
        return None
    x, y, width, height = numbers
    if width <= 0 or height <= 0:
        return None
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    inside = max(0.0, min(1.0, box[2]) - max(0.0, box[0]))
    inside *= max(0.0, min(1.0, box[3]) - max(0.0, box[1]))
    return box if inside >= _INSIDE * width * height else None


def _is_below(path: Path, root: Path, folder: str) -> bool:
    return folder in path.relative_to(root).parts[:-1]


def _text_of(image: Path, base: Path) -> Path:
    """Replace the last folder ``images``, of those below ``base`` if any is, by ``labels``.

    Without one the text is beside its picture.
    """
    inside = image.is_relative_to(base) and _is_below(image, base, IMAGES)
    parts = list((image.relative_to(base) if inside else image).parts)
    if IMAGES in parts[:-1]:
        parts[len(parts) - 2 - parts[:-1][::-1].index(IMAGES)] = LABELS
    return (base.joinpath(*parts) if inside else Path(*parts)).with_suffix(TEXT)


def _on_disk(expected: Sequence[Path], found: Iterable[Path]) -> list[Path]:
    """Return each expected text, or the only one there is whose name looks like it (`alike`)."""
    by_look: dict[str, list[Path]] = {}
    known = set(expected)
    for path in found:
        if path not in known:
            by_look.setdefault(alike(str(path)), []).append(path)
    return [
        others[0]
        if len(others := by_look.get(alike(str(path)), [])) == 1 and not _is_there(path)
        else path
        for path in expected
    ]


def _is_there(path: Path) -> bool:
    """Whether there is anything of this name, and if it is a link that leads nowhere."""
    return os.path.lexists(path)


def _name(image: Path, base: Path) -> str:
    below = image.relative_to(base) if image.is_relative_to(base) else image
    parts = list(below.with_suffix("").parts)
    if IMAGES in parts[:-1]:
        parts.remove(IMAGES)
    return "/".join(parts)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that say something, numbered from 1."""
    if not _is_there(path):
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BrokenSampleError(path, f"is no text: {error}") from error
    except OSError as error:
        raise BrokenSampleError(path, f"cannot be read: {error.strerror}") from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _highest_class(path: Path) -> int:
    """Return the highest class of a text file; what is no class is told when it is read."""
    try:
        words = [line.split(maxsplit=1)[0] for _, line in _lines(path)]
    except BrokenSampleError:
        return -1
    numbers = []
    for word in words:
        with contextlib.suppress(ValueError, OverflowError):
            numbers.append(_class_number(word))
    return max((number for number in numbers if 0 <= number < IGNORE - 1), default=-1)
