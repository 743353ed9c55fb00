"""Encoded frames into pictures."""

import cv2
import numpy as np
import simplejpeg

from contract.errors import InvalidMessageError
from contract.frame import I420, Frame
from viewer.overlay import RgbImage


def decode_image(frame: Frame) -> RgbImage:
    """Decode a frame.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InvalidMessageError: ``undecodable``: the bytes are not the image that the headers describe.
    """
    shape = (frame.height, frame.width, 3)
    try:
        if frame.content_type == I420:
            planes = np.frombuffer(frame.data, np.uint8)
            rows = planes.reshape(frame.height * 3 // 2, frame.width)
            image = np.asarray(cv2.cvtColor(rows, cv2.COLOR_YUV2RGB_I420), np.uint8)
        else:
            # The header's size first: a small file may claim to be a picture of gigabytes.
            height, width, _, _ = simplejpeg.decode_jpeg_header(frame.data)
            if (height, width) != shape[:2]:
                raise ValueError(f"the JPEG is of {(height, width)}, its headers say {shape[:2]}")
            image = np.asarray(simplejpeg.decode_jpeg(frame.data, "RGB"), np.uint8)
    except (ValueError, cv2.error) as error:
        raise InvalidMessageError("undecodable", f"not the image described: {error}") from error
    return image
