"""The network as it ships: uint8 images in, post-processing inside, batch norm fused.

Shape letters: N batch, H, W, S bandwidths, K classes.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.net.erfnet import BranchedERFNet, NonBottleneck1d, Upsampler

# Module type -> pairs of (convolution, batch norm that follows it directly). A Downsampler's batch
# norm follows a concatenation and stays; it is a hundredth of the work.
_FUSED: dict[type[nn.Module], tuple[tuple[str, str], ...]] = {
    NonBottleneck1d: (("conv1x3_1", "bn1"), ("conv1x3_2", "bn2")),
    Upsampler: (("conv", "bn"),),
}


def fused_batch_norms(network: BranchedERFNet) -> tuple[str, ...]:
    """Return the names of the batch norms that `fuse_batch_norm` makes part of convolutions."""
    return tuple(
        f"{name}.{bn_name}"
        for name, module in network.named_modules()
        for _, bn_name in _FUSED.get(type(module), ())
    )


def fuse_batch_norm(network: BranchedERFNet) -> BranchedERFNet:
    """Return a copy in eval mode whose convolutions carry the batch norm that follows them."""
    fused = copy.deepcopy(network).eval().requires_grad_(False)
    for module in fused.modules():
        for conv_name, bn_name in _FUSED.get(type(module), ()):
            conv, bn = module.get_submodule(conv_name), module.get_submodule(bn_name)
            assert isinstance(conv, nn.Conv2d | nn.ConvTranspose2d)
            assert isinstance(bn, nn.BatchNorm2d)
            transposed = isinstance(conv, nn.ConvTranspose2d)
            setattr(module, conv_name, fuse_conv_bn_eval(conv, bn, transpose=transposed))
            setattr(module, bn_name, nn.Identity())
    return fused


class DeployedNetwork(nn.Module):
    """A network with its scaling and post-processing, see `contract.artifact` for the interface.

    Args:
        network: Heads ``[2 + n_sigma, K]``.
        n_sigma: Number of bandwidth channels.
    """

    def __init__(self, network: BranchedERFNet, n_sigma: int) -> None:
        super().__init__()
        self.network = network
        self.n_sigma = n_sigma

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map uint8 (N, H, W, 3) RGB to the maps of all images.

        Returns:
            ``offset`` (N, 2, H, W) after tanh, ``bandwidth`` (N, S, H, W) raw, ``seed`` (N, H, W)
            sigmoid of the best class, ``class_index`` uint8 (N, H, W).
        """
        scaled = images.permute(0, 3, 1, 2).float() * (1 / 255)
        prediction = self.network(scaled)
        # Plain slices: the exporter keeps their sizes, those of split it loses.
        offset = prediction[:, :2]
        bandwidth = prediction[:, 2 : 2 + self.n_sigma]
        best, class_index = prediction[:, 2 + self.n_sigma :].max(dim=1)
        return torch.tanh(offset), bandwidth, torch.sigmoid(best), class_index.to(torch.uint8)
