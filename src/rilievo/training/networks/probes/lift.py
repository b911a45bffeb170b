"""A convolution of an enlarged map, computed from the small map.

It is a sum of shifted 1×1 convolutions, which can come first: at factor 4 a sixteenth of the
multiplications.
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

_WIDE = 256  # channels from which on strips of rows, channels first, are faster
_STRIP = 35  # rows


class Lifting(NamedTuple):
    """Enlargement before a convolution."""

    scale: int
    enlargement: Enlargement


class _Gradients(NamedTuple):
    x: Tensor
    weight: Tensor
    bias: Tensor


def wide_conv(x: Channels, convolution: torch.nn.Conv2d) -> Convolved:
    """Convolve with the faster gradient."""
    weight = convolution.weight
    plain = is_tracing_or_exporting() or torch.is_autocast_enabled(x.device.type)
    if plain or not _is_faster_in_strips(x, weight):
        return convolution(x)
    assert convolution.bias is not None, "a probe's convolutions have one"
    return _WideConv.apply(x, weight, convolution.bias)  # pyright: ignore[reportReturnType]


def lift_conv(x: Channels, convolution: torch.nn.Conv2d, lifting: Lifting) -> LiftedOutputs:
    """Convolve the enlarged ``x``."""
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
    """Enlarge, convolve, ReLU, convolve; gradients recompute all but the first map."""
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
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, lifting: Lifting
    ) -> Tensor:
        ctx.save_for_backward(x, w1, b1, w2)
        ctx.lifting = lifting
        made: Tensor | None = None
        # Backwards, so that the map that is left over is the one that gradients begin with.
        for image in reversed(range(len(x))):
            between = _convolve_enlarged(x[image : image + 1], w1, b1, lifting).relu_()
            part = F.conv2d(between, w2, b2, padding=w2.shape[-1] // 2)
            ctx.between = between
            if len(x) == 1:
                return part
            if made is None:
                made = _empty_channels_last(x, (len(x), *part.shape[1:]))
            made[image : image + 1] = part
        assert made is not None, "a batch has an image"
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, w1, b1, w2 = ctx.saved_tensors
        to_x = torch.empty_like(x, memory_format=torch.channels_last)
        sums = [torch.zeros_like(w1), torch.zeros_like(b1), torch.zeros_like(w2)]
        sums.append(w2.new_zeros(len(w2)))
        for image in range(len(x)):
            small = x[image : image + 1]
            between, ctx.between = ctx.between, None
            if between is None:
                between = _convolve_enlarged(small, w1, b1, ctx.lifting).relu_()
            outer = _conv_gradients(gradients[0][image : image + 1], between, w2)
            masked = outer.x
            torch.ops.aten.threshold_backward.grad_input(masked, between, 0, grad_input=masked)
            del between
            inner = _enlarged_conv_gradients(masked, small, w1, ctx.lifting)
            to_x[image : image + 1] = inner.x
            for total, part in zip(
                sums, (inner.weight, inner.bias, outer.weight, outer.bias), strict=True
            ):
                total += part
        return (to_x, *sums, None)


def _convolve_enlarged(x: Tensor, weight: Tensor, bias: Tensor, lifting: Lifting) -> Tensor:
    (batch, _, height, width), (outputs, _, taps, _) = x.shape, weight.shape
    across = enlargement_bands(width, *lifting, like=x, taps=taps)
    down = enlargement_bands(height, *lifting, like=x, taps=taps)
    small = [_convolve_taps_of_row(x, weight, row) for row in range(taps)]
    made = _empty_channels_last(x, (batch, outputs, height * lifting.scale, width * lifting.scale))
    large = made.permute(0, 2, 3, 1)
    for column in across:
        # With rows of the small map and taps side by side, one product does the rest.
        count = column.last - column.first
        wide = x.new_empty(batch * height, taps, count, outputs)
        for tap, part in enumerate(small):
            flat = part[:, :, column.start : column.stop].flatten(2, 3).flatten(0, 1)
            wide[:, tap] = _matrix_times_batch(column.weights, flat)
        wide = wide.view(batch, height, taps, count * outputs)
        for row in down:
            flat = wide[:, row.start : row.stop].flatten(1, 2)
            tile = _matrix_times_batch(row.weights, flat).unflatten(2, (count, outputs))
            torch.add(tile, bias, out=large[:, row.first : row.last, column.first : column.last])
    return made


def _convolve_taps_of_row(x: Tensor, weight: Tensor, row: int) -> Tensor:
    outputs, _, taps, _ = weight.shape
    made = F.conv2d(x, _tap_kernels_of_row(weight, row), dilation=_fast_dilation(x))
    return made.permute(0, 2, 3, 1).contiguous().unflatten(3, (taps, outputs))


def _tap_kernels_of_row(weight: Tensor, row: int) -> Tensor:
    return weight[:, :, row].permute(2, 0, 1).flatten(0, 1)[:, :, None, None]


def _enlarged_conv_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, lifting: Lifting
) -> _Gradients:
    (batch, _, height, width), (outputs, _, taps, _) = x.shape, weight.shape
    across = enlargement_bands(width, *lifting, like=x, taps=taps)
    down = enlargement_bands(height, *lifting, like=x, taps=taps)
    large = gradient.permute(0, 2, 3, 1).contiguous()
    small = x.new_zeros(taps, batch, height, width, taps, outputs)
    for column in across:
        count = column.last - column.first
        wide = x.new_zeros(batch, height, taps, count, outputs)
        for row in down:
            tile = large[:, row.first : row.last, column.first : column.last].flatten(2)
            back = _matrix_times_batch(row.weights.T, tile)
            wide[:, row.start : row.stop] += back.view(batch, -1, taps, count, outputs)
        for tap in range(taps):
            back = _matrix_times_batch(column.weights.T, wide[:, :, tap].flatten(0, 1))
            back = back.view(batch, height, -1, taps, outputs)
            small[tap, :, :, column.start : column.stop] += back
    to_x, to_weight = torch.zeros_like(x), torch.empty_like(weight)
    for tap in range(taps):
        part = small[tap].flatten(3).permute(0, 3, 1, 2)
        gradients = _conv_gradients(part, x, _tap_kernels_of_row(weight, tap))
        to_x += gradients.x
        to_weight[:, :, tap] = (
            gradients.weight[:, :, 0, 0].unflatten(0, (taps, outputs)).permute(1, 2, 0)
        )
    return _Gradients(to_x, to_weight, large.sum(dim=(0, 1, 2)))


def _matrix_times_batch(matrix: Tensor, batch: Tensor) -> Tensor:
    # The operator @ would transpose and copy the batch.
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


def _conv_gradients(gradient: Tensor, x: Tensor, weight: Tensor) -> _Gradients:
    side = weight.shape[-1]
    if not _is_faster_in_strips(x, weight):
        padding, dilation = [side // 2] * 2, _fast_dilation(x) if side == 1 else 1
        return _Gradients(
            *_torch_conv_gradients(gradient, x, weight, padding, dilation, [True, True, True])
        )
    to_x, *_ = _torch_conv_gradients(gradient, x, weight, [side // 2] * 2, 1, [True, False, False])
    height, around = x.shape[2], side // 2
    to_weight, to_bias = torch.zeros_like(weight), weight.new_zeros(len(weight))
    plain_weight = weight.contiguous()
    strip = part = None  # nearly all strips are of one size, and memory that is new costs more
    for first in range(0, height, _STRIP):
        last = min(first + _STRIP, height)
        rows = x[:, :, max(0, first - around) : last + around]
        outside = [max(0, around - first), max(0, last + around - height)]
        rows = F.pad(rows, [0, 0, *outside]) if any(outside) else rows
        strip = _copy_channels_first(rows, into=strip)
        part = _copy_channels_first(gradient[:, :, first:last], into=part)
        _, of_weight, of_bias = _torch_conv_gradients(
            part, strip, plain_weight, [0, around], 1, [False, True, True]
        )
        to_weight += of_weight
        to_bias += of_bias
    return _Gradients(to_x, to_weight, to_bias)


def _copy_channels_first(x: Tensor, *, into: Tensor | None) -> Tensor:
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
    is_wide = weight.shape[-1] > 1 and weight.shape[1] >= _WIDE
    return is_wide and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32


def _fast_dilation(x: Tensor) -> int:
    return 2 if x.device.type == "cpu" else 1


def _empty_channels_last(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _cast_as_autocast(*tensors: Tensor) -> list[Tensor]:
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [tensor.to(dtype) for tensor in tensors]
