"""Objects that lose contrast beside others that keep it.

Where few objects are dim, and dim ones lie beside bright ones, a network learns to take them for
background. Legend: S pixels of the square crop. Images are uint8 RGB.
"""

import cv2
import numpy as np

from model.data.labels import Image, Labelled
from model.recipes.augmentation import Fade

_RIM = 2
"""Pixels around an object that fade with it: light that the lens spread, and outlines drawn
narrowly."""


def fade_objects(crop: Labelled, options: Fade, rng: np.random.Generator) -> Image:
    """Return the image (S, S, 3) of a crop in which some objects came nearer to the background.

    The background is the median of the pixels of no object, by channel: both bright objects on dark
    ground and dark ones on bright ground fade. Other objects keep their pixels.

    Args:
        crop: Left as it is.
        options: How many objects fade, and how far.
        rng: Draws them.
    """
    numbers = np.flatnonzero(np.bincount(crop.instances.reshape(-1))[1:]) + 1
    background = crop.image[crop.labels == 0]
    if rng.random() >= options.share or not len(numbers) or not len(background):
        return crop.image
    faded = numbers[rng.random(len(numbers)) < options.objects]
    left = np.ones(int(numbers.max()) + 1, np.float32)
    low, high = np.log(options.contrast)
    left[faded] = np.exp(rng.uniform(low, high, len(faded)))
    # The nearest object within the rim decides for a pixel: grown by a minimum where none lies.
    contrast = left[crop.instances]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _RIM + 1, 2 * _RIM + 1))
    grown = np.where(crop.instances > 0, contrast, cv2.erode(contrast, kernel))
    soft = np.where(crop.instances > 0, contrast, cv2.GaussianBlur(grown, (0, 0), 1))[..., None]
    ground = np.median(background, axis=0).astype(np.float32)
    pixels = ground + (crop.image - ground) * soft
    return np.asarray(np.round(np.clip(pixels, 0, 255)), np.uint8)
