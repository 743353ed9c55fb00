"""Predictions of which only the foreground left the device.

Shape letters: N batch, H, W the input, S bandwidths; P foreground pixels of the batch.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.engines.base import Predictions


class Pixels(NamedTuple):
    """Foreground pixels, in image order.

    Attributes:
        place: int32 (P,), counted through (N, H, W), or y * W + x of one image.
        values: float32 (2 + S + 1, P): offset x and y, bandwidths, seed; as in `Predictions`.
        classes: uint8 (P,).
    """

    place: NDArray[np.int32]
    values: NDArray[np.float32]
    classes: NDArray[np.uint8]


class Foreground(Predictions):
    """Predictions that are 0 outside the foreground.

    Clustering takes the pixels as they are. The maps are made when they are asked for, which costs
    more than all of it: a frame of 2048x1024 has 44 MB of them.

    Args:
        pixels: Of all images; those beyond the last image are left out.
        shape: (N, H, W).
    """

    def __init__(self, pixels: Pixels, shape: tuple[int, int, int]) -> None:
        n, height, width = shape
        # Of the type of the places, which would all be converted else.
        firsts = (np.arange(n + 1) * (height * width)).astype(pixels.place.dtype)
        ends = np.searchsorted(pixels.place, firsts)
        self.__dict__.update(_pixels=pixels, _shape=shape, _ends=ends)

    _pixels: Pixels
    _shape: tuple[int, int, int]
    _ends: NDArray[np.intp]

    def __len__(self) -> int:
        return self._shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self._shape[1:]

    def of_image(self, i: int) -> Pixels:
        """Return the foreground of one image."""
        part = slice(self._ends[i], self._ends[i + 1])
        place, values, classes = self._pixels
        area = self._shape[1] * self._shape[2]
        first = np.int32(i * area)
        return Pixels(place[part] - first, values[:, part], classes[part])

    @property
    def offset(self) -> NDArray[np.float32]:
        """See `Predictions`."""
        return self._maps.offset

    @property
    def bandwidth(self) -> NDArray[np.float32]:
        """See `Predictions`."""
        return self._maps.bandwidth

    @property
    def seed(self) -> NDArray[np.float32]:
        """See `Predictions`."""
        return self._maps.seed

    @property
    def class_index(self) -> NDArray[np.uint8]:
        """See `Predictions`."""
        return self._maps.class_index

    @cached_property
    def _maps(self) -> Predictions:
        n, height, width = self._shape
        n_sigma = len(self._pixels.values) - 3
        # Memory that is 0 costs nothing until it is read.
        offset = np.zeros((n, 2, height * width), np.float32)
        bandwidth = np.zeros((n, n_sigma, height * width), np.float32)
        seed = np.zeros((n, height * width), np.float32)
        class_index = np.zeros((n, height * width), np.uint8)
        for i in range(n):
            place, values, classes = self.of_image(i)
            for channel in range(2):
                offset[i, channel][place] = values[channel]
            for channel in range(n_sigma):
                bandwidth[i, channel][place] = values[2 + channel]
            seed[i][place] = values[-1]
            class_index[i][place] = classes
        return Predictions(
            offset.reshape(n, 2, height, width),
            bandwidth.reshape(n, n_sigma, height, width),
            seed.reshape(n, height, width),
            class_index.reshape(n, height, width),
        )
