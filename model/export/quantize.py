"""From a float32 ONNX model to int8 convolutions, calibrated on real pictures.

Library: onnxruntime.quantization (static, QDQ nodes of the standard opset, per channel).

What stays in float32, and why: measured on a nuclei network at 512x512, see
``docs/develop/adr/0005-precisions.md``.
"""

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from contract import artifact as contract

MIN_PICTURES = 6
"""Fewest pictures: two thirds calibrate the ranges, the others prove the file."""

_FLOAT = re.compile(
    # The stem sees fine edges in few channels; its error runs through the whole network.
    r"/encoder/(initial_block|layers\.0)/"
    # Sixteen channels at half the resolution, and the last layer: offsets must stay sub-pixel.
    r"|/decoders\.\d+/(layers\.[345]|output_conv)/"
)
"""Names of nodes that stay in float32."""


def split_pictures(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (those that calibrate, those that prove): every third one proves."""
    proves = np.arange(len(pictures)) % 3 == 2
    return pictures[~proves], pictures[proves]


def to_int8(model: Any, pictures: NDArray[np.uint8]) -> Any:
    """Quantise the convolutions of an ``onnx.ModelProto``.

    Weights are int8 per output channel, kept to 7 bits: processors without VNNI add pairs of
    products in 16 bits, which 8 bits would overflow. Activations are uint8 with the range seen on
    ``pictures``. Only convolutions are quantised: quantised concatenations would round offsets,
    bandwidths and seed scores with one common range.

    Args:
        model: float32, opset 13 or newer; left as it is.
        pictures: uint8 (N, H, W, 3) RGB, as the model takes them.

    Returns:
        A new ``onnx.ModelProto``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        source, prepared, done = (
            str(Path(scratch) / f"{name}.onnx") for name in ("float32", "prepared", "int8")
        )
        onnx.save(model, source)
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        names = [node.name for node in onnx.load(prepared).graph.node]
        quantize_static(
            prepared,
            done,
            _Pictures(pictures),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[name for name in names if _FLOAT.search(name)],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(done)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Feeds one picture at a time."""

    def __init__(self, pictures: NDArray[np.uint8]) -> None:
        self._rest = iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next input, or None after the last."""
        picture = next(self._rest, None)
        return None if picture is None else {contract.INPUT: picture[None]}
