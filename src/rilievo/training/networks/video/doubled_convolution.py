"""A convolution of a map that is doubled by repetition, computed from the small map."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Float
from rilievo.training.networks.probes.enlargement import is_tracing_or_exporting
from rilievo.training.tensors import Channels

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
        padded, layout = F.pad(x, _BORDER, "replicate"), _layout(weight)
        small = F.conv2d(padded, _phase_kernels(weight[:, : x.shape[1]], layout))
        if skip is None:
            shape = len(x), len(weight), 2 * x.shape[2], 2 * x.shape[3]
            large = _empty(x, shape, layout)
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
        to_weight, layout = torch.empty_like(weight), _layout(weight)
        padded, merged = F.pad(x, _BORDER, "replicate"), _phase_kernels(weight[:, :inputs], layout)
        small = _empty(x, (len(x), 4 * outputs, x.shape[2] + 1, x.shape[3] + 1), layout).zero_()
        for phase, place in _phase_views(small, gradient):
            phase.copy_(place)
        to_padded, to_merged, _ = _conv_gradients(small, padded, merged, bias=False)
        to_weight[:, :inputs] = _gradient_by_kernel(to_merged)
        to_x = _add_border_to_inside(to_padded).contiguous(memory_format=layout)
        if skip is None:
            return to_x, None, to_weight, gradient.sum(dim=(0, 2, 3))
        wide = F.pad(skip, _BORDER, "reflect")
        to_wide, to_rest, to_bias = _conv_gradients(gradient, wide, weight[:, inputs:], bias=True)
        to_weight[:, inputs:] = to_rest
        to_skip = torch.ops.aten.reflection_pad2d_backward(to_wide, skip, _BORDER)
        return to_x, to_skip, to_weight, to_bias


def _layout(weight: Tensor) -> torch.memory_format:
    """Layout in memory of a convolution's weights, which its maps follow."""
    has_channels_last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if has_channels_last else torch.contiguous_format


def _phase_kernels(weight: Tensor, layout: torch.memory_format) -> Tensor:
    """Kernels of the four phases of a doubled map."""
    merge = weight.new_tensor(_MERGE)
    phases = torch.einsum("ast,bur,octr->abocsu", merge, merge, weight)
    return phases.flatten(0, 2).contiguous(memory_format=layout)


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
    return to_padded


def _conv_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, *, bias: bool
) -> tuple[Tensor, ...]:
    wanted, ones = [True, True, bias], [1, 1]
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, [len(weight)], ones, [0, 0], ones, False, [0, 0], 1, wanted
    )


def _empty(like: Tensor, shape: tuple[int, ...], layout: torch.memory_format) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)
