"""What a model file says of itself, and whether its graph fits that.

Library: onnxruntime (or onnxruntime-gpu, or onnxruntime-openvino; they install the same module).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from contract import artifact as contract
from contract.artifact import Artifact
from contract.errors import ConfigurationError
from contract.plain_files import check_self_contained

# ONNX Runtime's errors have no common base of their own, and older versions have fewer.
_LOAD_ERROR_NAMES = (
    *("DeviceReset", "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph"),
    *("InvalidProtobuf", "NoModel", "NoSuchFile", "NotFound", "NotImplemented", "RuntimeException"),
)
LOAD_ERRORS: tuple[type[Exception], ...] = (
    *(getattr(ort_errors, name) for name in _LOAD_ERROR_NAMES if hasattr(ort_errors, name)),
    RuntimeError,  # of its Python part, which tries other providers
    ValueError,  # the same; and UnicodeDecodeError of a name that is not UTF-8
)


@dataclass(frozen=True)
class ModelGraph:
    """A model file before anything is made of it.

    Attributes:
        artifact: What its metadata say.
        sizes_vary: Whether it takes any height and width of multiples of 8.
        batch_name: Name of the dimension N, where it has one.
        size_names: Names of the dimensions H and W, where they vary and have names of their own.
    """

    artifact: Artifact
    sizes_vary: bool
    batch_name: str | None = None
    size_names: tuple[str, str] | None = None


def read_graph(path: Path) -> ModelGraph:
    """Read a model file and check that its graph fits its metadata.

    The file is loaded on the CPU without being optimised, in a fraction of the time that a session
    takes: providers are told sizes before they compile, and sizes stand in the file.

    Raises:
        ConfigurationError: A foreign or corrupt file, or a graph that does not fit.
    """
    check_self_contained(path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except LOAD_ERRORS as error:
        raise not_loadable(path, error) from error
    try:
        metadata = session.get_modelmeta().custom_metadata_map
        artifact = contract.from_metadata(metadata, str(path))
        sizes_vary = _check(session, artifact, path)
    except UnicodeDecodeError as error:  # ONNX Runtime looks at text only when it is asked for
        raise ConfigurationError(
            f"{path}: its metadata or names are not UTF-8 ({error}): a broken file; copy it again"
        ) from error
    (shape,) = (each.shape for each in session.get_inputs() if each.name == contract.INPUT)
    names = [each for each in shape if isinstance(each, str)]
    distinct = len(set(names)) == len(names)  # two sizes of one name cannot be told apart
    return ModelGraph(
        artifact,
        sizes_vary,
        names[0] if distinct and names and names[0] == shape[0] else None,
        (shape[1], shape[2]) if distinct and sizes_vary and len(names) == 3 else None,
    )


def not_loadable(path: Path, error: Exception) -> ConfigurationError:
    """Return the error that says that ONNX Runtime does not load a file."""
    return ConfigurationError(
        f"{path}: not a model that ONNX Runtime {onnxruntime.__version__} can load: {error}; "
        "copy it again or export it again with `seedstream export`"
    )


def _check(session: Any, artifact: Artifact, path: Path) -> bool:
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
