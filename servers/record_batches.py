"""Kafka's record batches, read past every fault: a record that cannot be read says why. Pure.

kafka-python's own parser raises at the first fault, names no position and never gets past it. This
one gives exactly one record for every position of a batch, and bounds what a batch may cost.
Format: https://kafka.apache.org/documentation/#messageformat (magic 2).
"""

import mmap
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cramjam
from crc32c import crc32c

from contract.errors import InvalidMessageError
from contract.topics import DEAD_RAW_HEADER, DEAD_RAW_HEADERS_HEADER, MAX_RECORD_BYTES

Header = tuple[str, bytes | None]

MAX_BATCH_BYTES = 4 * MAX_RECORD_BYTES
"""Most bytes that a compressed batch may have when it is decompressed."""

MAX_HEADERS = 1_000
"""Most headers of a record; each costs time and many times its size in memory."""

HEADER, RECORD, BATCH = "unreadable_header", "unreadable_record", "unreadable_batch"
"""Reasons: a header's name, one record, or all records of a batch cannot be read."""

_MAX_RAW_HEADER_BYTES = 64 * 1024
_PREFIX = struct.Struct(">qi")  # base offset, length of what follows
_HEAD = struct.Struct(">qiibIhiqqqhii")
_ATTRIBUTES_AT = struct.calcsize(">qiibI")
_CRC = struct.Struct(">I")
_CRC_AT = struct.calcsize(">qiib")
_MAGIC_AT = struct.calcsize(">qii")
_MIN_LENGTH = 14
"""Shortest batch of any format after its prefix, in bytes: magic 0 without key and value."""

_MAGIC = 2
_CODEC, _LOG_APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
CODECS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""What a batch may be compressed with, by its number in Kafka's protocol; all are read."""
_ABORT = b"\0\0"
_VARINT_BITS = 70
_XERIAL = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class FetchedRecord:
    r"""One position of a partition; the names are those of kafka-python's ``ConsumerRecord``.

    Attributes:
        offset: Kafka's offset.
        timestamp: Milliseconds since 1970; below zero when there is none.
        key: Key, as it came; None too when it cannot be read.
        value: Value, as it came. Of an unreadable record its raw bytes, of an unreadable batch the
            whole batch's at its first position; ``DEAD_RAW_HEADER`` says which.
        headers: Headers; in names that are not UTF-8, the bytes at fault are escaped (``\xff``).
        fault: Why it cannot be used; None for a readable one.
    """

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    fault: InvalidMessageError | None = None


class Batch(NamedTuple):
    """A batch's head, and all of its bytes.

    Attributes:
        raw: All of it.
        base: Position of its first record.
        end: Position after its last one.
        broken: What is wrong with the head itself, empty when nothing is.
        producer_id: Id of a transaction's producer, below 0 without.
    """

    raw: memoryview
    base: int
    broken: str = ""
    end: int = -1
    leader_epoch: int = -1
    attributes: int = 0
    first_timestamp: int = -1
    max_timestamp: int = -1
    producer_id: int = -1
    record_count: int = -1

    @property
    def damage(self) -> str:
        """What makes its records unusable, empty when nothing does."""
        if (
            self.broken
            or crc32c(self.raw[_ATTRIBUTES_AT:]) == _CRC.unpack_from(self.raw, _CRC_AT)[0]
        ):
            return self.broken
        return "its checksum does not match, it was damaged after it was written"

    @property
    def consistent(self) -> bool:
        """Whether the head counts as many records as positions, and so is probably right."""
        return not self.broken and self.record_count == self.end - self.base

    @property
    def is_control(self) -> bool:
        """Whether it is a transaction's marker, which holds no records for consumers."""
        return bool(self.attributes & _CONTROL)

    @property
    def is_transactional(self) -> bool:
        """Whether it belongs to a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def aborts(self) -> bool:
        """Whether it is the marker of an aborted transaction."""
        if not self.is_control:
            return False
        try:
            _, at = _varint(self.raw, _HEAD.size)
            _, at = _varint(self.raw, at + 1)
            _, at = _varint(self.raw, at)
            key, _ = _bytes(self.raw, at)
        except _BrokenError:
            return False
        return key is not None and key[2:4] == _ABORT


class _BrokenError(Exception):
    """The bytes at hand do not follow the format."""


def split(data: bytes | memoryview) -> Iterator[Batch]:
    """Yield the whole batches at the front of ``data``; a cut one at its end is left out.

    It ends early where a length leads nowhere, since the next batch cannot be found then.
    """
    view, position = memoryview(data), 0
    while position + _PREFIX.size <= len(view):
        base, length = _PREFIX.unpack_from(view, position)
        end = position + _PREFIX.size + length
        if length < _MIN_LENGTH or end > len(view):
            return
        yield _head(view[position:end], base)
        position = end


def _head(raw: memoryview, base: int) -> Batch:
    magic = raw[_MAGIC_AT]
    if magic != _MAGIC:
        return Batch(raw, base, f"it has format {magic}, expected {_MAGIC}")
    if len(raw) < _HEAD.size:
        return Batch(raw, base, f"it has {len(raw)} bytes, fewer than its head")
    (_, _, epoch, _, _, attributes, last_delta, first_timestamp, max_timestamp, producer_id, _, _,
     count) = _HEAD.unpack_from(raw)  # fmt: skip
    plausible = 0 <= count <= last_delta + 1 > 0
    broken = "" if plausible else f"it has {count} records at {last_delta + 1} positions"
    return Batch(
        raw, base, broken, base + last_delta + 1, epoch, attributes, first_timestamp,
        max_timestamp, producer_id, count,
    )  # fmt: skip


def read_batch(batch: Batch, begin: int, end: int, damage: str = "") -> Iterator[FetchedRecord]:
    """Yield the records of a batch, in order, each position once.

    Args:
        batch: The batch.
        begin: Position to begin at, perhaps in the middle.
        end: Position after the last that belongs to it.
        damage: Why none of its records is to be used; see ``Batch.damage``.
    """
    last = begin - 1
    if not batch.broken:
        try:
            for record in _records(batch, _body(batch), end):
                if record.offset >= begin:
                    last = record.offset
                    yield _condemned(record, damage) if damage else record
        except _BrokenError as error:
            damage = damage or str(error)
    if damage:
        yield from unreadable(batch.raw, damage, last + 1, end)


def unreadable(
    raw: bytes | memoryview, why: str, begin: int, end: int, *, reason: str = BATCH
) -> Iterator[FetchedRecord]:
    """Yield a record for each position that cannot be read; the first one carries the bytes."""
    what = b"record" if reason == RECORD else b"batch"
    for offset in range(begin, end):
        first = offset == begin
        yield FetchedRecord(
            offset=offset,
            timestamp=-1,
            key=None,
            value=bytes(raw[:MAX_RECORD_BYTES]) if first else None,
            headers=((DEAD_RAW_HEADER, what if first else b"%s at %d" % (what, begin)),),
            fault=InvalidMessageError(reason, f"the {what.decode()} cannot be read: {why}"),
        )


def _condemned(record: FetchedRecord, damage: str) -> FetchedRecord:
    return replace(
        record, fault=InvalidMessageError(BATCH, f"its batch cannot be trusted: {damage}")
    )


def _body(batch: Batch) -> memoryview:
    """Return the records' bytes, decompressed."""
    packed, codec = batch.raw[_HEAD.size :], batch.attributes & _CODEC
    if not codec:
        return packed
    if codec not in CODECS:
        raise _BrokenError(f"unknown codec {codec}, expected one of {sorted(CODECS.values())}")
    # Nothing is written beyond the buffer, so a bomb costs no more than that; and the kernel hands
    # it out page by page, so what is not written to costs nothing.
    room = memoryview(mmap.mmap(-1, MAX_BATCH_BYTES))
    try:
        if codec == 2:
            size = _unpack_snappy(packed, room)
        else:
            size = getattr(cramjam, CODECS[codec]).decompress_into(packed, room)
    except cramjam.DecompressionError as error:
        raise _BrokenError(
            f"{CODECS[codec]}: {error}; at most {MAX_BATCH_BYTES} bytes decompressed"
        ) from error
    return room[:size]


def _unpack_snappy(packed: memoryview, room: memoryview) -> int:
    """Decompress Java's framing of snappy, or plain snappy; return the size."""
    unpack = cramjam.snappy.decompress_raw_into
    if packed[: len(_XERIAL)] != _XERIAL:
        return int(unpack(packed, room))
    size, position = 0, _XERIAL_HEADER_BYTES
    while position < len(packed):
        length = int.from_bytes(packed[position : position + 4], "big")
        position += 4
        if length > len(packed) - position:
            raise _BrokenError(f"snappy: a block of {length} bytes")
        size += int(unpack(packed[position : position + length], room[size:]))
        position += length
    return size


def _records(batch: Batch, body: memoryview, end: int) -> Iterator[FetchedRecord]:
    """Yield what the body holds; a record that breaks the framing is the last."""
    position, expected = 0, batch.base
    for _ in range(batch.record_count):
        if expected >= end:
            return
        try:
            length, start = _varint(body, position)
            if not 0 <= length <= len(body) - start:
                raise _BrokenError(f"a record of {length} bytes, {len(body) - start} are left")
        except _BrokenError as error:
            yield from unreadable(body[position:], str(error), expected, end, reason=RECORD)
            return
        position = start + length
        # Brokers do not check the positions that a producer wrote into its records. Only compaction
        # leaves positions out, and then the batch counts fewer records than positions.
        last = expected if batch.consistent else end - 1
        record = _record(batch, body[start:position], expected, last)
        expected = record.offset + 1
        yield record


def _record(batch: Batch, raw: memoryview, expected: int, last: int) -> FetchedRecord:
    """Return one record, at ``expected`` unless it names a later position up to ``last``."""
    offset, timestamp, key = expected, -1, None
    try:
        time_delta, at = _varint(raw, 1)  # after the attributes, which have no meaning yet
        delta, at = _varint(raw, at)
        named = batch.base + delta
        if expected <= named <= last:
            offset = named
        timestamp = batch.first_timestamp + time_delta
        if batch.attributes & _LOG_APPEND_TIME:
            timestamp = batch.max_timestamp
        key, at = _bytes(raw, at)
        value, headers_at = _bytes(raw, at)
        headers, why = _headers(raw, headers_at)
    except _BrokenError as error:
        return FetchedRecord(
            offset, timestamp, key, bytes(raw), ((DEAD_RAW_HEADER, b"record"),),
            InvalidMessageError(RECORD, f"the record cannot be read: {error}"),
        )  # fmt: skip
    fault = None
    if why:
        fault = InvalidMessageError(HEADER, why)
        kept = bytes(raw[headers_at : headers_at + _MAX_RAW_HEADER_BYTES])
        headers.append((DEAD_RAW_HEADERS_HEADER, kept))
    elif named != offset:
        fault = InvalidMessageError(RECORD, f"it says position {named}, but lies at {offset}")
    return FetchedRecord(offset, timestamp, key, value, headers, fault)


def _headers(raw: memoryview, at: int) -> tuple[list[Header], str]:
    """Return the headers, and what is wrong with them."""
    count, at = _varint(raw, at)
    if not 0 <= count <= len(raw) - at:
        raise _BrokenError(f"{count} headers in {len(raw) - at} bytes")
    if count > MAX_HEADERS:
        return [], f"{count} headers, the limit is {MAX_HEADERS}"
    headers: list[Header] = []
    why = ""
    for _ in range(count):
        name, at = _bytes(raw, at)
        if name is None:
            raise _BrokenError("a header without a name")
        value, at = _bytes(raw, at)
        text = name.decode(errors="backslashreplace")
        if not why and text.encode() != name:
            why = f"the header name {text[:80]!r} is not UTF-8"
        headers.append((text, value))
    if at != len(raw):
        raise _BrokenError(f"{len(raw) - at} bytes after its headers")
    return headers, why


def _bytes(raw: memoryview, at: int) -> tuple[bytes | None, int]:
    """Return bytes that follow their length, None below 0, and where they end."""
    length, at = _varint(raw, at)
    if length < 0:
        return None, at
    end = at + length
    if end > len(raw):
        raise _BrokenError(f"{length} bytes announced, {len(raw) - at} are left")
    return bytes(raw[at:end]), end


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    """Return a zigzag varint of at most 64 bits, and where it ends."""
    result = 0
    for shift in range(0, _VARINT_BITS, 7):
        if at >= len(raw):
            raise _BrokenError("it ends within a number")
        byte = raw[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:  # the last one
            return (result >> 1) ^ -(result & 1), at
    raise _BrokenError("a number of more than 64 bits")
