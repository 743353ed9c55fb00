"""Where the golden values of the published method lie."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_HERE = Path(__file__).resolve().parent
_DATA = _HERE / "data"


def golden_file(name: str) -> Path:
    """Return a file of golden values; the largest ones lie only in ``../shared/reference``."""
    shared = Path(os.environ.get("SHARED", _HERE.parent.parent / "shared")) / "reference"
    path = next((p for p in (_DATA / name, shared / name) if p.is_file()), None)
    if path is None:
        pytest.skip(f"{name} is too large for tests/data and {shared} is absent")
    return path


def golden_value(name: str, shape: tuple[int, ...], k: int, base: int) -> np.ndarray:
    """Entry number ``k`` of the golden state dict, as shared/reference/README.md defines it."""
    size = int(np.prod(shape))
    v = np.sin(np.arange(size) * 0.7301 + k * 1.31 + base * 0.17).reshape(shape)
    if name.endswith("running_var"):
        return 1 + 0.5 * v
    if name.endswith("running_mean"):
        return 0.1 * v
    if ".bn" in name and name.endswith("weight"):
        return 1 + 0.1 * v
    if name.endswith("bias"):
        return 0.05 * v
    return v * np.sqrt(2 / (size / shape[0]))


def golden_state(golden: Any) -> dict[str, Any]:
    """The state dict of an ``erfnet_*.npz`` as PyTorch tensors; needs torch."""
    import torch

    state = {}
    names, shapes = golden["state_dict_keys"].tolist(), golden["state_dict_shapes"].tolist()
    for k, (name, text) in enumerate(zip(names, shapes, strict=True)):
        shape = tuple(int(n) for n in text.strip("()").split(",") if n.strip())
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        else:
            filled = golden_value(name, shape, k, int(golden["base"]))
            state[name] = torch.from_numpy(filled.astype(np.float32))
    return state
