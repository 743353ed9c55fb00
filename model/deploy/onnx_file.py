"""From a PyTorch network to an ONNX model: tracing, float16 storage, checksum.

Libraries: torch.onnx, onnx.
"""

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from contract import artifact as contract
from contract.artifact import Artifact
from model.deploy.network import DeployedNetwork

OPSET = 17
"""ONNX opset of every artifact; the standard operators only."""


def to_onnx(network: DeployedNetwork, artifact: Artifact) -> Any:
    """Trace a network into an ONNX model with the interface of `contract.artifact`.

    Args:
        network: In eval mode; with ``float16`` its weights are rounded already.
        artifact: Its input size and precision are used; with ``int8`` the model is float32, for
            `model.deploy.quantize`.

    Returns:
        An ``onnx.ModelProto`` without metadata, checked by onnx.
    """
    example = torch.zeros(2, artifact.height, artifact.width, 3, dtype=torch.uint8)
    names = [contract.INPUT, *contract.OUTPUTS]
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        path = Path(scratch) / contract.MODEL_FILE
        # The tracing exporter is deprecated, but the newer one needs another package and gains
        # nothing for a graph of convolutions without control flow.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Traced sizes become constants: H and W are fixed by design, N is not looked at.
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "N"} for name in names},
            opset_version=OPSET,
            dynamo=False,
        )
        model = onnx.load(path)
    if artifact.precision == "float16":
        _store_float16(model)
    onnx.checker.check_model(model)
    return model


def stamp(path: Path, artifact: Artifact) -> None:
    """Write ``artifact`` into the metadata of an ONNX file and the card beside it."""
    model = onnx.load(path)
    helper.set_model_props(model, contract.to_metadata(artifact))
    onnx.save(model, path)
    contract.write_card(artifact, path.parent)


def opset_faults(model: Any) -> list[str]:
    """Return what of a model is not of the standard opset that workers are told to expect."""
    seen = {each.domain: each.version for each in model.opset_import}
    faults = []
    if seen.get("") != OPSET:
        faults.append(f"the opset is {seen.get('')}, expected {OPSET}")
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain})
    if foreign:
        faults.append(f"it has the operators {foreign}, expected those of the standard alone")
    return faults


def _store_float16(model: Any) -> None:
    """Store float32 initialisers as float16, each behind a Cast back to float32.

    ONNX Runtime folds the Casts when it loads the file: half the bytes, the same speed.
    """
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32:
            continue
        name = tensor.name
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}.float16")
        tensor.CopyFrom(half)
        casts.append(helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def weights_sha256(model: Any) -> str:
    """Return the sha256 over a model's initialisers: name, dtype, shape and bytes, by name."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: str(tensor.name)):
        values = numpy_helper.to_array(tensor)
        digest.update(f"{tensor.name} {values.dtype} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
