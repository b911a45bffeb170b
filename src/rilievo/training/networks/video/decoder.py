"""Decoder from features to disparity."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Float
from rilievo.errors import OptionError
from rilievo.training.networks.probes.enlargement import is_tracing_or_exporting
from rilievo.training.networks.video.doubled_convolution import double_and_convolve
from rilievo.training.tensors import FeatureMap, FeatureMaps, StackAtScale, exact

_WIDTHS = (16, 32, 64, 128, 256)  # of features at 1, 1/2, ... 1/16 of the image's size


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
