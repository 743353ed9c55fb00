"""The network in ONNX Runtime: images in, maps out.

Library: onnxruntime (or onnxruntime-gpu; they install the same module).

Shape letters: N batch, H, W the input, S bandwidths.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from contract import artifact as contract
from contract import artifact_files
from contract.artifact import Artifact
from contract.errors import ConfigurationError, DeviceError
from contract.plain_files import check_self_contained
from segmentation.engines.base import Predictions, Provider

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"

# ONNX Runtime's errors have no common base of their own.
_LOAD_ERRORS = (
    ort_errors.EPFail,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    UnicodeDecodeError,  # of a name that is not UTF-8
)
_RUN_ERRORS = (
    ort_errors.EPFail,
    ort_errors.EngineError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.RuntimeException,
    RuntimeError,
)

log = logging.getLogger(__name__)


class OnnxEngine:
    """Runs a model artifact on the CPU or on CUDA.

    With CUDA only the given batch sizes and the artifact's input size are ever run (a smaller batch
    is padded up), because each new shape costs a search for convolution algorithms; :meth:`warm_up`
    pays for them before the first frame. On the CPU a new shape costs nothing and padding would
    cost time: every batch runs as it is, and images have any size that the graph takes.

    Args:
        model: The artifact's folder or file.
        provider: ``cuda`` refuses to run elsewhere; ``auto`` takes CUDA where it works, else the
            CPU, and logs which.
        intra_op_threads: Threads of one operator on the CPU; 0 leaves it to ONNX Runtime.
        batch_sizes: Batch sizes to run; the largest bounds :meth:`run`.

    Raises:
        ConfigurationError: No model there, a foreign or corrupt file, a graph that does not fit its
            metadata, or CUDA was asked for and is unavailable.
    """

    def __init__(
        self,
        model: Path | str,
        provider: Provider = "auto",
        intra_op_threads: int = 0,
        batch_sizes: Sequence[int] = (1,),
    ) -> None:
        if not batch_sizes or min(batch_sizes) < 1:
            raise ValueError(f"batch_sizes is {list(batch_sizes)}, expected numbers >= 1")
        self.path = artifact_files.find_model(Path(model))
        self._session = _open(self.path, provider, intra_op_threads)
        self.provider: Literal["cpu", "cuda"] = (
            "cuda" if self._session.get_providers()[0] == _CUDA else "cpu"
        )
        self.artifact: Artifact
        self.artifact, sizes_vary = _described(self._session, self.path)
        self.variable_size = sizes_vary and self.provider == "cpu"
        self.batch_sizes = tuple(sorted(set(batch_sizes)))
        log.info(
            "model %s/%s on %s, batches of %s",
            *(self.artifact.name, self.artifact.version, self.provider, self.batch_sizes),
        )

    @property
    def input_size(self) -> tuple[int, int]:
        """(height, width) in pixels that the artifact declares; frames are letterboxed to it."""
        return self.artifact.height, self.artifact.width

    def warm_up(self) -> None:
        """Run every batch size once on black images, so that no frame waits for a search.

        On the CPU, where only the first run is slower, the smallest one is enough.

        Raises:
            DeviceError: The device failed, for instance out of memory: use smaller batches.
        """
        sizes = self.batch_sizes if self.provider == "cuda" else self.batch_sizes[:1]
        for size in sizes:
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
        size = n if self.provider == "cpu" else padded_size(n, self.batch_sizes)
        if size > n:
            padding = np.zeros((size - n, *images.shape[1:]), np.uint8)
            images = np.concatenate([images, padding])
        try:
            outputs = self._session.run(list(contract.OUTPUTS), {contract.INPUT: images})
        except _RUN_ERRORS as error:
            raise DeviceError(f"{self.provider} failed on a batch of {size}: {error}") from error
        offset, bandwidth, seed, class_index = (output[:n] for output in outputs)
        return Predictions(_float32(offset), _float32(bandwidth), _float32(seed), class_index)

    def _takes(self, shape: tuple[int, ...]) -> bool:
        if len(shape) != 4 or shape[3] != 3:
            return False
        if not self.variable_size:
            return shape[1:3] == self.input_size
        return all(side > 0 and side % contract.STRIDE == 0 for side in shape[1:3])

    def _expected(self) -> str:
        if self.variable_size:
            return f"(N, H, W, 3) with H and W multiples of {contract.STRIDE}"
        reason = "on CUDA" if self.provider == "cuda" else "which its graph fixes"
        height, width = self.input_size
        return f"(N, {height}, {width}, 3), the artifact's size {reason}"


def padded_size(n: int, sizes: Sequence[int]) -> int:
    """Return the smallest of the ascending ``sizes`` that holds ``n`` images."""
    return next(size for size in sizes if size >= n)


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    return values.astype(np.float32, copy=False)


def _open(path: Path, provider: Provider, intra_op_threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = intra_op_threads
    options.log_severity_level = 3  # errors; a fallback is told here, in words
    wanted = _providers(provider)
    check_self_contained(path)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=wanted)
    except _LOAD_ERRORS as error:
        raise ConfigurationError(
            f"{path}: not a model that ONNX Runtime {onnxruntime.__version__} can load: {error}; "
            "copy it again or export it again with `seedstream export`"
        ) from error
    # ONNX Runtime goes on with the CPU without a word when CUDA does not start.
    if wanted[0] == _CUDA and session.get_providers()[0] != _CUDA:
        reason = "ONNX Runtime could not start CUDA (driver or CUDA libraries)"
        if provider == "cuda":
            raise ConfigurationError(_no_cuda(reason))
        log.warning("running on the CPU: %s", reason)
    return session


def _providers(provider: Provider) -> list[str]:
    if provider == "cpu":
        return [_CPU]
    if _CUDA not in onnxruntime.get_available_providers():
        reason = "the installed ONNX Runtime has no CUDA provider"
        if provider == "cuda":
            raise ConfigurationError(
                _no_cuda(f"{reason}; install seedstream[gpu] instead of [cpu]")
            )
        log.info("running on the CPU: %s", reason)
        return [_CPU]
    if hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA libraries of pip packages
    return [_CUDA, _CPU]


def _no_cuda(reason: str) -> str:
    return (
        f"provider is 'cuda', but {reason}; set the provider to 'auto' or 'cpu' to run without it"
    )


def _described(session: Any, path: Path) -> tuple[Artifact, bool]:
    """Return what a file's metadata say, and whether its graph, which must fit, takes any size."""
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        artifact = contract.from_metadata(metadata, str(path))
        return artifact, _check_graph(session, artifact, path)
    except UnicodeDecodeError as error:  # ONNX Runtime looks at text only when it is asked for
        raise ConfigurationError(
            f"{path}: its metadata or names are not UTF-8 ({error}): a broken file; copy it again"
        ) from error


def _check_graph(session: Any, artifact: Artifact, path: Path) -> bool:
    """Compare the graph's inputs and outputs with what its metadata promise.

    Returns:
        Whether H and W vary; ONNX Runtime shows a size that does as a name or None.
    """
    found = {each.name: each for each in (*session.get_inputs(), *session.get_outputs())}
    varies = contract.INPUT in found and _sizes_vary(found[contract.INPUT].shape[1:3])
    size: list[int | str] = ["H", "W"] if varies else [artifact.height, artifact.width]
    expected = {
        contract.INPUT: (("tensor(uint8)",), [*size, 3]),
        contract.OFFSET: (("tensor(float)", "tensor(float16)"), [2, *size]),
        contract.BANDWIDTH: (("tensor(float)", "tensor(float16)"), [artifact.n_sigma, *size]),
        contract.SEED: (("tensor(float)", "tensor(float16)"), size),
        contract.CLASS_INDEX: (("tensor(uint8)",), size),
    }
    faults = []
    for name, (types, shape) in expected.items():
        if name not in found:
            faults.append(f"{path}: no input or output '{name}', found {sorted(found)}")
            continue
        seen = found[name]
        if seen.type not in types or not _fits(seen.shape, ["N", *shape]):
            dynamic = "N, H and W" if varies else "N"
            faults.append(
                f"{path}: '{name}' is {seen.type} {seen.shape}, expected {types[0]} "
                f"{['N', *shape]} with {dynamic} dynamic"
            )
    if faults:
        raise ConfigurationError([*faults, f"{path}: export it again with `seedstream export`"])
    return varies


def _sizes_vary(sizes: Sequence[int | str | None]) -> bool:
    return bool(sizes) and not any(isinstance(each, int) for each in sizes)


def _fits(seen: Sequence[int | str | None], expected: Sequence[int | str]) -> bool:
    """Whether a shape is the expected one, in which names stand for sizes that vary."""
    return len(seen) == len(expected) and all(
        one == other if isinstance(other, int) else not isinstance(one, int)
        for one, other in zip(seen, expected, strict=True)
    )
