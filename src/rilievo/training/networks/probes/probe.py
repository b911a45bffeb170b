"""The base class of probes: small networks on the features of a backbone."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import ModelError
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probes.enlargement import Enlargement, enlarge, resize
from rilievo.training.tensors import Channels, LiftedOutputs, Outputs, Resized, Tensors

Interpolation = Literal["bilinear", "bicubic"]
_PYRAMID_STRIDE = 16
"""Stride to which the maps of a pyramid are resized [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """Outputs of a probe before their last enlargement, which a head computes.

    Attributes:
        values: Outputs for the padded image.
        scale: Factor of the last enlargement.
        enlargement: How it enlarges.
        padded: Height and width of the padded image [px].
        box: Where the image lies in it.
        crop: Whether the image is cut out of the padded one; if not, the whole is resized to it.
    """

    values: Outputs
    scale: int
    enlargement: Enlargement
    padded: Size
    box: Box
    crop: bool

    def select_channels(self, start: int, stop: int) -> "Logits":
        """Select the outputs from ``start`` to ``stop``, without the latter."""
        return replace(self, values=self.values[:, start:stop])


def enlarge_outputs(logits: Logits) -> LiftedOutputs:
    """Compute the last enlargement of outputs."""
    return enlarge(logits.values, logits.scale, logits.enlargement)


def crop_and_resize(
    whole: Channels,
    logits: Logits,
    size: Size,
    interpolation: Interpolation = "bilinear",
) -> Resized:
    """Cut the image out of a map of the padded image, and resize it.

    Args:
        whole: Map of the padded image.
        logits: Outputs that it was computed from, which tell where the image lies.
        size: Height and width of the result [px].
        interpolation: How it is resized.
    """
    align_corners = logits.enlargement == "corners"
    is_unpadded = (logits.box.height, logits.box.width) == logits.padded
    if is_unpadded or not logits.crop:
        if whole.shape[2:] == size:
            return whole
        return F.interpolate(whole, size=size, mode=interpolation, align_corners=align_corners)
    rows = _sampling_coordinates(
        logits.box.top, logits.box.height, logits.padded[0], size[0], whole, align_corners
    )
    columns = _sampling_coordinates(
        logits.box.left, logits.box.width, logits.padded[1], size[1], whole, align_corners
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)
    return F.grid_sample(
        whole,
        grid.expand(len(whole), *grid.shape),
        mode=interpolation,
        padding_mode="border",
        align_corners=align_corners,
    )


def _sampling_coordinates(
    start: int, length: int, padded: int, count: int, like: Tensor, align_corners: bool
) -> Float[Tensor, "count"]:
    """Coordinates for ``F.grid_sample`` of the pixel centres of a resized crop, along one axis.

    Args:
        start: First pixel of the crop in the padded image.
        length: Length of the crop [px].
        padded: Length of the padded image [px].
        count: Length of the result [px].
        like: Tensor whose type and device the coordinates have.
        align_corners: Whether -1 and 1 are the centres of the first and last pixel, not the edges.
    """
    pixel = torch.arange(count, dtype=like.dtype, device=like.device)
    position = start + (pixel + 0.5) * (length / count)  # from the edge of the padded image
    if align_corners:
        return 2 * (position - 0.5) / (padded - 1) - 1
    return 2 * position / padded - 1


class Probe(nn.Module, ABC):
    """Network on features. A kind of probe defines ``build``, ``decode`` and the class attributes.

    Attributes:
        last_scale: Factor of the enlargement that follows ``decode``.
        usual_hidden: Hidden channels by default; 0 if the probe has none.
        usual_kernel: Side of the convolutions by default; 0 if it cannot be chosen.
    """

    last_scale: int = 1
    usual_hidden: ClassVar[int] = 0
    usual_kernel: ClassVar[int] = 0

    def __init__(
        self,
        channels: Sequence[int],
        token_channels: int,
        outputs: int,
        *,
        hidden: int | None = None,
        kernel: int | None = None,
        enlargement: Enlargement = "centres",
        crop: bool = True,
    ) -> None:
        super().__init__()
        if not channels or min(channels) < 1 or token_channels < 0 or outputs < 1:
            raise ModelError(
                f"a probe of {tuple(channels)} channels, {token_channels} of a class token and "
                f"{outputs} outputs: expected at least one layer, and positive counts"
            )
        self.channels = tuple(channels)
        self.token_channels = token_channels
        self.outputs = outputs
        self.enlargement: Enlargement = enlargement
        self.crop = crop
        kernel = self.usual_kernel if kernel is None else kernel
        if self.usual_kernel and (kernel < 1 or kernel % 2 == 0):
            raise ModelError(f"a probe of kernel {kernel}: expected an odd one, 1 or more")
        self.kernel = kernel
        self.build(self.usual_hidden if hidden is None else hidden)

    @abstractmethod
    def build(self, hidden: int) -> None:
        """Make the layers, with so many hidden channels."""

    @property
    def inputs(self) -> int:
        """Number of channels of all maps and tokens together."""
        return sum(self.channels) + self.token_channels * len(self.channels)

    @abstractmethod
    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute the outputs before the last enlargement."""

    def logits(self, features: Features) -> Logits:
        """Compute the outputs that a head reads."""
        self._check_channels(features)
        return Logits(
            values=self.decode(_resize_pyramid_to_sixteenth(features), features.tokens),
            scale=self.last_scale,
            enlargement=self.enlargement,
            padded=features.padded,
            box=features.box,
            crop=self.crop,
        )

    def forward(self, features: Features, size: Size) -> Outputs:
        """Compute the outputs at a size (height, width) [px]."""
        logits = self.logits(features)
        return crop_and_resize(enlarge_outputs(logits), logits, size)

    def _check_channels(self, features: Features) -> None:
        widths = tuple(x.shape[1] for x in features.maps)
        tokens = {x.shape[1] for x in features.tokens} if features.tokens is not None else {0}
        if widths != self.channels or tokens != {self.token_channels}:
            raise ModelError(
                f"features of {widths} channels with class tokens of {max(tokens)}: this probe was "
                f"made for {self.channels} with {self.token_channels}; take the backbone's layers "
                "that it was made for"
            )


class TokenConv(nn.Conv2d):
    """Convolution of a map to which a class token is appended at all pixels; it does not pad."""

    def __init__(self, channels: int, token_channels: int, outputs: int, kernel: int = 1) -> None:
        super().__init__(channels + token_channels, outputs, kernel)
        self.map_channels = channels

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Channels, token: Float[Tensor, "b t"] | None = None
    ) -> LiftedOutputs:
        """Convolve the map and the token apart, which is the same and takes less time."""
        x = x.contiguous(memory_format=torch.channels_last)
        if token is None:
            return F.conv2d(x, self.weight, self.bias)
        map_weight, token_weight = self.weight.split([self.map_channels, token.shape[1]], dim=1)
        token_outputs = F.linear(token, token_weight.sum(dim=(2, 3)), self.bias)
        return F.conv2d(x, map_weight) + token_outputs[:, :, None, None]


def _resize_pyramid_to_sixteenth(features: Features) -> Tensors:
    """Maps of one size: those of a pyramid are resized to a sixteenth of the image."""
    if len({x.shape[2:] for x in features.maps}) == 1:
        return features.maps
    height, width = (max(1, round(side / _PYRAMID_STRIDE)) for side in features.padded)
    return tuple(resize(x, (height, width), "centres") for x in features.maps)


def concatenate_maps_and_tokens(maps: Tensors, tokens: Tensors | None) -> Channels:
    """Concatenate maps, each followed by its class token, which is repeated at all pixels."""
    if tokens is None:
        return torch.cat(maps, dim=1)
    parts: list[Tensor] = []
    for x, token in zip(maps, tokens, strict=True):
        parts += [x, token[:, :, None, None].expand(-1, -1, *x.shape[2:])]
    return torch.cat(parts, dim=1)
