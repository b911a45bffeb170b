"""Decoders from features to disparity, and to motion."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Float
from rilievo.errors import OptionError, suggest
from rilievo.geometry.transforms import invert, rigid, rotation_from_axis_angle
from rilievo.training.networks.blueprint import POSE_NETWORKS, VideoBlueprint
from rilievo.training.networks.probes.lift import is_tracing_or_exporting
from rilievo.training.networks.video.encoders import (
    RESNETS,
    Encoder,
    ResNetEncoder,
    import_network_class,
)
from rilievo.training.tensors import (
    Channels,
    FeatureMap,
    FeatureMaps,
    Images,
    StackAtScale,
    Transforms,
    Vectors,
    exact,
)

_MERGE = ((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1))
_BORDER = [1, 1, 1, 1]


def double_and_convolve(
    x: Channels, skip: Float[Tensor, "b _ h2 w2"] | None, convolution: torch.nn.Conv2d
) -> Float[Tensor, "b _ h2 w2"]:
    """Repeat pixels of ``x``, append ``skip``, and convolve."""
    autocast = torch.is_autocast_enabled(x.device.type)
    if (
        is_tracing_or_exporting()
        or autocast
        or not torch.is_grad_enabled()
        or x.device.type != "cpu"
    ):
        large = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return convolution(large if skip is None else torch.cat((large, skip), dim=1))
    return _DoubledConv.apply(x, skip, convolution.weight, convolution.bias)  # pyright: ignore[reportReturnType]


class _DoubledConv(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, skip, weight)
        # Where the large map is reflected, it repeats the border of the small one.
        padded = F.pad(x, _BORDER, "replicate")
        small = F.conv2d(padded, _phase_kernels(weight[:, : x.shape[1]]))
        if skip is None:
            large = _empty_channels_last(x, len(x), len(weight), 2 * x.shape[2], 2 * x.shape[3])
            for phase, place in _phase_views(small, large):
                torch.add(phase, bias[:, None, None], out=place)
            return large
        wide = F.pad(skip, _BORDER, "reflect")
        large = F.conv2d(wide, weight[:, x.shape[1] :], bias)
        for phase, place in _phase_views(small, large):
            place += phase
        return large

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, skip, weight = ctx.saved_tensors
        [gradient] = upstream
        outputs, inputs = len(weight), x.shape[1]
        to_weight = torch.empty_like(weight)
        padded, merged = F.pad(x, _BORDER, "replicate"), _phase_kernels(weight[:, :inputs])
        small = _empty_channels_last(x, len(x), 4 * outputs, x.shape[2] + 1, x.shape[3] + 1).zero_()
        for phase, place in _phase_views(small, gradient):
            phase.copy_(place)
        to_padded, to_merged, _ = _conv_gradients(small, padded, merged, bias=False)
        to_weight[:, :inputs] = _gradient_by_kernel(to_merged)
        to_x = _add_border_to_inside(to_padded)
        if skip is None:
            return to_x, None, to_weight, gradient.sum(dim=(0, 2, 3))
        wide = F.pad(skip, _BORDER, "reflect")
        to_wide, to_rest, to_bias = _conv_gradients(gradient, wide, weight[:, inputs:], bias=True)
        to_weight[:, inputs:] = to_rest
        to_skip = torch.ops.aten.reflection_pad2d_backward(to_wide, skip, _BORDER)
        return to_x, to_skip, to_weight, to_bias


def _phase_kernels(weight: Tensor) -> Tensor:
    """Kernels of the four phases of a doubled map."""
    merge = weight.new_tensor(_MERGE)
    phases = torch.einsum("ast,bur,octr->abocsu", merge, merge, weight)
    return phases.flatten(0, 2).contiguous(memory_format=torch.channels_last)


def _gradient_by_kernel(to_merged: Tensor) -> Tensor:
    merge = to_merged.new_tensor(_MERGE)
    phases = to_merged.unflatten(0, (2, 2, -1))
    return torch.einsum("ast,bur,abocsu->octr", merge, merge, phases)


def _phase_views(small: Tensor, large: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    height, width = (side // 2 for side in large.shape[2:])
    for place, phase in enumerate(small.chunk(4, dim=1)):
        row, column = divmod(place, 2)
        here = phase[:, :, row : row + height, column : column + width]
        yield here, large[:, :, row::2, column::2]


def _add_border_to_inside(to_padded: Tensor) -> Tensor:
    for dim in (2, 3):
        last = to_padded.shape[dim] - 1
        for border, inside in ((0, 1), (last, last - 1)):
            to_padded.select(dim, inside).add_(to_padded.select(dim, border))
        to_padded = to_padded.narrow(dim, 1, last - 1)
    return to_padded.contiguous(memory_format=torch.channels_last)


def _conv_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, *, bias: bool
) -> tuple[Tensor, ...]:
    wanted, ones = [True, True, bias], [1, 1]
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, [len(weight)], ones, [0, 0], ones, False, [0, 0], 1, wanted
    )


def _empty_channels_last(like: Tensor, *shape: int) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


_WIDTHS = (16, 32, 64, 128, 256)  # of features at 1, 1/2, ... 1/16 of the image's size
# Motion is small.
_SMALL = 0.01
_CNN_WIDTHS = (6, 16, 32, 64, 128, 256, 256, 256)
_CNN_SIDES = (7, 5, 3, 3, 3, 3, 3)
# Axis times angle [rad], and translation, from the earlier to the later camera.
Motion = tuple[Vectors, Vectors]


class DepthDecoder(nn.Module):
    """Decoder of a U-Net with the names of an official ``depth.pth``."""

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        scales: Sequence[int],
        *,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        self.scales, self.outputs = tuple(scales), outputs
        place = {_count_halvings(scale): index for index, scale in enumerate(reductions)}
        self.levels = max(place)
        self.coarsest = place[self.levels]
        if self.levels <= max(scales):
            raise OptionError(
                f"the encoder's coarsest features are at 1/{max(reductions)}, too fine for scale "
                f"{max(scales)}: take scales up to {self.levels - 1}"
            )
        # Level i ends at 1/2^i of the image's size, and begins where the one before ended.
        self.joined = {level: place[level] for level in range(self.levels) if level in place}
        steps, inputs = [], channels[self.coarsest]
        for level in reversed(range(self.levels)):
            width = _WIDTHS[min(level, len(_WIDTHS) - 1)]
            skip = channels[self.joined[level]] if level in self.joined else 0
            steps += [ConvELU(inputs, width), ConvELU(width + skip, width)]
            inputs = width
        heads = [Conv3x3(_WIDTHS[scale], outputs) for scale in scales]
        self.decoder = nn.ModuleList([*steps, *heads])

    def forward(self, features: FeatureMaps) -> tuple[StackAtScale, ...]:
        """Compute the sigmoids of ``scales``."""
        x, sigmoids = features[self.coarsest], {}
        for step, level in enumerate(reversed(range(self.levels))):
            skip = features[self.joined[level]] if level in self.joined else None
            join = self.decoder[2 * step + 1]
            assert isinstance(join, ConvELU), "made as one"
            x = join.forward_doubled(self.decoder[2 * step](x), skip)
            if level in self.scales:
                head = self.decoder[2 * self.levels + self.scales.index(level)]
                sigmoids[level] = torch.sigmoid(exact(head(x)))
        return tuple(sigmoids[scale] for scale in self.scales)


class Conv3x3(nn.Module):
    """Convolution 3×3 with reflected borders."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Convolve."""
        return self.conv(x)


class ConvELU(nn.Module):
    """Convolution and exponential linear unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Conv3x3(inputs, outputs)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Convolve, then apply the unit."""
        return _elu_in_place(self.conv(x))

    def forward_doubled(self, x: FeatureMap, skip: FeatureMap | None) -> FeatureMap:
        """Double ``x``, append ``skip``, then do as ``forward``."""
        return _elu_in_place(double_and_convolve(x, skip, self.conv.conv))


def _elu_in_place(x: FeatureMap) -> FeatureMap:
    # Half a number's bits would make exp(x) - 1 of a small x nothing.
    is_plain = x.element_size() < 4 or x.device.type != "cpu"
    if is_tracing_or_exporting() or is_plain or not torch.is_grad_enabled():
        return F.elu(x, inplace=True)
    return _ELU.apply(x)  # pyright: ignore[reportReturnType]


class _ELU(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        negative = x.clamp(max=0).exp_().sub_(1)
        result = x.relu_().add_(negative)
        ctx.mark_dirty(result)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        [result], [gradient] = ctx.saved_tensors, upstream
        return torch.ops.aten.elu_backward(gradient, 1, 1, 1, True, result)


def _count_halvings(reduction: int) -> int:
    halvings = round(math.log2(reduction)) if reduction > 0 else -1
    if not 0 <= halvings <= 5 or 2**halvings != reduction:
        raise OptionError(
            f"the encoder has features at 1/{reduction} of the image; a depth network takes "
            "those at 1, 1/2, 1/4, ... 1/32"
        )
    return halvings


class PoseNetwork(nn.Module, ABC):
    """Network of the motion between two frames."""

    @classmethod
    @abstractmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> "PoseNetwork":
        """Make a network with random weights."""

    @abstractmethod
    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict motion from RGB in 0..1."""


class PoseNet(PoseNetwork):
    """Encoder over two frames, the earlier first, for motion."""

    def __init__(self, encoder: str = "resnet18") -> None:
        super().__init__()
        self.encoder = ResNetEncoder(encoder, colours=6)
        # Values and gradients are the same, and the large map before the pooling is not rectified.
        body = self.encoder.encoder
        body.act1, body.maxpool = nn.Identity(), nn.Sequential(body.maxpool, body.act1)
        # The published program's decoder has two motions, of which only the first is used.
        self.decoder = PoseDecoder(self.encoder.channels[-1], inputs=1, motions=2)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> PoseNetwork:
        """Make a network with an encoder of its own."""
        if (name := blueprint.pose_encoder) not in RESNETS:
            raise OptionError(f"no encoder '{name}' of a pose network; {suggest(name, RESNETS)}")
        return cls(name)

    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict motion from RGB in 0..1."""
        return self.decoder(self.encoder(torch.cat((earlier, later), dim=1))[-1])


class SharedPoseNet(PoseNetwork):
    """Decoder of motion on the depth network's encoder."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        # A list hides it from torch: its weights belong to the depth network.
        self._encoder = [encoder]
        self.decoder = PoseDecoder(encoder.channels[-1], inputs=2, motions=1)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> PoseNetwork:
        """Make a network on the depth network's encoder."""
        assert encoder is not None, "a shared encoder is handed over"
        return cls(encoder)

    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict motion from RGB in 0..1."""
        [encoder] = self._encoder
        return self.predict_from_features(encoder(earlier), encoder(later))

    def predict_from_features(
        self,
        earlier: FeatureMaps,
        later: FeatureMaps,
    ) -> Motion:
        """Predict motion from earlier to later."""
        return self.decoder(earlier[-1], later[-1])


class PoseDecoder(nn.Module):
    """Convolutions for motion, named as in ``pose.pth``."""

    def __init__(self, channels: int, *, inputs: int, motions: int) -> None:
        super().__init__()
        layers = (
            nn.Conv2d(channels, 256, 1),
            nn.Conv2d(inputs * 256, 256, 3, 1, 1),
            nn.Conv2d(256, 256, 3, 1, 1),
            nn.Conv2d(256, 6 * motions, 1),
        )
        self.net = nn.ModuleList(layers)

    def forward(self, *features: FeatureMap) -> Motion:
        """Predict the first motion."""
        narrow, first, second, last = self.net
        x = torch.cat([F.relu(narrow(feature)) for feature in features], dim=1)
        return _mean_small_motion(last(F.relu(second(F.relu(first(x))))))


class PoseCNN(PoseNetwork):
    """Seven strided convolutions (Zhou et al., CVPR 2017)."""

    def __init__(self) -> None:
        super().__init__()
        shapes = zip(_CNN_WIDTHS[:-1], _CNN_WIDTHS[1:], _CNN_SIDES, strict=True)
        layers = (nn.Conv2d(before, after, side, 2, side // 2) for before, after, side in shapes)
        self.net = nn.ModuleList(layers)
        self.pose_conv = nn.Conv2d(256, 6, 1)

    @classmethod
    def from_blueprint(cls, blueprint: VideoBlueprint, encoder: Encoder | None) -> PoseNetwork:
        """Make the only network."""
        return cls()

    def forward(self, earlier: Images, later: Images) -> Motion:
        """Predict motion from RGB in 0..1."""
        x = torch.cat((earlier, later), dim=1)
        for layer in self.net:
            x = F.relu(layer(x))
        return _mean_small_motion(self.pose_conv(x))


def make_pose_net(
    blueprint: VideoBlueprint, offsets: Sequence[int], *, encoder: Encoder | None = None
) -> PoseNetwork | None:
    """Make the pose network; None if motion is known or all ``offsets`` are 0."""
    place = POSE_NETWORKS.get(blueprint.pose)
    if place is None or not any(offsets):
        return None
    kind: type[PoseNetwork] = import_network_class(place)
    return kind.from_blueprint(blueprint, encoder)


def source_T_target(
    axis_angle: Vectors, translation: Vectors, *, source_is_earlier: bool
) -> Transforms:
    """Convert axis times angle [rad] and translation, which are from earlier to later."""
    # Products of small matrices are cheap, and half precision would lose three digits.
    with torch.autocast(axis_angle.device.type, enabled=False):
        R = rotation_from_axis_angle(exact(axis_angle))
        later_T_earlier = rigid(R, exact(translation))
        return invert(later_T_earlier) if source_is_earlier else later_T_earlier


def _mean_small_motion(answer: Float[Tensor, "b six _ _"]) -> Motion:
    mean = _SMALL * exact(answer).mean(dim=(2, 3))
    return mean[:, :3], mean[:, 3:6]
