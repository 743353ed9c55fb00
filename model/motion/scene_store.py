"""What a data set made from motion holds beside its label maps: one scene per fixed camera.

``scenes/NAME/`` belongs to the pictures ``NAME/...`` of the data set: ``scene.json``, ``front.png``
where something stands in front of objects, and ``cutouts/NUMBER_CLASS.png`` (RGBA). All of it is
there for copy-paste; a reader that knows nothing of it sees a plain data set of label maps.

Legend: H, W pixels of the camera's picture, h, w pixels of a cut-out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from model.data.labels import CutOut

SCENES = "scenes"
"""Folder of the scenes below the root of a data set."""

_SCHEMA = 1


@dataclass(frozen=True, eq=False)
class StoredScene:
    """What pasting into the pictures of one fixed camera has to respect.

    Attributes:
        name: The scene's pictures are those whose name begins with ``NAME/``.
        perspective: (slope, intercept): an object whose feet stand in row ``y`` is ``slope * y +
            intercept`` pixels high; None where the place says nothing about size.
        front: (H, W) int32: row of the foot of the thing that covers the pixel, 0 where there is
            none; None where nothing stands in front.
        upside_down: Whether a picture may be flipped vertically.
        cut_outs: Isolated objects; a label ``k`` is class ``k - 1`` of the data set.
    """

    name: str
    perspective: tuple[float, float] | None = None
    front: NDArray[np.int32] | None = None
    upside_down: bool = False
    cut_outs: Sequence[CutOut] = field(default=(), repr=False)


def write_scene(
    root: Path,
    scene: StoredScene,
    classes: Sequence[str],
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a scene below the data set ``root``; a scene of this name is written over.

    Args:
        root: Folder of the data set.
        scene: What to write.
        classes: Class names of the data set, for the names of the cut-outs' files.
        details: Further values for ``scene.json``, for people to read.
    """
    folder = root / SCENES / scene.name
    folder.mkdir(parents=True, exist_ok=True)
    if scene.front is not None:
        _write_png(folder / "front.png", scene.front.astype(np.uint16))
    for number, cut_out in enumerate(scene.cut_outs, start=1):
        write_cut_out(root, scene.name, number, cut_out, classes)
    values = {
        "schema": _SCHEMA,
        "perspective": scene.perspective,
        "upside_down": scene.upside_down,
        **(details or {}),
    }
    text = json.dumps(values, indent=2, ensure_ascii=False)
    content = f"{text}\n".encode(errors="backslashreplace")  # of names that are no UTF-8
    (folder / "scene.json").write_bytes(content)


def write_cut_out(
    root: Path, scene: str, number: int, cut_out: CutOut, classes: Sequence[str]
) -> Path:
    """Write one cut-out of a scene as an RGBA picture and return its path."""
    name = f"{number:05d}_{classes[cut_out.label - 1]}.png"
    path = root / SCENES / scene / "cutouts" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_png(path, np.dstack([cut_out.image[..., ::-1], cut_out.alpha]))
    return path


def read_scenes(root: Path) -> list[StoredScene]:
    """Read all scenes of a data set, sorted by name; none where it was not made from motion.

    Args:
        root: Folder of the data set, as in `model.data.data_set.DataSet.root`.

    Raises:
        ConfigurationError: A file does not decode or names a class that the data set has not;
            all such faults.
    """
    files = sorted((root / SCENES).glob("*/scene.json")) if root.is_dir() else []
    if not files:
        return []
    classes = read_classes(root)
    faults: list[str] = []
    scenes = [_read_scene(file, classes, faults) for file in files]
    if faults:
        raise ConfigurationError(faults)
    return scenes


def read_classes(root: Path) -> tuple[str, ...]:
    """Return the class names in the ``dataset.json`` of a data set.

    Raises:
        ConfigurationError: The file is missing or holds no class names.
    """
    return tuple(read_description(root)["classes"])


def read_description(root: Path) -> dict[str, Any]:
    """Return the values of the ``dataset.json`` of a data set made from motion.

    Raises:
        ConfigurationError: The file is missing, is no JSON object or has no class names.
    """
    path = root / "dataset.json"
    values = _read_json(path)
    classes = values.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ConfigurationError(f"{path}: classes is {classes!r}, expected a list of class names")
    return values


def _read_scene(file: Path, classes: Sequence[str], faults: list[str]) -> StoredScene:
    folder = file.parent
    try:
        values = _read_json(file)
    except ConfigurationError as error:
        faults += error.faults
        return StoredScene(folder.name)
    if values.get("schema") != _SCHEMA:
        faults.append(f"{file}: schema is {values.get('schema')!r}, this version reads {_SCHEMA}")
    line = values.get("perspective")
    if line is not None and not _is_line(line):
        faults.append(f"{file}: perspective is {line!r}, expected null or [slope, intercept]")
        line = None
    cut_outs = [
        cut_out
        for path in sorted((folder / "cutouts").glob("*.png"))
        if (cut_out := _read_cut_out(path, classes, faults)) is not None
    ]
    return StoredScene(
        folder.name,
        None if line is None else (float(line[0]), float(line[1])),
        _read_front(folder / "front.png", faults),
        bool(values.get("upside_down")),
        cut_outs,
    )


def _is_line(line: Any) -> bool:
    return (
        isinstance(line, list) and len(line) == 2 and all(isinstance(v, int | float) for v in line)
    )


def _read_front(path: Path, faults: list[str]) -> NDArray[np.int32] | None:
    if not path.is_file():
        return None
    front = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if front is None or front.ndim != 2:
        faults.append(f"{path}: expected a PNG with one channel of 16 bits")
        return None
    return np.asarray(front, np.int32)


def _read_cut_out(path: Path, classes: Sequence[str], faults: list[str]) -> CutOut | None:
    name = path.stem.partition("_")[2]
    if name not in classes:
        faults.append(f"{path}: class {name!r}, expected one of {list(classes)} (dataset.json)")
        return None
    patch = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if patch is None or patch.ndim != 3 or patch.shape[2] != 4 or patch.dtype != np.uint8:
        faults.append(f"{path}: expected a PNG with red, green, blue and alpha of 8 bits")
        return None
    image = np.ascontiguousarray(patch[..., 2::-1])
    return CutOut(image, np.ascontiguousarray(patch[..., 3]), classes.index(name) + 1)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: missing; is its folder a complete data set?") from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path}: holds a {type(values).__name__}, expected an object")
    return values


def _write_png(path: Path, array: NDArray[np.generic]) -> None:
    done, data = cv2.imencode(".png", np.ascontiguousarray(array))
    if not done:
        raise ValueError(f"{path}: shape {array.shape} {array.dtype} is not a picture")
    path.write_bytes(data.tobytes())
