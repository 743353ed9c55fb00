"""Memory of the host that a GPU reads by itself (page-locked), from ONNX Runtime.

Without it, what goes to the device is first copied into such memory by the driver, piece by piece.

Library: onnxruntime, from 1.27 on; an earlier one has none to give.
"""

import logging
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from segmentation.engines.model_graph import LOAD_ERRORS

log = logging.getLogger(__name__)

_CUDA = "CUDAExecutionProvider"
"""TensorRT's pictures lie in CUDA's memory as well."""


_ERRORS: tuple[type[Exception], ...] = (*LOAD_ERRORS, AttributeError, TypeError)


def page_locked(shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Return uint8 memory from which CUDA copies directly; None where there is none to be had."""
    try:
        info = _memory_info()
        if info is None:
            log.info("no page-locked memory for pictures: ONNX Runtime offers none for CUDA")
            return None
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        value = make(shape, np.uint8, memory_info=info)
        memory: NDArray[np.uint8] = value.numpy()
    except _ERRORS as error:
        log.info("no page-locked memory for pictures: %s", error)
        return None
    if memory.ctypes.data != value.data_ptr() or not memory.flags.writeable:
        log.info("no page-locked memory for pictures: ONNX Runtime shows a copy of it")
        return None
    memory[:] = 0
    return memory


def _memory_info() -> Any:
    for each in onnxruntime.get_ep_devices():
        if each.ep_name == _CUDA:
            info = each.memory_info(onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            if info is not None:
                return info
    return None
