"""What finds the instances in a worker: the engine and its batches, chosen by the settings."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from contract.artifact import Artifact
from segmentation.engines import Choice, GpuOptions, open_engine
from segmentation.segmenter import Segmenter
from workers.decoders import DECODE_THREADS
from workers.settings import WorkerSettings

_CUDA_BATCH = 8
_CPU_BATCH = 4
_CPU_BATCH_PIXELS = 1 << 20
"""A batch on the CPU costs a little less than its frames one by one, as long as what the network
computes stays small: four frames of 512x384, one of 2048x1024."""

_CUDA_LINGER_SECONDS = 0.02
"""How long the first frame of a batch waits for others where a batch costs hardly more than one
frame. On the CPU it costs as much as its frames one by one: a batch is what waits anyhow."""

_THREADS = 2
_MOST_THREADS = 4
"""Frames of a batch that are described side by side, and frames that are decoded; beside a GPU up
to the most, by cores. One of 2048x1024 takes 8 ms to decode and 4 ms to describe: two threads would
hold a GPU to 250 a second. Those that describe, and the stage's own thread, which describes a frame
that comes alone, have memory of their own, up to 54 bytes a pixel."""


@dataclass(frozen=True, slots=True)
class Inference:
    """What finds the instances.

    Attributes:
        segmenter: Finds them.
        provider: Where the network runs, for the metrics.
        max_batch_size: Most frames that should run together.
        warm_up: Runs everything once, so that the first frame does not wait.
        linger_seconds: How long the first frame of a batch waits for others, in seconds.
        precision: Of the file that runs, for the metrics.
        reason: Why this provider and this file, for the metrics.
        decode_threads: Frames that are decoded side by side.
    """

    segmenter: Segmenter
    provider: str
    max_batch_size: int
    warm_up: Callable[[], None]
    linger_seconds: float = 0.0
    precision: str = "unknown"
    reason: str = ""
    decode_threads: int = DECODE_THREADS


def build_inference(settings: WorkerSettings) -> Inference:
    """Load the model.

    Raises:
        ConfigurationError: The model does not fit or the provider is unavailable.
    """

    def batch_sizes(choice: Choice, artifact: Artifact) -> tuple[int, ...]:
        return batch_sizes_up_to(settings.max_batch_size or _largest_batch(choice, artifact))

    engine = open_engine(
        settings.model,
        settings.provider,
        precision=settings.precision,
        threads=settings.intra_op_threads,
        batch_sizes=batch_sizes,
        fixed_size=settings.resize != "tile",
        spinning=False,  # decoding and clustering have the same cores
        gpu=GpuOptions(tensorrt_cache=settings.tensorrt_cache),
    )
    choice = engine.choice
    batch_size = engine.batch_sizes[-1]
    threads = host_threads(len(os.sched_getaffinity(0)), on_gpu=choice.on_gpu)
    segmenter = Segmenter(
        engine,
        batch_size=batch_size,
        new_batch=engine.new_batch,
        score_threshold=settings.score_threshold,
        resize=settings.resize,
        threads=threads,
    )

    def warm_up() -> None:
        engine.warm_up()
        segmenter.warm_up()

    return Inference(
        segmenter,
        choice.provider,
        batch_size,
        warm_up,
        linger_seconds=_CUDA_LINGER_SECONDS if choice.on_gpu else 0.0,
        precision=choice.precision,
        reason=choice.reason,
        decode_threads=threads,
    )


def _largest_batch(choice: Choice, artifact: Artifact) -> int:
    if choice.on_gpu:
        return _CUDA_BATCH
    return min(_CPU_BATCH, max(1, _CPU_BATCH_PIXELS // (artifact.height * artifact.width)))


def host_threads(cores: int, *, on_gpu: bool) -> int:
    """Return how many frames are decoded side by side, and as many described."""
    return max(_THREADS, min(_MOST_THREADS, cores // 4)) if on_gpu else _THREADS


def batch_sizes_up_to(largest: int) -> tuple[int, ...]:
    """Return the powers of two below ``largest``, and ``largest``: each is warmed on CUDA."""
    sizes = [1]
    while sizes[-1] * 2 < largest:
        sizes.append(sizes[-1] * 2)
    return (*sizes, largest) if largest > 1 else (1,)
