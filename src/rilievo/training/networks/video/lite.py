"""A light depth network, after Lite-Mono (Zhang et al., CVPR 2023)."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from rilievo.training.networks.blueprint import VideoBlueprint
from rilievo.training.networks.frozen_norms import make_conv_norm
from rilievo.training.networks.small import double_bilinearly
from rilievo.training.networks.video.decoder import Conv3x3, ConvELU
from rilievo.training.networks.video.encoders import Encoder
from rilievo.training.tensors import Channels, FeatureMaps, Images, StackAtScale, exact

_WIDTHS = (16, 48, 80, 128)  # of features at 1/2, 1/4, 1/8 and 1/16 of the image's size
_HOLES = ((1, 2, 3), (1, 2, 3), (1, 2, 3, 1, 2, 3, 2, 4, 6))
_UP = (16, 24, 48, 80)  # of the decoder's features, at 1/2, 1/4, 1/8 and 1/16
_EXPANSION = (2, 4, 4)  # of channels in blocks, at 1/4, 1/8 and 1/16: less where maps are large
_HEADS = 8


class LiteEncoder(Encoder):
    """Features at 1/2 to 1/16."""

    channels, reductions = _WIDTHS, (2, 4, 8, 16)

    def __init__(self) -> None:
        super().__init__()
        first = _WIDTHS[0]
        self.stem = nn.Sequential(
            make_conv_norm(3, first, nn.GELU(), stride=2), make_conv_norm(first, first, nn.GELU())
        )
        # No activation follows a halving, so signs are kept.
        self.halving = nn.ModuleList(
            make_conv_norm(inputs + 3, outputs, stride=2) for inputs, outputs in pairwise(_WIDTHS)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(DilatedBlock(width, hole, expansion) for hole in holes), ChannelAttention(width)
            )
            for width, expansion, holes in zip(_WIDTHS[1:], _EXPANSION, _HOLES, strict=True)
        )

    def make_own_decoder(self, blueprint: VideoBlueprint, *, outputs: int) -> nn.Module:
        """Make its decoder."""
        return LiteDecoder(blueprint.scales, outputs=outputs)

    def maps(self, image: Images) -> FeatureMaps:
        """Compute features."""
        features, pooled = [self.stem(image)], image
        for halving, stage in zip(self.halving, self.stages, strict=True):
            pooled = F.avg_pool2d(pooled, 2)
            features.append(stage(halving(torch.cat((features[-1], pooled), dim=1))))
        return tuple(features)


class LiteDecoder(nn.Module):
    """Decoder to 1/2, then doubled bilinearly."""

    def __init__(self, scales: Sequence[int], *, outputs: int = 1) -> None:
        super().__init__()
        self.scales = tuple(scales)
        inputs, steps = _WIDTHS[-1], []
        for level in reversed(range(len(_UP))):
            skip = _WIDTHS[level] if level < len(_UP) - 1 else 0
            steps.append(ConvELU(inputs + skip, _UP[level]))
            inputs = _UP[level]
        self.steps = nn.ModuleList(steps)
        self.heads = nn.ModuleList(Conv3x3(_UP[scale], outputs) for scale in scales)

    def forward(self, features: FeatureMaps) -> tuple[StackAtScale, ...]:
        """Compute the sigmoids of ``scales``."""
        x, sigmoids = features[-1], {}
        for step, level in zip(self.steps, reversed(range(len(_UP))), strict=True):
            if level < len(_UP) - 1:
                x = torch.cat((double_bilinearly(x), features[level]), dim=1)
            x = step(x)
            if level in self.scales:
                head = self.heads[self.scales.index(level)]
                sigmoids[level] = torch.sigmoid(double_bilinearly(exact(head(x))))
        return tuple(sigmoids[scale] for scale in self.scales)


class DilatedBlock(nn.Module):
    """Block of a dilated depthwise and two 1×1 convolutions."""

    def __init__(self, width: int, holes: int, expansion: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, 1, holes, holes, groups=width, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width * expansion, 1),
            nn.GELU(),
            nn.Conv2d(width * expansion, width, 1),
        )
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Channels) -> Channels:
        """Add the block's contribution."""
        return x + self.share * self.mix(self.norm(self.spread(x)))


class ChannelAttention(nn.Module):
    """Attention among groups of channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.ask = nn.Conv2d(width, 3 * width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.sharpness = nn.Parameter(torch.ones(_HEADS, 1, 1))
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Channels) -> Channels:
        """Add the groups' contribution."""
        size = (x.shape[-2], x.shape[-1])
        query, key, value = self.ask(self.norm(x)).flatten(2).chunk(3, dim=1)
        query, key = (
            F.normalize(projection, dim=-1).unflatten(1, (_HEADS, -1))
            for projection in (query, key)
        )
        weights = (query @ key.transpose(-1, -2) * self.sharpness).softmax(dim=-1)
        mixed = (weights @ value.unflatten(1, (_HEADS, -1))).flatten(1, 2).unflatten(-1, size)
        return x + self.share * self.mix(mixed)
