"""How brightness of more than 8 bits becomes 8: from a black to a white level, by one stated rule.

Microscopes store 12 bits in 16, and cameras use a part of their range: the highest 8 bits of such a
picture are nearly black. Unless levels are set, a file is stretched to its own range: from its
darkest to its brightest pixel after a 3x3 median, so that single hot or dead pixels do not count.

Library: OpenCV for the median. Legend: H, W pixels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from contract.errors import ConfigurationError

_STRIP_VALUES = 1 << 22
_FARTHEST = 1e300  # the distance of two such numbers is still one

Values = NDArray[Any]
"""(H, W) or (H, W, 3), integers or floating point, as the file has them."""


@dataclass(frozen=True)
class Levels:
    """Brightness, in the file's own numbers, that becomes 0 and 255; 8-bit pictures keep theirs.

    Attributes:
        black: What is shown as black, with everything below; None takes the file's own.
        white: What is shown as white, with everything above; None takes the file's own.
        strict: Whether brightness outside the levels is a fault.

    Raises:
        ConfigurationError: White is not above black.
    """

    black: float | None = None
    white: float | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        for name, level in (("black", self.black), ("white", self.white)):
            if level is not None and not math.isfinite(level):
                raise ConfigurationError(f"the {name} level is {level:g}, expected a number")
        if self.black is not None and self.white is not None and not self.black < self.white:
            raise ConfigurationError(
                f"the black level is {self.black:g} and the white level {self.white:g}, expected "
                "white above black"
            )

    @classmethod
    def of_bits(cls, bits: int) -> Self:
        """Return the levels of pictures that use ``bits`` bits, 12 for many microscopes."""
        return cls(0, (1 << bits) - 1, strict=True)

    def measured(self, pictures: Iterable[Values]) -> Self:
        """Return these levels, with what is not set taken from the pictures of one file."""
        if self.black is not None and self.white is not None:
            return self
        ranges = [own_range(values) for values in pictures]
        if not ranges:
            return self
        low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
        # One that is set outside the file's range leaves nothing between the two.
        if self.black is not None:
            return replace(self, white=high if high > self.black else self.black + _step(high))
        if self.white is not None:
            return replace(self, black=low if low < self.white else self.white - _step(low))
        return replace(self, black=low, white=high) if low < high else replace(self, black=low)

    def apply(self, values: Values) -> NDArray[np.uint8]:
        """Return a picture with 8 bits; what is no number becomes black.

        Args:
            values: The picture.

        Raises:
            ValueError: Brightness lies outside and the levels are strict; the message is to be
                read after the file's name.
        """
        if values.dtype == np.uint8:
            return values
        levels = self.measured([values])
        if levels.black is None or levels.white is None:  # one brightness everywhere
            return np.zeros(values.shape, np.uint8)
        if levels.strict and values.size:
            low, high = values.min(), values.max()
            if low < levels.black or high > levels.white:
                raise ValueError(
                    f"has brightness {low:g}..{high:g}, expected {levels.black:g}..{levels.white:g}"
                )
        if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # a table is faster
            return _stretch(np.arange(1 << 16), levels.black, levels.white)[values]
        return _stretch(values, levels.black, levels.white)


def own_range(values: Values) -> tuple[float, float]:
    """Return the lowest and highest brightness of a picture after a 3x3 median.

    What is no number counts as the lowest. Of an empty picture, 0 and 0.
    """
    if not values.size:
        return 0.0, 0.0
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        smooth = cv2.medianBlur(np.ascontiguousarray(values, values.dtype.newbyteorder("=")), 3)
        return float(smooth.min()), float(smooth.max())
    numbers = values.astype(_exact(values))
    finite = np.isfinite(numbers)
    if not finite.all():
        lowest = numbers[finite].min() if finite.any() else 0
        numbers = np.where(finite, numbers, lowest)
    if numbers.dtype == np.float32:
        smooth = cv2.medianBlur(numbers, 3)
        return float(smooth.min()), float(smooth.max())
    # The median is for single precision, in which large numbers lose what tells them apart.
    np.clip(numbers, -_FARTHEST, _FARTHEST, out=numbers)
    low = float(numbers.min())
    span = float(numbers.max()) - low or 1.0
    numbers -= low
    numbers /= span
    smooth = cv2.medianBlur(numbers.astype(np.float32), 3)
    return low + span * float(smooth.min()), low + span * float(smooth.max())


def _exact(values: Values) -> type[np.floating[Any]]:
    """Return the type to reckon in; single precision holds integers of up to 24 bits."""
    single = values.dtype.itemsize <= 2 or values.dtype == np.float32
    return np.float32 if single else np.float64


def _step(level: float) -> float:
    """Return a step from a level to another one that differs, however large they are."""
    return max(1.0, abs(level) * 1e-6)


def _stretch(values: Values, black: float, white: float) -> NDArray[np.uint8]:
    exact = _exact(values)
    shown = np.empty(values.shape, np.uint8)
    # In strips, so that no second copy of a large picture is made.
    rows = max(1, _STRIP_VALUES * len(values) // max(1, values.size))
    for top in range(0, len(values), rows):
        scaled = values[top : top + rows].astype(exact)
        with np.errstate(over="ignore"):  # far beyond the levels
            scaled -= exact(black)
            scaled *= exact(255 / (white - black))
        shown[top : top + rows] = np.rint(np.clip(np.nan_to_num(scaled, nan=0), 0, 255))
    return shown
