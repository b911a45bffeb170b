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
from rilievo.training.tensors import Channels, FeatureMaps, Images, StackAtScale, at_least_float32

_WIDTHS = (16, 48, 80, 128)
"""Channels of the encoder's features at 1/2, 1/4, 1/8 and 1/16 of the image's size."""
_DILATIONS = ((1, 2, 3), (1, 2, 3), (1, 2, 3, 1, 2, 3, 2, 4, 6))
"""Dilations of the blocks at 1/4, 1/8 and 1/16."""
_EXPANSIONS = (2, 4, 4)
"""Factors of the channels within blocks at 1/4, 1/8 and 1/16: less where maps are large."""
_DECODER_WIDTHS = (16, 24, 48, 80)
"""Channels of the decoder's features at 1/2, 1/4, 1/8 and 1/16."""
_HEADS = 8
"""Groups of channels among which attention is computed."""


class LiteEncoder(Encoder):
    """Encoder with features at 1/2, 1/4, 1/8 and 1/16 of the image's size."""

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
                *(DilatedBlock(width, dilation, expansion) for dilation in dilations),
                ChannelAttention(width),
            )
            for width, expansion, dilations in zip(
                _WIDTHS[1:], _EXPANSIONS, _DILATIONS, strict=True
            )
        )

    def make_own_decoder(self, blueprint: VideoBlueprint, *, outputs: int) -> nn.Module:
        """Make a ``LiteDecoder``."""
        return LiteDecoder(blueprint.scales, outputs=outputs)

    def maps(self, image: Images) -> FeatureMaps:
        """Compute features of a normalised image, which each halving sees too, at its size."""
        features, pooled_image = [self.stem(image)], image
        for halving, stage in zip(self.halving, self.stages, strict=True):
            pooled_image = F.avg_pool2d(pooled_image, 2)
            halved = halving(torch.cat((features[-1], pooled_image), dim=1))
            features.append(stage(halved))
        return tuple(features)


class LiteDecoder(nn.Module):
    """Decoder up to 1/2 of the image's size, whose outputs are doubled bilinearly."""

    def __init__(self, scales: Sequence[int], *, outputs: int = 1) -> None:
        super().__init__()
        self.scales = tuple(scales)
        coarsest = len(_DECODER_WIDTHS) - 1
        steps = [ConvELU(_WIDTHS[coarsest], _DECODER_WIDTHS[coarsest])]
        for level in reversed(range(coarsest)):
            inputs = _DECODER_WIDTHS[level + 1] + _WIDTHS[level]
            steps.append(ConvELU(inputs, _DECODER_WIDTHS[level]))
        self.steps = nn.ModuleList(steps)
        self.heads = nn.ModuleList(Conv3x3(_DECODER_WIDTHS[scale], outputs) for scale in scales)

    def forward(self, features: FeatureMaps) -> tuple[StackAtScale, ...]:
        """Compute the sigmoids of ``scales``."""
        x = features[-1]
        sigmoids: dict[int, StackAtScale] = {}
        coarsest = len(_DECODER_WIDTHS) - 1
        for step, level in zip(self.steps, reversed(range(coarsest + 1)), strict=True):
            if level < coarsest:
                x = torch.cat((double_bilinearly(x), features[level]), dim=1)
            x = step(x)
            if level in self.scales:
                head = self.heads[self.scales.index(level)]
                sigmoids[level] = torch.sigmoid(double_bilinearly(at_least_float32(head(x))))
        return tuple(sigmoids[scale] for scale in self.scales)


class DilatedBlock(nn.Module):
    """Residual block of a dilated depthwise and two 1×1 convolutions."""

    def __init__(self, width: int, dilation: int, expansion: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(
            width, width, 3, padding=dilation, dilation=dilation, groups=width, bias=False
        )
        self.norm = nn.BatchNorm2d(width)
        self.mix = nn.Sequential(
            nn.Conv2d(width, width * expansion, 1),
            nn.GELU(),
            nn.Conv2d(width * expansion, width, 1),
        )
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Channels) -> Channels:
        """Add a learned share of the convolutions to ``x``."""
        return x + self.share * self.mix(self.norm(self.spread(x)))


class ChannelAttention(nn.Module):
    """Residual attention among the channels of each group, over all pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.ask = nn.Conv2d(width, 3 * width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.sharpness = nn.Parameter(torch.ones(_HEADS, 1, 1))
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.1))

    def forward(self, x: Channels) -> Channels:
        """Add a learned share of the attention to ``x``."""
        size = (x.shape[-2], x.shape[-1])
        query, key, value = self.ask(self.norm(x)).flatten(2).chunk(3, dim=1)
        query, key = (
            F.normalize(projection, dim=-1).unflatten(1, (_HEADS, -1))
            for projection in (query, key)
        )
        weights = (query @ key.transpose(-1, -2) * self.sharpness).softmax(dim=-1)
        mixed = (weights @ value.unflatten(1, (_HEADS, -1))).flatten(1, 2).unflatten(-1, size)
        return x + self.share * self.mix(mixed)
