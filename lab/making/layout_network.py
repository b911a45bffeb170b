"""The layout network: surfaces on a coarse grid, with their expected error.

It sees a photograph of about 49,152 pixels and answers at an eighth of its size. What is finer is
the work of a detail network.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from lab.making.efficientnet_lite import DEVIATION, MEAN, EfficientNetLite2
from rilievo.training.networks.frozen_norms import mix_channels
from rilievo.training.networks.small import Context, Merge, SeparableConv

CELL = 8
"""Side of the grid's cells [px]."""
MULTIPLE = 32
"""Number that both sides of an input image are multiples of."""

_LOG_SPREADS = (-5.0, 2.0)
_LEAST_DEVIATION = 0.2
"""Least deviation of a channel of features, as a share of the median one."""
_WIDTHS = (256, 192, 128)
"""Channels at 1/32, 1/16 and 1/8 of the image."""
_GUEST_WIDTH = 64
_HEAD_DEVIATION = 3e-3
"""Deviation of the first weights of the layer of depth, which begins nearly flat."""


Levels = tuple[
    Float[Tensor, "b c8 h8 w8"], Float[Tensor, "b c16 h16 w16"], Float[Tensor, "b c32 h32 w32"]
]
"""Features of the encoder at 1/8, 1/16 and 1/32 of the image, each channel of mean 0 and deviation
1, about."""


class Layout(NamedTuple):
    """Output of the network for a batch of images, one number for every cell.

    Attributes:
        log_depth: Natural logarithm of depth up to one factor per image.
        normals: Directions of unknown length in the camera frame.
        sky: Log-odds that the cell sees no surface.
        log_spread: Natural logarithm of the expected error of ``log_depth``.
        levels: Features of the encoder at 1/8, 1/16 and 1/32, which another decoder can read.
    """

    log_depth: Float[Tensor, "b h8 w8"]
    normals: Float[Tensor, "b 3 h8 w8"]
    sky: Float[Tensor, "b h8 w8"]
    log_spread: Float[Tensor, "b h8 w8"]
    levels: Levels


class Level(nn.Module):
    """Features of the encoder, each channel less its mean and over its deviation.

    Linear features have channels of very different sizes, of which a decoder from scratch learns
    slowly. Both constants are measured before the first step.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return features of mean 0 and deviation 1, about."""
        mean, scale = (each.to(x.dtype).view(1, -1, 1, 1) for each in (self.mean, self.scale))
        return (x - mean) * scale

    @torch.no_grad()
    def measure(self, batches: Sequence[Float[Tensor, "b c _ _"]]) -> None:
        """Set the constants to those of features of some batches."""
        rows = torch.cat([each.transpose(0, 1).flatten(1) for each in batches], dim=1).float()
        deviation = rows.std(dim=1)
        self.mean.copy_(rows.mean(dim=1))
        self.scale.copy_(1 / deviation.clamp(min=_LEAST_DEVIATION * float(deviation.median())))


class Damped(torch.autograd.Function):
    """Features as they are, of whose gradient only a share is passed on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        """Return the features."""
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Return a share of the gradient."""
        return gradients[0] * ctx.share, None


class LayoutNet(nn.Module):
    """Coarse depth up to scale and normals of photographs.

    Attributes:
        learns_encoder: Whether the encoder gets gradients.
        guests_gradient: Share of the gradient of normals and sky that the features learn from which
            depth is made of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = EfficientNetLite2()
        eighth, sixteenth, coarsest = self.encoder.channels[-3:]
        self.levels = nn.ModuleList(Level(each) for each in (eighth, sixteenth, coarsest))
        self.context = Context(coarsest, _WIDTHS[0])
        self.to_sixteenth = Merge(_WIDTHS[0], sixteenth, _WIDTHS[1], layers=2)
        self.to_eighth = Merge(_WIDTHS[1], eighth, _WIDTHS[2], layers=2)
        self.head = nn.Conv2d(_WIDTHS[2], 1, 3, padding=1)
        nn.init.normal_(self.head.weight, std=_HEAD_DEVIATION)
        self.look = SeparableConv(_WIDTHS[2], _GUEST_WIDTH, kernel=3)
        self.guests = nn.Conv2d(_GUEST_WIDTH, 4, 1)
        self.doubt = SeparableConv(_WIDTHS[2], _GUEST_WIDTH, kernel=3)
        self.spread = nn.Conv2d(_GUEST_WIDTH, 1, 1)
        self.learns_encoder = True
        self.guests_gradient = 1.0

    def features(self, image: UInt8[Tensor, "b h w 3"]) -> tuple[Float[Tensor, "b _ _ _"], ...]:
        """Return the encoder's features at 1/8, 1/16 and 1/32 of RGB images."""
        normalised = (image.permute(0, 3, 1, 2).float() - MEAN) / DEVIATION
        return self.encoder(normalised.contiguous(memory_format=torch.channels_last))[-3:]

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> Layout:
        """Predict from RGB images, as image files hold them."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learns_encoder):
            features = self.features(image)
        eighth, sixteenth, coarsest = (
            level(x) for level, x in zip(self.levels, features, strict=True)
        )
        return self.decode((eighth, sixteenth, coarsest))

    def decode(self, levels: Levels) -> Layout:
        """Predict from the features of the encoder."""
        eighth, sixteenth, coarsest = levels
        x = self.to_sixteenth(self.context(coarsest), sixteenth)
        x = self.to_eighth(x, eighth)
        log_depth = mix_channels(self.head, x)[:, 0].float()
        shared = x
        if torch.is_grad_enabled():
            share = self.guests_gradient
            shared = Damped.apply(x, share) if share else x.detach()
        guests = self.guests(self.look(shared)).float()
        # Inputs are detached, so that learning the expected error does not affect depth.
        spread = self.spread(self.doubt(x.detach())).float()[:, 0].clamp(*_LOG_SPREADS)
        return Layout(log_depth, guests[:, :3], guests[:, 3], spread, levels)


class NormalsDecoder(nn.Module):
    """Normals from the features of a layout network's encoder, by layers of their own.

    A layout network makes its normals from features that are shaped by depth. Layers that learn
    normals alone have smaller errors: see ``normals_training.py``.
    """

    def __init__(self) -> None:
        super().__init__()
        eighth, sixteenth, coarsest = EfficientNetLite2().channels[-3:]
        self.context = Context(coarsest, _WIDTHS[0])
        self.to_sixteenth = Merge(_WIDTHS[0], sixteenth, _WIDTHS[1], layers=2)
        self.to_eighth = Merge(_WIDTHS[1], eighth, _WIDTHS[2], layers=2)
        self.look = SeparableConv(_WIDTHS[2], _GUEST_WIDTH, kernel=3)
        self.direction = nn.Conv2d(_GUEST_WIDTH, 3, 1)

    @torch.no_grad()
    def start_from(self, network: LayoutNet) -> None:
        """Copy the layers with which a layout network predicts normals."""
        for name in ("context", "to_sixteenth", "to_eighth", "look"):
            self.get_submodule(name).load_state_dict(network.get_submodule(name).state_dict())
        self.direction.weight.copy_(network.guests.weight[:3])
        assert self.direction.bias is not None
        assert network.guests.bias is not None
        self.direction.bias.copy_(network.guests.bias[:3])

    def forward(self, levels: Levels) -> Float[Tensor, "b 3 h8 w8"]:
        """Return directions of unknown length in the camera frame, one for every cell."""
        eighth, sixteenth, coarsest = levels
        x = self.to_sixteenth(self.context(coarsest), sixteenth)
        return self.direction(self.look(self.to_eighth(x, eighth))).float()


@torch.no_grad()
def measure_levels(network: LayoutNet, images: Iterable[UInt8[Tensor, "b h w 3"]]) -> None:
    """Set the constants of the encoder's features to those of some batches."""
    network.eval()
    parts = [network.features(each) for each in images]
    for number, level in enumerate(network.levels):
        assert isinstance(level, Level), "constants of features"
        level.measure([features[number] for features in parts])
