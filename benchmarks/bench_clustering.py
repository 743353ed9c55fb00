"""Our clustering on one thread against the published loop, side by side in one run.

``python -m benchmarks.bench_clustering``. Synthetic maps of 2048x1024 pixels, 30 % of them objects.
Every pixel of an object lies within its seed's margin, so that the published loop needs one pass
per object, the fewest possible. Both must give the same map before anything is timed. With most
objects ours alone is timed: the published loop's time grows with their number.

Ways alternate. After a rest (PyTorch's threads spin for a while after their work, beside whoever
comes next) each runs untimed for a while, then timed for as long, so that those of milliseconds
meet the processor as awake as those of seconds do; its time is the mean of the timed calls. A ratio
is that of two ways' times in one round, the median over all rounds.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import baseline
from benchmarks.environment import RESULTS, describe
from segmentation.cluster import PAPER_GRID_STEP, cluster, cluster_maps

SIZE = (1024, 2048)
FOREGROUND = 0.3
COUNTS = (10, 30, 300)
N_SIGMA = 2
SEED_THRESHOLD = 0.9
REST_SECONDS = 0.3
"""PyTorch's threads spin for up to 0.2 s after their work, on the other half of our core."""
RUN_SECONDS = 0.3
"""How long a way runs untimed, and how long timed; at least one call of each."""
MIN_PIXELS = 128

Array = NDArray[np.float32]


def scene(size: tuple[int, int], instances: int, *, seed: int = 0) -> Array:
    """Draw discs on a grid, with offsets that miss the centre a little.

    Args:
        size: Height and width, pixels.
        instances: Number of discs; together they cover `FOREGROUND` of the picture.
        seed: Of the random numbers.

    Returns:
        float32 (5, H, W), raw output of a network: offset x, y, bandwidth x, y, seed.
    """
    random = np.random.default_rng(seed)
    height, width = size
    columns = min(instances, max(1, round(math.sqrt(instances * width / height))))
    rows = math.ceil(instances / columns)
    radius = math.sqrt(FOREGROUND * height * width / instances / math.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    prediction = np.zeros((3 + N_SIGMA, *size), np.float32)
    prediction[-1] = -4
    for number in range(instances):
        row, column = divmod(number, columns)
        center = ((column + 0.5) * width / columns, (row + 0.5) * height / rows)
        distance = np.hypot(x - center[0], y - center[1])
        inside = distance < radius
        # Misses of at most 0.2 radii in x and in y, from a seed that misses as much: 0.57 at most.
        for axis, position in enumerate((x, y)):
            miss = random.uniform(-0.2, 0.2, int(inside.sum())).astype(np.float32) * radius
            pull = (center[axis] + miss - position[inside]) * PAPER_GRID_STEP[axis]
            prediction[axis][inside] = np.arctanh(pull)
            margin = 0.7 * radius * PAPER_GRID_STEP[axis]
            prediction[2 + axis][inside] = math.log(math.log(2) / margin**2) / 10
        noise = random.normal(0, 0.1, int(inside.sum())).astype(np.float32)
        prediction[-1][inside] = np.maximum(4 - 3 * distance[inside] / radius + noise, 0.1)
    return prediction


def seconds(call: Callable[[], object]) -> float:
    """Return the mean wall time of calls in a row, on a machine at rest but for them."""
    time.sleep(REST_SECONDS)
    _repeat(call)
    return _repeat(call)


def _repeat(call: Callable[[], object]) -> float:
    began, n = time.perf_counter(), 0
    while n == 0 or time.perf_counter() - began < RUN_SECONDS:
        call()
        n += 1
    return (time.perf_counter() - began) / n


def ways(prediction: Array) -> dict[str, Callable[[], NDArray[np.int32]]]:
    """Return the ways to cluster these raw maps; all give the same instance map.

    Those with ``+ tanh`` begin with the network's raw output, the others with activated maps, which
    the worker's network gives.
    """
    raw = torch.from_numpy(prediction)
    maps = baseline.activate(raw, N_SIGMA)
    offset, bandwidth, seed = (part.numpy() for part in maps[:3])
    class_index = maps.class_index.numpy().astype(np.uint8)

    def published(candidates: baseline.Candidates, activated: bool) -> NDArray[np.int32]:
        rules = baseline.Rules(
            grid_step=PAPER_GRID_STEP,
            seed_threshold=SEED_THRESHOLD,
            min_pixels=MIN_PIXELS,
            candidates=candidates,
        )
        given = maps if activated else baseline.activate(raw, N_SIGMA)
        return baseline.cluster(given, rules).instance_map

    def ours() -> NDArray[np.int32]:
        return cluster(
            offset,
            bandwidth,
            seed,
            class_index,
            grid_step=PAPER_GRID_STEP,
            seed_threshold=SEED_THRESHOLD,
            min_pixels=MIN_PIXELS,
            n_classes=1,
        ).instance_map

    return {
        "ours": ours,
        "ours + tanh": lambda: cluster_maps(prediction, N_SIGMA, SEED_THRESHOLD, MIN_PIXELS)[0],
        "published, foreground": lambda: published("foreground", activated=True),
        "published, foreground + tanh": lambda: published("foreground", activated=False),
        "published, whole image + tanh": lambda: published("image", activated=False),
    }


PAIRS = (
    ("published, foreground", "ours"),
    ("published, foreground + tanh", "ours + tanh"),
    ("published, whole image + tanh", "ours + tanh"),
    ("published, foreground + tanh", "ours"),
    ("published, whole image + tanh", "ours"),
)
"""What is divided by what."""

OURS = ("ours", "ours + tanh")


def check(prediction: Array, instances: int) -> None:
    """Run every way once and compare the maps; that of the whole image is held by a unit test.

    Raises:
        SystemExit: They differ, or do not hold all instances.
    """
    maps = {name: way() for name, way in ways(prediction).items() if "whole" not in name}
    expected = maps["published, foreground + tanh"]
    different = {n: int((m != expected).sum()) for n, m in maps.items() if (m != expected).any()}
    if different or int(expected.max()) != instances:
        raise SystemExit(
            f"{instances} instances: the published loop finds {int(expected.max())}; pixels that "
            f"differ from it: {different}"
        )


def measure(rounds: int) -> dict[int, list[dict[str, float]]]:
    """Time every way for each number of instances, all of them in every round."""
    pictures = {count: scene(SIZE, count) for count in COUNTS}
    for count, prediction in pictures.items():
        check(prediction, count)
    timed: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
    for _ in range(rounds):
        for count, prediction in pictures.items():
            timed[count].append(
                {
                    name: seconds(way)
                    for name, way in ways(prediction).items()
                    if name in OURS or count < COUNTS[-1]
                }
            )
    return timed


def report(timed: dict[int, list[dict[str, float]]]) -> dict[str, object]:
    """Return all ratios, and the milliseconds that they come from."""
    growth = [
        many["ours"] / few["ours"]
        for few, many in zip(timed[COUNTS[0]], timed[COUNTS[-1]], strict=True)
    ]
    return {
        "ratios": {
            str(count): {
                f"{slow} / {fast}": round(float(np.median([t[slow] / t[fast] for t in times])), 2)
                for slow, fast in PAIRS
            }
            for count, times in timed.items()
            if count < COUNTS[-1]
        },
        f"ours, {COUNTS[-1]} / {COUNTS[0]} instances": round(float(np.median(growth)), 2),
        "milliseconds, best": {
            str(count): {name: round(1e3 * min(t[name] for t in times), 2) for name in times[0]}
            for count, times in timed.items()
        },
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="times that each way runs")
    options = parser.parse_args()
    about = describe()
    about |= {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    about |= {"size": SIZE, "foreground": FOREGROUND, "rounds": options.rounds}
    about |= report(measure(options.rounds))
    about["load_after"] = round(os.getloadavg()[0], 2)
    text = json.dumps(about, indent=2)
    print(text)
    stamp = str(about["measured_at"])[:19].replace(":", "")
    (RESULTS / f"clustering-{stamp}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
