"""What travels through the worker: Kafka records, and frames on their way to a result.

Every value carries the position that may be committed once it is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contract.frame import Frame, Header


class Position(NamedTuple):
    """Where a record lies in the topic, and under which assignment it was read.

    Attributes:
        partition: Kafka partition.
        number: Kafka's offset within the partition.
        epoch: Number of the assignment; work of an earlier assignment is never committed.
    """

    partition: int
    number: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as Kafka delivered it.

    Attributes:
        partition: Kafka partition.
        number: Kafka's offset within the partition.
        key: Key, as it came.
        value: Value, as it came.
        headers: Headers, as they came.
        timestamp_seconds: The record's time stamp, seconds since 1970; negative when it has none.
    """

    partition: int
    number: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    timestamp_seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """A valid frame on its way to a result.

    Attributes:
        record: The record it came in, for the dead letter should its image not decode.
        position: What to commit when it is done.
        frame: The frame.
        reference_seconds: Wall-clock time that its age counts from, seconds since 1970.
    """

    record: Record
    position: Position
    frame: Frame
    reference_seconds: float
