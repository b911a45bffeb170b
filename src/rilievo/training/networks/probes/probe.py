"""Base class of probes, which are small networks on the features of a backbone."""

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
from rilievo.training.networks.probes.upsampling import UpsamplingMode, resize, upsample
from rilievo.training.tensors import Channels, LiftedOutputs, Outputs, Resized, Tensors

Interpolation = Literal["bilinear", "bicubic"]
_PYRAMID_STRIDE = 16
"""Stride to which the maps of a pyramid are resized [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logits:
    """Outputs of a probe before their last upsampling, which is left to the head.

    Attributes:
        values: Outputs for the padded image.
        scale: Factor of the last upsampling.
        upsampling_mode: How it upsamples.
        padded: Height and width of the padded image [px].
        box: Where the image lies in the padded image.
        crop: Whether the image is cropped from the padded one; otherwise the padded one is squeezed
            to its size, as in Probe3D.
    """

    values: Outputs
    scale: int
    upsampling_mode: UpsamplingMode
    padded: Size
    box: Box
    crop: bool

    def select_channels(self, start: int, stop: int) -> "Logits":
        """Select the outputs from ``start`` up to but not including ``stop``."""
        return replace(self, values=self.values[:, start:stop])


def upsample_outputs(logits: Logits) -> LiftedOutputs:
    """Compute the last upsampling of outputs."""
    return upsample(logits.values, logits.scale, logits.upsampling_mode)


def crop_and_resize(
    padded_map: Channels,
    logits: Logits,
    size: Size,
    interpolation: Interpolation = "bilinear",
) -> Resized:
    """Crop the image from a map of the padded image, and resize it to ``size``.

    ``logits`` are the outputs from which the map was computed. They record where the image lies in
    the padded one, and whether it is cropped at all.
    """
    box = logits.box
    is_padded = (box.height, box.width) != logits.padded
    if is_padded and logits.crop:
        return _sample_crop(padded_map, logits, size, interpolation)
    if padded_map.shape[2:] == size:
        return padded_map
    align_corners = logits.upsampling_mode == "corners"
    return F.interpolate(padded_map, size=size, mode=interpolation, align_corners=align_corners)


def _sample_crop(
    padded_map: Channels, logits: Logits, size: Size, interpolation: Interpolation
) -> Resized:
    """Crop and resize in one step, as the border of the crop may lie between pixels of the map."""
    align_corners = logits.upsampling_mode == "corners"
    box = logits.box
    padded_height, padded_width = logits.padded
    rows = _sampling_coordinates(
        box.top, box.height, padded_height, size[0], like=padded_map, align_corners=align_corners
    )
    columns = _sampling_coordinates(
        box.left, box.width, padded_width, size[1], like=padded_map, align_corners=align_corners
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=2)
    return F.grid_sample(
        padded_map,
        grid.expand(len(padded_map), *grid.shape),
        mode=interpolation,
        padding_mode="border",
        align_corners=align_corners,
    )


def _sampling_coordinates(
    crop_start: int,
    crop_length: int,
    padded_length: int,
    output_length: int,
    *,
    like: Tensor,
    align_corners: bool,
) -> Float[Tensor, "output_length"]:
    """Coordinates of the pixel centres of a resized crop for ``F.grid_sample``, along one axis.

    All lengths are in pixels. The coordinates -1 and 1 are the edges of the padded image or, with
    ``align_corners``, the centres of its first and last pixel.
    """
    pixel = torch.arange(output_length, dtype=like.dtype, device=like.device)
    # From the edge of the padded image, in its pixels.
    position = crop_start + (pixel + 0.5) * (crop_length / output_length)
    if align_corners:
        pixel_index = position - 0.5
        return 2 * pixel_index / (padded_length - 1) - 1
    return 2 * position / padded_length - 1


class Probe(nn.Module, ABC):
    """Network on features. A kind of probe defines ``build``, ``decode`` and the class attributes.

    Attributes:
        last_scale: Factor of the upsampling that follows ``decode``.
        default_hidden: Default number of hidden channels; 0 if the probe has none.
        default_kernel: Default side of the convolutions; 0 if it cannot be chosen.
    """

    last_scale: int = 1
    default_hidden: ClassVar[int] = 0
    default_kernel: ClassVar[int] = 0

    def __init__(
        self,
        channels: Sequence[int],
        token_channels: int,
        outputs: int,
        *,
        hidden: int | None = None,
        kernel: int | None = None,
        upsampling_mode: UpsamplingMode = "centres",
        crop: bool = True,
    ) -> None:
        """Create a probe with random weights.

        ``make_probe`` explains the arguments, and ``Logits`` explains ``upsampling_mode`` and
        ``crop``.
        """
        super().__init__()
        if not channels or min(channels) < 1 or token_channels < 0 or outputs < 1:
            raise ModelError(
                "a probe needs at least one layer, positive numbers of channels and outputs, and 0 "
                f"or more channels of class tokens, got channels={tuple(channels)}, "
                f"token_channels={token_channels} and outputs={outputs}"
            )
        self.channels = tuple(channels)
        self.token_channels = token_channels
        self.outputs = outputs
        self.upsampling_mode: UpsamplingMode = upsampling_mode
        self.crop = crop
        kernel = self.default_kernel if kernel is None else kernel
        if self.default_kernel and (kernel < 1 or kernel % 2 == 0):
            raise ModelError(f"the kernel of a probe must be odd and at least 1, got {kernel}")
        self.kernel = kernel
        self.build(self.default_hidden if hidden is None else hidden)

    @abstractmethod
    def build(self, hidden: int) -> None:
        """Create the layers, with ``hidden`` hidden channels."""

    @property
    def inputs(self) -> int:
        """Number of channels of all maps and tokens together."""
        return sum(self.channels) + self.token_channels * len(self.channels)

    @abstractmethod
    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute the outputs before the last upsampling."""

    def logits(self, features: Features) -> Logits:
        """Compute the outputs that a head reads."""
        self._check_feature_channels(features)
        return Logits(
            values=self.decode(_resize_pyramid_to_sixteenth(features), features.tokens),
            scale=self.last_scale,
            upsampling_mode=self.upsampling_mode,
            padded=features.padded,
            box=features.box,
            crop=self.crop,
        )

    def forward(self, features: Features, size: Size) -> Outputs:
        """Compute the outputs at a size (height, width) [px]."""
        logits = self.logits(features)
        return crop_and_resize(upsample_outputs(logits), logits, size)

    def _check_feature_channels(self, features: Features) -> None:
        """Raise ``ModelError`` if maps or class tokens have other channels than the probe takes."""
        map_channels = tuple(feature_map.shape[1] for feature_map in features.maps)
        token_channels = {0}  # features without class tokens
        if features.tokens is not None:
            token_channels = {token.shape[1] for token in features.tokens}
        if map_channels == self.channels and token_channels == {self.token_channels}:
            return
        raise ModelError(
            f"the features have {map_channels} channels and {max(token_channels)} channels of "
            f"class tokens, but this probe was created for {self.channels} and "
            f"{self.token_channels}; use the backbone layers for which the probe was created"
        )


class TokenConv(nn.Conv2d):
    """Convolution of a map to which a class token is appended at all pixels; it does not pad."""

    def __init__(
        self, map_channels: int, token_channels: int, out_channels: int, kernel_size: int = 1
    ) -> None:
        super().__init__(map_channels + token_channels, out_channels, kernel_size)
        self.map_channels = map_channels

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, x: Channels, token: Float[Tensor, "b t"] | None = None
    ) -> LiftedOutputs:
        """Convolve the map and the token separately, which is cheaper than concatenating them."""
        x = x.contiguous(memory_format=torch.channels_last)
        if token is None:
            return F.conv2d(x, self.weight, self.bias)
        map_weight, token_weight = self.weight.split([self.map_channels, token.shape[1]], dim=1)
        # The token is the same at all pixels, so the weights of a window are summed.
        token_outputs = F.linear(token, token_weight.sum(dim=(2, 3)), self.bias)
        return F.conv2d(x, map_weight) + token_outputs[:, :, None, None]


def _resize_pyramid_to_sixteenth(features: Features) -> Tensors:
    """Bring the maps of a pyramid to one size, a sixteenth of the image; others stay the same."""
    if len({x.shape[2:] for x in features.maps}) == 1:
        return features.maps
    height, width = (max(1, round(side / _PYRAMID_STRIDE)) for side in features.padded)
    return tuple(resize(x, (height, width), "centres") for x in features.maps)


def concatenate_maps_and_tokens(maps: Tensors, tokens: Tensors | None) -> Channels:
    """Concatenate maps, each followed by its class token, which is repeated at all pixels."""
    if tokens is None:
        return torch.cat(maps, dim=1)
    maps_and_tokens: list[Tensor] = []
    for x, token in zip(maps, tokens, strict=True):
        maps_and_tokens += [x, token[:, :, None, None].expand(-1, -1, *x.shape[2:])]
    return torch.cat(maps_and_tokens, dim=1)
