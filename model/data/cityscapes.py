"""Cityscapes as it is downloaded: ``leftImg8bit/SPLIT/CITY/`` beside ``gtFine/SPLIT/CITY/``.

An ``*_instanceIds.png`` holds, per pixel, ``class * 1000 + n`` for object ``n`` of one of the
classes that have objects, or just the class. What the numbers mean is taken from the official
table, ``cityscapesscripts.helpers.labels``:

* the eight classes that are evaluated become labels 1..8, their objects keep their number;
* a group of them that was not taken apart (the class alone, below 1000) is ignored: objects are
  there, but not which pixel is whose;
* caravans and trailers are ignored as well: vehicles that are not evaluated as any of the eight, so
  that neither finding nor missing them should be punished;
* everything else is background. So are the void classes without objects (unlabelled, ego vehicle,
  static, dynamic, ground, ...), although the benchmark forgives detections there: a deployed model
  must stay silent on its own bonnet or a bin, and learns that only if they are background. A
  licence plate never appears in these files, the vehicle around it does.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError, DataSet, Split
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, Labelled
from model.data.read import map_size, read_map, read_placed, show
from model.data.split_folders import notes_on_parts, split_by_folders

CLASSES = {
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
"""The classes with objects that are evaluated, by their official number."""

IGNORED = (29, 30)
"""Caravan and trailer: classes with objects that are not evaluated."""

BACKGROUND_BELOW = 24

FOLDERS = ("train", "val")
KINDS = IMAGES, LABELS = "leftImg8bit", "gtFine"
_COARSE, _EXTRA = "gtCoarse", "train_extra"
_IMAGE_ENDING, _LABELS_ENDING = "_leftImg8bit.png", "_gtFine_instanceIds.png"


class Cityscapes(DataSet):
    """Street scenes of 50 cities.

    The test pictures have no labels and are never read.

    Args:
        root: Folder that holds ``leftImg8bit`` and ``gtFine``, each with ``train`` or ``val`` or
            both.

    Raises:
        ConfigurationError: Neither part is there, or one lacks its pictures or labels.
    """

    def __init__(self, root: Path) -> None:
        self._parts = [
            part for part in FOLDERS if any((root / kind / part).is_dir() for kind in KINDS)
        ]
        wanted = [root / kind / part for kind in KINDS for part in self._parts or FOLDERS]
        missing = [f"{folder}: there is no such folder" for folder in wanted if not folder.is_dir()]
        if missing:
            hints = _hints(root)
            raise ConfigurationError(
                [*missing, f"{root}: expected Cityscapes with train, val or both, see above{hints}"]
            )
        self.root = root
        self.classes = tuple(CLASSES.values())
        below = root / IMAGES
        files = [path for part in self._parts for path in _ending_so(below / part, _IMAGE_ENDING)]
        if not files:
            raise ConfigurationError(
                f"{below}: no pictures {'/ or '.join(self._parts)}/CITY/NAME{_IMAGE_ENDING}"
            )
        self.names = tuple(
            path.relative_to(below).as_posix().removesuffix(_IMAGE_ENDING) for path in files
        )
        self._table = _label_table()

    def files(self, index: int) -> tuple[Path, ...]:
        """Return image and instance numbers of picture ``index``."""
        name = self.names[index]
        return (
            self.root / IMAGES / f"{name}{_IMAGE_ENDING}",
            self.root / LABELS / f"{name}{_LABELS_ENDING}",
        )

    def part(self, split: Split) -> DataSet:
        """Return the official part; where only training is on disk, it is split by name."""
        return split_by_folders(self, split, official=True)

    def notes(self) -> Sequence[str]:
        """Return that a part is missing."""
        return notes_on_parts(self._parts, FOLDERS)

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        image_path, labels_path = self.files(index)
        image, upright = read_placed(image_path, map_size(labels_path))
        numbers = read_map(labels_path, image.shape).astype(np.int32)
        single = numbers >= 1000
        official = np.where(single, numbers // 1000, numbers)
        wrong = (official > max(CLASSES)) | (single & (official < BACKGROUND_BELOW))
        if wrong.any():
            raise BrokenSampleError(
                labels_path,
                f"has the numbers {np.unique(numbers[wrong])[:8].tolist()}, expected a class 0..33 "
                "or, for objects, class * 1000 + n with a class 24..33",
            )
        labels = self._table[official]
        # A group of a class that has objects, or an object of a class that is not evaluated.
        group = (labels != 0) & ~single
        groups = np.intersect1d(official[group], [*CLASSES]).tolist()
        flaws = tuple(Flaw(FlawKind.CROWD, f"{CLASSES[number]} group") for number in groups)
        labels[group] = IGNORE
        instances = np.where((labels > 0) & (labels < IGNORE), numbers, 0)
        return show(Labelled(image, instances, labels, flaws), upright)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return label files without a picture."""
        known = set(self.names)
        below = self.root / LABELS
        return [
            BrokenSampleError(path, f"there is no picture of this name below {IMAGES}/")
            for part in self._parts
            for path in _ending_so(below / part, _LABELS_ENDING)
            if path.relative_to(below).as_posix().removesuffix(_LABELS_ENDING) not in known
        ]


def _ending_so(part: Path, ending: str) -> list[Path]:
    """Return the files of a part's cities that end so, without hidden ones."""
    return sorted(p for p in part.glob(f"*/*{ending}") if not p.name.startswith("."))


def _hints(root: Path) -> str:
    """Return what else of Cityscapes lies there that is not read, as the end of a sentence."""
    found = []
    if (root / _COARSE).is_dir():
        found.append(f"{_COARSE}/ holds rough outlines, which are not read")
    if any((root / kind / _EXTRA).is_dir() for kind in (IMAGES, _COARSE)):
        found.append(f"{_EXTRA}/ has no fine labels")
    return "".join(f"; {each}" for each in found)


def _label_table() -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return the label (0, 1..8, 255) of every official class."""
    table = np.zeros(max(CLASSES) + 1, np.uint8)
    table[list(IGNORED)] = IGNORE
    table[list(CLASSES)] = range(1, len(CLASSES) + 1)
    return table
