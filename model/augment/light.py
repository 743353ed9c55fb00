"""Changes of light, lens and coding that leave the labels as they are.

Legend: S pixels of the square crop. Images are uint8 RGB.
"""

import cv2
import numpy as np

from model.augment.options import Light
from model.data.labels import Image


def change_light(image: Image, options: Light, rng: np.random.Generator) -> Image:
    """Return a crop (S, S, 3) in another light, blurred, noisy or coded at times."""
    values = image.astype(np.float32) / 255
    if rng.random() < options.share:
        values = values ** rng.uniform(*options.gamma)
        values *= np.exp(rng.uniform(*np.log(options.gain))) * rng.uniform(*options.color, 3)
        mean = values.mean()
        values = (values - mean) * rng.uniform(*options.contrast) + mean
        values += rng.uniform(-options.lift, options.lift)
    if rng.random() < options.blur_share:
        values = cv2.GaussianBlur(values, (0, 0), rng.uniform(*options.blur))
    if rng.random() < options.noise_share:
        values = values + rng.normal(0, rng.uniform(0, options.noise), values.shape)
    pixels = np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
    if rng.random() < options.jpeg_share:
        quality = [cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*options.jpeg))]
        coded = cv2.imencode(".jpg", pixels, quality)[1]
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return pixels
