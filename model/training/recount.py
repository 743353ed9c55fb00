"""Batch norm's statistics counted anew, on pictures as the deployed model sees them.

Training keeps a running mean over crops, which lie around objects and come a few at a time; whole
pictures have other statistics. "Precise" batch norm (Wu and Johnson, "Rethinking 'Batch' in
BatchNorm", 2021, section 3) averages over many pictures with the final weights instead.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from model.data.data_set import DataSet
from model.training.learner import Learner
from model.training.validation import fitted

_BATCH = 8
_MOST = 512
"""Pictures that are counted, spread over the data."""


@torch.no_grad()
def recount_batch_norm(learner: Learner, data: DataSet, size: tuple[int, int]) -> None:
    """Replace the running statistics of every batch norm by those over ``data``.

    Each process counts the same pictures, so all end with the same statistics.

    Args:
        learner: Holds the network.
        data: Pictures that are learned from.
        size: (height, width) of the model's input.
    """
    norms = [m for m in learner.network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [norm.momentum for norm in norms]
    learner.network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average
        norm.train()
    for images in _batches(data, size):
        learner.run(images)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum


def _batches(data: DataSet, size: tuple[int, int]) -> Iterator[Tensor]:
    chosen = np.linspace(0, len(data) - 1, min(len(data), _MOST)).astype(int)
    # Neighbours in a data set are alike: each batch is to hold pictures from all over it.
    chosen = np.random.default_rng(0).permutation(chosen)
    whole = max(1, len(chosen) // _BATCH)
    for part in np.array_split(chosen, whole):
        shown = [fitted(data.read(int(index)), size).image for index in part]
        yield torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
