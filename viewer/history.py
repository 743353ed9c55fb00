"""What happened at a camera: its frames from Kafka joined with its results from Redis.

Both are in Kafka's order, so they are merged as they come: one page of results and one fetch of
frames are in memory, however long the history is.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from contract.errors import InvalidMessageError
from contract.frame import Frame, decode_frame
from contract.result import DOCUMENT_FIELD, Result, decode_result
from contract.result_keys import ResultKeys
from contract.topics import MAX_RECORD_BYTES
from servers.kafka import KafkaConnection
from servers.redis import Client, Redis
from viewer.topic_reader import open_reader

PAGE_RESULTS = 50
_POLL_MS = 200

FrameId = tuple[str, int]


@dataclass
class JoinCounts:
    """What did not find its partner, counted while joining.

    Attributes:
        joined: Frames with their result.
        frames_without_result: Frames in Kafka that have no result (skipped by the worker).
        results_without_frame: Results whose frame has left Kafka.
    """

    joined: int = 0
    frames_without_result: int = 0
    results_without_frame: int = 0


@dataclass(frozen=True)
class ResultReader:
    """Reads results of cameras from Redis.

    Attributes:
        server: The connection; each read is tried within its bound.
    """

    server: Redis

    def cameras(self) -> list[str]:
        """Return the cameras with results, sorted.

        Raises:
            UnavailableError: Redis does not answer.
        """
        members: Any = self._read(lambda client: client.zrange(self._keys.cameras, 0, -1))
        return sorted(member.decode(errors="replace") for member in members)

    def newest(self, camera: str) -> Result | None:
        """Return the newest result of a camera, None where it has none.

        Raises:
            InvalidMessageError: What is there is no result.
            UnavailableError: Redis does not answer.
        """
        key = self._keys.results(camera)
        entries: Any = self._read(lambda client: client.xrevrange(key, count=1))
        return _read_entry(key, *entries[0]) if entries else None

    def results(self, camera: str, since: datetime, until: Result) -> Iterator[Result]:
        """Yield the results of a camera in the order of the stream.

        Args:
            camera: Camera id.
            since: Results of frames captured before are left out.
            until: The last one to yield.

        Raises:
            InvalidMessageError: An entry is no result.
            UnavailableError: Redis does not answer.
        """
        key, start, last = self._keys.results(camera), "-", frame_id(until)
        while True:
            page: Any = self._read(partial(_page, key=key, start=start))
            for entry_id, fields in page:
                result = _read_entry(key, entry_id, fields)
                if result.captured_at >= since:
                    yield result
                if frame_id(result) == last:
                    return
                start = f"({entry_id.decode()}"
            if len(page) < PAGE_RESULTS:
                return

    @property
    def _keys(self) -> ResultKeys:
        return self.server.connection.result_keys

    def _read(self, use: Callable[[Client], object]) -> object:
        return self.server.attempt("read results from", use)


def _read_entry(key: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Result:
    where = f"{key} in Redis, entry {entry_id.decode()}"
    document = fields.get(DOCUMENT_FIELD.encode())
    if document is None:
        raise InvalidMessageError(
            "malformed_result", f"{where}: has no field {DOCUMENT_FIELD!r}, so no worker wrote it"
        )
    try:
        return decode_result(document)
    except InvalidMessageError as error:
        raise InvalidMessageError(error.reason, f"{where}: {error}") from error


def _page(client: Client, key: str, start: str) -> object:
    return client.xrange(key, start, "+", count=PAGE_RESULTS)


def frame_id(frame: Frame | Result) -> FrameId:
    """Return what tells a frame from all others of its camera."""
    return frame.session, frame.sequence


def read_frames(
    connection: KafkaConnection,
    topic: str,
    camera: str,
    since: datetime,
    idle_timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> Iterator[Frame]:
    """Yield the frames of a camera from Kafka, in order, until none comes any more.

    Records that are no frames of this camera are passed over; nothing is committed. Other cameras
    that go on sending do not keep it waiting: their records count only if they are older than the
    call, that is, if frames of this camera may still lie behind them. (End positions would say so
    too, but the embedded broker's are wrong.)

    Args:
        connection: Where Kafka is.
        topic: Topic of the frames.
        camera: Camera id.
        since: Begins at the first record that Kafka took at this time or later.
        idle_timeout_seconds: Ends when no frame of the camera and no older record came for so
            long, in seconds.
        clock: Monotonic clock, in seconds.
        wall_clock: Seconds since the epoch, as Kafka's times of records.

    Raises:
        ConfigurationError: Kafka does not let us in, or not see the topic.
        UnavailableError: Kafka does not answer or does not have the topic.
    """
    with open_reader(connection, topic, "the topic of the frames") as consumer:
        found = sorted(consumer.partitions_for_topic(topic))
        _seek(consumer, [TopicPartition(topic, number) for number in found], since)
        called_ms, last_record = wall_clock() * 1000, clock()
        while clock() - last_record < idle_timeout_seconds:
            batches = consumer.poll(timeout_ms=_POLL_MS, max_records=64)
            for record in (record for records in batches.values() for record in records):
                own = record.key == camera.encode()
                if own or record.timestamp <= called_ms:
                    last_record = clock()
                if own and record.fault is None:
                    with contextlib.suppress(InvalidMessageError):  # the worker dead-letters it
                        yield decode_frame(
                            record.key, record.value, record.headers, max_bytes=MAX_RECORD_BYTES
                        )


def _seek(consumer: KafkaConsumer, partitions: list[TopicPartition], since: datetime) -> None:
    # Kafka's own time of a record is never before its capture, so nothing is missed.
    moment = int(since.timestamp() * 1000)
    positions = consumer.offsets_for_times(dict.fromkeys(partitions, moment))
    consumer.assign([each for each in partitions if positions.get(each) is not None])
    for partition, position in positions.items():
        if position is not None:
            consumer.seek(partition, position.offset)


def join(
    frames: Iterable[Frame],
    results: Iterable[Result],
    ids: Iterable[FrameId],
    counts: JoinCounts,
) -> Iterator[tuple[Frame, Result]]:
    """Merge frames and results of one camera by session and sequence.

    Args:
        frames: Frames in Kafka's order; a frame that Kafka has twice is taken once.
        results: Results in the order of their stream, which is the same.
        ids: The frames of ``results``: no clock tells of two sessions which one came first.
        counts: Filled in.

    Yields:
        Each frame that has a result, with it, until the results are used up.
    """
    left, upcoming = dict.fromkeys(ids), iter(results)
    newest: dict[str, int] = {}
    for frame in frames if left else ():
        if frame.sequence <= newest.get(frame.session, -1):
            continue
        newest[frame.session] = frame.sequence
        if frame_id(frame) not in left:
            counts.frames_without_result += 1
            continue
        for result in upcoming:
            left.pop(frame_id(result), None)
            if frame_id(result) == frame_id(frame):
                counts.joined += 1
                yield frame, result
                break
            counts.results_without_frame += 1
        if not left:
            return
    counts.results_without_frame += len(left)


def window_start(newest: Result, last_seconds: float) -> datetime:
    """Return when a window of ``last_seconds`` (0: all) that ends with ``newest`` begins."""
    if last_seconds == 0:
        return datetime.fromtimestamp(0, newest.captured_at.tzinfo)
    return newest.captured_at - timedelta(seconds=last_seconds)
