"""What runs the network: the one place that chooses an engine for a model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segmentation.engines.base import Provider as Provider

if TYPE_CHECKING:
    from segmentation.engines.onnx import OnnxEngine


def open_engine(
    model: Path | str,
    provider: Provider = "auto",
    *,
    threads: int = 0,
    batch_sizes: Sequence[int] = (1,),
) -> "OnnxEngine":
    """Open a model artifact with the engine that fits ``provider``.

    Args:
        model: The artifact's folder or file.
        provider: What to run on; see ``Provider``.
        threads: Threads of the network on the CPU; 0 leaves the choice to the engine.
        batch_sizes: Batch sizes that will be run.

    Raises:
        ConfigurationError: The model does not load, or the provider is unavailable.
    """
    # Here: whoever only names a provider does not load ONNX Runtime.
    from segmentation.engines.onnx import OnnxEngine

    return OnnxEngine(model, provider, threads, batch_sizes)
