"""Count partitions, brokers, workers, producers, Redis and Prometheus for a number of cameras.

Pure arithmetic on `planner.unit_costs`. A camera lies in one partition and one worker has it.
Producers spread cameras so that no partition has more than 1.1 times the mean, rounded up (ADR 17);
rounding is what a plan has to pay for where a worker carries few cameras.
"""

import math

from planner.load import Costs, Limit, Load, Need, Plan
from planner.misfits import CameraTakes, crowded, misfits
from planner.shares import (
    DISK_SHARE,
    FULLEST_LOAD,
    MEAN_LOAD,
    MEMORY_SHARE,
    PRODUCER_CORES,
    REDIS_LOAD,
)
from planner.unit_costs import unit_costs
from planner.worker_count import (
    GROWTH,
    LEAST_PARTITIONS,
    count_workers,
    fewest_places,
    most_at_one,
    worker_fps,
)
from planner.worker_count import MOST_PERCENT as MOST_PERCENT
from planner.worker_count import fullest as fullest


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
    takes = CameraTakes(
        producer_cores=camera_cores(load, cost),
        record_bytes=record_bytes,
        redis_bytes=_redis_bytes(load, cost),
        redis_load=load.fps * cost["redis_seconds_per_result"].value,
        series=_series_per_camera(cost),
    )
    capacity, worker_said, assumed = worker_fps(load, cost)
    least = _partitions(load, load.fps * record_bytes, cost)
    workers, most = count_workers(load, capacity, least)
    needs += _kafka(load, frames * record_bytes, said, workers, least, cost)
    needs += [
        Need("workers", "frames per second of one", capacity, "frames/s", worker_said, assumed),
        Need(
            "workers",
            "workers",
            workers,
            "GPUs" if load.worker == "gpu" else f"pods of {load.worker_cores} cores",
            f"{frames:,.0f} frames/s, "
            + _busy(frames / (workers * capacity), most, most * load.fps / capacity),
            assumed,
        ),
    ]
    producers, producer_needs = _producers(load, takes.producer_cores, cost)
    needs += producer_needs
    needs += _redis(load, takes, cost)
    needs += _prometheus(load, workers, producers, needs, cost)
    limits = sorted(_limits(load, takes, capacity, assumed, cost), key=lambda x: x.cameras)
    warnings = [*misfits(load, takes, capacity, cost)]
    warnings += crowded(load, capacity, workers, most)
    return Plan(load, tuple(needs), tuple(limits), tuple(warnings), cost)


def _busy(mean: float, cameras: float, fullest_load: float) -> str:
    """Say how busy workers or producers are: in the mean, and the one with the most cameras."""
    return (
        f"{_at_most(mean, MEAN_LOAD)} busy in the mean, and the fullest, with {cameras:.0f} "
        f"cameras, {_at_most(fullest_load, FULLEST_LOAD)}"
    )


def _at_most(share: float, bound: float) -> str:
    # Beyond what adding and dividing leave over.
    return (
        f"at most {bound:.0%}" if share <= bound + 1e-9 else f"{share:.0%} instead of {bound:.0%}"
    )


def frame_bytes(load: Load, cost: Costs) -> tuple[float, str]:
    """Return the bytes of a frame's record, and how they were counted."""
    if load.frame_bytes is not None:
        return load.frame_bytes + cost["record_bytes"].value, "as given"
    each = cost["frame_bytes_per_pixel"].value
    width, height = load.published
    pixels = width * height
    return pixels * each + cost["record_bytes"].value, f"{pixels:,} pixels x {each:g} bytes"


def _partitions(load: Load, camera_rate: float, cost: Costs) -> int:
    """Return the fewest partitions of which none has more than it takes, or one camera."""
    together = max(1, int(cost["partition_bytes_per_second"].value / camera_rate))
    return max(LEAST_PARTITIONS, fewest_places(load.cameras, together))


def _kafka(load: Load, rate: float, said: str, workers: int, least: int, cost: Costs) -> list[Need]:
    each = max(GROWTH, math.ceil(least / workers))
    partitions = workers * each
    per_partition = cost["partition_bytes_per_second"].value
    in_one = most_at_one(load.cameras, partitions) * rate / load.cameras
    kept = "at most" if in_one <= per_partition else f"{in_one / 1e6:,.3g} instead of"
    disk = rate * load.retention_minutes * 60 * load.replication
    moved = rate * (load.replication + 1)  # written once for each copy, and read once
    broker = cost["broker_bytes_per_second"].value * MEAN_LOAD
    by_disk = disk / (cost["broker_disk_bytes"].value * DISK_SHARE)
    brokers = max(load.replication, math.ceil(moved / broker), math.ceil(by_disk))
    return [
        Need("kafka", "into the topic", rate / 1e6, "MB/s", said),
        Need(
            "kafka",
            "partitions",
            partitions,
            "partitions",
            f"at least {GROWTH} for each of {workers:,} workers and {LEAST_PARTITIONS}, equally "
            f"many for each, {kept} {per_partition / 1e6:g} MB/s in one",
            assumed=not cost["partition_bytes_per_second"].measured,
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
            assumed=not (
                cost["broker_bytes_per_second"].measured and cost["broker_disk_bytes"].measured
            ),
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


def _producers(load: Load, each: float, cost: Costs) -> tuple[int, list[Need]]:
    """Return how many producers, and what they need; ``each`` is a camera's cores."""
    cores = load.cameras * each
    together = max(1, int(FULLEST_LOAD * PRODUCER_CORES / each))
    enough = fewest_places(load.cameras, together)
    by_mean = math.ceil(cores / MEAN_LOAD / PRODUCER_CORES)
    # More than keep all cameras apart would have nothing to do.
    producers = max(enough, min(by_mean, fewest_places(load.cameras, 1)))
    most = most_at_one(load.cameras, producers)
    width, height = load.published
    return producers, [
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
            _busy(cores / (producers * PRODUCER_CORES), most, most * each / PRODUCER_CORES)
            + f"; PRODUCER_SHARD i/{producers}",
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


def _producer_bytes(load: Load, producers: int, cost: Costs) -> float:
    cameras = math.ceil(load.cameras / producers)
    return cost["producer_bytes"].value + cameras * camera_bytes(load, cost)


def _result_bytes(load: Load, cost: Costs) -> float:
    each = cost["result_bytes"].value + load.objects * cost["result_bytes_per_object"].value
    return each * cost["redis_bytes_per_byte"].value


def _kept(load: Load) -> float:
    return min(load.kept_results, load.fps * load.kept_seconds) + 1  # and the newest by itself


def _redis_bytes(load: Load, cost: Costs) -> float:
    """Return the memory that a camera takes of Redis, in bytes."""
    return _kept(load) * _result_bytes(load, cost) + cost["tracks_state_bytes"].value


def _redis(load: Load, takes: CameraTakes, cost: Costs) -> list[Need]:
    frames = load.cameras * load.fps
    state = cost["tracks_state_bytes"].value
    memory = load.cameras * takes.redis_bytes
    busy = load.cameras * takes.redis_load
    node = cost["redis_node_bytes"].value * MEMORY_SHARE
    nodes = max(1, math.ceil(memory / node), math.ceil(busy / REDIS_LOAD))
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
            f"at most {REDIS_LOAD:.0%} of a core and {node / 1e9:.2g} GB each; more than one is a "
            "Redis Cluster, with a replica each",
            assumed=not cost["redis_node_bytes"].measured,
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
            assumed=not cost["prometheus_series"].measured,
        ),
    ]


def _series_per_camera(cost: Costs) -> float:
    return cost["producer_series_per_camera"].value + cost["worker_series_per_camera"].value


def _limits(
    load: Load, takes: CameraTakes, capacity: float, assumed: bool, cost: Costs
) -> list[Limit]:
    per_camera = load.fps * takes.record_bytes
    redis_memory = cost["redis_node_bytes"].value * MEMORY_SHARE
    found = (
        ("a worker", MEAN_LOAD * capacity / load.fps, f"{MEAN_LOAD:.0%} of its time", assumed),
        (
            "a producer",
            MEAN_LOAD * PRODUCER_CORES / takes.producer_cores,
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
            REDIS_LOAD / takes.redis_load,
            f"{REDIS_LOAD:.0%} of its time",
            False,
        ),
        (
            "a Redis node's memory",
            redis_memory / takes.redis_bytes,
            f"{redis_memory / 1e9:.2g} GB",
            True,
        ),
        (
            "a Prometheus",
            cost["prometheus_series"].value / takes.series,
            f"{cost['prometheus_series'].value:,.0f} series",
            True,
        ),
    )
    return [Limit(part, int(cameras), why, guess) for part, cameras, why, guess in found]
