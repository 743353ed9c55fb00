"""Model export, store and worker: the wire format of protobuf, as far as ONNX files have it."""

import mmap
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf; groups, which ONNX has none of, are refused."""

Span = tuple[int, int]


def fields(data: mmap.mmap, begin: int, end: int) -> Iterator[tuple[int, int | Span]]:
    """Yield a message's fields: a number, or where the bytes are.

    Raises:
        ValueError, IndexError: It is no message.
    """
    at = begin
    while at < end:
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        value: int | Span
        if wire == _VARINT:
            value, at = _varint(data, at, end)
        elif wire == _BYTES:
            length, at = _varint(data, at, end)
            value, at = (at, at + length), at + length
        elif wire in (_FIXED64, _FIXED32):
            value, at = 0, at + (8 if wire == _FIXED64 else 4)
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at > end:
            raise ValueError(f"a field that ends after its message, at byte {end}")
        yield number, value


def _varint(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError(f"a number that does not end, at byte {at}")
