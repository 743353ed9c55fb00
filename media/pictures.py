"""Pictures in files: pixels as people see them, or the reason why there are none.

Libraries: Pillow (unlike OpenCV it refuses a JPEG that ends early instead of filling the rest with
grey); OpenCV for colours of more than 8 bits, which Pillow shortens. Legend: H, W pixels.
"""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageSequence, UnidentifiedImageError

from contract.errors import SeedstreamError
from media.brightness import Levels, Values
from media.frames import Upright
from media.tiff import TiffHeader, read_tiff_header, without_orientation

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
"""What counts in a folder, in any case; a file that is named is opened whatever its ending."""

MAX_PIXELS = 1 << 27
"""Largest picture, 134 megapixels: reading one takes about 1 GB."""

_TOO_LARGE = f"at most {MAX_PIXELS / 1e6:.0f} are read; cut it into tiles or scale it down"

OWN_RANGE = Levels()

# Raw lines about pictures that are large (the limit above is checked here) or have broken notes.
warnings.filterwarnings("ignore", module=r"PIL\.")

_NOT_PICTURES = frozenset({"EPS", "FLI", "MPEG", "BUFR", "GRIB", "HDF5", "PDF", "WMF"})
"""Videos, programs and documents that Pillow knows by name; most of them it cannot decode."""

_SEQUENCES = frozenset({"AVIF", "GIF", "PNG", "TIFF", "WEBP"})
"""Formats that hold several pictures of equal rank. Others hold previews of one (MPO, ICO, ...)."""

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of ISO/IEC 23008-12, annex B."""

_ORIENTATION = 0x0112
_ORIENTATIONS = {
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

_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error)


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
def opened_picture(path: Path) -> Iterator[Pillow.Image]:
    """Open a file of one picture and decode it to its end; any fault becomes one error.

    Raises:
        UnreadableInputError: It is missing, empty, broken, or too large.
        SeveralPicturesError: It holds several.
        NotAPictureError: It is something else.
    """
    with identified(path) as picture:
        count = len(page_numbers(picture))
        if count > 1:
            raise SeveralPicturesError(path, f"holds {count} pictures, expected one")
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
    if not path.is_file():
        raise UnreadableInputError(path, "there is no such file")
    try:
        if not path.stat().st_size:
            raise UnreadableInputError(path, "is empty (0 bytes), expected a picture")
        with Pillow.open(path, formats=_formats()) as picture:
            check_size(path, *picture.size)
            yield picture
    except UnidentifiedImageError as error:
        if _is_heic(path):
            raise UnreadableInputError(
                path, "is a HEIC photograph, which is not read; convert it to JPEG or PNG first"
            ) from error
        raise NotAPictureError(path, _undecodable(path, error)) from error
    except Pillow.DecompressionBombError as error:  # raised before the size is known here
        raise UnreadableInputError(path, f"has over 178 megapixels, {_TOO_LARGE}") from error
    except _BROKEN as error:
        raise UnreadableInputError(path, _undecodable(path, error)) from error


def page_numbers(picture: Pillow.Image) -> list[int]:
    """Return the numbers of an open file's pictures, without previews and reduced copies."""
    count: int = getattr(picture, "n_frames", 1)
    if count == 1 or picture.format not in _SEQUENCES:
        return [0]
    if picture.format == "PNG":  # the still that programs show that know no animation
        return list(range(1 if getattr(picture, "default_image", False) else 0, count))
    if picture.format != "TIFF":
        return list(range(count))
    kinds = [page.tag_v2.get(254, 0) for page in ImageSequence.Iterator(picture)]  # type: ignore[attr-defined]
    picture.seek(0)
    # TIFF 6.0, NewSubfileType: bit 0 a reduced copy, bit 2 a transparency mask.
    return [number for number, kind in enumerate(kinds) if not kind & 0b101] or [0]


def read_image(path: Path | str, *, levels: Levels = OWN_RANGE) -> Image:
    """Read a picture as people see it: turned as its EXIF says, transparency left out.

    Grey becomes RGB. More than 8 bits a channel, and floating point, become 8 bits by ``levels``:
    unless they are set, the file's own range is stretched (`media.brightness`).

    Args:
        path: The file.
        levels: Which brightness is shown as black and as white.

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        UnreadableInputError: It is missing, does not decode to its end, is too large, has channels
            that are no colours, or brightness beyond strict ``levels``.
        SeveralPicturesError: It holds several pictures.
        NotAPictureError: It is something else.
    """
    path = Path(path)
    tiff = read_tiff_header(path)
    if tiff is not None and tiff.fault:
        raise UnreadableInputError(path, tiff.fault)
    if tiff is not None and tiff.beyond_pillow:
        return _read_deep_tiff(path, tiff, levels)
    with identified(path) as picture:
        count = len(page_numbers(picture))
        if count > 1:
            raise SeveralPicturesError(path, f"holds {count} pictures, expected one")
        if not _has_deep_colours(picture):
            return page_to_rgb(path, picture, levels)
        picture.load()
        return orientation(picture).turn(to_rgb(path, _deep_pixels(path), levels))


def _read_deep_tiff(path: Path, tiff: TiffHeader, levels: Levels) -> Image:
    if tiff.several_pages:
        raise UnreadableInputError(
            path,
            f"holds several pictures of {tiff.bits} bits in a kind of TIFF of which one is read; "
            "save each as a file of its own",
        )
    check_size(path, tiff.width, tiff.height)
    shown = to_rgb(path, _deep_pixels(path), levels)
    return _ORIENTATIONS.get(tiff.orientation, Upright()).turn(shown)


def page_to_rgb(path: Path, picture: Pillow.Image, levels: Levels) -> Image:
    """Return the picture at which an open file stands, upright, as uint8 (H, W, 3) RGB.

    Raises:
        UnreadableInputError: Brightness lies beyond strict ``levels``.
    """
    picture.load()
    upright = orientation(picture)
    if picture.mode.startswith(("I", "F")):
        return upright.turn(to_rgb(path, grey_values(picture), levels))
    return upright.turn(_eight_bits(picture))


def grey_values(picture: Pillow.Image) -> Values:
    """Return the brightness of a picture of one channel of more than 8 bits, (H, W)."""
    values = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    if picture.mode == "I" and tags.get(258) == (32,) and tags.get(339, (1,)) == (1,):
        return values.view(np.uint32)  # Pillow takes it as signed
    return values


def to_rgb(path: Path, values: Values, levels: Levels) -> Image:
    """Return grey or colours of any depth as uint8 (H, W, 3).

    Raises:
        UnreadableInputError: Brightness lies beyond strict ``levels``.
    """
    try:
        shown = levels.apply(values)
    except ValueError as error:
        raise UnreadableInputError(path, str(error)) from error
    return shown if shown.ndim == 3 else np.repeat(shown[:, :, None], 3, axis=2)


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture that would take too much memory.

    Raises:
        UnreadableInputError: It has more than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise UnreadableInputError(
            path,
            f"has {width}x{height} = {width * height / 1e6:.0f} megapixels, {_TOO_LARGE}",
        )


def _is_heic(path: Path) -> bool:
    """Whether it is a photograph of a phone, of which FFmpeg gives one tile without a word."""
    with path.open("rb") as file:
        start = file.read(12)
    return start[4:8] == b"ftyp" and start[8:12] in _HEIC


def _formats() -> list[str]:
    Pillow.init()
    return [name for name in Pillow.ID if name not in _NOT_PICTURES]


def _eight_bits(picture: Pillow.Image) -> Image:
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


def _has_deep_colours(picture: Pillow.Image) -> bool:
    """Whether Pillow would drop the low bits of the colours; to be asked before it decodes."""
    return picture.mode in ("LA", "RGB", "RGBA", "RGBX") and any(
        "16" in str(tile.args) for tile in getattr(picture, "tile", ())
    )


def _deep_pixels(path: Path) -> Values:
    """Return grey (H, W) or RGB (H, W, 3) with all bits; not turned, without transparency."""
    level = cv2.utils.logging.getLogLevel()
    # Its raw lines say less than the error below.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        data = np.frombuffer(without_orientation(path.read_bytes()), np.uint8)
        pixels: Any = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise UnreadableInputError(path, "does not decode: it is broken, or ends early")
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, 2::-1])


def orientation(picture: Pillow.Image) -> Upright:
    """Return how the notes of a decoded picture (EXIF) ask for it to be shown."""
    try:
        return _ORIENTATIONS.get(picture.getexif().get(_ORIENTATION, 1), Upright())
    except _BROKEN:
        return Upright()  # a broken note beside a good picture


def _undecodable(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return "does not decode: " + str(error).replace(f"'{path}'", "the file")
