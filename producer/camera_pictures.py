"""What a source gives: pictures, pauses between them, and why there are no more."""

from collections.abc import Generator
from fractions import Fraction
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Damage = Literal["cut", "corrupt"]
"""What is wrong with a picture that decodes nevertheless: its data ends too early; the decoder
marks it as corrupt."""

DEFAULT_FPS = 25.0
"""Assumed of a stream that does not tell its frame rate, in frames per second."""

MAX_PICTURE_BYTES = 64 * 1024 * 1024
"""Largest encoded picture that is taken from a camera, in bytes."""


class SourceError(Exception):
    """The source cannot be opened, is lost, or gives nothing that can be used."""


class CameraJpeg(NamedTuple):
    """A picture to be published as the camera sent it.

    Attributes:
        data: The JPEG.
        width: In pixels.
        height: In pixels.
        luma: Its brightness, scaled down, uint8 (H, W), where it has been decoded.
    """

    data: bytes
    width: int
    height: int
    luma: npt.NDArray[np.uint8] | None


class Picture(NamedTuple):
    """A frame of a camera.

    Attributes:
        image: The decoded ``av.VideoFrame``, any pixel format; None where ``jpeg`` is set.
        stamp_seconds: The stream's time stamp in seconds, None where it has none.
        damage: What is wrong with it, None if nothing is known to be.
        pixel_aspect: Width of a stored pixel over its height.
        jpeg: The picture as it came, where nothing has to change; it has not been decoded.
        again: Whether it is the picture of the time before, for a motion gate that may owe it.
    """

    image: Any
    stamp_seconds: float | None
    damage: Damage | None = None
    pixel_aspect: Fraction = Fraction(1)
    jpeg: CameraJpeg | None = None
    again: bool = False


class Pause(NamedTuple):
    """The camera is there and has nothing new.

    Attributes:
        seconds: When to go on, in seconds from now.
    """

    seconds: float


class Source(Protocol):
    """An open source.

    Attributes:
        fps: Nominal frame rate, None where frames come as they change.
        live: Whether it goes on by itself: its end is then a loss, and nothing slows it down.
    """

    fps: float | None
    live: bool

    def pictures(self) -> Generator[Picture | Pause, None, None]:
        """Yield frames in order; blocks. Its end is the end of the stream.

        Raises:
            SourceError: The stream broke.
        """
        ...

    def shortfall(self) -> str | None:
        """Return by how much the end came too early ("72 expected, 42 read"), None if it did not.

        Of a source whose ``pictures`` have ended.
        """
        ...

    def close(self) -> None:
        """Let go of the stream. May block while saying goodbye to a camera."""
        ...
