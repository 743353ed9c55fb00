"""From a float32 ONNX model to int8, the whole graph, calibrated on real pictures.

Library: nncf (post-training quantisation of ONNX models; QDQ nodes of the standard opset, weights
per channel, with bias correction). Figures and reasons: ``docs/develop/adr/0005-precisions.md``.
"""

import contextlib
import logging
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import artifact as contract
from contract.errors import ConfigurationError
from model.export.int8_layout import in_bytes, with_plain_convolutions
from segmentation.engines.model_graph import LOAD_ERRORS

MIN_PICTURES = 6
"""Fewest pictures: two thirds calibrate the ranges, the others prove the file."""

MOST_PICTURES = 60
"""Most pictures that are read, 40 of them to calibrate on."""


def split_pictures(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return (those that calibrate, those that prove): every third one proves."""
    proves = np.arange(len(pictures)) % 3 == 2
    return pictures[~proves], pictures[proves]


def to_int8(model: Any, pictures: NDArray[np.uint8]) -> Any:
    """Quantise an ``onnx.ModelProto``: weights and activations of convolutions, sums and pooling.

    Each branch of a sum and of a concatenation keeps a range of its own: one common range would
    round offsets, bandwidths and seed scores alike. The network is written with operators that
    processors have in int8 (`model.export.int8_layout`).

    Args:
        model: float32, opset 13 or newer; left as it is.
        pictures: uint8 (N, H, W, 3) RGB, as the model takes them, to calibrate on.

    Returns:
        A new ``onnx.ModelProto``.

    Raises:
        ConfigurationError: NNCF is not installed, or cannot quantise this model.
    """
    nncf = _import_nncf()
    failures = (nncf.InternalError, nncf.ValidationError, nncf.UnsupportedModelError)
    calibration = nncf.Dataset(list(pictures), lambda picture: {contract.INPUT: picture[None]})
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its progress
            quantised = nncf.quantize(
                with_plain_convolutions(model),
                calibration,
                # Symmetric weights, asymmetric activations: the latter are what is behind a Relu.
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(pictures),
            )
    except (*failures, *LOAD_ERRORS) as error:
        raise ConfigurationError(f"NNCF cannot quantise this model: {error}") from error
    return in_bytes(quantised)


def _import_nncf() -> Any:
    """Import NNCF without its telemetry, which would report each use and write into the home."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "not installed"
    try:
        import nncf
    except ImportError as error:
        raise ConfigurationError(
            f"int8 needs NNCF, which is not installed ({error}): install seedstream[train]"
        ) from error
    nncf.set_log_level(logging.WARNING)
    return nncf
