"""A frame as a small JPEG, from the pixels that the network saw where they are enough.

Always decoded and encoded anew: the frame's own JPEG may ask browsers to turn it, which no mask
knows of. Libraries: OpenCV, simplejpeg (libjpeg-turbo).
"""

import cv2
import numpy as np
import simplejpeg

from contract.errors import InvalidMessageError
from contract.frame import Frame
from contract.preview import MAX_WIDTH
from segmentation.decode import Image, decode_small
from segmentation.segmenter import Fitted

QUALITY = 60
"""Of the JPEG, 1..100: 384 pixels of a street are 19 kB, and masks hide its grain."""

PICTURE_ERRORS = (InvalidMessageError, ValueError, MemoryError, cv2.error)
"""What `encode_picture` raises when no picture can be made."""


def picture_size(frame_size: tuple[int, int], width: int) -> tuple[int, int]:
    """Return the size of a frame's picture.

    Args:
        frame_size: (height, width) of the frame in pixels.
        width: Wanted width in pixels.

    Returns:
        (height, width) in pixels: of the frame's shape, at most as wide as wanted, no higher than
        the widest picture is wide, and never larger than the frame.
    """
    scale = min(1.0, width / frame_size[1], MAX_WIDTH / frame_size[0])
    return max(1, round(frame_size[0] * scale)), max(1, round(frame_size[1] * scale))


def encode_picture(frame: Frame, image: Image | Fitted, width: int) -> bytes:
    """Return the JPEG of a frame, of `picture_size`.

    Args:
        frame: The frame.
        image: Its pixels, as the segmenter took them.
        width: Wanted width in pixels.

    Raises:
        PICTURE_ERRORS: None can be made.
    """
    size = picture_size((frame.height, frame.width), width)
    pixels = _pixels(frame, image, size)
    if pixels.shape[:2] != size:
        # A half is as far as neighbours reach; averaging areas takes three times as long.
        halves = pixels.shape[0] <= 2 * size[0] and pixels.shape[1] <= 2 * size[1]
        method = cv2.INTER_LINEAR if halves else cv2.INTER_AREA
        resized = cv2.resize(pixels, size[::-1], interpolation=method)
        pixels = np.asarray(resized, np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(
        np.ascontiguousarray(pixels), QUALITY, "RGB", "420", fastdct=True
    )
    return jpeg


def _pixels(frame: Frame, image: Image | Fitted, size: tuple[int, int]) -> Image:
    """Return pixels of the frame, at least of a size."""
    if not isinstance(image, Fitted):
        return image  # the whole frame, which is tiled
    content = image.fit.content_size
    enough = content[0] >= size[0] and content[1] >= size[1]
    enlarged = content[0] > frame.height or content[1] > frame.width
    if enough and not enlarged:
        return image.picture[: content[0], : content[1]]
    return decode_small(frame, size)
