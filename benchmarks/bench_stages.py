"""How close the worker's line of stages comes to its network: an equal wait instead of a device.

Real Kafka, real Redis, real worker processes (`benchmarks.timed_worker`), JPEG frames of a real
video; the network alone is a wait. Parts, all in one run:

- *saturated*: every frame of a full topic, ``complete`` mode; fps, the share of the wall time in
  which the network waits, the worker's processor time a frame, and where its stages' seconds go.
- *two workers*: fps of two against one, each with a slow network, so that the host is no limit.
- *latency*: live mode at 70 % of the network's capacity; from capture to the ready result.
- *memory*: resident memory over the saturated part.

Run: ``python -m benchmarks.bench_stages``; ``--tree PATH`` runs the workers of another checkout,
for a comparison side by side. It prints what it measured and writes a JSON file.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import redis
import simplejpeg
from kafka import KafkaProducer
from numpy.typing import NDArray

from benchmarks.environment import RESULTS, ROOT, describe
from contract.frame import Frame, encode_frame, new_session
from contract.result import Result, results_key
from media.videos import Video
from stack.broker import Broker
from stack.broker_choice import start_broker
from stack.frame_ledger import read_results
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import SeedstreamProcess, environment

CLIP = ROOT / "assets" / "vtest_clip.mp4"
MODEL = ROOT / "artifacts" / "street" / "1"
CAMERAS = tuple(f"camera-{number}" for number in range(8))
PICTURES = 32
PATIENCE_SECONDS = 900.0
CAPACITY_SHARE = 0.7
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Bench:
    """The servers of a run, the frames, and where the workers' code is.

    Attributes:
        frames: Encoded pictures, sent in turn.
        size: (height, width) of them.
    """

    kafka: Broker
    store: RedisServer
    folder: Path
    client: "redis.Redis"
    tree: Path
    frames: Sequence[bytes]
    size: tuple[int, int]
    runs: int = 0
    sessions: dict[str, str] = field(default_factory=dict)

    def topic(self) -> str:
        """Make an empty pair of topics, and forget the results."""
        self.client.flushall()
        self.runs += 1
        self.sessions = {camera: new_session() for camera in CAMERAS}
        name = f"stages-{self.runs}"
        self.kafka.create_topic(name, len(CAMERAS))
        self.kafka.create_topic(f"{name}.dead", 1)
        return name

    @contextlib.contextmanager
    def worker(
        self, topic: str, seconds: float, batch: int, mode: str
    ) -> Iterator[SeedstreamProcess]:
        """Run a worker whose network takes ``seconds`` a frame."""
        settings = {
            "bootstrap_servers": self.kafka.bootstrap_servers, "redis_url": self.store.url,
            "topic": topic, "dead_topic": f"{topic}.dead", "group": topic, "model": MODEL,
            "http_port": 0, "log_format": "text", "mode": mode, "max_batch_size": batch,
            "max_results_per_camera": 1_000_000,
        }  # fmt: skip
        made = environment("WORKER_", settings) | {
            "TIMED_SECONDS": str(seconds), "TIMED_PICTURE": str(self.folder / "picture.png"),
            "PYTHONPATH": str(self.tree),
        }  # fmt: skip
        log = self.folder / f"{topic}-{time.monotonic_ns()}.log"
        script = ROOT / "benchmarks" / "timed_worker.py"
        process = SeedstreamProcess.spawn(
            "timed worker", [sys.executable, str(script)], log_path=log, cwd=self.tree, env=made
        )
        try:
            yield process
        finally:
            process.stop(30)

    def send(self, producer: KafkaProducer, topic: str, number: int) -> None:
        """Publish one frame, captured now."""
        camera = CAMERAS[number % len(CAMERAS)]
        frame = Frame(
            camera=camera,
            session=self.sessions[camera],
            sequence=number // len(CAMERAS),
            captured_at=datetime.now(UTC),
            width=self.size[1],
            height=self.size[0],
            data=self.frames[number % len(self.frames)],
        )
        key, value, headers = encode_frame(frame)
        partition = number % len(CAMERAS)
        producer.send(topic, key=key, value=value, headers=headers, partition=partition)

    def fill(self, topic: str, count: int) -> None:
        """Publish frames as fast as possible."""
        with contextlib.closing(self._producer()) as producer:
            for number in range(count):
                self.send(producer, topic, number)
                if number % 200 == 199:
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
        return sum(int(self.client.xlen(results_key(camera))) for camera in CAMERAS)

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


def _fps(results: Sequence[Result]) -> tuple[float, float]:
    """Frames per second between the first tenth and the end, and that time."""
    moments = sorted(result.processed_at.timestamp() for result in results)
    moments = moments[len(moments) // 10 :]
    span = moments[-1] - moments[0]
    return (len(moments) - 1) / span, span


def saturated(
    bench: Bench, frames: int, seconds: float, batch: int, workers: int = 1
) -> dict[str, object]:
    """Process a full topic."""
    topic = bench.topic()
    bench.fill(topic, frames)
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(bench.worker(topic, seconds, batch, "complete"))
            for _ in range(workers)
        ]
        watch = Watch(started)
        watch.wait_for(bench, min(frames, 50))
        before, began = watch.cpu_seconds(), time.monotonic()
        done = bench.stored()
        watch.wait_for(bench, frames)
        used, wall = watch.cpu_seconds() - before, time.monotonic() - began
        counted = max(1, frames - done)
        shares = _stage_shares(started[0])
    fps, _ = _fps(bench.results())
    third = len(watch.rss_mib) // 3
    return {
        "workers": workers,
        "frames": frames,
        "seconds_a_frame": seconds,
        "max_batch_size": batch,
        "fps": round(fps, 1),
        "network_waits_share": round(max(0.0, 1 - fps * seconds / workers), 3),
        "worker_cpu_ms_a_frame": round(1000 * used / counted, 2),
        "worker_cores": round(used / wall, 2),
        "rss_mib_first_third": max(watch.rss_mib[:third] or [0.0]),
        "rss_mib_last_third": max(watch.rss_mib[2 * third :]),
        "stages": shares,
    }


def _stage_shares(worker: SeedstreamProcess) -> dict[str, dict[str, float]]:
    samples = worker.metrics()
    name = "seedstream_stage_time_seconds_total"
    shares: dict[str, dict[str, float]] = {}
    for stage in ("fetch", "decode", "infer", "describe", "store"):
        spent = {} if samples is None else samples.by("state", name, stage=stage)
        whole = sum(spent.values())
        if whole:
            shares[stage] = {state: round(value / whole, 3) for state, value in spent.items()}
    return shares


def latency(bench: Bench, seconds: float, batch: int, lasting: float) -> dict[str, object]:
    """Offer 70 % of what the network can do, in live mode."""
    topic = bench.topic()
    fps = CAPACITY_SHARE / seconds
    with bench.worker(topic, seconds, batch, "live") as worker:
        worker.wait_until_ready()
        began = time.time() + lasting / 10  # the first frames compile and connect
        offered = bench.pace(topic, fps, lasting)
        time.sleep(2)
        skipped = worker.metric("seedstream_frames_skipped_total")
    results = [each for each in bench.results() if each.captured_at.timestamp() > began]
    seen = np.array([each.latency_seconds for each in results])
    p50, p95 = (float(np.quantile(seen, q)) for q in (0.5, 0.95))
    return {
        "seconds_a_frame": seconds,
        "max_batch_size": batch,
        "offered_fps": round(fps, 1),
        "frames": offered,
        "skipped": int(skipped),
        "p50_ms": round(1000 * p50, 1),
        "p95_ms": round(1000 * p95, 1),
        "bar_ms": round(1000 * (2 * seconds * batch + 0.1), 1),
    }


@contextlib.contextmanager
def _servers(tree: Path, size: tuple[int, int]) -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="seedstream-stages-") as folder,
        start_broker("auto", print) as kafka,
        start_redis() as store,
        contextlib.closing(redis.Redis.from_url(store.url)) as client,
    ):
        frames = [
            cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
            for image, _ in zip(_pictures(), range(PICTURES), strict=False)
        ]
        cv2.imwrite(str(Path(folder) / "picture.png"), frames[0][:, :, ::-1])
        encoded = [simplejpeg.encode_jpeg(np.ascontiguousarray(each), 85) for each in frames]
        yield Bench(kafka, store, Path(folder), client, tree, encoded, size)


def _pictures() -> Iterator[NDArray[np.uint8]]:
    with Video(CLIP) as video:
        for frame in video:
            yield frame.image


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000, help="frames of the saturated part")
    parser.add_argument("--seconds", type=float, default=0.002, help="the network's time a frame")
    parser.add_argument("--slow", type=float, default=0.05, help="the same, for two workers")
    parser.add_argument("--batch", type=int, default=8, help="largest batch, frames")
    parser.add_argument("--size", default="384x512", help="height x width of the frames")
    parser.add_argument("--parts", default="saturated,two,latency", help="which parts")
    parser.add_argument("--tree", type=Path, default=ROOT, help="checkout that the workers run")
    options = parser.parse_args()
    height, width = (int(side) for side in options.size.split("x"))
    about, measured = describe(), dict[str, object]()
    about["tree"] = "this" if options.tree == ROOT else "another"
    with _servers(options.tree.resolve(), (height, width)) as bench:
        about["broker"] = bench.kafka.kind
        about["frame"] = {"size": options.size, "bytes": len(bench.frames[0])}
        parts = options.parts.split(",")
        if "saturated" in parts:
            measured["saturated"] = saturated(bench, options.frames, options.seconds, options.batch)
            print(json.dumps(measured["saturated"]), flush=True)
        if "two" in parts:
            count = int(20 / options.slow)
            one, two = (saturated(bench, n * count, options.slow, 1, n) for n in (1, 2))
            measured |= {"one worker": one, "two workers": two}
            measured["two against one"] = round(float(str(two["fps"])) / float(str(one["fps"])), 2)
            print(json.dumps([one, two, measured["two against one"]]), flush=True)
        if "latency" in parts:
            measured["latency"] = latency(bench, options.slow, 1, 30.0)
            print(json.dumps(measured["latency"]), flush=True)
    RESULTS.mkdir(exist_ok=True)
    stamp = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"stages-{stamp}.json").write_text(
        json.dumps({**about, **measured}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
