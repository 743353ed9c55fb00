"""What pictures for the live page cost a worker whose cameras are all watched.

``seedstream work`` on a full topic of two cameras, in ``complete`` mode. While it works, somebody
looks at both (384 pixels wide), then nobody, then somebody again: the rate of each watched window
is compared with the mean of the two beside it, so that a machine that becomes slower touches both;
the ratio is the median, its bar 0.97. While nobody looks, each camera may have one picture every
10 s, and the first: more ends the command with exit status 1, as do too few while somebody looks,
any with ``--no-preview`` (a short run of its own), and one that could not be made.

Run: ``python -m benchmarks.bench_preview``. It prints what it measured and writes a JSON file.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.bench_worker import MODEL
from benchmarks.environment import RESULTS, describe
from benchmarks.worker_bench import CAMERAS, Bench, Watch, pictures, servers
from contract.preview import DEFAULT_WIDTH, IDLE_SECONDS, decode_preview
from contract.result import Result
from contract.result_keys import ResultKeys
from contract.samples import NOTHING, Samples

WATCHED = CAMERAS[:2]
PICTURES = 60
CAMERA_FPS = 10.0
WATCHED_FOR_SECONDS = 3600
SETTLE_SECONDS = 0.5
"""How long a window is left out at its beginning: frames that were described before it."""


@dataclass(frozen=True)
class Window:
    """A part of a run.

    Attributes:
        watched: Whether somebody looked.
        began: Seconds since 1970.
        ended: Likewise.
        cpu_ms: Processor milliseconds of the worker per frame.
    """

    watched: bool
    began: float
    ended: float
    cpu_ms: float

    def fps(self, moments: Sequence[float]) -> float:
        """Return the rate, the slope of a line through all frames: batches leave no steps.

        Args:
            moments: When each frame of the run was ready, ascending, in seconds since 1970.
        """
        settled = self.began + min(SETTLE_SECONDS, (self.ended - self.began) / 4)
        inside = [each for each in moments if settled <= each <= self.ended]
        return float(np.polyfit(inside, np.arange(len(inside)), 1)[0])


@dataclass(frozen=True)
class Run:
    """What one run of a worker showed.

    Attributes:
        windows: Its parts, in order.
        results: What was stored.
        metrics: The worker's, at the end.
        shown: Bytes of the pictures that stand at the end, by camera.
    """

    windows: Sequence[Window]
    results: Sequence[Result]
    metrics: Samples
    shown: dict[str, int]

    def made(self, reason: str) -> int:
        """Return how many pictures were made for a reason."""
        return int(self.metrics.total("seedstream_previews_total", reason=reason))

    @property
    def moments(self) -> list[float]:
        """When each frame was ready, ascending, in seconds since 1970."""
        return sorted(result.processed_at.timestamp() for result in self.results)

    def most_idle(self) -> int:
        """Return how many pictures may be made while nobody looks."""
        moments = self.moments
        return len(WATCHED) * (1 + int((moments[-1] - moments[0]) / IDLE_SECONDS))


def run(bench: Bench, frames: int, looks: Sequence[bool], *, preview: bool = True) -> Run:
    """Process a full topic; for each so many frames, somebody looks or nobody."""
    topic = bench.topic()
    bench.fill(topic, frames * (len(looks) + 1), len(WATCHED))
    settings = {"model": MODEL, "mode": "complete", "preview": preview}
    windows = []
    with bench.run(["-m", "seedstream", "work"], topic, settings) as worker:
        watch = Watch([worker])
        watch.wait_for(bench, min(frames, 16))
        first = bench.stored()
        for number, watched in enumerate(looks, start=1):
            _look(bench, watched=watched)
            done, used, began = bench.stored(), watch.cpu_seconds(), time.time()
            watch.wait_for(bench, first + frames * number)
            count, used = bench.stored() - done, watch.cpu_seconds() - used
            windows.append(Window(watched, began, time.time(), 1000 * used / max(1, count)))
        metrics = worker.metrics() or NOTHING
        pairs: dict[str, Any] = {
            camera: bench.client.get(ResultKeys().preview(camera)) for camera in WATCHED
        }
    shown = {camera: len(decode_preview(pair).jpeg) for camera, pair in pairs.items() if pair}
    return Run(windows, bench.results(), metrics, shown)


def _look(bench: Bench, *, watched: bool) -> None:
    for camera in WATCHED:
        key = ResultKeys().watch(camera)
        if watched:
            bench.client.set(key, DEFAULT_WIDTH, ex=WATCHED_FOR_SECONDS)
        else:
            bench.client.delete(key)


def faults(found: Run, frames: int) -> list[str]:
    """Return what is wrong with the pictures of a run with windows of so many frames."""
    made = {reason: found.made(reason) for reason in ("watched", "idle", "failed")}
    wrong = [f"{made['failed']} pictures could not be made"] * bool(made["failed"])
    if not 0 < made["idle"] <= found.most_idle():
        wrong.append(f"nobody: {made['idle']} pictures, expected 1 to {found.most_idle()}")
    looked = frames * sum(each.watched for each in found.windows)
    if made["watched"] < looked / 8 or len(found.shown) < len(WATCHED):
        wrong.append(f"watched: {made['watched']} pictures of {looked} frames")
    return wrong


def measure(bench: Bench, frames: int, rounds: int) -> tuple[dict[str, object], list[str]]:
    """Look and look away in turn; then run once without pictures."""
    found = run(
        bench, frames, [False, *(watched for _ in range(rounds) for watched in (True, False))]
    )
    wrong = faults(found, frames)
    off = run(bench, frames, [True], preview=False)
    if off.shown or any(map(off.made, ("watched", "idle", "failed"))):
        wrong.append("pictures though they are off")
    moments = found.moments
    rates = [window.fps(moments) for window in found.windows]
    costs = [window.cpu_ms for window in found.windows]
    for window, rate in zip(found.windows, rates, strict=True):
        who = "watched" if window.watched else "nobody"
        print(f"{who}: {rate:.2f} fps, {window.cpu_ms:.1f} ms of processor time a frame")
    stage = {"stage": "preview"}
    seconds = found.metrics.total("seedstream_stage_seconds_sum", **stage)
    made = found.made("watched") + found.made("idle")
    size = found.metrics.total("seedstream_preview_bytes_total")
    return {
        "fps": {"watched": _rounded(rates[1::2]), "nobody": _rounded(rates[::2])},
        "processor ms a frame": {"watched": _rounded(costs[1::2]), "nobody": _rounded(costs[::2])},
        "pictures": {reason: found.made(reason) for reason in ("watched", "idle")},
        "ms a picture": round(1000 * seconds / max(1, made), 3),
        "bytes a picture": round(size / max(1, made)),
        "ratios": {
            "watched / nobody": round(statistics.median(_beside(rates)), 4),
            "each": _rounded(_beside(rates), 4),
            "processor, watched / nobody": round(statistics.median(_beside(costs)), 4),
        },
    }, wrong


def _beside(values: Sequence[float]) -> list[float]:
    """Return each second value divided by the mean of the two beside it."""
    return [
        2 * values[middle] / (values[middle - 1] + values[middle + 1])
        for middle in range(1, len(values) - 1, 2)
    ]


def _rounded(values: Sequence[float], digits: int = 2) -> list[float]:
    return [round(each, digits) for each in values]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=120, help="frames of each window")
    parser.add_argument("--rounds", type=int, default=12, help="windows in which somebody looks")
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
