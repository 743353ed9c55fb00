"""The values that travel through the worker. Pure.

Kafka's records become jobs, and jobs become entries; each carries the position that may be
committed once it is done.
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from contract.errors import InvalidMessageError
from contract.frame import Frame, Header
from contract.result import Result
from contract.trace import FrameTrace
from tracking import Observations


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
        timestamp_seconds: The record's time stamp, seconds since 1970; None when it has none.
        fault: Why it cannot be read, see ``servers.record_batches``; None when it can.
        log: Names the partition as ``<topic id>/<partition>``: its positions tell which of two
            records came first. Empty where Kafka gives topics no ids (before 2.8).
    """

    partition: int
    number: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    timestamp_seconds: float | None
    fault: InvalidMessageError | None = None
    log: str = ""


class Change(enum.Enum):
    """What happened to partitions."""

    ASSIGNED = "assigned"
    REVOKED = "revoked"
    """They went to another worker, after what was done here had been committed."""
    LOST = "lost"
    """The group has given them away already: nothing may be committed."""


class Event(NamedTuple):
    """A change of the partitions that this worker owns."""

    change: Change
    partitions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Job:
    """A valid frame on its way to a result.

    Attributes:
        record: The record it came in, for the dead letter should its image not decode.
        position: What to commit when it is done.
        frame: The frame.
        reference_seconds: Wall-clock time that its age counts from, seconds since 1970.
        trace: Told which part of the worker it enters; None of a frame that is not traced.
    """

    record: Record
    position: Position
    frame: Frame
    reference_seconds: float
    trace: FrameTrace | None = None

    def enter(self, part: str) -> None:
        """Note where the frame goes, if it is traced. Called by who hands it over, before that."""
        if self.trace is not None:
            self.trace.enter(part)


class Sighting(NamedTuple):
    """What tells one object of a frame from another.

    Attributes:
        observations: One for each instance of the frame's result.
        seconds: What measuring them took.
    """

    observations: Observations
    seconds: float


class Entry(NamedTuple):
    """A result and where its frame lay in Kafka, whose order decides between sessions.

    Attributes:
        result: The result, which does not say yet who the instances are.
        log: Names the partition, see ``Record.log``; empty when unknown.
        position: Kafka's offset in it.
        sighting: What tracks its instances; None where nothing is tracked.
        jpeg: The picture that it was made from, for who looks at the camera; empty where it has
            none.
    """

    result: Result
    log: str
    position: int
    sighting: Sighting | None = None
    jpeg: bytes = b""


class Outcome(enum.Enum):
    """What became of a result."""

    STORED = "stored"
    SET_BACK = "set_back"
    """Stored; its session is newer in Kafka and older by its clock than the one it follows."""
    RESUMED = "resumed"
    """Stored; its session goes on after another one of the camera: two producers send for it."""
    DUPLICATE = "duplicate"
    """The stream already has the frame's result: a redelivery."""
    OUT_OF_ORDER = "out_of_order"
    """The stream has newer results and not this one: the frame was skipped when it first came, came
    from another partition with an older session, or its result was trimmed."""

    @property
    def stored(self) -> bool:
        """Whether this call stored the result."""
        return self in (Outcome.STORED, Outcome.SET_BACK, Outcome.RESUMED)
