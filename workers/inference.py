"""The network and the clustering as the settings ask for them."""

from collections.abc import Callable
from dataclasses import dataclass

from segmentation.engines import open_engine
from segmentation.segmenter import Segmenter as ModelSegmenter
from workers.ports import Segmenter
from workers.settings import WorkerSettings

_CUDA_BATCH = 8
_CPU_BATCH = 1


@dataclass(frozen=True, slots=True)
class Inference:
    """What finds the instances.

    Attributes:
        segmenter: Finds them.
        provider: Where the network runs, for the metrics.
        max_batch_size: Most frames that should run together.
        warm_up: Runs everything once, so that the first frame does not wait.
    """

    segmenter: Segmenter
    provider: str
    max_batch_size: int
    warm_up: Callable[[], None]


def build_inference(settings: WorkerSettings) -> Inference:
    """Load the model.

    Raises:
        ConfigurationError: The model does not fit or the provider is not to be had.
    """
    largest = settings.max_batch_size or _CUDA_BATCH
    engine = open_engine(
        settings.model,
        settings.provider,
        threads=settings.intra_op_threads,
        batch_sizes=batch_sizes_up_to(largest),
    )
    segmenter = ModelSegmenter(
        engine,
        score_threshold=settings.score_threshold,
        resize=settings.resize,
        threads=settings.cluster_threads,
    )

    def warm_up() -> None:
        engine.warm_up()
        segmenter.warm_up()

    default = _CPU_BATCH if engine.provider == "cpu" else _CUDA_BATCH
    return Inference(segmenter, engine.provider, settings.max_batch_size or default, warm_up)


def batch_sizes_up_to(largest: int) -> tuple[int, ...]:
    """Return the powers of two below ``largest``, and ``largest``: each is warmed on CUDA."""
    sizes = [1]
    while sizes[-1] * 2 < largest:
        sizes.append(sizes[-1] * 2)
    return (*sizes, largest) if largest > 1 else (1,)
