"""The loss the way the paper writes it: one map and one sort for each instance.

Source: Neven et al., CVPR 2019, equations 5 to 11; Berman et al., CVPR 2018, algorithm 1. This is
the specification of `model.net.loss`, which goes over a batch in one pass: tests compare both.
Letters as there; P pixels of one image that are not ignored.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.net.loss import IGNORE_LABEL, PAPER_GRID_STEP, LossTerms


def plain_loss(
    prediction: Tensor,
    instances: Tensor,
    labels: Tensor,
    *,
    n_sigma: int,
    to_center: bool = True,
    foreground_weights: Sequence[float] = (1.0,),
    grid_step: tuple[float, float] = PAPER_GRID_STEP,
) -> LossTerms:
    """Compute the terms; arguments as of `model.net.loss.SpatialEmbeddingLoss` and its `terms`."""
    n_batch, channels, height, width = prediction.shape
    n_classes = channels - 2 - n_sigma
    weights = list(foreground_weights) * (n_classes if len(foreground_weights) == 1 else 1)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    grid = torch.stack([x * grid_step[0], y * grid_step[1]]).to(prediction)
    instance = variance = seed = prediction.new_zeros(())
    for maps, ids, classes in zip(prediction, instances, labels, strict=True):
        embedding, bandwidth = torch.tanh(maps[:2]) + grid, maps[2 : 2 + n_sigma]
        seeds, valid = torch.sigmoid(maps[2 + n_sigma :]), classes != IGNORE_LABEL
        for k in range(n_classes):
            seed = seed + seeds[k][valid & (classes != k + 1)].square().sum()
        numbers = [n for n in ids[valid].unique().tolist() if n]
        for n in numbers:
            own = (ids == n) & valid
            k = int(classes[own].min()) - 1
            center = (grid if to_center else embedding)[:, own].mean(1)
            mean = bandwidth[:, own].mean(1)
            spread = bandwidth[:, own] - mean.detach()[:, None]
            squares = (embedding - center[:, None, None]).square()
            gaussian = torch.exp(-(squares * torch.exp(10 * mean)[:, None, None]).sum(0))
            instance = instance + lovasz_hinge(2 * gaussian[valid] - 1, own[valid]) / len(numbers)
            variance = variance + spread.square().mean() / len(numbers)
            difference = seeds[k][own] - gaussian[own].detach()
            seed = seed + weights[k] * difference.square().sum()
    return LossTerms(instance / n_batch, variance / n_batch, seed / labels.numel())


def lovasz_hinge(logits: Tensor, mask: Tensor) -> Tensor:
    """Return the Lovász extension of the Jaccard loss of hinge errors: logits and mask are (P,)."""
    truth = mask.to(logits.dtype)
    errors, order = (1 - logits * (2 * truth - 1)).sort(descending=True)
    truth = truth[order]
    missed, found = truth.sum() - truth.cumsum(0), (1 - truth).cumsum(0)
    jaccard = 1 - missed / (truth.sum() + found)
    return (torch.relu(errors) * jaccard.diff(prepend=jaccard.new_zeros(1))).sum()
