"""How large the objects of a data set are as the deployed model sees them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from model.data.labels import IGNORE, Labelled
from segmentation.letterbox import Fit


def object_areas(picture: Labelled, input_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the areas of a picture's objects once it is letterboxed, in pixels of the input.

    Args:
        picture: The picture; what it ignores does not count.
        input_size: (height, width) of the model's input in pixels.

    Returns:
        float (I,).
    """
    counted = (picture.labels > 0) & (picture.labels != IGNORE)
    _, pixels = np.unique(picture.instances[counted & (picture.instances > 0)], return_counts=True)
    height, width = picture.labels.shape
    scale = Fit.of((height, width), input_size).area_scale
    return pixels.astype(np.float64) * scale


def median_area(areas: Iterable[NDArray[np.float64]]) -> float | None:
    """Return the median of the areas of several pictures; None where there is no object."""
    found = np.concatenate([np.zeros(0), *areas])
    return round(float(np.median(found)), 1) if len(found) else None
