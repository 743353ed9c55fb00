"""Page-locked memory is used where ONNX Runtime has it; where it has none, all goes on without.

The CPU's memory stands in for it: what is tried here is how it is asked for and taken.
"""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from segmentation.engines.host_memory import page_locked

SHAPE = (2, 16, 24, 3)
INFO = object()
Pretend = Callable[..., None]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """Let ONNX Runtime have CUDA's memory; ``make`` takes the place of what makes values of it."""
    real = onnxruntime.OrtValue.ortvalue_from_shape_and_type

    def plain(shape: Any, kind: Any, *, memory_info: object) -> Any:
        assert memory_info is INFO
        return real(shape, kind)

    def pretend(make: Callable[..., Any] = plain, info: object = INFO) -> None:
        def memory_info(kind: object) -> object:
            return info if kind == onnxruntime.OrtDeviceMemoryType.HOST_ACCESSIBLE else None

        devices = [
            SimpleNamespace(ep_name="CPUExecutionProvider", memory_info=lambda kind: None),
            SimpleNamespace(ep_name="CUDAExecutionProvider", memory_info=memory_info),
        ]
        monkeypatch.setattr(onnxruntime, "get_ep_devices", lambda: devices)
        monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", make)

    return pretend


def test_a_build_without_cuda_has_none() -> None:
    assert page_locked(SHAPE) is None


def test_cuda_s_memory_is_taken_and_is_black(pretend: Pretend) -> None:
    pretend()
    found = page_locked(SHAPE)
    assert found is not None
    assert found.shape == SHAPE
    assert found.dtype == np.uint8
    assert not found.any()
    found[:] = 7  # still there, though nothing else holds it
    assert (found == 7).all()


def test_a_copy_is_no_memory_to_write_into(pretend: Pretend) -> None:
    value = SimpleNamespace(numpy=lambda: np.zeros(SHAPE, np.uint8), data_ptr=lambda: 0)
    pretend(lambda *given, **named: value)
    assert page_locked(SHAPE) is None


def test_cuda_without_such_memory_has_none(pretend: Pretend) -> None:
    pretend(info=None)
    assert page_locked(SHAPE) is None


@pytest.mark.parametrize("error", [RuntimeError("no allocator"), TypeError("memory_info")])
def test_what_fails_is_told_and_costs_nothing_else(
    pretend: Pretend, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fail(*given: object, **named: object) -> None:
        raise error

    pretend(fail)
    with caplog.at_level(logging.INFO):
        assert page_locked(SHAPE) is None
    assert f"no page-locked memory for pictures: {error}" in caplog.text


def test_an_old_onnx_runtime_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(onnxruntime, "get_ep_devices")
    assert page_locked(SHAPE) is None
