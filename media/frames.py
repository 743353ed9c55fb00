"""What a decoded frame looks like on a screen, which stream to decode, and which JPEGs were cut.

Library: PyAV; nothing is opened here. Legend: H, W pixels as stored.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self, TypeVar

import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition
from numpy.typing import NDArray

_Plane = TypeVar("_Plane", bound=np.generic)

_SQUARE = Fraction(1)
_ODDEST_PIXEL = 4
"""The widest pixels of the standards are 32:11 (ITU-T H.264, table E-1); beyond 4:1 it is noise."""


def _unknown_side_data(cls: Any, value: object) -> Any:
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return member


# FFmpeg attaches kinds of side data (the EXIF of a JPEG, for one) that PyAV 18 has no name for: a
# single one makes it refuse to give any, and with it the display matrix.
SideData._missing_ = classmethod(_unknown_side_data)  # type: ignore[method-assign,assignment]

_NOT_THE_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails


def best_video_stream(container: Any) -> Any | None:
    """Return the stream that shows what the file is about.

    Cover pictures and thumbnails are passed over; streams that are marked as default come first,
    then the one with most pixels, then the one that comes first.

    Args:
        container: An open ``av.container.InputContainer``.

    Returns:
        An ``av.VideoStream``; None if there is none.
    """
    streams = [
        stream for stream in container.streams.video if not stream.disposition & _NOT_THE_VIDEO
    ]
    return max(streams, key=_importance, default=None)


def _importance(stream: Any) -> tuple[bool, int]:
    codec = stream.codec_context
    pixels = codec.width * codec.height if codec else -1  # -1: nothing here decodes it
    return pixels >= 0 and bool(stream.disposition & Disposition.default), pixels


@dataclass(frozen=True)
class Upright:
    """How a stored picture becomes the one that is shown: mirrored, turned, with square pixels.

    Attributes:
        quarter_turns: Clockwise turns by 90 degrees, 0..3, after the mirroring.
        flipped: Whether left and right are swapped first.
        pixel_aspect: Width of a stored pixel over its height (sample aspect ratio).
    """

    quarter_turns: int = 0
    flipped: bool = False
    pixel_aspect: Fraction = _SQUARE

    @classmethod
    def of(cls, frame: Any, stream: Any | None = None) -> Self:
        """Return what a frame asks for.

        Args:
            frame: An ``av.VideoFrame``; its display matrix gives the turns and the mirroring, the
                angle rounded to quarter turns.
            stream: The ``av.VideoStream`` it came from; PyAV tells the shape of the pixels there
                alone. None: they are taken to be square.
        """
        matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
        turns, flipped = (0, False) if matrix is None else read_matrix(bytes(matrix))
        return cls(turns, flipped, _SQUARE if stream is None else pixel_aspect(stream))

    @property
    def changes_nothing(self) -> bool:
        """Whether the stored picture is the shown one."""
        return self == Upright()

    def square(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) of a stored picture once its pixels are square, not yet turned.

        Rows are kept and columns scaled, as players do it.
        """
        return max(1, round(width * self.pixel_aspect)), height

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) in pixels of the shown picture of a stored one."""
        width, height = self.square(width, height)
        return (height, width) if self.quarter_turns % 2 else (width, height)

    def turn(self, plane: NDArray[_Plane]) -> NDArray[_Plane]:
        """Mirror and turn a picture or one of its planes; its pixels keep their shape.

        Args:
            plane: (H, W) or (H, W, C), any type.

        Returns:
            (H, W, ...), or (W, H, ...) after an odd number of turns; ``plane`` itself if there is
            nothing to do, else a contiguous copy.
        """
        if not self.quarter_turns and not self.flipped:
            return plane
        turned = plane[:, ::-1] if self.flipped else plane
        return np.ascontiguousarray(np.rot90(turned, -self.quarter_turns))


def read_matrix(data: bytes) -> tuple[int, bool]:
    """Return the clockwise quarter turns and the mirroring of a display matrix.

    Args:
        data: 36 bytes, nine int32 in the byte order of this machine: a, b, u, c, d, v, x, y, w with
            x' = a x + c y and y' = b x + d y (FFmpeg, ``libavutil/display.h``).

    Returns:
        Quarter turns 0..3 to do after the mirroring, and whether left and right are swapped; 0 and
        False for a matrix that has no direction.
    """
    if len(data) < 9 * 4:
        return 0, False
    a, b, _, c, d, *_ = np.frombuffer(data, np.int32, 9).astype(float).tolist()
    flipped = a * d - b * c < 0
    if flipped:
        a, b = -a, -b  # where the mirrored x axis points
    return round(math.atan2(b, a) / (math.pi / 2)) % 4, flipped


def pixel_aspect(stream: Any) -> Fraction:
    """Return width over height of the pixels of an ``av.VideoStream``; 1 unless it says."""
    codec = stream.codec_context
    told = stream.sample_aspect_ratio or (codec and codec.sample_aspect_ratio)
    if not told or not 1 / _ODDEST_PIXEL <= told <= _ODDEST_PIXEL:
        return _SQUARE
    return Fraction(told)


def cut_jpeg(data: bytes) -> bool:
    """Whether a JPEG lacks its end: decoders fill the rest with grey or green and say nothing.

    Args:
        data: One JPEG, or the two fields of an interlaced frame; padding after it is allowed.
    """
    position = 0
    while position >= 0:
        end = _jpeg_end(data, position)
        if end < 0:
            return True
        position = next_jpeg(data, end)
    return False


def followed_by_jpeg(data: bytes) -> bool:
    """Whether another JPEG begins where one ends, as in a file of motion JPEG."""
    end = _jpeg_end(data, 0)
    return end >= 0 and next_jpeg(data, end) >= 0


def _jpeg_end(data: bytes, position: int) -> int:
    return data.find(b"\xff\xd9", _entropy_coded(data, position))


def next_jpeg(data: bytes, end: int) -> int:
    """Return where another JPEG begins close behind the end marker at ``end``, else -1."""
    return data.find(b"\xff\xd8\xff", end + 2, end + 2 + _FIELD_PADDING)


_FIELD_PADDING = 64
"""The second field of an interlaced frame begins within this many bytes after the first."""


def _entropy_coded(data: bytes, position: int) -> int:
    """Return where the first scan begins; the headers before it may hold a whole thumbnail.

    A header that is cut, or is none, gives a place at or after its beginning.
    """
    position += 2  # the start of the image
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == 0xDA:  # start of scan
            break
    return position
