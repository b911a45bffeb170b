"""The network of the embedded models: an encoder trained on ImageNet, and a light U-Net."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float
from rilievo.training.networks.frozen_norms import convolve_and_norm, mix_channels
from rilievo.training.networks.mobilenetv2 import DepthwiseConv, MobileNetV2
from rilievo.training.networks.resnet50v2 import ResNet50V2
from rilievo.training.tensors import (
    Channels,
    Convolved,
    Maps,
    OneChannel,
    Pictures,
    Resized,
    Strided,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Size of a network.

    Attributes:
        blocks: Blocks of MobileNetV2. All 17 end at 1/32 of the image's size, 13 end at 1/16. None
            means a ResNet-50 V2 instead.
        decoder: Channels of the decoder, the coarsest level first.
    """

    blocks: int | None
    decoder: tuple[int, ...]


NARROW = Widths(blocks=17, decoder=(256, 160, 112, 64, 32))
SMALL = Widths(blocks=17, decoder=(384, 224, 160, 80, 32))
BASE = Widths(blocks=None, decoder=(512, 320, 192, 64))
_SURFACE_CHANNELS = 1 + 3
"""Channels of log depth and of the normal."""
_MAX_LOGIT = 6.0
"""Largest logit of a neighbour's weight, so that one outweighs another by 160,000 at most."""
_SPREAD_WIDTH = 24
"""Channels of the network of the expected error."""
_SKY_WIDTH = 24
"""Channels of the network of the sky."""
_LOG_SPREAD_RANGE = (-5.0, 2.0)
"""Range of ``log_spread``: errors from 0.7% to a factor of 1600."""
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class SurfaceOutput(NamedTuple):
    """Output for a batch.

    Attributes:
        log_depth: Natural logarithm of depth, up to one summand per image.
        normals: Directions of unknown length in the camera frame, at half the size.
        log_spread: Natural logarithm of the expected error of ``log_depth``, at half the size.
        sky: Log-odds that a pixel shows no surface.
    """

    log_depth: Maps
    normals: Float[Tensor, "b 3 h2 w2"]
    log_spread: Float[Tensor, "b h2 w2"]
    sky: Maps


class SeparableConv(nn.Sequential):
    """Depthwise and 1×1 convolution, each with a norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 5) -> None:
        super().__init__(
            DepthwiseConv(inputs, kernel),
            nn.BatchNorm2d(inputs),
            nn.ReLU(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, input: Channels) -> Convolved:
        """Convolve, normalise and rectify, twice."""
        depthwise, first_norm, _, pointwise, second_norm, _ = self
        x = convolve_and_norm(depthwise, first_norm, input, relu=True)
        return convolve_and_norm(pointwise, second_norm, x, relu=True)


class Context(nn.Module):
    """Coarsest layer of the decoder, which adds global context of the image to each pixel."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.narrow = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )
        self.whole = nn.Sequential(
            nn.Conv2d(outputs, outputs, 1), nn.ReLU(), nn.Conv2d(outputs, outputs, 1)
        )
        self.mix = SeparableConv(outputs, outputs)

    def forward(self, x: Channels) -> Convolved:
        """Reduce the channels, add a function of their mean over the image, and convolve."""
        conv, norm, _ = self.narrow
        x = convolve_and_norm(conv, norm, x, relu=True)
        return self.mix(x + self.whole(x.mean(dim=(2, 3), keepdim=True)))


class Merge(nn.Module):
    """Layer of the decoder, which merges coarse features with finer ones of the encoder."""

    def __init__(
        self, coarse: int, fine: int, outputs: int, *, layers: int, kernel: int = 5
    ) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, outputs, 1)
        self.lateral = nn.Conv2d(fine, outputs, 1)
        self.mix = nn.Sequential(
            *(SeparableConv(outputs, outputs, kernel=kernel) for _ in range(layers))
        )

    def forward(self, coarse: Resized, fine: Convolved) -> Float[Tensor, "b e h w"]:
        """Double the size of ``coarse``, add ``fine``, and convolve."""
        # In this order, since the layers of an ONNX file are matched in the order of their calls.
        lateral = mix_channels(self.lateral, fine)
        reduced = mix_channels(self.reduce, coarse)
        return self.mix(lateral + double_bilinearly(reduced))


class ConvexUpsample(nn.Module):
    """Convex upsampling (Teed and Deng 2020) by a factor of 2.

    Each pixel becomes four weighted means of its 3×3 neighbours, with weights from features.
    Convolutions with fixed kernels, which every engine computes, gather and sum the neighbours.
    """

    gather: Tensor
    group: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        # Stored weights have the names look (depthwise), norm and weigh (to logits).
        self.look = nn.Conv2d(features, features, 3, padding=1, groups=features, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.weigh = nn.Conv2d(features, 36, 1)
        # 36 channels: each of the 9 neighbours, for each of the 4 new pixels.
        one_of_nine = torch.eye(9)
        one_of_four = torch.eye(4)
        self.register_buffer("gather", one_of_nine.repeat(4, 1).view(36, 1, 3, 3), persistent=False)
        group = one_of_four.repeat_interleave(9, dim=1).view(4, 36, 1, 1)
        self.register_buffer("group", group, persistent=False)

    def forward(self, values: OneChannel, features: Channels) -> Float[Tensor, "b 1 h2 w2"]:
        """Double ``values``; the result stays within the range of the neighbours."""
        depthwise = self.look
        to_logits = self.weigh
        context = convolve_and_norm(depthwise, self.norm, features, relu=True)
        # For each new pixel, a logit of each neighbour: (b, 4 * 9, h, w).
        logits = mix_channels(to_logits, context).float()
        # Half precision would round log depth to steps of 3%.
        with torch.autocast(values.device.type, enabled=False):
            # Weights of a softmax whose logits are limited to ±_MAX_LOGIT.
            weights = torch.exp(_MAX_LOGIT * torch.tanh(logits / _MAX_LOGIT))
            neighbours = F.conv2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), self.gather)
            weighted_sums = F.conv2d(weights * neighbours, self.group)
            means = weighted_sums / F.conv2d(weights, self.group)
            return F.pixel_shuffle(means, 2)


class Spread(nn.Module):
    """Network of the expected error of depth, from features of a pixel and of the whole image."""

    def __init__(self, features: int, coarsest: int) -> None:
        super().__init__()
        self.local = SeparableConv(features, _SPREAD_WIDTH, kernel=3)
        self.whole = nn.Sequential(
            nn.Conv2d(2 * coarsest, _SPREAD_WIDTH, 1),
            nn.ReLU(),
            nn.Conv2d(_SPREAD_WIDTH, _SPREAD_WIDTH, 1),
        )
        self.join = nn.Sequential(nn.ReLU(), nn.Conv2d(_SPREAD_WIDTH, 1, 1))

    def forward(self, features: Channels, coarsest: Strided) -> Maps:
        """Compute the logarithm of the expected error."""
        mean = coarsest.mean(dim=(2, 3), keepdim=True)
        mean_deviation = (coarsest - mean).abs().mean(dim=(2, 3), keepdim=True)
        global_context = self.whole(torch.cat([mean, mean_deviation], dim=1))
        log_spread = self.join(self.local(features) + global_context)[:, 0]
        return log_spread.float().clamp(*_LOG_SPREAD_RANGE)


class Sky(nn.Module):
    """Network of the log-odds of sky, at twice the size of its features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.local = SeparableConv(features, _SKY_WIDTH, kernel=3)
        self.ask = nn.Conv2d(_SKY_WIDTH, 4, 1)

    def forward(self, features: Channels) -> Float[Tensor, "b h2 w2"]:
        """Compute the log-odds that a pixel shows sky."""
        return F.pixel_shuffle(self.ask(self.local(features)).float(), 2)[:, 0]


class SmallNet(nn.Module):
    """U-Net that predicts depth up to scale, normals, the error of depth, and sky.

    The height and width of images are multiples of 32 pixels.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, widths: Widths = SMALL) -> None:
        """Create the network with random weights; the attributes are names of stored weights."""
        super().__init__()
        # For RGB in 0..255.
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("deviation", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1) * 255)
        if widths.blocks is None:
            self.encoder = ResNet50V2()
        else:
            self.encoder = MobileNetV2(blocks=widths.blocks)
        stem_channels, *finer_channels, coarsest_channels = self.encoder.channels
        self.context = Context(coarsest_channels, widths.decoder[0])
        self.merges = nn.ModuleList()
        assert len(widths.decoder) == len(finer_channels) + 1, "a merge joins two decoder levels"
        # From the coarsest level to the finest one.
        for level, lateral_channels in enumerate(reversed(finer_channels)):
            coarse_channels, out_channels = widths.decoder[level : level + 2]
            # The finest level has the largest maps, so it computes less for each pixel.
            is_finest = level == len(finer_channels) - 1
            layers, kernel = (1, 3) if is_finest else (2, 5)
            self.merges.append(
                Merge(coarse_channels, lateral_channels, out_channels, layers=layers, kernel=kernel)
            )
        finest_channels = widths.decoder[-1]
        feature_channels = stem_channels + finest_channels
        self.head = nn.Conv2d(finest_channels, _SURFACE_CHANNELS, 3, padding=1)
        self.spread = Spread(feature_channels, coarsest_channels)
        self.upsample = ConvexUpsample(feature_channels)
        self.sky = Sky(feature_channels)

    def forward(self, image: Pictures) -> SurfaceOutput:
        """Predict from RGB in 0..255, with channels last."""
        normalised = (image.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        stem, *finer, coarsest = self.encoder(normalised)
        x = self.context(coarsest)
        for merge, lateral in zip(self.merges, reversed(finer), strict=True):
            x = merge(x, lateral)
        surface = self.head(x).float()  # log depth and normals, at half the size
        features = torch.cat([stem, x], dim=1)
        log_depth = self.upsample(surface[:, :1], features)
        # The inputs are detached, so that learning the expected error does not affect depth.
        log_spread = self.spread(features.detach(), coarsest.detach())
        # Weights of ONNX files are matched in call order. Sky comes last, because older files lack
        # it and end before it.
        return SurfaceOutput(
            log_depth=log_depth[:, 0],
            normals=surface[:, 1:],
            log_spread=log_spread,
            sky=self.sky(features),
        )


def double_bilinearly(x: Channels) -> Resized:
    """Double the height and width of a map; edges stay where they are."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
