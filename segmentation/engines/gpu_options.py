"""How the network runs on a GPU. Pure: no input or output."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class GpuOptions:
    """How the network runs on a GPU; the benchmarks turn each part off.

    Attributes:
        binding: Whether pictures and maps lie in memory of the device that is bound once, instead
            of being made anew for each run.
        foreground: Whether only the foreground of the maps leaves the device. The maps are then 0
            elsewhere, which clustering never reads. Needs ``binding``.
        page_locked: Whether batches of pictures lie in memory of the host that the device reads by
            itself, where ONNX Runtime offers it. Needs ``binding``.
        cuda_graphs: Whether CUDA records a run of each batch size and plays it back, which saves
            the processor the work of starting every kernel. Needs ``binding``.
        tensorrt_cache: Folder in which TensorRT keeps the engines that it has built; None builds
            them at every start.
    """

    binding: bool = True
    foreground: bool = True
    page_locked: bool = True
    cuda_graphs: bool = False
    tensorrt_cache: Path | None = None
