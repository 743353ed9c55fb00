"""Which frames of a video validate: several stretches of it, each with its share of the objects."""

from collections.abc import Sequence

import numpy as np

MOST_STRETCHES = 5
_LEAST_FRAMES = 15
"""A shorter stretch shows what the frames beside it show."""


def held_out(objects: Sequence[int], share: float) -> list[int]:
    """Return the indices of the frames that validate.

    The video is cut into parts with equally many objects; the end of each part validates. A single
    part is the end of the video.

    Args:
        objects: Labelled objects of each frame.
        share: Share of all objects that is wanted, 0..1.
    """
    whole = sum(objects)
    if not share or not whole:
        return []
    parts = max(1, min(MOST_STRETCHES, int(share * len(objects)) // _LEAST_FRAMES))
    seen = (np.cumsum(objects) - np.array(objects) / 2) * parts / whole  # in parts
    chosen = np.flatnonzero(seen % 1 >= 1 - share)
    return [int(index) for index in chosen]
