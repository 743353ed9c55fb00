"""Contact sheets: many labelled pictures at one glance.

Legend: S side of a cell in pixels, R rows, C columns of cells.
"""

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, Image, Labelled

_OPACITY = 0.45
_GAP = 4
"""Pixels between cells."""
_GROUND = 48
"""Grey between pictures: the edge of a black picture stays visible."""
_HATCH = 6
"""Pixels from one line of the hatching to the next."""
_GOLDEN = 0.61803398875
"""Hues a golden section apart stay distinct however many there are."""


def contact_sheet(
    pictures: Sequence[Labelled], columns: int = 6, side: int = 256
) -> NDArray[np.uint8]:
    """Draw pictures in a grid, each instance in its colour, ignored pixels hatched in grey.

    Args:
        pictures: What to draw, row by row; each is fitted into its cell, its aspect kept.
        columns: Cells beside each other, at least 1.
        side: S, pixels of a cell.

    Returns:
        (R * (S + gap) + gap, C * (S + gap) + gap, 3) uint8 RGB, C the smaller of ``columns`` and
        the number of pictures; the ground is dark grey.

    Raises:
        ValueError: There are no pictures, or ``columns`` or ``side`` is below 1.
    """
    if not pictures or columns < 1 or side < 1:
        seen = f"{len(pictures)} pictures, columns {columns}, side {side}"
        raise ValueError(f"expected at least one of each, got {seen}")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    step = side + _GAP
    sheet = np.full((rows * step + _GAP, columns * step + _GAP, 3), _GROUND, np.uint8)
    for number, picture in enumerate(pictures):
        drawn = draw_labels(shrink(picture, side))
        height, width = drawn.shape[:2]
        top = number // columns * step + _GAP + (side - height) // 2
        left = number % columns * step + _GAP + (side - width) // 2
        sheet[top : top + height, left : left + width] = drawn
    return sheet


def shrink(picture: Labelled, side: int) -> Labelled:
    """Return the picture with its longer side scaled, down or up, to ``side`` pixels."""
    height, width = picture.labels.shape
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    # OpenCV resizes no integers of 32 bits; as floats of 64 bits they are exact.
    numbers = cv2.resize(
        picture.instances.astype(np.float64), size, interpolation=cv2.INTER_NEAREST
    )
    return Labelled(
        np.asarray(cv2.resize(picture.image, size, interpolation=how), np.uint8),
        numbers.astype(np.int32),
        np.asarray(cv2.resize(picture.labels, size, interpolation=cv2.INTER_NEAREST), np.uint8),
    )


def draw_labels(picture: Labelled) -> Image:
    """Return the (H, W, 3) picture under its labels: colours, outlines, hatching."""
    drawn = picture.image.astype(np.float32)
    numbers, places = np.unique(picture.instances, return_inverse=True)
    colours = np.array([_colour(number) for number in numbers.tolist()], np.float32)
    inside = picture.instances > 0
    own = colours[places.reshape(inside.shape)]
    drawn[inside] += _OPACITY * (own[inside] - drawn[inside])
    drawn[_outlines(picture.instances)] = 255
    ignored = picture.labels == IGNORE
    y, x = np.indices(ignored.shape)
    drawn[ignored] += 0.6 * (128 - drawn[ignored])
    drawn[ignored & ((x + y) % _HATCH == 0)] = 230
    return np.round(drawn).astype(np.uint8)


def _colour(number: int) -> tuple[float, ...]:
    # Hue by number, and two brightnesses in turn: neighbours in number differ in both.
    red_green_blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.9, 1 - 0.25 * (number % 2))
    return tuple(255 * value for value in red_green_blue)


def _outlines(instances: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Mark pixels whose number differs from that below or to the right."""
    edge = np.zeros(instances.shape, bool)
    edge[:-1] |= instances[:-1] != instances[1:]
    edge[:, :-1] |= instances[:, :-1] != instances[:, 1:]
    return edge
