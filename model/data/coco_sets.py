"""Folders with COCO annotations, one file or one for each part.

Where the files lie: ``annotations/instances_train2017.json`` (COCO, CVAT), ``train/`` and
``valid/`` with ``_annotations.coco.json`` beside the pictures (Roboflow),
``annotations/panoptic_train2017.json`` beside its folder of maps,
``training/panoptic/panoptic_2018.json`` among its maps (Mapillary), or a JSON file in the
folder or in ``annotations/`` that holds COCO's three lists (``annotations.json``, Label Studio's
``result.json``, FiftyOne's ``labels.json``).
"""

import re
from collections.abc import Sequence
from pathlib import Path

from contract.errors import ConfigurationError
from model.data import coco_file
from model.data.coco import Coco
from model.data.coco_categories import groups, in_order, narrowed, same, things
from model.data.coco_panoptic import CocoPanoptic
from model.data.coco_pictures import ROBOFLOW, part_of
from model.data.data_set import DataSet, Joined, Split, split_by_name
from model.data.mapillary import panoptic_files
from model.data.read import files_in
from model.data.split_folders import TEST, TRAIN, VALIDATION, part_of_word

_MOST_FILES = 20
"""JSON files of a folder that are looked into: more are labels of one picture each."""

_PARTS: dict[Split, str] = {"train": TRAIN, "validation": VALIDATION}


def is_coco(path: Path) -> bool:
    """Whether a path is a JSON file, or a folder with annotation files."""
    if path.is_file():
        return path.suffix.lower() == ".json"
    return bool(annotation_files(path))


def annotation_files(folder: Path) -> list[Path]:
    """Return the annotation files of a folder; none where it holds no COCO data set."""
    named = files_in(folder / "annotations", ".json")
    for found in (
        [file for file in named if file.name.lower().startswith("instances_")],
        sorted(folder.glob(f"*/{ROBOFLOW}")),
        [file for file in named if file.name.lower().startswith("panoptic_")],
    ):
        if found:
            return found
    if found := panoptic_files(folder):
        return found
    for place in (folder, folder / "annotations"):
        files = files_in(place, ".json")
        if len(files) > _MOST_FILES:
            continue
        found = [file for file in files if coco_file.is_coco(file)]
        if found:
            return found
    return []


def open_coco(path: Path, split: Split, among: Sequence[str] = ()) -> DataSet:
    """Open an annotation file, or the annotation files of a folder as one data set.

    Args:
        path: The file, or the folder.
        split: Which part: files (Roboflow: folders) with a word ``train*`` or ``val*`` in their
            name are the parts where there are both, others are then left out; otherwise pictures
            are split by name, without those of ``test*``.
        among: Names of the categories that are enough where a file has more than a model can have.

    Raises:
        ConfigurationError: There is no such file, one is broken, their classes contradict, or
            nothing says how several belong together.
    """
    if path.is_file():
        return split_by_name(_open(path, among=among), split)
    files = annotation_files(path)
    if not files:
        raise ConfigurationError(
            f"{path}: expected COCO annotations: annotations/instances_*.json, */{ROBOFLOW}, or a "
            "JSON file with images, annotations and categories"
        )
    parts = {kind: [f for f in files if _part(f) == word] for kind, word in _PARTS.items()}
    own = all(parts.values())
    known = [f for f in files if _part(f) != TEST] or files
    if own:
        known = [*parts["train"], *parts["validation"]]
    files, others = known, [file for file in files if file not in known]
    if not own and len(files) > 1 and any(part_of(file) == file.stem for file in files):
        names = ", ".join(file.relative_to(path).as_posix() for file in files)
        raise ConfigurationError(
            f"{path}: has several annotation files, which may label the same pictures: {names}; "
            "name the one to read, or begin the names of two with train and val"
        )
    classes = _classes(files, among)
    chosen = parts[split] if own and split != "all" else files
    if len(files) == 1 and files[0].parent == path:
        opened = [_open(files[0], folder=path, among=among)]
        return split_by_name(_At(path, opened, others), split)
    opened = [_open(file, f"{part_of(file)}/", classes, path, among) for file in chosen]
    if not own:
        _refuse_shared(path, opened)
    data = _At(path, opened, others)
    return data if own else split_by_name(data, split)


class _At(Joined):
    """Annotation files of one folder, without ``left_out``."""

    def __init__(self, root: Path, parts: Sequence[DataSet], left_out: Sequence[Path] = ()) -> None:
        super().__init__(parts)
        self.root = root
        self._left_out = left_out

    def notes(self) -> Sequence[str]:
        """Return what was assumed of the files, and which were left out."""
        names = [file.relative_to(self.root).as_posix() for file in self._left_out]
        left_out = [f"{name} is in neither part and left out; name it to use it" for name in names]
        return [*dict.fromkeys(super().notes()), *left_out]


def _open(
    file: Path,
    prefix: str = "",
    classes: Sequence[str] | None = None,
    folder: Path | None = None,
    among: Sequence[str] = (),
) -> DataSet:
    if coco_file.is_panoptic(file):
        return CocoPanoptic(file, prefix, classes, folder, among)
    return Coco(file, prefix=prefix, classes=classes, folder=folder, among=among)


def _part(file: Path) -> str | None:
    """Return the part of which the first word says so."""
    words = re.split(r"[^a-z0-9]+", part_of(file).lower())
    return next((part for word in words if (part := part_of_word(word))), None)


def _refuse_shared(root: Path, opened: Sequence[DataSet]) -> None:
    """Refuse annotation files that label the same pictures, of which nobody says what they are.

    Raises:
        ConfigurationError: Two do.
    """
    seen: dict[Path, Path] = {}
    for data in opened:
        own = {data.files(index)[0] for index in range(len(data))}
        shared = sorted(own & seen.keys())
        if shared:
            raise ConfigurationError(
                f"{root}: {len(shared)} pictures (first: {shared[0].name}) are both in "
                f"{seen[shared[0]].name} and in {data.root.name}; name the one to read, or begin "
                "the names of two with train and val"
            )
        seen |= dict.fromkeys(own, data.root)


def _classes(files: Sequence[Path], among: Sequence[str]) -> tuple[str, ...] | None:
    """Return the class names of all files, in the order of the file that has all of them.

    Names count, not numbers: tools number the categories of every export anew.

    Returns:
        The names; None where there is one file.

    Raises:
        ConfigurationError: Two files have each a class that the other lacks.
    """
    if len(files) == 1:
        return None
    categories = {
        file: in_order(narrowed(things(coco_file.read_categories(file)), among, file))
        for file in files
    }
    lone = {group.name for each in categories.values() for group in groups(each)}
    if lone:  # a file of one class may not show that the other is its group
        lone -= {name for file in files for name in _used_names(file)}
    names = {
        file: tuple(dict.fromkeys(c.name for c in each if c.name not in lone))
        for file, each in categories.items()
    }
    first = max(files, key=lambda file: len(names[file]))  # the first of equals
    different = [
        f"{file}: categories differ from those of {first}: {sorted(extra)} are only here"
        for file in files
        if (extra := set(names[file]) - set(names[first]))
    ]
    if different:
        raise ConfigurationError(different)
    return names[first]


def _used_names(file: Path) -> set[str]:
    document = coco_file.read_document(file)
    used = coco_file.used_categories(document.annotations)
    return {each.name for each in document.categories if same(each.id) in used}
