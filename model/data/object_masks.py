"""One file per object: ``NAME/images/NAME.png`` beside ``NAME/masks/*.png``.

So the 2018 Data Science Bowl publishes its nuclei. What is not 0 in a mask is the object.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from contract.errors import ConfigurationError
from model.data.data_set import BrokenSampleError, DataSet, Split
from model.data.flaws import Flaw, FlawKind
from model.data.labels import UNNAMED, Labelled
from model.data.read import find_pictures, map_size, read_map, read_placed, show
from model.data.split_folders import split_by_folders

IMAGES, MASKS = "images", "masks"

_LOOKED_AT = 100
"""Folders that are looked at to recognise the layout."""


class ObjectMasks(DataSet):
    """Pictures with one mask per object; all of one class.

    Args:
        root: Folder with a folder per picture, at any depth.

    Raises:
        ConfigurationError: There are none.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.classes = root, (UNNAMED,)
        pictures = [p for p in find_pictures(root) if p.parent.name == IMAGES]
        self._images: dict[str, Path] = {}
        self._orphans = []
        for path in pictures:
            name = path.parent.parent.relative_to(root).as_posix()
            if name in self._images:
                reason = f"is left out: {self._images[name].name} is in the same folder"
                self._orphans.append(BrokenSampleError(path, reason))
            else:
                self._images[name] = path
        if not self._images:
            raise ConfigurationError(f"{root}: expected folders NAME/{IMAGES}/ and NAME/{MASKS}/")
        self.names = tuple(self._images)

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image and all masks of picture ``index``."""
        image = self._images[self.names[index]]
        folder = image.parent.parent / MASKS
        return (image, *(find_pictures(folder) if folder.is_dir() else ()))

    def part(self, split: Split) -> DataSet:
        """Return a part: by folders ``train*`` and ``val*`` where there are both, or by name."""
        return split_by_folders(self, split)

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        image_path, *mask_paths = self.files(index)
        if not mask_paths:
            folder = image_path.parent.parent / MASKS
            raise BrokenSampleError(folder, "there are no masks of this picture")
        image, upright = read_placed(image_path, map_size(mask_paths[0]))
        instances = np.zeros(image.shape[:2], np.int32)
        areas = [np.inf]
        flaws = []
        for number, path in enumerate(mask_paths, start=1):
            values = read_map(path, image.shape)
            numbers = np.unique(values[values != 0])
            if numbers.size > 1:
                raise BrokenSampleError(
                    path,
                    f"holds the numbers {numbers[:4].tolist()}, a label map; expected a mask of "
                    "one object",
                )
            inside = values != 0
            areas.append(float(inside.sum()))
            if not areas[number]:
                flaws.append(Flaw(FlawKind.EMPTY, path.name))
            # The smaller of two objects is in front, as in every layout of outlines.
            inside &= np.asarray(areas)[instances] > areas[number]
            instances[inside] = number
        seen = {0, *np.unique(instances).tolist()}
        flaws += [
            Flaw(FlawKind.COVERED, path.name)
            for number, path in enumerate(mask_paths, start=1)
            if areas[number] and number not in seen
        ]
        labels = (instances > 0).astype(np.uint8)
        return show(Labelled(image, instances, labels, tuple(flaws)), upright)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return further pictures of one folder."""
        return self._orphans


def has_object_masks(root: Path) -> bool:
    """Whether folders below ``root`` hold one picture each, and masks of other names."""
    if not root.is_dir():
        return False
    below = (folder for pattern in ("*", "*/*") for folder in root.glob(f"{pattern}/{MASKS}"))
    return any(_is_one_picture(folder.parent) for folder in islice(below, _LOOKED_AT))


def _is_one_picture(folder: Path) -> bool:
    if not (folder / IMAGES).is_dir():
        return False
    images, masks = find_pictures(folder / IMAGES), find_pictures(folder / MASKS)
    return len(images) == 1 and bool(masks) and images[0].stem not in {path.stem for path in masks}
