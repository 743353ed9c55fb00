"""COCO panoptic annotations: a JSON file beside a folder of coloured maps of the same name.

``panoptic_val2017.json`` lists what the colours of ``panoptic_val2017/NAME.png`` mean
(Mapillary: ``panoptic/panoptic_2018.json`` those of ``panoptic/NAME.png``): a segment
has the number ``red + 256 * green + 65536 * blue``. Things become instances, stuff is background;
crowds and what nobody labelled (number 0) are ignored. Legend: H, W pixels of the picture.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.errors import ConfigurationError
from contract.json_text import JSON_ERRORS
from model.data import coco_file
from model.data.coco_categories import Category, class_names, in_order, same, things
from model.data.coco_file import Panoptic, label_of
from model.data.coco_pictures import PictureFinder, listed, places, plain_name, stem
from model.data.data_set import BrokenSampleError, DataSet
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORE, Labelled
from model.data.read import map_size, read_codes, read_placed, show

_FAULTS = 8
"""Numbers without a segment that are told."""


class CocoPanoptic(DataSet):
    """The pictures of one panoptic annotation file.

    Args:
        path: The JSON file.
        prefix: Put before every name, so that several files can be told apart.
        classes: Class names in the order wanted, some of which the file may lack; None takes the
            file's own things in the order of their numbers.
        folder: Folder of the whole data set, where pictures may lie as well; None unless named.
        among: See `coco_file.read_document`.

    Raises:
        ConfigurationError: The file is missing or is no such file, or pictures or maps are not
            found.
    """

    def __init__(
        self,
        path: Path,
        prefix: str = "",
        classes: Sequence[str] | None = None,
        folder: Path | None = None,
        among: Sequence[str] = (),
    ) -> None:
        document = coco_file.read_document(path, among)
        self.root = path
        pictures, reasons = listed(document.images, path)
        own = class_names(in_order(things(document.categories)), path)
        self.classes = tuple(classes) if classes is not None else own
        labels = {name: k for k, name in enumerate(self.classes, start=1)}
        self._labels = {same(each.id): _label(each, labels) for each in document.categories}
        self._segments: dict[str, bytes] = {}
        for raw in document.annotations:
            try:
                number = same(coco_file.heads.decode(raw).image_id)
            except JSON_ERRORS as error:
                reasons.append(f"annotation {label_of(raw)}: {error}")
                continue
            if number not in pictures:
                reasons.append(f"annotation {label_of(raw)}: there is no picture {number}")
            elif number in self._segments:
                reasons.append(f"picture {number} has several annotations; the first counts")
            else:
                self._segments[number] = bytes(raw)
        self._orphans = [BrokenSampleError(path, reason) for reason in reasons]
        self._pictures_in_order = sorted(pictures.values(), key=lambda p: p.file_name)
        self.names = tuple(prefix + stem(each.file_name) for each in self._pictures_in_order)
        names = [each.file_name for each in self._pictures_in_order]
        self._finder = PictureFinder(path, names, root=folder)
        self._maps = _maps(path)
        without = bool(document.categories) and all(c.isthing is None for c in document.categories)
        self._notes = (
            ["no category says isthing: all are taken for things, and each segment for one object"]
            if without
            else []
        )

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image of picture ``index``, its map and the annotation file."""
        entry = self._pictures_in_order[index]
        try:
            map_path = self._map(index, self._annotation(index))
        except BrokenSampleError:  # told when it is read
            map_path = self._maps / f"{Path(stem(entry.file_name)).name}.png"
        return (self._finder.find(entry.file_name), map_path, self.root)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return entries that belong to no picture."""
        return self._orphans

    def notes(self) -> Sequence[str]:
        """Return that nothing says which categories are things."""
        return self._notes

    def read(self, index: int) -> Labelled:
        """Read picture ``index``."""
        image_path = self._finder.existing(self._pictures_in_order[index].file_name)
        annotation = self._annotation(index)
        map_path = self._map(index, annotation)
        image, upright = read_placed(image_path, map_size(map_path))
        codes, coloured = read_codes(map_path, image.shape, colours=True)
        numbers = codes.astype(np.int64)
        if coloured:  # they come as red << 16 | green << 8 | blue
            numbers = (numbers & 0xFF) << 16 | numbers & 0xFF00 | numbers >> 16
        seen, places = np.unique(numbers, return_inverse=True)
        unknown = sorted({*seen.tolist()} - {0, *(each.id for each in annotation.segments_info)})
        if unknown:
            raise BrokenSampleError(
                map_path,
                f"has the numbers {unknown[:_FAULTS]}, which {self.root.name} lists no segment for",
            )
        table, flaws = self._table(annotation, set(seen.tolist()))
        labels = np.array([table[number] for number in seen.tolist()], np.uint8)
        single = (labels > 0) & (labels < IGNORE)
        instances = np.where(single, np.cumsum(single), 0).astype(np.int32)
        places = places.reshape(numbers.shape)
        return show(Labelled(image, instances[places], labels[places], flaws), upright)

    def _table(
        self, annotation: Panoptic, seen: set[int]
    ) -> tuple[dict[int, int], tuple[Flaw, ...]]:
        """Return the label of every number, and what is ignored or not in the map.

        Raises:
            BrokenSampleError: Two segments have one number, or one has 0.
        """
        table, flaws = {0: IGNORE}, []
        for each in annotation.segments_info:
            if each.id in table:
                why = "is that of pixels without a label" if not each.id else "is given twice"
                reason = f"annotation of {annotation.file_name}: segment number {each.id} {why}"
                raise BrokenSampleError(self.root, reason)
            label = None if each.category_id is None else self._labels.get(same(each.category_id))
            if label != 0 and each.id not in seen:
                flaws.append(Flaw(FlawKind.EMPTY, f"segment {each.id}"))
            elif label is None:
                flaws.append(Flaw(FlawKind.UNKNOWN_CLASS, f"segment {each.id}"))
            elif label and each.crowd:
                flaws.append(Flaw(FlawKind.CROWD, f"segment {each.id}"))
            table[each.id] = IGNORE if label is None or (label and each.crowd) else label
        return table, tuple(flaws)

    def _map(self, index: int, annotation: Panoptic) -> Path:
        if annotation.file_name:
            return self._maps / Path(plain_name(annotation.file_name)).name
        return self._maps / f"{Path(stem(self._pictures_in_order[index].file_name)).name}.png"

    def _annotation(self, index: int) -> Panoptic:
        entry = self._pictures_in_order[index]
        raw = self._segments.get(same(entry.id))
        if raw is None:
            raise BrokenSampleError(self.root, f"{entry.file_name}: there is no annotation of it")
        try:
            return coco_file.panoptics.decode(raw)
        except JSON_ERRORS as error:
            reason = f"{entry.file_name}: annotation {label_of(raw)}: {error}"
            raise BrokenSampleError(self.root, reason) from error


def _label(category: Category, labels: dict[str, int]) -> int | None:
    """Return a thing's label and 0 for stuff; None for a thing that is no class.

    None for Mapillary's unlabelled pixels, too, which are a category there.
    """
    if things([category]):
        return labels.get(category.name)
    return None if category.name.casefold() == "unlabeled" else 0


def _maps(path: Path) -> Path:
    folders = [folder / path.stem for folder in places(path)]
    if path.parent.name.startswith("panoptic"):
        folders.append(path.parent)
    for folder in folders:
        if folder.is_dir():
            return folder
    looked = " or ".join(str(folder) for folder in folders)
    raise ConfigurationError(f"{path}: expected its coloured maps in {looked}")
