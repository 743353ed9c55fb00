"""Open a data set, whatever its layout.

A layout is recognised by its folders and files; the first that fits counts, in the order of
`_LAYOUTS`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from contract.errors import ConfigurationError
from media.picture_files import VIDEO_ENDINGS
from model.data import (
    cityscapes,
    coco_file,
    coco_sets,
    label_maps,
    labelme,
    labelme_file,
    map_files,
    mapillary,
    object_masks,
    voc,
    yolo,
)
from model.data.data_set import DataSet, Renamed, Split
from model.data.labels import UNNAMED
from model.data.layouts import Layout
from model.data.read import files_in
from model.data.split_folders import split_folders

_LOOKED_INTO = 1 << 20
"""Bytes of a file that say what it is."""


class _Known(NamedTuple):
    """How a layout is recognised.

    Attributes:
        fits: Whether a folder or file is of the layout.
        files: What it looks like, for people.
    """

    fits: Callable[[Path], bool]
    files: str


def open_data_set(
    path: Path,
    *,
    layout: Layout = "auto",
    split: Split = "all",
    classes: Sequence[str] | None = None,
    among: Sequence[str] = (),
) -> DataSet:
    """Open a data set; pictures are read later, one by one.

    Args:
        path: Folder, annotation file of COCO, or ``data.yaml`` of YOLO.
        layout: What to take it for; ``auto`` looks.
        split: Which part. Its own lists of parts count (COCO, VOC, ``data.yaml``, ``dataset.json``
            of label maps), then folders ``train*`` and ``val*``; everything else is split by name.
        classes: Which classes, in which order; others become background. Label maps take them as
            the names of their classes instead, unless ``dataset.json`` has every one of them.
        among: Names of the classes that are enough where COCO's file has more than a model can
            have; ``classes`` unless given.

    Raises:
        ConfigurationError: There is no such data set, it is closed to this user, or it is broken
            as a whole; all faults.
    """
    if not path.exists():
        raise ConfigurationError(f"{path}: there is no such data set")
    with _told(path):
        return _open(path, layout, split, classes, among)


def _open(
    path: Path,
    layout: Layout,
    split: Split,
    classes: Sequence[str] | None,
    among: Sequence[str],
) -> DataSet:
    found = detect(path) if layout == "auto" else layout
    data: DataSet
    match found:
        case "label-maps":
            named = label_maps.read_card(path).get("classes", [])
            names = None if classes and set(classes) <= set(named) else classes
            data = label_maps.LabelMaps(path, names).part(split)
        case "coco":
            data = coco_sets.open_coco(path, split, among or classes or ())
        case "cityscapes":
            data = cityscapes.Cityscapes(path).part(split)
        case "labelme":
            data = labelme.LabelMe(path).part(split)
        case "mapillary":
            data = mapillary.Mapillary(path).part(split)
        case "object-masks":
            data = object_masks.ObjectMasks(path).part(split)
        case "voc":
            data = voc.Voc(path).part(split)
        case _:
            data = yolo.Yolo(path).part(split)
    return _chosen(data, classes) if classes else data


def detect(path: Path) -> Layout:
    """Return the layout that the files have.

    Raises:
        ConfigurationError: It is none that is known; says what was looked for and found. Or a
            folder is closed to this user.
    """
    with _told(path):
        return _detect(path)


def _detect(path: Path) -> Layout:
    if mapillary.is_part(path):
        raise ConfigurationError(
            f"{path}: is one part of Mapillary Vistas; name {path.parent}, where the configuration "
            "says what its maps mean"
        )
    for name, known in _LAYOUTS.items():
        if known.fits(path):
            if name == "label-maps":
                mapillary.refuse_incomplete(path)
            return name
    reason = _about_json(path)
    why = f"; {reason}" if reason else ""
    raise ConfigurationError(f"{path}: {_seen(path)}; expected {_EXPECTED}{why}")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Let a file or folder that cannot be read be the fault of the data set.

    Raises:
        ConfigurationError: One cannot.
    """
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{error.filename or path}: {error.strerror or error}") from error


def _seen(path: Path) -> str:
    """Say what a path is that is no data set, and which folder in it may be one."""
    if path.is_file():
        ending = path.suffix.lower()
        if ending in VIDEO_ENDINGS:
            return "is a video (its labels come from `seedstream label-from-motion`)"
        archive = ending in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
        return "is an archive: unpack it, and name its folder" if archive else "is a file"
    inside = [
        f"{folder.name}/ ({name})"
        for folder in sorted(path.iterdir())
        if folder.is_dir()
        for name in [next((n for n, known in _LAYOUTS.items() if known.fits(folder)), None)]
        if name
    ]
    hint = ""
    if inside:
        hint = f" (name a folder in it that is one: {', '.join(inside[:8])})"
    elif _holds(path, "*_seg.npy"):
        hint = " (*_seg.npy is Cellpose's own format; save its masks as PNG or TIFF)"
    elif _holds(path, "*.xml"):
        hint = f" ({_about_xml(path)})"
    return f"found {_listing(path)}{hint}"


def _about_xml(path: Path) -> str:
    """Say what to do with the XML files of a folder."""
    first = next(file for above in ("", "*/") for file in sorted(path.glob(f"{above}*.xml")))
    with first.open("rb") as file:
        content = file.read(_LOOKED_INTO)
    if any(word in content for word in (b"<polygon ", b"<mask ", b"<ellipse ")):
        return f"{first.name} is CVAT's own format: export the task as COCO 1.0 as well"
    return "XML holds boxes, which do not say which pixel is whose"


def _about_json(path: Path) -> str:
    """Say why the first JSON file of a folder is no labels; "" where there is none."""
    if not path.is_dir():
        return ""
    files = [*files_in(path, ".json"), *files_in(path / "annotations", ".json")]
    files += [file for folder in split_folders(path) for file in files_in(folder, ".json")]
    for file in files:
        with file.open("rb") as opened:
            of_labelme = b'"shapes"' in opened.read(_LOOKED_INTO)
        reason = labelme_file.why_not_labelme(file) if of_labelme else coco_file.why_not_coco(file)
        if reason:
            return f"{file.relative_to(path).as_posix()}: {reason}"
    return ""


def _holds(path: Path, pattern: str) -> bool:
    """Whether there are such files in a folder or those right below it."""
    return any(any(path.glob(above + pattern)) for above in ("", "*/"))


def _is_yolo(path: Path) -> bool:
    if path.is_file():
        return path.suffix in (".yaml", ".yml")
    folders = [folder / yolo.LABELS for folder in (path, *split_folders(path))]
    found = [folder for folder in folders if folder.is_dir()]
    # Outlines of LabelMe may lie in a folder of that name as well.
    return any(any(folder.rglob("*.txt")) or not labelme.is_labelme(folder) for folder in found)


_LAYOUTS: dict[Layout, _Known] = {
    "cityscapes": _Known(
        lambda path: (path / cityscapes.IMAGES).is_dir(), "leftImg8bit/ and gtFine/"
    ),
    "mapillary": _Known(mapillary.is_mapillary, "training/ or validation/, and config.json"),
    "coco": _Known(
        coco_sets.is_coco,
        "a JSON file, annotations/instances_*.json, or train/_annotations.coco.json",
    ),
    "voc": _Known(lambda path: bool(voc.voc_folders(path)), "JPEGImages/ and SegmentationObject/"),
    "object-masks": _Known(object_masks.has_object_masks, "NAME/images/ and NAME/masks/"),
    "label-maps": _Known(
        map_files.has_label_maps, "images/ and instances/ or masks/, or NAME_masks.png"
    ),
    "yolo": _Known(_is_yolo, "images/ and labels/, or a data.yaml"),
    "labelme": _Known(labelme.is_labelme, "NAME.json beside NAME.jpg"),
}

_EXPECTED = " or ".join(
    ", ".join(f"{name} ({known.files})" for name, known in each)
    for each in ([*_LAYOUTS.items()][:-1], [*_LAYOUTS.items()][-1:])
)


def _chosen(data: DataSet, classes: Sequence[str]) -> DataSet:
    if tuple(classes) == data.classes:
        return data
    if data.classes == (UNNAMED,) and len(classes) == 1:
        return Renamed(data, classes, {UNNAMED: classes[0]})
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
