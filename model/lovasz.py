"""The Lovász hinge for many binary masks in one sort.

Source: Berman et al., "The Lovász-Softmax loss", CVPR 2018, equation 9 and algorithm 1. Shape
letter: Q entries, each one pixel of one mask.
"""

import torch
from torch import Tensor


def lovasz_hinge(errors: Tensor, foreground: Tensor, group: Tensor, n_groups: int) -> Tensor:
    """Lovász extension of the Jaccard loss, for many binary masks at once.

    Sorted by falling error, each pixel weighs what the Jaccard loss grows by when it joins the
    set of mistakes (Berman et al., equation 9 and algorithm 1).

    Args:
        errors: float (Q,), hinge errors in 0..2; pixels left out count as correct background.
        foreground: bool (Q,), whether the pixel belongs to its group's mask; all pixels of the
            mask must be among the Q.
        group: int (Q,), the mask that each entry belongs to, 0..n_groups-1.
        n_groups: Number of masks.

    Returns:
        Loss of each mask, float (n_groups,), 0..2.
    """
    # One float64 key sorts by group, then by falling error: errors of 0..2 fit between groups.
    order = torch.argsort(group.double() * 4 - errors.detach().double())
    group, foreground, errors = group[order], foreground[order], errors[order]
    size = torch.bincount(group, minlength=n_groups)
    start = (size.cumsum(0) - size)[group]
    total = torch.zeros_like(size).index_add(0, group, foreground.long())
    covered = foreground.long().cumsum(0)  # over all groups: subtract those before this one
    covered = covered - (total.cumsum(0) - total)[group]
    position = torch.arange(1, len(group) + 1, device=group.device) - start
    union = total[group] + position - covered
    jaccard = 1 - (total[group] - covered).to(errors.dtype) / union
    previous = torch.where(position == 1, 0.0, jaccard.roll(1))
    weighted = torch.relu(errors) * (jaccard - previous)
    zeros = errors.new_zeros(n_groups, dtype=torch.float64)
    return zeros.index_add(0, group, weighted.double()).to(errors.dtype)
