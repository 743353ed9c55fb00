"""The compiled loop over an object's pixels: how often each colour occurs in each band of it.

It releases the interpreter lock. Arguments are not checked here.
"""

import numpy as np
from numpy.typing import NDArray

from segmentation.kernel_cache import compiled

BANDS = 3
"""Horizontal bands of a mask: roughly head, upper body and legs of a person."""

BINS = 10
"""Bins of each colour channel."""

CHANNELS = 3


@compiled
def _spread(difference: int) -> int:
    """Spread a difference of two colours, -255..255, over 0..256: most clothes are nearly grey."""
    size = abs(difference)
    spread = 138 * size // (size + 20)
    return 128 + spread if difference > 0 else 128 - spread


@compiled
def count_all_colours(
    picture: NDArray[np.uint8],
    pixels: NDArray[np.bool_],
    boxes: NDArray[np.int64],
    x_scale: float,
    y_scale: float,
    most_pixels: int,
) -> NDArray[np.int32]:
    """Count the colours under all masks of a picture, see `count_colours`.

    Args:
        picture: uint8 (H, W, 3) RGB.
        pixels: bool, each mask inside its box (h, w), row by row, one mask after the other.
        boxes: int64 (I, 4), x, y, w, h.
        x_scale: Columns of the picture per column of the frame.
        y_scale: Rows of the picture per row of the frame.
        most_pixels: About how many pixels of a mask are looked at.

    Returns:
        int32 (I, BANDS, CHANNELS, BINS).
    """
    counts = np.empty((len(boxes), BANDS, CHANNELS, BINS), np.int32)
    start = 0
    for i in range(len(boxes)):
        left, top, width, height = boxes[i]
        mask = pixels[start : start + height * width].reshape(height, width)
        start += height * width
        counts[i] = count_colours(picture, mask, left, top, x_scale, y_scale, most_pixels)
    return counts


@compiled
def count_colours(
    picture: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    left: int,
    top: int,
    x_scale: float,
    y_scale: float,
    most_pixels: int,
) -> NDArray[np.int32]:
    """Count the colours under a mask, each pixel shared by the two bins that it lies between.

    Args:
        picture: uint8 (H, W, 3) RGB.
        mask: bool (h, w), of the frame's pixels.
        left: Column of the mask in the frame.
        top: Row of the mask in the frame.
        x_scale: Columns of the picture per column of the frame.
        y_scale: Rows of the picture per row of the frame.
        most_pixels: About how many pixels are looked at; larger masks are sampled on a grid.

    Returns:
        int32 (BANDS, CHANNELS, BINS): sixteenths of pixels by lightness, red against green, and
        yellow against blue.
    """
    height, width = mask.shape
    first_row = max(0, int(top * y_scale))
    last_row = min(picture.shape[0], int((top + height) * y_scale) + 1)
    first_column = max(0, int(left * x_scale))
    last_column = min(picture.shape[1], int((left + width) * x_scale) + 1)
    counts = np.zeros((BANDS, CHANNELS, BINS), np.int32)
    area = (last_row - first_row) * (last_column - first_column)
    step = max(1, int(np.sqrt(area / most_pixels)))
    for row in range(first_row, last_row, step):
        y = int((row + 0.5) / y_scale) - top
        if y < 0 or y >= height:
            continue
        band = y * BANDS // height
        for column in range(first_column, last_column, step):
            x = int((column + 0.5) / x_scale) - left
            if x < 0 or x >= width or not mask[y, x]:
                continue
            red = np.int64(picture[row, column, 0])
            green = np.int64(picture[row, column, 1])
            blue = np.int64(picture[row, column, 2])
            for channel in range(CHANNELS):
                if channel == 0:
                    value = int((red + 2 * green + blue) // 4)
                elif channel == 1:
                    value = _spread(red - green)
                else:
                    value = _spread((red + green) // 2 - blue)
                # In sixteenths of a bin from the middle of the first one.
                place = min(max(value * BINS // 16 - 8, 0), 16 * (BINS - 1))
                low = place // 16
                share = place % 16
                counts[band, channel, low] += 16 - share
                if share:
                    counts[band, channel, low + 1] += share
    return counts
