"""Open a data set, whatever its layout.

What tells the layouts apart: Cityscapes has ``leftImg8bit/``, COCO a JSON file or
``annotations/instances_*.json``, label maps ``images/`` and ``instances/``, YOLO ``images/`` and
``labels/``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from contract.errors import ConfigurationError
from model.data import cityscapes, coco_sets, label_maps, yolo
from model.data.data_set import DataSet, Renamed, Split, Subset, split_by_name

Layout = Literal["auto", "cityscapes", "coco", "label-maps", "yolo"]

_LOOKED_FOR = """\
cityscapes (leftImg8bit/ and gtFine/), coco (a JSON file, or annotations/instances_*.json), \
label-maps (images/ and instances/) or yolo (images/ and labels/)"""


def open_data_set(
    path: Path,
    *,
    layout: Layout = "auto",
    split: Split = "all",
    classes: Sequence[str] | None = None,
) -> DataSet:
    """Open a data set; pictures are read later, one by one.

    Args:
        path: Folder, or annotation file of COCO.
        layout: What to take it for; ``auto`` looks.
        split: Which part. Cityscapes, COCO (``instances_train*``, ``instances_val*``) and YOLO
            (folders ``train*`` and ``val*``) have their own, label maps may name the pictures that
            validate in ``dataset.json``; everything else is split by name.
        classes: Which classes, in which order; others become background. Label maps take them as
            the names of their classes instead, unless ``dataset.json`` has every one of them.

    Raises:
        ConfigurationError: There is no such data set, or it is broken as a whole; all faults.
    """
    if not path.exists():
        raise ConfigurationError(f"{path}: there is no such data set")
    found = detect(path) if layout == "auto" else layout
    if found == "label-maps":
        card = label_maps.read_card(path)
        named = card.get("classes", [])
        names = None if classes and set(classes) <= set(named) else classes
        maps = label_maps.LabelMaps(path, names)
        data: DataSet = _part(maps, maps.held, split)
    elif found == "cityscapes":
        data = cityscapes.Cityscapes(path, split)
    elif found == "coco":
        data = coco_sets.open_coco(path, split)
    else:
        data = yolo.Yolo(path).part(split)
    return _chosen(data, classes) if classes else data


def _part(maps: DataSet, held: Sequence[str] | None, split: Split) -> DataSet:
    """Split as ``dataset.json`` says in ``validation`` (names of pictures), else by name.

    Frames of a video that follow each other look alike: which of them validate cannot be left to
    their names.
    """
    if held is None or split == "all":
        return split_by_name(maps, split)
    chosen, wanted = set(held), split == "validation"
    return Subset(maps, [i for i, name in enumerate(maps.names) if (name in chosen) == wanted])


def detect(path: Path) -> Layout:
    """Return the layout that the files have.

    Raises:
        ConfigurationError: It is none that is known; says what was looked for and found.
    """
    if path.is_file() and path.suffix == ".json":
        return "coco"
    if (path / cityscapes.IMAGES).is_dir():
        return "cityscapes"
    if any((path / "annotations").glob("instances_*.json")):
        return "coco"
    if (path / label_maps.IMAGES).is_dir() and (path / label_maps.INSTANCES).is_dir():
        return "label-maps"
    if any((path / folder / yolo.LABELS).is_dir() for folder in (".", "train", "val", "valid")):
        return "yolo"
    if path.is_dir() and coco_sets.annotation_files(path):
        return "coco"
    seen = "is a file" if path.is_file() else f"found {_listing(path)}"
    raise ConfigurationError(f"{path}: {seen}; expected {_LOOKED_FOR}")


def _chosen(data: DataSet, classes: Sequence[str]) -> DataSet:
    if tuple(classes) == data.classes:
        return data
    faults = [
        f"{data.root}: has no class {name!r}, expected some of {list(data.classes)}"
        for name in classes
        if name not in data.classes
    ]
    if len(set(classes)) < len(classes):
        faults.append(f"classes {list(classes)} contain a duplicate")
    if faults:
        raise ConfigurationError(faults)
    return Renamed(data, classes)


def _listing(folder: Path) -> str:
    names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{', '.join(names[:8]) or 'nothing'}{more}"
