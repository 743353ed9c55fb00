"""What runs the network: the one place that chooses an engine for a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segmentation.engines.choice import BatchSizes as BatchSizes
from segmentation.engines.choice import Choice as Choice
from segmentation.engines.choice import PrecisionWanted as PrecisionWanted
from segmentation.engines.choice import Provider as Provider
from segmentation.engines.gpu_options import GpuOptions as GpuOptions

if TYPE_CHECKING:
    from segmentation.engines.onnx import OnnxEngine

_ON_GPU = GpuOptions()


def open_engine(
    model: Path | str,
    provider: Provider = "auto",
    *,
    precision: PrecisionWanted = "auto",
    threads: int = 0,
    batch_sizes: Sequence[int] | BatchSizes = (1,),
    fixed_size: bool = False,
    spinning: bool = True,
    gpu: GpuOptions = _ON_GPU,
) -> "OnnxEngine":
    """Open a model artifact with the provider and the file that fit this machine.

    Args:
        model: The artifact's folder or file.
        provider: What to run on; see ``Provider``.
        precision: Which file of the artifact to run; see ``PrecisionWanted``.
        threads: Threads of the network on the CPU; 0 leaves the choice to the provider.
        batch_sizes: Batch sizes that will be run, or what tells them of what was chosen.
        fixed_size: Whether images of the artifact's size are enough, which run faster.
        spinning: Whether the network's threads on the CPU wait for each other without sleeping:
            a run alone is a sixth faster, and what shares its cores is slower.
        gpu: How it runs on a GPU.

    Raises:
        ConfigurationError: The model does not load, or what was asked for is unavailable.
    """
    # Here: whoever only names a provider does not load ONNX Runtime.
    from segmentation.engines.onnx import OnnxEngine

    return OnnxEngine(
        model,
        provider,
        threads,
        batch_sizes,
        precision=precision,
        fixed_size=fixed_size,
        spinning=spinning,
        gpu=gpu,
    )
