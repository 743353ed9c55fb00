"""The one reader of pictures and videos in files: pixels, or the reason why there are none.

Libraries: Pillow for pictures (unlike OpenCV it refuses a JPEG that ends early instead of filling
the rest with grey), PyAV for videos. Legend: H, W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from contract.errors import SeedstreamError

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
VIDEO_ENDINGS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
"""What counts in a folder, in any case; a file that is named is opened whatever its ending."""

_ASSUMED_FPS = 25.0  # of a video without time stamps that does not say


class UnreadableInputError(SeedstreamError):
    """A file gives no pixels.

    Attributes:
        path: The file.
        reason: What is wrong with it, to be read after its name.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class NotAPictureError(UnreadableInputError):
    """The file is there but no picture that Pillow knows; it may be a video."""


@contextmanager
def opened_picture(path: Path) -> Iterator[Pillow.Image]:
    """Open a picture and decode it to its end; whatever a broken file does becomes one error.

    Raises:
        UnreadableInputError: It is missing, empty, broken, or dangerously large.
        NotAPictureError: It is something else.
    """
    if not path.is_file():
        raise UnreadableInputError(path, "there is no such file")
    try:
        if not path.stat().st_size:
            raise UnreadableInputError(path, "is empty (0 bytes), expected a picture")
        picture = Pillow.open(path)
    except UnidentifiedImageError as error:
        raise NotAPictureError(path, _undecodable(path, error)) from error
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        raise UnreadableInputError(path, _undecodable(path, error)) from error
    with picture:
        try:
            picture.load()
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise UnreadableInputError(path, _undecodable(path, error)) from error
        yield picture


def read_image(path: Path | str, *, bits: int = 16) -> Image:
    """Read a picture as people see it: turned as its EXIF says, transparency left out.

    Grey becomes RGB. Of pictures with more than 8 bits a channel the 8 highest are kept, so that
    brightness stays comparable between pictures (none is stretched to its own range).

    Args:
        path: The file.
        bits: How many bits of a 16-bit grey picture are in use, 8..16 (12 for many microscopes).

    Returns:
        uint8 (H, W, 3) RGB.

    Raises:
        UnreadableInputError: It is missing, does not decode to its end, or uses more than ``bits``.
        NotAPictureError: It is something else.
    """
    path = Path(path)
    with opened_picture(path) as picture:
        turned = ImageOps.exif_transpose(picture)
        if turned.mode == "F":
            raise UnreadableInputError(path, "has floating-point values, expected 8 or 16 bits")
        if turned.mode.startswith("I"):
            return _from_grey(np.asarray(turned).astype(np.int64), path, bits)
        return np.asarray(turned.convert("RGB"), np.uint8)


def _undecodable(path: Path, error: Exception) -> str:
    return "does not decode: " + str(error).replace(f"'{path}'", "the file")


def _from_grey(values: NDArray[np.int64], path: Path, bits: int) -> Image:
    if values.size and (values.min() < 0 or values.max() >= 1 << bits):
        low, high = int(values.min()), int(values.max())
        raise UnreadableInputError(
            path, f"has brightness {low}..{high}, expected 0..{(1 << bits) - 1} ({bits} bits)"
        )
    grey = (values >> (bits - 8)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


class VideoFrame:
    """A decoded frame of a video; its colours are only converted when they are asked for.

    Attributes:
        seconds: Time since the first frame.
    """

    def __init__(self, frame: Any, seconds: float) -> None:
        self._frame = frame
        self.seconds = seconds

    @property
    def image(self) -> Image:
        """The picture, uint8 (H, W, 3) RGB."""
        image: Image = self._frame.to_ndarray(format="rgb24")
        return image


class Video:
    """An open video: a context manager; iterate over it once for its frames.

    Args:
        path: The file.

    Raises:
        UnreadableInputError: It is missing, or no video.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UnreadableInputError(self.path, "there is no such file")
        try:
            self._container = av.open(str(self.path))
        except (av.error.FFmpegError, OSError) as error:
            raise self._broken(error) from error
        # FFmpeg plays text files as terminal art.
        if self._container.format.name == "tty" or not self._container.streams.video:
            self._container.close()
            raise UnreadableInputError(self.path, "neither an image nor a video")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"

    @property
    def length(self) -> int | None:
        """Number of frames that the file claims to have; None if it does not say."""
        return self._stream.frames or None

    def __iter__(self) -> Iterator[VideoFrame]:
        """Yield the frames in order.

        Raises:
            UnreadableInputError: The file is broken here; the frames before it were good.
        """
        first: float | None = None
        step = 1 / float(self._stream.average_rate or _ASSUMED_FPS)
        try:
            for number, frame in enumerate(self._container.decode(self._stream)):
                time = number * step if frame.time is None else float(frame.time)
                first = time if first is None else first
                yield VideoFrame(frame, time - first)
        except (av.error.FFmpegError, OSError) as error:
            raise self._broken(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._container.close()

    def _broken(self, error: Exception) -> UnreadableInputError:
        return UnreadableInputError(self.path, f"neither an image nor a video: {error}")
