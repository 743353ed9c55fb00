"""Folder of pictures beside a folder of label maps.

``images/`` holds pictures, ``instances/`` one single-channel picture each of the same name whose
values number the instances (0: none), ``classes/`` (optional) one each with the class (0: none,
1..K, 255: ignored), ``dataset.json`` (optional) the class names.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from model.data.dataset import BrokenSampleError, DataSet
from model.data.labels import IGNORE, Image, Labelled

CARD = "dataset.json"
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


class LabelMaps(DataSet):
    """Pictures with label maps.

    Args:
        root: Folder with ``images/`` and ``instances/``.
        classes: Class names; None takes those of ``dataset.json``, or ``object``.

    Raises:
        ConfigurationError: A folder is missing, or ``dataset.json`` is none.
    """

    def __init__(self, root: Path, classes: Sequence[str] | None = None) -> None:
        missing = [name for name in ("images", "instances") if not (root / name).is_dir()]
        if missing:
            found = sorted(path.name for path in root.iterdir()) if root.is_dir() else "nothing"
            raise ConfigurationError(
                f"{root}: expected folders images/ and instances/, {missing} missing, found {found}"
            )
        self.root = root
        self.classes = tuple(classes or _card_classes(root / CARD) or ("object",))
        images = sorted(
            path for path in (root / "images").rglob("*") if path.suffix.lower() in ENDINGS
        )
        self._images = images
        self.names = tuple(
            path.relative_to(root / "images").with_suffix("").as_posix() for path in images
        )
        self._has_classes = (root / "classes").is_dir()

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image, instances and, where there are any, classes of picture ``index``."""
        folders = ["instances", *(["classes"] if self._has_classes else [])]
        return (self._images[index], *(self._map(folder, index) for folder in folders))

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        paths = self.files(index)
        image = read_image(paths[0])
        instances = _read_map(paths[1], image.shape[:2]).astype(np.int32)
        if not self._has_classes:
            return Labelled(image, instances, (instances > 0).astype(np.uint8))
        classes = _read_map(paths[2], image.shape[:2])
        wrong = sorted({*np.unique(classes).tolist()} - {*range(len(self.classes) + 1), IGNORE})
        if wrong:
            raise BrokenSampleError(
                paths[2], f"holds the classes {wrong}, expected 0..{len(self.classes)} and {IGNORE}"
            )
        labels: Image = classes.astype(np.uint8)
        return Labelled(image, np.where(labels == IGNORE, 0, instances), labels)

    def _map(self, folder: str, index: int) -> Path:
        stem = self.root / folder / self.names[index]
        candidates = (stem.with_name(stem.name + ending) for ending in ENDINGS)
        return next(
            (path for path in candidates if path.exists()), stem.with_name(f"{stem.name}.png")
        )


def read_image(path: Path) -> Image:
    """Read a picture as (H, W, 3) uint8 RGB; 16 bits a channel are shifted down to 8.

    Raises:
        BrokenSampleError: It is missing or does not decode.
    """
    if not path.exists():
        raise BrokenSampleError(path, "no such picture")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise BrokenSampleError(path, "does not decode as a picture")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _read_map(path: Path, shape: tuple[int, ...]) -> NDArray[np.generic]:
    if not path.exists():
        raise BrokenSampleError(path, "no such label map")
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2:
        seen = "does not decode" if values is None else f"has {values.shape[-1]} channels"
        raise BrokenSampleError(path, f"{seen}, expected a label map of one channel")
    if values.shape != shape:
        raise BrokenSampleError(path, f"is {values.shape}, its picture {tuple(shape)}")
    return np.asarray(values)


def _card_classes(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    try:
        return tuple(str(name) for name in json.loads(path.read_text())["classes"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f'{path}: expected a JSON object with "classes": [...]: {error}'
        ) from error
