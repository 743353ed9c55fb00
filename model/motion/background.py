"""The still part of a fixed camera's picture, and how a frame differs from it.

Legend: T frames, H, W pixels. Images are uint8 RGB.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import Image

Number = TypeVar("Number", np.uint8, np.float16)

SAMPLES = 80
"""Frames that the median is taken over."""
_SAMPLE_BYTES = 256 << 20
_LEAST_SAMPLES = 15
_RESTLESS = 20.0
"""Noise, in the units of `Background.difference`, above which objects are missed."""
_STRIP = 64  # rows at once: a median makes a copy


def sample_count(height: int, width: int) -> int:
    """Return how many frames of this size a background is made of, so that memory is bounded."""
    fitting = _SAMPLE_BYTES // (3 * height * width)
    return int(min(SAMPLES, max(_LEAST_SAMPLES, fitting)))


@dataclass(frozen=True, eq=False)
class Background:
    """What a fixed camera sees when nothing moves.

    Attributes:
        image: (H, W, 3) uint8 RGB, the per-pixel median.
        noise: (H, W) float32, the median distance of a frame to it (`difference`): flapping tape,
            leaves, water and the camera's own noise.
    """

    image: Image
    noise: NDArray[np.float32]
    _lab: NDArray[np.float32]
    _sharp_lab: NDArray[np.float32]

    @classmethod
    def of(cls, frames: Sequence[Image]) -> Self:
        """Make the background of T frames, all of one size and all in memory."""
        image = _median(np.stack(frames))
        bare = cls(
            image, np.zeros(image.shape[:2], np.float32), _to_lab(_blurred(image)), _to_lab(image)
        )
        some = frames[:: max(1, len(frames) // 40)]
        # Half precision: what is told apart are units of 0..255.
        distances = np.stack([bare.difference(frame).distance.astype(np.float16) for frame in some])
        return replace(bare, noise=_median(distances).astype(np.float32))

    @property
    def restless(self) -> NDArray[np.bool_]:
        """Where objects cannot be told from what always moves or often stands there (H, W)."""
        return self.noise > _RESTLESS

    def difference(self, frame: Image) -> "Difference":
        """Compare a frame (H, W, 3) with the background."""
        ours, sharp = _to_lab(_blurred(frame)), _to_lab(frame)
        shift = np.median((ours - self._lab)[::8, ::8], axis=(0, 1))  # the camera's own exposure
        ours -= shift
        delta, sharp_delta = np.abs(ours - self._lab), np.abs(sharp - shift - self._sharp_lab)
        colour = delta[..., 1] + delta[..., 2]
        return Difference(
            delta[..., 0] + 2 * colour,
            sharp_delta[..., 0] + 2 * (sharp_delta[..., 1] + sharp_delta[..., 2]),
            ours[..., 0] / (self._lab[..., 0] + 1),
            colour,
        )


@dataclass(frozen=True, eq=False)
class Difference:
    """How a frame differs from the background, in L*a*b*; all float32 (H, W).

    Attributes:
        distance: Lightness plus twice the colour, after a slight blur against the coding's noise.
        sharp: The same without the blur, which reaches a pixel beyond an object's edge.
        ratio: Share of the background's lightness.
        colour: Difference of the colour alone.
    """

    distance: NDArray[np.float32]
    sharp: NDArray[np.float32]
    ratio: NDArray[np.float32]
    colour: NDArray[np.float32]


def _blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (3, 3), 0), np.uint8)


def _to_lab(image: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), np.float32)


def _median(stack: NDArray[Number]) -> NDArray[Number]:
    result: NDArray[Number] = np.empty_like(stack[0])
    for top in range(0, len(result), _STRIP):
        result[top : top + _STRIP] = np.median(stack[:, top : top + _STRIP], axis=0)
    return result


def edges(image: Image) -> NDArray[np.float32]:
    """Return how steep the lightness of an (H, W, 3) image is at every pixel (H, W)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)


def without_specks(mask: Image) -> Image:
    """Return the (H, W) 0/1 mask without what is narrower than 2 pixels.

    A morphological opening in two steps: OpenCV's own moves the mask by a pixel when the size of
    its element is even, since it does not mirror the element for the second step.
    """
    square = np.ones((2, 2), np.uint8)
    eroded = cv2.erode(mask, square, anchor=(1, 1))
    return np.asarray(cv2.dilate(eroded, square, anchor=(0, 0)), np.uint8)


def fill_holes(mask: Image) -> Image:
    """Return the (H, W) 0/1 mask with everything inside its outer contours filled."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled


@dataclass(frozen=True)
class Steadiness:
    """How still a camera stands.

    Attributes:
        corners: Corners of the background that were looked for in every frame.
        found: Median share of them that a frame shows, 0..1.
        shift: How far three of four frames lie at most beside the background, in pixels.
    """

    corners: int
    found: float
    shift: float


def steadiness(frames: Sequence[Image], background: Image) -> Steadiness:
    """Follow corners of the background into the frames (Lucas and Kanade 1981).

    A few moving objects disturb neither the median of the shifts nor most of the corners.
    """
    still = cv2.cvtColor(background, cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(still, 300, 0.01, still.shape[0] / 50)
    if corners is None:
        return Steadiness(0, 0.0, 0.0)
    found, shifts = [], []
    for frame in frames:
        moved = _moved(still, cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), corners)
        found.append(len(moved) / len(corners))
        if len(moved):
            shifts.append(np.median(np.hypot(*moved.T)))
    shift = float(np.percentile(shifts, 75)) if shifts else 0.0
    return Steadiness(len(corners), float(np.median(found)), shift)


def _moved(still: Image, grey: Image, corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how far each corner moved (P, 2); only those that are found there and back again."""
    size = (15, 15)
    there, good, _ = cv2.calcOpticalFlowPyrLK(still, grey, corners, None, winSize=size)
    back, good_back, _ = cv2.calcOpticalFlowPyrLK(grey, still, there, None, winSize=size)
    sure = (good & good_back).ravel() > 0
    sure &= np.hypot(*(back - corners).reshape(-1, 2).T) < 1
    moved: NDArray[np.float32] = (there - corners).reshape(-1, 2)[sure]
    return moved
