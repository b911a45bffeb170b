"""The embedded model's network: an ImageNet encoder and a light U-Net."""

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
        blocks: MobileNetV2's blocks; 17 (all) end at 1/32, 13 at 1/16. None for ResNet50 v2.
        decoder: Channels, the coarsest first.
    """

    blocks: int | None
    decoder: tuple[int, ...]


NARROW = Widths(blocks=17, decoder=(256, 160, 112, 64, 32))
SMALL = Widths(blocks=17, decoder=(384, 224, 160, 80, 32))
BASE = Widths(blocks=None, decoder=(512, 320, 192, 64))
_LARGEST_LOGIT = 6.0  # a neighbour outweighs another by 160,000 at most
_SPREAD_WIDTH = 24
_SKY_WIDTH = 24
_LOG_SPREADS = (-5.0, 2.0)  # limits of log_spread: errors from 0.7 % to a factor of 1600
_DEPTHS = ({"layers": 2}, {"layers": 1, "kernel": 3})
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class SurfaceOutput(NamedTuple):
    """Output for a batch.

    Attributes:
        log_depth: Natural logarithm up to one factor per image.
        normals: Directions of unknown length in the camera frame, at half size.
        log_spread: Natural logarithm of the error of ``log_depth``, at half size.
        sky: Log-odds of no surface.
    """

    log_depth: Maps
    normals: Float[Tensor, "b 3 h2 w2"]
    log_spread: Float[Tensor, "b h2 w2"]
    sky: Maps


class SeparableConv(nn.Sequential):
    """Depthwise, then 1×1 convolution."""

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
        """Convolve."""
        spread, norm, _, mix, last, _ = self
        return convolve_and_norm(
            mix, last, convolve_and_norm(spread, norm, input, relu=True), relu=True
        )


class Context(nn.Module):
    """Features plus their mean."""

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
        """Narrow channels, add a network of their mean, and convolve."""
        conv, norm, _ = self.narrow
        x = convolve_and_norm(conv, norm, x, relu=True)
        return self.mix(x + self.whole(x.mean(dim=(2, 3), keepdim=True)))


class Merge(nn.Module):
    """Coarse and finer features."""

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
        """Double ``coarse``, add ``fine``, and convolve."""
        return self.mix(
            mix_channels(self.lateral, fine) + double_bilinearly(mix_channels(self.reduce, coarse))
        )


class ConvexUpsample(nn.Module):
    """Doubling of a map by convex combinations, gathered by fixed convolutions."""

    gather: Tensor
    group: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(features, features, 3, padding=1, groups=features, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.weigh = nn.Conv2d(features, 36, 1)
        one_of_nine, one_of_four = torch.eye(9), torch.eye(4)
        self.register_buffer("gather", one_of_nine.repeat(4, 1).view(36, 1, 3, 3), persistent=False)
        group = one_of_four.repeat_interleave(9, dim=1).view(4, 36, 1, 1)
        self.register_buffer("group", group, persistent=False)

    def forward(self, values: OneChannel, features: Channels) -> Float[Tensor, "b 1 h2 w2"]:
        """Double within the neighbours' range."""
        context = convolve_and_norm(self.look, self.norm, features, relu=True)
        logits = mix_channels(self.weigh, context).float()
        # Half precision would round log depth to steps of 3 %.
        with torch.autocast(values.device.type, enabled=False):
            weights = torch.exp(_LARGEST_LOGIT * torch.tanh(logits / _LARGEST_LOGIT))
            around = F.conv2d(F.pad(values, (1, 1, 1, 1), mode="replicate"), self.gather)
            total = F.conv2d(weights * around, self.group)
            return F.pixel_shuffle(total / F.conv2d(weights, self.group), 2)


class Spread(nn.Module):
    """Network of the expected error, from a place and the whole image."""

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
        """Compute the error's logarithm."""
        mean = coarsest.mean(dim=(2, 3), keepdim=True)
        variation = (coarsest - mean).abs().mean(dim=(2, 3), keepdim=True)
        whole = self.whole(torch.cat([mean, variation], dim=1))
        return self.join(self.local(features) + whole)[:, 0].float().clamp(*_LOG_SPREADS)


class Sky(nn.Module):
    """Network of the log-odds of sky, four pixels a place."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.local = SeparableConv(features, _SKY_WIDTH, kernel=3)
        self.ask = nn.Conv2d(_SKY_WIDTH, 4, 1)

    def forward(self, features: Channels) -> Float[Tensor, "b h2 w2"]:
        """Compute log-odds at twice the size."""
        return F.pixel_shuffle(self.ask(self.local(features)).float(), 2)[:, 0]


class SmallNet(nn.Module):
    """Depth up to scale and normals; sides are multiples of 32 pixels."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, widths: Widths = SMALL) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1) * 255)
        self.register_buffer("deviation", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1) * 255)
        self.encoder = ResNet50V2() if widths.blocks is None else MobileNetV2(blocks=widths.blocks)
        stem, *fine, coarsest = self.encoder.channels
        self.context = Context(coarsest, widths.decoder[0])
        last = len(fine) - 1
        self.merges = nn.ModuleList(
            Merge(coarse, lateral, outputs, **_DEPTHS[step == last])
            for step, (coarse, outputs, lateral) in enumerate(
                zip(widths.decoder[:-1], widths.decoder[1:], reversed(fine), strict=True)
            )
        )
        finest = widths.decoder[-1]
        self.head = nn.Conv2d(finest, 4, 3, padding=1)
        self.spread = Spread(stem + finest, coarsest)
        self.upsample = ConvexUpsample(stem + finest)
        self.sky = Sky(stem + finest)

    def forward(self, image: Pictures) -> SurfaceOutput:
        """Predict from RGB bytes."""
        normalised = (image.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        stem, *fine, coarsest = self.encoder(normalised)
        x = self.context(coarsest)
        for merge, lateral in zip(self.merges, reversed(fine), strict=True):
            x = merge(x, lateral)
        surface = self.head(x).float()
        features = torch.cat([stem, x], dim=1)
        log_depth = self.upsample(surface[:, :1], features)
        # Inputs are detached, so that learning the expected error does not affect depth.
        log_spread = self.spread(features.detach(), coarsest.detach())
        # Last, as files without sky hold all of the layers before.
        return SurfaceOutput(log_depth[:, 0], surface[:, 1:], log_spread, self.sky(features))


def double_bilinearly(x: Channels) -> Resized:
    """Double both sides, pixel centres kept."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
