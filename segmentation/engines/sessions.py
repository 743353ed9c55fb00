"""ONNX Runtime's sessions: which providers there are, what each is told, whether it started.

Library: onnxruntime (or onnxruntime-gpu, or onnxruntime-openvino; they install the same module).
"""

import contextlib
import ctypes
import importlib.util
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime

from contract import artifact as contract
from contract.errors import ConfigurationError
from segmentation.engines.choice import FAST_INT8, NAMES, Device
from segmentation.engines.gpu_options import GpuOptions
from segmentation.engines.model_graph import LOAD_ERRORS, ModelGraph, not_loadable

ORT_NAMES: Mapping[Device, str] = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""What ONNX Runtime calls the providers."""

_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Features of processors that compute in bfloat16 (x86, ARM)."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a session is told beside its provider and file.

    Attributes:
        threads: Of one operator on the CPU; 0 leaves the choice to the provider.
        side_by_side: Images that run at the same time on the CPU, each on a thread of its own.
        fixed_size: Whether only images of the artifact's size are run, which saves time.
        spinning: Whether threads on the CPU wait for each other without sleeping.
        largest_batch: Most images of a run, for TensorRT, which prepares for them.
        gpu: How it runs on a GPU.
    """

    threads: int = 0
    side_by_side: int = 1
    fixed_size: bool = False
    spinning: bool = True
    largest_batch: int = 1
    gpu: GpuOptions = field(default_factory=GpuOptions)


class NotStartedError(Exception):
    """A provider that is installed did not start; the message says why."""


def available_devices() -> dict[Device, str | None]:
    """Return the providers of the installed ONNX Runtime; each may still fail to start."""
    found = onnxruntime.get_available_providers()
    return {device: None for device, name in ORT_NAMES.items() if name in found}


def open_session(
    file: Path, graph: ModelGraph, device: Device, features: Collection[str], tuning: Tuning
) -> Any:
    """Open a model file on one provider.

    Raises:
        ConfigurationError: The file does not load.
        NotStartedError: The provider did not start.
    """
    on_gpu = device in ("cuda", "tensorrt")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1 if tuning.side_by_side > 1 else tuning.threads
    if not tuning.spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if graph.artifact.precision == "int8" and not FAST_INT8 & {*features}:
        # Without VNNI, x86 adds pairs of products in 16 bits, which 8-bit weights overflow.
        options.add_session_config_entry("session.x64quantprecision", "1")
    options.log_severity_level = 3  # errors; a fallback is told here, in words
    if graph.size_names is not None and (tuning.fixed_size or on_gpu):
        sizes = graph.artifact.height, graph.artifact.width
        for name, size in zip(graph.size_names, sizes, strict=True):
            options.add_free_dimension_override_by_name(name, size)
    if on_gpu and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()  # finds the CUDA libraries of pip packages
    if device == "tensorrt":
        _preload_tensorrt()
        _make_engine_folder(graph, tuning)
    providers = _providers(device, graph, features, tuning)
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=providers)
    except LOAD_ERRORS as error:
        if device == "cpu":
            raise not_loadable(file, error) from error
        raise NotStartedError(f"ONNX Runtime could not start {NAMES[device]}: {error}") from error
    # ONNX Runtime goes on with the CPU without a word when a provider does not start.
    if session.get_providers()[0] != ORT_NAMES[device]:
        libraries = f"driver or {NAMES[device]} libraries" if on_gpu else "its libraries"
        raise NotStartedError(f"ONNX Runtime could not start {NAMES[device]} ({libraries})")
    return session


def _make_engine_folder(graph: ModelGraph, tuning: Tuning) -> None:
    if tuning.gpu.tensorrt_cache is None:
        return
    folder = engine_folder(tuning.gpu.tensorrt_cache, graph, tuning)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder}: cannot keep TensorRT's engines there: {error.strerror}; set "
            "WORKER_TENSORRT_CACHE to a folder that can be written, or unset it"
        ) from error


def _preload_tensorrt() -> None:
    """Load TensorRT's libraries where they came as a pip package, which ONNX Runtime leaves out."""
    spec = importlib.util.find_spec("tensorrt_libs")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        for name in ("nvinfer", "nvinfer_plugin", "nvonnxparser"):  # each needs those before it
            for library in sorted(Path(folder).glob(f"lib{name}.so.*")):
                with contextlib.suppress(OSError):  # ONNX Runtime says what it misses
                    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


def _providers(
    device: Device, graph: ModelGraph, features: Collection[str], tuning: Tuning
) -> list[Any]:
    """Providers with their options, the wanted one first; the CPU takes what that one leaves."""
    cuda = (ORT_NAMES["cuda"], cuda_options(tuning))
    first: dict[Device, list[Any]] = {
        "cpu": [],
        "openvino": [(ORT_NAMES["openvino"], openvino_options(features, tuning))],
        "cuda": [cuda],
        "tensorrt": [(ORT_NAMES["tensorrt"], tensorrt_options(graph, tuning)), cuda],
    }
    return [*first[device], ORT_NAMES["cpu"]]


def openvino_options(features: Collection[str], tuning: Tuning) -> dict[str, str]:
    """Return OpenVINO's options: one frame as fast as possible, unless many run side by side.

    In bfloat16 where that is fast.
    """
    hint = "LATENCY" if tuning.side_by_side == 1 else "THROUGHPUT"
    settings = {"PERFORMANCE_HINT": hint, "NUM_STREAMS": str(tuning.side_by_side)}
    if tuning.side_by_side > 1:
        settings["INFERENCE_NUM_THREADS"] = str(tuning.side_by_side)
    elif tuning.threads:
        settings["INFERENCE_NUM_THREADS"] = str(tuning.threads)
    if _BFLOAT16 & {*features}:
        settings["INFERENCE_PRECISION_HINT"] = "bf16"
    return {"device_type": "CPU", "load_config": json.dumps({"CPU": settings})}


def cuda_options(tuning: Tuning) -> dict[str, str]:
    """Return CUDA's options."""
    return {"enable_cuda_graph": "1" if tuning.gpu.cuda_graphs else "0"}


def engine_folder(cache: Path, graph: ModelGraph, tuning: Tuning) -> Path:
    """Return the folder of a model's engines: ONNX Runtime names them by the graph alone.

    So another model of the same network would run with the weights of the one before.
    """
    model = graph.artifact
    size = f"{tuning.largest_batch}x{model.height}x{model.width}"
    return cache / f"{model.weights_sha256[:32]}-{model.precision}-{size}"


def tensorrt_options(graph: ModelGraph, tuning: Tuning) -> dict[str, str]:
    """Return TensorRT's options: half precision, one engine for all batch sizes, kept on disk."""
    size = f"{graph.artifact.height}x{graph.artifact.width}x3"
    options = {
        "trt_fp16_enable": "1",
        "trt_cuda_graph_enable": "1" if tuning.gpu.cuda_graphs else "0",
        "trt_profile_min_shapes": f"{contract.INPUT}:1x{size}",
        "trt_profile_opt_shapes": f"{contract.INPUT}:{tuning.largest_batch}x{size}",
        "trt_profile_max_shapes": f"{contract.INPUT}:{tuning.largest_batch}x{size}",
    }
    if tuning.gpu.tensorrt_cache is not None:
        kept = str(engine_folder(tuning.gpu.tensorrt_cache, graph, tuning))
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": kept,
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": kept,
        }
    return options
