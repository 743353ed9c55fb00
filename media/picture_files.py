"""Files of pictures: what they hold, or the reason why they are not read.

Library: Pillow (unlike OpenCV it refuses a JPEG that ends early instead of filling the rest with
grey).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from contract.errors import SeedstreamError
from media.frames import followed_by_jpeg
from media.jpeg_limits import jpeg_fault
from media.pixels import BROKEN
from media.quiet import quieten
from media.tiff import read_tiff_header

PICTURE_ENDINGS = (*(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".webp"),)
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
"""What counts in a folder, in any case; a file that is named is opened whatever its ending."""

MAX_PIXELS = 1 << 27
"""Largest picture, 134 megapixels: reading one takes about 1 GB."""

TOO_LARGE = f"at most {MAX_PIXELS / 1e6:.0f} are read; cut it into tiles or scale it down"

quieten()

_NOT_PICTURES = frozenset({"EPS", "FLI", "MPEG", "BUFR", "GRIB", "HDF5", "PDF", "WMF"})
"""Videos, programs and documents that Pillow knows by name; most of them it cannot decode."""

_JPEG = frozenset({"JPEG", "MPO"})

_SEQUENCES = frozenset({"AVIF", "GIF", "PNG", "TIFF", "WEBP"})
"""Formats that hold several pictures of equal rank. Others hold previews of one (MPO, ICO, ...)."""

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of ISO/IEC 23008-12, annex B: of these photographs FFmpeg gives one tile, no word."""

_AVIF = (b"avif", b"avis")
"""Of a broken sequence FFmpeg gives the still before it without a word."""

_JPEG_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif")
"""Under these names phones append more to a photograph than the photograph."""


class UnreadableInputError(SeedstreamError):
    """A file gives no pixels, or not all of them.

    Attributes:
        path: The file.
        reason: What is wrong with it, to be read after its name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotAPictureError(UnreadableInputError):
    """The file is there but not one picture that Pillow knows; it may be a video."""


class SeveralPicturesError(NotAPictureError):
    """The file holds several pictures (frames, pages): `media.videos.Video` reads all of them."""


@contextmanager
def opened_picture(path: Path, shape: tuple[int, ...] | None = None) -> Iterator[Pillow.Image]:
    """Open a file of one picture and decode it to its end; any fault becomes one error.

    Args:
        path: The file.
        shape: (H, W) that it must have, which is looked at before anything is decoded.

    Raises:
        UnreadableInputError: It is missing, empty, broken, too large, or not of that shape.
        SeveralPicturesError: It holds several.
        NotAPictureError: It is something else.
    """
    with identified(path) as picture:
        count = len(page_numbers(picture))
        if count > 1:
            raise SeveralPicturesError(path, f"holds {count} pictures, expected one")
        if shape is not None and picture.size != shape[1::-1]:
            seen, expected = (f"{width}x{height}" for width, height in (picture.size, shape[1::-1]))
            raise UnreadableInputError(
                path, f"is {seen} pixels (width x height), its picture {expected}"
            )
        picture.load()
        yield picture


@contextmanager
def identified(path: Path) -> Iterator[Pillow.Image]:
    """Open a file with pictures, of which only the headers are read.

    What Pillow raises in the block is a fault of the file.

    Raises:
        UnreadableInputError: It is missing, empty, broken, or too large.
        NotAPictureError: It is something else.
    """
    check_file(path)
    try:
        if not path.stat().st_size:
            raise UnreadableInputError(path, "is empty (0 bytes), expected a picture")
        with Pillow.open(path, formats=_formats()) as picture:
            check_size(path, *picture.size)
            if picture.format in _JPEG:
                _check_jpeg(path)
            yield picture
    except UnidentifiedImageError as error:
        if _brand(path) in _HEIC:
            raise UnreadableInputError(
                path, "is a HEIC photograph, which is not read; convert it to JPEG or PNG first"
            ) from error
        if _brand(path) in _AVIF:
            raise UnreadableInputError(
                path, "is an AVIF picture that does not decode: it is broken, or ends early"
            ) from error
        if read_tiff_header(path) is not None:  # FFmpeg takes its numbers for others
            raise UnreadableInputError(
                path, "is a TIFF of a kind that is not read; save it as PNG, or without compression"
            ) from error
        raise NotAPictureError(
            path, "does not decode: it is no picture of a kind that is read"
        ) from error
    except Pillow.DecompressionBombError as error:  # raised before the size is known here
        raise UnreadableInputError(path, f"has over 178 megapixels, {TOO_LARGE}") from error
    except BROKEN as error:
        raise UnreadableInputError(path, undecodable(error)) from error


def page_numbers(picture: Pillow.Image) -> list[int]:
    """Return the numbers of an open file's pictures, without previews and reduced copies.

    Where a TIFF breaks, the page that cannot be reached is the last.
    """
    if picture.format not in _SEQUENCES:
        return [0]
    count: int = 0 if picture.format == "TIFF" else getattr(picture, "n_frames", 1)
    if count == 1:
        return [0]
    if picture.format == "PNG":  # the still that programs show that know no animation
        return list(range(1 if getattr(picture, "default_image", False) else 0, count))
    if picture.format != "TIFF":
        return list(range(count))
    kinds = _page_kinds(picture)
    # TIFF 6.0, NewSubfileType: bit 0 a reduced copy, bit 2 a transparency mask.
    return [number for number, kind in enumerate(kinds) if not kind & 0b101] or [0]


def _page_kinds(picture: Any) -> list[int]:
    kinds: list[int] = []
    try:
        while True:
            picture.seek(len(kinds))
            kinds.append(picture.tag_v2.get(254, 0))
    except EOFError:
        pass  # the last page was the one before
    except (*BROKEN, Pillow.DecompressionBombError):
        kinds.append(0)
    picture.seek(0)
    return kinds


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture that would take too much memory.

    Raises:
        UnreadableInputError: It has more than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise UnreadableInputError(
            path,
            f"has {width}x{height} = {width * height / 1e6:.0f} megapixels, {TOO_LARGE}",
        )


def check_file(path: Path) -> None:
    """Refuse what is no file; a pipe would be waited for without end.

    Raises:
        UnreadableInputError: It is missing, a folder, a pipe, a device.
    """
    try:
        if path.is_file():
            return
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise UnreadableInputError(path, f"cannot be read: {error.strerror}") from error
    if path.is_dir():
        raise UnreadableInputError(path, "is a folder, expected a file; name the files in it")
    if path.exists():
        raise UnreadableInputError(path, "is a pipe or a device; save it as a file first")
    raise UnreadableInputError(path, "there is no such file")


def is_motion_jpeg(path: Path, picture: Pillow.Image) -> bool:
    """Whether one JPEG follows the other, as recorders write them."""
    if picture.format != "JPEG" or path.suffix.lower() in _JPEG_ENDINGS:
        return False
    return followed_by_jpeg(path.read_bytes())


def _check_jpeg(path: Path) -> None:
    fault = jpeg_fault(path.read_bytes())
    if fault is not None:
        raise UnreadableInputError(
            path, f"is a JPEG that is not read: it {fault.text}; save it anew, as a baseline JPEG"
        )


def _brand(path: Path) -> bytes:
    """Return what kind of ISO media file it is, b"" of others."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[8:12] if start[4:8] == b"ftyp" else b""


def _formats() -> list[str]:
    Pillow.init()
    return [name for name in Pillow.ID if name not in _NOT_PICTURES]


def undecodable(error: Exception) -> str:
    """Return what is wrong with a file, or a part of it, at which Pillow raised one of `BROKEN`."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    if isinstance(error, OSError) and "truncated" in str(error):
        return f"does not decode: {error}"
    return f"does not decode: it is broken, or ends early ({error})"
