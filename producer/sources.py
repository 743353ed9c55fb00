"""Where decoded frames come from: FFmpeg (through PyAV), pictures over HTTP, the synthetic scene.

A source belongs to one thread, is read once and closed. FFmpeg's own log stays off, as PyAV leaves
it: its lines quote addresses with their passwords, and so does ``str()`` of its errors.
"""

import errno
import math
import time
from collections.abc import Callable, Generator
from typing import Any

import av
import av.error
from av.format import Flags
from av.video.reformatter import ColorRange

from media.frames import Upright, best_video_stream, cut_jpeg, pixel_aspect
from media.jpeg_limits import jpeg_fault
from producer import forbidden_hosts
from producer.camera_pictures import (
    DEFAULT_FPS,
    MAX_PICTURE_BYTES,
    Damage,
    Pause,
    Picture,
    Source,
    SourceError,
)
from producer.cameras import Camera
from producer.decoding import accelerator, set_threads, warn_of_fallback, warn_of_software
from producer.encoding import color_range
from producer.http_sources import open_http
from producer.memory import bound_allocations
from producer.opening import format_fault, open_arguments
from producer.pass_through import JpegPassage
from producer.reasons import why_lost, why_not_open
from producer.scene import Scene

_BAD_PACKETS = 100
"""Packets that may fail to decode in a row before the stream counts as lost."""

_PLAYLISTS = ("hls", "dash")
"""Formats that tell their duration if, and only if, they have an end."""

_SHORT_SECONDS = 1.0
"""How much of a recording may be missing whose frames are not counted in its header."""


class SceneSource:
    """The synthetic scene."""

    live = False

    def __init__(self, url: str) -> None:
        self._scene = Scene.parse(url)
        self.fps: float | None = self._scene.fps

    def pictures(self) -> Generator[Picture | Pause, None, None]:
        """Yield the scene's frames."""
        number = 0
        while self._scene.frames is None or number < self._scene.frames:
            image, _ = self._scene.render(number)
            stamp = number / self._scene.fps
            yield Picture(av.VideoFrame.from_ndarray(image, format="rgb24"), stamp)
            number += 1

    def shortfall(self) -> str | None:
        """Return None: it has all its frames."""
        return None

    def close(self) -> None:
        """Nothing to let go of."""


class AvSource:
    """A stream, device or file that FFmpeg reads.

    Args:
        camera: Which one, and its time limits.
        on_bad_packet: Called for every packet that does not decode.
        open_seconds: How long opening may take; the camera's limit unless set.

    Raises:
        SourceError: It cannot be opened within the camera's limit, or has no video.
    """

    def __init__(
        self,
        camera: Camera,
        on_bad_packet: Callable[[], None],
        open_seconds: float | None = None,
    ) -> None:
        bound_allocations()
        self._on_bad_packet = on_bad_packet
        url, demuxer, options = open_arguments(camera)
        # FFmpeg takes its limit twice while opening: to connect, and to look at the streams.
        half = (open_seconds or camera.open_timeout_seconds) / 2
        began = time.monotonic()
        device = accelerator(camera)
        try:
            self._container = av.open(
                url,
                format=demuxer,
                hwaccel=device,
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
        stream = best_video_stream(self._container)
        if stream is None:
            self._container.close()
            raise SourceError("cannot open: it contains no video stream")
        self._stream = stream
        # Of these FFmpeg counts the frames and multiplies by a rate that it assumes.
        self._stamped = not self._container.format.flags & Flags.no_timestamps.value
        self._jpeg = stream.codec_context.name == "mjpeg"
        self._camera = camera
        self._passage: JpegPassage | None = None
        if device is not None:
            warn_of_software(camera, stream.codec_context)
        rate = stream.average_rate or stream.guessed_rate
        told = float(rate) if rate and math.isfinite(rate) else None
        self._rate = told or DEFAULT_FPS
        self._told_fps = told if self._stamped else None
        self.fps: float | None = self._rate
        self.live = camera.live and not (camera.kind == "http" and _ends(self._container, stream))
        set_threads(camera, stream.codec_context, self.live)
        self._packets = 0
        self._begun = False
        self._latest = 0.0

    def pictures(self) -> Generator[Picture | Pause, None, None]:
        """Yield the frames of the best video stream."""
        bad = 0
        try:
            for packet in self._until_closed():
                self._count(packet)
                passed = self._pass_on(packet)
                if passed is not None:
                    bad = 0
                    yield passed
                    continue
                damage = self._damage(packet)
                try:
                    frames = self._decode(packet)
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
                    stamp = float(frame.time) if stamped else None
                    seen: Damage | None = "corrupt" if frame.is_corrupt else damage
                    yield Picture(frame, stamp, seen, pixel_aspect(self._stream))
                    self._learn(frame)
        except av.error.FFmpegError as error:
            raise SourceError(f"lost: {why_lost(error)}") from None

    def _learn(self, frame: Any) -> None:
        """Note what only a decoded picture tells: where it is decoded, and what may be passed on.

        Of a stream of JPEGs, whether its container has them turned or in limited range.
        """
        if not self._begun:
            self._begun = True
            warn_of_fallback(self._camera, self._stream.codec_context)
        if self._jpeg and self._passage is None:
            as_stored = Upright.of(frame).changes_nothing and color_range(frame) == ColorRange.JPEG
            self._passage = JpegPassage(self._camera, possible=as_stored)

    def _pass_on(self, packet: Any) -> Picture | None:
        """Return the picture of a packet that is published as it is, else None."""
        if self._passage is None or packet.is_corrupt or not packet.size:
            return None
        jpeg = self._passage.take(bytes(packet), pixel_aspect(self._stream))
        if jpeg is None:
            return None
        stamped = self._stamped and packet.pts is not None
        stamp = float(packet.pts * packet.time_base) if stamped else None
        return Picture(None, stamp, jpeg=jpeg)

    def _decode(self, packet: Any) -> Any:
        if self._jpeg and jpeg_fault(bytes(packet), fields=2):
            raise av.error.InvalidDataError(errno.EINVAL, "a JPEG that takes too long to decode")
        return packet.decode()

    def _until_closed(self) -> Generator[Any, None, None]:
        """Yield the packets; a recording of which the server tells no size ends by hanging up."""
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            # What FFmpeg returns then; whether all has come is for ``shortfall`` to say.
            if error.errno != errno.EIO or self.live or self._container.size > 0:
                raise
            last = av.Packet()
            last.stream = self._stream
            yield last  # what the decoder holds back comes out

    @property
    def container(self) -> Any:
        """The ``av.container.InputContainer``, to be looked at."""
        return self._container

    @property
    def stream(self) -> Any:
        """The ``av.VideoStream`` that is read."""
        return self._stream

    @property
    def announced_fps(self) -> float | None:
        """The frame rate that the stream tells, None where one is assumed."""
        return self._told_fps

    def _count(self, packet: Any) -> None:
        """Count a packet.

        Raises:
            SourceError: It is larger than any picture.
        """
        if packet.size > MAX_PICTURE_BYTES:
            raise SourceError(
                f"a packet of more than {MAX_PICTURE_BYTES} bytes, which no picture has"
            )
        if _is_end(packet):
            return
        self._packets += 1
        if packet.pts is not None:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base)
            self._latest = max(self._latest, end)

    def _damage(self, packet: Any) -> Damage | None:
        """Return what is wrong with a packet, so far as that shows before decoding."""
        if _is_end(packet):
            return None
        # Where frames are reordered, the damaged one may come out later: one is counted anyway.
        if self._jpeg and cut_jpeg(bytes(packet)):
            return "cut"
        return "corrupt" if packet.is_corrupt else None

    def shortfall(self) -> str | None:
        """Return by how much the end came before the one that the recording announces."""
        if self.live:
            return None
        stream, counted = self._stream, self._stream.frames
        seconds = _seconds(self._container, stream, self._rate)
        if seconds is None:
            return None
        # Not by the count alone: frames may be cut away on purpose (edit lists of MP4) or stand for
        # a repetition of the one before (AVI).
        tolerance = 1.5 / self._rate if counted else max(_SHORT_SECONDS, 1.5 / self._rate)
        start = float((stream.start_time or 0) * stream.time_base)
        expected = counted or round(seconds * self._rate)
        if self._latest - start >= seconds - tolerance or self._packets >= expected:
            return None
        return f"{expected} frames expected, {self._packets} read"

    def close(self) -> None:
        """Close the stream."""
        self._container.close()


def _is_end(packet: Any) -> bool:
    """Return whether a packet marks the end, at which what the decoder holds back comes out."""
    return not packet.size and packet.dts is None


def open_source(camera: Camera, on_bad_packet: Callable[[], None]) -> Source:
    """Open the source of ``camera``.

    Raises:
        SourceError: It cannot be opened.
    """
    if camera.kind == "test":
        return SceneSource(camera.source_url)
    if camera.kind in ("http", "rtmp", "rtsp", "srt") and not camera.link_local:
        forbidden_hosts.check_url(camera.source_url)
        forbidden_hosts.check_url(camera.options.get("http_proxy", ""))
    if camera.kind != "http":
        return AvSource(camera, on_bad_packet)
    began = time.monotonic()
    source = open_http(camera, on_bad_packet)
    if source is not None:
        return source
    left = camera.open_timeout_seconds - (time.monotonic() - began)
    return AvSource(camera, on_bad_packet, max(left, 0.2))


def _ends(container: Any, stream: Any) -> bool:
    """Return whether what comes over HTTP is a recording.

    A live stream of fragments may tell the duration of the first one, but neither its size nor how
    many frames it has.
    """
    if not container.duration or container.duration <= 0:
        return False
    known = container.format.name.partition(",")[0] in _PLAYLISTS
    return known or (container.size or 0) > 0 or stream.frames > 0


def _seconds(container: Any, stream: Any, rate: float) -> float | None:
    """Return how long the video is by the recording's header, None if it does not say."""
    if container.format.name == "avi":
        # Its duration is that of what is there; the header's count of frames stays as it was.
        return stream.frames / rate if stream.frames else None
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        # Sound may go on after the last picture.
        alone = len(container.streams) == 1 and container.duration
        return container.duration / av.time_base if alone else None
