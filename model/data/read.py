"""Read pictures and label maps from files, with a reason where that is impossible.

Labels belong either to the pixels as they are stored or to the picture as its EXIF asks for it to
be shown, and tools differ. One rule holds for every layout that states the size of its labels, or
has them as pixels: the size decides (`read_placed`), and where it fits both the picture is refused.

Pillow decodes both: unlike OpenCV it refuses a JPEG that ends early (instead of filling the rest
with grey) and keeps the numbers of label maps with a palette. Legend: H, W pixels.
"""

import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from media import pictures
from media.brightness import Levels
from media.frames import Upright
from media.picture_files import (
    PICTURE_ENDINGS,
    UnreadableInputError,
    identified,
    opened_picture,
)
from model.data.data_set import BrokenSampleError
from model.data.labels import Image, Labelled

ENDINGS = PICTURE_ENDINGS
"""What counts as a picture, in any case; of label maps with one name the first in this order."""

_LARGEST = np.iinfo(np.int32).max
_LOSSY = ("JPEG", "MPO")

_DEEP = ";16"
"""In Pillow's name of how a file's numbers are stored: 16 bits, also of several channels."""


def find_pictures(folder: Path) -> list[Path]:
    """Return all pictures below a folder, sorted; hidden files and folders are left out."""
    return sorted(path for path in walk(folder) if path.suffix.lower() in ENDINGS)


def files_in(folder: Path, ending: str) -> list[Path]:
    """Return the files right in a folder that end so, in any case, sorted; without hidden ones.

    None where there is no such folder.
    """
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ending and not path.name.startswith(".")
    )


def alike(name: str) -> str:
    """Return what names share that people take for one.

    File systems and tools differ in upper and lower case, and in how they write an accent: as one
    character with its letter, or as two (macOS).
    """
    return unicodedata.normalize("NFC", name).casefold()


def walk(folder: Path) -> Iterator[Path]:
    """Return all files below a folder, also those behind links; each real folder once.

    Hidden files and folders are left out: macOS puts a ``._NAME`` beside each NAME that it copies.

    Raises:
        OSError: A folder is closed to this user.
    """
    seen = set()
    for here, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (Path(here) / name for name in files if not name.startswith("."))


def _raise(error: OSError) -> None:
    raise error


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
    return read_shown(path, levels)[0]


def read_shown(path: Path, levels: Levels = pictures.OWN_RANGE) -> tuple[Image, Upright]:
    """Read a picture as `read_image` does; and how it was turned to be shown."""
    with _told(path):
        stored, upright = pictures.read_stored(path, levels=levels)
    return upright.turn(stored), upright


def read_placed(
    path: Path, labelled: tuple[int, int] | None, levels: Levels = pictures.OWN_RANGE
) -> tuple[Image, Upright]:
    """Read a picture in the frame in which its labels are: as stored, or as shown.

    Args:
        path: The file.
        labelled: (H, W) of the labels; None where they do not say it.
        levels: Which brightness of more than 8 bits is shown as black and as white.

    Returns:
        (H, W, 3) uint8 RGB; and what turns it, and labels drawn on it, upright (`show`). A picture
        that has another size either way is returned as shown.

    Raises:
        BrokenSampleError: As `read_image`; or its EXIF turns it and the labels fit both ways.
    """
    with _told(path):
        stored, upright = pictures.read_stored(path, levels=levels)
    shown = upright.turn(stored)
    if upright.changes_nothing or (
        labelled is not None and labelled not in (stored.shape[:2], shown.shape[:2])
    ):
        return shown, Upright()
    if labelled is None or stored.shape[:2] == shown.shape[:2]:
        raise BrokenSampleError(
            path,
            f"is {_describe(upright)} by its EXIF, and its labels fit both before and after: "
            "remove the orientation (`exiftool -Orientation= FILE`) if they were drawn on the "
            "stored pixels, or turn the pixels (`mogrify -auto-orient FILE`) if they were drawn on "
            "the picture as viewers show it",
        )
    return (shown, Upright()) if labelled == shown.shape[:2] else (stored, upright)


def show(picture: Labelled, upright: Upright) -> Labelled:
    """Return a picture with its labels, both turned upright."""
    if upright.changes_nothing:
        return picture
    return Labelled(
        upright.turn(picture.image),
        upright.turn(picture.instances),
        upright.turn(picture.labels),
        picture.flaws,
    )


def map_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of a label map, of which only the header is read.

    Raises:
        BrokenSampleError: It is missing or is no picture.
    """
    with _told(path), identified(path) as picture:
        return picture.height, picture.width


def read_map(path: Path, shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Read a label map.

    Args:
        path: The file; numbers of 1, 8, 16 or 32 bits, also as floating point or as the equal
            channels of a gray picture; a palette's colours are ignored.
        shape: (H, W) that it must have.

    Returns:
        (H, W) unsigned or int32, every value 0..2^31 - 1.

    Raises:
        BrokenSampleError: It is missing, does not decode, is compressed with losses, has colours,
            fractions or negative numbers, or another size.
    """
    with _told(path), _opened_map(path, shape) as picture:
        bands = picture.getbands()
        values = np.asarray(picture)
    if bands[:3] == ("R", "G", "B"):
        values = _gray(values, path)
    elif bands == ("L", "A"):
        values = values[..., 0]
    elif len(bands) != 1:
        raise BrokenSampleError(path, f"has channels {bands}, expected one channel of numbers")
    return _checked(values, path)


def read_codes(
    path: Path, shape: tuple[int, ...], *, colours: bool
) -> tuple[NDArray[np.generic], bool]:
    """Read a label map that may be coloured.

    Args:
        path: The file.
        shape: (H, W) that it must have.
        colours: Whether a palette's colours are meant, and not its numbers.

    Returns:
        (H, W) unsigned or int32: the numbers of one channel, or of colours
        ``red << 16 | green << 8 | blue``; and whether they are colours.

    Raises:
        BrokenSampleError: As `read_map`, except for the channels.
    """
    with _told(path), _opened_map(path, shape) as picture:
        bands = picture.getbands()
        if bands[:3] == ("R", "G", "B") or (colours and bands == ("P",)):
            red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), np.int32), 2, 0)
            return red << 16 | green << 8 | blue, True
        if len(bands) != 1:
            raise BrokenSampleError(path, f"has channels {bands}, expected one, or colours")
        values = np.asarray(picture)
    return _checked(values, path), False


def _gray(values: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    """Return the one channel of a gray picture that was saved with three (and opacity)."""
    red, green, blue = (values[..., channel] for channel in range(3))
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return red
    raise BrokenSampleError(
        path, "has colours, expected one channel of numbers, or three that are equal"
    )


def _checked(values: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind == "f":
        values = _whole(values, path)
    if values.dtype.kind not in "ui":
        raise BrokenSampleError(path, f"has values of type {values.dtype}, expected integers")
    if values.size and (values.min() < 0 or values.max() > _LARGEST):
        low, high = int(values.min()), int(values.max())
        raise BrokenSampleError(path, f"has numbers {low}..{high}, expected 0..{_LARGEST}")
    return values


def _whole(values: NDArray[np.generic], path: Path) -> NDArray[np.generic]:
    """Return whole numbers that were saved as floating point."""
    numbers = values.astype(np.float64)
    wrong = numbers[~(np.isfinite(numbers) & (numbers == np.floor(numbers)))]
    if wrong.size:
        raise BrokenSampleError(path, f"has the number {wrong.flat[0]:g}, expected whole ones")
    if numbers.size and numbers.max() > _LARGEST:
        raise BrokenSampleError(path, f"has the number {numbers.max():g}, at most {_LARGEST}")
    return numbers.astype(np.int64)


def _describe(upright: Upright) -> str:
    turned = [f"turned by {90 * upright.quarter_turns} degrees"] if upright.quarter_turns else []
    return " and ".join([*(["mirrored"] if upright.flipped else []), *turned])


@contextmanager
def _opened_map(path: Path, shape: tuple[int, ...]) -> Iterator[Pillow.Image]:
    _refuse_deep_channels(path)
    with opened_picture(path, shape) as picture:
        lossy = _lossy(path, picture)
        if lossy:
            raise BrokenSampleError(
                path,
                f"is {lossy}, whose compression changes the numbers of a label map; export the "
                "labels again, as PNG or TIFF",
            )
        yield picture


def _lossy(path: Path, picture: Pillow.Image) -> str:
    """Return as what a picture is compressed with losses; "" where it is not."""
    if picture.format in _LOSSY or picture.info.get("compression") == "jpeg":
        return "a JPEG"
    if picture.format == "AVIF":
        return "an AVIF"
    return "a WebP with losses" if picture.format == "WEBP" and _is_lossy_webp(path) else ""


def _is_lossy_webp(path: Path) -> bool:
    """Whether the picture's chunk in the RIFF container is ``VP8`` and not ``VP8L``."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            if head.startswith(b"VP8") and head[3:4] in b" L":
                return head[3:4] == b" "
            size = int.from_bytes(head[4:], "little")
            file.seek(size + size % 2, os.SEEK_CUR)
    return True


def _refuse_deep_channels(path: Path) -> None:
    """Refuse 16 bits in each of several channels: Pillow reads the upper eight without a word."""
    with identified(path) as picture:
        deep = isinstance(picture, ImageFile) and any(_DEEP in str(t.args) for t in picture.tile)
        if deep and len(picture.getbands()) >= 3:
            raise BrokenSampleError(
                path, "has several channels of 16 bits, expected one of them, or 8 bits"
            )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Let a file that gives no pixels be the fault of its picture."""
    try:
        yield
    except UnreadableInputError as error:
        raise BrokenSampleError(path, error.reason) from error
