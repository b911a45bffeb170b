"""Decoder of the depth network, from features of several sizes to sigmoids at several scales."""

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
from rilievo.training.networks.probes.upsampling import is_tracing_or_exporting
from rilievo.training.networks.video.doubled_convolution import double_and_convolve
from rilievo.training.tensors import FeatureMap, FeatureMaps, StackAtScale, at_least_float32

_WIDTHS = (16, 32, 64, 128, 256)
"""Channels of the decoder's features at 1, 1/2, ... 1/16 of the image's size."""


class DepthDecoder(nn.Module):
    """Decoder of a U-Net (Godard et al., ICCV 2019), whose weights are named as in ``depth.pth``.

    Level i doubles the features to 1/2^i of the image's size, from the coarsest level to level 0.
    """

    def __init__(
        self,
        channels: Sequence[int],
        reductions: Sequence[int],
        scales: Sequence[int],
        *,
        outputs: int = 1,
    ) -> None:
        """Make a decoder with random weights.

        ``channels`` and ``reductions`` describe the encoder's maps. ``scales`` are the levels that
        have a head, of ``outputs`` channels each.
        """
        super().__init__()
        self.scales = tuple(scales)
        self.outputs = outputs
        # Index of the encoder's map at each level. Of two maps of one size, the last one is taken.
        self._map_index_by_level = {
            _count_halvings(reduction): index for index, reduction in enumerate(reductions)
        }
        self._num_levels = max(self._map_index_by_level)  # the coarsest map is at this level
        if self._num_levels <= max(scales):
            raise OptionError(
                f"the encoder's coarsest features are at 1/{max(reductions)} of the image, which "
                f"is too fine for scale {max(scales)}: use scales up to {self._num_levels - 1}"
            )

        layers: list[nn.Module] = []
        in_channels = channels[self._map_index_by_level[self._num_levels]]
        for level in reversed(range(self._num_levels)):
            width = _WIDTHS[min(level, len(_WIDTHS) - 1)]
            skip_channels = 0
            if level in self._map_index_by_level:
                skip_channels = channels[self._map_index_by_level[level]]
            layers.append(ConvELU(in_channels, width))
            layers.append(ConvELU(width + skip_channels, width))
            in_channels = width
        layers += [Conv3x3(_WIDTHS[scale], outputs) for scale in scales]
        # One list of all layers, so that the weights have the official names.
        self.decoder = nn.ModuleList(layers)

    def forward(self, features: FeatureMaps) -> tuple[StackAtScale, ...]:
        """Compute the sigmoids of ``scales``."""
        x = features[self._map_index_by_level[self._num_levels]]
        sigmoids: dict[int, StackAtScale] = {}
        for level in reversed(range(self._num_levels)):
            skip = None
            if level in self._map_index_by_level:
                skip = features[self._map_index_by_level[level]]
            x = self._double(x, skip, level)
            if level in self.scales:
                logits = self._head(level)(x)
                sigmoids[level] = torch.sigmoid(at_least_float32(logits))
        return tuple(sigmoids[scale] for scale in self.scales)

    def _double(self, x: FeatureMap, skip: FeatureMap | None, level: int) -> FeatureMap:
        """Convolve the features of the coarser level, double them, join ``skip``, and convolve."""
        # Each level has two convolutions, and the coarsest level comes first.
        index = 2 * (self._num_levels - 1 - level)
        before_doubling = self.decoder[index]
        after_doubling = self.decoder[index + 1]
        assert isinstance(after_doubling, ConvELU), "a level has two convolutions"
        return after_doubling.forward_doubled(before_doubling(x), skip)

    def _head(self, scale: int) -> nn.Module:
        """Head of a scale; the heads come after the convolutions of all levels."""
        return self.decoder[2 * self._num_levels + self.scales.index(scale)]


class Conv3x3(nn.Module):
    """3×3 convolution that pads by reflection."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Convolve."""
        return self.conv(x)


class ConvELU(nn.Module):
    """3×3 convolution and exponential linear unit (ELU)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = Conv3x3(in_channels, out_channels)

    def forward(self, x: Float[Tensor, "b _ h w"]) -> Float[Tensor, "b _ h w"]:
        """Convolve, and apply the ELU."""
        return _elu_in_place(self.conv(x))

    def forward_doubled(self, x: FeatureMap, skip: FeatureMap | None) -> FeatureMap:
        """Upsample ``x`` by 2 (nearest), concatenate ``skip``, convolve, and apply the ELU."""
        return _elu_in_place(double_and_convolve(x, skip, self.conv.conv))


def _elu_in_place(x: FeatureMap) -> FeatureMap:
    """Exponential linear unit; ``_ELU`` is faster in training on a CPU in single precision."""
    # In half precision, its exp(x) - 1 would be 0 for small x.
    is_half_or_gpu = x.element_size() < 4 or x.device.type != "cpu"
    if is_tracing_or_exporting() or is_half_or_gpu or not torch.is_grad_enabled():
        return F.elu(x, inplace=True)
    return _ELU.apply(x)  # pyright: ignore[reportReturnType]


class _ELU(Function):
    """Exponential linear unit in place: x for x > 0, else exp(x) - 1.

    Its gradient is computed from its result, so the input need not be kept.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        negative_part = x.clamp(max=0).exp_().sub_(1)
        result = x.relu_().add_(negative_part)
        ctx.mark_dirty(result)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        [result] = ctx.saved_tensors
        [gradient] = upstream
        alpha = 1
        scale = 1
        input_scale = 1
        is_result = True
        return torch.ops.aten.elu_backward(gradient, alpha, scale, input_scale, is_result, result)


def _count_halvings(reduction: int) -> int:
    """Logarithm of ``reduction`` to base 2; ``OptionError`` if it is not a whole number to 5."""
    halvings = round(math.log2(reduction)) if reduction > 0 else -1
    if not 0 <= halvings <= 5 or 2**halvings != reduction:
        raise OptionError(
            f"the encoder has features at 1/{reduction} of the image's size; a depth network can "
            "only use features at 1, 1/2, 1/4, 1/8, 1/16 and 1/32"
        )
    return halvings
