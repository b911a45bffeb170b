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

_STAGE_CHANNELS = (16, 48, 80, 128)
"""Channels of the encoder's features at 1/2, 1/4, 1/8 and 1/16 of the image's size."""
_DILATIONS = ((1, 2, 3), (1, 2, 3), (1, 2, 3, 1, 2, 3, 2, 4, 6))
"""Dilations of the blocks at 1/4, 1/8 and 1/16."""
_EXPANSIONS = (2, 4, 4)
"""Factors of the channels within blocks at 1/4, 1/8 and 1/16: less where maps are large."""
_DECODER_CHANNELS = (16, 24, 48, 80)
"""Channels of the decoder's features at 1/2, 1/4, 1/8 and 1/16."""
_HEADS = 8
"""Groups of channels among which attention is computed."""


class LiteEncoder(Encoder):
    """Encoder with features at 1/2, 1/4, 1/8 and 1/16 of the image's size."""

    channels, reductions = _STAGE_CHANNELS, (2, 4, 8, 16)

    def __init__(self) -> None:
        super().__init__()
        stem_channels = _STAGE_CHANNELS[0]
        self.stem = nn.Sequential(
            make_conv_norm(3, stem_channels, nn.GELU(), stride=2),
            make_conv_norm(stem_channels, stem_channels, nn.GELU()),
        )
        # Without an activation after downsampling, features keep their signs.
        # The 3 further channels are those of the image (see ``maps``).
        self.halving = nn.ModuleList(
            make_conv_norm(in_channels + 3, out_channels, stride=2)
            for in_channels, out_channels in pairwise(_STAGE_CHANNELS)
        )
        self.stages = nn.ModuleList()
        for width, expansion, dilations in zip(
            _STAGE_CHANNELS[1:], _EXPANSIONS, _DILATIONS, strict=True
        ):
            blocks = [DilatedBlock(width, dilation, expansion) for dilation in dilations]
            self.stages.append(nn.Sequential(*blocks, ChannelAttention(width)))

    def make_own_decoder(self, blueprint: VideoBlueprint, *, outputs: int) -> nn.Module:
        """Make a ``LiteDecoder``."""
        return LiteDecoder(blueprint.scales, outputs=outputs)

    def maps(self, image: Images) -> FeatureMaps:
        """Compute features; each downsampling also gets the image, pooled to its input's size."""
        features = [self.stem(image)]
        pooled_image = image
        for downsample, stage in zip(self.halving, self.stages, strict=True):
            pooled_image = F.avg_pool2d(pooled_image, 2)
            features.append(stage(downsample(torch.cat((features[-1], pooled_image), dim=1))))
        return tuple(features)


class LiteDecoder(nn.Module):
    """Decoder up to 1/2 of the image's size, whose outputs are doubled bilinearly."""

    def __init__(self, scales: Sequence[int], *, outputs: int = 1) -> None:
        super().__init__()
        self.scales = tuple(scales)
        coarsest = len(_DECODER_CHANNELS) - 1
        convolutions = [ConvELU(_STAGE_CHANNELS[coarsest], _DECODER_CHANNELS[coarsest])]
        for level in reversed(range(coarsest)):
            in_channels = _DECODER_CHANNELS[level + 1] + _STAGE_CHANNELS[level]
            convolutions.append(ConvELU(in_channels, _DECODER_CHANNELS[level]))
        # Stored weights have these names: the convolution and the head of each level.
        self.steps = nn.ModuleList(convolutions)
        self.heads = nn.ModuleList(Conv3x3(_DECODER_CHANNELS[scale], outputs) for scale in scales)

    def forward(self, features: FeatureMaps) -> tuple[StackAtScale, ...]:
        """Compute the sigmoids of ``scales``, from the coarsest level to level 0."""
        x = features[-1]
        sigmoids: dict[int, StackAtScale] = {}
        coarsest = len(_DECODER_CHANNELS) - 1
        levels_from_coarsest = reversed(range(coarsest + 1))
        for convolve, level in zip(self.steps, levels_from_coarsest, strict=True):
            if level < coarsest:
                x = torch.cat((double_bilinearly(x), features[level]), dim=1)
            x = convolve(x)
            if level in self.scales:
                head = self.heads[self.scales.index(level)]
                sigmoids[level] = torch.sigmoid(double_bilinearly(at_least_float32(head(x))))
        return tuple(sigmoids[scale] for scale in self.scales)


class DilatedBlock(nn.Module):
    """Residual block of a dilated depthwise and two 1×1 (pointwise) convolutions."""

    def __init__(self, width: int, dilation: int, expansion: int) -> None:
        super().__init__()
        # Stored weights have the names spread (depthwise), mix (pointwise) and share (LayerScale).
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
        """Return ``x`` plus the scaled residual."""
        depthwise = self.spread
        pointwise = self.mix
        layer_scale = self.share
        return x + layer_scale * pointwise(self.norm(depthwise(x)))


class ChannelAttention(nn.Module):
    """Residual cross-covariance attention: among the channels of a head, over all pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # Stored weights have these names.
        self.norm = nn.BatchNorm2d(width)
        self.ask = nn.Conv2d(width, 3 * width, 1)  # to query, key and value
        self.mix = nn.Conv2d(width, width, 1)  # output projection
        self.sharpness = nn.Parameter(torch.ones(_HEADS, 1, 1))  # factor of the logits
        self.share = nn.Parameter(torch.full((width, 1, 1), 0.1))  # LayerScale

    def forward(self, x: Channels) -> Channels:
        """Return ``x`` plus the scaled attention."""
        to_query_key_value = self.ask
        output_projection = self.mix
        layer_scale = self.share
        size = (x.shape[-2], x.shape[-1])
        # Each is (b, c, h * w).
        all_queries, all_keys, all_values = (
            to_query_key_value(self.norm(x)).flatten(2).chunk(3, dim=1)
        )
        # Split into heads: (b, heads, c / heads, h * w).
        query = F.normalize(all_queries, dim=-1).unflatten(1, (_HEADS, -1))
        key = F.normalize(all_keys, dim=-1).unflatten(1, (_HEADS, -1))
        value = all_values.unflatten(1, (_HEADS, -1))
        # Similarities of channels, (b, heads, c / heads, c / heads).
        logits = query @ key.transpose(-1, -2) * self.sharpness
        attended = (logits.softmax(dim=-1) @ value).flatten(1, 2).unflatten(-1, size)
        return x + layer_scale * output_projection(attended)
