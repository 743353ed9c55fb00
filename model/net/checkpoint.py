"""Trainer and exporter: what a checkpoint holds."""

import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contract.errors import ConfigurationError
from model.net.erfnet import BranchedERFNet

_FORBIDDEN = re.compile(r"(?:GLOBAL|class|function|instruction) `?([\w.]+\.[\w.]+)")
"""Where PyTorch's message names what it refused."""

# Published files keep a measured figure as a numpy scalar, under the module's old or new name.
_SCALAR = type(np.float64(0)).__reduce__(np.float64(0))[0]
_NUMPY_SCALARS: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")),
]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network and what an artifact says about it.

    The file is a dictionary that ``torch.load(weights_only=True)`` reads. Its keys are these
    attributes, those with a default may be missing, and others (the optimiser's state) are ignored.

    Attributes:
        model_state_dict: Weights of `BranchedERFNet([2 + n_sigma, len(classes)])`.
        classes: Class names; label k of the training data is ``classes[k - 1]``.
        n_sigma: Number of bandwidth channels, 1 or 2.
        input_size: (height, width) in pixels of the exported input, multiples of 8.
        training_data: Data, licences and credits, for people.
        label_warnings: What is doubtful about the labels of the training data, one sentence each.
        accuracy: Measured figures by name.
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        score_threshold: Lowest instance score reported by default, 0..1.
        min_pixels: Smallest foreground and smallest instance, in input pixels.
        connected: Whether an instance is only the connected piece that holds its seed.
        object_pixels: Median area of the objects in the training data, letterboxed into
            ``input_size``, in input pixels; None where unknown, as in older files.
        name: Default name of the model, empty where nobody gave one.
        input_power: Exponent of the brightness before the first layer.
    """

    model_state_dict: dict[str, Tensor]
    classes: list[str]
    n_sigma: int
    input_size: list[int]
    training_data: str = ""
    label_warnings: list[str] = field(default_factory=list)
    accuracy: dict[str, float] = field(default_factory=dict)
    seed_threshold: float = 0.9
    score_threshold: float = 0.5
    min_pixels: int = 128
    connected: bool = False
    object_pixels: float | None = None
    name: str = ""
    input_power: float = 1.0

    def network(self) -> BranchedERFNet:
        """Return the network with these weights, in eval mode.

        Raises:
            ConfigurationError: The weights are not those of this network.
        """
        network = BranchedERFNet([2 + self.n_sigma, len(self.classes)], self.input_power)
        try:
            network.load_state_dict(self.model_state_dict)
        except RuntimeError as error:
            raise ConfigurationError(
                f"the weights do not fit heads {network.heads} (2 + n_sigma, classes): {error}"
            ) from error
        return network.eval()


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint that ``path`` names.

    Args:
        path: A file, or the folder of a run or its ``checkpoints``: ``best.pt``, else the newest
            ``step-*.pt``, else ``checkpoint.pt``.

    Raises:
        ConfigurationError: Nothing there.
    """
    if path.is_file():
        return path
    folder = path / "checkpoints"
    names = ("best.pt", "step-*.pt", "checkpoint.pt")
    candidates = [
        file
        for where in (folder, path)
        for name in names
        for file in sorted(where.glob(name), reverse=True)
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    seen = [
        str(entry.relative_to(path))
        for where in (path, folder)
        if where.is_dir()
        for entry in sorted(where.iterdir())
    ]
    raise ConfigurationError(
        f"{path}: no checkpoint here: expected a file, or the folder of a run with best.pt or "
        f"step-*.pt in checkpoints/, or with checkpoint.pt, found {seen or 'nothing'}; train one "
        "with `seedstream train`"
    )


def read_state(path: Path) -> dict[str, Any]:
    """Read the dictionary that a PyTorch file holds, on the CPU; nothing in it is executed.

    Raises:
        ConfigurationError: The file is missing, is no PyTorch file, holds no dictionary, or holds
            Python objects that only running code from the file would restore.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise ConfigurationError(f"{path}: no such checkpoint") from error
    except pickle.UnpicklingError as error:
        found = _FORBIDDEN.search(str(error))
        if found is None:
            # Around it PyTorch advises to switch its protection off.
            reason = str(error).partition("WeightsUnpickler error:")[2].strip().partition("\n")[0]
            raise ConfigurationError(
                f"{path}: not a PyTorch checkpoint: {reason or 'not its format'}"
            ) from error
        raise ConfigurationError(
            f"{path}: refused: it holds '{found[1]}', expected tensors, numbers, texts, lists and "
            "dictionaries; reading such an object would run code from the file. If you trust "
            "its origin, load it there and save its state dict alone"
        ) from error
    except (EOFError, RuntimeError, KeyError, ValueError, OSError) as error:
        reason = str(error) or "it ends where its content should begin"
        raise ConfigurationError(f"{path}: not a PyTorch checkpoint: {reason}") from error
    if not isinstance(state, dict):
        raise ConfigurationError(f"{path}: holds a {type(state).__name__}, expected a dictionary")
    return state


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in the file is executed.

    Raises:
        ConfigurationError: The file is missing, is no checkpoint, or lacks a key.
    """
    state = read_state(path)
    fields = Checkpoint.__dataclass_fields__
    try:
        return Checkpoint(**{key: value for key, value in state.items() if key in fields})
    except TypeError as error:
        raise ConfigurationError(
            f"{path}: not a checkpoint of `seedstream train`: {error}; found "
            f"{sorted(map(str, state))}"
        ) from error
