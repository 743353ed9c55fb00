"""Find label maps and their pictures, by the names that tools give them.

Either in folders of their own (``images/`` beside ``instances/``, ``masks/`` or ``labels/``), which
may lie in ``train*/`` and ``val*/``, or beside their pictures, as Cellpose writes them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from contract.errors import ConfigurationError
from model.data.read import ENDINGS, alike, files_in, find_pictures, walk
from model.data.split_folders import split_folders
from model.data.yolo_names import NAME_FILES

IMAGES, INSTANCES, CLASSES = "images", "instances", "classes"

_OTHER_MAPS = ("masks", "labels")
"""Folders of label maps where there is no ``instances/``: EmbedSeg and StarDist, and others."""

_BESIDE = ("_cp_masks", "_masks")
"""How the names of Cellpose's label maps end."""

_ENDS = (*_BESIDE, "_mask", "_labels", "_label", "_instances", "_instance", "_instanceIds", "_seg")
"""How other tools' may end, where a picture has the name without it."""

_PICTURE = "_img"
"""How the names of Cellpose's pictures may end."""

_OME = ".ome"
"""Second ending of microscopy's TIFF files: ``NAME.ome.tif``."""

_BY_PRODUCTS = ("_flows", "_cp_output", "_outlines_cp")
"""How the names of Cellpose's other pictures end."""


class Files(dict[str, list[Path]]):
    """The files of one kind by the name of their picture; one each, usually.

    Args:
        folders: Where they lie, by what their names begin with.
        ending: How the names of the files end where one is missing.
    """

    def __init__(self, folders: Mapping[str, Path], ending: str = "") -> None:
        super().__init__()
        self._folders, self._ending = folders, ending
        for prefix, folder in folders.items():
            for path in find_pictures(folder) if folder.is_dir() and not ending else ():
                self.put(prefix + _name(path, folder), path)

    def put(self, name: str, path: Path) -> None:
        """Add a file; of several with one name the first by its ending counts."""
        paths = self.setdefault(name, [])
        paths.append(path)
        paths.sort(key=lambda path: ENDINGS.index(path.suffix.lower()))

    def path(self, name: str) -> Path:
        """Return the file of a picture, or where it is expected."""
        if name in self:
            return self[name][0]
        prefix = next(prefix for prefix in self._folders if name.startswith(prefix))
        return self._folders[prefix] / f"{name.removeprefix(prefix)}{self._ending}.png"


class MapFiles(NamedTuple):
    """Pictures, maps of instances and, where there are any, of classes."""

    images: Files
    instances: Files
    classes: Files | None


def map_folder(root: Path) -> str | None:
    """Return the name of the folder of label maps beside ``images/``; None where there is none.

    ``labels/`` with text is YOLO's.
    """
    if not (root / IMAGES).is_dir():
        return None
    if (root / INSTANCES).is_dir():
        return INSTANCES
    return next((name for name in _OTHER_MAPS if _holds_maps(root / name)), None)


def has_label_maps(root: Path) -> bool:
    """Whether a folder, or a part ``train*/``, ``val*/`` of it, holds label maps."""
    return bool(_folders(root)) or any(_maps_beside(root))


def find_map_files(root: Path) -> MapFiles:
    """Find pictures and label maps.

    Raises:
        ConfigurationError: There are no label maps.
    """
    folders = _folders(root)
    if not folders and any(_maps_beside(root)):
        return _files_beside(root)
    if not folders:
        missing = [name for name in (IMAGES, INSTANCES) if not (root / name).is_dir()]
        found = sorted(path.name for path in root.iterdir()) if root.is_dir() else "nothing"
        raise ConfigurationError(
            f"{root}: expected folders images/ and instances/, {missing} missing, found {found}"
        )
    classes = {prefix: folder.parent / CLASSES for prefix, folder in folders.items()}
    images = Files({prefix: folder.parent / IMAGES for prefix, folder in folders.items()})
    return MapFiles(
        images,
        _matched(Files(folders), images),
        _matched(Files(classes), images)
        if any(folder.is_dir() for folder in classes.values())
        else None,
    )


def _matched(maps: Files, images: Files) -> Files:
    """Give maps the name of their picture: ``NAME_mask``, or one that looks alike (`alike`)."""
    by_look: dict[str, list[str]] = {}
    for name in images:
        by_look.setdefault(alike(name), []).append(name)
    for name in [name for name in maps if name not in images]:
        for own in (name, _without_ending(name)):
            found = [] if own is None else [own] if own in images else by_look.get(alike(own), [])
            if len(found) == 1:
                for path in maps.pop(name):
                    maps.put(found[0], path)
                break
    return maps


def _without_ending(name: str) -> str | None:
    ending = next((ending for ending in _ENDS if name.endswith(ending)), None)
    return None if ending is None else name.removesuffix(ending)


def _folders(root: Path) -> dict[str, Path]:
    """Return the folders of label maps by what the names of their pictures begin with."""
    own = map_folder(root)
    if own:
        return {"": root / own}
    found = {path: map_folder(path) for path in split_folders(root)}
    return {f"{path.name}/": path / name for path, name in found.items() if name}


def _holds_maps(folder: Path) -> bool:
    return (
        folder.is_dir()
        and not any(p.suffix.lower() == ".txt" and p.name not in NAME_FILES for p in walk(folder))
        and bool(find_pictures(folder))
    )


def _maps_beside(root: Path) -> list[Path]:
    """Return maps that lie beside their pictures; Cellpose's also where these are missing."""
    found = []
    for folder in (root, *split_folders(root)):
        names = {_name(p, folder): p for e in ENDINGS for p in files_in(folder, e)}
        found += [
            path
            for name, path in names.items()
            if name.endswith(_BESIDE)
            or ((own := _without_ending(name)) is not None and {own, own + _PICTURE} & {*names})
        ]
    return found


def _files_beside(root: Path) -> MapFiles:
    images, maps = Files({"": root}, _PICTURE), Files({"": root}, _BESIDE[-1])
    named = {path: _name(path, root) for path in find_pictures(root)}
    all_names = {*named.values()}
    for path, name in named.items():
        own = _without_ending(name)
        if own is not None and (name.endswith(_BESIDE) or {own, own + _PICTURE} & all_names):
            maps.put(own.removesuffix(_PICTURE), path)
        elif not name.endswith(_BY_PRODUCTS):
            images.put(name.removesuffix(_PICTURE), path)
    return MapFiles(images, maps, None)


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix().removesuffix(_OME)
