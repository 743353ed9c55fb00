"""Parsers of data sets of streets and of single masks, as functions of bytes; with good inputs."""

import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from contract.errors import SeedstreamError
from model.data.coco_panoptic import CocoPanoptic
from model.data.coco_sets import is_coco, open_coco
from model.data.data_set import Split
from model.data.mapillary import Mapillary
from model.data.object_masks import ObjectMasks
from model.data.yolo import Yolo
from tests import data_sets

FIELDS = b"\x1e"
"""Between the parts of an input that has several."""

_PARTS: tuple[Split, ...] = ("train", "validation")

_SEGMENTS = (3_000_001, 70_000)


def saved(pixels: Any, kind: str, **options: Any) -> bytes:
    """Return a picture file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def read_one(whole: Any, index: int) -> object:
    """Read one picture: its fault is its own, and no other picture's."""
    try:
        return whole.read(index)
    except SeedstreamError as error:
        return error


def panoptic(folder: Path) -> Callable[[bytes], object]:
    """Make the reader of a panoptic file and one map."""
    path = folder / "panoptic_a.json"
    data_sets.write_picture(folder / "a" / "x.jpg")
    path.with_suffix("").mkdir()

    def run(data: bytes) -> object:
        text, _, picture = data.partition(FIELDS)
        path.write_bytes(text)
        (path.with_suffix("") / "x.png").write_bytes(picture)
        whole = CocoPanoptic(path)
        whole.orphans(), whole.notes(), whole.files(0)
        return read_one(whole, 0)

    return run


def panoptic_seeds() -> list[bytes]:
    """Return a coloured map, and one of numbers."""
    height, width = data_sets.SIZE
    found = []
    for kind, numbers in (("RGB", _SEGMENTS), ("L", (7, 9))):
        values = data_sets.two_objects(np.int32, *numbers)
        colours = np.stack([values >> shift & 0xFF for shift in (0, 8, 16)], axis=2)
        pixels = (colours if kind == "RGB" else values).astype(np.uint8)
        segments = [
            {"id": number, "category_id": category, "iscrowd": 0}
            for number, category in zip(numbers, (18, 193), strict=True)
        ]
        document = {
            "images": [{"id": 9, "file_name": "x.jpg", "width": width, "height": height}],
            "annotations": [{"image_id": 9, "file_name": "x.png", "segments_info": segments}],
            "categories": [
                {"id": 18, "name": "dog", "isthing": 1},
                {"id": 193, "name": "grass", "isthing": 0},
            ],
        }
        found.append(json.dumps(document).encode() + FIELDS + saved(pixels, "PNG"))
    return found


def coco_sets(folder: Path) -> Callable[[bytes], object]:
    """Make the reader of a folder with two annotation files."""
    first, second = (folder / f"{name}.json" for name in ("train", "val"))
    data_sets.write_coco(first, [], folder)

    def run(data: bytes) -> object:
        one, _, two = data.partition(FIELDS)
        first.write_bytes(one)
        second.write_bytes(two)
        if not is_coco(folder):
            return None
        found: list[object] = []
        for split in _PARTS:
            part = open_coco(folder, split)
            part.orphans(), part.notes()
            found.append(read_one(part, 0) if len(part) else None)
        return found

    return run


def coco_sets_seeds() -> list[bytes]:
    """Return two files of the same classes, and a file of outlines with a panoptic one."""
    annotations = [data_sets.annotation(1, 100), data_sets.annotation(2, 101, category_id=44)]
    with tempfile.TemporaryDirectory() as folder:
        whole = data_sets.write_coco(Path(folder) / "a.json", annotations, Path(folder))
        text = whole.read_bytes()
    panoptic_text = panoptic_seeds()[0].partition(FIELDS)[0]
    return [text + FIELDS + text, text + FIELDS + panoptic_text, text]


def mapillary(folder: Path) -> Callable[[bytes], object]:
    """Make the reader of a configuration and one map."""
    data_sets.write_picture(folder / "training" / "images" / "a.jpg")
    (folder / "training" / "instances").mkdir()

    def run(data: bytes) -> object:
        text, _, picture = data.partition(FIELDS)
        (folder / "config.json").write_bytes(text)
        (folder / "training" / "instances" / "a.png").write_bytes(picture)
        whole = Mapillary(folder)
        whole.orphans()
        return read_one(whole, 0)

    return run


def mapillary_seeds() -> list[bytes]:
    """Return a street with two cars, and a map of 8 bits."""
    labels = [
        {"name": "void--unlabeled", "instances": False, "evaluate": False},
        {"name": "object--car", "instances": True, "evaluate": True},
        {"name": "marking--car", "instances": True, "evaluate": True},
    ]
    config = json.dumps({"labels": labels}).encode()
    maps = [data_sets.two_objects(np.uint16, 256, 513), data_sets.two_objects(np.uint8)]
    return [config + FIELDS + saved(pixels, "PNG") for pixels in maps]


def object_masks(folder: Path) -> Callable[[bytes], object]:
    """Make the reader of the masks of one picture."""
    data_sets.write_picture(folder / "a" / "images" / "a.png")
    masks = folder / "a" / "masks"
    masks.mkdir()
    whole = ObjectMasks(folder)

    def run(data: bytes) -> object:
        first, _, second = data.partition(FIELDS)
        (masks / "1.png").write_bytes(first)
        (masks / "2.png").write_bytes(second)
        return whole.read(0)

    return run


def object_mask_seeds() -> list[bytes]:
    """Return two masks of 8 bits, and two of 1 bit and 3 channels."""
    one, two = (data_sets.two_objects(np.uint8, *pair) for pair in ((255, 0), (0, 255)))
    gray = np.repeat(two[:, :, None], 3, axis=2)
    return [
        saved(one, "PNG") + FIELDS + saved(two, "PNG"),
        saved(one > 0, "PNG") + FIELDS + saved(gray, "PNG"),
    ]


def yolo_card(folder: Path) -> Callable[[bytes], object]:
    """Make the reader of a ``data.yaml`` that says where the parts are.

    The words of its target lead nowhere else, for a card may name any folder of the machine.
    """
    data_sets.write_yolo(folder, {"train/a": "0 0.1 0.1 0.5 0.1 0.5 0.5", "val/b": None})
    path = folder / "data.yaml"

    def run(data: bytes) -> object:
        path.write_bytes(data)
        whole = Yolo(path)
        whole.orphans()
        return [
            read_one(part, 0) for split in ("train", "validation") if len(part := whole.part(split))
        ]

    return run


YOLO_CARDS = [
    b"path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n",
    b"train: [images/train, images/val]\nval: images/val/b.jpg\nnc: 2\nnames: {0: cat, 1: dog}\n",
]
