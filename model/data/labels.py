"""Values that the data makers hand to each other: labelled pictures, cut-outs and scenes.

Legend: H, W pixels of a picture, h, w pixels of a patch. Images are uint8 RGB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.flaws import Flaw

IGNORE = 255
"""Label of a pixel that neither teaches nor punishes."""

IGNORED = "ignore"
"""Stands for a class in a mapping of classes: what shows it counts neither for nor against."""

UNNAMED = "object"
"""Name of the class of data without class names."""

Image = NDArray[np.uint8]
Polygon = Sequence[tuple[float, float]]
"""Corners (x, y) in pixels."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A picture with its labels.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        instances: (H, W) int32, 0 where there is none.
        labels: (H, W) uint8: 0 background, 1..K class, 255 ignore.
        flaws: Objects that were mended or became ignored regions when the picture was read.
    """

    image: Image
    instances: NDArray[np.int32]
    labels: Image
    flaws: tuple[Flaw, ...] = ()


class TrueShape(NamedTuple):
    """An annotation as it is in its file: shapes may overlap, the pixels of a `Labelled` do not.

    Attributes:
        mask: COCO run-length encoding, as pycocotools has it.
        class_name: Its class; ``ignore`` stands for every class.
        area: Pixels, as annotated.
        crowd: Whether what lies on it counts neither way.
    """

    mask: Mapping[str, Any]
    class_name: str
    area: float
    crowd: bool


@dataclass(frozen=True, eq=False)
class CutOut:
    """One object without its background.

    Attributes:
        image: (h, w, 3) uint8 RGB.
        alpha: (h, w) uint8 opacity with soft edges; 255 is opaque.
        label: Class index, 1..K.
    """

    image: Image
    alpha: Image
    label: int


class Pictures(Protocol):
    """Labelled pictures that are read one at a time; a list of them is one, too."""

    def __len__(self) -> int:
        """Return the number of pictures."""
        ...

    def __getitem__(self, index: int, /) -> Labelled:
        """Return picture ``index``."""
        ...


@dataclass(frozen=True, eq=False)
class Scene:
    """Pictures of one place, and what pasting into them has to respect.

    Attributes:
        pictures: Labelled pictures; those of a fixed camera have one size.
        weight: Share of the crops drawn from here, relative to the other scenes.
        scale: Smallest and largest pixels of a crop per pixel of a picture, relative to ``fit``.
        fit: (height, width) of the model's input: a scale of 1 is then the one at which a picture
            fits into it, as the deployed model sees it. None: a scale of 1 is the picture's own.
        perspective: (slope, intercept): an object whose feet stand in row ``y`` is ``slope * y +
            intercept`` pixels high; None where the place says nothing about size.
        front: (H, W) int32: row of the foot of the thing (post, sign) that covers the pixel, 0
            where there is none. What stands above that row is behind it. None where unknown.
        upside_down: Whether a picture may be flipped vertically (cameras that look straight down).
    """

    pictures: Pictures
    weight: float
    scale: tuple[float, float]
    perspective: tuple[float, float] | None = None
    front: NDArray[np.int32] | None = None
    upside_down: bool = False
    fit: tuple[int, int] | None = None


def fill(shape: tuple[int, ...], polygon: Polygon) -> NDArray[np.bool_]:
    """Return the (H, W) mask of a polygon."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(np.asarray(polygon)).astype(np.int32)], 1)
    return mask.astype(bool)
