"""What a JPEG costs to decode, told from its markers alone, before a pixel is decoded.

A decoder visits every block of a picture once a scan, so a file of a few bytes a scan can keep it
busy for minutes. Only the kinds that cameras and their software write pass: baseline, extended and
progressive, Huffman-coded, 8 bits. Source: ITU-T T.81, annex B.
"""

import re
import struct
from typing import NamedTuple

MAX_SCANS = 32
"""Most scans of a picture. Baseline has 1 to 4, progressive encoders write 10 to 20."""

MAX_SEGMENTS = 1024
"""Most marker segments: headers, tables, comments and scans, without restart markers."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Any marker but the restarts. 0xFF before it is a fill byte, and 0 after 0xFF is data."""

_EOI, _SOS = 0xD9, 0xDA
_WITHOUT_LENGTH = frozenset(
    {0x01, 0xD8, *range(0x02, 0xC0), *range(0xF0, 0xF7), *range(0xF8, 0xFE)}
)
"""TEM and SOI; of the reserved ones decoders give up or go on right behind the marker."""

_FIELD = re.compile(rb"[\x00-\xff]{0,64}?\xff\xd8\xff")
"""Another picture close behind one: the second field of an interlaced frame."""

_HUFFMAN = frozenset({0xC0, 0xC1, 0xC2})
_UNSUPPORTED = {
    0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "hierarchical",
    0xC8: "of a reserved kind", 0xC9: "arithmetic-coded", 0xCA: "arithmetic-coded",
    0xCB: "arithmetic-coded", 0xCC: "arithmetic-coded", 0xCD: "arithmetic-coded",
    0xCE: "arithmetic-coded", 0xCF: "arithmetic-coded", 0xDC: "of a height told at its end",
    0xDE: "hierarchical", 0xDF: "hierarchical", 0xF7: "JPEG-LS",
}  # fmt: skip
"""Start-of-frame markers of other processes, and DAC, DNL, DHP, EXP: T.81, table B.1; T.87."""

_EXPECTED = "expected baseline or progressive Huffman coding of 8 bits"


class JpegFault(NamedTuple):
    """Why a JPEG is not decoded.

    Attributes:
        reason: Short stable word: ``too_many_scans``, ``too_many_segments``, ``unsupported_jpeg``.
        text: What was seen and what is expected, to be read after "the JPEG".
    """

    reason: str
    text: str


def size_by_markers(data: bytes) -> tuple[int, int] | None:
    """Return (width, height) in pixels by the first start of frame; None where there is none."""
    position = 0
    while found := _MARKER.search(data, position):
        position = found.end()
        marker = data[position - 1]
        if marker in _HUFFMAN and position + 7 <= len(data):
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        if marker not in _WITHOUT_LENGTH:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return None


def jpeg_fault(data: bytes, *, fields: int = 1) -> JpegFault | None:
    """Return why a JPEG may cost more than its size, or its pixels, tell; None if it may not.

    The markers are found as libjpeg and FFmpeg find them, so no scan that they would decode is
    missed; a file that is broken otherwise is left to them. One pass over the data and at most
    `MAX_SEGMENTS` steps: 16 MiB take a few milliseconds.

    Args:
        data: The file, or anything else: what is no JPEG has no such fault.
        fields: How many pictures that follow one another are one frame: 2 where it may be
            interlaced. Whatever comes after them is not looked at.
    """
    scans = position = 0
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(data, position)
        if found is None:
            return None
        position = found.end()
        marker = data[position - 1]
        if marker == _EOI and scans:
            fields -= 1
            if not fields or not _FIELD.match(data, position):
                return None
        if marker == _EOI or marker in _WITHOUT_LENGTH:
            continue
        if marker in _UNSUPPORTED:
            return JpegFault("unsupported_jpeg", f"is {_UNSUPPORTED[marker]}, {_EXPECTED}")
        if marker in _HUFFMAN and data[position + 2 : position + 3] not in (b"\x08", b""):
            bits = data[position + 2]
            return JpegFault("unsupported_jpeg", f"has {bits} bits a channel, {_EXPECTED}")
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                return JpegFault(
                    "too_many_scans", f"has more than {MAX_SCANS} scans, expected 1 to 20"
                )
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return JpegFault(
        "too_many_segments", f"has more than {MAX_SEGMENTS} marker segments, expected 5 to 60"
    )
