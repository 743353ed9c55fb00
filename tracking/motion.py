"""Where objects are expected, and how fast they go. Pure.

An object's place is its head point: the middle of the upper edge of its box, which stays in sight
when feet are hidden. Shape letters: I instances, K tracks.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def heads(boxes: Floats) -> Floats:
    """Return the head points x, y (..., 2) of boxes x, y, width, height (..., 4)."""
    return np.stack([boxes[..., 0] + 0.5 * boxes[..., 2], boxes[..., 1]], axis=-1)


def moved(velocities: Floats, seconds: Floats, decay_seconds: float) -> Floats:
    """Return how far (K, 2) objects have gone since they were seen, in pixels.

    Without exponentials, which processors round differently: workers shall agree to the last bit.

    Args:
        velocities: (K, 2), pixels a second.
        seconds: (K,), since they were seen.
        decay_seconds: Time after which half of the straight way is believed; never more than the
            way of this time is, for nobody walks on straight for ever.
    """
    way: Floats = velocities * (seconds * decay_seconds / (seconds + decay_seconds))[:, None]
    return way


def overlaps(a: Floats, b: Floats) -> Floats:
    """Return the common area (I, K) of boxes (I, 4) and (K, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    sides = np.maximum(high - low, 0.0)
    common: Floats = sides[..., 0] * sides[..., 1]
    return common


def intersection_over_union(a: Floats, b: Floats) -> Floats:
    """Return the intersection over union (I, K) of boxes (I, 4) and (K, 4)."""
    common = overlaps(a, b)
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None] - common
    result: Floats = common / np.maximum(union, 1e-9)
    return result


def widened(boxes: Floats, share: float) -> Floats:
    """Return boxes (..., 4) that reach further by a share of their sides, to each side."""
    more = share * boxes[..., 2:]
    return np.concatenate([boxes[..., :2] - more, boxes[..., 2:] + 2 * more], axis=-1)
