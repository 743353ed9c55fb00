"""The outline of one COCO annotation. Legend: H, W pixels of the picture."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from contract.errors import InvalidMessageError
from contract.json_text import JSON_ERRORS
from contract.mask import decode_mask
from model.data import coco_file
from model.data.coco_categories import same
from model.data.coco_file import Annotation, RunLengths
from model.data.flaws import Flaw, FlawKind
from model.data.labels import IGNORED, TrueShape
from model.data.shapes import Outline, box_rle, outline


class Drawn(NamedTuple):
    """What one annotation gives.

    Attributes:
        shape: The object, or the region to ignore; None where there are faults.
        flaws: What was mended, or why it is ignored.
        faults: Why its picture cannot be used.
    """

    shape: TrueShape | None
    flaws: tuple[Flaw, ...] = ()
    faults: tuple[str, ...] = ()


def draw_annotation(raw: bytes, classes: Mapping[str, str], height: int, width: int) -> Drawn:
    """Draw one annotation.

    What cannot be used becomes an ignored region: its pixels where it has some, else its box. Only
    where nobody knows its place is the picture at fault, for it would be background there.

    Args:
        raw: The annotation as it is in its file.
        classes: Name of the class by the number of the category, as `same` writes it.
        height: H.
        width: W.
    """
    try:
        annotation = coco_file.annotations.decode(raw)
    except JSON_ERRORS as error:
        return _unreadable(raw, str(error), height, width)
    where = f"annotation {'without id' if annotation.id is None else annotation.id}"
    found, broken = _outline(annotation, height, width)
    if found.faults or found.rle is None:
        return Drawn(None, faults=tuple(f"{where}: {fault}" for fault in found.faults))
    where += f": {broken}" if broken else ""
    kinds = list(found.kinds)
    name = None
    if annotation.category_id is not None:
        name = classes.get(same(annotation.category_id))
    if name is None:
        kinds.append(FlawKind.UNKNOWN_CLASS)
    ignored = any(kind.lost for kind in kinds)
    if annotation.crowd and not ignored:
        kinds.append(FlawKind.CROWD)
    area = annotation.area
    if area is None or not area > 0:
        area = float(coco_mask.area(found.rle))
        if not ignored:
            kinds.append(FlawKind.NO_AREA)
    shape = TrueShape(
        found.rle, IGNORED if name is None else name, area, annotation.crowd or ignored
    )
    return Drawn(shape, tuple(Flaw(kind, where) for kind in kinds))


def _outline(annotation: Annotation, height: int, width: int) -> tuple[Outline, str]:
    """Return the outline; and what is broken in it where its box stands in."""
    box = _box(annotation.bbox, height, width)
    given = annotation.segmentation
    if isinstance(given, RunLengths):
        found = _run_lengths(given, height, width)
        misplaced = tuple(given.size) != (height, width)
    else:
        polygons = _polygons(given or [])
        if not polygons and box is not None:
            return Outline(box, (FlawKind.BOX,)), ""
        if not polygons:
            return Outline(None, faults=("has no outline, and no box in the picture",)), ""
        found = outline(polygons, height, width)
        misplaced = all(len(polygon) % 2 == 0 for polygon in polygons)
    if box is None or (found.rle is None and misplaced):
        return found, ""
    if found.rle is None:
        return Outline(box, (FlawKind.UNREADABLE,)), found.faults[0]
    return found._replace(rle=coco_mask.merge([found.rle, box])) if found.lost else found, ""


def _polygons(given: Sequence[float | list[float]]) -> list[list[float]]:
    """Return polygons with corners; some tools write the only one without a list around it."""
    flat = [value for value in given if not isinstance(value, list)]
    return [polygon for polygon in (flat, *given) if isinstance(polygon, list) and polygon]


def _unreadable(raw: bytes, reason: str, height: int, width: int) -> Drawn:
    where = f"annotation {coco_file.label_of(raw)}"
    try:
        box = _box(coco_file.places.decode(raw).bbox, height, width)
    except JSON_ERRORS:
        box = None
    if box is None:
        return Drawn(None, faults=(f"{where}: {reason}",))
    shape = TrueShape(box, IGNORED, float(coco_mask.area(box)), True)
    return Drawn(shape, (Flaw(FlawKind.UNREADABLE, f"{where}: {reason}"),))


def _box(raw: bytes, height: int, width: int) -> dict[str, Any] | None:
    """Encode COCO's box (left, top, width, height); None where it shows nothing of the picture."""
    try:
        box = coco_file.boxes.decode(raw)
    except JSON_ERRORS:
        return None
    left, top, wide, high = box
    if not (np.abs(box).max() < 1e9 and wide >= 0 and high >= 0):
        return None
    if left >= width or top >= height or left + wide < 0 or top + high < 0:
        return None
    return box_rle((left, top, max(left + wide, left + 1), max(top + high, top + 1)), height, width)


def _run_lengths(lengths: RunLengths, height: int, width: int) -> Outline:
    if tuple(lengths.size) != (height, width):
        fault = f"has run lengths of size {list(lengths.size)}, expected {[height, width]}"
        return Outline(None, faults=(fault,))
    if isinstance(lengths.counts, list):
        total = sum(lengths.counts)
        if total != height * width or min(lengths.counts) < 0:
            fault = f"has run lengths of {total} pixels, expected {height * width}"
            return Outline(None, faults=(fault,))
        plain = {"size": [height, width], "counts": lengths.counts}
        return _filled(coco_mask.frPyObjects(plain, height, width))
    try:
        # Not pycocotools: of counts that end early it returns memory that nothing was written to.
        decode_mask({"size": [height, width], "counts": lengths.counts})
    except InvalidMessageError as error:
        return Outline(None, faults=(f"has run lengths that do not decode: {error}",))
    return _filled({"size": [height, width], "counts": lengths.counts.encode()})


def _filled(rle: dict[str, Any]) -> Outline:
    return Outline(rle, () if coco_mask.area(rle) else (FlawKind.EMPTY,))
