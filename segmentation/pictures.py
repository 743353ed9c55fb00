"""Read images and videos from files, or say why not.

Libraries: Pillow for images, PyAV for videos.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from contract.errors import SeedstreamError

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB."""

_ASSUMED_FPS = 25.0  # of a video without time stamps that does not say


class UnreadableInputError(SeedstreamError):
    """One input is missing, broken, or neither an image nor a video."""


def read_image(path: Path) -> Image | None:
    """Read an image, turned as its EXIF orientation says.

    Returns:
        uint8 (H, W, 3) RGB, or None where the file is no image (it may be a video).

    Raises:
        UnreadableInputError: It is an image, but broken or of a dangerous size.
    """
    try:
        with Pillow.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            return np.asarray(turned.convert("RGB"), np.uint8)
    except UnidentifiedImageError:
        return None
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        raise UnreadableInputError(f"{path}: a broken image: {error}") from error


def read_video(path: Path, expect: Callable[[int | None], None]) -> Iterator[tuple[float, Image]]:
    """Yield the frames of a video, all of one size.

    Args:
        path: The file.
        expect: Called once with the number of frames, None where the file does not say.

    Yields:
        Seconds from the first frame, and uint8 (H, W, 3) RGB.

    Raises:
        UnreadableInputError: It is no video, it is broken, or its size changes.
    """
    first: float | None = None
    shape: tuple[int, ...] | None = None
    try:
        with av.open(str(path)) as container:
            # FFmpeg plays text files as terminal art.
            if container.format.name == "tty" or not container.streams.video:
                raise UnreadableInputError(f"{path}: neither an image nor a video")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            expect(stream.frames or None)
            step = 1 / float(stream.average_rate or _ASSUMED_FPS)
            for number, frame in enumerate(container.decode(stream)):
                time = number * step if frame.time is None else float(frame.time)
                first = time if first is None else first
                image = frame.to_ndarray(format="rgb24")
                shape = shape or image.shape
                if image.shape != shape:
                    raise UnreadableInputError(
                        f"{path}: frame {number} is of shape {image.shape}, the first of {shape}"
                    )
                yield time - first, image
    except (av.error.FFmpegError, OSError) as error:
        raise UnreadableInputError(f"{path}: neither an image nor a video: {error}") from error
