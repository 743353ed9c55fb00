"""Mask labels from motion: what moves in front of a fixed camera is cut out of its background.

A fixed camera needs no annotator for its isolated walkers. The per-pixel median over time is the
background, what differs from it by more than the camera's own noise and is no shadow is
foreground, and a connected piece of foreground that has the shape of one object, and the height
of one for its place in the picture, is one object. Everything else that moves (pairs, objects cut
by the border or by a lamp post, fragments) is ignored: it neither teaches nor punishes.

Legend: H, W pixels. Images are uint8 RGB.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, CutOut, Image, Labelled, fill
from model.motion.background import Background, edges, fill_holes, without_specks
from model.motion.motion_options import IGNORE_CLASS, Motion, Options
from model.motion.object_scale import Line
from model.motion.pieces import Piece, cut, find_pieces, shape_fault

SPECK = 12 / (576 * 768)
"""Smaller pieces of foreground, as a share of the picture, are noise of the video's coding."""

_GLOBAL = 0.45
"""Share of the picture that differs when the light or the camera changed, and nothing moved."""

RESTLESS = "where the background is never at rest"
"""Why a piece is unclear."""

_LARGEST_CUT = 1.2
_GHOST_FACTOR = 1.5

EXCLUDED = "in an ignored region"
"""Why a piece is unclear: nobody wants to know what moves there."""

GHOST = "where something left that stood in the background"
"""Why a piece is unclear: the outline is in the background, not in the frame."""


@dataclass(frozen=True)
class Sizes:
    """How large objects are in the picture of one camera.

    Attributes:
        line: (slope, intercept) of the height over the row of the feet; None where the row says
            nothing about it.
        typical: Median pixels of an object; None where sizes differ too much to say.
    """

    line: Line | None = None
    typical: float | None = None


@dataclass(frozen=True, eq=False)
class Labels:
    """What one frame of a camera gives.

    Attributes:
        picture: The frame with instances and ignored areas.
        cut_outs: Its objects that are whole.
        good: The pieces that are labelled.
        unclear: How many pieces are ignored, by the reason.
        moving: Pixels that move, without those of places where nobody wants to know and of gaps
            that something left.
    """

    picture: Labelled
    cut_outs: list[CutOut]
    good: Sequence[Piece]
    unclear: Counter[str]
    moving: int

    @property
    def objects(self) -> int:
        """Number of moving objects that are labelled."""
        return len(self.good)


@dataclass(frozen=True, eq=False)
class Camera:
    """One fixed camera whose moving objects are all of one class.

    Attributes:
        background: What it sees when nothing moves.
        options: What is known about it.
        classes: Class names of the data set; label ``k`` is ``classes[k - 1]``.
        motion: ``options.motion`` in pixels of its picture.
        front: (H, W) int32: row of the foot of the thing in front, 0 where there is none.
    """

    background: Background
    options: Options
    classes: Sequence[str]
    motion: Motion = field(init=False)
    front: NDArray[np.int32] = field(init=False)
    _ignored: NDArray[np.bool_] = field(init=False)
    _restless: NDArray[np.bool_] = field(init=False)
    _edges: NDArray[np.float32] = field(init=False)
    _speck: float = field(init=False)

    def __post_init__(self) -> None:
        shape = self.shape
        front = np.zeros(shape, np.int32)
        for occluder in self.options.occluders:
            front[fill(shape, occluder.polygon)] = occluder.foot
        ignored = np.zeros(shape, bool)
        for polygon in self.options.ignore:
            ignored |= fill(shape, polygon)
        object.__setattr__(self, "_ignored", ignored)
        object.__setattr__(self, "front", front)
        object.__setattr__(self, "motion", self.options.motion.for_picture(*shape))
        places = find_pieces(self.background.restless, False, self.motion.min_pixels / 2)
        object.__setattr__(self, "_restless", _grow(_union(shape, places)))
        object.__setattr__(self, "_edges", edges(self.background.image))
        object.__setattr__(self, "_speck", max(4.0, SPECK * shape[0] * shape[1]))

    def limited(self, motion: Motion) -> "Camera":
        """Return the same camera with other limits of one object, in pixels."""
        return replace(self, options=self.options.model_copy(update={"motion": motion}))

    @property
    def shape(self) -> tuple[int, int]:
        """H, W."""
        height, width = self.background.image.shape[:2]
        return height, width

    def pieces(self, frame: Image) -> list[Piece] | None:
        """Return what moves in a frame; None where the whole picture changed (light, camera)."""
        seen = self.background.difference(frame)
        mask = seen.distance > np.maximum(self.motion.threshold, 5 * self.background.noise)
        mask &= seen.sharp > self.motion.threshold / 2
        mask &= ~((seen.ratio > self.motion.shadow) & (seen.ratio < 1.0) & (seen.colour < 9))
        if mask.mean() > _GLOBAL:
            return None
        opened = without_specks(mask.astype(np.uint8))
        gap = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [int(n) for n in self.motion.gap])
        filled = fill_holes(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, gap))
        return find_pieces(filled.astype(bool), self.motion.hull, self._speck)

    def fault(self, piece: Piece, sizes: Sizes) -> str | None:
        """Return why a piece is not one object; None if it is one.

        Args:
            piece: What moves.
            sizes: How large objects are.
        """
        fault = shape_fault(piece, self.motion, self.shape)
        if fault is not None:
            return fault
        if piece.window(self.front, margin=2).any():
            return "at an occluder"
        if piece.window(self._ignored)[piece.mask].mean() > 0.5:
            return EXCLUDED
        if piece.window(self._restless)[piece.mask].mean() > 0.1:
            return RESTLESS
        # One that the border cuts shows a part of itself: more than a large whole one is two.
        largest = self.motion.largest if piece.is_inside(*self.shape) else _LARGEST_CUT
        if sizes.typical is not None and piece.pixels > largest * sizes.typical:
            return "larger than the others (largest)"
        if sizes.line is not None and self.motion.height_tolerance:
            expected = max(sizes.line[0] * piece.bottom + sizes.line[1], 1.0)
            if abs(piece.height / expected - 1) > self.motion.height_tolerance:
                return "wrong height for its place (height_tolerance)"
        return None

    def is_ghost(self, piece: Piece, steep: NDArray[np.float32]) -> bool:
        """Tell whether a piece is the gap that something left which stood for most of the time.

        Args:
            piece: What differs from the background.
            steep: `edges` of the frame.
        """
        mask = np.pad(piece.mask.astype(np.uint8), 2)
        cross = np.ones((3, 3), np.uint8)
        ring = (cv2.dilate(mask, cross) > cv2.erode(mask, cross))[2:-2, 2:-2]
        theirs, ours = piece.window(self._edges)[ring].sum(), piece.window(steep)[ring].sum()
        return bool(theirs > _GHOST_FACTOR * ours)

    def label(self, frame: Image, pieces: Sequence[Piece], sizes: Sizes) -> Labels:
        """Label a frame (H, W, 3) with what moves in it."""
        steep = edges(frame)
        faults = [
            GHOST if self.is_ghost(piece, steep) else self.fault(piece, sizes) for piece in pieces
        ]
        good = [piece for piece, fault in zip(pieces, faults, strict=True) if fault is None]
        unclear = [piece for piece, fault in zip(pieces, faults, strict=True) if fault is not None]
        label = self._label(self.options.class_name)
        whole = [piece for piece in good if piece.is_inside(*self.shape)]
        return Labels(
            self._paint(frame, good, unclear, label),
            [cut(frame, piece, label) for piece in whole],
            good,
            Counter(fault for fault in faults if fault is not None),
            sum(
                piece.pixels
                for piece, fault in zip(pieces, faults, strict=True)
                if fault not in (GHOST, EXCLUDED)
            ),
        )

    def _paint(
        self, frame: Image, good: Sequence[Piece], unclear: Sequence[Piece], label: int
    ) -> Labelled:
        instances, labels = np.zeros(self.shape, np.int32), np.zeros(self.shape, np.uint8)
        for number, parked in enumerate(self.options.parked, start=1):
            own = fill(self.shape, parked.polygon)
            instances[own], labels[own] = number, self._label(parked.class_name)
        labels[self._ignored | self._grown(unclear)] = IGNORE
        for number, piece in enumerate(good, start=len(self.options.parked) + 1):
            piece.window(instances)[piece.mask] = number
            piece.window(labels)[piece.mask] = label
        instances[labels == IGNORE] = 0
        return Labelled(frame, instances, labels)

    def _grown(self, unclear: Sequence[Piece]) -> NDArray[np.bool_]:
        return _grow(_union(self.shape, unclear)) | self._restless

    def _label(self, class_name: str) -> int:
        return IGNORE if class_name == IGNORE_CLASS else self.classes.index(class_name) + 1


def _union(shape: tuple[int, int], pieces: Sequence[Piece]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for piece in pieces:
        piece.window(mask)[piece.mask] = True
    return mask


def _grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an (H, W) mask that reaches 2 pixels of 576 rows farther."""
    side = 2 * max(1, round(mask.shape[0] / 288)) + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)), bool)
