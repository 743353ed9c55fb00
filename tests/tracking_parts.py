"""Observations and instances for the tests of tracking."""

import numpy as np
from numpy.typing import NDArray

from segmentation.instances import ArrayMask, Instances
from tracking import Observations

Box = tuple[int, int, int, int]


def seen_at(
    *boxes: Box,
    kinds: tuple[str, ...] | None = None,
    colours: NDArray[np.uint8] | None = None,
    size: tuple[int, int] = (480, 640),
) -> Observations:
    """Return what a frame with such boxes shows."""
    return Observations(
        frame_size=size,
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        class_names=kinds or ("person",) * len(boxes),
        scores=np.ones(len(boxes)),
        appearance=colours,
    )


def filled(*boxes: Box, size: tuple[int, int] = (480, 640)) -> Instances:
    """Return instances that fill their boxes."""
    masks = [ArrayMask(np.ones((h, w), np.bool_), (x, y, w, h), size) for x, y, w, h in boxes]
    centers = [(x + w / 2, y + h / 2) for x, y, w, h in boxes]
    areas, classes = [w * h for _, _, w, h in boxes], [0] * len(boxes)
    return Instances.of(size, ("person",), classes, [1.0] * len(boxes), centers, areas, masks)
