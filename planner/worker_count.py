"""How many workers a load needs: what one does, and the cameras of the one that has most.

Producers give partitions their cameras, and Kafka gives workers their partitions: neither is even.
"""

import math
from collections.abc import Callable

from planner.load import Costs, Load
from planner.shares import FULLEST_LOAD, MEAN_LOAD, MEASURED_CORES, decode_threads

GROWTH = 2
"""Partitions for each worker: so many times the workers can share the load later."""

LEAST_PARTITIONS = 12

MOST_PERCENT = 110
"""What a partition or producer carries at most, in percent of the mean, rounded up."""

_MOST_WORKERS_PER_CAMERA = 4
"""With so many hardly two cameras share a worker by chance."""


def worker_fps(load: Load, cost: Costs) -> tuple[float, str, bool]:
    """Return frames per second of one worker, how that is known, and whether it is assumed."""
    if load.worker_fps is not None:
        return load.worker_fps, "as given", False
    decode = cost["worker_decode_seconds_per_megapixel"].value
    threads = decode_threads(load.worker, load.worker_cores)
    decoded = threads / (load.published_megapixels * decode)
    if load.worker == "gpu":
        known = cost["gpu_frames_per_second"]
        network, said, assumed = known.value, known.source, not known.measured
    else:
        more = max(0.0, load.published_megapixels - 0.44) * decode
        seconds, cores = cost["worker_core_seconds"].value + more, load.worker_cores
        network, assumed = cores / seconds, cores != MEASURED_CORES
        said = f"{seconds:.3f} core-seconds a frame, {cores} cores"
        if assumed:
            said += f" (measured with {MEASURED_CORES}; that frames grow with cores is assumed)"
    if decoded >= network:
        return network, said, assumed
    width, height = load.published
    return (
        decoded,
        f"decoding {width}x{height} at {decode:g} s a megapixel in {threads} threads; "
        f"without that bound {network:.3g}: {said}",
        assumed,
    )


def fullest(cameras: int, workers: int, least_partitions: int = LEAST_PARTITIONS) -> float:
    """Return the cameras of the worker that has most: of its partitions, each at its bound.

    Where partitions have a camera each or none, chance says how many lie at one worker: with a mean
    of m, the fullest of W has about m + sqrt(2 m ln W).
    """
    mean = cameras / workers
    partitions = max(GROWTH, math.ceil(least_partitions / workers))
    bound = partitions * most_at_one(cameras, partitions * workers)
    return min(float(cameras), float(bound), mean + math.sqrt(2 * mean * math.log(workers)))


def most_at_one(cameras: int, places: int) -> int:
    """Return the most cameras that producers assign to one of so many places."""
    return min(cameras, -(-cameras * MOST_PERCENT // (100 * places)))


def fewest_places(cameras: int, together: int) -> int:
    """Return the fewest places of which none has more than so many cameras together."""
    return 1 if cameras <= together else -(-cameras * MOST_PERCENT // (100 * together))


def count_workers(
    load: Load, capacity: float, least_partitions: int = LEAST_PARTITIONS
) -> tuple[int, float]:
    """Return how many workers, and the cameras of the fullest one.

    They are the fewest that keep to both loads. Where no number does, they are the fewest that keep
    to the mean (unless one camera fills more) and give no worker more cameras than most others do.
    """

    def cameras(workers: int) -> float:
        return fullest(load.cameras, workers, least_partitions)

    most = _MOST_WORKERS_PER_CAMERA * load.cameras if load.cameras > 1 else 1
    least = math.ceil(min(most, load.cameras * load.fps / (capacity * MEAN_LOAD)))
    carried = FULLEST_LOAD * capacity / load.fps
    even_from = math.ceil(least_partitions / GROWTH)
    workers = _first(lambda workers: cameras(workers) <= carried, least, even_from, most)
    if workers is None:
        fewest = math.ceil(cameras(most))
        workers = _first(lambda workers: cameras(workers) <= fewest, least, even_from, most) or most
    return workers, cameras(workers)


def _first(holds: Callable[[int], bool], least: int, steady_from: int, most: int) -> int | None:
    """Return the first number from ``least`` to ``most`` for which something holds.

    Args:
        holds: Whether it does; from ``steady_from`` on, it then holds for all larger ones, too.
        least: The first number to try.
        steady_from: Below it, the answer may change with every number.
        most: The last one.
    """
    low = max(1, least)
    while low < min(steady_from, most):
        if holds(low):
            return low
        low += 1
    if not holds(most):
        return None
    high = most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low
