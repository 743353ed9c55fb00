"""Weights that a run starts from: a trained network, or an encoder trained for classification."""

import logging
from pathlib import Path

from contract.errors import ConfigurationError
from model.net.checkpoint import load_checkpoint
from model.net.erfnet import BranchedERFNet
from model.net.published import load_encoder

log = logging.getLogger(__name__)


def load_initial_weights(network: BranchedERFNet, path: Path) -> None:
    """Load a checkpoint of `seedstream train`, or the encoder of a published one.

    Raises:
        ConfigurationError: The file is neither, or its shapes do not fit; every fault is listed.
    """
    try:
        trained = load_checkpoint(path).network()
    except ConfigurationError as not_ours:
        try:
            network.encoder.load_state_dict(load_encoder(path), strict=False)
        except ConfigurationError as error:
            raise ConfigurationError([*not_ours.faults, *error.faults]) from error
        log.info("%s: started from its encoder", path)
        return
    if trained.heads == network.heads:
        network.load_state_dict(trained.state_dict())
        log.info("%s: started from all of its weights", path)
    else:
        network.encoder.load_state_dict(
            {
                name: value
                for name, value in trained.encoder.state_dict().items()
                if not name.startswith("output_conv")
            },
            strict=False,
        )
        log.info(
            "%s: started from its encoder; its heads are %s, these are %s",
            *(path, trained.heads, network.heads),
        )
