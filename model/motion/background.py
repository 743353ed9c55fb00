"""The still part of a fixed camera's picture, and how a frame differs from it.

Legend: T frames, H, W pixels. Images are uint8 RGB.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from model.data.labels import Image


def median_background(frames: Sequence[Image], samples: int = 80) -> Image:
    """Return the per-pixel median (H, W, 3) uint8 over at most ``samples`` evenly spaced frames."""
    chosen = np.stack(frames[:: max(1, len(frames) // samples)])
    background: Image = np.empty_like(chosen[0])
    for top in range(0, background.shape[0], 64):  # in strips: a median makes a float copy
        background[top : top + 64] = np.median(chosen[:, top : top + 64], axis=0)
    return background


def difference(
    frame: Image, background: Image
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Compare a frame with the background in L*a*b*.

    Returns:
        Distance (H, W), share of the background's lightness (H, W), colour difference (H, W).
    """
    ours, theirs = (
        cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_RGB2LAB).astype(np.float32)
        for image in (frame, background)
    )
    shift = np.median((ours - theirs)[::8, ::8], axis=(0, 1))  # the camera's own exposure control
    ours -= shift
    delta = np.abs(ours - theirs)
    colour = delta[..., 1] + delta[..., 2]
    return delta[..., 0] + 2 * colour, ours[..., 0] / (theirs[..., 0] + 1), colour


def fill_holes(mask: Image) -> Image:
    """Return the (H, W) 0/1 mask with everything inside its outer contours filled."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled
