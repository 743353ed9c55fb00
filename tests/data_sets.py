"""Small data sets in every layout, written as the tools of that layout write them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (40, 60)
"""(height, width) of every made picture."""


def write_picture(path: Path, array: NDArray[Any] | None = None) -> Path:
    """Write an array, or a made photograph, in the format of its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if array is None:
        array = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    Image.fromarray(array).save(path)
    return path


def two_objects(dtype: type = np.uint16, first: int = 1, second: int = 2) -> NDArray[Any]:
    """Return a map with a square of 10 pixels and one of 20, background around them."""
    numbers = np.zeros(SIZE, dtype)
    numbers[5:15, 5:15] = first
    numbers[10:30, 30:50] = second
    return numbers


def write_label_maps(root: Path, names: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """Write pictures with two objects each."""
    for name in names:
        write_picture(root / "images" / f"{name}.png")
        write_picture(root / "instances" / f"{name}.png", two_objects())
    return root


def write_cityscapes(root: Path, numbers: dict[str, NDArray[Any]] | None = None) -> Path:
    """Write one picture for training and one for validation, or those of ``numbers``."""
    if numbers is None:
        whole = two_objects(np.uint16, 24_000, 26_001)
        numbers = {"train/ulm/ulm_000000_000019": whole, "val/bonn/bonn_000001_000019": whole}
    for name, values in numbers.items():
        write_picture(root / "leftImg8bit" / f"{name}_leftImg8bit.png")
        write_picture(root / "gtFine" / f"{name}_gtFine_instanceIds.png", values)
    return root


def box_polygon(x: float, y: float, width: float, height: float) -> list[float]:
    """Return the corners of a box."""
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def annotation(number: int, image: int, **changes: object) -> dict[str, object]:
    """Return a COCO annotation of a box of 10 x 10 pixels, with changes; None leaves a key out."""
    values: dict[str, object] = {
        "id": number,
        "image_id": image,
        "category_id": 18,
        "area": 100.0,
        "iscrowd": 0,
        "bbox": [5, 5, 10, 10],
        "segmentation": [box_polygon(5, 5, 10, 10)],
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def write_coco(
    path: Path, annotations: list[dict[str, object]], images: Path, count: int = 2
) -> Path:
    """Write an annotation file over ``count`` pictures, numbered 100, 101, ..."""
    height, width = SIZE
    entries = []
    for number in range(count):
        write_picture(images / f"{number:012}.jpg")
        entries.append(
            {"id": 100 + number, "file_name": f"{number:012}.jpg", "width": width, "height": height}
        )
    document = {
        "images": entries,
        "annotations": annotations,
        "categories": [{"id": 44, "name": "bottle"}, {"id": 18, "name": "dog"}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_yolo(root: Path, texts: dict[str, str | None]) -> Path:
    """Write pictures by name with their text; None leaves the text file out."""
    for name, text in texts.items():
        write_picture(root / "images" / f"{name}.jpg")
        if text is not None:
            path = root / "labels" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return root
