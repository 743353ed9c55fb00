"""The graph that keeps the foreground of the maps: ``segmentation/engines/foreground.onnx``.

    python -m model.export.foreground_graph

It runs behind the network on the same device, so that only what clustering needs leaves it. It is
no part of the network's graph: how many pixels it returns is known only when it has run, and CUDA
plays back only runs whose shapes are known (ADR 12).

Shape letters: N batch, H, W the input, S bandwidths; P foreground pixels of the batch.

Library: onnx.
"""

from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from contract import artifact as contract
from segmentation.cluster import FOREGROUND_THRESHOLD
from segmentation.engines import device_runner

OPSET, IR_VERSION = 17, 8


def foreground_graph() -> Any:
    """Return the graph: maps in, values of the foreground out.

    ``pixel`` int32 (P,) counts through (N, H, W); ``values`` float32 (2 + S + 1, P) are offset x
    and y, bandwidths and seed; ``class`` uint8 (P,).
    """
    value, node = helper.make_tensor_value_info, helper.make_node
    maps = [
        value(contract.OFFSET, TensorProto.FLOAT, ["N", 2, "H", "W"]),
        value(contract.BANDWIDTH, TensorProto.FLOAT, ["N", "S", "H", "W"]),
        value(contract.SEED, TensorProto.FLOAT, ["N", "H", "W"]),
        value(contract.CLASS_INDEX, TensorProto.UINT8, ["N", "H", "W"]),
    ]
    found = [
        value(device_runner.PIXEL, TensorProto.INT32, ["P"]),
        value(device_runner.VALUES, TensorProto.FLOAT, ["C", "P"]),
        value(device_runner.CLASS, TensorProto.UINT8, ["P"]),
    ]
    nodes = [
        node("Constant", [], ["threshold"], value_float=FOREGROUND_THRESHOLD),
        node("Constant", [], ["all"], value_ints=[-1]),
        node("Constant", [], ["first"], value_ints=[0]),
        node("Reshape", [contract.SEED, "all"], ["flat_seed"]),
        node("Reshape", [contract.CLASS_INDEX, "all"], ["flat_class"]),
        node("Greater", ["flat_seed", "threshold"], ["is_foreground"]),
        node("NonZero", ["is_foreground"], ["found"]),
        node("Squeeze", ["found", "first"], ["place"]),
        node("Cast", ["place"], [device_runner.PIXEL], to=TensorProto.INT32),
        node("Shape", [contract.SEED], ["sizes"], start=1),
        node("ReduceProd", ["sizes"], ["pixels"], keepdims=0),
        node("Div", ["place", "pixels"], ["image"]),
        *_gathered(contract.OFFSET, "offsets"),
        *_gathered(contract.BANDWIDTH, "bandwidths"),
        node("Gather", ["flat_seed", "place"], ["seeds"], axis=0),
        node("Unsqueeze", ["seeds", "first"], ["seed_row"]),
        node("Concat", ["offsets", "bandwidths", "seed_row"], [device_runner.VALUES], axis=0),
        node("Gather", ["flat_class", "place"], [device_runner.CLASS], axis=0),
    ]
    graph = helper.make_graph(nodes, "foreground", maps, found)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


def _gathered(name: str, result: str) -> list[Any]:
    """Nodes that take each channel of (N, C, H, W) at the foreground, as (C, P).

    Pixel p of image n has its channel c at ((n * C) + c) * H * W + p, which is
    place + n * (C - 1) * H * W + c * H * W.
    """
    node = helper.make_node
    return [
        node("Reshape", [name, "all"], [f"{name}_flat"]),
        node("Shape", [name], [f"{name}_size"], start=1, end=2),
        node("Squeeze", [f"{name}_size", "first"], [f"{name}_count"]),
        node("Constant", [], [f"{name}_zero"], value_int=0),
        node("Constant", [], [f"{name}_one"], value_int=1),
        node("Range", [f"{name}_zero", f"{name}_count", f"{name}_one"], [f"{name}_channels"]),
        node("Constant", [], [f"{name}_axis"], value_ints=[1]),
        node("Unsqueeze", [f"{name}_channels", f"{name}_axis"], [f"{name}_column"]),
        node("Mul", [f"{name}_column", "pixels"], [f"{name}_from"]),
        node("Sub", [f"{name}_count", f"{name}_one"], [f"{name}_others"]),
        node("Mul", ["image", f"{name}_others"], [f"{name}_skipped"]),
        node("Mul", [f"{name}_skipped", "pixels"], [f"{name}_before"]),
        node("Add", ["place", f"{name}_before"], [f"{name}_place"]),
        node("Add", [f"{name}_place", f"{name}_from"], [f"{name}_places"]),
        node("Gather", [f"{name}_flat", f"{name}_places"], [result], axis=0),
    ]


def write(path: Path = device_runner.FOREGROUND_FILE) -> None:
    """Write the file that ships with the engines."""
    onnx.checker.check_model(foreground_graph())
    onnx.save(foreground_graph(), path)


if __name__ == "__main__":
    write()
