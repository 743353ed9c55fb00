"""Pictures in files: pixels as people see them.

Libraries: Pillow; OpenCV for colours of more than 8 bits, which Pillow shortens. Legend: H, W
pixels.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from media.brightness import Levels, Values
from media.frames import Upright
from media.picture_files import (
    SeveralPicturesError,
    UnreadableInputError,
    check_file,
    check_size,
    identified,
    is_motion_jpeg,
    page_numbers,
)
from media.pixels import (
    ORIENTATIONS,
    beyond_pillow,
    eight_bits,
    grey_values,
    has_levels,
    orientation,
    tags_of,
)
from media.tiff import TiffHeader, read_tiff_header, without_orientation

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""


OWN_RANGE = Levels()


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
    stored, upright = read_stored(Path(path), levels=levels)
    return upright.turn(stored)


def read_stored(path: Path, *, levels: Levels = OWN_RANGE) -> tuple[Image, Upright]:
    """Read a picture as it is stored, and how its EXIF asks for it to be shown.

    Args:
        path: The file.
        levels: Which brightness is shown as black and as white.

    Returns:
        uint8 (H, W, 3) RGB, not turned; and what turns it.

    Raises:
        UnreadableInputError: As `read_image`.
    """
    check_file(path)
    tiff = read_tiff_header(path)
    if tiff is not None and tiff.fault:
        raise UnreadableInputError(path, tiff.fault)
    if tiff is not None and tiff.beyond_pillow:
        return _read_deep_tiff(path, tiff, levels)
    with identified(path) as picture:
        count = len(page_numbers(picture))
        if count > 1:
            raise SeveralPicturesError(path, f"holds {count} pictures, expected one")
        if is_motion_jpeg(path, picture):
            raise SeveralPicturesError(path, "holds several pictures (JPEG), expected one")
        if not beyond_pillow(picture):
            return _stored_rgb(path, picture, levels)
        picture.load()
        if picture.format == "PNG":
            with identified(path) as sums:
                sums.verify()  # OpenCV's library would print what is wrong
        return to_rgb(path, _deep_pixels(path), levels), orientation(picture)


def _read_deep_tiff(path: Path, tiff: TiffHeader, levels: Levels) -> tuple[Image, Upright]:
    if tiff.several_pages:
        raise UnreadableInputError(
            path,
            f"holds several pictures of {tiff.bits} bits in a kind of TIFF of which one is read; "
            "save each as a file of its own",
        )
    check_size(path, tiff.width, tiff.height)
    stored = to_rgb(path, _deep_pixels(path), levels)
    return stored, ORIENTATIONS.get(tiff.orientation, Upright())


def page_to_rgb(path: Path, picture: Pillow.Image, levels: Levels) -> Image:
    """Return the picture at which an open file stands, upright, as uint8 (H, W, 3) RGB.

    Raises:
        UnreadableInputError: Brightness lies beyond strict ``levels``.
    """
    stored, upright = _stored_rgb(path, picture, levels)
    return upright.turn(stored)


def _stored_rgb(path: Path, picture: Pillow.Image, levels: Levels) -> tuple[Image, Upright]:
    picture.load()
    upright = orientation(picture)
    if not has_levels(picture):
        return eight_bits(picture), upright
    stored = to_rgb(path, grey_values(picture), levels)
    # Pillow swaps black and white of 8 bits alone (TIFF 6.0, WhiteIsZero).
    return 255 - stored if tags_of(picture).get(262) == 0 else stored, upright


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
