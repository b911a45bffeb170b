"""Probe3D's linear probe, multiscale probe and dense DPT probe (El Banani et al., CVPR 2024).

With their base class, and a light DPT probe. Weights: github.com/mbanani/probe3d.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import ModelError
from rilievo.training.networks.features import Box, Features
from rilievo.training.networks.probes.lift import (
    Enlargement,
    Lifting,
    enlarge,
    lift_conv,
    lift_relu_conv,
    resize,
    wide_conv,
)
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


class ResidualUnit(nn.Module):
    """Unit x + ReLU(conv(ReLU(conv(x)))), which can only add."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Channels) -> Channels:
        """Add two convolutions with ReLUs to ``x``."""
        return x + wide_conv(wide_conv(x, self.conv1).relu_(), self.conv2).relu_()

    def forward_enlarged(self, x: Channels, lifting: Lifting) -> Resized:
        """Enlarge ``x``, then do as ``forward``."""
        if lifting.scale == 1:
            return self(x)
        first = lift_conv(x, self.conv1, lifting).relu_()
        return enlarge(x, *lifting) + wide_conv(first, self.conv2).relu_()


class Level(nn.Module):
    """A layer's enlargement and fusion."""

    def __init__(self, channels: int, kernel: int, *, deepest: bool) -> None:
        super().__init__()
        self.first = None if deepest else ResidualUnit(channels, kernel)
        self.second = ResidualUnit(channels, kernel)

    def forward(
        self,
        x: Channels,
        deeper: Resized | None,
        lifting: Lifting,
    ) -> Resized:
        """Enlarge and refine ``x``, add ``deeper``, and refine."""
        if self.first is None or deeper is None:
            return self.second.forward_enlarged(x, lifting)
        return self.second(self.first.forward_enlarged(x, lifting) + deeper)


class _FusionProbe(Probe):
    def build(self, hidden: int) -> None:
        self.project = nn.ModuleList(
            TokenConv(c, self.token_channels, hidden) for c in self.channels
        )
        count = len(self.channels)
        self.levels = nn.ModuleList(
            Level(hidden, self.kernel or 3, deepest=i == count - 1) for i in range(count)
        )
        self._add_layers_after_fusion(hidden)
        self.to(memory_format=torch.channels_last)

    @abstractmethod
    def _add_layers_after_fusion(self, hidden: int) -> None:
        """Add the layers after the fusion."""

    def fuse_layers_at_scale(self, maps: Tensors, tokens: Tensors | None, scale: int) -> Channels:
        """Fuse from the deepest layer on."""
        lifting = Lifting(scale, self.enlargement)
        fused = None
        for layer in reversed(range(len(maps))):
            token = None if tokens is None else tokens[layer]
            level = self.project[layer](maps[layer], token)
            fused = self.levels[layer](level, fused, lifting)
        assert fused is not None, "features have a map"
        return fused


class DptProbe(_FusionProbe):
    """Probe3D's default; its output has sixteen times the size of its input."""

    last_scale = 2
    usual_hidden = 512
    usual_kernel = 3

    def _add_layers_after_fusion(self, hidden: int) -> None:
        self.widen = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.answer = nn.Conv2d(hidden, self.outputs, 3, padding=1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at eight times the size."""
        fused = self.fuse_layers_at_scale(maps, tokens, 2)
        return lift_relu_conv(fused, self.widen, self.answer, Lifting(4, self.enlargement))


class LightProbe(_FusionProbe):
    """Narrow ``DptProbe`` with a hundredth of its multiplications."""

    usual_hidden = 160

    def _add_layers_after_fusion(self, hidden: int) -> None:
        middle, last = max(1, hidden * 4 // 5), max(1, hidden * 2 // 5)
        self.twice = nn.Conv2d(hidden, middle, 3, padding=1)
        self.again = nn.Conv2d(middle, last, 3, padding=1)
        self.answer = nn.Conv2d(last, self.outputs, 1)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at four times the size."""
        lifting = Lifting(2, self.enlargement)
        x = lift_conv(self.fuse_layers_at_scale(maps, tokens, 1), self.twice, lifting).relu_()
        return self.answer(lift_conv(x, self.again, lifting).relu_())


_DPT = (
    (r"conv_(\d+)", r"project.\1"),
    (r"ref_(\d+)\.resConfUnit1\.conv\.0", r"levels.\1.first.conv1"),
    (r"ref_(\d+)\.resConfUnit1\.conv\.2", r"levels.\1.first.conv2"),
    (r"ref_(\d+)\.resConfUnit2\.conv\.0", r"levels.\1.second.conv1"),
    (r"ref_(\d+)\.resConfUnit2\.conv\.2", r"levels.\1.second.conv2"),
    (r"out_conv\.0", r"widen"),
    (r"out_conv\.2", r"answer"),
)
_MULTISCALE = (
    (r"convs\.(\d+)", r"project.\1"),
    (r"conv_mid\.0", r"middle.0"),
    (r"conv_mid\.2", r"middle.1"),
    (r"conv_mid\.4", r"middle.2"),
    (r"conv_out\.0", r"widen"),
    (r"conv_out\.2", r"answer"),
)
_LINEAR = ((r"conv", r"answer"),)
_SCALE = 4


def load_probe3d_weights(probe: Probe, state: Mapping[str, Tensor]) -> None:
    """Load a state with or without ``module.`` and ``head.``."""
    table = _probe3d_layer_patterns(probe)
    renamed = {_name_from_probe3d(name, table): tensor for name, tensor in state.items()}
    expected = probe.state_dict()
    missing, foreign = expected.keys() - renamed.keys(), renamed.keys() - expected.keys()
    if missing or foreign:
        raise ModelError(
            f"not the weights of this probe: {len(missing)} tensors are missing "
            f"({', '.join(sorted(missing)[:2])}), {len(foreign)} have no place "
            f"({', '.join(sorted(foreign)[:2])}); make the probe of the same kind and layers"
        )
    for name, tensor in renamed.items():
        if tensor.shape != expected[name].shape:
            # What make_probe takes to give weights their shape.
            same_kernel = tensor.shape[2:] == expected[name].shape[2:]
            cause = "widths" if same_kernel else f"kernel: kernel={tensor.shape[-1]}"
            raise ModelError(
                f"weights {name} of shape {tuple(tensor.shape)}: this probe has "
                f"{tuple(expected[name].shape)}; make it with the same {cause}"
            )
    probe.load_state_dict(renamed)


def _probe3d_layer_patterns(probe: Probe) -> tuple[tuple[str, str], ...]:
    tables = {DptProbe: _DPT, MultiscaleProbe: _MULTISCALE, LinearProbe: _LINEAR}
    for kind, table in tables.items():
        if isinstance(probe, kind):
            return table
    raise ModelError(
        f"Probe3D has no probe like {type(probe).__name__}: expected a dpt, multiscale or linear "
        "one"
    )


def _name_from_probe3d(name: str, table: tuple[tuple[str, str], ...]) -> str:
    bare = name.removeprefix("module.").removeprefix("head.")
    layer, _, parameter = bare.rpartition(".")
    for pattern, ours in table:
        if layer_match := re.fullmatch(pattern, layer):
            return f"{layer_match.expand(ours)}.{parameter}"
    return bare


class LinearProbe(Probe):
    """One convolution of all maps, before their enlargement if 1×1."""

    usual_kernel = 1

    def build(self, hidden: int) -> None:
        """Add the layer."""
        kernel = self.kernel
        self.answer = nn.Conv2d(self.inputs, self.outputs, kernel, padding=kernel // 2)
        self.last_scale = _SCALE if kernel == 1 else 1

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs."""
        x = concatenate_maps_and_tokens(maps, tokens)
        if self.kernel == 1:
            return self.answer(x)
        return lift_conv(x, self.answer, Lifting(_SCALE, self.enlargement))


class BatchNormProbe(Probe):
    """Linear probe of DINOv2 and DINOv3: features are normalised, then enlarged."""

    last_scale = _SCALE

    def build(self, hidden: int) -> None:
        """Add the layers; none is hidden."""
        self.normalise = nn.BatchNorm2d(self.inputs)
        self.answer = nn.Conv2d(self.inputs, self.outputs, 1)
        nn.init.normal_(self.answer.weight, std=0.01)
        assert self.answer.bias is not None, "made with one"
        nn.init.zeros_(self.answer.bias)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs."""
        x = concatenate_maps_and_tokens(maps, tokens).contiguous(memory_format=torch.channels_last)
        return self.answer(self.normalise(x))


class MultiscaleProbe(Probe):
    """Probe whose layers are refined twice while they grow eightfold.

    A kernel above 1 shifts the map, as in the original.
    """

    usual_hidden = 512
    usual_kernel = 1

    def build(self, hidden: int) -> None:
        """Add the layers."""
        kernel = self.kernel
        self.project = nn.ModuleList(
            TokenConv(c, self.token_channels, hidden, kernel) for c in self.channels
        )
        self.middle = nn.ModuleList(
            nn.Conv2d(inputs, hidden, kernel)
            for inputs in (hidden * len(self.channels), hidden, hidden)
        )
        self.widen = nn.Conv2d(hidden, hidden, kernel)
        self.answer = nn.Conv2d(hidden, self.outputs, kernel)
        self.to(memory_format=torch.channels_last)

    def decode(self, maps: Tensors, tokens: Tensors | None) -> Outputs:
        """Compute outputs at eight times the size."""
        levels = [
            project(x, None if tokens is None else tokens[layer])
            for layer, (project, x) in enumerate(zip(self.project, maps, strict=True))
        ]
        height, width = levels[-1].shape[2:]
        x = torch.cat([resize(x, (height, width), self.enlargement) for x in levels], dim=1)
        first, second, third = self.middle
        x = self._convolve_enlarged(first, F.relu(x, inplace=True), 2).relu_()
        x = third(second(x).relu_()).relu_()
        return self.answer(self._convolve_enlarged(self.widen, x, _SCALE).relu_())

    def _convolve_enlarged(self, convolution: nn.Module, x: Tensor, scale: int) -> Channels:
        if self.kernel == 1:
            return enlarge(convolution(x), scale, self.enlargement)
        return convolution(enlarge(x, scale, self.enlargement))
