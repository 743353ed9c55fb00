"""A model artifact of a few kilobytes for tests of what runs models; needs onnx, not torch."""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from contract import artifact as contract
from contract import artifact_files
from contract.artifact import Artifact

HEIGHT, WIDTH = 32, 48
BANDWIDTH = 0.7

CARD = Artifact(
    name="tiny",
    version="1",
    classes=("person",),
    height=HEIGHT,
    width=WIDTH,
    grid_step=(2 / 2047, 1 / 1023),
    n_sigma=1,
    weights_sha256="0" * 64,
)


def tiny_model(
    *,
    height: int | str = HEIGHT,
    width: int | str = WIDTH,
    n_sigma: int = 1,
    drop: str = "",
    static: bool = False,
) -> Any:
    """A network without weights that sees small bright things as instances.

    The seed score is the brightness, offsets are 0 and the bandwidth is ``BANDWIDTH``, so each
    bright pixel is its own embedding and an instance reaches about 25 pixels around its seed.
    """
    n: int | str = 2 if static else "N"
    shape: list[int | str] = [n, height, width]
    nodes = [
        helper.make_node("Cast", ["images"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Constant", [], ["scale"], value_float=1 / 255),
        helper.make_node("Mul", ["mean", "scale"], ["seed"]),
        helper.make_node("Constant", [], ["axis"], value_ints=[1]),
        helper.make_node("Unsqueeze", ["seed", "axis"], ["one"]),
        helper.make_node("Sub", ["one", "one"], ["zero"]),
        helper.make_node("Concat", ["zero", "zero"], ["offset"], axis=1),
        helper.make_node("Constant", [], ["width"], value_float=BANDWIDTH),
        helper.make_node("Add", ["zero", "width"], ["bandwidths"]),
        helper.make_node("Concat", ["bandwidths"] * n_sigma, ["bandwidth"], axis=1),
        helper.make_node("Sub", ["seed", "seed"], ["none"]),
        helper.make_node("Cast", ["none"], ["class_index"], to=TensorProto.UINT8),
    ]
    value = helper.make_tensor_value_info
    outputs = [
        value("offset", TensorProto.FLOAT, [n, 2, height, width]),
        value("bandwidth", TensorProto.FLOAT, [n, n_sigma, height, width]),
        value("seed", TensorProto.FLOAT, shape),
        value("class_index", TensorProto.UINT8, shape),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("images", TensorProto.UINT8, [*shape, 3])],
        [output for output in outputs if output.name != drop],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def variable_model() -> Any:
    """Return the tiny model with an input whose size may vary."""
    return tiny_model(height="H", width="W")


def add_int8_copy(folder: Path, **changes: Any) -> Artifact:
    """Put the same network beside an artifact's ``model.onnx`` as if it were int8."""
    main = artifact_files.read_card(folder)
    values = {field: getattr(main, field) for field in Artifact.__struct_fields__}
    int8 = Artifact(**values | {"precision": "int8", "accuracy": {}} | changes)
    model = onnx.load(folder / artifact_files.MODEL_FILE)
    helper.set_model_props(model, contract.to_metadata(int8))
    onnx.save(model, folder / artifact_files.further_file("int8"))
    artifact = Artifact(**values)
    artifact_files.write_card(artifact, folder, {"int8": int8})
    return int8


def write_artifact(folder: Path, model: Any, artifact: Artifact | None) -> Path:
    """Write a model into an artifact's folder, without metadata where ``artifact`` is None."""
    if artifact is not None:
        helper.set_model_props(model, contract.to_metadata(artifact))
    folder.mkdir(parents=True)
    onnx.save(model, folder / artifact_files.MODEL_FILE)
    if artifact is not None:
        artifact_files.write_card(artifact, folder)
    return folder
