"""Composed pictures for other trainers: crowds and occlusions as a plain data set of label maps.

Legend: S pixels of the square picture.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from contract.errors import ConfigurationError
from model.augment.compose import CROWD, Composer
from model.data.data_set import DataSet, Subset
from model.data.label_maps import CARD
from model.data.labels import Labelled, Scene
from model.data.open import open_data_set
from model.motion.root import stage_for, writing
from model.motion.scene_store import StoredScene, read_description, read_scenes
from model.motion.stored_frames import Progress
from model.recipes.augmentation import CopyPaste

_OBJECTS = 16
_LARGEST_SIDE = 640
_SCALE = (1.0, 1.5)  # not smaller: the window stays inside the picture


def composed_folder(root: Path) -> Path:
    """Return the folder for the pictures composed of a data set, which must be free.

    Args:
        root: The data set; need not be there yet.

    Raises:
        ConfigurationError: The folder exists or cannot be made.
    """
    named = root if root.name not in ("", "..") else root.resolve()
    out = named.parent / f"{named.name}-composed"
    check_free(out)
    with writing(out):
        there = next(path for path in out.parents if path.exists())
    if not os.access(there, os.W_OK):
        raise ConfigurationError(f"{out}: cannot be made: {there} cannot be written")
    return out


def check_free(out: Path) -> None:
    """Refuse a folder for composed pictures that exists.

    Raises:
        ConfigurationError: It does.
    """
    if os.path.lexists(out):
        raise ConfigurationError(f"{out}: already exists, expected a new folder")


def write_composed(root: Path, out: Path, count: int, seed: int, progress: Progress) -> None:
    """Compose pictures from the teaching part of a data set made from motion.

    Objects are pasted into pictures of their own scene only, as large as the place says; scenes
    have shares as large as their pictures are many. What is doubtful about the labels of the data
    set is so about theirs: its warnings are repeated.

    Args:
        root: The data set.
        out: Folder for the composed one.
        count: Number of pictures.
        seed: The same seed composes the same pictures.
        progress: Told about the progress.

    Raises:
        ConfigurationError: ``out`` exists or cannot be written, or ``root`` is no data set made
            from motion. Nothing was written then.
    """
    check_free(out)
    with writing(out), stage_for(out) as stage:
        made = stage / "made"
        _write_all(root, made, count, seed, progress)
        made.rename(out)


def _write_all(root: Path, out: Path, count: int, seed: int, progress: Progress) -> None:
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
    values = {
        "classes": list(data.classes),
        "credits": description.get("credits", ""),
        "warnings": list(data.warnings()),
    }
    (out / CARD).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


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
