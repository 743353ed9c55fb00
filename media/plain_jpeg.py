"""A camera's JPEG as every decoder reads it, told from its markers; nothing is decoded.

Plain is what looks the same in all programs: one baseline scan of three components or grey, from
its first to its last marker, upright, in full range, with all tables that the scan refers to. Of
motion JPEG that leaves out the Huffman tables the standard ones are put in. Source: ITU-T T.81,
annex B; T.871 (JFIF).

Library: Pillow for the orientation in EXIF.
"""

import re
from dataclasses import dataclass, field

from PIL.Image import Exif

from media.frames import next_jpeg
from media.huffman_tables import STANDARD_TABLES
from media.pixels import BROKEN

_SOI, _EOI = b"\xff\xd8", 0xD9
_SOF0, _SOF1, _DHT, _SOS, _DQT, _COM = 0xC0, 0xC1, 0xC4, 0xDA, 0xDB, 0xFE
_APP0, _APP1, _APP14, _APP15 = 0xE0, 0xE1, 0xEE, 0xEF
_DRI = 0xDD

_KNOWN = frozenset({_SOF0, _SOF1, _DHT, _SOS, _DQT, _COM, _DRI, *range(_APP0, _APP15 + 1)})
_STANDARD = frozenset({0x00, 0x01, 0x10, 0x11})
"""Classes and destinations of the standard Huffman tables."""

_OTHERWISE = (b"CS=ITU601", b"Intel(R) JPEG Library, version 1", b"Metasoft MJPEG Codec")
"""Comments of pictures that are in limited range, or upside down."""

_END = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Any marker but the restarts: after the only scan, the end."""

_ORIENTATION = 0x0112
_MOST_SEGMENTS = 64


@dataclass(frozen=True)
class PlainJpeg:
    """A JPEG that needs no change.

    Attributes:
        data: From its first marker to its last, with Huffman tables.
        width: In pixels, by its header.
        height: In pixels, by its header.
    """

    data: bytes
    width: int
    height: int


@dataclass
class _Tables:
    """What the headers define, and what the frame refers to."""

    huffman: set[int] = field(default_factory=set)
    quantisation: set[int] = field(default_factory=set)
    used_quantisation: dict[int, int] = field(default_factory=dict)
    size: tuple[int, int] = (0, 0)

    def read_huffman(self, body: bytes) -> bool:
        position = 0
        while position + 17 <= len(body):
            self.huffman.add(body[position])
            position += 17 + sum(body[position + 1 : position + 17])
        return position == len(body)

    def read_quantisation(self, body: bytes) -> bool:
        position = 0
        while position < len(body):
            self.quantisation.add(body[position] & 15)
            position += 129 if body[position] >> 4 else 65
        return position == len(body)

    def read_frame(self, body: bytes) -> bool:
        if self.size != (0, 0) or len(body) < 6 or body[0] != 8 or body[5] not in (1, 3):
            return False
        if len(body) != 6 + 3 * body[5]:
            return False
        self.size = int.from_bytes(body[3:5], "big"), int.from_bytes(body[1:3], "big")
        self.used_quantisation = {body[n]: body[n + 2] for n in range(6, len(body), 3)}
        return all(self.size)

    def missing(self, body: bytes) -> set[int] | None:
        """Return the Huffman tables that a scan lacks; None if it is not the whole picture."""
        if not body or len(body) != 4 + 2 * body[0] or not self.used_quantisation:
            return None
        named = {body[n]: body[n + 1] for n in range(1, len(body) - 3, 2)}
        if named.keys() != self.used_quantisation.keys():
            return None
        if not set(self.used_quantisation.values()) <= self.quantisation:
            return None
        wanted = {tables >> 4 for tables in named.values()}
        return (wanted | {0x10 | tables & 15 for tables in named.values()}) - self.huffman


def plain_jpeg(data: bytes) -> PlainJpeg | None:
    """Return a JPEG that can be passed on as it is; None if it must be decoded and encoded again.

    Its scan is not decoded: only markers within it that do not belong there are seen.

    Args:
        data: One JPEG; padding after it is left out.
    """
    if not data.startswith(_SOI):
        return None
    tables, position = _Tables(), 2
    for _ in range(_MOST_SEGMENTS):
        if position + 4 > len(data) or data[position] != 0xFF:
            return None
        marker, length = (
            data[position + 1],
            int.from_bytes(data[position + 2 : position + 4], "big"),
        )
        body = data[position + 4 : position + 2 + length]
        if marker not in _KNOWN or length < 2 or len(body) != length - 2:
            return None
        if marker == _SOS:
            return _whole(data, position, position + 2 + length, tables, tables.missing(body))
        if not _plain(marker, body, tables):
            return None
        position += 2 + length
    return None


def _plain(marker: int, body: bytes, tables: _Tables) -> bool:
    """Note a header; return whether decoders agree about what it asks for."""
    if marker == _DHT:
        return tables.read_huffman(body)
    if marker == _DQT:
        return tables.read_quantisation(body)
    if marker in (_SOF0, _SOF1):
        return tables.read_frame(body)
    if marker == _COM:
        return not body.startswith(_OTHERWISE)
    if marker == _APP1 and body.startswith(b"Exif\0"):
        return _upright(body)
    # Adobe's marker says whether the colours are YCbCr (1): 0 is RGB.
    return not (marker == _APP14 and body.startswith(b"Adobe") and body[11:12] != b"\1")


def _upright(body: bytes) -> bool:
    exif = Exif()
    try:
        exif.load(body)
        return bool(exif.get(_ORIENTATION, 1) == 1)
    except BROKEN:
        return False


def _whole(
    data: bytes, scan: int, start: int, tables: _Tables, missing: set[int] | None
) -> PlainJpeg | None:
    found = _END.search(data, start)
    if found is None or data[found.end() - 1] != _EOI or missing is None:
        return None
    end = found.end()
    if next_jpeg(data, end - 2) >= 0:
        return None  # the second field of an interlaced frame
    if not missing:
        return PlainJpeg(data[:end], *tables.size)
    if tables.huffman or not missing <= _STANDARD:
        return None
    return PlainJpeg(data[:scan] + STANDARD_TABLES + data[scan:end], *tables.size)
