"""The base class of probes."""

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
_PYRAMID_CELL = 16  # [px] to which Probe3D resizes the stages of a pyramid


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """Outputs before their last enlargement by ``scale``; without ``crop`` the padded whole."""

    values: Outputs
    scale: int
    enlargement: Enlargement
    padded: Size
    box: Box
    crop: bool

    def select_channels(self, start: int, stop: int) -> "Logits":
        """Select outputs ``start`` to ``stop``, exclusive."""
        return replace(self, values=self.values[:, start:stop])


def enlarge_outputs(logits: Logits) -> LiftedOutputs:
    """Apply the last enlargement."""
    return enlarge(logits.values, logits.scale, logits.enlargement)


def crop_and_resize(
    whole: Channels,
    logits: Logits,
    size: Size,
    interpolation: Interpolation = "bilinear",
) -> Resized:
    """Cut the image out of a padded map, and resize it [px]."""
    corners = logits.enlargement == "corners"
    covers = (logits.box.height, logits.box.width) == logits.padded
    if covers or not logits.crop:
        if whole.shape[2:] == size:
            return whole
        return F.interpolate(whole, size=size, mode=interpolation, align_corners=corners)
    rows = _sampling_coordinates(
        logits.box.top, logits.box.height, logits.padded[0], size[0], whole, corners
    )
    columns = _sampling_coordinates(
        logits.box.left, logits.box.width, logits.padded[1], size[1], whole, corners
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)
    return F.grid_sample(
        whole,
        grid.expand(len(whole), *grid.shape),
        mode=interpolation,
        padding_mode="border",
        align_corners=corners,
    )


def _sampling_coordinates(
    start: int, length: int, padded: int, count: int, like: Tensor, corners: bool
) -> Float[Tensor, "count"]:
    """Coordinates in -1..1 of a resized crop's pixel centres."""
    pixel = torch.arange(count, dtype=like.dtype, device=like.device)
    place = start + (pixel + 0.5) * (length / count)  # the padded image's left edge is 0
    if corners:
        return 2 * (place - 0.5) / (padded - 1) - 1
    return 2 * place / padded - 1


class Probe(nn.Module, ABC):
    """Network on features: a kind defines ``build``, ``decode`` and the class attributes.

    Attributes:
        last_scale: Factor after ``decode``.
        usual_hidden: Default hidden channels; 0 for none.
        usual_kernel: Default side [cells]; 0 for none.
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
        """Add the layers."""

    @property
    def inputs(self) -> int:
        """Channels of all maps and tokens."""
        return sum(self.channels) + self.token_channels * len(self.channels)

    @abstractmethod
    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs before the last enlargement."""

    def logits(self, features: Features) -> Logits:
        """Compute outputs for a head."""
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
        """Compute outputs at a size [px]."""
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
    """Unpadded convolution of a map and a class token."""

    def __init__(self, channels: int, token_channels: int, outputs: int, kernel: int = 1) -> None:
        super().__init__(channels + token_channels, outputs, kernel)
        self.map_channels = channels

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Channels, token: Float[Tensor, "b t"] | None = None
    ) -> LiftedOutputs:
        """Convolve."""
        x = x.contiguous(memory_format=torch.channels_last)
        if token is None:
            return F.conv2d(x, self.weight, self.bias)
        of_map, of_token = self.weight.split([self.map_channels, token.shape[1]], dim=1)
        everywhere = F.linear(token, of_token.sum(dim=(2, 3)), self.bias)
        return F.conv2d(x, of_map) + everywhere[:, :, None, None]


def _resize_pyramid_to_sixteenth(features: Features) -> Tensors:
    if len({x.shape[2:] for x in features.maps}) == 1:
        return features.maps
    height, width = (max(1, round(side / _PYRAMID_CELL)) for side in features.padded)
    return tuple(resize(x, (height, width), "centres") for x in features.maps)


def concatenate_maps_and_tokens(maps: Tensors, tokens: Tensors | None) -> Channels:
    """Repeat each token at all places, behind its map's channels."""
    if tokens is None:
        return torch.cat(maps, dim=1)
    parts: list[Tensor] = []
    for x, token in zip(maps, tokens, strict=True):
        parts += [x, token[:, :, None, None].expand(-1, -1, *x.shape[2:])]
    return torch.cat(parts, dim=1)
