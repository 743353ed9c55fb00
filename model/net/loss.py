"""The spatial-embedding loss: offsets and bandwidths trained for the IoU of each instance.

Source: Neven et al., CVPR 2019, equations 5 to 11. The instances of all images of a batch are
handled in one pass; `model.net.plain_loss` says in a loop what it computes.

Shape letters: B batch, C channels (2 + S + K), H, W, P pixels of one image (H * W), S bandwidths,
K classes, I instances of the whole batch, M pixels that belong to an instance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.net.lovasz import InstanceHinge

IGNORE_LABEL = 255
"""Label of pixels that take no part in any term."""

PAPER_GRID_STEP = (2 / 2047, 1 / 1023)
"""One pixel in grid units (x, y): 2048x1024 pixels span 2x1 units."""


@dataclass(frozen=True)
class LossTerms:
    """The three unweighted terms, scalars averaged over the batch, for logs and the sum."""

    instance: Tensor
    variance: Tensor
    seed: Tensor


@dataclass(frozen=True)
class _Objects:
    """The instances of a batch, numbered 0..I-1 image by image.

    ``pixel`` (M,) are the flat positions (image * P + y * W + x) of their pixels, ``member`` (M,)
    the instance of each; ``image``, ``label``, ``count`` and ``weight`` are (I,).
    """

    pixel: Tensor
    member: Tensor
    image: Tensor
    label: Tensor
    count: Tensor
    weight: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Average ``values`` (C, M), given per member pixel, over each instance: (C, I)."""
        # In float64: a running float32 sum over thousands of pixels loses four digits.
        zeros = values.new_zeros(len(values), len(self.count), dtype=torch.float64)
        return (zeros.index_add(1, self.member, values.double()) / self.count).to(values.dtype)


class SpatialEmbeddingLoss(nn.Module):
    """Instance, variance and seed terms of Neven et al.

    Args:
        n_sigma: Bandwidths per pixel: 1 (circular margin) or 2 (elliptical).
        to_center: Pull embeddings to the instance's mean pixel; otherwise to the mean of its own
            embeddings, which is learned (equation 10).
        foreground_weight: Weight of the foreground in the seed term, one for all classes or one
            for each.
        grid_step: One pixel in grid units, (x, y).

    Raises:
        ValueError: ``n_sigma`` is neither 1 nor 2.
    """

    def __init__(
        self,
        n_sigma: int = 1,
        to_center: bool = True,
        foreground_weight: float | Sequence[float] = 1.0,
        grid_step: tuple[float, float] = PAPER_GRID_STEP,
    ) -> None:
        super().__init__()
        if n_sigma not in (1, 2):
            raise ValueError(f"n_sigma is {n_sigma}, expected 1 or 2")
        self.n_sigma = n_sigma
        self.to_center = to_center
        if isinstance(foreground_weight, int | float):
            foreground_weight = (foreground_weight,)
        self.foreground_weights = tuple(foreground_weight)
        self.grid_step = grid_step

    def forward(
        self,
        prediction: Tensor,
        instances: Tensor,
        labels: Tensor,
        w_inst: float = 1.0,
        w_var: float = 10.0,
        w_seed: float = 1.0,
    ) -> Tensor:
        """Return the weighted sum of the terms, a scalar; arguments as in :meth:`terms`."""
        terms = self.terms(prediction, instances, labels)
        return w_inst * terms.instance + w_var * terms.variance + w_seed * terms.seed

    def terms(self, prediction: Tensor, instances: Tensor, labels: Tensor) -> LossTerms:
        """Compute the terms.

        Args:
            prediction: float (B, 2 + S + K, H, W), raw network output.
            instances: int (B, H, W), 0 for no instance, else any positive number per instance.
            labels: int (B, H, W), 0 background, 1..K the class, 255 ignored. A pixel of class k
                without an instance is left out of class k's seed term and is background to
                every instance.

        Raises:
            ValueError: Shapes do not fit, or an instance has a label outside 1..K.
        """
        n_batch, channels, height, width = prediction.shape
        n_classes = channels - 2 - self.n_sigma
        self._check_shapes(prediction, instances, labels, n_classes)
        if prediction.dtype in (torch.float16, torch.bfloat16):
            prediction = prediction.float()  # sums and exponents overflow half precision
        flat = prediction.transpose(0, 1).reshape(channels, -1)
        grid = self._grid(height, width, flat)
        embedding = torch.tanh(flat[:2]) + grid.repeat(1, n_batch)
        bandwidth = flat[2 : 2 + self.n_sigma]
        seed = torch.sigmoid(flat[2 + self.n_sigma :])
        label = labels.reshape(-1).long()

        objects = _find_objects(instances, label)
        _check_labels(objects, n_classes)
        valid = (label != IGNORE_LABEL).view(n_batch, -1)
        instance_loss, membership = self._instance_term(embedding, bandwidth, grid, objects, valid)
        return LossTerms(
            instance=instance_loss,
            variance=_variance_term(bandwidth, objects),
            seed=self._seed_term(seed, membership, objects, label),
        )

    def _instance_term(
        self, embedding: Tensor, bandwidth: Tensor, grid: Tensor, objects: _Objects, valid: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lovász hinge of each instance's Gaussian; also the Gaussian at its own pixels (M,)."""
        own = embedding[:, objects.pixel]
        center = objects.mean(grid[:, objects.pixel % grid.shape[1]] if self.to_center else own)
        precision = torch.exp(10 * objects.mean(bandwidth[:, objects.pixel]))
        instance_of = torch.full_like(valid, -1, dtype=torch.long).view(-1)
        instance_of[objects.pixel] = objects.member
        loss = InstanceHinge.apply(
            embedding, center, precision, instance_of, objects.image, objects.weight, valid
        )
        with torch.no_grad():
            squares = (own - center[:, objects.member]).square() * precision[:, objects.member]
            membership = torch.exp(-squares.sum(0))
        return loss, membership

    def _seed_term(
        self, seed: Tensor, membership: Tensor, objects: _Objects, label: Tensor
    ) -> Tensor:
        """Regress the class's seed map (K, B * P) to the Gaussian inside, to 0 elsewhere."""
        of_class = objects.label[objects.member] - 1
        weight = seed.new_tensor(self.foreground_weights).expand(
            len(seed) if len(self.foreground_weights) == 1 else -1
        )
        inside = (weight[of_class] * (seed[of_class, objects.pixel] - membership).square()).sum()
        classes = torch.arange(1, len(seed) + 1, device=seed.device)[:, None]
        background = (label != classes) & (label != IGNORE_LABEL)
        return (inside + (seed.square() * background).sum()) / label.numel()

    def _grid(self, height: int, width: int, like: Tensor) -> Tensor:
        """Pixel coordinates x, y in grid units, (2, P)."""
        x = torch.arange(width, device=like.device, dtype=like.dtype) * self.grid_step[0]
        y = torch.arange(height, device=like.device, dtype=like.dtype) * self.grid_step[1]
        return torch.stack([x.repeat(height), y.repeat_interleave(width)])

    def _check_shapes(
        self, prediction: Tensor, instances: Tensor, labels: Tensor, n_classes: int
    ) -> None:
        expected = (prediction.shape[0], *prediction.shape[2:])
        if n_classes < 1 or instances.shape != expected or labels.shape != expected:
            raise ValueError(
                f"prediction {tuple(prediction.shape)}, instances {tuple(instances.shape)}, labels "
                f"{tuple(labels.shape)}: expected (B, 2 + {self.n_sigma} + classes, H, W) and "
                "twice (B, H, W)"
            )
        if len(self.foreground_weights) not in (1, n_classes):
            raise ValueError(
                f"{len(self.foreground_weights)} foreground weights, expected 1 or one for each of "
                f"{n_classes} classes"
            )


def _variance_term(bandwidth: Tensor, objects: _Objects) -> Tensor:
    """Keep an instance's bandwidths equal, so that one pixel's can stand for all (equation 11)."""
    own = bandwidth[:, objects.pixel]
    mean = objects.mean(own).detach()
    variance = objects.mean((own - mean[:, objects.member]).square()).mean(0)
    return (variance * objects.weight).sum()


def _find_objects(instances: Tensor, label: Tensor) -> _Objects:
    n_batch = len(instances)
    flat = instances.reshape(-1).long()
    pixel = ((flat > 0) & (label != IGNORE_LABEL)).nonzero()[:, 0]
    image_of = pixel // (flat.numel() // n_batch)
    stride = int(flat.max()) + 1
    keys, member = torch.unique(flat[pixel] + image_of * stride, return_inverse=True)
    image = keys // stride
    per_image = torch.bincount(image, minlength=n_batch)
    lowest = torch.full_like(keys, IGNORE_LABEL).scatter_reduce(0, member, label[pixel], "amin")
    return _Objects(
        pixel=pixel,
        member=member,
        image=image,
        label=lowest,
        count=torch.bincount(member, minlength=len(keys)),
        weight=1.0 / (per_image[image] * n_batch),
    )


def _check_labels(objects: _Objects, n_classes: int) -> None:
    bad = objects.label[(objects.label < 1) | (objects.label > n_classes)]
    if len(bad):
        raise ValueError(
            f"{len(bad)} instances have labels {sorted(set(bad.tolist()))}, expected 1..{n_classes}"
        )
