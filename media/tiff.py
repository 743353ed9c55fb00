"""What a TIFF says of itself: microscopes and aerial cameras write kinds that Pillow cannot decode.

Library: Pillow for the directory of tags.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_RGB = 2
_GREY = (0, 1)
_ALPHA = (1, 2)
_KINDS = {1: "integers", 2: "signed integers", 3: "floating point"}


@dataclass(frozen=True)
class TiffHeader:
    """The first page of a TIFF (TIFF 6.0; numbers of tags in brackets).

    Attributes:
        width: Of the picture in pixels (256).
        height: Of the picture in pixels (257).
        bits: Of each channel; the largest (258).
        kind: 1 unsigned, 2 signed, 3 floating point (339).
        photometric: 0 and 1 grey, 2 RGB, others (262).
        channels: All of them (277).
        orientation: As in EXIF (274).
        alphas: How many are transparency (338).
        several_pages: Whether another page follows.
        raw: Whether it is a preview, with what the sensor saw elsewhere in the file (254, 330).
    """

    width: int
    height: int
    bits: int
    kind: int
    photometric: int
    channels: int
    orientation: int
    alphas: int
    several_pages: bool
    raw: bool

    @property
    def fault(self) -> str | None:
        """Why this picture is not read, to be said after the file's name; None if it is."""
        if self.raw:
            return (
                "is a raw file of a camera, of which only a preview could be read; develop it first"
            )
        if self.photometric in _GREY and self.channels - self.alphas > 1:
            return (
                f"has {self._seen()} that are not marked as colours, expected 1 (grey) or 3 (RGB); "
                "save the channel that shows the objects as a file of its own"
            )
        many = self.channels > 4 or (self.photometric in _GREY and self.channels > 1)
        if many and self.bits > 8:
            return (
                f"has {self._seen()}, expected 1 (grey), 3 (RGB) or 4; save it without the others"
            )
        if self.bits == 16 and self.kind == 3:
            return f"has {self._seen()}, expected 32 or 64 bits of floating point, or integers"
        if self.bits > 32 and self.kind != 3:
            return f"has {self._seen()}, expected at most 32 bits"
        return None

    @property
    def beyond_pillow(self) -> bool:
        """Whether Pillow would refuse the picture or drop the low bits of its colours."""
        colours = self.photometric == _RGB and self.bits > 8
        return colours or (self.photometric in _GREY and self.bits == 64)

    def _seen(self) -> str:
        kind = _KINDS.get(self.kind, "unknown type")
        plural = "" if self.channels == 1 else "s"
        return f"{self.channels} channel{plural} of {self.bits} bits ({kind})"


def read_tiff_header(path: Path) -> TiffHeader | None:
    """Read the tags of the first page.

    Returns:
        None if the file is missing, no TIFF, or so broken that Pillow is to say why.
    """
    try:
        with path.open("rb") as file:
            header = file.read(16)
            if header[:4] not in _MAGIC:
                return None
            tags = ImageFileDirectory_v2(header if b"+" in header[:4] else header[:8])
            file.seek(tags.next)
            tags.load(file)
            return _header(dict(tags), tags.next != 0)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, OverflowError, struct.error):
        return None


def _header(tags: Mapping[int, Any], several_pages: bool) -> TiffHeader:
    extras = _numbers(tags.get(338, ()))
    return TiffHeader(
        width=int(tags[256]),
        height=int(tags[257]),
        bits=max(_numbers(tags.get(258, 1))),
        kind=max(_numbers(tags.get(339, 1))),
        photometric=int(tags.get(262, 1)),
        channels=int(tags.get(277, 1)),
        orientation=int(tags.get(274, 1)),
        alphas=sum(kind in _ALPHA for kind in extras),
        several_pages=several_pages,
        raw=bool(int(tags.get(254, 0)) & 1) and 330 in tags,
    )


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(each) for each in value) if isinstance(value, tuple) else (int(value),)


def without_orientation(data: bytes) -> bytes:
    """Return a TIFF whose first page says that it is upright: OpenCV 5 fails to turn deep ones."""
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] not in (b"*\0", b"\0*"):
        return data
    changed = bytearray(data)
    try:
        (start,) = struct.unpack_from(order + "I", changed, 4)
        (count,) = struct.unpack_from(order + "H", changed, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", changed, entry) == (274,):
                struct.pack_into(order + "H", changed, entry + 8, 1)
    except struct.error:
        return data
    return bytes(changed)
