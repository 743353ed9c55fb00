"""What an object looks like: the colours under its mask, as small numbers. Pure.

Shape letters: I instances, K tracks, B numbers of an appearance.
"""

import numpy as np
from numpy.typing import NDArray

from segmentation.instances import Instances
from segmentation.letterbox import Fit
from tracking.colour_kernel import BANDS, BINS, CHANNELS, count_all_colours

Appearances = NDArray[np.uint8]
"""uint8 (..., B): by band, channel and bin, the square root of the share of pixels, of 255."""

SIZE = BANDS * CHANNELS * BINS
"""B."""

_MOST_PIXELS = 1500


def measure_appearance(
    instances: Instances, picture: NDArray[np.uint8], fit: Fit | None = None
) -> Appearances:
    """Measure the colours of each instance.

    Args:
        instances: The frame's instances, in its own pixels.
        picture: uint8 (H, W, 3) RGB, the frame itself or as the model saw it.
        fit: How the frame lies in ``picture``; None where it is the frame itself.

    Returns:
        uint8 (I, B); all zeros for an instance that has no pixel in the picture.
    """
    y_scale, x_scale = 1.0, 1.0
    if fit is not None:
        y_scale = fit.content_size[0] / fit.frame_size[0]
        x_scale = fit.content_size[1] / fit.frame_size[1]
    if not len(instances):
        return np.zeros((0, SIZE), np.uint8)
    pixels = np.concatenate([mask.array.ravel() for mask in instances.masks])
    counts = count_all_colours(picture, pixels, instances.boxes, x_scale, y_scale, _MOST_PIXELS)
    total = counts.sum(axis=-1, keepdims=True)
    shares = np.sqrt(counts / np.maximum(total, 1))
    found: Appearances = np.rint(255 * shares).astype(np.uint8).reshape(len(instances), SIZE)
    return found


def colour_distances(seen: Appearances, known: Appearances) -> NDArray[np.float64]:
    """Return how unlike the colours are: float64 (I, K), 0 equal to 1 nothing in common.

    It is 1 minus the Bhattacharyya coefficient, averaged over bands and channels; NaN where either
    has none.
    """
    a, b = seen.astype(np.float64), known.astype(np.float64)
    lengths = np.sqrt((a * a).sum(axis=1))[:, None] * np.sqrt((b * b).sum(axis=1))[None]
    with np.errstate(invalid="ignore"):
        distances: NDArray[np.float64] = 1.0 - (a @ b.T) / lengths
    return distances


def blend(known: Appearances, seen: Appearances, shares: NDArray[np.float64]) -> Appearances:
    """Return running means of appearances (I, B), which move by shares (I,), 0..1, to the seen."""
    a = known.astype(np.float64)
    blended: Appearances = np.rint(a + shares[:, None] * (seen - a)).astype(np.uint8)
    return blended
