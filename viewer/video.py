"""Pictures into an H.264 video (MP4) that every browser plays."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.error
import numpy as np

from viewer.overlay import RgbImage

_TIME_BASE = Fraction(1, 90_000)
"""Time stamps are whole numbers of this, in seconds (the usual clock of video)."""


class VideoWriter:
    """Writes pictures with their own times; the file appears when it is complete.

    A context manager: leaving it well finishes the file, leaving it by an exception leaves none.

    Args:
        path: The ``.mp4`` file.
        width: Width of the pictures in pixels.
        height: Height of the pictures in pixels.
        fps: Nominal frames per second, for players that ask.
    """

    def __init__(self, path: Path, width: int, height: int, fps: float = 10.0) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        # 4:2:0 chroma needs even sides: the last column or row is repeated where one is missing.
        self._pad = ((0, height % 2), (0, width % 2), (0, 0))
        self._size = (height, width, 3)
        self._last = -1
        self._container = av.open(
            str(self._partial), "w", format="mp4", options={"movflags": "+faststart"}
        )
        stream = self._container.add_stream(
            "libx264",
            rate=Fraction(fps).limit_denominator(1000),
            options={"preset": "veryfast", "crf": "23"},
        )
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = _TIME_BASE
        stream.codec_context.time_base = _TIME_BASE
        self._stream = stream

    def write(self, image: RgbImage, seconds: float) -> None:
        """Add a picture.

        Args:
            image: (H, W, 3) uint8 RGB.
            seconds: When it is shown, from the beginning of the video; a picture that is not later
                than the one before follows that at once.

        Raises:
            ValueError: The picture has another size than the first.
        """
        if image.shape != self._size:
            raise ValueError(f"a picture of shape {image.shape} in a video of {self._size}")
        if any(after for _, after in self._pad):
            image = np.pad(image, self._pad, mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        self._last = max(self._last + 1, round(seconds / _TIME_BASE))
        frame.pts, frame.time_base = self._last, _TIME_BASE
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file and put it in its place."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._partial.replace(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.close()
            else:
                with suppress(av.error.FFmpegError, OSError):  # a full disk, again
                    self._container.close()
        finally:
            self._partial.unlink(missing_ok=True)
