"""What a picture that Pillow has opened holds: kind, pixels, how it is to be turned.

Library: Pillow. Legend: H, W pixels.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from media.brightness import Values
from media.frames import Upright

BROKEN = (
    *(OSError, ValueError, SyntaxError, EOFError, TypeError, LookupError, ArithmeticError),
    *(AttributeError, RuntimeError, struct.error),
)
"""What Pillow raises at a file that is broken."""

_ORIENTATION = 0x0112
ORIENTATIONS = {
    2: Upright(0, True),
    3: Upright(2),
    4: Upright(2, True),
    5: Upright(3, True),
    6: Upright(1),
    7: Upright(1, True),
    8: Upright(3),
}
"""EXIF 2.32, tag 274: what is to be done to show the picture."""

_STRIP_PIXELS = 1 << 22
"""Pixels that are converted at a time, so that no second copy of a large picture is made."""


def has_levels(picture: Pillow.Image) -> bool:
    """Whether an open picture is grey of more than 8 bits, or signed."""
    signed = picture.mode == "L" and tags_of(picture).get(339) == (2,)
    return signed or picture.mode.startswith(("I", "F"))


def tags_of(picture: Pillow.Image) -> Any:
    """Return the tags of a TIFF; none of another picture."""
    return getattr(picture, "tag_v2", {})


def grey_values(picture: Pillow.Image) -> Values:
    """Return the brightness of a picture of one channel that `has_levels`, (H, W)."""
    values = np.asarray(picture)
    tags = tags_of(picture)
    if picture.mode == "L":
        return values.view(np.int8)
    if picture.mode == "I" and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        return values.view(np.uint32)  # Pillow takes it as signed
    return values


def eight_bits(picture: Pillow.Image) -> NDArray[np.uint8]:
    """Return a decoded picture of 8 bits as (H, W, 3) RGB, without transparency."""
    width, height = picture.size
    rows = max(1, _STRIP_PIXELS // max(1, width))
    if rows >= height:
        return np.asarray(picture.convert("RGB"), np.uint8)
    image = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = picture.crop((0, top, width, bottom)).convert("RGB")
        image[top:bottom] = np.asarray(strip, np.uint8)
    return image


def beyond_pillow(picture: Pillow.Image) -> bool:
    """Whether Pillow would drop bits or change the numbers; to be asked before it decodes."""
    for tile in getattr(picture, "tile", ()):
        kinds = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        if picture.format == "PPM" and any(isinstance(kind, int) and kind > 255 for kind in kinds):
            return True  # it stretches them to 16 bits, or shortens them to 8
        if picture.mode in ("LA", "RGB", "RGBA", "RGBX") and "16" in str(kinds[0]):
            return True
    return False


def orientation(picture: Pillow.Image) -> Upright:
    """Return how the notes of a decoded picture (EXIF) ask for it to be shown."""
    try:
        return ORIENTATIONS.get(picture.getexif().get(_ORIENTATION, 1), Upright())
    except BROKEN:
        return Upright()  # a broken note beside a good picture
