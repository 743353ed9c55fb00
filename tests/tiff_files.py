"""Writes the TIFFs of microscopes and aerial cameras, which Pillow writes none of."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RGB, GREY = 2, 1
_KINDS = {"u": 1, "i": 2, "f": 3}


def write_tiff(
    path: Path,
    pages: Sequence[NDArray[Any]],
    *,
    photometric: int | None = None,
    orientation: int = 1,
    reduced: Sequence[int] = (),
    raw: bool = False,
) -> Path:
    """Write pages of (H, W) or (H, W, C), uncompressed, little-endian.

    Channels that are no colours are marked as nothing in particular. ``reduced``: numbers of pages
    that are previews; ``raw``: whether they point to more inside, as raw files of cameras do.
    """
    out = bytearray(b"II*\0\0\0\0\0")
    link = 4
    for number, page in enumerate(pages):
        height, width, channels = (*page.shape, 1)[:3]
        colours = photometric if photometric is not None else (RGB if channels >= 3 else GREY)
        extras = channels - (3 if colours == RGB else 1)
        start = len(out)
        out += page.astype(page.dtype.newbyteorder("<")).tobytes()
        tags = [
            (254, "I", [int(number in reduced)]),
            (256, "I", [width]),
            (257, "I", [height]),
            (258, "H", [page.dtype.itemsize * 8] * channels),
            (259, "H", [1]),
            (262, "H", [colours]),
            (273, "I", [start]),
            (274, "H", [orientation]),
            (277, "H", [channels]),
            (278, "I", [height]),
            (279, "I", [page.nbytes]),
            (284, "H", [1]),
            *([(330, "I", [8])] if raw else []),
            *([(338, "H", [0] * extras)] if extras else []),
            (339, "H", [_KINDS[page.dtype.kind]] * channels),
        ]
        entries = b""
        for tag, kind, values in tags:
            value = struct.pack(f"<{len(values)}{kind}", *values).ljust(4, b"\0")
            if len(value) > 4:
                out += b"\0" * (len(out) % 2)
                value, at = struct.pack("<I", len(out)), value
                out += at
            entries += struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(values)) + value
        out += b"\0" * (len(out) % 2)
        struct.pack_into("<I", out, link, len(out))
        out += struct.pack("<H", len(tags)) + entries
        link = len(out)
        out += b"\0\0\0\0"
    path.write_bytes(out)
    return path


def discs(dtype: Any, low: float, high: float, size: tuple[int, int] = (48, 64)) -> NDArray[Any]:
    """Two bright discs of 8 pixels radius on a dark ground."""
    y, x = np.mgrid[: size[0], : size[1]]
    inside = np.zeros(size, bool)
    for row, column in ((16, 16), (30, 46)):
        inside |= (y - row) ** 2 + (x - column) ** 2 <= 64
    return np.where(inside, high, low).astype(dtype)
