"""Looks at one camera as the producer would read it, for a few seconds.

Library: PyAV.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from av.stream import Disposition
from av.video.reformatter import ColorRange

from contract.errors import UnavailableError
from producer.camera_pictures import Pause, Picture, Source, SourceError
from producer.cameras import Camera
from producer.encoding import PictureEncoder, color_range, shown_as
from producer.jpeg_streams import JpegStreamSource
from producer.probe_report import (
    CameraReport,
    Nature,
    PictureReport,
    RateReport,
    StreamReport,
    suggestions,
)
from producer.snapshots import SnapshotSource
from producer.sources import AvSource, open_source

_MOST_FRAMES = 2000
"""A file is read faster than it plays."""

_GRACE_SECONDS = 2.0
"""FFmpeg keeps to its limits, but for looking up a host's name."""

_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails

Clock = Callable[[], float]
_Result = tuple[CameraReport, bytes] | SourceError | None


@dataclass
class _Seen:
    """What has come so far.

    Attributes:
        bad_packets: Packets that do not decode.
        arrivals: Monotonic times at which frames came, in seconds.
        stamps: Their time stamps in seconds, None without.
        keys: Numbers of the frames that are key frames.
        damaged: Frames that are damaged.
        best: The latest undamaged frame, else the latest.
    """

    bad_packets: int = 0
    arrivals: list[float] = field(default_factory=list)
    stamps: list[float | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)
    damaged: int = 0
    best: Picture | None = None

    def count_bad_packet(self) -> None:
        """Note a packet that does not decode."""
        self.bad_packets += 1

    def take(self, picture: Picture, now: float) -> None:
        """Note a frame."""
        if picture.image.key_frame:
            self.keys.append(len(self.arrivals))
        self.arrivals.append(now)
        self.stamps.append(picture.stamp_seconds)
        self.damaged += picture.damage is not None
        if picture.damage is None or self.best is None or self.best.damage is not None:
            self.best = picture

    @property
    def times(self) -> list[float]:
        """When the frames were captured, in seconds: by their stamps, by their arrival without.

        The first frames of a live camera come in a burst, the very first often without a stamp.
        """
        stamps = [stamp for stamp in self.stamps if stamp is not None]
        return stamps if 2 * len(stamps) > len(self.stamps) else self.arrivals

    @property
    def span_seconds(self) -> float:
        """Time from the first frame to the last."""
        times = self.times
        return max(times[-1] - times[0], 0.0) if times else 0.0

    @property
    def fps(self) -> float | None:
        """Frames per second over that time."""
        return (len(self.times) - 1) / self.span_seconds if self.span_seconds > 0 else None

    @property
    def key_frame_interval(self) -> int | None:
        """Most frames from one key frame to the next."""
        gaps = [later - earlier for earlier, later in zip(self.keys, self.keys[1:], strict=False)]
        return max(gaps, default=None)


def probe(camera: Camera, seconds: float) -> tuple[CameraReport, bytes]:
    """Open a camera, read it for a while, and return what it gives.

    Args:
        camera: Which one, with the settings to try.
        seconds: How long to read after the first frame, of a recording in its own time.

    Returns:
        The report, and the latest good frame as it would be published: a JPEG.

    Raises:
        UnavailableError: It does not open, breaks, or does not answer in time; with the reason.
    """
    limit = (
        camera.open_timeout_seconds
        + camera.first_frame_timeout_seconds
        + max(seconds, camera.stall_timeout_seconds)
        + _GRACE_SECONDS
    )
    results: queue.SimpleQueue[_Result] = queue.SimpleQueue()

    def look() -> None:
        try:
            _look(camera, seconds, time.monotonic, results.put)
        except SourceError as error:
            results.put(error)
        finally:
            results.put(None)

    # Not to be waited for to its end: FFmpeg may never come back.
    thread = threading.Thread(target=look, name="probe", daemon=True)
    thread.start()
    try:
        result = results.get(timeout=limit)
    except queue.Empty:
        raise UnavailableError(f"{camera.address}: no answer within {limit:g} s") from None
    thread.join(_GRACE_SECONDS)  # a camera may allow one connection only: say goodbye
    if isinstance(result, tuple):
        return result
    raise UnavailableError(f"{camera.address}: {result or 'an internal error'}")


def _look(
    camera: Camera, seconds: float, clock: Clock, done: Callable[[tuple[CameraReport, bytes]], None]
) -> None:
    """Look at a camera; tell what it gives before it is closed, which may hang."""
    seen = _Seen()
    began = clock()
    # A picture that is passed on is not decoded, and so tells nothing about itself.
    source = open_source(camera.model_copy(update={"pass_through": False}), seen.count_bad_packet)
    opened = clock()
    with closing(source):
        _read(source, seen, seconds, clock)
        if seen.best is None:
            raise SourceError("it contains no frame")
        picture, data = _picture(camera, seen.best)
        rate = RateReport(
            frames=len(seen.arrivals),
            seconds=seen.span_seconds,
            measured_fps=seen.fps,
            nominal_fps=_announced_fps(source),
            open_seconds=opened - began,
            first_frame_seconds=seen.arrivals[0] - opened,
            key_frame_interval=seen.key_frame_interval,
            damaged=seen.damaged,
            undecodable=seen.bad_packets,
        )
        nature = _nature(camera, source)
        suggested, remarks = suggestions(nature, picture, rate)
        container = source.container if isinstance(source, AvSource) else None
        report = CameraReport(
            address=camera.address,
            nature=nature,
            container=None if container is None else container.format.name,
            streams=_streams(source) if isinstance(source, AvSource) else (),
            picture=picture,
            rate=rate,
            suggested=suggested,
            remarks=remarks,
        )
        done((report, data))


def _read(source: Source, seen: _Seen, seconds: float, clock: Clock) -> None:
    """Read until ``seconds`` have passed since the first frame, by the clock or the stamps."""
    deadline = None
    with closing(source.pictures()) as pictures:
        for each in pictures:
            now = clock()
            if isinstance(each, Pause):
                left = each.seconds if deadline is None else deadline - now
                time.sleep(max(0.0, min(each.seconds, left)))
            else:
                seen.take(each, now)
                deadline = now + seconds if deadline is None else deadline
            enough = len(seen.arrivals) >= _MOST_FRAMES or seen.span_seconds >= seconds
            if enough or (deadline is not None and clock() >= deadline):
                return


def _announced_fps(source: Source) -> float | None:
    """Return the frame rate that the stream itself tells, not the one that is assumed of it."""
    if isinstance(source, JpegStreamSource):
        return None
    return source.announced_fps if isinstance(source, AvSource) else source.fps


def _nature(camera: Camera, source: Source) -> Nature:
    if camera.kind == "test":
        return "scene"
    if isinstance(source, SnapshotSource):
        return "snapshot"
    return "live" if source.live else "recording"


def _picture(camera: Camera, picture: Picture) -> tuple[PictureReport, bytes]:
    image = picture.image
    shown = shown_as(camera, image, picture.pixel_aspect)
    encoder = PictureEncoder(camera.model_copy(update={"encoding": "jpeg"}))
    data, width, height = encoder.encode(image, picture.pixel_aspect)
    full = color_range(image) == ColorRange.JPEG
    assumed = " (assumed)" if image.color_range == ColorRange.UNSPECIFIED else ""
    aspect = shown.pixel_aspect
    report = PictureReport(
        width=image.width,
        height=image.height,
        pixel_format=image.format.name,
        color_range=("full" if full else "limited") + assumed,
        quarter_turns=shown.quarter_turns,
        flipped=shown.flipped,
        pixel_aspect=f"{aspect.numerator}:{aspect.denominator}",
        published_width=width,
        published_height=height,
        published_bytes=len(data),
    )
    return report, data


def _streams(source: AvSource) -> tuple[StreamReport, ...]:
    return tuple(_stream(stream, source) for stream in source.container.streams)


def _stream(stream: Any, source: AvSource) -> StreamReport:
    codec = stream.codec_context
    report = StreamReport(
        index=stream.index,
        type=stream.type,
        codec=codec.name if codec else None,
        profile=(codec.profile or None) if codec else None,
    )
    if stream.type != "video":
        return report
    rate = stream.average_rate or stream.guessed_rate
    return StreamReport(
        index=report.index,
        type=report.type,
        codec=report.codec,
        profile=report.profile,
        width=codec.width if codec else None,
        height=codec.height if codec else None,
        fps=float(rate) if rate else None,
        used=stream.index == source.stream.index,
        note=_note(stream, source),
    )


def _note(stream: Any, source: AvSource) -> str:
    """Return why a video stream is the one that is used, or why it is not."""
    if stream.disposition & Disposition.attached_pic:
        return "a cover picture"
    if stream.disposition & Disposition.timed_thumbnails:
        return "thumbnails"
    if not stream.codec_context:
        return "no decoder for it"
    used = source.stream
    others = [
        each
        for each in source.container.streams.video
        if each.index != used.index and not each.disposition & _NOT_THE_VIDEO
    ]
    by_default = _default(used) and not any(_default(each) for each in others)
    if stream.index != used.index:
        return "not marked as default" if _default(used) and not _default(stream) else "smaller"
    if not others:
        return "the only video stream"
    return "marked as default" if by_default else "the largest"


def _default(stream: Any) -> bool:
    return bool(stream.disposition & Disposition.default)
