"""What one camera takes of what cannot be shared, and what to do where that is too much.

A camera lies in one partition, and has one producer, one worker and one slot of a Redis Cluster:
more of them help no camera that fills one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from contract.frame import MAX_FRAME_PIXELS
from contract.topics import MAX_RECORD_BYTES
from planner.load import Costs, Load
from planner.shares import FULLEST_LOAD, MEAN_LOAD, MEMORY_SHARE, PRODUCER_CORES, REDIS_LOAD

_SMALLER = "publish fewer (--fps) or smaller frames (--max-side)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraTakes:
    """What one camera takes.

    Attributes:
        producer_cores: Cores of its producer.
        record_bytes: Of one frame's record.
        redis_bytes: Memory of its Redis node.
        redis_load: Share of that node's thread.
        series: Of its Prometheus.
    """

    producer_cores: float
    record_bytes: float
    redis_bytes: float
    redis_load: float
    series: float


def misfits(load: Load, takes: CameraTakes, capacity: float, cost: Costs) -> Iterator[str]:
    """Say which parts one camera overfills, and what to do.

    Args:
        load: What there is to do.
        takes: What one camera takes.
        capacity: Frames per second of one worker.
        cost: What one of each part has.
    """
    if load.fps > FULLEST_LOAD * capacity:
        yield (
            f"one camera at {load.fps:g} frames/s is more than a worker carries ({capacity:.3g} "
            "frames/s): a camera cannot be shared; lower its fps, use a smaller model or a GPU, or "
            "publish smaller frames (--max-side) where decoding is what fills it"
        )
    yield from _producer_and_frames(load, takes)
    yield from _servers(load, takes, cost)


def _producer_and_frames(load: Load, takes: CameraTakes) -> Iterator[str]:
    if takes.producer_cores > FULLEST_LOAD * PRODUCER_CORES:
        yield (
            f"one camera takes {takes.producer_cores:.3g} cores of its producer, more than "
            f"{FULLEST_LOAD:.0%} of {PRODUCER_CORES}: a camera cannot be shared; let it send fewer "
            f"(--camera-fps) or smaller frames (--size, a substream), or {_SMALLER}"
        )
    width, height = load.published
    if width * height > MAX_FRAME_PIXELS:
        yield (
            f"frames of {width}x{height} are larger than the {MAX_FRAME_PIXELS:,} pixels that "
            "producers and workers take unless told otherwise: publish smaller ones (--max-side), "
            "or raise PRODUCER_MAX_FRAME_PIXELS and WORKER_MAX_FRAME_PIXELS"
        )
    if takes.record_bytes > MAX_RECORD_BYTES:
        yield (
            f"a frame's record has {takes.record_bytes:,.0f} bytes, more than the "
            f"{MAX_RECORD_BYTES:,} of the largest one: publish smaller frames (--max-side)"
        )


def _servers(load: Load, takes: CameraTakes, cost: Costs) -> Iterator[str]:
    rate, most = load.fps * takes.record_bytes, cost["partition_bytes_per_second"].value
    if rate > most:
        yield (
            f"one camera brings {rate / 1e6:,.3g} MB/s to its partition, more than the "
            f"{most / 1e6:.3g} MB/s that one takes: a camera has one partition; {_SMALLER}"
        )
    moved, network = 2 * rate, MEAN_LOAD * cost["broker_bytes_per_second"].value
    if moved > network:
        yield (
            f"one camera moves {moved / 1e6:,.3g} MB/s, written and read, at its partition's "
            f"broker, more than {network / 1e6:.3g} MB/s: a partition has one leader; {_SMALLER}"
        )
    memory = MEMORY_SHARE * cost["redis_node_bytes"].value
    if takes.redis_bytes > memory:
        yield (
            f"the results of one camera take {takes.redis_bytes / 1e9:,.3g} GB, more than the "
            f"{memory / 1e9:.3g} GB of a Redis node, and a camera's keys are at one: keep fewer "
            "(--kept-results, --kept-seconds)"
        )
    if takes.redis_load > REDIS_LOAD:
        yield (
            f"one camera takes {takes.redis_load:.0%} of its Redis node's thread, more than "
            f"{REDIS_LOAD:.0%}, and a camera's keys are at one: lower its fps (--fps)"
        )
    if takes.series > cost["prometheus_series"].value:
        yield (
            f"one camera has {takes.series:,.0f} series, more than the "
            f"{cost['prometheus_series'].value:,.0f} of a Prometheus: give one more memory"
        )


def crowded(load: Load, capacity: float, workers: int, most: float) -> list[str]:
    """Say where two cameras at one worker are too many, or most workers are there to avoid it."""
    hot = most * load.fps / capacity
    if load.fps > FULLEST_LOAD * capacity or (hot <= FULLEST_LOAD and workers <= load.cameras):
        return []
    if load.cameras == 1:
        return []
    outcome = (
        "most of these workers would idle"
        if hot <= FULLEST_LOAD
        else f"with any number of workers the fullest has {most:.0f} cameras, {hot:.0%} of its time"
    )
    return [
        f"a worker carries {capacity / load.fps:.2g} cameras, and its partitions may bring it "
        f"more: {outcome}; give workers more cores (--worker-cores) or a GPU, or lower --fps"
    ]
