"""Rewrites a network so that processors compute all of it in bytes: the same maps, other operators.

Before it is quantised:

- a transposed convolution that doubles the size (3x3, ONNX Runtime's CPU provider has no such one
  in int8) becomes a convolution of 2x2 with four times the channels, one quarter for each of the
  four pixels that an input pixel becomes, and ``DepthToSpace``: each weight stands at its place,
  the others are 0. Only its Relu may come between, and is done before;
- batch normalisation behind the concatenation of a convolution and a pooling becomes part of that
  convolution, and a convolution of 1x1 by channel behind the pooling.

After it: what only moves or compares values moves bytes, since both commute with quantising
(``DepthToSpace``, ``MaxPool``), and what is concatenated and then quantised is quantised before.
What does not look so is left as it is. Figures: ``docs/develop/adr/0005-precisions.md``.
Library: onnx.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_TAPS = {0: ((0, 1),), 1: ((0, 2), (1, 0))}
"""Of a row (or column) of the doubled size, even or odd: which row of the window of 2 gets which
row of the 3x3 kernel. Output 2i has input i at tap 1; 2i + 1 has i at tap 2 and i + 1 at tap 0."""

_DOUBLING = {
    "kernel_shape": [3, 3],
    "strides": [2, 2],
    "pads": [1, 1, 1, 1],
    "output_padding": [1, 1],
}
"""What a transposed convolution that doubles the size says of itself."""


def with_plain_convolutions(model: Any) -> Any:
    """Return a copy of a float32 model in which all layers are ones that int8 has.

    Args:
        model: An ``onnx.ModelProto`` without quantisation; its maps stay the same but for rounding.
    """
    return _rewritten(_rewritten(model, _doubled), _normalised)


def in_bytes(model: Any) -> Any:
    """Return a copy of a quantised model in which values are moved and compared as bytes.

    Args:
        model: As NNCF makes it, with ``QuantizeLinear`` and ``DequantizeLinear``; its maps stay the
            same, bit for bit.
    """
    return _rewritten(_rewritten(model, _moved), _joined)


class _Graph:
    """A graph that is rewritten: what gives and what takes each value, and all constants."""

    def __init__(self, graph: Any) -> None:
        self.nodes: list[Any] = list(graph.node)
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.outputs = {each.name for each in graph.output}
        self.giver = {name: node for node in self.nodes for name in node.output}
        self.takers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                self.takers.setdefault(name, []).append(node)

    def gives(self, name: str, kind: str) -> Any | None:
        """Return the node of a kind that gives a value, None if another one does."""
        node = self.giver.get(name)
        return node if node is not None and node.op_type == kind else None

    def only_taker(self, node: Any, kind: str) -> Any | None:
        """Return the node of a kind that alone takes what a node gives, None without such one."""
        takers = self.takers.get(node.output[0], [])
        alone = len(takers) == 1 and node.output[0] not in self.outputs
        return takers[0] if alone and takers[0].op_type == kind else None


_Step = tuple[str, list[str], dict[str, Any]]
"""Operator, inputs (none: what the step before gives), attributes."""

_Change = dict[int, list[Any]]
"""What stands in the place of a node, by the node's ``id``."""


def _rewritten(model: Any, rewrite: Callable[[_Graph], _Change]) -> Any:
    """Return a copy of a model in which some nodes are replaced; constants without use are left."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = _Graph(changed.graph)
    change = rewrite(graph)
    nodes = [new for old in graph.nodes for new in change.get(id(old), [old])]
    used = {name for node in nodes for name in node.input}
    kept = [
        numpy_helper.from_array(values, name)
        for name, values in graph.constants.items()
        if name in used
    ]
    nodes = [_copy(node) for node in nodes]
    del changed.graph.node[:], changed.graph.initializer[:], changed.graph.value_info[:]
    changed.graph.node.extend(nodes)
    changed.graph.initializer.extend(kept)
    onnx.checker.check_model(changed, full_check=True)
    return changed


def _doubled(graph: _Graph) -> _Change:
    """Replace transposed convolutions that double the size."""
    change: _Change = {}
    for node in graph.nodes:
        weights = graph.constants.get(node.input[1]) if node.op_type == "ConvTranspose" else None
        if weights is None or not _doubles(node) or len(node.input) != 3:
            continue
        biases = graph.constants[node.input[2]]
        shuffled = [f"{name}.shuffled" for name in node.input[1:]]
        graph.constants[shuffled[0]] = _four_pixels(weights)
        graph.constants[shuffled[1]] = np.tile(biases, 4)
        name = node.name.replace("ConvTranspose", "")
        relu = graph.only_taker(node, "Relu")
        steps: list[_Step] = [
            ("Conv", [node.input[0], *shuffled], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1]})
        ]
        if relu is not None:
            steps.append(("Relu", [], {}))
            change[id(relu)] = []
        steps.append(("DepthToSpace", [], {"blocksize": 2, "mode": "DCR"}))
        change[id(node)] = _chain(name, steps, (relu or node).output[0])
    return change


def _doubles(node: Any) -> bool:
    said = _said(node)
    if said.get("group", 1) != 1 or any(step != 1 for step in said.get("dilations", [])):
        return False
    return said | _DOUBLING == said


def _four_pixels(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the weights (4 out, in, 2, 2) for those of a transposed one, (in, out, 3, 3)."""
    inside, outside = weights.shape[:2]
    placed = np.zeros((2, 2, outside, inside, 2, 2), weights.dtype)
    for row, rows in _TAPS.items():
        for column, columns in _TAPS.items():
            for to_y, from_y in rows:
                for to_x, from_x in columns:
                    placed[row, column, :, :, to_y, to_x] = weights[:, :, from_y, from_x].T
    return placed.reshape(4 * outside, inside, 2, 2)


def _normalised(graph: _Graph) -> _Change:
    """Replace batch normalisation behind the concatenation of a convolution and a pooling."""
    change: _Change = {}
    for node in graph.nodes:
        found = _joined_and_normalised(node, graph)
        if found is None:
            continue
        joined, conv, pool = found
        factor, summand = _affine(node, graph)
        weights, biases = (graph.constants[name] for name in conv.input[1:])
        first = len(biases)
        own = f"{node.name}.conv.weight", f"{node.name}.conv.bias"
        graph.constants[own[0]] = weights * factor[:first, None, None, None]
        graph.constants[own[1]] = biases * factor[:first] + summand[:first]
        after = f"{node.name}.pool"
        pooled = f"{after}.weight", f"{after}.bias"
        graph.constants[pooled[0]] = factor[first:, None, None, None]
        graph.constants[pooled[1]] = summand[first:]
        by_channel = {"kernel_shape": [1, 1], "group": len(factor) - first}
        change[id(conv)] = [_copy(conv, [conv.input[0], *own])]
        change[id(joined)] = []
        change[id(node)] = [
            *_chain(after, [("Conv", [pool.output[0], *pooled], by_channel)], after),
            _copy(joined, [conv.output[0], after], node.output),
        ]
    return change


def _joined_and_normalised(node: Any, graph: _Graph) -> tuple[Any, Any, Any] | None:
    """Return the concatenation, convolution and pooling before a batch normalisation, else None."""
    if node.op_type != "BatchNormalization" or {*node.input[1:]} - {*graph.constants}:
        return None
    joined = graph.gives(node.input[0], "Concat")
    if joined is None or len(joined.input) != 2 or _said(joined)["axis"] != 1:
        return None
    conv, pool = graph.gives(joined.input[0], "Conv"), graph.gives(joined.input[1], "MaxPool")
    if conv is None or pool is None or len(conv.input) != 3:
        return None
    alone = graph.only_taker(joined, node.op_type) and graph.only_taker(conv, "Concat")
    return (joined, conv, pool) if alone and conv.input[1] in graph.constants else None


def _affine(node: Any, graph: _Graph) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return factor and summand of each channel of a batch normalisation in inference."""
    scale, bias, mean, variance = (graph.constants[name].astype(float) for name in node.input[1:])
    factor = scale / np.sqrt(variance + _said(node).get("epsilon", 1e-5))
    return factor.astype(np.float32), (bias - mean * factor).astype(np.float32)


def _moved(graph: _Graph) -> _Change:
    """Let pooling and ``DepthToSpace`` take bytes: dequantise behind them."""
    change: _Change = {}
    for node in graph.nodes:
        if node.op_type not in ("DepthToSpace", "MaxPool"):
            continue
        before = graph.gives(node.input[0], "DequantizeLinear")
        if before is None or len(graph.constants[before.input[1]].shape):
            continue
        moved = _copy(node, [before.input[0]], [f"{node.output[0]}.moved"])
        change[id(node)] = [
            moved,
            helper.make_node(
                "DequantizeLinear",
                [moved.output[0], *before.input[1:]],
                list(node.output),
                name=f"{node.name}.dequantize",
            ),
        ]
    unused = {id(graph.giver[node.input[0]]) for node in graph.nodes if id(node) in change}
    for node in graph.nodes:
        if id(node) in unused and all(
            id(taker) in change for taker in graph.takers[node.output[0]]
        ):
            change[id(node)] = []
    return change


def _joined(graph: _Graph) -> _Change:
    """Quantise what is concatenated, and concatenate bytes.

    Behind a concatenation there is a Relu: with a zero point of 0 quantising does the same.
    """
    change: _Change = {}
    for node in graph.nodes:
        relu = graph.gives(node.input[0], "Relu") if node.op_type == "QuantizeLinear" else None
        joined = graph.gives(relu.input[0], "Concat") if relu is not None else None
        if joined is None or graph.only_taker(relu, node.op_type) is None:
            continue
        zero = graph.constants[node.input[2]]
        if graph.only_taker(joined, "Relu") is None or zero.dtype != np.uint8 or zero.any():
            continue
        parts = [f"{joined.output[0]}.part{number}" for number in range(len(joined.input))]
        change[id(joined)] = change[id(relu)] = []
        change[id(node)] = [
            *(
                helper.make_node("QuantizeLinear", [name, *node.input[1:]], [part], name=part)
                for name, part in zip(joined.input, parts, strict=True)
            ),
            _copy(joined, parts, node.output),
        ]
    return change


def _chain(name: str, steps: Sequence[_Step], last: str) -> list[Any]:
    """Return nodes that take what the one before gives, the first what it names."""
    nodes: list[Any] = []
    for number, (kind, inputs, attributes) in enumerate(steps, 1):
        given = inputs or [nodes[-1].output[0]]
        output = last if number == len(steps) else f"{name}{kind}_output"
        nodes.append(helper.make_node(kind, given, [output], name=f"{name}{kind}", **attributes))
    return nodes


def _said(node: Any) -> dict[str, Any]:
    """Return a node's attributes."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _copy(node: Any, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Any:
    """Return a copy of a node, with other inputs and outputs where they are given."""
    same = onnx.NodeProto()
    same.CopyFrom(node)
    if inputs:
        same.input[:] = inputs
    if outputs:
        same.output[:] = outputs
    return same
