"""Record batches byte by byte, and a way to have a real broker take them."""

import gzip
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cramjam
import pytest
from crc32c import crc32c
from kafka import KafkaProducer
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import encode_varint

NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
CONTROL = 0x20
TIMESTAMP_MS = 1_700_000_000_000

RawHeader = tuple[bytes, bytes | None]


def varint(number: int) -> bytes:
    """Return a zigzag varint."""
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


def sized(data: bytes | None) -> bytes:
    """Return bytes after their length, -1 for None."""
    return varint(-1) if data is None else varint(len(data)) + data


def record(
    delta: int = 0,
    value: bytes | None = b"value",
    headers: Sequence[RawHeader] | bytes = (),
    *,
    key: bytes | None = b"key",
    length: int | None = None,
) -> bytes:
    """Return a record; ``headers`` may be their raw bytes, ``length`` may lie."""
    if not isinstance(headers, bytes):
        pairs = b"".join(sized(name) + sized(text) for name, text in headers)
        headers = varint(len(headers)) + pairs
    body = b"\0" + varint(0) + varint(delta) + sized(key) + sized(value) + headers
    return varint(len(body) if length is None else length) + body


def pack(codec: int, body: bytes) -> bytes:
    """Return the body as the codec writes it."""
    if codec == GZIP:
        return gzip.compress(body)
    if codec == SNAPPY:
        return bytes(cramjam.snappy.compress_raw(body))
    if codec == LZ4:
        return bytes(cramjam.lz4.compress(body))
    return bytes(cramjam.zstd.compress(body)) if codec == ZSTD else body


def batch(
    *records: bytes,
    codec: int = NONE,
    base: int = 0,
    attributes: int = 0,
    packed: bytes | None = None,
    count: int | None = None,
    positions: int | None = None,
    crc: int | None = None,
    magic: int = 2,
    timestamp_ms: int = TIMESTAMP_MS,
) -> bytes:
    """Return a batch; what is given replaces what would be right."""
    body = pack(codec, b"".join(records)) if packed is None else packed
    number = len(records) if count is None else count
    last = (number if positions is None else positions) - 1
    tail = struct.pack(
        ">hiqqqhii", codec | attributes, last, timestamp_ms, timestamp_ms, -1, -1, -1, number
    )
    tail += body
    checksum = crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", base, len(tail) + 9, -1, magic, checksum) + tail


@contextmanager
def raw_producer(bootstrap_servers: str) -> Iterator["RawProducer"]:
    """Give a producer that sends batches as they are."""
    with pytest.MonkeyPatch.context() as patch:
        producer = RawProducer(bootstrap_servers, patch)
        yield producer
        producer.client.close(5)


class RawProducer:
    """Sends batches as they are."""

    def __init__(self, bootstrap_servers: str, patch: pytest.MonkeyPatch) -> None:
        self.client = KafkaProducer(
            bootstrap_servers=bootstrap_servers,
            linger_ms=0,
            retries=0,
            enable_idempotence=False,
            max_request_size=1 << 25,
        )
        self._raw: bytes | None = None
        build = DefaultRecordBatchBuilder.build
        patch.setattr(
            DefaultRecordBatchBuilder,
            "build",
            lambda builder: bytearray(self._raw) if self._raw else build(builder),
        )

    def send(self, topic: str, raw: bytes, partition: int = 0) -> int:
        """Send a batch and return the position of its first record."""
        self._raw = raw
        try:
            sent = self.client.send(topic, value=b"replaced", partition=partition)
            position: int = sent.get(10).offset
        finally:
            self._raw = None
        return position
