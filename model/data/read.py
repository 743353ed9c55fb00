"""Read pictures and label maps from files, with a reason where that is impossible.

Pillow decodes both: unlike OpenCV it refuses a JPEG that ends early (instead of filling the rest
with grey) and keeps the numbers of label maps with a palette. Legend: H, W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media import pictures
from media.brightness import Levels
from media.pictures import UnreadableInputError
from model.data.data_set import BrokenSampleError
from model.data.labels import Image

ENDINGS = pictures.PICTURE_ENDINGS
"""What counts as a picture, in any case; of label maps with one name the first in this order."""

_LARGEST = np.iinfo(np.int32).max


def find_pictures(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted; hidden files and folders are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in ENDINGS
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def read_image(path: Path, levels: Levels = pictures.OWN_RANGE) -> Image:
    """Read a picture as `media.pictures.read_image` does.

    Args:
        path: The file.
        levels: Which brightness of more than 8 bits is shown as black and as white.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BrokenSampleError: It is missing, does not decode to its end, holds several pictures, or has
            brightness beyond strict ``levels``.
    """
    with _told(path):
        return pictures.read_image(path, levels=levels)


def read_map(path: Path, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Read a label map.

    Args:
        path: The file; numbers of 1, 8, 16 or 32 bits, a palette's colours are ignored.
        shape: (H, W) that it must have.

    Returns:
        (H, W) unsigned or int32, every value 0..2^31 - 1.

    Raises:
        BrokenSampleError: It is missing, does not decode, has several channels, fractions or
            negative numbers, or another size.
    """
    with _told(path), pictures.opened_picture(path, shape) as picture:
        if len(picture.getbands()) != 1:
            raise BrokenSampleError(
                path, f"has channels {picture.getbands()}, expected one channel of numbers"
            )
        values = np.asarray(picture)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "ui":
        raise BrokenSampleError(path, f"has values of type {values.dtype}, expected integers")
    if values.size and (values.min() < 0 or values.max() > _LARGEST):
        low, high = int(values.min()), int(values.max())
        raise BrokenSampleError(path, f"has numbers {low}..{high}, expected 0..{_LARGEST}")
    return values


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Let a file that gives no pixels be the fault of its picture."""
    try:
        yield
    except UnreadableInputError as error:
        raise BrokenSampleError(path, error.reason) from error
