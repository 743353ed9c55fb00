"""Fakes for Kafka, Redis, the network and clocks; makers of frames and records."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar, cast

import numpy as np
import simplejpeg

from contract.errors import DeviceError, InvalidMessageError, UnavailableError
from contract.frame import Frame, encode_frame, new_session
from contract.result import ModelReference, Result, stream_id
from contract.trace import FrameTrace
from segmentation.decode import Image
from segmentation.engines.base import Predictions
from segmentation.instances import ArrayMask, Instances
from segmentation.letterbox import Fit
from segmentation.segmenter import Maps, Observe, Segmenter
from tests.waits import PATIENCE
from workers.inference import Inference
from workers.records import Change, Entry, Event, Job, Outcome, Position, Record
from workers.settings import WorkerSettings

HEIGHT, WIDTH = 48, 64
SESSION = new_session()


class FakeClock:
    """A clock that moves only when told, or by ``step`` seconds whenever it is read."""

    def __init__(self, now: float = 1_000.0, step: float = 0.0) -> None:
        self.now = now
        self.step = step

    def __call__(self) -> float:
        self.now += self.step
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


def jpeg(brightness: int = 128, height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """Return a grey JPEG image."""
    encoded: bytes = simplejpeg.encode_jpeg(np.full((height, width, 3), brightness, np.uint8))
    return encoded


def make_frame(
    camera: str = "gate",
    sequence: int = 0,
    *,
    session: str = SESSION,
    captured_at: datetime | float | None = None,
    data: bytes | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
    content_type: str = "image/jpeg",
    traceparent: str | None = None,
) -> Frame:
    """Return a frame; its brightness is its sequence, modulo 256."""
    if isinstance(captured_at, float | int):
        captured_at = datetime.fromtimestamp(captured_at, UTC)
    return Frame(
        camera=camera,
        session=session,
        sequence=sequence,
        captured_at=captured_at or datetime.now(UTC),
        width=width,
        height=height,
        data=jpeg(sequence % 256, height, width) if data is None else data,
        content_type=content_type,
        traceparent=traceparent,
    )


def make_record(
    frame: Frame, number: int, *, partition: int = 0, timestamp_seconds: float | None = None
) -> Record:
    """Return the record of a frame; it was sent when it was captured, unless given."""
    key, value, headers = encode_frame(frame)
    sent = frame.captured_at.timestamp() if timestamp_seconds is None else timestamp_seconds
    return Record(partition, number, key, value, headers, sent)


def make_job(frame: Frame, position: Position) -> Job:
    """Return the job of a frame."""
    record = make_record(frame, position.number, partition=position.partition)
    captured = frame.captured_at.timestamp()
    trace = FrameTrace.following(frame.traceparent, "fetch", captured)
    return Job(record, position, frame, captured, trace)


T = TypeVar("T")


class FakeSegmenter:
    """Finds one instance in the top left quarter, whose score tells the image's brightness.

    Args:
        seconds: How long a batch takes.
        gate: Each batch waits for it.
        failure: Raised by every batch.
        tiles: Tells how many tiles a frame of (H, W) pixels has.
        before: Called before each batch.
        remembers: Whether ``batches`` and ``sources`` are kept: they grow with every frame.
        find: Finds other instances than the one.
    """

    def __init__(
        self,
        seconds: float = 0.0,
        gate: threading.Event | None = None,
        failure: DeviceError | None = None,
        tiles: Callable[[tuple[int, ...]], int] = lambda size: 1,
        before: Callable[[], None] = lambda: None,
        remembers: bool = True,
        find: Callable[[Image], Instances] | None = None,
    ) -> None:
        self._tiles = tiles
        self._remembers = remembers
        self._find = find or _instances
        self._before = before
        self._seconds = seconds
        self._gate = gate
        self._failure = failure
        self.batches: list[int] = []
        self.sources: list[str] = []
        self.entered = threading.Event()

    @property
    def reference(self) -> ModelReference:
        return ModelReference(name="fake", version="1", sha256="0" * 64)

    def tiles(self, size: tuple[int, ...]) -> int:
        return self._tiles(size)

    def fit(self, image: Image) -> Image:
        self._tiles(image.shape[:2])
        return image

    def maps(
        self, images: Sequence[Image], observe: Observe, sources: Sequence[str]
    ) -> Iterator[Maps]:
        if self._remembers:
            self.batches.append(len(images))
            self.sources += sources
        self.entered.set()
        if self._failure is not None:
            raise self._failure
        if self._gate is not None and not self._gate.wait(10):
            raise AssertionError("the test never opened the gate")
        self._before()
        if self._seconds:
            time.sleep(self._seconds)
        observe("infer", self._seconds)
        sizes = [(image.shape[0], image.shape[1]) for image in images]
        # The images themselves take the place of what a network says about them.
        yield Maps(cast(Predictions, images), [Fit.of(size, size) for size in sizes])

    def describe(self, maps: Maps) -> list[Instances]:
        return [self._find(image) for image in cast(Sequence[Image], maps.predictions)]

    def describe_each(self, maps: Maps, use: Callable[[int, Instances], T]) -> list[T]:
        return [use(i, instances) for i, instances in enumerate(self.describe(maps))]


def _instances(image: Image) -> Instances:
    """One person in the top left quarter; its score is the brightness of the first pixel."""
    height, width = image.shape[:2]
    instance_map = np.zeros((height, width), np.int32)
    instance_map[: height // 2, : width // 2] = 1
    return Instances.of(
        (height, width),
        ("person",),
        classes=[0],
        scores=[round(float(image[0, 0, 0]) / 255, 3)],
        centers=[(width / 4, height / 4)],
        areas=[(height // 2) * (width // 2)],
        masks=[ArrayMask.cut(instance_map, 1, (0, 0, width // 2, height // 2))],
    )


def build_fake(
    settings: WorkerSettings,
    seconds: float = 0.0,
    failure: DeviceError | None = None,
    before: Callable[[], None] = lambda: None,
    find: Callable[[Image], Instances] | None = None,
) -> Inference:
    """Take the place of ``workers.app.build_inference``; ``before`` is called before each batch."""
    segmenter = FakeSegmenter(seconds, failure=failure, before=before, remembers=False, find=find)
    return Inference(cast(Segmenter, segmenter), "cpu", settings.max_batch_size or 4, lambda: None)


class FakeSink:
    """Results in memory, of cameras whose clocks are right.

    Attributes:
        calls: How many results each call of ``store`` brought.
        pictures: Frames that came with a picture: camera, sequence, JPEG.
        gate: Each call waits for it.
    """

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.gate: threading.Event | None = None
        self.results: dict[str, list[Result]] = {}
        self.pictures: list[tuple[str, int, bytes]] = []
        self.away = False
        self.given_up = False

    def store(self, entries: Sequence[Entry]) -> list[Outcome]:
        if self.away:
            raise UnavailableError("Redis is away")
        self.calls.append(len(entries))
        if self.gate is not None and not self.gate.wait(10):
            raise AssertionError("the test never opened the gate")
        self.pictures += [
            (entry.result.camera, entry.result.sequence, entry.jpeg)
            for entry in entries
            if entry.jpeg
        ]
        return [self._store(entry.result) for entry in entries]

    def give_up(self) -> None:
        self.given_up = True

    def _store(self, result: Result) -> Outcome:
        stored = self.results.setdefault(result.camera, [])
        ids = [_order(stream_id(each)) for each in stored]
        new = _order(stream_id(result))
        if ids and new <= ids[-1]:
            return Outcome.DUPLICATE if new in ids else Outcome.OUT_OF_ORDER
        stored.append(result)
        return Outcome.STORED


def _order(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-"))


class FakeDeadLetters:
    """Dead letters in memory; they are acknowledged when the test says so."""

    def __init__(self) -> None:
        self.letters: list[tuple[Record, Position, InvalidMessageError]] = []
        self.full = False

    def put(self, record: Record, position: Position, error: InvalidMessageError) -> None:
        self.letters.append((record, position, error))

    def check(self) -> None:
        """Nothing ends this."""

    @property
    def reasons(self) -> list[str]:
        return [error.reason for _, _, error in self.letters]


class FakeSource:
    """A topic in memory: what is fed comes out of the next polls."""

    def __init__(self, partitions: Sequence[int] = (0,)) -> None:
        self.joined = True
        self.fed: list[Record] = []
        self.events = [Event(Change.ASSIGNED, frozenset(partitions))]
        self.commits: list[dict[int, int]] = []
        self.asked: list[int] = []
        self.refuse_commits = self.rebalancing = False
        self.on_poll: Callable[[], object] = lambda: None

    def poll(self, max_records: int) -> list[Record]:
        self.asked.append(max_records)
        self.on_poll()
        polled, self.fed = self.fed[:max_records], self.fed[max_records:]
        return polled

    def take_events(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def commit(self, positions: Mapping[int, int]) -> bool:
        if self.refuse_commits:
            return False
        self.commits.append(dict(positions))
        return True

    def end(self, partition: int) -> int | None:
        return 100


def wait_until(condition: Callable[[], object], seconds: float = 10.0, what: str = "it") -> None:
    """Wait until ``condition`` holds; fail after `PATIENCE` times ``seconds``."""
    seconds *= PATIENCE
    give_up_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > give_up_at:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)
