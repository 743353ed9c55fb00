"""Runs over memory of the device that is bound once, from which only the foreground comes back.

Library: onnxruntime.

Shape letters: N batch, H, W the input.
"""

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from contract import artifact as contract
from contract.errors import ConfigurationError
from segmentation.engines.base import Predictions
from segmentation.engines.choice import Device
from segmentation.engines.foreground import Foreground, Pixels
from segmentation.engines.gpu_options import GpuOptions
from segmentation.engines.host_memory import page_locked

FOREGROUND_FILE = Path(__file__).with_name("foreground.onnx")
"""Written by `model.export.foreground_graph`, which says what it computes."""

PIXEL, VALUES, CLASS = "pixel", "values", "class"
"""Its outputs."""

MEMORY: Mapping[Device, str] = {"cpu": "cpu", "openvino": "cpu", "cuda": "cuda", "tensorrt": "cuda"}
"""Where each provider keeps its memory, as ONNX Runtime calls it."""

_MOST_PIXELS = 2**31 - 1
"""Of a batch: places of its foreground are int32."""

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@dataclass(frozen=True)
class _Bound:
    """What is bound for one batch size: its addresses never change, which CUDA graphs need.

    Attributes:
        images: uint8 (N, H, W, 3) on the device.
        maps: The network's outputs on the device, in order.
        binding: All of them.
        options: Of its runs.
    """

    images: Any
    maps: Sequence[Any]
    binding: Any
    options: Any


class DeviceRunner:
    """Runs a session; the memory on the device is its own and is used for every run.

    Args:
        session: Of the network, with fixed height and width.
        providers: Of the session, for what runs behind it.
        device: That runs it.
        size: (H, W) of the input in pixels.
        options: See `GpuOptions`.

    Attributes:
        returned_bytes: Bytes of maps that left the device in the last run.
        page_locked: Whether the device reads batches of `new_batch` by itself.
    """

    def __init__(
        self,
        session: Any,
        providers: Sequence[str],
        device: Device,
        size: tuple[int, int],
        options: GpuOptions,
    ) -> None:
        self._session = session
        self._memory = MEMORY[device]
        self._size = size
        self._graphs = options.cuda_graphs
        self.page_locked = options.page_locked and device in ("cuda", "tensorrt")
        self._batches: list[weakref.ref[NDArray[np.uint8]]] = []  # they end with their threads
        self._outputs = {each.name: each for each in session.get_outputs()}
        self._bound: dict[int, _Bound] = {}
        self._lock = threading.Lock()  # what is bound is one run's at a time
        floats = all(
            self._outputs[name].type == "tensor(float)"
            for name in (contract.OFFSET, contract.BANDWIDTH, contract.SEED)
        )
        self._foreground: Any = None
        if options.foreground and floats:
            # TensorRT would build an engine for what CUDA does at once.
            plain = [each for each in providers if "Tensorrt" not in each]
            own = onnxruntime.SessionOptions()
            # Else the largest foreground that there ever was (420 MB, where a batch of 8 pictures
            # of 2048x1024 is nothing but foreground) would stay on the host, several times.
            own.enable_cpu_mem_arena = False
            self._foreground = onnxruntime.InferenceSession(
                str(FOREGROUND_FILE), own, providers=plain
            )
        self.returned_bytes = 0

    def run(self, images: NDArray[np.uint8], size: int) -> Predictions:
        """Run a batch that is padded to ``size`` images, and return maps of those that were given.

        They are new arrays: no later run writes into them. Runs of several threads take turns.
        """
        with self._lock:
            return self._run(images, size)

    def new_batch(self, size: int) -> NDArray[np.uint8]:
        """Return zeros, uint8 (size, H, W, 3), from which pictures reach the device fastest.

        A run of its first pictures may blacken those behind them, which pads the batch.
        """
        shape = (size, *self._size, 3)
        batch = page_locked(shape) if self.page_locked else None
        self.page_locked = batch is not None
        batch = np.zeros(shape, np.uint8) if batch is None else batch
        self._batches = [each for each in self._batches if each() is not None]
        self._batches.append(weakref.ref(batch))
        return batch

    def _padded(self, images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """Return images of which those behind the given are black: they show no foreground."""
        known = [batch for each in self._batches if (batch := each()) is not None]
        for batch in known:
            begins = images.ctypes.data == batch.ctypes.data and images.base is batch
            if begins and len(batch) >= size:
                batch[len(images) : size] = 0
                return batch[:size]
        padding = np.zeros((size - len(images), *images.shape[1:]), np.uint8)
        return np.concatenate([images, padding])

    def _run(self, images: NDArray[np.uint8], size: int) -> Predictions:
        bound = self._bound.get(size)
        if bound is None:
            bound = self._bound[size] = self._bind(size)
        whole = images if len(images) == size else self._padded(images, size)
        bound.images.update_inplace(np.ascontiguousarray(whole))
        self._session.run_with_iobinding(bound.binding, bound.options)
        if self._foreground is None:
            maps = [np.array(each.numpy()) for each in bound.maps]
            self.returned_bytes = sum(each.nbytes for each in maps)
            return Predictions.first(len(images), maps)
        pixels = self._select(bound)
        self.returned_bytes = sum(each.nbytes for each in pixels)
        return Foreground(pixels, (len(images), *self._size))

    def _select(self, bound: _Bound) -> Pixels:
        binding = self._foreground.io_binding()  # anew: an output that is bound keeps its size
        for name, value in zip(contract.OUTPUTS, bound.maps, strict=True):
            binding.bind_ortvalue_input(name, value)
        for name in (PIXEL, VALUES, CLASS):
            binding.bind_output(name, "cpu")
        self._foreground.run_with_iobinding(binding)
        return Pixels(*(each.numpy() for each in binding.get_outputs()))

    def _bind(self, size: int) -> _Bound:
        make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        height, width = self._size
        if size * height * width > _MOST_PIXELS:
            raise ConfigurationError(
                f"a batch of {size} pictures of {width}x{height} has more pixels than their places "
                f"can be counted in ({_MOST_PIXELS}): expected at most "
                f"{_MOST_PIXELS // (height * width)} pictures (WORKER_MAX_BATCH_SIZE)"
            )
        images = make((size, height, width, 3), np.uint8, self._memory, 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(contract.INPUT, images)
        maps = []
        for name in contract.OUTPUTS:
            output = self._outputs[name]
            channels = [output.shape[1]] if len(output.shape) == 4 else []
            shape = (size, *channels, height, width)
            maps.append(make(shape, _TYPES[output.type], self._memory, 0))
            binding.bind_ortvalue_output(name, maps[-1])
        options = onnxruntime.RunOptions()
        if self._graphs:
            options.add_run_config_entry("gpu_graph_id", str(size))  # a recording for each size
        return _Bound(images, maps, binding, options)
