"""Count partitions, brokers, workers, producers, Redis and Prometheus for a number of cameras.

Pure arithmetic on `planner.unit_costs`. A camera lies in one partition and one worker has it.
Producers spread cameras so that no partition has more than 1.1 times the mean, rounded up (ADR 17);
rounding is what a plan has to pay for where a worker carries few cameras.
"""

import math
from collections.abc import Callable

from planner.load import Costs, Limit, Load, Need, Plan
from planner.unit_costs import unit_costs

MEAN_LOAD = 0.7
"""Share of their capacity that all workers, producers and brokers use in the mean."""

FULLEST_LOAD = 0.9
"""Share that the worker with the most cameras uses."""

_GROWTH = 2
"""Partitions for each worker: so many times the workers can share the load later."""

_LEAST_PARTITIONS = 12
_DISK_SHARE, _MEMORY_SHARE, _REDIS_LOAD = 0.7, 0.6, 0.5
PRODUCER_CORES = 2
"""Of one producer."""

MOST_PERCENT = 110
"""What a partition carries at most, in percent of the mean, rounded up: as producers assign."""

_MOST_WORKERS_PER_CAMERA = 4
"""With so many hardly two cameras share a worker by chance."""


def plan(load: Load, costs: Costs | None = None) -> Plan:
    """Count what a load needs.

    Args:
        load: What there is to do.
        costs: What each unit costs; None takes what is known.
    """
    cost = unit_costs() if costs is None else costs
    frames = load.cameras * load.fps
    needs: list[Need] = [
        Need("cameras", "frames", frames, "frames/s", f"{load.cameras:,} cameras x {load.fps:g}")
    ]
    record_bytes, said = frame_bytes(load, cost)
    capacity, worker_said, assumed = _worker_fps(load, cost)
    workers, most = _workers(load, capacity)
    rate = frames * record_bytes
    needs += _kafka(load, rate, said, workers, cost)
    needs += [
        Need("workers", "frames per second of one", capacity, "frames/s", worker_said, assumed),
        Need(
            "workers",
            "workers",
            workers,
            "GPUs" if load.worker == "gpu" else f"pods of {load.worker_cores} cores",
            f"{frames:,.0f} frames/s, at most {MEAN_LOAD:.0%} busy in the mean, and the fullest, "
            f"with {most:.0f} cameras, at most {FULLEST_LOAD:.0%}",
            assumed,
        ),
    ]
    cores = load.cameras * camera_cores(load, cost)
    producers = math.ceil(cores / MEAN_LOAD / PRODUCER_CORES)
    width, height = load.published
    needs += [
        Need(
            "producers",
            "cores busy",
            cores,
            "cores",
            f"{load.camera_fps:g} frames/s of {load.width}x{load.height} decoded and {load.fps:g} "
            f"of {width}x{height} encoded a camera",
        ),
        Need(
            "producers",
            "producers",
            producers,
            f"pods of {PRODUCER_CORES} cores",
            f"at most {MEAN_LOAD:.0%} busy; PRODUCER_SHARD i/{producers}",
        ),
        Need(
            "producers",
            "memory of one",
            _producer_bytes(load, producers, cost) / 2**20,
            "MiB",
            f"{camera_bytes(load, cost) / 2**20:.1f} MiB for each of about "
            f"{math.ceil(load.cameras / producers)} cameras, and the process itself",
        ),
    ]
    needs += _redis(load, cost)
    needs += _prometheus(load, workers, producers, needs, cost)
    warnings = []
    if load.fps > FULLEST_LOAD * capacity:
        warnings.append(
            f"one camera at {load.fps:g} frames/s is more than a worker carries ({capacity:.3g} "
            "frames/s): a camera cannot be shared; lower its fps, use a smaller model or a GPU"
        )
    elif workers > load.cameras > 1:
        warnings.append(
            f"a worker carries {capacity / load.fps:.2g} cameras, and its partitions may bring it "
            "more: most of these workers would idle; give them more cores "
            "(--worker-cores) or a GPU"
        )
    limits = sorted(_limits(load, capacity, assumed, record_bytes, cost), key=lambda x: x.cameras)
    return Plan(load, tuple(needs), tuple(limits), tuple(warnings), cost)


def frame_bytes(load: Load, cost: Costs) -> tuple[float, str]:
    """Return the bytes of a frame's record, and how they were counted."""
    if load.frame_bytes is not None:
        return load.frame_bytes + cost["record_bytes"].value, "as given"
    each = cost["frame_bytes_per_pixel"].value
    width, height = load.published
    pixels = width * height
    return pixels * each + cost["record_bytes"].value, f"{pixels:,} pixels x {each:g} bytes"


def _worker_fps(load: Load, cost: Costs) -> tuple[float, str, bool]:
    """Return frames per second of one worker, how that is known, and whether it is assumed."""
    if load.worker_fps is not None:
        return load.worker_fps, "as given", False
    if load.worker == "gpu":
        known = cost["gpu_frames_per_second"]
        return known.value, known.source, not known.measured
    each, decode = cost["worker_core_seconds"].value, cost["worker_decode_seconds_per_megapixel"]
    seconds = each + max(0.0, load.published_megapixels - 0.44) * decode.value
    said = f"{seconds:.3f} core-seconds a frame, {load.worker_cores} cores"
    return load.worker_cores / seconds, said, False


def fullest(cameras: int, workers: int) -> float:
    """Return the cameras of the worker that has most: of its partitions, each at its bound.

    Where partitions have a camera each or none, chance says how many lie at one worker: with a mean
    of m, the fullest of W has about m + sqrt(2 m ln W).
    """
    mean = cameras / workers
    partitions = max(_GROWTH, math.ceil(_LEAST_PARTITIONS / workers))
    bound = partitions * -(-cameras * MOST_PERCENT // (100 * partitions * workers))
    return min(float(cameras), float(bound), mean + math.sqrt(2 * mean * math.log(workers)))


def _workers(load: Load, capacity: float) -> tuple[int, float]:
    """Return how many workers, and the cameras of the fullest one."""

    def carries(workers: int) -> bool:
        busy = load.cameras * load.fps / (workers * capacity)
        hot = fullest(load.cameras, workers) * load.fps / capacity
        return busy <= MEAN_LOAD and hot <= max(FULLEST_LOAD, load.fps / capacity)

    most = _MOST_WORKERS_PER_CAMERA * load.cameras if load.cameras > 1 else 1
    workers = _first(carries, most)
    return workers, fullest(load.cameras, workers)


def _first(holds: Callable[[int], bool], most: int) -> int:
    """Return the least number for which something holds, which then holds for all larger ones."""
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _kafka(load: Load, rate: float, said: str, workers: int, cost: Costs) -> list[Need]:
    per_partition = cost["partition_bytes_per_second"].value
    least = max(_GROWTH * workers, math.ceil(rate / per_partition), _LEAST_PARTITIONS)
    partitions = workers * math.ceil(least / workers)
    disk = rate * load.retention_minutes * 60 * load.replication
    moved = rate * (load.replication + 1)  # written once for each copy, and read once
    broker = cost["broker_bytes_per_second"].value * MEAN_LOAD
    by_disk = disk / (cost["broker_disk_bytes"].value * _DISK_SHARE)
    brokers = max(load.replication, math.ceil(moved / broker), math.ceil(by_disk))
    return [
        Need("kafka", "into the topic", rate / 1e6, "MB/s", said),
        Need(
            "kafka",
            "partitions",
            partitions,
            "partitions",
            f"at least {_GROWTH} for each of {workers:,} workers and {_LEAST_PARTITIONS}, equally "
            f"many for each, at most {per_partition / 1e6:g} MB/s in one",
            assumed=True,
        ),
        Need(
            "kafka",
            "disk",
            disk / 1e9,
            "GB",
            f"{load.retention_minutes:g} min, {load.replication} copies",
        ),
        Need(
            "kafka",
            "brokers",
            brokers,
            "brokers",
            f"{load.replication} copies need as many; {moved / 1e6:,.0f} MB/s written and read at "
            f"{broker / 1e6:g} MB/s each; disk of {cost['broker_disk_bytes'].value / 1e12:g} TB",
            assumed=True,
        ),
    ]


def camera_cores(load: Load, cost: Costs) -> float:
    """Return the cores that a camera takes of its producer."""
    decode = load.camera_fps * load.megapixels * cost["decode_seconds_per_megapixel"].value
    return (
        decode + load.fps * load.published_megapixels * cost["encode_seconds_per_megapixel"].value
    )


def camera_bytes(load: Load, cost: Costs) -> float:
    """Return the memory that a camera takes of its producer, in bytes."""
    each = load.megapixels * cost["producer_bytes_per_megapixel"].value
    return cost["producer_bytes_per_camera"].value + each


def _producer_bytes(load: Load, producers: int, cost: Costs) -> float:
    cameras = math.ceil(load.cameras / producers)
    return cost["producer_bytes"].value + cameras * camera_bytes(load, cost)


def _result_bytes(load: Load, cost: Costs) -> float:
    each = cost["result_bytes"].value + load.objects * cost["result_bytes_per_object"].value
    return each * cost["redis_bytes_per_byte"].value


def _kept(load: Load) -> float:
    return min(load.kept_results, load.fps * load.kept_seconds) + 1  # and the newest by itself


def _redis(load: Load, cost: Costs) -> list[Need]:
    frames = load.cameras * load.fps
    state = cost["tracks_state_bytes"].value
    memory = load.cameras * (_kept(load) * _result_bytes(load, cost) + state)
    busy = frames * cost["redis_seconds_per_result"].value
    node = cost["redis_node_bytes"].value * _MEMORY_SHARE
    nodes = max(1, math.ceil(memory / node), math.ceil(busy / _REDIS_LOAD))
    return [
        Need(
            "redis",
            "memory",
            memory / 1e9,
            "GB",
            f"{_kept(load):,.0f} results of {_result_bytes(load, cost):,.0f} bytes a camera "
            f"({load.objects:g} objects each), and {state:,.0f} for its tracks",
        ),
        Need(
            "redis",
            "scripts",
            frames * cost["redis_scripts_per_result"].value,
            "a second",
            "two for each result, where batches hold one frame",
        ),
        Need("redis", "cores busy", busy, "cores", "of its one thread for commands a node"),
        Need(
            "redis",
            "masters",
            nodes,
            "nodes",
            f"at most {_REDIS_LOAD:.0%} of a core and {node / 1e9:.2g} GB each; more than one is a "
            "Redis Cluster, with a replica each",
            assumed=True,
        ),
    ]


def _prometheus(
    load: Load, workers: int, producers: int, needs: list[Need], cost: Costs
) -> list[Need]:
    partitions = next(need.value for need in needs if need.name == "partitions")
    series = (
        producers * cost["producer_series"].value
        + workers * cost["worker_series"].value
        + load.cameras * _series_per_camera(cost)
        + partitions * cost["worker_series_per_partition"].value
    )
    most = cost["prometheus_series"].value
    return [
        Need(
            "prometheus",
            "series",
            series,
            "series",
            f"{_series_per_camera(cost):g} a camera, the others by process and partition",
        ),
        Need(
            "prometheus",
            "servers",
            math.ceil(series / most),
            "servers",
            f"at most {most:,.0f} series each",
            assumed=True,
        ),
    ]


def _series_per_camera(cost: Costs) -> float:
    return cost["producer_series_per_camera"].value + cost["worker_series_per_camera"].value


def _limits(
    load: Load, capacity: float, assumed: bool, record_bytes: float, cost: Costs
) -> list[Limit]:
    per_camera = load.fps * record_bytes
    redis_memory = cost["redis_node_bytes"].value * _MEMORY_SHARE
    found = (
        ("a worker", MEAN_LOAD * capacity / load.fps, f"{MEAN_LOAD:.0%} of its time", assumed),
        (
            "a producer",
            MEAN_LOAD * PRODUCER_CORES / camera_cores(load, cost),
            f"{MEAN_LOAD:.0%} of its {PRODUCER_CORES} cores",
            False,
        ),
        (
            "a partition",
            cost["partition_bytes_per_second"].value / per_camera,
            f"{cost['partition_bytes_per_second'].value / 1e6:g} MB/s",
            True,
        ),
        (
            "a broker",
            MEAN_LOAD * cost["broker_bytes_per_second"].value / (2 * per_camera),
            f"{MEAN_LOAD:.0%} of its network, with one copy written and read",
            True,
        ),
        (
            "a Redis node's thread",
            _REDIS_LOAD / (load.fps * cost["redis_seconds_per_result"].value),
            f"{_REDIS_LOAD:.0%} of its time",
            False,
        ),
        (
            "a Redis node's memory",
            redis_memory
            / (_kept(load) * _result_bytes(load, cost) + cost["tracks_state_bytes"].value),
            f"{redis_memory / 1e9:.2g} GB",
            True,
        ),
        (
            "a Prometheus",
            cost["prometheus_series"].value / _series_per_camera(cost),
            f"{cost['prometheus_series'].value:,.0f} series",
            True,
        ),
    )
    return [Limit(part, int(cameras), why, guess) for part, cameras, why, guess in found]
