"""Mask labels from motion: what moves in front of a fixed camera is cut out of its background.

A fixed camera needs no annotator for its isolated walkers. The per-pixel median over time is the
background, what differs from it by more than the camera's own noise and is no shadow is
foreground, and a connected piece of foreground that has the height and girth of one person for
its place in the picture is one person. Everything else that moves (pairs, people cut by the
border or by a lamp post, fragments) is marked as ignored: it neither teaches nor punishes.

Legend: T frames, H, W pixels. Images are uint8 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError
from model.data.labels import IGNORE, CutOut, Image, Labelled, Polygon, Scene, fill
from model.motion.background import difference, fill_holes, median_background

SPECK_PIXELS = 12  # smaller pieces of foreground are compression noise


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How the moving things of one camera look; every length is in pixels of its video.

    Attributes:
        threshold: Least difference to the background, in CIE L*a*b* units of OpenCV (0..255),
            lightness plus twice the colour.
        shadow: A pixel of unchanged colour that keeps more than this share of the background's
            lightness is shadow, not object.
        gap: Width and height of the gaps that are closed within one object.
        min_pixels: Smallest piece that can be an object.
        max_pixels: Largest piece that can be one object.
        aspect: Smallest and largest width / height of one object.
        solidity: Least share of its convex hull that an object fills.
        girth: Smallest and largest pixels / height² of one object.
        shoulders: Largest width of the upper third / height of one object: two heads are wider.
        height_tolerance: Accepted relative deviation from the height that the place of the feet
            predicts; None where the camera has no such perspective.
        border: Whether an object may be cut by the border of the picture; it is labelled then, but
            never cut out.
        hull: Fill each piece to its convex hull (vehicles: their windows look like the road).
    """

    threshold: float = 26.0
    shadow: float = 0.62
    gap: tuple[int, int] = (3, 7)
    min_pixels: int = 150
    max_pixels: int = 10_000
    aspect: tuple[float, float] = (0.2, 0.58)
    solidity: float = 0.62
    girth: tuple[float, float] = (0.1, 0.29)
    shoulders: float = 0.37
    height_tolerance: float | None = 0.17
    border: bool = False
    hull: bool = False


@dataclass(frozen=True, eq=False)
class _Piece:
    mask: NDArray[np.bool_]  # cropped to the box
    left: int
    top: int
    width: int
    height: int
    pixels: int
    solidity: float
    shoulders: int


@dataclass(frozen=True, eq=False)
class Camera:
    """One fixed camera whose moving objects are all of one class.

    Attributes:
        frames: T images (H, W, 3), also the ones the background is made of.
        label: Class index of what moves, 1..K.
        motion: What one object looks like.
        occluders: Polygons of things that stand in front of objects (posts, signs), each with the
            row of its foot: what touches them may be cut and is ignored.
        parked: Polygons of static objects, each with its class index.
    """

    frames: Sequence[Image]
    label: int
    motion: Motion
    occluders: Sequence[tuple[int, Polygon]] = ()
    parked: Sequence[tuple[int, Polygon]] = ()
    front: NDArray[np.int32] = field(init=False)
    background: Image = field(init=False)
    noise: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.frames) < 10:
            raise ConfigurationError(
                f"a background needs at least 10 frames of a fixed camera, got {len(self.frames)}"
            )
        background = median_background(self.frames)
        object.__setattr__(self, "background", background)
        front = np.zeros(background.shape[:2], np.int32)
        for foot, polygon in self.occluders:
            front[fill(front.shape, polygon)] = foot
        object.__setattr__(self, "front", front)
        steps = self.frames[:: max(1, len(self.frames) // 40)]
        distances = np.stack([difference(frame, background)[0] for frame in steps])
        object.__setattr__(self, "noise", np.median(distances, axis=0).astype(np.float32))

    def label_frames(
        self, weight: float, scale: tuple[float, float], upside_down: bool = False
    ) -> tuple[Scene, list[CutOut]]:
        """Label every frame and cut the isolated objects out.

        Args:
            weight: See `model.data.labels.Scene`.
            scale: See `model.data.labels.Scene`.
            upside_down: See `model.data.labels.Scene`.

        Returns:
            The frames with instances and ignored areas, and all cut-outs.
        """
        pieces = [self._pieces(frame) for frame in self.frames]
        shaped = [p for of_frame in pieces for p in of_frame if self._has_shape(p)]
        line = fit_perspective(shaped) if self.motion.height_tolerance is not None else None
        labelled, cut_outs = [], []
        for frame, of_frame in zip(self.frames, pieces, strict=True):
            good = [p for p in of_frame if self._is_object(p, line)]
            labelled.append(self._labels(frame, of_frame, good))
            cut_outs += [_cut(frame, p, self.label) for p in good if self._is_inside(p)]
        return Scene(labelled, weight, scale, line, self.front, upside_down), cut_outs

    def _pieces(self, frame: Image) -> list[_Piece]:
        mask = self._foreground(frame).astype(np.uint8)
        count, index, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        big = (k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] >= SPECK_PIXELS)
        return [_piece(index, k, stats[k], self.motion.hull) for k in big]

    def _foreground(self, frame: Image) -> NDArray[np.bool_]:
        distance, ratio, colour = difference(frame, self.background)
        mask = distance > np.maximum(self.motion.threshold, 5 * self.noise)
        mask &= ~((ratio > self.motion.shadow) & (ratio < 1.0) & (colour < 9))
        opened = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
        gap = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, self.motion.gap)
        return fill_holes(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, gap)).astype(bool)

    def _has_shape(self, piece: _Piece) -> bool:
        m = self.motion
        return (
            (m.border or self._is_inside(piece))
            and m.min_pixels <= piece.pixels <= m.max_pixels
            and m.aspect[0] <= piece.width / piece.height <= m.aspect[1]
            and piece.solidity >= m.solidity
            and piece.shoulders <= m.shoulders * piece.height
            and m.girth[0] <= piece.pixels / piece.height**2 <= m.girth[1]
        )

    def _is_inside(self, piece: _Piece) -> bool:
        rows, columns = self.background.shape[:2]
        right, bottom = piece.left + piece.width, piece.top + piece.height
        return piece.left > 1 and piece.top > 1 and right < columns - 1 and bottom < rows - 1

    def _is_object(self, piece: _Piece, line: tuple[float, float] | None) -> bool:
        if not self._has_shape(piece) or self._touches_occluder(piece):
            return False
        if line is None or self.motion.height_tolerance is None:
            return True
        expected = line[0] * (piece.top + piece.height) + line[1]
        return abs(piece.height / expected - 1) <= self.motion.height_tolerance

    def _touches_occluder(self, piece: _Piece) -> bool:
        rows = slice(max(piece.top - 2, 0), piece.top + piece.height + 2)
        columns = slice(max(piece.left - 2, 0), piece.left + piece.width + 2)
        return bool(self.front[rows, columns].any())

    def _labels(self, frame: Image, pieces: list[_Piece], good: list[_Piece]) -> Labelled:
        shape = self.background.shape[:2]
        instances, labels = np.zeros(shape, np.int32), np.zeros(shape, np.uint8)
        for number, (label, polygon) in enumerate(self.parked, start=1):
            instances[fill(shape, polygon)] = number
            labels[instances == number] = label
        unclear = np.zeros(shape, np.uint8)
        for piece in pieces:
            if piece not in good:
                _window(unclear, piece)[piece.mask] = 1
        labels[cv2.dilate(unclear, np.ones((5, 5), np.uint8)) > 0] = IGNORE
        for number, piece in enumerate(good, start=len(self.parked) + 1):
            _window(instances, piece)[piece.mask] = number
            _window(labels, piece)[piece.mask] = self.label
        instances[labels == IGNORE] = 0
        return Labelled(frame, instances, labels)


def fit_perspective(pieces: Sequence[_Piece]) -> tuple[float, float]:
    """Fit height = slope * bottom + intercept over pieces, dropping what is far off, five times."""
    if len(pieces) < 10:
        raise ConfigurationError(
            f"the perspective needs at least 10 moving objects of plausible shape, got "
            f"{len(pieces)}; lower Motion.threshold or set height_tolerance to None"
        )
    bottom = np.array([p.top + p.height for p in pieces], float)
    height = np.array([p.height for p in pieces], float)
    keep = np.ones(len(pieces), bool)
    slope = intercept = 0.0
    for _ in range(5):
        slope, intercept = np.polyfit(bottom[keep], height[keep], 1)
        keep = np.abs(height / np.maximum(slope * bottom + intercept, 1) - 1) < 0.25
    return float(slope), float(intercept)


def _piece(index: NDArray[np.int32], k: int, stats: NDArray[np.int32], hull: bool) -> _Piece:
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
    return _Piece(own.astype(bool), left, top, width, height, int(own.sum()), solidity, shoulders)


def _window(array: NDArray[np.generic], piece: _Piece) -> NDArray[np.generic]:
    rows = slice(piece.top, piece.top + piece.height)
    return array[rows, piece.left : piece.left + piece.width]


def _cut(frame: Image, piece: _Piece, label: int) -> CutOut:
    image = np.ascontiguousarray(_window(frame, piece))
    solid = np.pad(piece.mask.astype(np.float32), 2)
    # The blur of the comparison lets a pixel of background into the mask: draw the edge inwards.
    soft = np.clip(1.7 * cv2.GaussianBlur(solid, (5, 5), 0.8)[2:-2, 2:-2] - 0.6, 0, 1)
    alpha = np.round(255 * soft).astype(np.uint8)
    return CutOut(image.copy(), alpha, label)
