"""COCO instance annotations: one JSON file with polygons or run-length encodings.

Every annotation is checked when its picture is read, so that a wrong one costs that picture alone.
Until then it stays the bytes it is in the file: COCO's own training part would be some GiB as
Python objects. Legend: H, W pixels of the picture.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from pycocotools import mask as coco_mask

from contract.errors import ConfigurationError, InvalidMessageError
from contract.json_text import JSON_ERRORS
from contract.mask import decode_mask
from model.data.data_set import BrokenSampleError, DataSet
from model.data.labels import IGNORE, Labelled, TrueShape
from model.data.read import ENDINGS, read_image
from model.data.shapes import Shape, draw, join_faults, polygons_rle


class _Category(msgspec.Struct):
    id: int
    name: str


class _Head(msgspec.Struct):
    """What says where an annotation belongs."""

    image_id: int


class _Picture(msgspec.Struct):
    id: int
    file_name: str
    width: int
    height: int


class _RunLengths(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


class _Annotation(msgspec.Struct):
    id: int
    image_id: int
    category_id: int
    area: float
    segmentation: _RunLengths | list[list[float]]
    iscrowd: int = 0


class _File(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[_Category]


class Coco(DataSet):
    """The pictures of one annotation file.

    Crowds are ignored; where objects overlap the smaller one is in front.

    Args:
        path: The JSON file.
        images: Folder that its ``file_name`` s are in; None looks for it beside the file.
        prefix: Put before every name, so that several files can be told apart.

    Attributes:
        image_ids: COCO's number of every picture.

    Raises:
        ConfigurationError: The file is missing or is no such file, or the pictures are not found.
    """

    def __init__(self, path: Path, images: Path | None = None, prefix: str = "") -> None:
        document = _parse(path)
        self.root = path
        self._orphans: list[BrokenSampleError] = []
        pictures = self._pictures(document.images)
        self._pictures_in_order = sorted(pictures.values(), key=lambda p: p.file_name)
        self.names = tuple(prefix + _stem(p.file_name) for p in self._pictures_in_order)
        self.image_ids = tuple(p.id for p in self._pictures_in_order)
        categories = sorted(document.categories, key=lambda c: c.id)
        self.classes = tuple(c.name for c in categories)
        self._labels = {c.id: label for label, c in enumerate(categories, start=1)}
        self._annotations = self._by_picture(document.annotations, pictures)
        self._images = images or _find_images(path, self._pictures_in_order)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image of picture ``index`` and the annotation file."""
        return (self._images / self._pictures_in_order[index].file_name, self.root)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return entries that belong to no picture."""
        return self._orphans

    def read(self, index: int) -> Labelled:
        """Read picture ``index``; all faults of its annotations are told together."""
        entry = self._pictures_in_order[index]
        path = self._images / entry.file_name
        image = read_image(path)
        height, width = image.shape[:2]
        if (width, height) != (entry.width, entry.height):
            raise BrokenSampleError(
                path,
                f"is {width}x{height} pixels, {self.root.name} says {entry.width}x{entry.height}",
            )
        label = {name: k for k, name in enumerate(self.classes, start=1)}
        shapes = [
            Shape(IGNORE if true.crowd else label[true.class_name], true.mask)
            for true in self.true_shapes(index)
        ]
        return Labelled(image, *draw(shapes, height, width))

    def true_shapes(self, index: int) -> list[TrueShape]:
        """Return the annotations of picture ``index``; all faults are told together."""
        entry = self._pictures_in_order[index]
        shapes, faults = [], []
        for raw in self._annotations.get(entry.id, []):
            shape, found = self._shape(raw, entry.height, entry.width)
            faults += found
            shapes += [shape] if shape else []
        if faults:
            raise BrokenSampleError(self.root, f"{entry.file_name}: {join_faults(faults)}")
        return shapes

    def _shape(self, raw: bytes, height: int, width: int) -> tuple[TrueShape | None, list[str]]:
        try:
            annotation = msgspec.json.decode(raw, type=_Annotation)
        except JSON_ERRORS as error:
            return None, [f"annotation {_id(raw)}: {error}"]
        faults = []
        label = self._labels.get(annotation.category_id)
        if label is None:
            faults.append(
                f"has category {annotation.category_id}, expected one of {sorted(self._labels)}"
            )
        if not annotation.area > 0:
            faults.append(f"has area {annotation.area}, expected more than 0")
        if isinstance(annotation.segmentation, _RunLengths):
            rle, found = _run_lengths(annotation.segmentation, height, width)
        else:
            rle, found = polygons_rle(annotation.segmentation, height, width)
        faults += found
        if faults or rle is None or label is None:
            return None, [f"annotation {annotation.id}: {fault}" for fault in faults]
        name = self.classes[label - 1]
        return TrueShape(rle, name, annotation.area, bool(annotation.iscrowd)), []

    def _pictures(self, entries: Sequence[msgspec.Raw]) -> dict[int, _Picture]:
        found: dict[int, _Picture] = {}
        stems: set[str] = set()
        for raw in entries:
            try:
                entry = msgspec.json.decode(raw, type=_Picture)
            except JSON_ERRORS as error:
                self._orphan(f"picture {_id(raw)}: {error}")
                continue
            if entry.id in found or _stem(entry.file_name) in stems:
                self._orphan(f"picture {entry.id}, {entry.file_name}, is listed twice; left out")
                continue
            stems.add(_stem(entry.file_name))
            found[entry.id] = entry
        return found

    def _by_picture(
        self, entries: Sequence[msgspec.Raw], pictures: dict[int, _Picture]
    ) -> dict[int, list[bytes]]:
        found: dict[int, list[bytes]] = {}
        decoder = msgspec.json.Decoder(_Head)
        for raw in entries:
            try:
                image_id = decoder.decode(raw).image_id
            except JSON_ERRORS as error:
                self._orphan(f"annotation {_id(raw)}: {error}")
                continue
            if image_id in pictures:
                found.setdefault(image_id, []).append(bytes(raw))
            else:
                self._orphan(f"annotation {_id(raw)}: there is no picture {image_id}")
        return found

    def _orphan(self, reason: str) -> None:
        self._orphans.append(BrokenSampleError(self.root, reason))


def _parse(path: Path) -> _File:
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such annotation file")
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_File)
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{path}: expected COCO annotations (images, annotations, categories): {error}"
        ) from error
    names, ids = [c.name for c in document.categories], [c.id for c in document.categories]
    twice = [
        f"{path}: categories {what} are not unique"
        for what, values in (("names", names), ("ids", ids))
        if len(set(values)) < len(values)
    ]
    if not 0 < len(names) < IGNORE:
        twice.append(f"{path}: has {len(names)} categories, expected 1..254")
    if twice:
        raise ConfigurationError(twice)
    return document


def _find_images(path: Path, pictures: Sequence[_Picture]) -> Path:
    """Return the first usual folder that holds any of the first pictures."""
    part = path.stem.removeprefix("instances_")
    above = path.parent.parent
    folders = [
        folder / name
        for folder in (path.parent, above)
        for name in (part, f"images/{part}", "images", ".")
    ]
    for folder in folders:
        if any(_is_file(folder / picture.file_name) for picture in pictures[:100]):
            return folder
    first = pictures[0].file_name if pictures else "any picture (the file lists none)"
    looked = ", ".join(str(folder) for folder in folders)
    raise ConfigurationError(f"{path}: expected {first} in one of {looked}")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def _run_lengths(
    lengths: _RunLengths, height: int, width: int
) -> tuple[dict[str, Any] | None, list[str]]:
    if tuple(lengths.size) != (height, width):
        return None, [f"has run lengths of size {list(lengths.size)}, expected {[height, width]}"]
    if isinstance(lengths.counts, list):
        total = sum(lengths.counts)
        if total != height * width or min(lengths.counts) < 0:
            return None, [f"has run lengths of {total} pixels, expected {height * width}"]
        plain = {"size": [height, width], "counts": lengths.counts}
        return coco_mask.frPyObjects(plain, height, width), []
    try:
        # Not pycocotools: of counts that end early it returns memory that nothing was written to.
        decode_mask({"size": [height, width], "counts": lengths.counts})
    except InvalidMessageError as error:
        return None, [f"has run lengths that do not decode: {error}"]
    return {"size": [height, width], "counts": lengths.counts.encode()}, []


def _id(raw: bytes) -> object:
    """Return the id of an entry that may be unreadable as what it ought to be."""
    try:
        entry = json.loads(bytes(raw).decode(errors="replace"), strict=False)
    except (ValueError, RecursionError):
        return "without id"
    return entry.get("id", "without id") if isinstance(entry, dict) else entry


def _stem(file_name: str) -> str:
    stem, dot, ending = file_name.rpartition(".")
    return stem if dot and f".{ending.lower()}" in ENDINGS else file_name
