"""The whole worker, from a JPEG in Kafka to a result in Redis, against the published way.

The published way (`benchmarks.baseline`) gets the same JPEGs out of memory, without Kafka or Redis:
decoded, fitted into the model's input, PyTorch's float32 network, its clustering, one after the
other. Ours is ``seedstream work`` on a topic that is full, in ``complete`` mode, in several ways:

- *float16, batch 1*: one frame at a time, as the worker ran until int8 files came;
- *default*: what it chooses by itself here;
- *OpenVINO*, with ``--openvino``, which names where it is: the interpreter of an environment with
  that extra, or the folder that ``make setup`` installs it into (``.venv/openvino``).

Ways take turns, ``--rounds`` times; a ratio is that of two rates of one round, the median over all
rounds. How much the ways agree is measured first: the share of the published way's objects that a
way finds with an IoU of at least 0.5, over all frames.

With ``--tracking`` only what tracking costs is measured: the default with and without it, in turn.

Run: ``python -m benchmarks.bench_worker``. It prints what it measured and writes a JSON file.
"""

import argparse
import json
import operator
import os
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.baseline import PublishedWay
from benchmarks.environment import RESULTS, ROOT, describe
from benchmarks.worker_bench import Bench, Watch, fps, pictures, servers
from media.decodable_jpeg import decode_rgb
from segmentation.instances import Instances
from segmentation.letterbox import Fit

MODEL = ROOT / "artifacts" / "street" / "1"
PICTURES = 32
_STREET = 240
_CAMERA_FPS = 10.0
PUBLISHED = "published way"
WAYS: dict[str, dict[str, object]] = {
    "float16, batch 1": {"precision": "float16", "provider": "cpu", "max_batch_size": 1},
    "default": {},
}
OPENVINO = "OpenVINO"


class Published:
    """The published way, frame by frame.

    Args:
        model: Folder of an artifact.
    """

    def __init__(self, model: Path) -> None:
        self._way = PublishedWay(model)
        artifact = self._way.artifact
        self._input_size = artifact.height, artifact.width

    def segment(self, jpeg: bytes) -> NDArray[np.int32]:
        """Return the instance map of a frame, in the frame's pixels."""
        image = decode_rgb(jpeg)
        fit = Fit.of((image.shape[0], image.shape[1]), self._input_size)
        return fit.restore(self._way.segment(fit.apply(image)).instance_map)

    def rate(self, jpegs: list[bytes], count: int) -> float:
        """Return frames per second over ``count`` frames."""
        self.segment(jpegs[0])
        began = time.perf_counter()
        for number in range(count):
            self.segment(jpegs[number % len(jpegs)])
        return count / (time.perf_counter() - began)


def run_worker(
    bench: Bench, frames: int, settings: Mapping[str, object], python: Path | None
) -> tuple[float, float, list[list[NDArray[np.int32]]]]:
    """Process a full topic.

    Args:
        bench: Where.
        frames: How many frames.
        settings: Settings of the worker.
        python: Another interpreter, or a folder whose packages come first; None for neither.

    Returns:
        Frames per second; processor milliseconds a frame; of each picture the map that was stored
        of it first (none where it was not shown).
    """
    topic = bench.topic()
    bench.fill(topic, frames)
    given = {"model": MODEL, "mode": "complete"} | dict(settings)
    arguments = ["-m", "seedstream", "work"]
    paths = {}
    if python is not None and python.is_dir():
        paths = {"PYTHONPATH": f"{python}{os.pathsep}{bench.tree}"}
        python = None
    interpreter = python or Path(sys.executable)
    with bench.run(arguments, topic, given, paths, python=interpreter) as worker:
        watch = Watch([worker])
        watch.wait_for(bench, min(frames, 16))
        done, before = bench.stored(), watch.cpu_seconds()
        watch.wait_for(bench, frames)
        used = watch.cpu_seconds() - before
    results = bench.results()
    maps: list[list[NDArray[np.int32]]] = [[] for _ in range(PICTURES)]
    for result in results:
        seen = maps[bench.picture(result.camera, result.sequence) % PICTURES]
        if not seen:
            seen.append(Instances.from_result(result).to_map())
    return fps(results), 1000 * used / max(1, frames - done), maps


def found_share(
    expected: list[NDArray[np.int32]], seen: list[list[NDArray[np.int32]]]
) -> tuple[int, int]:
    """Count the objects of ``expected``, and those that ``seen`` has with an IoU of 0.5 or more."""
    objects = found = 0
    for truth, maps in zip(expected, seen, strict=True):
        (guess,) = maps
        for number in range(1, int(truth.max()) + 1):
            mask = truth == number
            if not mask.any():
                continue
            objects += 1
            met = np.bincount(guess[mask])
            met[0] = 0
            best = int(met.argmax())
            union = mask.sum() + (guess == best).sum() - met[best]
            found += bool(met[best] and met[best] / union >= 0.5)
    return objects, found


def measure(bench: Bench, frames: int, rounds: int, openvino: Path | None) -> dict[str, object]:
    """Run all ways in turn."""
    published = Published(MODEL)
    jpegs = list(bench.frames)
    expected = [published.segment(jpeg) for jpeg in jpegs]
    ways: dict[str, tuple[Mapping[str, object], Path | None]] = {
        name: (settings, None) for name, settings in WAYS.items()
    }
    if openvino is not None:
        ways[OPENVINO] = ({"provider": "openvino"}, openvino)
    rates: dict[str, list[float]] = {name: [] for name in (PUBLISHED, *ways)}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    agreement: dict[str, float] = {}
    for _ in range(rounds):
        rates[PUBLISHED].append(published.rate(jpegs, PICTURES))
        for name, (settings, python) in ways.items():
            rate, spent, maps = run_worker(bench, frames, settings, python)
            rates[name].append(rate)
            cpu[name].append(spent)
            objects, found = found_share(expected, maps)
            agreement[name] = round(found / objects, 4)
            print(f"{name}: {rate:.1f} fps, {spent:.0f} ms of processor time a frame", flush=True)
    first = next(iter(WAYS))
    return {
        "objects": objects,
        "share of the published way's objects found": agreement,
        "fps": {name: [round(rate, 2) for rate in each] for name, each in rates.items()},
        "processor ms a frame": {n: round(statistics.median(each), 1) for n, each in cpu.items()},
        "ratios": {
            f"{name} / {base}": round(
                statistics.median(a / b for a, b in zip(rates[name], rates[base], strict=True)), 2
            )
            for base in (PUBLISHED, first)
            for name in ways
            if name != base
        },
    }


def measure_tracking(bench: Bench, frames: int, rounds: int) -> dict[str, object]:
    """Run a worker with and without tracking, in turn."""
    rates: dict[str, list[float]] = {"tracking": [], "no tracking": []}
    cpu: dict[str, list[float]] = {name: [] for name in rates}
    for turn in range(rounds):
        for name in sorted(rates, reverse=bool(turn % 2)):
            rate, spent, _ = run_worker(bench, frames, {"track": name == "tracking"}, None)
            rates[name].append(rate)
            cpu[name].append(spent)
            print(f"{name}: {rate:.1f} fps, {spent:.1f} ms of processor time a frame", flush=True)
    return {
        "fps": {name: [round(rate, 2) for rate in each] for name, each in rates.items()},
        "processor ms a frame": {
            name: [round(spent, 2) for spent in each] for name, each in cpu.items()
        },
        "ratio of rates": round(statistics.median(map(operator.truediv, *rates.values())), 4),
        "ratio of processor time": round(
            statistics.median(map(operator.truediv, *cpu.values())), 4
        ),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=400, help="frames of each run of a worker")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way runs")
    parser.add_argument("--openvino", type=Path, help="its interpreter or folder")
    parser.add_argument("--tracking", action="store_true", help="only what tracking costs")
    options = parser.parse_args()
    about = describe()
    with servers(pictures(_STREET if options.tracking else PICTURES)) as bench:
        bench.fps = _CAMERA_FPS
        about["broker"] = bench.kafka.kind
        about |= {"frame": bench.size, "frames": options.frames, "rounds": options.rounds}
        if options.tracking:
            about |= measure_tracking(bench, options.frames, options.rounds)
        else:
            about |= measure(bench, options.frames, options.rounds, options.openvino)
    text = json.dumps(about, indent=2)
    print(text)
    stamp = str(about["measured_at"])[:19].replace(":", "")
    kind = "tracking-cost" if options.tracking else "worker"
    (RESULTS / f"{kind}-{stamp}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
