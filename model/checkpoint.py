"""Trainer and exporter: what a checkpoint holds."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract.errors import ConfigurationError
from model.erfnet import BranchedERFNet


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
        accuracy: Measured figures by name.
        seed_threshold: Lowest seed score that starts an instance, 0..1.
        score_threshold: Lowest instance score reported by default, 0..1.
        min_pixels: Smallest foreground and smallest instance, in input pixels.
    """

    model_state_dict: dict[str, Tensor]
    classes: list[str]
    n_sigma: int
    input_size: list[int]
    training_data: str = ""
    accuracy: dict[str, float] = field(default_factory=dict)
    seed_threshold: float = 0.9
    score_threshold: float = 0.5
    min_pixels: int = 128

    def network(self) -> BranchedERFNet:
        """Return the network with these weights, in eval mode.

        Raises:
            ConfigurationError: The weights are not those of this network.
        """
        network = BranchedERFNet([2 + self.n_sigma, len(self.classes)])
        try:
            network.load_state_dict(self.model_state_dict)
        except RuntimeError as error:
            raise ConfigurationError(
                f"the weights do not fit heads {network.heads} (2 + n_sigma, classes): {error}"
            ) from error
        return network.eval()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in the file is executed.

    Raises:
        ConfigurationError: The file is missing, is no checkpoint, or lacks a key.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path}: no such checkpoint") from error
    except (pickle.UnpicklingError, EOFError, RuntimeError, KeyError) as error:
        raise ConfigurationError(f"{path}: not a PyTorch checkpoint: {error}") from error
    if not isinstance(state, dict):
        raise ConfigurationError(f"{path}: holds a {type(state).__name__}, expected a dictionary")
    fields = Checkpoint.__dataclass_fields__
    try:
        return Checkpoint(**{key: value for key, value in state.items() if key in fields})
    except TypeError as error:
        raise ConfigurationError(
            f"{path}: not a checkpoint of `seedstream train`: {error}; found {sorted(state)}"
        ) from error
