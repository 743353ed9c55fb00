"""What pictures for the live page cost a worker whose cameras are all watched.

``seedstream work`` on a full topic of two cameras, in ``complete`` mode, in turn: somebody looks at
both (384 pixels wide), nobody looks, and without pictures (``--no-preview``). A ratio is that of
two rates of one round, the median over all rounds; its bar is 0.97. While nobody looks, each camera
may have one picture every 10 s, and the first: more ends the command with exit status 1, as do too
few while somebody looks, any with ``--no-preview``, and one that could not be made.

Run: ``python -m benchmarks.bench_preview``. It prints what it measured and writes a JSON file.
"""

import argparse
import json
import statistics
import sys
from dataclasses import dataclass
from typing import Any

from benchmarks.bench_worker import MODEL
from benchmarks.environment import RESULTS, describe
from benchmarks.worker_bench import CAMERAS, Bench, Watch, fps, pictures, servers
from contract.preview import DEFAULT_WIDTH, IDLE_SECONDS, decode_preview
from contract.result_keys import ResultKeys
from contract.samples import NOTHING, Samples

WATCHED = CAMERAS[:2]
PICTURES = 60
CAMERA_FPS = 10.0
WATCHED_FOR_SECONDS = 3600
WAYS: dict[str, dict[str, object]] = {"watched": {}, "nobody": {}, "off": {"preview": False}}


@dataclass(frozen=True)
class Run:
    """What one run of a worker showed.

    Attributes:
        fps: Frames a second.
        cpu_ms: Processor milliseconds a frame.
        seconds: How long it processed.
        metrics: The worker's, at the end.
        shown: Bytes of the pictures that stand at the end, by camera.
    """

    fps: float
    cpu_ms: float
    seconds: float
    metrics: Samples
    shown: dict[str, int]

    def made(self, reason: str) -> int:
        """Return how many pictures were made for a reason."""
        return int(self.metrics.total("seedstream_previews_total", reason=reason))

    def most_idle(self) -> int:
        """Return how many pictures may be made while nobody looks."""
        return len(WATCHED) * (1 + int(self.seconds / IDLE_SECONDS))


def run(bench: Bench, frames: int, way: str) -> Run:
    """Process a full topic in one of the ways."""
    topic = bench.topic()
    if way == "watched":
        for camera in WATCHED:
            bench.client.set(ResultKeys().watch(camera), DEFAULT_WIDTH, ex=WATCHED_FOR_SECONDS)
    bench.fill(topic, frames, len(WATCHED))
    given = {"model": MODEL, "mode": "complete"} | WAYS[way]
    with bench.run(["-m", "seedstream", "work"], topic, given) as worker:
        watch = Watch([worker])
        watch.wait_for(bench, min(frames, 16))
        done, before = bench.stored(), watch.cpu_seconds()
        watch.wait_for(bench, frames)
        used = watch.cpu_seconds() - before
        metrics = worker.metrics() or NOTHING
    results = bench.results()
    moments = [result.processed_at.timestamp() for result in results]
    pairs: dict[str, Any] = {each: bench.client.get(ResultKeys().preview(each)) for each in WATCHED}
    shown = {camera: len(decode_preview(pair).jpeg) for camera, pair in pairs.items() if pair}
    cpu_ms = 1000 * used / max(1, frames - done)
    return Run(fps(results), cpu_ms, max(moments) - min(moments), metrics, shown)


def faults(way: str, found: Run, frames: int) -> list[str]:
    """Return what is wrong with the pictures of a run."""
    made = {reason: found.made(reason) for reason in ("watched", "idle", "failed")}
    wrong = [f"{made['failed']} pictures could not be made"] * bool(made["failed"])
    if way == "nobody" and not 0 < made["idle"] <= found.most_idle():
        wrong.append(f"{made['idle']} pictures, expected 1 to {found.most_idle()}")
    if way == "watched" and (made["watched"] < frames / 8 or len(found.shown) < len(WATCHED)):
        wrong.append(f"{made['watched']} pictures of {frames} frames")
    if way == "off" and (any(made.values()) or found.shown):
        wrong.append(f"pictures though they are off: {made}")
    return [f"{way}: {each}" for each in wrong]


def measure(bench: Bench, frames: int, rounds: int) -> tuple[dict[str, object], list[str]]:
    """Run all ways in turn, each round in another order."""
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    wrong: list[str] = []
    for turn in range(rounds):
        ways = list(WAYS)
        for way in ways[turn % 3 :] + ways[: turn % 3]:
            found = run(bench, frames, way)
            runs[way].append(found)
            wrong += faults(way, found, frames)
            made = found.made("watched") + found.made("idle")
            print(
                f"{way}: {found.fps:.1f} fps, {found.cpu_ms:.1f} ms of processor time a frame, "
                f"{made} pictures",
                flush=True,
            )
    watched = runs["watched"]
    stage = {"stage": "preview"}
    seconds = sum(each.metrics.total("seedstream_stage_seconds_sum", **stage) for each in watched)
    made = sum(each.made("watched") + each.made("idle") for each in watched)
    size = sum(each.metrics.total("seedstream_preview_bytes_total") for each in watched)
    return {
        "fps": {way: [round(each.fps, 2) for each in found] for way, found in runs.items()},
        "processor ms a frame": {
            way: [round(each.cpu_ms, 2) for each in found] for way, found in runs.items()
        },
        "pictures": {
            way: [each.made("watched") + each.made("idle") for each in found]
            for way, found in runs.items()
        },
        "ms a picture": round(1000 * seconds / max(1, made), 3),
        "bytes a picture": round(size / max(1, made)),
        "ratios": {
            f"watched / {base}": round(
                statistics.median(
                    each.fps / other.fps for each, other in zip(watched, runs[base], strict=True)
                ),
                4,
            )
            for base in ("nobody", "off")
        },
    }, wrong


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=600, help="frames of each run of a worker")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way runs")
    options = parser.parse_args()
    about = describe()
    with servers(pictures(PICTURES)) as bench:
        bench.fps = CAMERA_FPS
        about["broker"] = bench.kafka.kind
        about |= {"frame": bench.size, "frames": options.frames, "rounds": options.rounds}
        found, wrong = measure(bench, options.frames, options.rounds)
    text = json.dumps(about | found, indent=2)
    print(text)
    stamp = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"preview-{stamp}.json").write_text(text + "\n")
    for each in wrong:
        print(each, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
