"""Real servers, frames of a real video and worker processes: what worker benchmarks share."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import redis
import simplejpeg
from kafka import KafkaProducer
from numpy.typing import NDArray

from benchmarks.environment import ROOT
from contract.frame import Frame, encode_frame, new_session
from contract.result import Result
from contract.result_keys import ResultKeys
from media.videos import Video
from stack.broker import Broker
from stack.broker_choice import start_broker
from stack.frame_ledger import read_results
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import SeedstreamProcess, environment

CLIP = ROOT / "assets" / "vtest_clip.mp4"
CAMERAS = tuple(f"camera-{number}" for number in range(8))
PATIENCE_SECONDS = 900.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Bench:
    """The servers of a run, the frames, and where the workers' code is.

    Attributes:
        frames: Encoded pictures, sent in turn.
        size: (height, width) of them.
        fps: Where given, each camera of a full topic shows the frames one after the other and
            captures so many a second, as real ones do; else all frames are captured when they are
            sent, and a camera shows each eighth of them.
    """

    kafka: Broker
    store: RedisServer
    folder: Path
    client: "redis.Redis"
    tree: Path
    frames: Sequence[bytes]
    size: tuple[int, int]
    fps: float | None = None
    runs: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    sessions: dict[str, str] = field(default_factory=dict)

    def topic(self) -> str:
        """Make an empty pair of topics, and forget the results."""
        self.client.flushall()
        self.runs += 1
        self.began = datetime.now(UTC) - timedelta(hours=1)
        self.sessions = {camera: new_session() for camera in CAMERAS}
        name = f"stages-{self.runs}"
        self.kafka.create_topic(name, len(CAMERAS))
        self.kafka.create_topic(f"{name}.dead", 1)
        return name

    @contextlib.contextmanager
    def run(
        self,
        arguments: Sequence[str],
        topic: str,
        settings: Mapping[str, object],
        extra: Mapping[str, str] | None = None,
        *,
        python: Path = Path(sys.executable),
    ) -> Iterator[SeedstreamProcess]:
        """Run a worker on a topic of this bench.

        Args:
            arguments: Of Python, such as ``-m seedstream work``.
            topic: Topic of its frames.
            settings: Settings of the worker besides those that name the servers.
            extra: Further environment variables.
            python: Interpreter; that of another environment runs other packages.
        """
        common = {
            "bootstrap_servers": self.kafka.bootstrap_servers, "redis_url": self.store.url,
            "topic": topic, "dead_topic": f"{topic}.dead", "group": topic, "http_port": 0,
            "log_format": "text", "max_results_per_camera": 1_000_000,
        }  # fmt: skip
        made = environment("WORKER_", common | dict(settings))
        made |= {"PYTHONPATH": str(self.tree)} | dict(extra or {})
        log = self.folder / f"{topic}-{time.monotonic_ns()}.log"
        process = SeedstreamProcess.spawn(
            "worker", [str(python), *arguments], log_path=log, cwd=self.tree, env=made
        )
        try:
            yield process
        finally:
            process.stop(30)

    def picture(self, camera: str, sequence: int) -> int:
        """Return which of the frames a camera shows."""
        number = CAMERAS.index(camera)
        if self.fps is None:
            return (sequence * len(CAMERAS) + number) % len(self.frames)
        return (sequence + number * len(self.frames) // len(CAMERAS)) % len(self.frames)

    def send(self, producer: KafkaProducer, topic: str, number: int) -> None:
        """Publish one frame, captured now, or see ``fps``."""
        camera = CAMERAS[number % len(CAMERAS)]
        sequence = number // len(CAMERAS)
        captured_at = datetime.now(UTC)
        if self.fps is not None:
            captured_at = self.began + timedelta(seconds=sequence / self.fps)
        frame = Frame(
            camera=camera,
            session=self.sessions[camera],
            sequence=sequence,
            captured_at=captured_at,
            width=self.size[1],
            height=self.size[0],
            data=self.frames[self.picture(camera, sequence)],
        )
        key, value, headers = encode_frame(frame)
        partition = number % len(CAMERAS)
        producer.send(topic, key=key, value=value, headers=headers, partition=partition)

    def fill(self, topic: str, count: int, cameras: int = len(CAMERAS)) -> None:
        """Publish frames of the first cameras, in turn, as fast as possible."""
        with contextlib.closing(self._producer()) as producer:
            for index in range(count):
                number = index // cameras * len(CAMERAS) + index % cameras
                self.send(producer, topic, number)
                if index % 200 == 199:
                    producer.flush(60)
            producer.flush(60)

    def pace(self, topic: str, fps: float, seconds: float) -> int:
        """Publish frames at a steady rate; return how many."""
        count, began = int(fps * seconds), time.monotonic()
        with contextlib.closing(self._producer()) as producer:
            for number in range(count):
                ahead = number / fps - (time.monotonic() - began)
                if ahead > 0:
                    time.sleep(ahead)
                self.send(producer, topic, number)
            producer.flush(60)
        return count

    def stored(self) -> int:
        """Return how many results there are."""
        return sum(int(self.client.xlen(ResultKeys().results(camera))) for camera in CAMERAS)

    def results(self) -> list[Result]:
        """Return every stored result."""
        return [result for camera in CAMERAS for result in read_results(self.client, camera)]

    def _producer(self) -> KafkaProducer:
        servers = self.kafka.bootstrap_servers
        return KafkaProducer(bootstrap_servers=servers, linger_ms=2, batch_size=262_144)


@dataclass
class Watch:
    """Looks at processes while they work.

    Attributes:
        rss_mib: Resident memory of the first worker, one value a second.
    """

    workers: Sequence[SeedstreamProcess]
    rss_mib: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Return the processor seconds that the workers have used."""
        return sum(_cpu(worker.pid) for worker in self.workers)

    def wait_until_all_work(self) -> float:
        """Wait until each worker has stored a result; return when, in seconds since 1970."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for worker in self.workers:
            while not worker.metric("seedstream_frames_processed_total"):
                if not worker.alive() or time.monotonic() > deadline:
                    raise SystemExit(f"{worker.name} stores nothing:\n{worker.tail()}")
                time.sleep(0.1)
        return time.time()

    def wait_for(self, bench: Bench, count: int) -> None:
        """Wait until so many results are stored."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while bench.stored() < count:
            for worker in self.workers:
                if not worker.alive():
                    raise SystemExit(f"{worker.name} ended:\n{worker.tail()}")
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {PATIENCE_SECONDS:.0f} s: {count} results")
            self.rss_mib.append(_rss_mib(self.workers[0].pid))
            time.sleep(0.25)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(each for each in status.splitlines() if each.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def fps(results: Sequence[Result], since: float = 0.0) -> float:
    """Return frames per second while all work: from the first tenth until a camera has no more.

    Each camera has a partition of its own: where two workers share them, one that has done its part
    is not waited for with the other's.

    Args:
        results: What was stored.
        since: Only what was ready after that, in seconds since 1970.
    """
    ends: dict[str, float] = {}
    for result in results:
        moment = result.processed_at.timestamp()
        ends[result.camera] = max(ends.get(result.camera, moment), moment)
    moments = sorted(result.processed_at.timestamp() for result in results)
    until = min(ends.values())
    moments = [each for each in moments[len(moments) // 10 :] if since <= each <= until]
    return (len(moments) - 1) / (moments[-1] - moments[0])


@contextlib.contextmanager
def servers(pictures: Sequence[NDArray[np.uint8]], tree: Path = ROOT) -> Iterator[Bench]:
    """Start a broker and Redis, and encode uint8 (H, W, 3) RGB pictures of one size as frames.

    Args:
        pictures: Sent in turn; the first one also lies in the folder as ``picture.png``.
        tree: Checkout whose code the workers run.
    """
    with (
        tempfile.TemporaryDirectory(prefix="seedstream-bench-") as folder,
        start_broker("auto", print) as kafka,
        start_redis() as store,
        contextlib.closing(redis.Redis.from_url(store.url)) as client,
    ):
        cv2.imwrite(str(Path(folder) / "picture.png"), pictures[0][:, :, ::-1])
        encoded = [simplejpeg.encode_jpeg(np.ascontiguousarray(each), 85) for each in pictures]
        size = pictures[0].shape[0], pictures[0].shape[1]
        yield Bench(kafka, store, Path(folder), client, tree, encoded, size)


def pictures(
    count: int, size: tuple[int, int] | None = None, clip: Path = CLIP, first: int = 0
) -> list[NDArray[np.uint8]]:
    """Return frames of a clip as uint8 (H, W, 3) RGB, scaled to ``size`` (H, W) unless None."""
    with Video(clip) as video:
        images = [frame.image for frame in islice(video, first, first + count)]
    if size is None:
        return images
    return [cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA) for image in images]
