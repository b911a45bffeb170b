"""A convolution of an enlarged map, computed from the small map.

A convolution is a sum of shifted 1×1 convolutions, one for each tap of its kernel. These can come
before the enlargement, which takes a sixteenth of the multiplications at factor 4. The enlargement
and the shifts are then products with a matrix for each axis, in tiles that fit a processor's cache.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.training.networks.probes.enlargement import (
    Enlargement,
    enlarge,
    enlargement_bands,
    is_tracing_or_exporting,
)
from rilievo.training.tensors import Channels, Convolved, LiftedOutputs

_MIN_STRIP_CHANNELS = 256
"""Channels from which on gradients of weights are faster in strips of rows, channels first."""
_STRIP_ROWS = 35
"""Rows of a strip."""


class Lifting(NamedTuple):
    """Enlargement of a map before a convolution."""

    scale: int
    enlargement: Enlargement


class _Gradients(NamedTuple):
    """Gradients of the input, the weights and the bias of a convolution."""

    x: Tensor
    weight: Tensor
    bias: Tensor


def wide_conv(x: Channels, convolution: torch.nn.Conv2d) -> Convolved:
    """Convolve, with a faster gradient of wide convolutions on a CPU."""
    weight = convolution.weight
    needs_torch = is_tracing_or_exporting() or torch.is_autocast_enabled(x.device.type)
    if needs_torch or not _is_faster_in_strips(x, weight):
        return convolution(x)
    assert convolution.bias is not None, "a probe's convolutions have one"
    return _WideConv.apply(x, weight, convolution.bias)  # pyright: ignore[reportReturnType]


def lift_conv(x: Channels, convolution: torch.nn.Conv2d, lifting: Lifting) -> LiftedOutputs:
    """Convolve the enlarged ``x``, computed from ``x``."""
    if is_tracing_or_exporting():
        return convolution(enlarge(x, *lifting))
    assert convolution.bias is not None, "a probe's convolutions have one"
    tensors = _cast_as_autocast(x, convolution.weight, convolution.bias)
    return _LiftConv.apply(*tensors, lifting)  # pyright: ignore[reportReturnType]


def lift_relu_conv(
    x: Channels,
    first: torch.nn.Conv2d,
    second: torch.nn.Conv2d,
    lifting: Lifting,
) -> LiftedOutputs:
    """Enlarge, convolve, apply ReLU, and convolve again.

    The large map between is kept of the first image alone, and computed again for the gradients.
    """
    if is_tracing_or_exporting():
        return second(first(enlarge(x, *lifting)).relu())
    assert first.bias is not None, "a probe's convolutions have one"
    assert second.bias is not None, "a probe's convolutions have one"
    tensors = _cast_as_autocast(x, first.weight, first.bias, second.weight, second.bias)
    return _LiftReluConv.apply(*tensors, lifting)  # pyright: ignore[reportReturnType]


class _WideConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(_conv_gradients(gradients[0], *ctx.saved_tensors))


class _LiftConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, lifting: Lifting) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.lifting = lifting
        return _convolve_enlarged(x, weight, bias, lifting)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        return (*_enlarged_conv_gradients(gradients[0], x, weight, ctx.lifting), None)


class _LiftReluConv(torch.autograd.Function):
    """``lift_relu_conv``, image by image, so that one large map is in memory at a time."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, lifting: Lifting
    ) -> Tensor:
        ctx.save_for_backward(x, w1, b1, w2)
        ctx.lifting = lifting
        outputs: Tensor | None = None
        # Backwards, so that the map that is left over is the one that gradients begin with.
        for image in reversed(range(len(x))):
            between = _convolve_enlarged(x[image : image + 1], w1, b1, lifting).relu_()
            output = F.conv2d(between, w2, b2, padding=w2.shape[-1] // 2)
            ctx.between = between
            if len(x) == 1:
                return output
            if outputs is None:
                outputs = _empty_channels_last(x, (len(x), *output.shape[1:]))
            outputs[image : image + 1] = output
        assert outputs is not None, "a batch has an image"
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, w1, b1, w2 = ctx.saved_tensors
        x_gradient = torch.empty_like(x, memory_format=torch.channels_last)
        w1_gradient, b1_gradient = torch.zeros_like(w1), torch.zeros_like(b1)
        w2_gradient, b2_gradient = torch.zeros_like(w2), w2.new_zeros(len(w2))
        for image in range(len(x)):
            small = x[image : image + 1]
            between, ctx.between = ctx.between, None
            if between is None:
                between = _convolve_enlarged(small, w1, b1, ctx.lifting).relu_()
            second = _conv_gradients(gradients[0][image : image + 1], between, w2)
            between_gradient = second.x
            torch.ops.aten.threshold_backward.grad_input(
                between_gradient, between, 0, grad_input=between_gradient
            )
            del between
            first = _enlarged_conv_gradients(between_gradient, small, w1, ctx.lifting)
            x_gradient[image : image + 1] = first.x
            w1_gradient += first.weight
            b1_gradient += first.bias
            w2_gradient += second.weight
            b2_gradient += second.bias
        return x_gradient, w1_gradient, b1_gradient, w2_gradient, b2_gradient, None


def _convolve_enlarged(x: Tensor, weight: Tensor, bias: Tensor, lifting: Lifting) -> Tensor:
    """Convolve the enlarged ``x``, tile by tile of the output."""
    (batch, _, height, width), (outputs, _, taps, _) = x.shape, weight.shape
    column_bands = enlargement_bands(width, *lifting, like=x, taps=taps)
    row_bands = enlargement_bands(height, *lifting, like=x, taps=taps)
    # For each row of the kernel, the 1×1 convolutions of all its taps.
    small = [_convolve_taps_of_row(x, weight, row) for row in range(taps)]
    large_shape = (batch, outputs, height * lifting.scale, width * lifting.scale)
    result = _empty_channels_last(x, large_shape)
    large = result.permute(0, 2, 3, 1)
    for columns in column_bands:
        # With rows of the small map and taps side by side, one product does the rest.
        count = columns.last - columns.first
        wide = x.new_empty(batch * height, taps, count, outputs)
        for tap, tap_outputs in enumerate(small):
            flat = tap_outputs[:, :, columns.start : columns.stop].flatten(2, 3).flatten(0, 1)
            wide[:, tap] = _matrix_times_batch(columns.weights, flat)
        wide = wide.view(batch, height, taps, count * outputs)
        for rows in row_bands:
            flat = wide[:, rows.start : rows.stop].flatten(1, 2)
            tile = _matrix_times_batch(rows.weights, flat).unflatten(2, (count, outputs))
            pixels = large[:, rows.first : rows.last, columns.first : columns.last]
            torch.add(tile, bias, out=pixels)
    return result


def _convolve_taps_of_row(x: Tensor, weight: Tensor, row: int) -> Tensor:
    """1×1 convolutions of ``x`` by each tap of a row of the kernel, channels last."""
    outputs, _, taps, _ = weight.shape
    convolved = F.conv2d(x, _tap_kernels_of_row(weight, row), dilation=_fast_dilation(x))
    return convolved.permute(0, 2, 3, 1).contiguous().unflatten(3, (taps, outputs))


def _tap_kernels_of_row(weight: Tensor, row: int) -> Tensor:
    """1×1 kernels of the taps of a row, stacked along the outputs."""
    return weight[:, :, row].permute(2, 0, 1).flatten(0, 1)[:, :, None, None]


def _enlarged_conv_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, lifting: Lifting
) -> _Gradients:
    """Gradients of ``_convolve_enlarged`` from that of its result."""
    (batch, _, height, width), (outputs, _, taps, _) = x.shape, weight.shape
    column_bands = enlargement_bands(width, *lifting, like=x, taps=taps)
    row_bands = enlargement_bands(height, *lifting, like=x, taps=taps)
    large = gradient.permute(0, 2, 3, 1).contiguous()
    # Gradients of the 1×1 convolutions of all taps, by row and (last but one) column of the kernel.
    small = x.new_zeros(taps, batch, height, width, taps, outputs)
    for columns in column_bands:
        count = columns.last - columns.first
        wide = x.new_zeros(batch, height, taps, count, outputs)
        for rows in row_bands:
            tile = large[:, rows.first : rows.last, columns.first : columns.last].flatten(2)
            narrowed = _matrix_times_batch(rows.weights.T, tile)
            wide[:, rows.start : rows.stop] += narrowed.view(batch, -1, taps, count, outputs)
        for tap in range(taps):
            narrowed = _matrix_times_batch(columns.weights.T, wide[:, :, tap].flatten(0, 1))
            narrowed = narrowed.view(batch, height, -1, taps, outputs)
            small[tap, :, :, columns.start : columns.stop] += narrowed

    x_gradient, weight_gradient = torch.zeros_like(x), torch.empty_like(weight)
    for row in range(taps):
        row_gradient = small[row].flatten(3).permute(0, 3, 1, 2)
        gradients = _conv_gradients(row_gradient, x, _tap_kernels_of_row(weight, row))
        x_gradient += gradients.x
        tap_gradients = gradients.weight[:, :, 0, 0].unflatten(0, (taps, outputs))
        weight_gradient[:, :, row] = tap_gradients.permute(1, 2, 0)
    return _Gradients(x_gradient, weight_gradient, large.sum(dim=(0, 1, 2)))


def _matrix_times_batch(matrix: Tensor, batch: Tensor) -> Tensor:
    # The operator @ would transpose and copy the batch.
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


def _conv_gradients(gradient: Tensor, x: Tensor, weight: Tensor) -> _Gradients:
    """Gradients of a convolution that keeps the size."""
    side = weight.shape[-1]
    padding = [side // 2] * 2
    if not _is_faster_in_strips(x, weight):
        dilation = _fast_dilation(x) if side == 1 else 1
        return _Gradients(
            *_torch_conv_gradients(gradient, x, weight, padding, dilation, [True, True, True])
        )

    x_gradient, *_ = _torch_conv_gradients(gradient, x, weight, padding, 1, [True, False, False])
    weight_gradient, bias_gradient = torch.zeros_like(weight), weight.new_zeros(len(weight))
    height, border = x.shape[2], side // 2
    weight = weight.contiguous()
    # Nearly all strips are of one size, and memory that is new costs more.
    x_strip = gradient_strip = None
    for first in range(0, height, _STRIP_ROWS):
        last = min(first + _STRIP_ROWS, height)
        rows = x[:, :, max(0, first - border) : last + border]
        rows_outside = [max(0, border - first), max(0, last + border - height)]
        if any(rows_outside):
            rows = F.pad(rows, [0, 0, *rows_outside])
        x_strip = _copy_channels_first(rows, into=x_strip)
        gradient_strip = _copy_channels_first(gradient[:, :, first:last], into=gradient_strip)
        _, strip_weight_gradient, strip_bias_gradient = _torch_conv_gradients(
            gradient_strip, x_strip, weight, [0, border], 1, [False, True, True]
        )
        weight_gradient += strip_weight_gradient
        bias_gradient += strip_bias_gradient
    return _Gradients(x_gradient, weight_gradient, bias_gradient)


def _copy_channels_first(x: Tensor, *, into: Tensor | None) -> Tensor:
    """Copy a map with its channels first in memory, into a tensor of the same shape if given."""
    if into is None or into.shape != x.shape:
        into = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    for rows, image in zip(x.permute(0, 2, 3, 1).flatten(1, 2), into.flatten(2), strict=True):
        image.copy_(rows.T)
    return into


def _torch_conv_gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: list[int],
    dilation: int,
    wanted: list[bool],
) -> tuple[Tensor, ...]:
    return torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        [len(weight)],
        [1, 1],
        padding,
        [dilation, dilation],
        False,
        [0, 0],
        1,
        wanted,
    )


def _is_faster_in_strips(x: Tensor, weight: Tensor) -> bool:
    is_wide = weight.shape[-1] > 1 and weight.shape[1] >= _MIN_STRIP_CHANNELS
    return is_wide and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32


def _fast_dilation(x: Tensor) -> int:
    """Dilation of 1×1 convolutions, which has no effect on the result; see ``frozen_norms``."""
    return 2 if x.device.type == "cpu" else 1


def _empty_channels_last(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _cast_as_autocast(*tensors: Tensor) -> list[Tensor]:
    """Tensors in the precision of autocast, which leaves our own functions alone."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [tensor.to(dtype) for tensor in tensors]
