"""Connected pieces of foreground, and which of them are one object.

Legend: H, W pixels of the picture, h, w pixels of a piece's box.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import CutOut, Image
from model.motion.motion_options import Motion

LEAST_OBJECTS = 10
"""A perspective is fitted to so many objects at least."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of foreground.

    Attributes:
        mask: (h, w) bool, cropped to the box.
        left: First column of the box.
        top: First row of the box.
        solidity: Share of its convex hull that it filled when it was found, 0..1.
        shoulders: Width of its upper third in pixels.
    """

    mask: NDArray[np.bool_]
    left: int
    top: int
    solidity: float
    shoulders: int

    @property
    def height(self) -> int:
        """Rows of the box."""
        return int(self.mask.shape[0])

    @property
    def width(self) -> int:
        """Columns of the box."""
        return int(self.mask.shape[1])

    @property
    def bottom(self) -> int:
        """Row below the box."""
        return self.top + self.height

    @property
    def pixels(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())

    def window(self, array: NDArray[Any], margin: int = 0) -> NDArray[Any]:
        """Return the view of an (H, W, ...) array that the box covers, with a margin around."""
        rows = slice(max(self.top - margin, 0), self.bottom + margin)
        return array[rows, max(self.left - margin, 0) : self.left + self.width + margin]

    def is_inside(self, height: int, width: int) -> bool:
        """Tell whether the box keeps clear of the border of an (H, W) picture."""
        right = self.left + self.width
        return self.left > 1 and self.top > 1 and right < width - 1 and self.bottom < height - 1


def find_pieces(mask: NDArray[np.bool_], hull: bool, least_pixels: float) -> list[Piece]:
    """Return the 8-connected pieces of an (H, W) mask with at least ``least_pixels`` pixels."""
    count, index, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    big = (k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= least_pixels)
    return [_piece(index, k, stats[k], hull) for k in big]


def _piece(index: NDArray[np.int32], k: int, stats: NDArray[np.int32], hull: bool) -> Piece:
    left, top, width, height = (int(v) for v in stats[:4])
    own = (index[top : top + height, left : left + width] == k).astype(np.uint8)
    contours, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = cv2.convexHull(np.concatenate(contours))
    filled = np.zeros_like(own)
    cv2.fillPoly(filled, [outline], 1)
    solidity = float(own.sum() / filled.sum())
    own = filled if hull else own
    columns = np.flatnonzero(own[: max(height // 3, 1)].any(axis=0))
    shoulders = int(columns[-1] - columns[0] + 1)
    return Piece(own.astype(bool), left, top, solidity, shoulders)


def shape_fault(piece: Piece, motion: Motion, picture: tuple[int, int]) -> str | None:
    """Return why a piece does not have the shape of one object, as short words; None if it has.

    Args:
        piece: The piece.
        motion: What one object looks like, from `Motion.for_picture`.
        picture: H, W.
    """
    pixels, height = piece.pixels, piece.height
    if pixels < motion.min_pixels:
        return "too small (min_pixels)"
    if not motion.border and not piece.is_inside(*picture):
        return "cut by the border (border)"
    tests = (
        (pixels <= motion.max_pixels, "too large (max_pixels)"),
        (
            motion.aspect[0] <= piece.width / height <= motion.aspect[1],
            "too wide or too narrow (aspect)",
        ),
        (piece.shoulders <= motion.shoulders * height, "too wide at the top (shoulders)"),
        (piece.solidity >= motion.solidity, "ragged outline (solidity)"),
        (
            motion.girth[0] <= pixels / height**2 <= motion.girth[1],
            "too thin or too stout (girth)",
        ),
    )
    return next((fault for good, fault in tests if not good), None)


def cut(frame: Image, piece: Piece, label: int) -> CutOut:
    """Cut a piece out of its (H, W, 3) frame, with soft edges."""
    image = np.ascontiguousarray(piece.window(frame))
    solid = np.pad(piece.mask.astype(np.float32), 2)
    # The blur of the comparison lets a pixel of background into the mask: draw the edge inwards.
    soft = np.clip(1.7 * cv2.GaussianBlur(solid, (5, 5), 0.8)[2:-2, 2:-2] - 0.6, 0, 1)
    return CutOut(image.copy(), np.round(255 * soft).astype(np.uint8), label)
