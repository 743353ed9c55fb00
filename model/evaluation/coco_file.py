"""True masks of COCO annotation files as they are there, overlaps and crowds included.

A picture of a data set gives each pixel to one instance; COCO's own measure knows masks that
overlap, and sizes by the annotation's ``area``.
"""

import contextlib
import io
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pycocotools.coco import COCO

from model.evaluation.classes import IGNORED, Pairing


class TrueShape(NamedTuple):
    """One true instance.

    Attributes:
        mask: Run-length encoding, as pycocotools has it.
        class_name: Class of the model; ``ignore`` stands for every class.
        area: Pixels, as annotated.
        crowd: Whether what lies on it counts neither way.
    """

    mask: Mapping[str, Any]
    class_name: str
    area: float
    crowd: bool


class CocoFiles:
    """Annotation files, each read once.

    Args:
        pairing: Which of their categories is which class of the model.
    """

    def __init__(self, pairing: Pairing) -> None:
        self._becomes = pairing.becomes
        self._opened: dict[Path, tuple[COCO, dict[str, list[tuple[str, int]]]]] = {}

    def shapes(self, image: Path, file: Path) -> list[TrueShape]:
        """Return the true instances of a picture.

        Args:
            image: The picture, somewhere above which the file's ``file_name`` begins.
            file: The annotation file.
        """
        if file not in self._opened:
            self._opened[file] = _open(file)
        coco, by_name = self._opened[file]
        place = f"/{image.as_posix()}"
        number = next(n for name, n in by_name[image.name] if place.endswith(f"/{name}"))
        shapes = []
        for annotation in coco.imgToAnns[number]:
            name = self._becomes.get(coco.cats[annotation["category_id"]]["name"])
            if name is not None:
                crowd = bool(annotation.get("iscrowd", 0)) or name == IGNORED
                mask = coco.annToRLE(annotation)
                shapes.append(TrueShape(mask, name, float(annotation["area"]), crowd))
        return shapes


def _open(file: Path) -> tuple[COCO, dict[str, list[tuple[str, int]]]]:
    with contextlib.redirect_stdout(io.StringIO()):  # its progress
        coco = COCO(str(file))
    by_name = defaultdict(list)
    for entry in coco.dataset["images"]:
        name = str(entry["file_name"])
        by_name[name.rpartition("/")[2]].append((name, int(entry["id"])))
    for entries in by_name.values():  # of a/b.jpg and b.jpg the longer one fits better
        entries.sort(key=lambda entry: -len(entry[0]))
    return coco, by_name
