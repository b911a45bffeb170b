"""Convolutions of an upsampled map, computed from the small map.

A convolution is a sum of shifted 1×1 convolutions, one for each tap of its kernel. These can come
before the upsampling, which at factor 4 needs a sixteenth of the multiplications. The upsampling
and the shifts are then products with a matrix for each axis, in tiles that fit a processor's cache.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.training.networks.probes.upsampling import (
    Band,
    UpsamplingMode,
    is_tracing_or_exporting,
    make_upsampling_bands,
    upsample,
)
from rilievo.training.tensors import Channels, Convolved, LiftedOutputs

_MIN_STRIP_CHANNELS = 256
"""With so many channels, gradients of weights are faster in strips of rows, channels first."""
_STRIP_ROWS = 35
"""Rows of a strip."""


class Upsampling(NamedTuple):
    """Upsampling of a map by ``scale`` before a convolution."""

    scale: int
    mode: UpsamplingMode


class _Gradients(NamedTuple):
    """Gradients with respect to the input, the weights and the bias of a convolution."""

    x: Tensor
    weight: Tensor
    bias: Tensor


def wide_conv(x: Channels, convolution: torch.nn.Conv2d) -> Convolved:
    """Convolve, with a faster backward pass for wide convolutions on a CPU."""
    weight = convolution.weight
    needs_torch = is_tracing_or_exporting() or torch.is_autocast_enabled(x.device.type)
    if needs_torch or not _is_faster_in_strips(x, weight):
        return convolution(x)
    assert convolution.bias is not None, "a probe's convolutions have a bias"
    return _WideConv.apply(x, weight, convolution.bias)  # pyright: ignore[reportReturnType]


def upsample_conv(
    x: Channels, convolution: torch.nn.Conv2d, upsampling: Upsampling
) -> LiftedOutputs:
    """Upsample ``x`` and convolve; computed from the small map."""
    if is_tracing_or_exporting():
        return convolution(upsample(x, *upsampling))
    assert convolution.bias is not None, "a probe's convolutions have a bias"
    tensors = _cast_as_autocast(x, convolution.weight, convolution.bias)
    return _UpsampleConv.apply(*tensors, upsampling)  # pyright: ignore[reportReturnType]


def upsample_conv_relu_conv(
    x: Channels,
    first: torch.nn.Conv2d,
    second: torch.nn.Conv2d,
    upsampling: Upsampling,
) -> LiftedOutputs:
    """Upsample, convolve, apply ReLU, and convolve again.

    To save memory, the large map between the convolutions is kept for one image only, the first
    that the backward pass needs. For all others the backward pass computes it again.
    """
    if is_tracing_or_exporting():
        return second(first(upsample(x, *upsampling)).relu())
    assert first.bias is not None, "a probe's convolutions have a bias"
    assert second.bias is not None, "a probe's convolutions have a bias"
    tensors = _cast_as_autocast(x, first.weight, first.bias, second.weight, second.bias)
    return _UpsampleConvReluConv.apply(*tensors, upsampling)  # pyright: ignore[reportReturnType]


class _WideConv(torch.autograd.Function):
    """Convolution that keeps the size, with the gradients of ``_conv_gradients``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(_conv_gradients(gradients[0], *ctx.saved_tensors))


class _UpsampleConv(torch.autograd.Function):
    """``upsample_conv``, with its gradients."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, upsampling: Upsampling
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.upsampling = upsampling
        return _upsample_and_convolve(x, weight, bias, upsampling)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        [output_gradient] = gradients
        conv_gradients = _upsampled_conv_gradients(output_gradient, x, weight, ctx.upsampling)
        # In the order of the arguments of forward; the upsampling has no gradient.
        return (*conv_gradients, None)


class _UpsampleConvReluConv(torch.autograd.Function):
    """``upsample_conv_relu_conv`` image by image, so that only one large map is in memory."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor, upsampling: Upsampling
    ) -> Tensor:
        """Compute the output; ``w1`` and ``b1`` are weight and bias of the first convolution."""
        ctx.save_for_backward(x, w1, b1, w2)
        ctx.upsampling = upsampling
        outputs: Tensor | None = None
        # From the last image to the first, because the backward pass begins with the first one and
        # can use its map.
        for index in reversed(range(len(x))):
            hidden = _upsample_and_convolve(x[index : index + 1], w1, b1, upsampling).relu_()
            output = F.conv2d(hidden, w2, b2, padding=w2.shape[-1] // 2)
            ctx.hidden = hidden
            if len(x) == 1:
                return output
            if outputs is None:
                outputs = _empty_channels_last(x, (len(x), *output.shape[1:]))
            outputs[index : index + 1] = output
        assert outputs is not None, "a batch has an image"
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradients of the arguments of ``forward``, in their order."""
        x, w1, b1, w2 = ctx.saved_tensors
        x_gradient = torch.empty_like(x, memory_format=torch.channels_last)
        w1_gradient = torch.zeros_like(w1)
        b1_gradient = torch.zeros_like(b1)
        w2_gradient = torch.zeros_like(w2)
        b2_gradient = w2.new_zeros(len(w2))
        [output_gradient] = gradients
        hidden = ctx.hidden  # of the first image
        ctx.hidden = None
        for index in range(len(x)):
            image = x[index : index + 1]
            if hidden is None:
                hidden = _upsample_and_convolve(image, w1, b1, ctx.upsampling).relu_()
            second = _conv_gradients(output_gradient[index : index + 1], hidden, w2)
            hidden_gradient = second.x
            # Backward pass of the ReLU, in place.
            torch.ops.aten.threshold_backward.grad_input(
                hidden_gradient, hidden, 0, grad_input=hidden_gradient
            )
            hidden = None  # frees its memory
            first = _upsampled_conv_gradients(hidden_gradient, image, w1, ctx.upsampling)
            x_gradient[index : index + 1] = first.x
            w1_gradient += first.weight
            b1_gradient += first.bias
            w2_gradient += second.weight
            b2_gradient += second.bias
        return x_gradient, w1_gradient, b1_gradient, w2_gradient, b2_gradient, None


def _upsample_and_convolve(
    x: Tensor, weight: Tensor, bias: Tensor, upsampling: Upsampling
) -> Tensor:
    """Convolve the upsampled ``x``, tile by tile of the output.

    A convolution of the upsampled map is a sum over the taps of its kernel, each of which is a 1×1
    convolution of ``x``, upsampled and shifted. So the 1×1 convolutions come first. A product with
    a band of columns then upsamples, shifts and sums along x, and one with a band of rows along y.
    """
    batch, _, height, width = x.shape
    outputs, _, taps, _ = weight.shape
    column_bands = make_upsampling_bands(width, *upsampling, like=x, taps=taps)
    row_bands = make_upsampling_bands(height, *upsampling, like=x, taps=taps)
    # For each row of the kernel, the 1×1 convolutions of all its taps: (b, h, w, taps, outputs).
    tap_maps = [_convolve_kernel_row(x, weight, row) for row in range(taps)]
    large_shape = (batch, outputs, height * upsampling.scale, width * upsampling.scale)
    result = _empty_channels_last(x, large_shape)
    result_pixels = result.permute(0, 2, 3, 1)  # a view, (b, H, W, outputs)
    for columns in column_bands:
        wide = _upsample_along_x(tap_maps, columns)
        band_width = wide.shape[3]
        wide = wide.flatten(3)  # (b, h, taps, band_width * outputs)
        for rows in row_bands:
            row_taps = wide[:, rows.input].flatten(1, 2)  # (b, input rows * taps, ...)
            tile = _matrix_times_batch(rows.weights, row_taps).unflatten(2, (band_width, outputs))
            torch.add(tile, bias, out=result_pixels[:, rows.output, columns.output])
    return result


def _upsample_along_x(
    tap_maps: Sequence[Float[Tensor, "b h w taps outputs"]], columns: Band
) -> Float[Tensor, "b h taps band_width outputs"]:
    """Upsample a band of columns, and sum the taps of each row of the kernel."""
    batch, height, _, taps, outputs = tap_maps[0].shape
    band_width = columns.output_stop - columns.output_start
    wide = tap_maps[0].new_empty(batch * height, taps, band_width, outputs)
    for kernel_row, tap_map in enumerate(tap_maps):
        # (b * h, input columns * taps, outputs)
        column_taps = tap_map[:, :, columns.input].flatten(2, 3).flatten(0, 1)
        wide[:, kernel_row] = _matrix_times_batch(columns.weights, column_taps)
    return wide.view(batch, height, taps, band_width, outputs)


def _convolve_kernel_row(x: Tensor, weight: Tensor, row: int) -> Tensor:
    """1×1 convolutions of ``x`` with each tap of a row of the kernel, (b, h, w, taps, outputs)."""
    outputs, _, taps, _ = weight.shape
    convolved = F.conv2d(x, _tap_kernels(weight, row), dilation=_fast_dilation(x))
    return convolved.permute(0, 2, 3, 1).contiguous().unflatten(3, (taps, outputs))


def _tap_kernels(weight: Tensor, row: int) -> Tensor:
    """1×1 kernels of the taps in a row of the kernel, stacked along the outputs."""
    return weight[:, :, row].permute(2, 0, 1).flatten(0, 1)[:, :, None, None]


def _upsampled_conv_gradients(
    output_gradient: Tensor, x: Tensor, weight: Tensor, upsampling: Upsampling
) -> _Gradients:
    """Gradients of ``_upsample_and_convolve``, from the gradient of its result."""
    outputs, _, taps, _ = weight.shape
    output_gradient = output_gradient.permute(0, 2, 3, 1).contiguous()  # (b, H, W, outputs)
    tap_gradients = _tap_map_gradients(output_gradient, x, taps, upsampling)
    x_gradient = torch.zeros_like(x)
    weight_gradient = torch.empty_like(weight)
    for kernel_row in range(taps):
        # The 1×1 convolutions of a row of the kernel are one convolution to taps * outputs.
        row_gradient = tap_gradients[kernel_row].flatten(3).permute(0, 3, 1, 2)
        gradients = _conv_gradients(row_gradient, x, _tap_kernels(weight, kernel_row))
        x_gradient += gradients.x
        kernel_gradients = gradients.weight[:, :, 0, 0].unflatten(0, (taps, outputs))
        weight_gradient[:, :, kernel_row] = kernel_gradients.permute(1, 2, 0)
    return _Gradients(x_gradient, weight_gradient, output_gradient.sum(dim=(0, 1, 2)))


def _tap_map_gradients(
    output_gradient: Tensor, x: Tensor, taps: int, upsampling: Upsampling
) -> Float[Tensor, "kernel_row b h w kernel_column outputs"]:
    """Gradients of the 1×1 convolutions in ``_upsample_and_convolve``.

    The transposed matrices are applied in reverse order: first those of rows, then of columns.
    """
    batch, _, height, width = x.shape
    outputs = output_gradient.shape[3]
    row_bands = make_upsampling_bands(height, *upsampling, like=x, taps=taps)
    tap_gradients = x.new_zeros(taps, batch, height, width, taps, outputs)
    for columns in make_upsampling_bands(width, *upsampling, like=x, taps=taps):
        band_width = columns.output_stop - columns.output_start
        wide_gradient = x.new_zeros(batch, height, taps, band_width, outputs)
        for rows in row_bands:
            tile = output_gradient[:, rows.output, columns.output].flatten(2)
            rows_reduced = _matrix_times_batch(rows.weights.T, tile)
            # Neighbouring bands share rows of the input, so their gradients add up.
            wide_gradient[:, rows.input] += rows_reduced.view(batch, -1, taps, band_width, outputs)
        for kernel_row in range(taps):
            wide_row_gradient = wide_gradient[:, :, kernel_row].flatten(0, 1)
            columns_reduced = _matrix_times_batch(columns.weights.T, wide_row_gradient)
            tap_gradients[kernel_row, :, :, columns.input] += columns_reduced.view(
                batch, height, -1, taps, outputs
            )
    return tap_gradients


def _matrix_times_batch(matrix: Tensor, batch: Tensor) -> Tensor:
    # The operator @ would transpose and copy the batch.
    return torch.bmm(matrix.expand(len(batch), -1, -1), batch)


def _conv_gradients(gradient: Tensor, x: Tensor, weight: Tensor) -> _Gradients:
    """Gradients of a convolution that keeps the size; of wide weights in strips of rows."""
    if _is_faster_in_strips(x, weight):
        return _conv_gradients_in_strips(gradient, x, weight)
    kernel = weight.shape[-1]
    padding = [kernel // 2, kernel // 2]
    dilation = _fast_dilation(x) if kernel == 1 else 1
    all_three = [True, True, True]
    return _Gradients(*_torch_conv_gradients(gradient, x, weight, padding, dilation, all_three))


def _conv_gradients_in_strips(gradient: Tensor, x: Tensor, weight: Tensor) -> _Gradients:
    """Gradients of a wide convolution; those of weights and bias are summed over strips of rows."""
    border = weight.shape[-1] // 2
    padding = [border, border]
    x_gradient, *_ = _torch_conv_gradients(gradient, x, weight, padding, 1, [True, False, False])
    weight_gradient = torch.zeros_like(weight)
    bias_gradient = weight.new_zeros(len(weight))
    height = x.shape[2]
    weight = weight.contiguous()
    # The buffers are reused by all strips, because new memory takes more time.
    x_strip: Tensor | None = None
    gradient_strip: Tensor | None = None
    for start in range(0, height, _STRIP_ROWS):
        stop = min(start + _STRIP_ROWS, height)
        rows = x[:, :, max(0, start - border) : stop + border]
        padding_rows = [max(0, border - start), max(0, stop + border - height)]
        if any(padding_rows):
            rows = F.pad(rows, [0, 0, *padding_rows])
        x_strip = _copy_channels_first(rows, buffer=x_strip)
        gradient_strip = _copy_channels_first(gradient[:, :, start:stop], buffer=gradient_strip)
        _, strip_weight_gradient, strip_bias_gradient = _torch_conv_gradients(
            gradient_strip, x_strip, weight, [0, border], 1, [False, True, True]
        )
        weight_gradient += strip_weight_gradient
        bias_gradient += strip_bias_gradient
    return _Gradients(x_gradient, weight_gradient, bias_gradient)


def _copy_channels_first(x: Tensor, *, buffer: Tensor | None) -> Tensor:
    """Copy maps with their channels first in memory, into ``buffer`` if it has their shape."""
    if buffer is None or buffer.shape != x.shape:
        buffer = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    for pixels, image in zip(x.permute(0, 2, 3, 1).flatten(1, 2), buffer.flatten(2), strict=True):
        image.copy_(pixels.T)
    return buffer


def _torch_conv_gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    padding: list[int],
    dilation: int,
    output_mask: list[bool],
) -> tuple[Tensor, ...]:
    """Torch's gradients with respect to input, weights and bias; ``output_mask`` says which."""
    stride = [1, 1]
    output_padding = [0, 0]
    groups = 1
    is_transposed = False
    return torch.ops.aten.convolution_backward(
        gradient,
        x,
        weight,
        [len(weight)],
        stride,
        padding,
        [dilation, dilation],
        is_transposed,
        output_padding,
        groups,
        output_mask,
    )


def _is_faster_in_strips(x: Tensor, weight: Tensor) -> bool:
    is_wide = weight.shape[-1] > 1 and weight.shape[1] >= _MIN_STRIP_CHANNELS
    return is_wide and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32


def _fast_dilation(x: Tensor) -> int:
    """Dilation of 1×1 convolutions, which only affects their speed; see ``frozen_norms``."""
    return 2 if x.device.type == "cpu" else 1


def _empty_channels_last(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def _cast_as_autocast(*tensors: Tensor) -> list[Tensor]:
    """Cast tensors to the precision of autocast, which does not apply to our own functions."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)
    return [tensor.to(dtype) for tensor in tensors]
