"""The street network for tests: the weights that ship, back in PyTorch."""

from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import numpy_helper

from model.net.erfnet import BranchedERFNet

CLIP = Path(__file__).parents[1] / "assets" / "vtest_clip.mp4"
ARTIFACT = Path(__file__).parents[1] / "artifacts" / "street" / "1"
CLASSES = ["person", "vehicle"]


def street_network() -> BranchedERFNet:
    """Return a trained network that finds people and vehicles in ``CLIP``.

    The artifact's convolutions carry their batch norms, so those are set to pass values through.
    """
    model = onnx.load(ARTIFACT / "model.onnx")
    network = BranchedERFNet([4, len(CLASSES)]).eval()
    state = network.state_dict()
    for name in state:
        if name.endswith("running_var"):
            state[name] = torch.full_like(state[name], 1 - 1e-3)  # and eps 1e-3 make 1
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("network.").removesuffix(".float16")
        state[name] = torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
    network.load_state_dict(state)
    return network


def street_checkpoint(path: Path, **changes: Any) -> Path:
    """Write a checkpoint of that network as the trainer would."""
    state = {
        "model_state_dict": street_network().state_dict(),
        "classes": CLASSES,
        "n_sigma": 2,
        "input_size": [384, 512],
        "training_data": "none",
        "accuracy": {"recall": 0.5},
        "seed_threshold": 0.5,
        "score_threshold": 0.7,
        "min_pixels": 150,
        "optimizer_state_dict": {"step": 3},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({k: v for k, v in (state | changes).items() if v is not None}, path)
    return path
