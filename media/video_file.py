"""Videos as FFmpeg decodes them: the best stream, upright, and what is damaged left out.

Library: PyAV. Legend: H, W pixels.
"""

import functools
import math
import re
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error

from media.brightness import Levels
from media.frames import Upright, best_video_stream, cut_jpeg
from media.matroska import shorter_than_it_says
from media.picture_files import UnreadableInputError, check_size
from media.pictures import Image, to_rgb
from media.video_frame import VideoFrame

_ASSUMED_FPS = 25.0  # of a video without time stamps that does not say
_NEITHER = "neither an image nor a video"
_CUT_BEFORE_INDEX = (
    "a video (MP4) that was cut before its index, which recorders write last: nothing of it can be "
    "read; a repair tool needs a whole video of the same camera"
)
_CUT_BEFORE_FRAMES = f"{_NEITHER}, or a video that ends before its first frame"
_MISSING_SECONDS = 0.5
"""A stream that ends so much before its stated end was cut, where no number of frames is stated."""


@dataclass
class _Seen:
    """What came out so far.

    Attributes:
        packets: Encoded frames, damaged ones too.
        good: Frames that are whole.
        ended: When the last of them ends, in seconds of the file.
        last_short: Whether the newest packet is shorter than the file said.
        broken: Why the file cannot be read further.
    """

    packets: int = 0
    good: int = 0
    ended: float = 0.0
    last_short: bool = False
    broken: str | None = None


class VideoFile:
    """An open video.

    Attributes:
        length: Number of frames that the file claims to have; None if it does not say.

    Raises:
        UnreadableInputError: It is no video.
    """

    def __init__(self, path: Path, levels: Levels) -> None:
        self._damaged: list[float] = []  # their time stamps, ascending
        self._path = path
        self._levels = levels
        self._pixels: Levels | None = None  # of grey with more than 8 bits, from the first frame
        try:
            # Absolute: what comes before a colon in a name would be taken for a protocol.
            self._container = av.open(str(path.absolute()), metadata_errors="replace")
        except (av.error.FFmpegError, OSError) as error:
            if _lacks_index(path):
                raise UnreadableInputError(path, _CUT_BEFORE_INDEX) from error
            if isinstance(error, av.error.EOFError):
                raise UnreadableInputError(path, _CUT_BEFORE_FRAMES) from error
            raise UnreadableInputError(path, f"{_NEITHER}: {_said(error)}") from error
        try:
            self._stream = self._choose()
        except UnreadableInputError:
            self._container.close()
            raise
        # Of JPEGs each stands for itself: decoded at once, a damaged one has its place among them.
        self._stream.thread_type = "NONE" if self._is_jpeg else "AUTO"
        self._claimed_seconds = _claimed_seconds(self._container, self._stream)
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._step = 1 / float(rate or _ASSUMED_FPS)
        self.length = _claimed_frames(self._container, self._stream)

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames that are whole, in order.

        Raises:
            UnreadableInputError: The file breaks here or ends too early; the frames before it were
                good.
        """
        first, seen = None, _Seen()
        for packet in self._packets(seen):
            for frame in self._whole(packet):
                number = seen.good + self._damaged_before(frame.pts)
                seconds = number * self._step if frame.time is None else float(frame.time)
                first = seconds if first is None else first
                seen.ended = max(seen.ended, seconds + self._step)
                seen.good += 1
                yield VideoFrame(number, seconds - first, self._converter(frame))
        self._check_whole(seen)

    @property
    def damaged(self) -> int:
        """Frames that were left out so far, since they were cut or do not decode."""
        return len(self._damaged)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _packets(self, seen: _Seen) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    seen.packets += 1
                    seen.last_short = self._is_short(packet)
                yield packet
        except (av.error.FFmpegError, OSError) as error:
            seen.broken = _said(error)

    def _choose(self) -> Any:
        # FFmpeg plays text files as terminal art.
        if self._container.format.name == "tty" or not self._container.streams:
            raise UnreadableInputError(self._path, _NEITHER)
        stream = best_video_stream(self._container)
        if stream is None:
            raise UnreadableInputError(self._path, _without_video(self._container))
        if stream.codec_context is None:
            raise UnreadableInputError(
                self._path, "its video is of a kind that nothing here decodes"
            )
        return stream

    def _is_short(self, packet: Any) -> bool:
        # In a transport stream it is a gap in the numbering, as where two recordings were joined:
        # there the decoder is to judge.
        return bool(packet.is_corrupt) and self._container.format.name != "mpegts"

    @property
    def _is_jpeg(self) -> bool:
        return bool(self._stream.codec_context.name == "mjpeg")

    def _whole(self, packet: Any) -> list[Any]:
        """Return the whole frames that come out for a packet; note the others."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if self._is_short(packet) or (self._is_jpeg and packet.size and cut_jpeg(bytes(packet))):
            self._note_damaged(stamp)
            return []
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            self._note_damaged(stamp)
            return []
        for frame in frames:
            if frame.is_corrupt:
                self._note_damaged(frame.pts)
        return [frame for frame in frames if not frame.is_corrupt]

    def _damaged_before(self, stamp: int | None) -> int:
        # What is damaged is known before the frames that are still in the decoder.
        return len(self._damaged) if stamp is None else bisect_left(self._damaged, stamp)

    def _note_damaged(self, stamp: int | None) -> None:
        insort(self._damaged, -math.inf if stamp is None else stamp)

    def _converter(self, frame: Any) -> Any:
        upright = Upright.of(frame, self._stream)
        check_size(self._path, *upright.square(frame.width, frame.height))
        if frame.format.name.startswith("gray") and frame.format.components[0].bits > 8:
            self._pixels = self._pixels or self._levels.measured([_deep_grey(frame, upright)])
            return functools.partial(self._grey, frame, upright, self._pixels)
        return functools.partial(_colours, frame, upright)

    def _grey(self, frame: Any, upright: Upright, levels: Levels) -> Image:
        return upright.turn(to_rgb(self._path, _deep_grey(frame, upright), levels))

    def _check_whole(self, seen: _Seen) -> None:
        kind, reason = self._stream.codec_context.name, seen.broken
        if not seen.good and _names_a_picture(self._container):
            raise UnreadableInputError(self._path, _NEITHER)
        if not seen.good and not self.damaged:
            why = f": {reason}" if reason else ""
            raise UnreadableInputError(self._path, f"a video ({kind}) without frames{why}")
        if not seen.good:
            raise UnreadableInputError(
                self._path, f"a video ({kind}) of which all {self.damaged} frames are damaged"
            )
        if reason is None and not self._ends_early(seen):
            return
        expected = self.length or round((self._claimed_seconds or 0) / self._step)
        of = f"{expected} frames expected, " if expected > seen.good else ""
        damaged = f", {self.damaged} damaged" if self.damaged else ""
        raise UnreadableInputError(
            self._path, f"{of}{seen.good} read{damaged}: {reason or 'the file ends early'}"
        )

    def _ends_early(self, seen: _Seen) -> bool:
        if self.length is not None:
            return seen.packets < self.length
        if shorter_than_it_says(self._path):
            return True
        if self._claimed_seconds is not None:
            return seen.ended < self._claimed_seconds - max(_MISSING_SECONDS, 3 * self._step)
        return seen.last_short


def _claimed_frames(container: Any, stream: Any) -> int | None:
    """Return how many frames the file claims to hold; None if it does not say."""
    claimed = stream.frames
    if claimed and "mp4" in container.format.name:
        # An edit list takes some out, of which the index knows.
        claimed = min(claimed, len(stream.index_entries) or claimed)
    return claimed or None


def _claimed_seconds(container: Any, stream: Any) -> float | None:
    """Return when the stream ends by the file's own words; None if it does not say.

    Only where the words were written with the file: for others FFmpeg looks at what is there.
    """
    if not {"matroska", "webm", "flv"} & set(container.format.name.split(",")):
        return None
    told = next((value for key, value in stream.metadata.items() if key.startswith("DURATION")), "")
    if match := re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", told):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    if container.duration and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return None


def _names_a_picture(container: Any) -> bool:
    """Whether FFmpeg may have chosen the format by the name of the file alone."""
    name: str = container.format.name
    return name == "image2" or name.endswith("_pipe")


def _without_video(container: Any) -> str:
    codecs = (stream.codec_context for stream in container.streams.audio)
    audio = [codec.name if codec else "of an unknown kind" for codec in codecs]
    cover = " and a cover picture" if container.streams.video else ""
    if audio:
        return f"has only audio ({', '.join(audio)}){cover}, expected a picture or a video"
    if cover:
        return "has only a cover picture, expected a picture or a video"
    kinds = sorted({stream.type for stream in container.streams})
    return f"has no video, only {', '.join(kinds)}; expected a picture or a video"


def _deep_grey(frame: Any, upright: Upright) -> Any:
    width, height = upright.square(frame.width, frame.height)
    return frame.to_ndarray(format="gray16le", width=width, height=height)


def _colours(frame: Any, upright: Upright) -> Image:
    width, height = upright.square(frame.width, frame.height)
    image: Image = frame.to_ndarray(format="rgb24", width=width, height=height)
    return upright.turn(image)


def _lacks_index(path: Path) -> bool:
    """Whether it is an MP4 that ends before the index that recorders write last (ISO 14496-12)."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        position = 0
        while position + 16 <= end:
            file.seek(position)
            head = file.read(16)
            size = int.from_bytes(head[:4], "big")
            if position == 0 and head[4:8] != b"ftyp":
                return False
            if head[4:8] == b"moov":
                return False
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            if size < 8:
                break
            position += size
    return position > 0


def _said(error: Exception) -> str:
    """Return FFmpeg's reason without the numbers and names around it."""
    return str(getattr(error, "strerror", None) or error)
