"""What became of every record of a topic, by name, and one row of the table of faults."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from kafka import KafkaConsumer

from contract.errors import InvalidMessageError
from contract.frame import decode_frame
from contract.topics import (
    DEAD_PARTITION_HEADER,
    DEAD_POSITION_HEADER,
    DEAD_REASON_HEADER,
    MAX_RECORD_BYTES,
)
from servers.redis import Client
from stack.frame_ledger import FrameId, FrameLedger, frame_id, read_results, read_topic, topic_ends

Place = tuple[int, int]
"""Partition and position of a record."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Every record of a topic, accounted for.

    Attributes:
        published: Records on the topic, with those that are no frame.
        stored: Frames that have a result.
        skipped: Frames that the workers left out on purpose, by reason.
        dead: Records that were dead-lettered, by reason, each counted once.
        lost: Frames with neither a result nor a dead letter, beyond those skipped.
        doubled: Frames on the topic, results and dead letters beyond the first of each, and frames
            with both a result and a dead letter.
        out_of_order: Cameras whose frames or results are not in their order.
        named: Some of the lost, for people.
    """

    published: int
    stored: int
    skipped: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    named: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is lost, doubled or out of order, and the sums close."""
        accounted = self.stored + sum(self.skipped.values()) + sum(self.dead.values())
        return not (self.lost or self.doubled or self.out_of_order) and accounted == self.published


def take_account(
    consumer: KafkaConsumer,
    client: Client,
    topic: str,
    dead_topic: str,
    skipped: Mapping[str, int],
) -> Account:
    """Read both topics and every result.

    Args:
        consumer: Reads the topics; its assignment is replaced.
        client: Redis with the results.
        topic: The frames.
        dead_topic: The dead letters.
        skipped: What the workers have counted as skipped, by reason.
    """
    frames: dict[str, dict[Place, FrameId]] = {}
    published = 0
    for record in read_topic(consumer, topic_ends(consumer, topic)):
        published += 1
        try:
            frame = decode_frame(
                record.key, record.value, record.headers, max_bytes=MAX_RECORD_BYTES
            )
        except InvalidMessageError:
            continue
        frames.setdefault(frame.camera, {})[record.partition, record.offset] = frame_id(frame)
    dead, reasons, letters = set[Place](), dict[str, int](), 0
    for letter in read_topic(consumer, topic_ends(consumer, dead_topic)):
        headers = dict(letter.headers)
        place = int(headers[DEAD_PARTITION_HEADER]), int(headers[DEAD_POSITION_HEADER])
        letters += 1
        if place not in dead:
            reason = headers[DEAD_REASON_HEADER].decode()
            reasons[reason] = reasons.get(reason, 0) + 1
        dead.add(place)
    stored = {
        camera: [frame_id(each) for each in read_results(client, camera)] for camera in frames
    }
    return close_account(
        published, frames, dead, stored, skipped, reasons=reasons, repeated=letters - len(dead)
    )


def close_account(
    published: int,
    frames: Mapping[str, Mapping[Place, FrameId]],
    dead: Collection[Place],
    stored: Mapping[str, Sequence[FrameId]],
    skipped: Mapping[str, int],
    *,
    reasons: Mapping[str, int],
    repeated: int = 0,
) -> Account:
    """Compare what is on the topic with what became of it.

    Args:
        published: Records on the topic.
        frames: Those that are frames, by camera and place, in the topic's order.
        dead: Places of the dead-lettered records.
        stored: Frames of the results, in the order of the stream.
        skipped: What the workers have counted as skipped, by reason.
        reasons: Dead-lettered records by reason.
        repeated: Dead letters beyond the first of each record.
    """
    good = {
        camera: [name for place, name in found.items() if place not in dead]
        for camera, found in frames.items()
    }
    ledger = FrameLedger.from_frames(good, stored)
    missing = sum(len(camera.missing) for camera in ledger.cameras)
    twice = sum(camera.published_twice + camera.stored_twice for camera in ledger.cameras)
    both = sum(
        place in dead and name in stored.get(camera, ())
        for camera, found in frames.items()
        for place, name in found.items()
    )
    return Account(
        published=published,
        stored=sum(camera.stored for camera in ledger.cameras),
        skipped=dict(skipped),
        dead=dict(reasons),
        lost=max(0, missing - sum(skipped.values())),
        doubled=twice + repeated + both,
        out_of_order=sum(
            not (camera.in_order and ascending(good[camera.camera])) for camera in ledger.cameras
        ),
        named=tuple(text for camera in ledger.cameras if (text := camera.examples())),
    )


def ascending(frames: Sequence[FrameId]) -> bool:
    """Return whether a camera's frames are in order: session after session, each ascending.

    Which session comes first is not asked of their ids, which tell what a wall clock said.
    """
    sessions = [list(group) for _, group in itertools.groupby(frames, lambda frame: frame[0])]
    if len({group[0][0] for group in sessions}) < len(sessions):
        return False
    return all(a <= b for group in sessions for a, b in itertools.pairwise(group))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault of the table.

    Attributes:
        fault: What was done.
        account: What became of the records.
        recovery_seconds: From the end of the fault until every camera had the result of a frame
            captured after it.
        bound_seconds: What that may be.
        note: What else was seen, such as processes that ended and were started again.
        unaccounted: Captured frames that were neither published nor dropped, by the counters of a
            producer that was never killed.
    """

    fault: str
    account: Account
    recovery_seconds: float
    bound_seconds: float
    note: str = ""
    unaccounted: int = 0


HEAD = (
    "| fault | published | stored | skipped | dead | lost | doubled | out of order "
    "| recovery, s (bound) | seen |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n"
)


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    return HEAD + "".join(
        f"| {row.fault} | {row.account.published:,} | {row.account.stored:,} "
        f"| {_sum(row.account.skipped)} | {_sum(row.account.dead)} | {row.account.lost} "
        f"| {row.account.doubled} | {row.account.out_of_order} "
        f"| {row.recovery_seconds:.1f} ({row.bound_seconds:g}) | {row.note} |\n"
        for row in rows
    )


def _sum(reasons: Mapping[str, int]) -> str:
    detail = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return f"{sum(reasons.values())}" + (f" ({detail})" if detail else "")
