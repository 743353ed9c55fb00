"""The worker's line of stages between memory and memory: no Kafka, no Redis, all else real."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from prometheus_client import CollectorRegistry

from contract.errors import InvalidMessageError
from contract.frame import Frame, encode_frame, new_session
from segmentation.segmenter import Segmenter
from workers.decoders import DECODE_THREADS
from workers.endings import Endings
from workers.freshness import Freshness
from workers.metrics import WorkerMetrics
from workers.offset_tracker import OffsetTracker
from workers.records import Entry, Job, Outcome, Position, Record
from workers.stages.line import Limits, Line

CAMERAS = 8
_WAITING = 32
_PATIENCE_SECONDS = 600.0


class MemorySink:
    """Counts results, and how long after its capture each came."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.instances = 0
        self.arrived = threading.Condition()

    def store(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Take results."""
        with self.arrived:
            self.latencies += [each.result.latency_seconds for each in entries]
            self.instances += sum(len(each.result.instances) for each in entries)
            self.arrived.notify_all()
        return [Outcome.STORED] * len(entries)

    def give_up(self) -> None:
        """Nothing waits here."""


class NoLetters:
    """Every frame of a benchmark is good."""

    full = False

    def put(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        """Refuse to go on."""
        raise error

    def check(self) -> None:
        """Nothing can have ended."""


@dataclass(frozen=True)
class LineRun:
    """What a line did.

    Attributes:
        fps: Frames per second from the first put to the last stored.
        p50_ms: Median latency from capture (the moment of putting) to stored, in milliseconds.
        p95_ms: The same, 95th percentile.
        instances: Instances found.
    """

    fps: float
    p50_ms: float
    p95_ms: float
    instances: int


def run_line(
    segmenter: Segmenter,
    pictures: Sequence[bytes],
    size: tuple[int, int],
    frames: int,
    *,
    batch_size: int,
    per_second: float | None = None,
    linger_seconds: float = 0.0,
    decode_threads: int = DECODE_THREADS,
) -> LineRun:
    """Put JPEG frames through decode, infer, describe and store.

    Args:
        segmenter: Finds the instances.
        pictures: JPEG images, sent in turn.
        size: (height, width) of them.
        frames: How many frames.
        batch_size: Most frames of a run of the network.
        per_second: Pace of the frames; None puts one whenever there is room.
        linger_seconds: How long the first frame of a batch waits for others.
        decode_threads: Frames that are decoded side by side.
    """
    positions, sink = OffsetTracker(), MemorySink()
    metrics, freshness = WorkerMetrics(CollectorRegistry()), Freshness()
    endings = Endings(positions, NoLetters(), metrics)
    limits = Limits(
        max_waiting_frames=_WAITING,
        max_waiting_bytes=2**30,
        max_batch_size=batch_size,
        max_frame_pixels=size[0] * size[1],
        linger_seconds=linger_seconds,
        decode_threads=decode_threads,
    )
    line = Line(segmenter, sink, endings, metrics, limits, freshness)
    positions.assign([0])
    session = new_session()
    line.start()
    began = time.monotonic()
    try:
        for number in range(frames):
            _wait_for_room(line, None if per_second is None else began + number / per_second)
            line.put(_job(positions, session, number, pictures, size))
        with sink.arrived:
            done = sink.arrived.wait_for(lambda: len(sink.latencies) == frames, _PATIENCE_SECONDS)
        took = time.monotonic() - began
        line.check()
        if not done:
            raise TimeoutError(f"{len(sink.latencies)} of {frames} frames after {took:.0f} s")
    finally:
        line.stop(10)
    p50, p95 = np.percentile(sink.latencies, [50, 95]) * 1000
    return LineRun(frames / took, float(p50), float(p95), sink.instances)


def _wait_for_room(line: Line, due: float | None) -> None:
    give_up_at = time.monotonic() + _PATIENCE_SECONDS
    while line.room < 1 or (due is not None and time.monotonic() < due):
        line.check()
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"no room within {_PATIENCE_SECONDS:.0f} s")
        time.sleep(0.0005)


def _job(
    positions: OffsetTracker,
    session: str,
    number: int,
    pictures: Sequence[bytes],
    size: tuple[int, int],
) -> Job:
    now = time.time()
    frame = Frame(
        camera=f"camera-{number % CAMERAS}",
        session=session,
        sequence=number,
        captured_at=datetime.fromtimestamp(now, UTC),
        width=size[1],
        height=size[0],
        data=pictures[number % len(pictures)],
        content_type="image/jpeg",
    )
    key, value, headers = encode_frame(frame)
    record = Record(0, number, key, value, headers, now)
    position = positions.begin(0, number, now)
    assert position is not None  # the partition is ours
    return Job(record, position, frame, now)
