"""Read pictures and label maps from files, with a reason where that is impossible.

Pillow decodes both: unlike OpenCV it refuses a JPEG that ends early (instead of filling the rest
with grey) and keeps the numbers of label maps with a palette. Legend: H, W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps

from model.data.data_set import BrokenSampleError
from model.data.labels import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
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


def read_image(path: Path, bits: int = 16) -> Image:
    """Read a picture as people see it: turned as its EXIF says, transparency left out.

    Grey becomes RGB. Of pictures with more than 8 bits a channel the 8 highest are kept, so that
    brightness stays comparable between pictures (no stretching of each to its own range).

    Args:
        path: The file.
        bits: How many bits of a 16-bit grey picture are in use, 8..16 (12 for many microscopes).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BrokenSampleError: It is missing, does not decode to its end, or uses more than ``bits``.
    """
    with _opened(path) as picture:
        turned = ImageOps.exif_transpose(picture)
        if turned.mode == "F":
            raise BrokenSampleError(path, "has floating-point values, expected 8 or 16 bits")
        if turned.mode.startswith("I"):
            return _from_grey(np.asarray(turned).astype(np.int64), path, bits)
        return np.asarray(turned.convert("RGB"), np.uint8)


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
    with _opened(path) as picture:
        if len(picture.getbands()) != 1:
            raise BrokenSampleError(
                path, f"has channels {picture.getbands()}, expected one channel of numbers"
            )
        values = np.asarray(picture)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "ui":
        raise BrokenSampleError(path, f"has values of type {values.dtype}, expected integers")
    if values.shape != tuple(shape[:2]):
        raise BrokenSampleError(
            path, f"is {_size(values.shape)} pixels (width x height), its picture {_size(shape)}"
        )
    if values.size and (values.min() < 0 or values.max() > _LARGEST):
        low, high = int(values.min()), int(values.max())
        raise BrokenSampleError(path, f"has numbers {low}..{high}, expected 0..{_LARGEST}")
    return values


@contextmanager
def _opened(path: Path) -> Iterator[Pillow.Image]:
    """Open and decode a picture; whatever a broken file does to Pillow becomes one error."""
    if not path.is_file():
        raise BrokenSampleError(path, "there is no such file")
    if not path.stat().st_size:
        raise BrokenSampleError(path, "is empty (0 bytes), expected a picture")
    try:
        picture = Pillow.open(path)
        picture.load()
    except (OSError, ValueError, SyntaxError, EOFError, Pillow.DecompressionBombError) as error:
        reason = str(error).replace(f"'{path}'", "the file")
        raise BrokenSampleError(path, f"does not decode: {reason}") from error
    with picture:
        yield picture


def _from_grey(values: NDArray[np.int64], path: Path, bits: int) -> Image:
    if values.size and (values.min() < 0 or values.max() >= 1 << bits):
        low, high = int(values.min()), int(values.max())
        raise BrokenSampleError(
            path, f"has brightness {low}..{high}, expected 0..{(1 << bits) - 1} ({bits} bits)"
        )
    grey = (values >> (bits - 8)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
