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
import time
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from benchmarks.environment import RESULTS, ROOT, describe
from benchmarks.worker_bench import Bench, Watch, fps, pictures, servers
from stack.seedstream_process import SeedstreamProcess

MODEL = ROOT / "artifacts" / "street" / "1"
PICTURES = 32
CAPACITY_SHARE = 0.7


def timed(
    bench: Bench, topic: str, seconds: float, batch: int, mode: str
) -> AbstractContextManager[SeedstreamProcess]:
    """Run a worker whose network takes ``seconds`` a frame."""
    return bench.run(
        [str(bench.tree / "benchmarks" / "timed_worker.py")],
        topic,
        {"model": MODEL, "mode": mode, "max_batch_size": batch},
        {"TIMED_SECONDS": str(seconds), "TIMED_PICTURE": str(bench.folder / "picture.png")},
    )


def saturated(
    bench: Bench, frames: int, seconds: float, batch: int, workers: int = 1
) -> dict[str, object]:
    """Process a full topic."""
    topic = bench.topic()
    bench.fill(topic, frames)
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(timed(bench, topic, seconds, batch, "complete"))
            for _ in range(workers)
        ]
        watch = Watch(started)
        watch.wait_for(bench, min(frames, 50))
        since = watch.wait_until_all_work() if workers > 1 else 0.0
        before, began = watch.cpu_seconds(), time.monotonic()
        done = bench.stored()
        watch.wait_for(bench, frames)
        used, wall = watch.cpu_seconds() - before, time.monotonic() - began
        counted = max(1, frames - done)
        shares = _stage_shares(started[0])
    rate = fps(bench.results(), since)
    third = len(watch.rss_mib) // 3
    return {
        "workers": workers,
        "frames": frames,
        "seconds_a_frame": seconds,
        "max_batch_size": batch,
        "fps": round(rate, 1),
        "network_waits_share": round(max(0.0, 1 - rate * seconds / workers), 3),
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
    offer = CAPACITY_SHARE / seconds
    with timed(bench, topic, seconds, batch, "live") as worker:
        worker.wait_until_ready()
        began = time.time() + lasting / 10  # the first frames compile and connect
        offered = bench.pace(topic, offer, lasting)
        time.sleep(2)
        skipped = worker.metric("seedstream_frames_skipped_total")
    results = [each for each in bench.results() if each.captured_at.timestamp() > began]
    seen = np.array([each.latency_seconds for each in results])
    p50, p95 = (float(np.quantile(seen, q)) for q in (0.5, 0.95))
    bar_ms = 1000 * (2 * seconds * batch + 0.1)
    return {
        "seconds_a_frame": seconds,
        "max_batch_size": batch,
        "offered_fps": round(offer, 1),
        "frames": offered,
        "skipped": int(skipped),
        "p50_ms": round(1000 * p50, 1),
        "p95_ms": round(1000 * p95, 1),
        "bar_ms": round(bar_ms, 1),
        "p95_of_bar": round(1000 * p95 / bar_ms, 3),
    }


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
    images = pictures(PICTURES, (height, width))
    with servers(images, options.tree.resolve()) as bench:
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
    stamp = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"stages-{stamp}.json").write_text(
        json.dumps({**about, **measured}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
