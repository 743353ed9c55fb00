"""The frame ledger: where every frame went, and what is wrong if its sums do not close.

    captured  = published + dropped
    published = stored + skipped + dead-lettered

It is kept from the metrics of the processes, which count by reason, or from what is in Kafka and
Redis, which names each frame: lost, doubled and out-of-order ones are then seen.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from contract.errors import InvalidMessageError, UnavailableError
from contract.frame import Frame, decode_frame
from contract.result import DOCUMENT_FIELD, Result, decode_result
from contract.result_keys import ResultKeys
from contract.samples import Samples
from contract.topics import MAX_RECORD_BYTES
from servers.redis import Client

EXAMPLES = 3
"""How many missing frames of a camera are named."""

READ_SECONDS = 30.0
"""How long Kafka may give nothing of a topic whose end has not been reached."""

_KEYS = ResultKeys()

FrameId = tuple[str, int]
"""Session and sequence: a frame of a camera."""


def frame_id(frame: Frame | Result) -> FrameId:
    """Return the identity of a frame, or of the frame of a result."""
    return frame.session, frame.sequence


@dataclass(frozen=True, kw_only=True)
class CameraLedger:
    """Frames of one camera.

    Attributes:
        camera: Camera id.
        captured: Frames decoded; None if unknown, as Kafka holds only what was published.
        dropped: Frames that the producer left out, by reason.
        published: Frames that Kafka has taken.
        stored: Frames that have a result.
        skipped: Frames that the worker left out, by reason.
        missing: Published frames without a result, if they are known by name.
        published_twice: Records beyond the first of the same frame.
        stored_twice: Results beyond the first of the same frame.
        in_order: Whether the results are in the order in which the frames were published.
    """

    camera: str
    captured: int | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    published: int
    stored: int
    skipped: dict[str, int] = field(default_factory=dict)
    missing: tuple[FrameId, ...] = ()
    published_twice: int = 0
    stored_twice: int = 0
    in_order: bool = True

    @classmethod
    def from_metrics(cls, camera: str, producer: Samples, worker: Samples) -> "CameraLedger":
        """Read the counters of both processes."""
        return cls(
            camera=camera,
            captured=int(producer.total("seedstream_frames_captured_total", camera=camera)),
            dropped=producer.counts("reason", "seedstream_frames_dropped_total", camera=camera),
            published=int(producer.total("seedstream_frames_published_total", camera=camera)),
            stored=int(worker.total("seedstream_frames_processed_total", camera=camera)),
            skipped=worker.counts("reason", "seedstream_frames_skipped_total", camera=camera),
        )

    @classmethod
    def from_frames(
        cls, camera: str, published: Sequence[FrameId], stored: Sequence[FrameId]
    ) -> "CameraLedger":
        """Compare the frames on the topic with the frames of the results, each in its order.

        Results of frames that are not among ``published`` are passed over.
        """
        wanted = dict.fromkeys(published)
        counts = Counter(each for each in stored if each in wanted)
        first_stored = dict.fromkeys(each for each in stored if each in wanted)
        return cls(
            camera=camera,
            published=len(wanted),
            stored=len(counts),
            missing=tuple(each for each in wanted if each not in counts),
            published_twice=len(published) - len(wanted),
            stored_twice=counts.total() - len(counts),
            in_order=list(first_stored) == [each for each in wanted if each in counts],
        )

    @property
    def unpublished(self) -> int:
        """Captured frames that were neither published nor dropped: 0 if the ledger closes."""
        if self.captured is None:
            return 0
        return self.captured - self.published - sum(self.dropped.values())

    @property
    def unfinished(self) -> int:
        """Published frames neither stored nor skipped: dead-lettered, or lost."""
        return self.published - self.stored - sum(self.skipped.values())

    def examples(self) -> str:
        """Return the first missing frames for people; empty if none is known by name."""
        named = ", ".join(f"{session}/{number}" for session, number in self.missing[:EXAMPLES])
        return f"; missing, among others: {named}" if named else ""

    def repeated(self) -> list[str]:
        """Return what is doubled or out of order, a sentence each."""
        faults = {
            f"frames published more than once: {self.published_twice}": self.published_twice,
            f"frames stored more than once: {self.stored_twice}": self.stored_twice,
            "results out of order": not self.in_order,
        }
        return [f"camera {self.camera}: {text}" for text, wrong in faults.items() if wrong]


@dataclass(frozen=True)
class FrameLedger:
    """The frames of all cameras.

    Attributes:
        cameras: One ledger for each.
        dead: Dead-lettered frames by reason; their camera is not counted.
    """

    cameras: tuple[CameraLedger, ...]
    dead: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_metrics(
        cls, cameras: Iterable[str], producer: Samples, worker: Samples
    ) -> "FrameLedger":
        """Read the counters of both processes."""
        return cls(
            tuple(CameraLedger.from_metrics(camera, producer, worker) for camera in cameras),
            worker.counts("reason", "seedstream_dead_letters_total"),
        )

    @classmethod
    def from_frames(
        cls,
        published: Mapping[str, Sequence[FrameId]],
        stored: Mapping[str, Sequence[FrameId]],
        dead: Mapping[str, int] | None = None,
    ) -> "FrameLedger":
        """Compare what is in Kafka with what is in Redis, by camera.

        Args:
            published: Frames on the topic, in its order.
            stored: Frames of the results, in the order of the stream.
            dead: Dead-lettered frames by reason, without the records that are no frame.
        """
        return cls(
            tuple(
                CameraLedger.from_frames(camera, frames, stored.get(camera, ()))
                for camera, frames in published.items()
            ),
            dict(dead or {}),
        )

    @property
    def settled(self) -> bool:
        """Whether every published frame has been dealt with."""
        return sum(each.unfinished for each in self.cameras) <= sum(self.dead.values())

    def stored(self, camera: str) -> int:
        """Return how many frames of a camera have a result."""
        return sum(each.stored for each in self.cameras if each.camera == camera)

    def faults(self) -> list[str]:
        """Return what does not close, one sentence each; empty if all does."""
        faults = [
            f"camera {each.camera}: {each.captured} captured, but {each.published} published and "
            f"{sum(each.dropped.values())} dropped: {each.unpublished:+d} unaccounted for"
            for each in self.cameras
            if each.unpublished != 0
        ]
        dead = sum(self.dead.values())
        unfinished = sum(each.unfinished for each in self.cameras)
        if unfinished != dead or any(each.unfinished < 0 for each in self.cameras):
            faults += [
                f"camera {each.camera}: {each.published} published, but {each.stored} stored and "
                f"{sum(each.skipped.values())} skipped: {each.unfinished:+d} unaccounted for"
                + (f" ({dead} dead letters in all)" if dead else "")
                + each.examples()
                for each in self.cameras
                if each.unfinished != 0
            ] or [f"{dead} dead letters, but every published frame was stored or skipped"]
        return faults + [text for each in self.cameras for text in each.repeated()]

    def lines(self) -> list[str]:
        """Return the ledger for people, a line for each side of each camera."""
        lines = []
        for each in self.cameras:
            if each.captured is not None:
                lines.append(
                    f"{each.camera}: captured {each.captured} = published {each.published}"
                    f" + dropped {_sum(each.dropped)}"
                )
            lines.append(
                f"{each.camera}: published {each.published} = stored {each.stored}"
                f" + skipped {_sum(each.skipped)}"
                + (f" + dead-lettered {each.unfinished}" if self.dead else "")
            )
        if self.dead:
            lines.append(f"dead letters: {_sum(self.dead)}")
        return lines


def topic_ends(consumer: KafkaConsumer, topic: str) -> dict[TopicPartition, int]:
    """Return the end position of each partition of a topic; empty if there is no such topic."""
    numbers = consumer.partitions_for_topic(topic) or ()
    ends: dict[TopicPartition, int] = consumer.end_offsets(
        [TopicPartition(topic, number) for number in sorted(numbers)]
    )
    return ends


def read_topic(
    consumer: KafkaConsumer,
    ends: Mapping[TopicPartition, int],
    begin: Mapping[int, int] | None = None,
) -> Iterator[Any]:
    """Yield the records of a topic up to ``ends``; nothing joins a group, nothing is committed.

    Args:
        consumer: Its assignment is replaced.
        ends: Where each partition ends, see ``topic_ends``.
        begin: Where to begin, by partition; 0 unless set.

    Raises:
        UnavailableError: Kafka gave nothing for ``READ_SECONDS`` before the end.
    """
    consumer.assign(list(ends))
    for partition in ends:
        consumer.seek(partition, (begin or {}).get(partition.partition, 0))
    last_record = time.monotonic()
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        if time.monotonic() - last_record > READ_SECONDS:
            raise UnavailableError(f"Kafka gave no record for {READ_SECONDS:.0f} s before the end")
        polled = consumer.poll(timeout_ms=1000)
        for partition, records in polled.items():
            yield from (record for record in records if record.offset < ends[partition])
        if polled:
            last_record = time.monotonic()


def published_frames(records: Iterable[Any]) -> tuple[dict[str, list[FrameId]], int]:
    """Return the frames among records, by camera and in their order, and how many are none."""
    frames: dict[str, list[FrameId]] = {}
    invalid = 0
    for record in records:
        if getattr(record, "fault", None) is not None:  # of servers.record_fetcher
            invalid += 1
            continue
        try:
            frame = decode_frame(
                record.key, record.value, record.headers, max_bytes=MAX_RECORD_BYTES
            )
        except InvalidMessageError:
            invalid += 1
        else:
            frames.setdefault(frame.camera, []).append(frame_id(frame))
    return frames, invalid


def read_results(client: Client, camera: str, keys: ResultKeys = _KEYS) -> list[Result]:
    """Return the results of a camera in the order of the stream.

    Args:
        client: Redis.
        camera: Camera id.
        keys: Of the lane; default: that of workers whose prefix nobody set.
    """
    entries: Any = client.xrange(keys.results(camera))
    return [decode_result(fields[DOCUMENT_FIELD.encode()]) for _, fields in entries]


def _sum(reasons: dict[str, int]) -> str:
    detail = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
    return f"{sum(reasons.values())}" + (f" ({detail})" if detail else "")
