"""One frame of a video or page of a file; its colours are converted when they are asked for."""

from collections.abc import Callable
from dataclasses import dataclass

from media.pictures import Image


@dataclass(frozen=True)
class VideoFrame:
    """A decoded frame.

    Attributes:
        number: Its place in the file, from 0; frames that were left out leave gaps.
        seconds: Time since the first frame.
        convert: Makes the picture.
    """

    number: int
    seconds: float
    convert: Callable[[], Image]

    @property
    def image(self) -> Image:
        """The picture as it is shown, upright and with square pixels: uint8 (H, W, 3) RGB."""
        return self.convert()
