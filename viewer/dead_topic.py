"""Dead letters read from their topic, with their reasons and where they came from.

Library: kafka-python.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka import TopicPartition

from contract.errors import ConfigurationError, InvalidMessageError, UnavailableError
from contract.frame import JPEG, Frame, Header, decode_frame
from contract.topics import (
    DEAD_DETAIL_HEADER,
    DEAD_PARTITION_HEADER,
    DEAD_POSITION_HEADER,
    DEAD_RAW_HEADER,
    DEAD_REASON_HEADER,
    DEAD_TOPIC_HEADER,
    MAX_RECORD_BYTES,
)
from media.decodable_jpeg import header_size
from servers.kafka import KafkaConnection
from viewer.topic_reader import open_reader

_ADDED = (
    DEAD_REASON_HEADER,
    DEAD_DETAIL_HEADER,
    DEAD_TOPIC_HEADER,
    DEAD_PARTITION_HEADER,
    DEAD_POSITION_HEADER,
)
_LAST_MS = 253_402_300_799_000
"""The last second of the year 9999."""

_POLL_MS = 200
_POLL_RECORDS = 64
_SILENCE_SECONDS = 15.0
"""How long Kafka may give nothing before the end that it has named."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic.

    Attributes:
        id: Where it lies there: ``PARTITION:POSITION``.
        written_at: When it was written there.
        reason: Why it is one, the word of the metric.
        detail: The same in a sentence.
        topic: Where the record lay: topic.
        partition: Where the record lay: partition.
        position: Where the record lay: Kafka's offset.
        key: The record's key, a camera id if it is a frame's.
        value: The record's value, or raw bytes: see ``raw``.
        headers: The record's own headers.
        raw: Empty, or what could not be read: see ``DEAD_RAW_HEADER``.
    """

    id: str
    written_at: datetime
    reason: str
    detail: str
    topic: str
    partition: int
    position: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    raw: str = ""

    @property
    def camera(self) -> str:
        """The key as text; empty without one."""
        return (self.key or b"").decode(errors="backslashreplace")

    @property
    def origin(self) -> tuple[str, int, int]:
        """Where the record lay, by which a letter that was written twice is known."""
        return self.topic, self.partition, self.position

    @property
    def incomplete(self) -> str:
        """Why the record cannot be sent again as it was, empty if it can."""
        if self.raw:
            return f"only raw bytes are left of it ({self.raw})"
        if " left out, too large for " in self.detail:
            return "parts of it were left out, which were too large for the dead-letter topic"
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which letters are asked for; what is not set chooses all.

    Attributes:
        ids: These alone.
        reason: Of this reason.
        camera: Of this camera, by the record's key.
        since: Written at this time or later.
    """

    ids: frozenset[str] = frozenset()
    reason: str | None = None
    camera: str | None = None
    since: datetime | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Return whether a letter is asked for."""
        return (
            (not self.ids or letter.id in self.ids)
            and self.reason in (None, letter.reason)
            and self.camera in (None, letter.camera)
            and (self.since is None or letter.written_at >= self.since)
        )


def as_letter(partition: int, record: Any) -> DeadLetter | None:
    """Return the dead letter that a fetched record is, None if it is none."""
    found: dict[str, bytes] = {}
    own: list[Header] = []
    for name, value in reversed(record.headers):  # a record may bring headers of these names
        if name in _ADDED and name not in found:
            found[name] = value or b""
        else:
            own.append((name, value or b""))
    if len(found) != len(_ADDED):
        return None
    place = [found[name].decode(errors="replace") for name in _ADDED[3:]]
    if not all(text.isdecimal() and text.isascii() and len(text) < 20 for text in place):
        return None
    raw = dict(own).get(DEAD_RAW_HEADER, b"")
    return DeadLetter(
        id=f"{partition}:{record.offset}",
        written_at=_moment(record.timestamp),
        reason=found[DEAD_REASON_HEADER].decode(errors="replace"),
        detail=found[DEAD_DETAIL_HEADER].decode(errors="replace"),
        topic=found[DEAD_TOPIC_HEADER].decode(errors="replace"),
        partition=int(place[0]),
        position=int(place[1]),
        key=record.key,
        value=record.value,
        headers=tuple(reversed(own)),
        raw=raw.decode(errors="replace"),
    )


def _moment(timestamp_ms: int) -> datetime:
    """Return when a record was written; Kafka takes any number, also of years that no clock has."""
    return datetime.fromtimestamp(min(max(0, timestamp_ms), _LAST_MS) / 1000, UTC)


def read_letters(
    connection: KafkaConnection,
    topic: str,
    ids: Collection[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[DeadLetter]:
    """Yield the dead letters that are in the topic now, partition by partition as they come.

    One record at a time is in memory beside what Kafka's client has fetched. Records that are no
    dead letters are passed over. Nothing is committed.

    Args:
        connection: Where Kafka is.
        topic: Topic of the dead letters.
        ids: Ids to read between; all unless set.
        clock: Monotonic clock, in seconds.

    Raises:
        ConfigurationError: Kafka refuses access.
        UnavailableError: Kafka does not answer or does not have the topic.
    """
    with open_reader(connection, topic, "the dead-letter topic") as consumer:
        ends = _seek(consumer, topic, ids)
        heard_at = clock()
        while any(consumer.position(each) < end for each, end in ends.items()):
            if clock() - heard_at > _SILENCE_SECONDS:
                raise UnavailableError(
                    f"Kafka gave no record of {topic!r} for {_SILENCE_SECONDS:g} s before its end"
                )
            polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
            if polled:
                heard_at = clock()
            for each, records in polled.items():
                for record in records:
                    letter = as_letter(each.partition, record)
                    if letter is not None and record.offset < ends[each]:
                        yield letter


def _seek(consumer: Any, topic: str, ids: Collection[str]) -> dict[TopicPartition, int]:
    """Assign what is to be read and return where each partition's reading ends."""
    numbers = sorted(consumer.partitions_for_topic(topic))
    targets = [TopicPartition(topic, number) for number in numbers]
    begins, ends = consumer.beginning_offsets(targets), consumer.end_offsets(targets)
    if ids:
        wanted: dict[int, list[int]] = {}
        for each in ids:
            partition, position = parse_id(each)
            wanted.setdefault(partition, []).append(position)
        targets = [each for each in targets if each.partition in wanted]
        for each in targets:
            asked = wanted[each.partition]
            begins[each] = max(begins[each], min(asked))
            ends[each] = min(ends[each], max(asked) + 1)
    targets = [each for each in targets if begins[each] < ends[each]]
    consumer.assign(targets)
    for each in targets:
        consumer.seek(each, begins[each])
    return {each: ends[each] for each in targets}


def parse_id(text: str) -> tuple[int, int]:
    """Return partition and position of an id.

    Raises:
        ConfigurationError: It is none.
    """
    partition, _, position = text.partition(":")
    if not all(part.isascii() and part.isdecimal() for part in (partition, position)):
        raise ConfigurationError(
            f"{text!r} is no dead letter's id: expected PARTITION:POSITION as `seedstream dead "
            "list` shows it, for instance 0:17"
        )
    return int(partition), int(position)


def frame_of(letter: DeadLetter) -> Frame:
    """Return the frame that a dead letter holds, as far as it holds one.

    Where the headers are at fault, a JPEG image is a frame without them.

    Raises:
        InvalidMessageError: There is no picture in it.
    """
    try:
        return decode_frame(letter.key, letter.value, letter.headers, max_bytes=MAX_RECORD_BYTES)
    except InvalidMessageError as error:
        if not (letter.value or b"").startswith(b"\xff\xd8"):
            raise
        return _jpeg_alone(letter, error)


def _jpeg_alone(letter: DeadLetter, why: InvalidMessageError) -> Frame:
    data = letter.value or b""
    try:
        width, height = header_size(data)
    except InvalidMessageError as error:
        raise error from why
    return Frame(
        camera=letter.camera, session="", sequence=0, captured_at=letter.written_at,
        width=width, height=height, data=data, content_type=JPEG,
    )  # fmt: skip
