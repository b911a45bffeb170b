"""A 3×3 convolution of a map that is doubled by repetition, computed from the small map.

In the doubled map, the 3×3 pixels that the kernel covers come from 2×2 pixels of the small map. So
each of the four phases of the output (even or odd rows and columns) is a 2×2 convolution of the
small map, whose kernel adds up the weights that fall on the same pixel.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from rilievo.arrays.shapes import Float
from rilievo.training.networks.probes.upsampling import is_tracing_or_exporting
from rilievo.training.tensors import Channels

_PHASE_TAPS = ((1, 0, 0), (0, 1, 1)), ((1, 1, 0), (0, 0, 1))
"""For each phase of an axis, which of the three taps fall on the first and the second pixel."""
_ONE_PIXEL = [1, 1, 1, 1]
"""Padding of one pixel at each side."""


def double_and_convolve(
    x: Channels, skip: Float[Tensor, "b _ h2 w2"] | None, convolution: torch.nn.Conv2d
) -> Float[Tensor, "b _ h2 w2"]:
    """Double ``x`` by repetition, append the channels of ``skip``, and convolve with 3×3.

    In training on a CPU it is computed from the small map, which is faster.
    """
    trains_on_cpu = torch.is_grad_enabled() and x.device.type == "cpu"
    is_autocast = torch.is_autocast_enabled(x.device.type)
    if is_tracing_or_exporting() or is_autocast or not trains_on_cpu:
        doubled = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return convolution(doubled if skip is None else torch.cat((doubled, skip), dim=1))
    return _DoubledConv.apply(x, skip, convolution.weight, convolution.bias)  # pyright: ignore[reportReturnType]


class _DoubledConv(Function):
    """``double_and_convolve`` with its gradients, for reflected borders and any skip connection."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
        """Convolve ``skip`` as it is, and add the phases, which are computed from the small map."""
        ctx.save_for_backward(x, skip, weight)
        layout = _memory_layout(weight)
        # Reflecting the border of the doubled map is repeating the border of the small map.
        padded_x = F.pad(x, _ONE_PIXEL, "replicate")
        phases = F.conv2d(padded_x, _phase_kernels(weight[:, : x.shape[1]], layout))
        if skip is None:
            shape = len(x), len(weight), 2 * x.shape[2], 2 * x.shape[3]
            output = _empty_like(x, shape, layout)
            for phase, output_pixels in _phase_views(phases, output):
                torch.add(phase, bias[:, None, None], out=output_pixels)
            return output

        padded_skip = F.pad(skip, _ONE_PIXEL, "reflect")
        output = F.conv2d(padded_skip, weight[:, x.shape[1] :], bias)
        for phase, output_pixels in _phase_views(phases, output):
            output_pixels += phase
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Compute the gradients of ``x``, ``skip``, ``weight`` and ``bias``, in this order."""
        x, skip, weight = ctx.saved_tensors
        [gradient] = upstream
        layout = _memory_layout(weight)
        # The first input channels of the weights are those of x, the others those of ``skip``.
        x_channels = x.shape[1]
        weight_gradient = torch.empty_like(weight)

        small_map = _small_map_gradients(gradient, x, weight[:, :x_channels], layout)
        weight_gradient[:, :x_channels] = small_map.weight
        if skip is None:
            bias_gradient = gradient.sum(dim=(0, 2, 3))
            return small_map.input, None, weight_gradient, bias_gradient

        full_map = _skip_gradients(gradient, skip, weight[:, x_channels:])
        weight_gradient[:, x_channels:] = full_map.weight
        return small_map.input, full_map.input, weight_gradient, full_map.bias


class _ConvGradients(NamedTuple):
    """Gradients with respect to the input map of a convolution, its weights and its bias.

    That of the bias is None where it is not needed.
    """

    input: Tensor
    weight: Tensor
    bias: Tensor | None


def _small_map_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, layout: torch.memory_format
) -> _ConvGradients:
    """Gradients with respect to the small map and to its weights, from that of the output."""
    padded_x = F.pad(x, _ONE_PIXEL, "replicate")
    kernels = _phase_kernels(weight, layout)
    phases_shape = (len(x), 4 * len(weight), x.shape[2] + 1, x.shape[3] + 1)
    # Zero at the pixels of a phase that no pixel of the output shows.
    phases_gradient = _empty_like(x, phases_shape, layout).zero_()
    for phase, output_pixels in _phase_views(phases_gradient, gradient):
        phase.copy_(output_pixels)
    padded = _conv_gradients(phases_gradient, padded_x, kernels, bias=False)
    x_gradient = _replication_pad_gradient(padded.input).contiguous(memory_format=layout)
    return _ConvGradients(input=x_gradient, weight=_weight_gradient(padded.weight), bias=None)


def _skip_gradients(gradient: Tensor, skip: Tensor, weight: Tensor) -> _ConvGradients:
    """Gradients with respect to the skip connection, its weights and the bias."""
    padded_skip = F.pad(skip, _ONE_PIXEL, "reflect")
    padded = _conv_gradients(gradient, padded_skip, weight, bias=True)
    skip_gradient = torch.ops.aten.reflection_pad2d_backward(padded.input, skip, _ONE_PIXEL)
    return padded._replace(input=skip_gradient)


def _memory_layout(weight: Tensor) -> torch.memory_format:
    """Memory layout of a convolution's weights, which its maps follow."""
    has_channels_last = weight.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if has_channels_last else torch.contiguous_format


def _phase_kernels(weight: Tensor, layout: torch.memory_format) -> Tensor:
    """2×2 kernels of the four phases, stacked along the outputs.

    The entry of a kernel for a pixel of the small map is the sum of those weights that fall on this
    pixel after doubling. The indices of the sum are a and b for the row and column of the phase, s
    and u for those of the pixel, t and r for those of the weight, o for the output, c for the input
    channel.
    """
    taps = weight.new_tensor(_PHASE_TAPS)
    kernels = torch.einsum("ast,bur,octr->abocsu", taps, taps, weight)
    return kernels.flatten(0, 2).contiguous(memory_format=layout)


def _weight_gradient(kernels_gradient: Tensor) -> Tensor:
    """Gradient of the 3×3 weights from that of ``_phase_kernels``, whose indices it sums."""
    taps = kernels_gradient.new_tensor(_PHASE_TAPS)
    by_phase = kernels_gradient.unflatten(0, (2, 2, -1))
    return torch.einsum("ast,bur,abocsu->octr", taps, taps, by_phase)


def _phase_views(phases: Tensor, output: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a view of each phase, and one of the output's pixels at which the phase belongs."""
    height, width = (side // 2 for side in output.shape[2:])
    for phase_index, phase in enumerate(phases.chunk(4, dim=1)):
        row, column = divmod(phase_index, 2)
        # A phase begins at its own row and column of the padded small map.
        phase_pixels = phase[:, :, row : row + height, column : column + width]
        yield phase_pixels, output[:, :, row::2, column::2]


def _replication_pad_gradient(padded_gradient: Tensor) -> Tensor:
    """Gradient of a map, from that of the map padded by repeating its border, which is overwritten.

    A padding pixel is a copy of the border pixel beside it, so its gradient is added to that one.
    """
    gradient = padded_gradient
    for dim in (2, 3):
        last = gradient.shape[dim] - 1
        for padding, border in ((0, 1), (last, last - 1)):
            gradient.select(dim, border).add_(gradient.select(dim, padding))
        gradient = gradient.narrow(dim, 1, last - 1)
    return gradient


def _conv_gradients(gradient: Tensor, x: Tensor, weight: Tensor, *, bias: bool) -> _ConvGradients:
    """Torch's gradients of a convolution without padding; that of the bias only if ``bias``."""
    bias_sizes = [len(weight)]
    stride = [1, 1]
    padding = [0, 0]
    dilation = [1, 1]
    is_transposed = False
    output_padding = [0, 0]
    groups = 1
    output_mask = [True, True, bias]
    return _ConvGradients(
        *torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            bias_sizes,
            stride,
            padding,
            dilation,
            is_transposed,
            output_padding,
            groups,
            output_mask,
        )
    )


def _empty_like(like: Tensor, shape: tuple[int, ...], layout: torch.memory_format) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=layout)
