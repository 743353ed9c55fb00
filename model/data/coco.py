"""COCO instance annotations: one JSON file with polygons or run-length encodings.

An annotation is looked at when its picture is read. Until then it stays the bytes it is in the
file: COCO's own training part would be some GiB as Python objects. Legend: H, W pixels of the
picture.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from pycocotools import mask as coco_mask

from contract.json_text import JSON_ERRORS
from media.frames import Upright
from model.data import coco_file
from model.data.coco_categories import Key, class_names, same
from model.data.coco_file import Document, Picture, label_of
from model.data.coco_pictures import PictureFinder, listed, plain_name, unique_names
from model.data.coco_shapes import draw_annotation
from model.data.data_set import BrokenSampleError, DataSet
from model.data.flaws import Flaw
from model.data.labels import IGNORE, Labelled, TrueShape
from model.data.read import read_placed, show
from model.data.shapes import Shape, draw_labelled, join_faults

_CROWDED = 0.5
"""Share of the annotations from which on crowds are hardly what was meant."""


class Coco(DataSet):
    """The pictures of one annotation file.

    Crowds are ignored; where objects overlap the smaller one is in front.

    Args:
        path: The JSON file.
        images: Folder that its ``file_name`` s are in; None looks for it beside the file.
        prefix: Put before every name, so that several files can be told apart.
        classes: Class names in the order wanted, some of which the file may lack; None takes the
            file's own in the order of their numbers.
        folder: Folder of the whole data set, where pictures may lie as well; None unless named.
        among: See `coco_file.read_document`.

    Attributes:
        image_ids: COCO's number of every picture.

    Raises:
        ConfigurationError: The file is missing or is no such file, or the pictures are not found.
    """

    def __init__(
        self,
        path: Path,
        images: Path | None = None,
        prefix: str = "",
        classes: Sequence[str] | None = None,
        folder: Path | None = None,
        among: Sequence[str] = (),
    ) -> None:
        document = coco_file.read_document(path, among)
        self.root = path
        self._notes: list[str] = []
        self._set_classes(document, classes)
        pictures, reasons = listed(document.images, path)
        self._orphans = [BrokenSampleError(path, reason) for reason in reasons]
        self._pictures_in_order = sorted(pictures.values(), key=lambda p: plain_name(p.file_name))
        names = [picture.file_name for picture in self._pictures_in_order]
        self.names = tuple(prefix + name for name in unique_names(names))
        self.image_ids: tuple[Key, ...] = tuple(p.id for p in self._pictures_in_order)
        federated = sum(each.federated for each in self._pictures_in_order)
        if federated:
            self._notes.append(
                f"in {federated} of {len(pictures)} pictures only some classes were looked for "
                "(neg_category_ids, not_exhaustive_category_ids, as LVIS has them): objects "
                "without an annotation count as background there"
            )
        self._annotations = self._by_picture(document.annotations, pictures)
        self._finder = PictureFinder(path, names, images, folder)
        self._frames: dict[int, tuple[int, int, Upright]] = {}

    def files(self, index: int) -> tuple[Path, ...]:
        """Return the image of picture ``index`` and the annotation file."""
        return (self._finder.find(self._pictures_in_order[index].file_name), self.root)

    def orphans(self) -> Sequence[BrokenSampleError]:
        """Return entries that belong to no picture."""
        return self._orphans

    def notes(self) -> Sequence[str]:
        """Return which categories were left out, and whether most objects are crowds."""
        return self._notes

    def read(self, index: int) -> Labelled:
        """Read picture ``index``; all faults of its annotations are told together."""
        entry = self._pictures_in_order[index]
        path = self._finder.existing(entry.file_name)
        size = entry.size
        image, upright = read_placed(path, size and (size[1], size[0]))
        height, width = image.shape[:2]
        if size not in (None, (width, height)):
            raise BrokenSampleError(
                path,
                f"is {width}x{height} pixels, {self.root.name} says {size[0]}x{size[1]}",
            )
        self._frames[index] = (height, width, upright)
        trues, flaws = self._shapes(entry, height, width)
        label = {name: k for k, name in enumerate(self.classes, start=1)}
        shapes = [
            Shape(IGNORE if true.crowd else label[true.class_name], true.mask) for true in trues
        ]
        return show(draw_labelled(image, shapes, flaws), upright)

    def true_shapes(self, index: int) -> list[TrueShape]:
        """Return the annotations of picture ``index``; all faults are told together."""
        height, width, upright = self._frame(index)
        shapes, _ = self._shapes(self._pictures_in_order[index], height, width)
        if upright.changes_nothing:
            return shapes
        return [
            shape._replace(
                mask=coco_mask.encode(np.asfortranarray(upright.turn(coco_mask.decode(shape.mask))))
            )
            for shape in shapes
        ]

    def _frame(self, index: int) -> tuple[int, int, Upright]:
        """Return H and W of the annotations, and what turns them upright."""
        known = self._frames.get(index)
        if known is not None:
            return known
        entry = self._pictures_in_order[index]
        size = entry.size
        path = self._finder.find(entry.file_name)
        if size is not None and not path.is_file():
            return size[1], size[0], Upright()
        image, upright = read_placed(path, size and (size[1], size[0]))
        self._frames[index] = (image.shape[0], image.shape[1], upright)
        return self._frames[index]

    def _shapes(
        self, entry: Picture, height: int, width: int
    ) -> tuple[list[TrueShape], tuple[Flaw, ...]]:
        shapes: list[TrueShape] = []
        flaws: list[Flaw] = []
        faults: list[str] = []
        for raw in self._annotations.get(same(entry.id), []):
            drawn = draw_annotation(raw, self._classes_by_id, height, width)
            faults += drawn.faults
            flaws += drawn.flaws
            shapes += [drawn.shape] if drawn.shape else []
        if faults:
            raise BrokenSampleError(self.root, f"{entry.file_name}: {join_faults(faults)}")
        return shapes, tuple(flaws)

    def _set_classes(self, document: Document, classes: Sequence[str] | None) -> None:
        kept = coco_file.without_groups(document)
        if classes is not None:
            kept = [each for each in kept if each.name in classes]
        left_out = [each.name for each in document.categories if each not in kept]
        if left_out:
            self._notes.append(
                f"category {', '.join(map(repr, left_out))} is only the group of the others and "
                "has no annotation: left out"
            )
        own = class_names(kept, self.root)
        self.classes = tuple(classes) if classes is not None else own
        self._classes_by_id = {same(each.id): each.name for each in kept}

    def _by_picture(
        self, entries: Sequence[msgspec.Raw], pictures: dict[str, Picture]
    ) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        crowds = 0
        for raw in entries:
            try:
                head = coco_file.heads.decode(raw)
            except JSON_ERRORS as error:
                self._orphan(f"annotation {label_of(raw)}: {error}")
                continue
            crowds += bytes(head.iscrowd) in coco_file.TRUE
            if same(head.image_id) in pictures:
                found.setdefault(same(head.image_id), []).append(bytes(raw))
            else:
                self._orphan(f"annotation {label_of(raw)}: there is no picture {head.image_id}")
        if crowds > _CROWDED * len(entries):
            self._notes.append(
                f"{crowds} of {len(entries)} annotations are marked as crowds (iscrowd 1) and so "
                "ignored. CVAT marks every mask so: where they are single objects, export polygons "
                "or set iscrowd to 0"
            )
        return found

    def _orphan(self, reason: str) -> None:
        self._orphans.append(BrokenSampleError(self.root, reason))
