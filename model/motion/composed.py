"""Composed pictures for other trainers: crowds and occlusions as a plain data set of label maps.

Legend: S pixels of the square picture.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from contract.errors import ConfigurationError
from model.augment.compose import CROWD, Composer
from model.data.data_set import DataSet, Subset
from model.data.labels import Labelled, Scene
from model.data.open import open_data_set
from model.motion.scene_store import StoredScene, read_description, read_scenes
from model.motion.stored_frames import Progress
from model.recipes.augmentation import CopyPaste

_OBJECTS = 16
_LARGEST_SIDE = 640
_SCALE = (1.0, 1.5)  # not smaller: the window stays inside the picture


def write_composed(root: Path, out: Path, count: int, seed: int, progress: Progress) -> None:
    """Compose pictures from the teaching part of a data set made from motion.

    Objects are pasted into pictures of their own scene only, as large as the place says; scenes
    have shares as large as their pictures are many.

    Args:
        root: The data set.
        out: Folder for the composed one.
        count: Number of pictures.
        seed: The same seed composes the same pictures.
        progress: Told about the progress.

    Raises:
        ConfigurationError: ``out`` exists, or ``root`` is no data set made from motion.
    """
    if out.exists():
        raise ConfigurationError(f"{out}: already exists, expected a new folder")
    data = open_data_set(root, layout="label-maps")
    description = read_description(root)
    held = set(description.get("validation", []))
    composers = [
        (_composer(data, stored, indices), len(indices))
        for stored in read_scenes(root)
        if (indices := _teaching(data, stored, held))
    ]
    if not composers:
        raise ConfigurationError(f"{root}: no scenes, expected a data set made from motion")
    shares = np.array([pictures for _, pictures in composers], float)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        composer, _ = composers[rng.choice(len(composers), p=shares / shares.sum())]
        _write(out, f"{number + 1:06d}", composer.draw(rng))
        progress("composing", number + 1, count)
    values = {"classes": list(data.classes), "credits": description.get("credits", "")}
    (out / "dataset.json").write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _teaching(data: DataSet, scene: StoredScene, held: set[str]) -> list[int]:
    """Indices of the pictures of a scene that do not validate."""
    of_scene = (i for i, name in enumerate(data.names) if name.startswith(f"{scene.name}/"))
    return [i for i in of_scene if data.names[i] not in held]


def _composer(data: DataSet, stored: StoredScene, indices: Sequence[int]) -> Composer:
    pictures = Subset(data, indices)
    scene = Scene(pictures, 1.0, _SCALE, stored.perspective, stored.front, stored.upside_down)
    height, width = pictures.read(0).labels.shape
    objects = CopyPaste(objects=_OBJECTS if stored.cut_outs else 0)  # as large as they were
    side = min(height, width, _LARGEST_SIDE)
    return Composer(
        [scene], stored.cut_outs, side, CROWD.model_copy(update={"copy_paste": objects})
    )


def _write(out: Path, name: str, picture: Labelled) -> None:
    _, numbers = np.unique(picture.instances, return_inverse=True)  # 0 first: there is background
    numbers = numbers.reshape(picture.instances.shape)
    if picture.instances.all():
        numbers = numbers + 1
    files = {
        "images": cv2.cvtColor(picture.image, cv2.COLOR_RGB2BGR),
        "instances": numbers.astype(np.uint16),
        "classes": picture.labels,
    }
    for folder, array in files.items():
        path = out / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(path), array):
            raise ConfigurationError(f"{path}: cannot be written; is the disk full?")
