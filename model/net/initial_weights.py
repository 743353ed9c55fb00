"""Weights that a training starts from: whole networks, and encoders alone.

What fits is taken over: the encoder and the layers of both decoders always, the channels of the
last layer by class name.

Letters: N crops of a batch, C channels, H, W pixels, K classes.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from contract.artifact_files import CURRENT, MODEL_FILE, find_model
from contract.errors import ConfigurationError
from model.net.checkpoint import find_checkpoint, load_checkpoint
from model.net.erfnet import BranchedERFNet
from model.net.published import load_encoder

_UNUSED_HEAD = "encoder.output_conv."
_SEED_LAYER = "decoders.1.output_conv."
_CHANNEL_AXIS = {"weight": 1, "bias": 0}
"""Axis of the class in the seed decoder's last layer, a transposed convolution (in, K, ...)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class InitialWeights:
    """Weights to start from.

    Attributes:
        state: By name in `BranchedERFNet`: those of the whole network, or of the encoder alone.
        classes: K class names of a whole network; empty for an encoder alone.
        input_power: Exponent of the brightness that they were trained with; None if unknown.
        training_data: Data, licences and credits of what they learned from, for people.
        fused: Batch norms that are part of the convolution before them, as artifacts have them;
            `fit_batch_norm` gives them statistics.
    """

    state: Mapping[str, Tensor]
    classes: tuple[str, ...] = ()
    input_power: float | None = None
    training_data: str = ""
    fused: tuple[str, ...] = ()


def find_weights(path: Path) -> Path:
    """Return the file of weights that ``path`` names.

    Args:
        path: A file, an artifact's folder ``NAME/VERSION`` (or ``NAME`` with ``current``), or the
            folder of a run.

    Raises:
        ConfigurationError: Nothing there.
    """
    if path.is_dir():
        is_artifact = any((path / part / MODEL_FILE).is_file() for part in (".", CURRENT))
        return find_model(path) if is_artifact else find_checkpoint(path)
    return path


def name_weights(path: Path) -> dict[str, str]:
    """Return path and sha256 of a file of weights, so that a run can say what it began from.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return {"path": str(path), "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise ConfigurationError(
            f"initial weights: {path}: {error.strerror}; expected a checkpoint, the folder of a "
            "run, or an artifact NAME/VERSION"
        ) from error


def read_initial_weights(path: Path) -> InitialWeights:
    """Read a checkpoint of `seedstream train`, or the encoder of a published one.

    Raises:
        ConfigurationError: The file is neither; every fault is listed.
    """
    try:
        trained = load_checkpoint(path)
        state = trained.network().state_dict()
    except ConfigurationError as not_ours:
        try:
            encoder = load_encoder(path)
        except ConfigurationError as error:
            faults = dict.fromkeys([*not_ours.faults, *error.faults])
            raise ConfigurationError(list(faults)) from error
        return InitialWeights(state={f"encoder.{name}": value for name, value in encoder.items()})
    return InitialWeights(
        state=state,
        classes=tuple(trained.classes),
        input_power=trained.input_power,
        training_data=trained.training_data,
    )


def start_from(network: BranchedERFNet, weights: InitialWeights, classes: Sequence[str]) -> str:
    """Load what fits; the rest of the network stays new.

    A class that the weights do not know begins with the mean of those that they know: what all
    objects have in common is a better start than chance.

    Args:
        network: Heads ``[2 + n_sigma, len(classes)]``.
        weights: What to load.
        classes: Names of the network's classes, in the order of its channels.

    Returns:
        What was taken over, for people.
    """
    own = network.state_dict()
    taken = {
        name: value
        for name, value in weights.state.items()
        if not name.startswith((_UNUSED_HEAD, _SEED_LAYER)) and own[name].shape == value.shape
    }
    new = []
    if weights.classes:
        taken |= _seed_layer(weights, classes)
        new = [name for name in classes if name not in weights.classes]
    network.load_state_dict(taken, strict=False)
    if weights.input_power is not None and weights.input_power != network.input_power:
        log.warning(
            "the initial weights were trained with input_power %g, the recipe has %g: set it in "
            "the recipe, or expect to learn longer",
            *(weights.input_power, network.input_power),
        )
    if not weights.classes:
        return "its encoder"
    skipped = [n for n in own if n not in taken and not n.startswith(_UNUSED_HEAD)]
    told = "all of its weights" if not skipped else f"its weights without {', '.join(skipped)}"
    if new:
        told += f"; new classes {new} begin with the mean of {list(weights.classes)}"
    return told


def _seed_layer(weights: InitialWeights, classes: Sequence[str]) -> dict[str, Tensor]:
    """Return the seed decoder's last layer with one channel for each of ``classes``."""
    place = {name: number for number, name in enumerate(weights.classes)}
    layer = {}
    for part, axis in _CHANNEL_AXIS.items():
        values = weights.state[_SEED_LAYER + part]
        channels = [
            values.select(axis, place[name]) if name in place else values.mean(axis)
            for name in classes
        ]
        layer[_SEED_LAYER + part] = torch.stack(channels, axis)
    return layer


@torch.no_grad()
def fit_batch_norm(
    network: BranchedERFNet,
    names: Sequence[str],
    batches: Iterable[Tensor],
    run: Callable[[Tensor], Tensor],
) -> None:
    """Give batch norms that change nothing the statistics of what passes through them.

    A fused batch norm is part of the convolution before it: its own scale and mean are lost. With
    mean and variance of ``batches`` both as statistics and as shift and scale it still changes
    nothing in inference, and next to nothing in training, which normalises by the batch at hand.

    Args:
        network: In eval mode afterwards.
        names: The batch norms.
        batches: Images (N, 3, H, W) as in training.
        run: Passes images through the network.
    """
    norms = {name: network.get_submodule(name) for name in names}
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    hooks = [norm.register_forward_pre_hook(_watch(seen[name])) for name, norm in norms.items()]
    network.eval()
    for images in batches:
        run(images)
    for hook in hooks:
        hook.remove()
    for name, norm in norms.items():
        assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
        mean, variance = (torch.stack(part).mean(0) for part in zip(*seen[name], strict=True))
        set_neutral(norm, mean, variance)


def _watch(seen: list[tuple[Tensor, Tensor]]) -> Callable[[nn.Module, tuple[Tensor]], None]:
    def keep(_: nn.Module, inputs: tuple[Tensor]) -> None:
        values = inputs[0].double().transpose(0, 1).flatten(1)  # (C, N H W)
        seen.append((values.mean(1), values.var(1, correction=0)))

    return keep


def set_neutral(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Let a batch norm expect ``mean`` and ``variance`` (C,) and give back what it gets."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.bias.copy_(mean)
    norm.weight.copy_((variance + norm.eps).sqrt())
