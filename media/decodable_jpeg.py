"""Which JPEGs a worker decodes: one rule for who publishes them and for who reads them.

Library: simplejpeg (libjpeg-turbo). Legend: H, W pixels.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from contract.errors import InvalidMessageError
from media.jpeg_limits import jpeg_fault, size_by_markers


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels by the header of a JPEG whose markers pass the limits.

    Raises:
        InvalidMessageError: With the reason ``too_many_scans``, ``too_many_segments``,
            ``unsupported_jpeg`` or ``corrupt_image``.
    """
    fault = jpeg_fault(data)
    if fault is not None:
        raise InvalidMessageError(fault.reason, f"the JPEG {fault.text}")
    return header_size(data)


def header_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels by the header of a JPEG, whatever it would cost to decode.

    Raises:
        InvalidMessageError: ``corrupt_image``.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except KeyError:
        # Chroma of 4:4:1 is decoded like any other, but simplejpeg has no name for it.
        size = size_by_markers(data)
        if size is None:
            raise InvalidMessageError("corrupt_image", "the JPEG has no start of frame") from None
        return size
    except ValueError as error:
        raise InvalidMessageError("corrupt_image", f"not a JPEG image: {error}") from error
    return width, height


def decode_rgb(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a JPEG, (H, W, 3) RGB.

    Raises:
        InvalidMessageError: ``corrupt_image``: its data has an error, however small.
    """
    try:
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError as error:
        raise _broken(error) from error
    return image


def decode_scaled_rgb(data: bytes, least_height: int, least_width: int) -> NDArray[np.uint8]:
    """Return a JPEG's pixels, (H, W, 3) RGB, scaled down in the decoder as far as it may be.

    Args:
        data: The JPEG.
        least_height: It is scaled down no further than to this height, in pixels.
        least_width: Likewise, its width.

    Raises:
        InvalidMessageError: ``corrupt_image``: its data has an error, however small.
    """
    try:
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_height=least_height, min_width=least_width, fastdct=True
        )
    except ValueError as error:
        raise _broken(error) from error
    return image


def decode_small_luma(data: bytes, least_width: int = 1) -> NDArray[np.uint8]:
    """Return the brightness of a JPEG at down to an eighth of its size, (H, W), in half the time.

    All entropy-coded data is read, so what fails in `decode_rgb` fails here too.

    Args:
        data: The JPEG.
        least_width: It is scaled down no further than to this width, in pixels.

    Raises:
        InvalidMessageError: ``corrupt_image``: its data has an error, however small.
    """
    try:
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "GRAY", min_height=1, min_width=least_width, fastdct=True
        )
    except ValueError as error:
        raise _broken(error) from error
    return image[:, :, 0]


def _broken(error: ValueError) -> InvalidMessageError:
    return InvalidMessageError("corrupt_image", f"the JPEG is broken: {error}")
