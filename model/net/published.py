"""Checkpoints in the layout of the published code: whole networks, and encoders alone.

`model.net.erfnet` names its layers as that layout does; only the names are shared. Such a file is a
dictionary with the weights under ``model_state_dict`` or ``state_dict``, or the weights themselves,
their names with or without the ``module.`` of data-parallel training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from contract.errors import ConfigurationError
from model.net.checkpoint import Checkpoint, read_state
from model.net.erfnet import BranchedERFNet

_CONTAINERS = ("model_state_dict", "state_dict")
_PARALLEL = "module."
_FIRST_LAYER = "initial_block.conv.weight"
_COUNTER = "num_batches_tracked"
"""Entry of batch norms that files written before PyTorch 0.4.1 lack; inference ignores it."""

_UNUSED_HEAD = "output_conv."
"""Of the encoder: the classification head of its pretraining."""


@dataclass(frozen=True)
class Published:
    """Weights of a published network.

    Attributes:
        state: State dict of ``BranchedERFNet(heads)``.
        heads: Channels of each decoder: ``(2 + n_sigma, number of classes)``.
    """

    state: dict[str, Tensor]
    heads: tuple[int, int]

    @property
    def n_sigma(self) -> int:
        """Number of bandwidth channels, 1 or 2."""
        return self.heads[0] - 2


def load_published(path: Path) -> Published:
    """Read a whole network; its heads follow from the shapes of its last layers.

    Everything besides the weights (the optimiser's state, logs) is ignored, and nothing in the file
    is executed.

    Args:
        path: The file.

    Raises:
        ConfigurationError: The file cannot be read, or is not this network; every missing and
            unexpected entry and every wrong shape is listed.
    """
    state = _weights(read_state(path), path)
    heads = _heads(state)
    if len(heads) != 2 or heads[0] not in (3, 4):
        raise ConfigurationError(
            f"{path}: its decoders give {list(heads) or 'no'} channels, expected two decoders: "
            "[2 + n_sigma, classes] with n_sigma 1 or 2; found entries "
            f"{', '.join(list(state)[:4]) or 'none'} ..."
        )
    expected = BranchedERFNet(heads).state_dict()
    # The classification head has as many channels as its pretraining had classes: not run here.
    unused = {name for name in expected if name.startswith(f"encoder.{_UNUSED_HEAD}")}
    found = {name: value for name, value in state.items() if name not in unused}
    fitted = _fit(
        {name: value for name, value in expected.items() if name not in unused}, found, path
    )
    return Published(
        fitted | {name: expected[name].zero_() for name in unused}, (heads[0], heads[1])
    )


def as_checkpoint(path: Path, classes: Sequence[str], **settings: Any) -> Checkpoint:
    """Read a published network as a checkpoint for `model.export.exporter`.

    Args:
        path: The file.
        classes: Class names, in the order of the second decoder's channels.
        settings: Other attributes of `model.net.checkpoint.Checkpoint`, ``input_size`` at least.

    Raises:
        ConfigurationError: As `load_published`, or the number of classes is another.
    """
    published = load_published(path)
    if len(classes) != published.heads[1] or not all(classes):
        raise ConfigurationError(
            f"{path}: its second decoder has {published.heads[1]} classes, expected as many names, "
            f"found {list(classes)}"
        )
    return Checkpoint(
        model_state_dict=published.state,
        classes=list(classes),
        n_sigma=published.n_sigma,
        **settings,
    )


def load_encoder(path: Path) -> dict[str, Tensor]:
    """Read the encoder of a published network, for instance one pre-trained on ImageNet.

    The encoder is found wherever it lies (``encoder.``, ``module.encoder.``,
    ``module.features.encoder.``); the decoder, the classifier and the encoder's own
    classification head are ignored. Nothing in the file is executed.

    Args:
        path: The file.

    Returns:
        State dict of `model.net.erfnet.Encoder` without ``output_conv``, for
        ``network.encoder.load_state_dict(state, strict=False)``.

    Raises:
        ConfigurationError: The file cannot be read, or holds no such encoder; every missing and
            unexpected entry and every wrong shape is listed.
    """
    state = _weights(read_state(path), path)
    prefixes = [name.removesuffix(_FIRST_LAYER) for name in state if name.endswith(_FIRST_LAYER)]
    if len(prefixes) != 1:
        raise ConfigurationError(
            f"{path}: {len(prefixes)} entries end in '{_FIRST_LAYER}', expected 1: the first layer "
            f"of an ERFNet encoder; found {', '.join(list(state)[:4]) or 'no tensors'} ..."
        )
    prefix = prefixes[0]
    found = {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
    if not prefix:  # a bare encoder: what stands beside it cannot be told by a prefix
        found = {
            name: value
            for name, value in found.items()
            if not name.startswith(("decoder", "class"))
        }
    expected = BranchedERFNet([1]).encoder.state_dict()
    return _fit(_without_head(expected), _without_head(found), path)


def _without_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(_UNUSED_HEAD)}


def _weights(content: Mapping[Any, Any], path: Path) -> dict[str, Tensor]:
    """Return the tensors by name, without the container and the ``module.`` around them."""
    held = next((content[key] for key in _CONTAINERS if key in content), content)
    if not isinstance(held, Mapping):
        raise ConfigurationError(
            f"{path}: its weights are a {type(held).__name__}, expected a dictionary"
        )
    tensors = {str(key): value for key, value in held.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ConfigurationError(
            f"{path}: holds no weights: expected '{_CONTAINERS[0]}' or tensors by name, found "
            f"{sorted(map(str, content))}"
        )
    return {name.removeprefix(_PARALLEL): value for name, value in tensors.items()}


def _heads(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """Return the channels of each decoder's last layer, a transposed convolution (in, out, ...)."""
    channels: list[int] = []
    for number in count():
        weight = state.get(f"decoders.{number}.output_conv.weight")
        if weight is None or weight.ndim != 4:
            return tuple(channels)
        channels.append(weight.shape[1])
    raise AssertionError("count() never ends")


def _fit(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Return what was found in the expected order and type, or name every fault."""
    faults = [
        f"{path}: {name} is missing, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name not in found and not name.endswith(_COUNTER)
    ]
    faults += [
        f"{path}: {name} {tuple(value.shape)} is unexpected"
        for name, value in found.items()
        if name not in expected
    ]
    faults += [
        f"{path}: {name} is {tuple(found[name].shape)}, expected {tuple(value.shape)}"
        for name, value in expected.items()
        if name in found and found[name].shape != value.shape
    ]
    faults += [
        f"{path}: {name} holds values that are not finite"
        for name in expected
        if name in found and not torch.isfinite(found[name]).all()
    ]
    if faults:
        raise ConfigurationError(faults)
    return {name: found.get(name, value).to(value.dtype) for name, value in expected.items()}
