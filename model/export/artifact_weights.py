"""From an artifact back to weights that a training can start from.

Layers keep their names in the ONNX file, so that weights are found by them. Batch norms that the
export fused into convolutions come back as ones that change nothing; the network computes the same
maps. Library: onnx.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from contract import artifact as contract
from contract import artifact_files
from contract.errors import ConfigurationError
from contract.plain_files import check_self_contained
from model.export.deployed_network import fused_batch_norms
from model.net.erfnet import BranchedERFNet
from model.net.initial_weights import InitialWeights, read_initial_weights, set_neutral

_PREFIX = "network."
_UNUSED_HEAD = "encoder.output_conv."
_COUNTER = "num_batches_tracked"


def read_weights(path: Path) -> InitialWeights:
    """Read the weights of an artifact, or of a checkpoint.

    Args:
        path: ``model.onnx``, or a PyTorch file.

    Raises:
        ConfigurationError: The file is no such thing; every fault is listed.
    """
    return read_artifact(path) if path.suffix == ".onnx" else read_initial_weights(path)


def read_artifact(path: Path) -> InitialWeights:
    """Read the weights of an artifact of `seedstream export`.

    Args:
        path: Its ``model.onnx``, or a folder that holds it.

    Raises:
        ConfigurationError: No artifact, one of rounded integers, or another network.
    """
    path = artifact_files.find_model(path)
    check_self_contained(path)
    model = onnx.load(path)
    artifact = contract.from_metadata({p.key: p.value for p in model.metadata_props}, str(path))
    if artifact.precision == "int8":
        raise ConfigurationError(
            f"{path}: its weights are int8, too coarse to learn on from; start from the run, or "
            "from an artifact of precision float16 or float32"
        )
    power = _input_power(model)
    network = BranchedERFNet([2 + artifact.n_sigma, len(artifact.classes)], power)
    fused = fused_batch_norms(network)
    for name in fused:
        norm = network.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm2d)
        with torch.no_grad():
            set_neutral(norm, torch.zeros(norm.num_features), torch.ones(norm.num_features))
    state = network.state_dict()
    stored = {name: value for name, value in state.items() if _is_stored(name, fused)}
    found = {
        tensor.name.removeprefix(_PREFIX): numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in model.graph.initializer
        if tensor.name.startswith(_PREFIX)
    }
    faults = _faults(stored, found, path)
    if faults:
        raise ConfigurationError(faults)
    state |= {name: torch.from_numpy(found[name].copy()) for name in stored}
    return InitialWeights(
        state=state,
        classes=artifact.classes,
        input_power=power,
        training_data=artifact.training_data,
        fused=fused,
    )


def _is_stored(name: str, fused: tuple[str, ...]) -> bool:
    """Whether an artifact holds this entry of the network's state."""
    is_unused = name.startswith(_UNUSED_HEAD) or name.endswith(_COUNTER)
    return not is_unused and name.rpartition(".")[0] not in fused


def _faults(
    expected: Mapping[str, Tensor], found: Mapping[str, np.ndarray[Any, Any]], path: Path
) -> list[str]:
    faults = [
        f"{path}: {name} is {found[name].shape if name in found else 'missing'}, expected "
        f"{tuple(value.shape)}"
        for name, value in expected.items()
        if name not in found or found[name].shape != value.shape
    ]
    unknown = sorted(found.keys() - expected.keys())
    return faults + [f"{path}: {name} is unexpected" for name in unknown]


def _input_power(model: Any) -> float:
    """Return the exponent of the brightness before the first layer, 1 where there is none."""
    exponent = next((node.input[1] for node in model.graph.node if node.op_type == "Pow"), None)
    if exponent is None:
        return 1.0
    constants = {
        node.output[0]: node.attribute[0].t
        for node in model.graph.node
        if node.op_type == "Constant"
    } | {tensor.name: tensor for tensor in model.graph.initializer}
    return round(float(numpy_helper.to_array(constants[exponent])), 4)
