"""The encoded image of a frame -> pixels. Every fault is the record's own: a dead letter.

Library: OpenCV for the colour conversion of I420.
"""

import cv2
import numpy as np
import numpy.typing as npt

from contract.errors import InvalidMessageError
from contract.frame import I420, Frame
from media.decodable_jpeg import decode_rgb, decode_scaled_rgb, jpeg_size

Image = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""


def decode_image(frame: Frame, *, max_pixels: int) -> Image:
    """Decode a frame; safe in threads, which run side by side (both libraries free the GIL).

    Sizes and markers are looked at before any pixel is decoded, so a small file that claims a huge
    image costs no memory, and one of a thousand scans no time: what is accepted decodes in a
    fraction of a second up to the default limit of pixels.

    Args:
        frame: The frame; its width and height must be those of the image.
        max_pixels: Largest accepted width x height.

    Returns:
        uint8 (H, W, 3), RGB, 0..255. I420 is read as BT.601 in limited range, what OpenCV and most
        cameras mean by it.

    Raises:
        InvalidMessageError: With the reason ``too_many_pixels``, ``size_mismatch``,
            ``too_many_scans``, ``too_many_segments``, ``unsupported_jpeg`` or ``corrupt_image``.
    """
    if frame.width * frame.height > max_pixels:
        raise InvalidMessageError(
            "too_many_pixels",
            f"the frame has {frame.width}x{frame.height} pixels, the limit is {max_pixels}",
        )
    return _decode_i420(frame) if frame.content_type == I420 else _decode_jpeg(frame)


def decode_small(frame: Frame, size: tuple[int, int]) -> Image:
    """Decode a frame that `decode_image` has decoded before, to little more than a smaller size.

    Args:
        frame: The frame.
        size: (height, width) in pixels, at most the frame's.

    Returns:
        uint8 (H, W, 3), RGB, at least of that size.

    Raises:
        InvalidMessageError: ``corrupt_image``.
    """
    if frame.content_type != I420:
        return decode_scaled_rgb(frame.data, *size)
    height, width = (side + side % 2 for side in size)
    values = np.frombuffer(frame.data, np.uint8)
    luma, chroma = np.split(values, [frame.width * frame.height])
    small = [_shrunk(luma.reshape(frame.height, frame.width), (height, width))]
    for plane in chroma.reshape(2, frame.height // 2, frame.width // 2):
        small.append(_shrunk(plane, (height // 2, width // 2)))
    planes = np.concatenate([plane.ravel() for plane in small]).reshape(height * 3 // 2, width)
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)


def _shrunk(plane: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.resize(plane, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _decode_jpeg(frame: Frame) -> Image:
    width, height = jpeg_size(frame.data)
    if (height, width) != (frame.height, frame.width):
        raise InvalidMessageError(
            "size_mismatch",
            f"the JPEG has {width}x{height} pixels, the headers say {frame.width}x{frame.height}",
        )
    return decode_rgb(frame.data)


def _decode_i420(frame: Frame) -> Image:
    if frame.width % 2 or frame.height % 2:
        raise InvalidMessageError(
            "size_mismatch", f"I420 needs even sides, the headers say {frame.width}x{frame.height}"
        )
    expected = frame.width * frame.height * 3 // 2
    if len(frame.data) != expected:
        raise InvalidMessageError(
            "size_mismatch",
            f"the image has {len(frame.data)} bytes, I420 of {frame.width}x{frame.height} pixels "
            f"has {expected}",
        )
    planes = np.frombuffer(frame.data, np.uint8).reshape(frame.height * 3 // 2, frame.width)
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_I420), np.uint8)
