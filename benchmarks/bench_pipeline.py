"""Frames per second and latency of the demo's set-up: Kafka, Redis, one producer, one worker.

Two measurements in one run, on this machine:

- *capacity*: a clip decoded as fast as possible by two cameras, every frame processed
  (``complete``); frames per second between the first and the last stored result.
- *live*: the demo's two cameras at ``--fps`` each, late frames skipped (``live``); latency from
  capture to the ready result, and how many frames were skipped.

Run: ``python -m benchmarks.bench_pipeline``; it prints a table, writes a JSON file and adds a
line to ``benchmarks/results/pipeline.md``.
"""

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis
import yaml

from benchmarks.environment import RESULTS, ROOT, describe
from contract.result import Result
from contract.result_keys import ResultKeys
from stack.broker import Broker
from stack.broker_choice import start_broker
from stack.frame_ledger import read_results
from stack.redis_server import RedisServer, start_redis
from stack.seedstream_process import SeedstreamProcess, start_seedstream

CLIP = ROOT / "assets" / "vtest_clip.mp4"
MODEL = ROOT / "artifacts" / "street" / "1"
CAMERAS = ("street", "second")
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Bench:
    """The servers of a run and where its files go."""

    kafka: Broker
    store: RedisServer
    folder: Path
    client: "redis.Redis"

    def start(self, command: str, name: str, **settings: object) -> SeedstreamProcess:
        """Start ``seedstream COMMAND`` with these settings in its environment."""
        common = {"bootstrap_servers": self.kafka.bootstrap_servers, "http_port": 0}
        return start_seedstream(
            command,
            name=name,
            log_path=self.folder / f"{name}.log",
            settings=common | {"log_format": "text"} | settings,
        )

    def results(self) -> list[Result]:
        """Return every stored result of the cameras."""
        return [result for camera in CAMERAS for result in read_results(self.client, camera)]

    def stored(self) -> int:
        """Return how many results there are."""
        return sum(int(self.client.xlen(ResultKeys().results(camera))) for camera in CAMERAS)


def capacity(bench: Bench, frames: int, batch: int) -> dict[str, object]:
    """Measure frames per second with every frame processed."""
    bench.client.flushall()
    bench.kafka.create_topic("capacity", 2)
    bench.kafka.create_topic("capacity.dead", 1)
    config = bench.folder / "capacity.yaml"
    cameras = [{"id": c, "url": str(CLIP), "pace": "fast", "loop": True} for c in CAMERAS]
    config.write_text(yaml.safe_dump({"cameras": cameras}))
    with (
        bench.start(
            "produce", "produce-capacity", config=config, topic="capacity", max_frames=frames
        ) as producer,
        bench.start(
            "work",
            "work-capacity",
            model=MODEL,
            topic="capacity",
            dead_topic="capacity.dead",
            mode="complete",
            redis_url=bench.store.url,
            max_batch_size=batch,
        ) as worker,
    ):
        _wait_for(bench, frames * len(CAMERAS), producer, worker)
    results = bench.results()
    moments = sorted(result.processed_at.timestamp() for result in results)
    # The first batch ends the warm-up: the rate counts what came after it.
    span = moments[-1] - moments[0]
    after = sum(moment > moments[0] for moment in moments)
    return {
        "frames": len(results),
        "fps": round(after / span, 2),
        "instances_per_frame": round(np.mean([len(r.instances) for r in results]), 2),
        "max_batch_size": batch,
    }


def live(bench: Bench, seconds: float, fps: float) -> dict[str, object]:
    """Measure latency with the demo's cameras and settings."""
    bench.client.flushall()
    bench.kafka.create_topic("live", 2)
    bench.kafka.create_topic("live.dead", 1)
    config = bench.folder / "live.yaml"
    cameras = [
        {"id": CAMERAS[0], "url": str(CLIP), "loop": True, "when_full": "drop_oldest"},
        {"id": CAMERAS[1], "url": f"test:?size=640x480&fps={fps:g}&objects=6&seed=3"},
    ]
    config.write_text(yaml.safe_dump({"defaults": {"fps": fps}, "cameras": cameras}))
    with bench.start(
        "work",
        "work-live",
        model=MODEL,
        topic="live",
        dead_topic="live.dead",
        redis_url=bench.store.url,
        max_results_per_camera=100_000,
    ) as worker:
        with bench.start("produce", "produce-live", config=config, topic="live") as producer:
            _wait_for(bench, 1, producer, worker)
            # Frames captured while the worker came up are not what is measured.
            begin = time.time()
            time.sleep(seconds)
            end = time.time()
        time.sleep(3)  # the frames in flight
    results = [r for r in bench.results() if begin < r.captured_at.timestamp() < end]
    latency = np.array([result.latency_seconds for result in results])
    offered = fps * len(CAMERAS) * seconds
    return {
        "seconds": seconds,
        "offered_fps": fps * len(CAMERAS),
        "processed_fps": round(len(results) / seconds, 2),
        "skipped_share": round(max(0.0, 1 - len(results) / offered), 3),
        "latency_p50_seconds": round(float(np.quantile(latency, 0.5)), 3),
        "latency_p95_seconds": round(float(np.quantile(latency, 0.95)), 3),
        "latency_p99_seconds": round(float(np.quantile(latency, 0.99)), 3),
    }


def _wait_for(bench: Bench, count: int, *processes: SeedstreamProcess) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while bench.stored() < count:
        for process in processes:
            if not process.alive() and process.exit_code != 0:
                raise SystemExit(f"{process.name} ended:\n{process.tail()}")
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE_SECONDS:.0f} s: {count} results")
        time.sleep(0.1)


@contextlib.contextmanager
def _servers() -> Iterator[Bench]:
    with (
        tempfile.TemporaryDirectory(prefix="seedstream-bench-") as folder,
        start_broker("auto", print) as kafka,
        start_redis() as store,
        contextlib.closing(redis.Redis.from_url(store.url)) as client,
    ):
        yield Bench(kafka, store, Path(folder), client)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=120, help="frames of each camera: capacity")
    parser.add_argument("--seconds", type=float, default=45.0, help="length of the live part, s")
    parser.add_argument(
        "--fps", type=float, default=3.0, help="fps of each camera in the live part"
    )
    parser.add_argument("--batch", type=int, default=4, help="largest batch, frames")
    options = parser.parse_args()
    about = describe()
    with _servers() as bench:
        about["broker"] = bench.kafka.kind
        measured = {
            "capacity": capacity(bench, options.frames, options.batch),
            "live": live(bench, options.seconds, options.fps),
        }
    card = json.loads((MODEL / "model.json").read_text())
    about["model"] = {k: card[k] for k in ("name", "version", "height", "width", "precision")}
    stamp = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"pipeline-{stamp}.json").write_text(
        json.dumps({**about, **measured}, indent=2) + "\n"
    )
    _add_line(about, measured)


def _add_line(about: dict[str, object], measured: dict[str, dict[str, object]]) -> None:
    table = RESULTS / "pipeline.md"
    if not table.exists():
        table.write_text(
            "# `python -m benchmarks.bench_pipeline`\n\n"
            "| date | commit | processor, cores | capacity fps | live offered fps | processed fps |"
            " p50 s | p95 s |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n"
        )
    full, now = measured["capacity"], measured["live"]
    with table.open("a") as file:
        file.write(
            f"| {str(about['measured_at'])[:10]} | {about['commit']} | {about['processor']}, "
            f"{about['cores']} | {full['fps']} | {now['offered_fps']} | {now['processed_fps']} | "
            f"{now['latency_p50_seconds']} | {now['latency_p95_seconds']} |\n"
        )


if __name__ == "__main__":
    main()
