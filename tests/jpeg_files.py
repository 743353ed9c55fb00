"""JPEG files made byte by byte (ITU-T T.81): what no encoder writes and a decoder may meet."""

import struct
from collections.abc import Sequence

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
BASELINE, PROGRESSIVE, LOSSLESS, HIERARCHICAL, ARITHMETIC = 0xC0, 0xC2, 0xC3, 0xC5, 0xC9


def segment(marker: int, payload: bytes) -> bytes:
    """Return a marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def start_of_frame(
    width: int,
    height: int,
    kind: int = PROGRESSIVE,
    *,
    components: int = 3,
    factors: int = 0x11,
    bits: int = 8,
) -> bytes:
    """Return a start-of-frame segment; ``factors`` are those of the first component."""
    each = b"".join(
        bytes([number, factors if number == 1 else 0x11, 0]) for number in range(1, components + 1)
    )
    return segment(kind, struct.pack(">BHHB", bits, height, width, components) + each)


def tables(symbols: Sequence[int] = (0x00, 0xE0)) -> bytes:
    """Return a quantisation table of ones and, as DC and AC table 0, codes of up to two bits.

    Args:
        symbols: Of the AC table: the codes are 0, 10, 110, ...
    """
    lengths = [1] * len(symbols)
    ac = bytes(lengths + [0] * (16 - len(symbols))) + bytes(symbols)
    dc = bytes([1] + [0] * 15) + b"\0"  # the code 0: no difference
    return (
        segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC4, b"\x00" + dc)
        + segment(0xC4, b"\x10" + ac)
    )


def scan(
    components: Sequence[int] = (1,),
    *,
    first: int = 0,
    last: int = 0,
    bits: int = 0x00,
    data: bytes = b"",
) -> bytes:
    """Return a scan: its header and entropy-coded data; a decoder takes missing data for zeros."""
    named = b"".join(bytes([component, 0x00]) for component in components)
    head = bytes([len(components)]) + named + bytes([first, last, bits])
    return segment(0xDA, head) + data


def end_of_bands(blocks: int) -> bytes:
    """Return entropy-coded data of a scan in which so many blocks have no coefficient.

    Codes of `tables`: 0 ends one band, 10 with 14 bits more a run of 16,384 to 32,767.
    """
    bits = ""
    while blocks >= 1 << 14:
        run = min(blocks, (1 << 15) - 1)
        bits += f"10{run - (1 << 14):014b}"
        blocks -= run
    bits += "0" * blocks
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def scan_bomb(width: int = 3072, height: int = 3072, scans: int = 30_000) -> bytes:
    """Return a progressive JPEG whose scans are all empty: each visits every block once."""
    first = scan((1, 2, 3))
    again = scan((1,), first=1, last=63)
    return SOI + tables() + start_of_frame(width, height) + first + again * (scans - 1) + EOI
