"""Instances without a network: what is colourful in a picture, the same for the same picture."""

import cv2
import numpy as np

from segmentation.decode import Image
from segmentation.instances import ArrayMask, Instances

_LEAST_COLOUR = 70
_LEAST_PIXELS = 25
_MOST = 12


def coloured_objects(image: Image) -> Instances:
    """Find the movers of a synthetic scene (``test:``), from left to right; RGB (H, W, 3)."""
    spread = image.max(axis=2).astype(np.int16) - image.min(axis=2)
    mask = (cv2.blur(spread, (3, 3)) > _LEAST_COLOUR).astype(np.uint8)
    _, labels, table, centers = cv2.connectedComponentsWithStats(mask)
    labels = labels.astype(np.int32)
    large = [n for n in range(1, len(table)) if table[n][cv2.CC_STAT_AREA] >= _LEAST_PIXELS]
    chosen = sorted(large, key=lambda n: (-int(table[n][cv2.CC_STAT_AREA]), n))[:_MOST]
    boxes = {n: tuple(int(side) for side in table[n][:4]) for n in chosen}
    height, width = image.shape[:2]
    return Instances.of(
        (height, width),
        ("person",),
        classes=[0] * len(chosen),
        scores=[0.9] * len(chosen),
        centers=[tuple(centers[n].tolist()) for n in chosen],
        areas=[int(table[n][cv2.CC_STAT_AREA]) for n in chosen],
        masks=[ArrayMask.cut(labels, n, boxes[n]) for n in chosen],
    )
