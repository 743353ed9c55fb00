"""COCO's annotation file: what its entries may look like.

Exporters differ in what the format leaves open: numbers as text, sizes or areas that are missing,
``iscrowd`` as null or true. Every decoder is made when this module is loaded: msgspec 0.22 crashes
where two threads decode a type for the first time.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS, json_fault, why_not, without_mark
from model.data.coco_categories import (
    Category,
    Key,
    groups,
    in_order,
    narrowed,
    same,
    things,
)

TRUE = frozenset((b"1", b"1.0", b"true", b'"1"', b'"true"', b'"True"'))
"""How ``iscrowd`` is written where it is set."""

_T = TypeVar("_T")


class Head(msgspec.Struct):
    """What says where an annotation belongs; the rest is looked at when its picture is read."""

    image_id: Key
    category_id: msgspec.Raw = msgspec.Raw(b"null")
    iscrowd: msgspec.Raw = msgspec.Raw(b"null")


class Picture(msgspec.Struct):
    """A picture; without its size it has that of its file.

    LVIS has no ``file_name``: the last folder and the name of its ``coco_url`` are meant.
    """

    id: Key
    file_name: str = ""
    width: float | None = None
    height: float | None = None
    coco_url: str | None = None
    neg_category_ids: list[Key] | None = None
    not_exhaustive_category_ids: list[Key] | None = None

    def __post_init__(self) -> None:
        """Take the address for the name where there is no name."""
        self.file_name = self.file_name or "/".join((self.coco_url or "").split("/")[-2:])
        if not self.file_name:
            raise ValueError("Object missing required field `file_name`")
        self.coco_url = None

    @property
    def federated(self) -> bool:
        """Whether only some classes were looked for in it."""
        return self.neg_category_ids is not None or bool(self.not_exhaustive_category_ids)

    @property
    def size(self) -> tuple[int, int] | None:
        """Return (width, height) in pixels, None unless the file says both."""
        if not self.width or not self.height:
            return None
        return int(self.width), int(self.height)


class RunLengths(msgspec.Struct):
    """A mask by columns."""

    size: tuple[int, int]
    counts: str | list[int]


class Annotation(msgspec.Struct):
    """One object."""

    image_id: Key
    id: Key | None = None
    category_id: Key | None = None
    area: float | None = None
    segmentation: RunLengths | list[float | list[float]] | None = None
    bbox: msgspec.Raw = msgspec.Raw(b"null")
    iscrowd: bool | float | str | None = None

    @property
    def crowd(self) -> bool:
        """Return whether it is a group of objects that were not taken apart."""
        return _is_set(self.iscrowd)


class Segment(msgspec.Struct):
    """One colour of a panoptic map."""

    id: int
    category_id: Key | None = None
    iscrowd: bool | float | str | None = None

    @property
    def crowd(self) -> bool:
        """Return whether it is a group of objects that were not taken apart."""
        return _is_set(self.iscrowd)


class Panoptic(msgspec.Struct):
    """What the colours of one picture's map mean."""

    segments_info: list[Segment]
    file_name: str = ""


class Place(msgspec.Struct):
    """What is left of an annotation whose other values cannot be read."""

    bbox: msgspec.Raw = msgspec.Raw(b"null")


class Document(msgspec.Struct):
    """The whole file; entries stay bytes, for COCO's own training part would be GiB of objects."""

    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[Category]


class _Categories(msgspec.Struct):
    categories: list[Category]


class _Form(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw]
    categories: list[msgspec.Raw]


annotations = msgspec.json.Decoder(Annotation)
heads = msgspec.json.Decoder(Head)
panoptics = msgspec.json.Decoder(Panoptic)
pictures = msgspec.json.Decoder(Picture)
places = msgspec.json.Decoder(Place)
boxes = msgspec.json.Decoder(tuple[float, float, float, float])
_documents = msgspec.json.Decoder(Document)
_categories = msgspec.json.Decoder(_Categories)
_forms = msgspec.json.Decoder(_Form)
_keys = msgspec.json.Decoder(Key | None)


def read_document(path: Path, among: Sequence[str] = ()) -> Document:
    """Read an annotation file.

    Args:
        path: The file.
        among: Names of the categories that are enough where there are more than a model can have,
            as in LVIS. Objects of the others are then background: they are left out, or in a
            panoptic file taken for stuff.

    Raises:
        ConfigurationError: It is missing, is no such file, or has too many categories and none of
            ``among``.
    """
    document = _decode(path, _documents)
    own = things(document.categories)
    dropped = {same(each.id) for each in own} - {
        same(each.id) for each in narrowed(own, among, path)
    }
    if not dropped:
        return document
    if is_panoptic(path):
        for each in document.categories:
            if same(each.id) in dropped:
                each.isthing = 0
        return document
    return Document(
        document.images,
        [raw for raw in document.annotations if _category(raw) not in dropped],
        [each for each in document.categories if same(each.id) not in dropped],
    )


def _category(raw: msgspec.Raw) -> str | None:
    """Return the number of an annotation's category; None where it has none that can be read."""
    try:
        key = _keys.decode(heads.decode(raw).category_id)
    except JSON_ERRORS:  # told when its picture is read
        return None
    return None if key is None else same(key)


def read_categories(path: Path) -> list[Category]:
    """Read the categories alone, which is quick even of a large file.

    Raises:
        ConfigurationError: The file is missing, or is no annotation file.
    """
    return _decode(path, _categories).categories


def is_panoptic(path: Path) -> bool:
    """Whether an annotation file tells the colours of maps instead of outlines."""
    try:
        return b'"segments_info"' in path.read_bytes()
    except OSError:
        return False


def is_coco(path: Path) -> bool:
    """Whether a file holds pictures, annotations and categories."""
    return not why_not_coco(path)


def why_not_coco(path: Path) -> str:
    """Return why a file holds no pictures, annotations and categories; "" where it does."""
    return why_not(path, _forms)


def _decode(path: Path, decoder: msgspec.json.Decoder[_T]) -> _T:
    if not path.is_file():
        raise ConfigurationError(f"{path}: there is no such annotation file")
    content = without_mark(path.read_bytes())
    try:
        return decoder.decode(content)
    except JSON_ERRORS as error:
        raise ConfigurationError(
            f"{path}: expected COCO annotations (images, annotations, categories): "
            f"{json_fault(error, content)}"
        ) from error


def used_categories(entries: Iterable[msgspec.Raw]) -> set[str]:
    """Return the numbers of the categories that annotations have."""
    found: set[bytes] = set()
    for entry in entries:
        try:
            found.add(bytes(heads.decode(entry).category_id))
        except JSON_ERRORS:  # told when it is looked at
            continue
    used = set()
    for text in found:
        try:
            key = _keys.decode(text)
        except JSON_ERRORS:
            continue
        if key is not None:
            used.add(same(key))
    return used


def without_groups(document: Document) -> list[Category]:
    """Return the categories by number, without `groups` that have no annotation."""
    categories = in_order(document.categories)
    lone = groups(categories)
    used = used_categories(document.annotations) if lone else set()
    return [each for each in categories if each not in lone or same(each.id) in used]


def _is_set(value: float | str | None) -> bool:
    return value in (1, "1", "true", "True")


def label_of(raw: bytes) -> str:
    """Return how to name an annotation that may be unreadable as what it ought to be."""
    try:
        entry = json.loads(bytes(raw).decode(errors="replace"), strict=False)
    except (ValueError, RecursionError):
        return "without id"
    return str(entry.get("id", "without id") if isinstance(entry, dict) else entry)
