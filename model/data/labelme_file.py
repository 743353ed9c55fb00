"""LabelMe's file of one picture: what its entries may look like, and the pixels of its shapes.

Legend: H, W pixels of the picture.
"""

import base64
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from pycocotools import mask as coco_mask

from contract.json_text import why_not, without_mark
from media.pixels import BROKEN
from model.data.flaws import FlawKind
from model.data.shapes import box_rle, outline

_TURNED_BOXES = ("rotation", "oriented_rectangle", "cuboid")
_OUTLINES = ("polygon", "quadrilateral", "circle")
_CIRCLE_CORNERS = 64

_FARTHEST = 1e6
"""Pixels; a mask that lies farther away than any picture is large is outside all the same."""


class FileShape(msgspec.Struct):
    """One shape, as the file has it; points in pixels."""

    label: str | int
    points: list[tuple[float, float]]
    shape_type: str | None = "polygon"
    group_id: int | str | None = None
    mask: str | None = None

    @property
    def name(self) -> str:
        """Return the label as text, without the spaces around it, which people do not see."""
        return str(self.label).strip()


class File(msgspec.Struct):
    """A picture's shapes, and what is said of the picture."""

    shapes: list[FileShape]
    imagePath: str  # noqa: N815  LabelMe's own name
    imageHeight: float | None = None  # noqa: N815
    imageWidth: float | None = None  # noqa: N815
    imageData: msgspec.Raw = msgspec.Raw(b"null")  # noqa: N815


_FILES = msgspec.json.Decoder(File)


def decode(path: Path) -> File:
    """Return what a file says.

    Raises:
        OSError: It cannot be read.
        JSON_ERRORS: It is no file of LabelMe.
    """
    return _FILES.decode(without_mark(path.read_bytes()))


def why_not_labelme(path: Path) -> str:
    """Return why a file is none of LabelMe's; "" where it is one."""
    return why_not(path, _FILES, "is no file of LabelMe: ")


def groups(shapes: Sequence[FileShape]) -> list[tuple[str, list[FileShape]]]:
    """Return the shapes of each object with where it is: those of one group and one label."""
    found: dict[object, tuple[str, list[FileShape]]] = {}
    for number, shape in enumerate(shapes, start=1):
        key = number if shape.group_id is None else (shape.group_id, shape.name)
        found.setdefault(key, (f"shape {number}", []))[1].append(shape)
    return list(found.values())


def draw(shape: FileShape, height: int, width: int) -> tuple[Any, list[FlawKind], list[str]]:
    """Return the pixels of a shape, its flaws, and its faults."""
    points = np.asarray(shape.points, float).reshape(-1, 2)
    kind = shape.shape_type or "polygon"
    if kind in ("point", "points", "line", "linestrip"):
        return None, [FlawKind.NO_OUTLINE], []
    if not np.isfinite(points).all():
        return None, [], ["has a point that is not a number"]
    if kind == "rectangle" and len(points) >= 2:
        box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        return box_rle(box, height, width), [FlawKind.BOX], []
    if kind == "mask" and len(points) == 2 and shape.mask:
        return _pasted(shape.mask, points, height, width)
    if kind == "circle" and len(points) == 2:
        points = _circle(*points)
    elif kind not in (*_OUTLINES, *_TURNED_BOXES) or not len(points):
        return None, [], [f"of the type {kind!r} with {len(points)} points is not read"]
    found = outline([points.reshape(-1).tolist()], height, width)
    kinds = [*found.kinds, *([FlawKind.BOX] if kind in _TURNED_BOXES else [])]
    return found.rle, kinds, list(found.faults)


def _circle(centre: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the corners of a circle around ``centre`` through ``edge``."""
    angles = np.arange(_CIRCLE_CORNERS) * 2 * math.pi / _CIRCLE_CORNERS
    radius = math.dist(centre.tolist(), edge.tolist())
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _pasted(
    text: str, points: NDArray[np.float64], height: int, width: int
) -> tuple[Any, list[FlawKind], list[str]]:
    """Return the pixels of a mask, a PNG in base64 whose corner is the first point."""
    try:
        with Pillow.open(io.BytesIO(base64.b64decode(text)), formats=["PNG"]) as picture:
            if picture.height > height or picture.width > width:
                return None, [], [f"has a mask of {picture.size}, larger than the picture"]
            patch = np.asarray(picture.convert("L")) > 0
    except (*BROKEN, Pillow.DecompressionBombError):
        box = (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
        return box_rle(box, height, width), [FlawKind.UNREADABLE], []
    left, top = np.clip(points.min(axis=0), -_FARTHEST, _FARTHEST).round().astype(int).tolist()
    inside = np.zeros((height, width), np.uint8, order="F")
    rows, columns = np.nonzero(patch)
    rows, columns = rows + top, columns + left
    seen = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    inside[rows[seen], columns[seen]] = 1
    clipped = [] if seen.all() else [FlawKind.CLIPPED]
    if not inside.any():
        return coco_mask.encode(inside), [*clipped, FlawKind.EMPTY], []
    return coco_mask.encode(inside), clipped, []
