"""The layout network: surfaces on a coarse grid, with their expected error.

It sees a photograph of about 49,152 pixels and answers at an eighth of its size. What is finer is
the work of a detail network. Its trunk is the encoder of ``rilievo/base`` and what follows to an
eighth of the image; layers for finer sizes are left out.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from rilievo.errors import InputError
from rilievo.training.networks.exported_weights import read_exported
from rilievo.training.networks.frozen_norms import mixed
from rilievo.training.networks.small import SeparableConv, SmallNet
from rilievo.training.networks.widths import BASE

CELL = 8
"""Side of the grid's cells [px]."""
MULTIPLE = 32
"""Number that both sides of an input image are multiples of."""

_LOG_SPREADS = (-5.0, 2.0)
_WIDTH, _GUEST_WIDTH = 192, 64
_HEAD_DEVIATION = 3e-3
"""Deviation of the first weights of the layer of depth, which begins nearly flat."""
_LEARNING_STAGE = "stages.2."
"""Prefix of the stage of the encoder, at 1/16, that learns; those before keep their weights."""


class Layout(NamedTuple):
    """Output of the network for a batch of images, one number for every cell.

    Attributes:
        log_depth: Natural logarithm of depth up to one factor per image.
        normals: Directions of unknown length in the camera frame.
        sky: Log-odds that the cell sees no surface.
        log_spread: Natural logarithm of the expected error of ``log_depth``.
    """

    log_depth: Float[Tensor, "b h8 w8"]
    normals: Float[Tensor, "b 3 h8 w8"]
    sky: Float[Tensor, "b h8 w8"]
    log_spread: Float[Tensor, "b h8 w8"]


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


class Trunk(nn.Module):
    """Features of ``base`` at an eighth of the image."""

    def __init__(self, network: SmallNet) -> None:
        super().__init__()
        self.encoder, self.context = network.encoder, network.context
        self.merge = network.merges[0]
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad_(name.startswith(_LEARNING_STAGE))

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h8 w8"]:
        """Encode RGB images normalised by ImageNet's mean and deviation."""
        *_, eighth, coarsest = self.encoder(x)
        return self.merge(self.context(coarsest), eighth)


class LayoutNet(nn.Module):
    """Coarse depth up to scale and normals of photographs.

    Attributes:
        learns_encoder: Whether the trunk gets gradients.
        guests_gradient: Share of the gradient of normals and sky that the features learn from which
            depth is made of.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, start: Path | None = None) -> None:
        """Make the network, with weights of an ONNX file of ``layout``, or the trunk of ``base``.

        Raises:
            InputError: If the file has another network.
        """
        super().__init__()
        base = SmallNet(BASE)
        self.register_buffer("mean", base.mean)
        self.register_buffer("deviation", base.deviation)
        self.encoder = Trunk(base)
        self.refine = SeparableConv(BASE.decoder[1], _WIDTH)
        self.head = nn.Conv2d(_WIDTH, 1, 3, padding=1)
        nn.init.normal_(self.head.weight, std=_HEAD_DEVIATION)
        self.look = SeparableConv(_WIDTH, _GUEST_WIDTH, kernel=3)
        self.guests = nn.Conv2d(_GUEST_WIDTH, 4, 1)
        self.doubt = SeparableConv(_WIDTH, _GUEST_WIDTH, kernel=3)
        self.spread = nn.Conv2d(_GUEST_WIDTH, 1, 1)
        self.learns_encoder = True
        self.guests_gradient = 1.0
        if start is not None:
            try:
                read_exported(self, start)
            except InputError:
                read_exported(base, start)

    def forward(self, image: UInt8[Tensor, "b h w 3"]) -> Layout:
        """Predict from RGB images, as image files hold them."""
        normalised = (image.permute(0, 3, 1, 2).float() - self.mean) / self.deviation
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.learns_encoder):
            x = self.encoder(normalised.contiguous(memory_format=torch.channels_last))
        x = self.refine(x)
        log_depth = mixed(self.head, x)[:, 0].float()
        shared = x
        if torch.is_grad_enabled():
            share = self.guests_gradient
            shared = Damped.apply(x, share) if share else x.detach()
        guests = self.guests(self.look(shared)).float()
        # Inputs are detached, so that learning the expected error does not affect depth.
        spread = self.spread(self.doubt(x.detach())).float()[:, 0].clamp(*_LOG_SPREADS)
        return Layout(log_depth, guests[:, :3], guests[:, 3], spread)
