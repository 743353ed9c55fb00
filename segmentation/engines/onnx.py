"""The network in ONNX Runtime: images in, maps out.

Library: onnxruntime (or onnxruntime-gpu, or onnxruntime-openvino; they install the same module).

Shape letters: N batch, H, W the input, S bandwidths.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from contract import artifact as contract
from contract.artifact import Artifact
from contract.errors import DeviceError
from segmentation.engines.base import Predictions
from segmentation.engines.choice import NAMES, BatchSizes, Device, PrecisionWanted, Provider
from segmentation.engines.device_runner import DeviceRunner
from segmentation.engines.gpu_options import GpuOptions
from segmentation.engines.open_model import open_model
from segmentation.engines.parallel_runs import Outputs, joined
from segmentation.engines.sessions import Tuning

_RUN_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.RuntimeException,
    RuntimeError,
)

_ON_GPU = GpuOptions()

log = logging.getLogger(__name__)


class OnnxEngine:
    """Runs a model artifact on the provider that was chosen.

    On a GPU only the given batch sizes and the artifact's input size are ever run (a smaller batch
    is padded up), because each new shape costs a search for convolution algorithms; :meth:`warm_up`
    pays for them before the first frame. On the CPU a new shape costs nothing and padding would
    cost time: every batch runs as it is, a thread for each image where there are as many, and
    images have any size that the graph takes, unless ``fixed_size`` says that one is enough.

    Args:
        model: The artifact's folder or file.
        provider: What to run on. ``auto`` takes what works; any other refuses to run elsewhere.
        intra_op_threads: Threads of one operator on the CPU; 0 leaves it to the provider.
        batch_sizes: Batch sizes to run, or what tells them of what was chosen; the largest bounds
            :meth:`run`.
        precision: Which file of the artifact to run; ``auto`` takes the fastest there.
        fixed_size: Whether images of the artifact's size are enough, which run faster.
        spinning: Whether the network's threads on the CPU wait for each other without sleeping:
            a run alone is a sixth faster, and what shares its cores is slower.
        gpu: How it runs on a GPU.

    Raises:
        ConfigurationError: No model there, a foreign or corrupt file, a graph that does not fit its
            metadata, or what was asked for is unavailable.
    """

    def __init__(
        self,
        model: Path | str,
        provider: Provider = "auto",
        intra_op_threads: int = 0,
        batch_sizes: Sequence[int] | BatchSizes = (1,),
        *,
        precision: PrecisionWanted = "auto",
        fixed_size: bool = False,
        spinning: bool = True,
        gpu: GpuOptions = _ON_GPU,
    ) -> None:
        tuning = Tuning(
            threads=intra_op_threads,
            fixed_size=fixed_size,
            spinning=spinning,
            gpu=gpu,
        )
        sizes_of = batch_sizes if callable(batch_sizes) else lambda choice, artifact: batch_sizes
        opened = open_model(Path(model), provider, precision, tuning, sizes_of)
        self._session = opened.session
        self.choice = opened.choice
        self.path = opened.choice.file
        self.artifact: Artifact = opened.graph.artifact
        self._runner: DeviceRunner | None = opened.runner
        self._side_by_side = opened.side_by_side
        self._graph_varies = opened.graph.sizes_vary
        self.variable_size = opened.graph.sizes_vary and not fixed_size and not self.choice.on_gpu
        self.batch_sizes = opened.batch_sizes
        log.info(
            "model %s/%s in %s on %s, batches of %s: %s",
            *(self.artifact.name, self.artifact.version, self.artifact.precision, self.provider),
            *(self.batch_sizes, self.choice.reason),
        )

    @property
    def provider(self) -> Device:
        """What runs the network."""
        return self.choice.provider

    @property
    def returned_bytes(self) -> int | None:
        """Bytes of maps that left the device in the last run; None where it does not tell."""
        return None if self._runner is None else self._runner.returned_bytes

    @property
    def page_locked(self) -> bool:
        """Whether the device reads the memory of `new_batch` by itself."""
        return self._runner is not None and self._runner.page_locked

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels that the artifact declares; frames are letterboxed to it."""
        return self.artifact.height, self.artifact.width

    def new_batch(self) -> NDArray[np.uint8]:
        """Return memory for the largest batch, uint8 (N, H, W, 3), which `run` takes fastest."""
        if self._runner is not None:
            return self._runner.new_batch(self.batch_sizes[-1])
        return np.empty((self.batch_sizes[-1], *self.input_size, 3), np.uint8)

    def warm_up(self) -> None:
        """Run every batch size once on black images, so that no frame waits for a search.

        On the CPU, where only the first run is slower, the smallest one is enough, and one with an
        image for each thread.

        Raises:
            DeviceError: The device failed, for instance out of memory: use smaller batches.
        """
        on_cpu = self.batch_sizes[:1]
        if self._side_by_side is not None:
            on_cpu = (*on_cpu, self._side_by_side.threads)
        for size in self.batch_sizes if self.choice.on_gpu else on_cpu:
            self.run(np.zeros((size, *self.input_size, 3), np.uint8))

    def run(self, images: NDArray[np.uint8]) -> Predictions:
        """Run a batch.

        Args:
            images: uint8 (N, H, W, 3) RGB, N from 1 to the largest batch size; H and W are the
                artifact's, or any multiples of 8 with ``variable_size``.

        Raises:
            ValueError: The shape or type is not that.
            DeviceError: The device failed; the engine is of no further use.
        """
        n = len(images)
        if not self._takes(images.shape) or images.dtype != np.uint8:
            raise ValueError(
                f"images are {images.dtype} {images.shape}, expected uint8 {self._expected()}"
            )
        if not 1 <= n <= self.batch_sizes[-1]:
            raise ValueError(f"a batch of {n}, expected 1..{self.batch_sizes[-1]}")
        size = padded_size(n, self.batch_sizes) if self.choice.on_gpu else n
        try:
            if self._runner is not None:
                return self._runner.run(images, size)
            return Predictions.first(n, self._outputs(images, size))
        except _RUN_ERRORS as error:
            raise DeviceError(
                f"{NAMES[self.provider]} failed on a batch of {size}: {error}"
            ) from error

    def _outputs(self, images: NDArray[np.uint8], size: int) -> Outputs:
        if size > len(images):
            padding = np.zeros((size - len(images), *images.shape[1:]), np.uint8)
            images = np.concatenate([images, padding])
        parts: list[Outputs] = []
        if self._side_by_side is not None:
            share = self._side_by_side.share(len(images))
            parts, images = self._side_by_side.run(images[:share]), images[share:]
        if len(images):
            parts.append(self._session.run(list(contract.OUTPUTS), {contract.INPUT: images}))
        return joined(parts)

    def _takes(self, shape: tuple[int, ...]) -> bool:
        if len(shape) != 4 or shape[3] != 3:
            return False
        if not self.variable_size:
            return shape[1:3] == self.input_size
        return all(side > 0 and side % contract.STRIDE == 0 for side in shape[1:3])

    def _expected(self) -> str:
        if self.variable_size:
            return f"(N, H, W, 3) with H and W multiples of {contract.STRIDE}"
        reason = "which its graph fixes"
        if self._graph_varies:
            on_gpu = self.choice.on_gpu
            reason = f"on {NAMES[self.provider]}" if on_gpu else "which alone was asked for"
        height, width = self.input_size
        return f"(N, {height}, {width}, 3), the artifact's size {reason}"


def padded_size(n: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the ascending ``sizes`` that holds ``n`` images."""
    return next(size for size in sizes if size >= n)
