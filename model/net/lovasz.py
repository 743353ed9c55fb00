"""The instance term: Lovász hinge of every instance's Gaussian, with its gradient.

Sources: Berman et al., "The Lovász-Softmax loss", CVPR 2018, equation 9 and algorithm 1; Neven et
al., CVPR 2019, equations 5 to 8. Written as one autograd function that goes over a few instances at
a time: memory does not grow with their number, and scratch arrays stay in the processor's cache.

Shape letters: B batch, P pixels of one image, I instances of the batch, S bandwidths, R instances
of one chunk, Q pairs of an instance of the chunk and a pixel near it.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# A pixel whose Gaussian is below exp(-18.5) = 1e-8 adds at most 2e-8 to a loss of order 1, less
# than float32 resolves, so only nearer ones are sorted.
_NEGLIGIBLE_EXPONENT = 18.5
_CHUNK_ELEMENTS = 1 << 18  # R * P: 1 MB of float32 per scratch array
_MAX_ROWS = 1 << 10  # leaves 22 bits of the sort key to the position
_ERROR_BITS = 31


def lovasz_weights(errors: Tensor, foreground: Tensor, row: Tensor, n_rows: int) -> Tensor:
    """Weights of hinge errors in the Lovász extension of the Jaccard loss, for many masks at once.

    Sorted by falling error, each pixel weighs what the Jaccard loss grows by when it joins the set
    of mistakes. The loss of a mask is the sum of ``weight * max(error, 0)`` over its entries; the
    weights are its gradient.

    Args:
        errors: float (Q,), hinge errors in 0..2; pixels left out count as correct background.
        foreground: bool (Q,), whether the pixel belongs to its row's mask; all pixels of the mask
            must be among the Q.
        row: int64 (Q,), the mask that each entry belongs to, 0..n_rows-1, at most 1024 rows.
        n_rows: Number of masks.

    Returns:
        float32 (Q,), the weights.
    """
    order = _order(errors, row)
    foreground = foreground.index_select(0, order).float()
    size = torch.bincount(row, minlength=n_rows)
    # Sorted, each row is one run. Counts within a row are counted over all rows, less those of the
    # rows before; float64 holds them exactly, as many as there may be.
    covered = foreground.cumsum(0, dtype=torch.float64)
    last = size.cumsum(0)
    until = torch.cat([covered.new_zeros(1), covered])[last]
    before = torch.cat([until.new_zeros(1), until[:-1]])
    position = torch.arange(1, len(row) + 1, device=row.device)
    position = (position - (last - size).repeat_interleave(size)).float()
    covered = (covered - before.repeat_interleave(size)).float()
    total = (until - before).float().repeat_interleave(size)
    jaccard = 1 - (total - covered) / (total + position - covered)
    growth = jaccard - torch.where(position == 1, 0.0, jaccard.roll(1))
    return torch.empty_like(growth).index_copy_(0, order, growth)


def _order(errors: Tensor, row: Tensor) -> Tensor:
    """Positions (Q,) sorted by row, then by falling error.

    Row, error and position are packed into one integer, because NumPy's vectorised integer sort is
    an order of magnitude faster than PyTorch's argsort on the CPU. The bits of floats that are not
    negative sort like the floats.
    """
    n_position = len(errors).bit_length()
    bits = errors.float().clamp(min=0).view(torch.int32).long()
    key = (row << _ERROR_BITS) + ((1 << _ERROR_BITS) - 1 - bits)
    key = (key << n_position) + torch.arange(len(errors), device=errors.device)
    on_cpu = key.device.type == "cpu"
    key = torch.from_numpy(np.sort(key.numpy())) if on_cpu else key.sort().values
    return key & ((1 << n_position) - 1)


class InstanceHinge(torch.autograd.Function):
    """Weighted sum of the Lovász hinge losses of all instances.

    ``apply(embedding, center, precision, instance_of, image, weight, valid)`` takes

    - ``embedding``: float (2, B * P), grid units;
    - ``center``: float (2, I), grid units; ``precision``: float (S, I);
    - ``instance_of``: int64 (B * P,), number 0..I-1 of the pixel's instance or -1;
    - ``image``: int64 (I,), sorted: the image of each instance; ``weight``: float (I,);
    - ``valid``: bool (B, P), False where a pixel is ignored;

    and returns a scalar, differentiable once in the first three.
    """

    @staticmethod
    def forward(
        ctx: Any,
        embedding: Tensor,
        center: Tensor,
        precision: Tensor,
        instance_of: Tensor,
        image: Tensor,
        weight: Tensor,
        valid: Tensor,
    ) -> Tensor:
        """Compute the loss and, in the same pass, its gradients."""
        n_pixels = valid.shape[1]
        gradients = [torch.zeros_like(part) for part in (embedding, center, precision)]
        loss = embedding.new_zeros((), dtype=torch.float64)
        n_rows = min(_MAX_ROWS, max(1, _CHUNK_ELEMENTS // n_pixels))
        for index in image.unique().tolist():  # type: ignore[no-untyped-call]
            here = slice(index * n_pixels, (index + 1) * n_pixels)
            for numbers in (image == index).nonzero()[:, 0].split(n_rows):
                own = instance_of[here] == numbers[:, None]
                loss += _chunk(
                    (embedding[:, here], center[:, numbers], precision[:, numbers]),
                    (gradients[0][:, here], gradients[1], gradients[2]),
                    numbers,
                    (own, valid[index], weight[numbers]),
                )
        ctx.save_for_backward(*gradients)
        return loss.to(embedding.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Scale the gradients that the forward pass left."""
        return (*(gradient * saved for saved in ctx.saved_tensors), None, None, None, None)


def _chunk(
    parts: tuple[Tensor, Tensor, Tensor],
    gradients: tuple[Tensor, Tensor, Tensor],
    numbers: Tensor,
    targets: tuple[Tensor, Tensor, Tensor],
) -> Tensor:
    """Loss of R instances of one image; their gradients are added to ``gradients``.

    ``parts`` are the image's embedding (2, P) and the chunk's centers (2, R) and precisions (S, R),
    ``targets`` its masks (R, P), the image's valid pixels (P,) and the weights (R,).
    """
    embedding, center, precision = parts
    own, valid, weight = targets
    n_pixels = own.shape[1]
    across = embedding[0] - center[0, :, None]
    down = embedding[1] - center[1, :, None]
    exponent = across.square().mul_(precision[0, :, None])
    exponent.addcmul_(down.square(), precision[-1, :, None])
    near = (exponent < _NEGLIGIBLE_EXPONENT).logical_and_(valid).logical_or_(own)
    # Flat positions: taking by one index is several times faster than by row and pixel.
    place = near.view(-1).nonzero()[:, 0]
    row = place.div(n_pixels, rounding_mode="floor")
    pixel = place - row * n_pixels
    per_row = near.sum(1)
    foreground = own.view(-1).index_select(0, place)
    gaussian = exponent.view(-1).index_select(0, place).neg_().exp_()
    # Hinge with margin 1 on the logit 2 g - 1: 2 - 2 g inside the mask, 2 g outside.
    errors = 2 * torch.where(foreground, 1 - gaussian, gaussian)
    growth = lovasz_weights(errors, foreground, row, len(numbers))
    growth *= weight.repeat_interleave(per_row)

    # d loss / d exponent, as gaussian = exp(-exponent); nothing flows through a zero error.
    slope = torch.where(foreground, growth, -growth) * (2 * gaussian) * (errors > 0)
    for axis, distance in enumerate((across, down)):
        which = min(axis, len(precision) - 1)
        delta = distance.view(-1).index_select(0, place)
        pull = 2 * slope * delta * precision[which].repeat_interleave(per_row)
        gradients[0][axis].index_add_(0, pixel, pull)
        gradients[1][axis].index_add_(0, numbers, _row_sums(pull, per_row).neg_())
        stretch = _row_sums(slope * delta.square(), per_row)
        gradients[2][which].index_add_(0, numbers, stretch)
    return (growth * errors).sum(dtype=torch.float64)


def _row_sums(values: Tensor, per_row: Tensor) -> Tensor:
    """Sum values (Q,), sorted by row, over each of R rows with ``per_row`` (R,) values."""
    parts = torch.split(values, per_row.tolist())
    return torch.stack([part.sum() for part in parts])
