"""LabelMe: one JSON file per picture, ``NAME.json`` beside ``NAME.jpg``.

Polygons, circles and masks are objects; what has one ``group_id`` and one label is one object. A
rectangle, turned or not, or a cuboid is a box without an outline, and ignored; points and lines are
left out. ``__ignore__`` is ignored. A picture that is no file of its own is read from
``imageData``. Classes are in the order of ``labels.txt`` where there is one, else of the alphabet.
"""

import base64
import binascii
import os
import tempfile
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
from pycocotools import mask as coco_mask

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS
from media.frames import Upright
from model.data.data_set import BrokenSampleError, DataSet, Split
from model.data.flaws import Flaw, FlawKind
from model.data.labelme_file import FileShape, decode, draw, groups, why_not_labelme
from model.data.labels import IGNORE, Image, Labelled
from model.data.read import ENDINGS, alike, find_pictures, read_placed, show, walk
from model.data.shapes import Shape, draw_labelled, join_faults
from model.data.split_folders import split_by_folders

NAMES = "labels.txt"

_IGNORED = "__ignore__"
_NOT_CLASSES = (_IGNORED, "_background_")

_MOST_DATA = 256 << 20
"""Longest picture inside a JSON file, in bytes of base64."""

_NO_DATA = (b"null", b'""')

_LOOKED_AT = 20
"""Files that are looked at to recognise the layout."""

_TEXT = msgspec.json.Decoder(str | None)


class _Entry(NamedTuple):
    image: Path | None
    text: Path


class LabelMe(DataSet):
    """Pictures with LabelMe's outlines.

    Args:
        root: Folder with the files, at any depth.

    Raises:
        ConfigurationError: There are none, or ``labels.txt`` is none.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._orphans: list[BrokenSampleError] = []
        pictures = _Pictures(root)
        self._entries: dict[str, _Entry] = {}
        labels: set[str] = set()
        for path in sorted(p for p in walk(root) if p.suffix.lower() == ".json"):
            reason = why_not_labelme(path)
            if reason:
                self._orphans.append(BrokenSampleError(path, reason))
                continue
            document = decode(path)
            image = pictures.find(path, document.imagePath)
            name = (image or path).relative_to(root).with_suffix("").as_posix()
            if image is None and bytes(document.imageData) in _NO_DATA:
                reason = (
                    f"its picture {document.imagePath!r} is not below {root}, and it has no "
                    "imageData"
                )
                self._orphans.append(BrokenSampleError(path, reason))
            elif name in self._entries:
                reason = f"is left out: {self._entries[name].text.name} labels the same picture"
                self._orphans.append(BrokenSampleError(path, reason))
            else:
                self._entries[name] = _Entry(image, path)
                labels |= {shape.name for shape in document.shapes}
        if not self._entries:
            faults = [f"{fault.path}: {fault.reason}" for fault in self._orphans[:8]]
            raise ConfigurationError(
                [*faults, f"{root}: expected pictures with a JSON file of LabelMe each"]
            )
        self.names = tuple(self._entries)
        self.classes = _class_names(root, labels)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image, unless it is inside the JSON file, and JSON file of picture ``index``."""
        image, text = self._entries[self.names[index]]
        return (text,) if image is None else (image, text)

    def part(self, split: Split) -> DataSet:
        """Return a part: by folders ``train*`` and ``val*`` where there are both, or by name."""
        return split_by_folders(self, split)

    def read(self, index: int) -> Labelled:
        """Read picture ``index``; all faults of its outlines are told together."""
        image_path, path = self._entries[self.names[index]]
        try:
            document = decode(path)
        except (*JSON_ERRORS, OSError) as error:
            raise BrokenSampleError(path, f"is no file of LabelMe: {error}") from error
        stated = None
        if document.imageHeight and document.imageWidth:
            stated = (int(document.imageHeight), int(document.imageWidth))
        if image_path is None:
            image, upright = _inside(path, document.imageData, stated)
        else:
            image, upright = read_placed(image_path, stated)
        height, width = image.shape[:2]
        if stated not in (None, (height, width)):
            raise BrokenSampleError(
                image_path or path,
                f"is {width}x{height} pixels (width x height), {path.name} says "
                f"{document.imageWidth:g}x{document.imageHeight:g}",
            )
        shapes, faults = [], []
        flaws: list[Flaw] = []
        for where, parts in groups(document.shapes):
            shape, kinds, wrong = self._object(parts, height, width)
            faults += [f"{where} {fault}" for fault in wrong]
            flaws += [Flaw(kind, where) for kind in dict.fromkeys(kinds)]
            shapes += [shape] if shape else []
        if faults:
            raise BrokenSampleError(path, join_faults(faults))
        return show(draw_labelled(image, shapes, flaws), upright)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return JSON files without a picture, and those that are none of LabelMe's."""
        return self._orphans

    def _object(
        self, parts: Sequence[FileShape], height: int, width: int
    ) -> tuple[Shape | None, list[FlawKind], list[str]]:
        """Return an object of one or several shapes, its flaws and its faults."""
        kinds: list[FlawKind] = []
        faults: list[str] = []
        drawn: list[Any] = []
        lost: list[Any] = []
        for part in parts:
            rle, own, fault = draw(part, height, width)
            kinds += own
            faults += fault
            if rle is not None:
                (lost if any(kind.lost for kind in own) else drawn).append(rle)
        label = parts[0].name
        known = label in self.classes
        if not known and label not in _NOT_CLASSES:
            kinds.append(FlawKind.UNKNOWN_CLASS)
        pieces = drawn or lost
        if faults or not pieces or label == _NOT_CLASSES[1]:
            return None, kinds, faults
        number = self.classes.index(label) + 1 if known and drawn else IGNORE
        return Shape(number, coco_mask.merge(pieces)), kinds, []


class _Pictures:
    """Finds the picture of a JSON file: as it says, beside it, or by the end of what it says."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._places: dict[str, list[Path]] = {}
        self._by_name: dict[str, list[Path]] = {}
        for path in find_pictures(root):
            self._places.setdefault(_place(path), []).append(path)
            self._by_name.setdefault(alike(path.name), []).append(path)

    def find(self, path: Path, said: str) -> Path | None:
        """Return the picture, None if there is none below the root, or nothing says which."""
        named = PurePosixPath(said.replace("\\", "/"))
        places = [path.parent / named, path.parent / named.name]
        places += [path.with_suffix(ending) for ending in ENDINGS]
        for place in places:
            found = self._places.get(_place(place), [])
            exact = [each for each in found if each.name == place.name]
            if len(exact or found) == 1:
                return (exact or found)[0]
        return self._ending_so(named)

    def _ending_so(self, named: PurePosixPath) -> Path | None:
        """Return the picture whose folders agree longest with those that were named."""
        others = self._by_name.get(alike(named.name), [])
        for start in range(len(named.parts)):
            ending = [alike(part) for part in named.parts[start:]]
            found = [p for p in others if [alike(x) for x in p.parts[-len(ending) :]] == ending]
            if found:
                return found[0] if len(found) == 1 else None
        return None


def _place(path: Path) -> str:
    """Return where a file is, without ``..`` and as `alike` has it; links stay."""
    return alike(os.path.abspath(path))  # noqa: PTH100


def is_labelme(root: Path) -> bool:
    """Whether the first JSON files of a folder, up to two folders down, hold one of LabelMe's."""
    found = chain.from_iterable(
        sorted(path for path in root.glob(f"{above}*.[jJ]*") if _is_json(path))
        for above in ("", "*/", "*/*/")
    )
    return any(not why_not_labelme(path) for path in islice(found, _LOOKED_AT))


def _is_json(path: Path) -> bool:
    return path.suffix.lower() == ".json" and not path.name.startswith(".")


def _inside(path: Path, data: msgspec.Raw, stated: tuple[int, int] | None) -> tuple[Image, Upright]:
    """Read the picture that is inside a JSON file as `read_placed` does."""
    size = len(bytes(data))
    if size > _MOST_DATA:
        raise BrokenSampleError(
            path, f"has imageData of {size} bytes, at most {_MOST_DATA} are read; save it as a file"
        )
    try:
        content = base64.b64decode(_TEXT.decode(data) or "", validate=True)
    except (*JSON_ERRORS, binascii.Error, ValueError) as error:
        raise BrokenSampleError(path, f"has imageData that is no base64: {error}") from error
    with tempfile.NamedTemporaryFile(prefix="labelme") as file:
        file.write(content)
        file.flush()
        try:
            return read_placed(Path(file.name), stated)
        except BrokenSampleError as error:
            raise BrokenSampleError(path, f"has imageData that {error.reason}") from error


def _class_names(root: Path, labels: set[str]) -> tuple[str, ...]:
    """Return the names of ``labels.txt``, or those of the outlines in the order of the alphabet."""
    path = root / NAMES
    names = sorted(labels)
    if path.is_file():
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        names = [line.strip() for line in text.splitlines() if line.strip()]
    names = [name for name in names if name not in _NOT_CLASSES]
    if len(set(names)) < len(names) or len(names) >= IGNORE or not names:
        where = path if path.is_file() else root
        raise ConfigurationError(f"{where}: expected 1..254 different labels, got {names!r:.200}")
    return tuple(names)
