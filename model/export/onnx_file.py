"""From a PyTorch network to an ONNX model: tracing, float16, checksum.

Libraries: torch.onnx, onnx.
"""

import hashlib
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from contract import artifact as contract
from contract import artifact_files
from contract.artifact import Artifact
from model.export.deployed_network import DeployedNetwork

OPSET = 17
"""ONNX opset of every artifact; the standard operators only."""

_LAST_LAYER = ".output_conv."
"""In the names of the weights of each decoder's last layer."""


_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def to_onnx(network: DeployedNetwork, artifact: Artifact) -> Any:
    """Trace a network into an ONNX model with the interface of `contract.artifact`.

    Args:
        network: In eval mode; with ``float16`` its weights are rounded already.
        artifact: Its input size and precision are used; with ``int8`` the model is float32, for
            `model.export.int8_graph`.

    Returns:
        An ``onnx.ModelProto`` of fixed H and W without metadata, checked by onnx.
    """
    example = torch.zeros(2, artifact.height, artifact.width, 3, dtype=torch.uint8)
    names = [contract.INPUT, *contract.OUTPUTS]
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        path = Path(scratch) / artifact_files.MODEL_FILE
        # The tracing exporter is deprecated, but the newer one needs another package and gains
        # nothing for a graph of convolutions without control flow.
        warnings.simplefilter("ignore", DeprecationWarning)
        # Traced sizes become constants, but no layer has one: `with_variable_size`.
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
        _to_float16(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def with_variable_size(model: Any) -> Any:
    """Return a copy of a model that takes images of any size, multiples of 8.

    Sizes become names in the declared shapes; no layer and no weight changes. What was inferred
    from the fixed size is dropped.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    del changed.graph.value_info[:]
    for height, width in _sizes(changed):
        height.dim_param, width.dim_param = "H", "W"
    onnx.checker.check_model(changed, full_check=True)
    return changed


def with_input_size(model: Any, height: int, width: int) -> Any:
    """Return a copy of an artifact's model that takes images of another size, multiples of 8.

    The graph has no layer that depends on the size: only declared shapes and the metadata change.
    """
    resized = onnx.ModelProto()
    resized.CopyFrom(model)
    for axes in _sizes(resized):
        axes[0].dim_value, axes[1].dim_value = height, width
    metadata = {each.key: each.value for each in resized.metadata_props}
    artifact = contract.from_metadata(metadata, "the model")
    changed = msgspec.structs.replace(artifact, height=height, width=width)
    helper.set_model_props(resized, metadata | contract.to_metadata(changed))
    return resized


def _sizes(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the axes H and W of every input and output."""
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        first = 1 if value.name == contract.INPUT else len(axes) - 2
        yield axes[first], axes[first + 1]


def opset_faults(model: Any) -> list[str]:
    """Return what of a model is not of the standard opset that workers are told to expect."""
    seen = {each.domain: each.version for each in model.opset_import}
    faults = []
    if seen.get("") != OPSET:
        faults.append(f"the opset is {seen.get('')}, expected {OPSET}")
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain})
    if foreign:
        faults.append(f"it has the operators {foreign}, expected only standard ones")
    return faults


def _to_float16(model: Any) -> None:
    """Let encoder and decoders compute in float16, all but the decoders' last layers.

    Those, and the tanh and sigmoid behind them, stay in float32: what they give are offsets and
    bandwidths, which must keep sub-pixel accuracy. On the CPU ONNX Runtime computes such a graph in
    float32 at the speed of a float32 file.
    """
    graph = model.graph
    last = [node for node in graph.node if any(_LAST_LAYER in name for name in node.input)]
    kept = {name for node in last for name in node.input}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name not in kept:
            values = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    scaled = next(node.output[0] for node in graph.node if node.op_type == "Mul")
    nodes = []
    for node in graph.node:
        if node in last:
            before = node.input[0]
            node.input[0] = f"{node.name}.float32"
            nodes.append(_cast(before, node.input[0], onnx.TensorProto.FLOAT))
        for k, name in enumerate(node.input):
            if name == scaled:
                node.input[k] = f"{scaled}.float16"
        nodes.append(node)
        if node.output[0] == scaled:
            nodes.append(_cast(scaled, f"{scaled}.float16", onnx.TensorProto.FLOAT16))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)


def to_float32(model: Any) -> Any:
    """Return a copy of an artifact's float model that stores and computes all in float32.

    Casts between float types are dropped; what was rounded to float16 stays rounded.
    """
    wide = onnx.shape_inference.infer_shapes(model)
    graph = wide.graph
    types = {each.name: each.type.tensor_type.elem_type for each in graph.value_info}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    for tensor in graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    source: dict[str, str] = {}  # of a dropped Cast, by what it gave
    nodes = []
    for node in graph.node:
        for k, name in enumerate(node.input):
            node.input[k] = source.get(name, name)
        if (
            node.op_type == "Cast"
            and node.attribute[0].i in _FLOATS
            and types.get(node.input[0]) in _FLOATS
        ):
            source[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(wide, full_check=True)
    return wide


def _cast(before: str, after: str, to: int) -> Any:
    return helper.make_node("Cast", [before], [after], name=f"{after}.cast", to=to)


def weights_sha256(model: Any) -> str:
    """Return the sha256 over a model's initialisers: name, dtype, shape and bytes, by name."""
    digest = hashlib.sha256()
    for tensor in sorted(model.graph.initializer, key=lambda tensor: str(tensor.name)):
        values = numpy_helper.to_array(tensor)
        digest.update(f"{tensor.name} {values.dtype} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
