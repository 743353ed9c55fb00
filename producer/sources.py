"""Where decoded frames come from: FFmpeg (through PyAV) and the synthetic scene.

A source belongs to one thread, is read once and closed. FFmpeg's own log stays off, as PyAV leaves
it: its lines quote addresses with their passwords, and so does ``str()`` of its errors.
"""

import math
from collections.abc import Callable, Generator
from typing import Any, NamedTuple, Protocol

import av
import av.error
from av.format import Flags

from contract.errors import ConfigurationError
from producer.cameras import Camera, Kind
from producer.scene import Scene

DEFAULT_FPS = 25.0
"""Assumed of a stream that does not tell its frame rate, in frames per second."""

_BAD_PACKETS = 100
"""Packets that may fail to decode in a row before the stream counts as lost."""

_PROBES: dict[Kind, tuple[str, str | None]] = {
    "srt": ("srt://127.0.0.1:0", None),
    "v4l2": ("/dev/null", "v4l2"),
}
"""What to open to learn whether the FFmpeg build knows a kind of source that not every build
does; neither waits."""


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
        url, demuxer, options = _open_arguments(camera)
        # FFmpeg takes its limit twice while opening: to connect, and to look at the streams.
        half = camera.open_timeout_seconds / 2
        try:
            self._container = av.open(
                url,
                format=demuxer,
                options=options | camera.options,
                timeout=(half, camera.stall_timeout_seconds),
                metadata_errors="replace",
            )
        except av.error.FFmpegError as error:
            raise SourceError(f"cannot open: {_reason(error)}") from None
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
            raise SourceError(f"lost: {_reason(error)}") from None

    def close(self) -> None:
        """Close the stream."""
        self._container.close()


def open_source(camera: Camera, on_bad_packet: Callable[[], None]) -> Source:
    """Open the source of ``camera``.

    Raises:
        SourceError: It cannot be opened.
    """
    if camera.kind == "test":
        return SceneSource(camera.url.get_secret_value())
    return AvSource(camera, on_bad_packet)


def check_support(cameras: list[Camera]) -> None:
    """Make sure that this FFmpeg build knows every kind of source that is asked for.

    Raises:
        ConfigurationError: One fault for each camera whose protocol or device it lacks.
    """
    lacking = {kind for kind in {camera.kind for camera in cameras} if _lacks(kind)}
    faults = [
        f"camera {camera.id}: this FFmpeg build (PyAV {av.__version__}) has no support for "
        f"{camera.kind}: install PyAV built against an FFmpeg that has it (pip install --no-binary "
        "av av), or bridge the camera to RTSP"
        for camera in cameras
        if camera.kind in lacking
    ]
    if faults:
        raise ConfigurationError(faults)


def _lacks(kind: Kind) -> bool:
    if kind not in _PROBES:
        return False
    url, demuxer = _PROBES[kind]
    try:
        av.open(url, format=demuxer, timeout=0.1).close()
    except (av.error.ProtocolNotFoundError, av.error.DemuxerNotFoundError):
        return True
    except ValueError as error:
        # PyAV raises it for the name of a demuxer that is not there.
        return not isinstance(error, av.error.FFmpegError)
    except av.error.FFmpegError:
        return False
    return False


def _open_arguments(camera: Camera) -> tuple[str, str | None, dict[str, str]]:
    """Return what FFmpeg opens, as which format (None: it finds out), with which options."""
    url = camera.url.get_secret_value()
    microseconds = str(int(camera.stall_timeout_seconds * 1e6))
    if camera.kind == "v4l2":
        return url.removeprefix("v4l2:"), "v4l2", {}
    if camera.kind == "file":
        path = url.removeprefix("file://").removeprefix("file:")
        # A playlist in disguise must not make us fetch what it names.
        return f"file:{path}", None, {"protocol_whitelist": "file"}
    if camera.kind == "rtsp":
        return (
            url,
            None,
            {
                "rtsp_transport": camera.transport,
                "allowed_media_types": "video",
                "timeout": microseconds,
            },
        )
    if camera.kind == "udp":
        return url, None, {"timeout": microseconds, "overrun_nonfatal": "1"}
    return url, None, {"timeout": microseconds, "rw_timeout": microseconds}


def _reason(error: Any) -> str:
    if isinstance(error, av.error.ExitError):
        return "it was silent for too long"
    # Never str(error): it ends with the address.
    return str(error.strerror or type(error).__name__)
