"""Where decoded frames come from: FFmpeg (through PyAV) and the synthetic scene.

A source belongs to one thread, is read once and closed. FFmpeg's own log stays off, as PyAV leaves
it: its lines quote addresses with their passwords, and so does ``str()`` of its errors.
"""

import math
import time
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol

import av
import av.error
from av.format import Flags

from producer.cameras import Camera
from producer.opening import format_fault, open_arguments
from producer.reasons import why_lost, why_not_open
from producer.scene import Scene

DEFAULT_FPS = 25.0
"""Assumed of a stream that does not tell its frame rate, in frames per second."""

_BAD_PACKETS = 100
"""Packets that may fail to decode in a row before the stream counts as lost."""


class SourceError(Exception):
    """The source cannot be opened, is lost, or gives nothing that can be used."""


class Picture(NamedTuple):
    """A decoded frame.

    Attributes:
        image: The decoded ``av.VideoFrame``, any pixel format.
        stamp_seconds: The stream's time stamp in seconds, None where it has none.
    """

    image: Any
    stamp_seconds: float | None


class Source(Protocol):
    """An open source.

    Attributes:
        fps: Nominal frame rate.
    """

    fps: float

    def pictures(self) -> Generator[Picture, None, None]:
        """Yield frames in order; blocks. Its end is the end of the stream.

        Raises:
            SourceError: The stream broke.
        """
        ...

    def close(self) -> None:
        """Let go of the stream. May block while saying goodbye to a camera."""
        ...


class SceneSource:
    """The synthetic scene."""

    def __init__(self, url: str) -> None:
        self._scene = Scene.parse(url)
        self.fps = self._scene.fps

    def pictures(self) -> Generator[Picture, None, None]:
        """Yield the scene's frames."""
        number = 0
        while self._scene.frames is None or number < self._scene.frames:
            image, _ = self._scene.render(number)
            yield Picture(av.VideoFrame.from_ndarray(image, format="rgb24"), number / self.fps)
            number += 1

    def close(self) -> None:
        """Nothing to let go of."""


class AvSource:
    """A stream, device or file that FFmpeg reads.

    Args:
        camera: Which one, and its time limits.
        on_bad_packet: Called for every packet that does not decode.

    Raises:
        SourceError: It cannot be opened within the camera's limit, or has no video.
    """

    def __init__(self, camera: Camera, on_bad_packet: Callable[[], None]) -> None:
        self._on_bad_packet = on_bad_packet
        url, demuxer, options = open_arguments(camera)
        # FFmpeg takes its limit twice while opening: to connect, and to look at the streams.
        half = camera.open_timeout_seconds / 2
        began = time.monotonic()
        try:
            self._container = av.open(
                url,
                format=demuxer,
                options=options | camera.options,
                timeout=(half, camera.stall_timeout_seconds),
                metadata_errors="replace",
            )
        except av.error.FFmpegError as error:
            why = why_not_open(error, camera, time.monotonic() - began)
            raise SourceError(f"cannot open: {why}") from None
        fault = format_fault(self._container.format.name, camera)
        if fault is not None:
            self._container.close()
            raise SourceError(f"cannot open: {fault}")
        if not self._container.streams.video:
            self._container.close()
            raise SourceError("cannot open: it contains no video stream")
        self._stream = self._container.streams.video[0]
        # Of these FFmpeg counts the frames and multiplies by a rate that it assumes.
        self._stamped = not self._container.format.flags & Flags.no_timestamps.value
        # One thread a camera: more cost latency in live streams, and cameras are parallel anyway.
        self._stream.codec_context.thread_count = 1
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.fps = float(rate) if rate and math.isfinite(rate) else DEFAULT_FPS

    def pictures(self) -> Generator[Picture, None, None]:
        """Yield the frames of the first video stream."""
        bad = 0
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    self._on_bad_packet()
                    bad += 1
                    if bad >= _BAD_PACKETS:
                        raise SourceError(f"{bad} packets in a row do not decode") from None
                    continue
                if frames:
                    bad = 0
                for frame in frames:
                    stamped = self._stamped and frame.pts is not None
                    yield Picture(frame, float(frame.time) if stamped else None)
        except av.error.FFmpegError as error:
            raise SourceError(f"lost: {why_lost(error)}") from None

    def close(self) -> None:
        """Close the stream."""
        self._container.close()


def open_source(camera: Camera, on_bad_packet: Callable[[], None]) -> Source:
    """Open the source of ``camera``.

    Raises:
        SourceError: It cannot be opened.
    """
    if camera.kind == "test":
        return SceneSource(camera.source_url)
    return AvSource(camera, on_bad_packet)
