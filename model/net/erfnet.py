"""ERFNet encoder with one decoder per head (the paper's branched network).

Sources: Romera et al., "ERFNet: Efficient Residual Factorized ConvNet for Real-Time Semantic
Segmentation", IEEE T-ITS 2018 (table I); Neven et al., "Instance Segmentation by Jointly Optimizing
Spatial Embeddings and Clustering Bandwidth", CVPR 2019 (section 3.4, two decoders).

Layer names follow the published layout, so that its checkpoints load by name. Shape letters:
N batch, C channels, H height, W width.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

STRIDE = 8
"""The encoder's total stride: input height and width must be multiples of it."""

_BN_EPS = 1e-3  # the published layout's value, not PyTorch's default of 1e-5
_DILATIONS = (2, 4, 8, 16)


class ChannelDropout(nn.Module):
    """Dropout of whole channels, the same for a picture however many processes share a batch.

    Like `torch.nn.Dropout2d`, but the mask is drawn for the global batch, of which this process has
    part ``rank`` of ``world``: with one seed everywhere, two processes learn what one would.

    Attributes:
        rank: Which part of the global batch comes here.
        world: Number of equal parts.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability
        self.rank, self.world = 0, 1

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training or not self.probability:
            return x
        own, channels = x.shape[:2]
        keep = x.new_empty(own * self.world, channels, 1, 1).bernoulli_(1 - self.probability)
        mine = keep[own * self.rank : own * (self.rank + 1)]
        return x * mine.div_(1 - self.probability)


class Downsampler(nn.Module):
    """Halve the resolution: strided 3x3 convolution beside 2x2 max pooling, concatenated."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels - in_channels, 3, stride=2, padding=1)
        self.bn = nn.BatchNorm2d(out_channels, eps=_BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, H / 2, W / 2)."""
        x = torch.cat([self.conv(x), nn.functional.max_pool2d(x, 2)], dim=1)
        return nn.functional.relu(self.bn(x))


class NonBottleneck1d(nn.Module):
    """Residual block of two factorised 3x3 convolutions (3x1 then 1x3), the second one dilated."""

    def __init__(self, channels: int, dropout: float, dilation: int) -> None:
        super().__init__()
        d = dilation
        self.conv3x1_1 = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0))
        self.conv1x3_1 = nn.Conv2d(channels, channels, (1, 3), padding=(0, 1))
        self.bn1 = nn.BatchNorm2d(channels, eps=_BN_EPS)
        self.conv3x1_2 = nn.Conv2d(channels, channels, (3, 1), padding=(d, 0), dilation=(d, 1))
        self.conv1x3_2 = nn.Conv2d(channels, channels, (1, 3), padding=(0, d), dilation=(1, d))
        self.bn2 = nn.BatchNorm2d(channels, eps=_BN_EPS)
        self.dropout = ChannelDropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = nn.functional.relu(self.conv3x1_1(x))
        y = nn.functional.relu(self.bn1(self.conv1x3_1(y)))
        y = nn.functional.relu(self.conv3x1_2(y))
        y = self.dropout(self.bn2(self.conv1x3_2(y)))
        return nn.functional.relu(x + y)


class Upsampler(nn.Module):
    """Double the resolution with a strided transposed 3x3 convolution."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(
            in_channels, out_channels, 3, stride=2, padding=1, output_padding=1
        )
        self.bn = nn.BatchNorm2d(out_channels, eps=_BN_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C_out, 2 H, 2 W)."""
        return nn.functional.relu(self.bn(self.conv(x)))


class Encoder(nn.Module):
    """Sixteen layers from RGB to 128 channels at an eighth of the resolution.

    Published (ERFNet, section IV) is a dropout of 0.3 in the 128-channel stage and of a tenth of
    that in the 64-channel stage.
    """

    def __init__(self, pretraining_channels: int, dropout: float) -> None:
        super().__init__()
        self.initial_block = Downsampler(3, 16)
        self.layers = nn.ModuleList(
            [
                Downsampler(16, 64),
                *(NonBottleneck1d(64, dropout=dropout / 10, dilation=1) for _ in range(5)),
                Downsampler(64, 128),
                *(NonBottleneck1d(128, dropout=dropout, dilation=d) for d in _DILATIONS * 2),
            ]
        )
        # Classification head of the encoder's pretraining: not run here, kept because published
        # checkpoints name it.
        self.output_conv = nn.Conv2d(128, pretraining_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 3, H, W) to (N, 128, H / 8, W / 8)."""
        x = self.initial_block(x)
        for layer in self.layers:
            x = layer(x)
        return x


class Decoder(nn.Module):
    """Two upsampling stages and a transposed 2x2 convolution back to full resolution."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for wide, narrow in pairwise((128, 64, 16)):
            self.layers.append(Upsampler(wide, narrow))
            self.layers.extend(NonBottleneck1d(narrow, dropout=0, dilation=1) for _ in range(2))
        self.output_conv = nn.ConvTranspose2d(16, out_channels, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 128, H / 8, W / 8) to (N, C_out, H, W)."""
        for layer in self.layers:
            x = layer(x)
        output: Tensor = self.output_conv(x)
        return output


class BranchedERFNet(nn.Module):
    """One shared ERFNet encoder and one decoder per head, outputs concatenated.

    For instance segmentation ``heads`` is ``[2 + n_sigma, n_classes]``: the first decoder predicts
    offsets x, y and the bandwidths, the second one seed map per class. All outputs are raw:
    :class:`model.net.loss.SpatialEmbeddingLoss` and :mod:`model.export.exporter` apply tanh and
    sigmoid.

    Args:
        heads: Output channels of each decoder, at least one decoder with at least one channel.
        input_power: Exponent of the brightness before the first layer. Below 1 it spreads dark
            tones, as microscopes and night cameras need; published networks have 1.
        dropout: Share of the channels that training drops in the encoder's deep stage.

    Raises:
        ValueError: ``heads`` is empty or holds a number below 1, or the exponent is not above 0.
    """

    def __init__(
        self, heads: Sequence[int], input_power: float = 1.0, dropout: float = 0.3
    ) -> None:
        super().__init__()
        if not input_power > 0:
            raise ValueError(f"input_power is {input_power}, expected a number above 0")
        self.input_power = input_power
        if not heads or min(heads) < 1:
            raise ValueError(f"heads is {list(heads)}, expected at least one number, each >= 1")
        self.heads = tuple(heads)
        self.encoder = Encoder(sum(heads), dropout)
        self.decoders = nn.ModuleList(Decoder(channels) for channels in heads)

    @torch.no_grad()
    def init_instance_head(self, n_sigma: int, bandwidth: float = 1.0) -> None:
        """Start the first decoder's last layer at zero offsets and one constant bandwidth.

        Each pixel then begins as its own embedding inside a small Gaussian, so that the first
        steps pull in near pixels only. From random offsets (tanh spans half the grid) and a
        bandwidth near 0 (precision 1, the whole image) the method does not start to converge. The
        default 1.0 is a precision of exp(10): a margin of ``sqrt(ln 2 / exp(10))`` = 0.0056 grid
        units, about 6 pixels on the paper's grid of 1/1023.

        Args:
            n_sigma: Number of bandwidth channels; the first decoder has ``2 + n_sigma`` channels.
            bandwidth: Raw bandwidth that every pixel starts with (precision exp(10 * bandwidth)).

        Raises:
            ValueError: The first decoder has another number of channels.
        """
        if self.heads[0] != 2 + n_sigma:
            raise ValueError(
                f"the first head has {self.heads[0]} channels, expected 2 + n_sigma = {2 + n_sigma}"
            )
        layer = self.decoders[0].get_submodule("output_conv")
        assert isinstance(layer, nn.ConvTranspose2d)
        assert layer.bias is not None
        layer.weight.zero_()
        layer.bias[:2] = 0.0
        layer.bias[2:] = bandwidth

    def forward(self, images: Tensor) -> Tensor:
        """Predict all maps.

        Args:
            images: float (N, 3, H, W), RGB in 0..1; H and W multiples of 8.

        Returns:
            Raw maps, float (N, sum(heads), H, W), heads in order.

        Raises:
            ValueError: H or W is no multiple of 8.
        """
        height, width = images.shape[-2:]
        if height % STRIDE or width % STRIDE:
            raise ValueError(
                f"images are {height}x{width} pixels, expected multiples of {STRIDE}; pad or crop"
            )
        if self.input_power != 1:
            images = images.pow(self.input_power)
        features = self.encoder(images)
        return torch.cat([decoder(features) for decoder in self.decoders], dim=1)
