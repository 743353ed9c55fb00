"""Which provider runs which file of a model, and why. Pure: no input or output.

A provider is what runs the network: ONNX Runtime's own kernels on the CPU, OpenVINO on the CPU,
CUDA or TensorRT on a GPU.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contract.artifact import Artifact, Precision
from contract.errors import ConfigurationError

Device = Literal["cpu", "openvino", "cuda", "tensorrt"]
"""A provider that runs the network."""

Provider = Literal["auto", "cpu", "openvino", "cuda", "tensorrt"]
"""What the network shall run on; `auto` takes CUDA if it really works, else OpenVINO if it is
installed, else the CPU. TensorRT builds its engine for minutes: only if asked for."""

PrecisionWanted = Literal["auto", "float32", "float16", "int8"]
"""Which file of the artifact shall run; `auto` takes what is fastest on the provider."""

FAST_INT8 = frozenset({"avx512_vnni", "avx_vnni", "asimddp", "i8mm"})
"""Features, as Linux names them, of processors that multiply 8-bit integers faster than floats."""

_GPU: tuple[Device, ...] = ("cuda", "tensorrt")

_INSTALL: Mapping[Device, str] = {
    "cpu": "install seedstream[cpu]",
    "openvino": "install seedstream[openvino] instead of [cpu] or [gpu]",
    "cuda": "install seedstream[gpu] instead of [cpu]",
    "tensorrt": "install seedstream[tensorrt] instead of [cpu] or [gpu]",
}

NAMES: Mapping[Device, str] = {
    "cpu": "CPU",
    "openvino": "OpenVINO",
    "cuda": "CUDA",
    "tensorrt": "TensorRT",
}
"""What people call the providers."""


@dataclass(frozen=True)
class Choice:
    """What runs, and why.

    Attributes:
        provider: What runs the network.
        precision: Precision of the file.
        file: File of the artifact.
        reason: Why this provider and this file, for people.
    """

    provider: Device
    precision: Precision
    file: Path
    reason: str

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs on a GPU."""
        return self.provider in _GPU


BatchSizes = Callable[[Choice, Artifact], Sequence[int]]
"""Says which batches will be run, once it is known what runs them and what they are of."""


def choose(
    provider: Provider,
    precision: PrecisionWanted,
    available: Mapping[Device, str | None],
    features: Collection[str],
    files: Mapping[Precision, Path],
) -> Choice:
    """Choose what runs.

    Args:
        provider: That is wanted.
        precision: That is wanted.
        available: Why each provider is unavailable, None if it is not. One that is absent from the
            mapping is unavailable, too.
        features: Of the processor, as Linux names them.
        files: Files of the artifact by precision, at least one.

    Raises:
        ConfigurationError: What is wanted is unavailable, or the provider cannot run that file.
    """
    device, why_device = _device(provider, available)
    chosen, why_file = _precision(precision, device, features, files)
    if (device, chosen) == ("tensorrt", "int8"):
        # Not a matter of trt_int8_enable: its parser refuses every zero point but 0.
        raise ConfigurationError(
            f"TensorRT shall run int8 ({why_file}), but it runs no file whose bytes are not "
            "symmetric about 0, as those of int8 files are not: set the precision to 'float16' or "
            "'auto', with an artifact that has float16 or float32, or the provider to 'cpu' or "
            "'openvino', for which int8 is made"
        )
    return Choice(device, chosen, files[chosen], f"{why_device}; {why_file}")


def unavailable(device: Device, reason: str, advice: str = "") -> ConfigurationError:
    """Return the error that says why a provider that was asked for does not run."""
    return ConfigurationError(
        f"provider is '{device}', but {reason}{advice and f'; {advice}'}; set the provider to "
        "'auto' or 'cpu' to run without it"
    )


def _device(provider: Provider, available: Mapping[Device, str | None]) -> tuple[Device, str]:
    missing = {
        device: available.get(device, f"the installed ONNX Runtime has no {name} provider")
        for device, name in NAMES.items()
    }
    if provider != "auto":
        reason = missing[provider]
        if reason is not None:
            advice = _INSTALL[provider] if provider not in available else ""
            raise unavailable(provider, reason, advice)
        return provider, f"{NAMES[provider]} was asked for"
    if missing["cuda"] is None:
        return "cuda", "CUDA is available"
    if missing["openvino"] is None:
        return "openvino", "OpenVINO is installed"
    failed = [reason for reason in available.values() if reason is not None]
    return "cpu", f"running on the CPU: {'; '.join(failed) or missing['cuda']}"


def _precision(
    wanted: PrecisionWanted,
    device: Device,
    features: Collection[str],
    files: Mapping[Precision, Path],
) -> tuple[Precision, str]:
    if wanted != "auto":
        if wanted not in files:
            raise ConfigurationError(
                f"precision is '{wanted}', but the artifact has {_listed(files)} alone: set the "
                "precision to 'auto' or one of those, or export the model with that one, too"
            )
        return wanted, f"{wanted} was asked for"
    if len(files) == 1:
        (only,) = files
        return only, f"the artifact has {only} alone"
    floats: tuple[Precision, ...] = ("float16", "float32")
    best: Precision = next((each for each in floats if each in files), "int8")
    if device in _GPU:
        return best, f"{best} is the fastest on a GPU"
    fast = sorted(FAST_INT8 & {*features})
    if "int8" not in files:
        return best, f"the artifact has no int8 (it has {_listed(files)})"
    if fast:
        return "int8", f"the processor computes int8 fast ({', '.join(fast)})"
    return best, "the processor has no fast int8 (VNNI, dot product)"


def _listed(files: Mapping[Precision, Path]) -> str:
    return ", ".join(files)
