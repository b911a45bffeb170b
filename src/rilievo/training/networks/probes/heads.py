"""Heads, which convert the outputs of a probe to depth or unit normals.

Depth from bins is computed in strips of rows, because the upsampled outputs for all bins would not
fit a processor's cache, or even memory.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import ModelError
from rilievo.errors.messages import count_text
from rilievo.training.networks.blueprint import DepthChoice, Form, Readout
from rilievo.training.networks.probes.probe import Logits, crop_and_resize, upsample_outputs
from rilievo.training.networks.probes.upsampling import (
    Band,
    UpsamplingMode,
    is_tracing_or_exporting,
    make_upsampling_bands,
    resize,
    upsample,
)
from rilievo.training.tensors import Maps, Normals, Numbers, Stack, at_least_float32

_MIN_KAPPA = 0.01
"""Lower bound of kappa."""
_WEIGHT_FLOOR = 0.1
"""Added to the weight of every bin, as in AdaBins and Probe3D, so that none is zero."""
_STRIP_ROWS = 8
"""Rows that are computed at once; with 256 bins they fit a processor's cache."""


class NormalsWithKappa(NamedTuple):
    """Normals of a batch.

    Attributes:
        normals: Unit normals in the camera frame, towards the camera.
        kappa: Their concentration, above 0.01; None if it is not predicted.
    """

    normals: Normals
    kappa: Maps | None


class DepthHead(nn.Module):
    """Head that computes depth from bins, or from one output."""

    def __init__(self, choice: DepthChoice) -> None:
        super().__init__()
        self.choice = choice

    def forward(self, logits: Logits, size: Size) -> Maps:
        """Compute depth [m], and then resize it to ``size`` [px], as Probe3D does."""
        _check_output_count(logits, self.choice.channels, "depth")
        padded_depth = self._compute_padded_depth(logits)
        return crop_and_resize(padded_depth[:, None], logits, size)[:, 0]

    def _compute_padded_depth(self, logits: Logits) -> Maps:
        """Compute depth of the padded image, at the size of the upsampled outputs."""
        choice = self.choice
        if choice.form is Form.BINS:
            return self._compute_depth_from_bins(logits)
        # Half precision would round depth to steps of 1%.
        output = at_least_float32(upsample_outputs(logits)[:, 0])
        if choice.form is Form.EXPONENTIAL:
            return output.exp()
        return choice.least + output.sigmoid() * (choice.largest - choice.least)

    def _compute_depth_from_bins(self, logits: Logits) -> Maps:
        """Compute depth from one output for each bin."""
        choice = self.choice
        settings = BinSettings(logits.scale, logits.upsampling_mode, choice.normalisation)
        centres = bin_centres(choice)
        # The most probable bin has no gradient, so training needs the mean.
        if self.training or choice.readout is Readout.EXPECTATION:
            return expected_depth(logits.values, centres, settings)
        return most_probable_depth(logits.values, centres, settings)


class NormalsHead(nn.Module):
    """Head that computes normals and, with ``uncertainty``, their concentration kappa.

    Kappa is that of a von Mises-Fisher distribution, and large where normals are certain.
    """

    def __init__(self, *, uncertainty: bool = True) -> None:
        super().__init__()
        self.uncertainty = uncertainty

    def forward(self, logits: Logits, size: Size) -> NormalsWithKappa:
        """Resize outputs bicubically to ``size`` [px], and then normalise, as Probe3D does."""
        output_count = 4 if self.uncertainty else 3  # three components, and kappa
        _check_output_count(logits, output_count, "normals")
        upsampled = at_least_float32(upsample_outputs(logits))
        outputs = crop_and_resize(upsampled, logits, size, "bicubic")
        normals = F.normalize(outputs[:, :3], dim=1)
        # elu(x) + 1 is positive.
        kappa = F.elu(outputs[:, 3]) + 1 + _MIN_KAPPA if self.uncertainty else None
        return NormalsWithKappa(normals, kappa)


def bin_centres(choice: DepthChoice) -> Numbers:
    """Depths of the bins [m], from the least to the largest."""
    least = choice.least
    largest = choice.largest
    if choice.spacing == "log":
        logs = torch.linspace(math.log(least), math.log(largest), choice.bins, dtype=torch.float64)
        return logs.exp()
    return torch.linspace(least, largest, choice.bins, dtype=torch.float64)


def _check_output_count(logits: Logits, expected: int, head: str) -> None:
    count = logits.values.shape[1]
    if count != expected:
        raise ModelError(
            f"a probe with {count_text(count, 'output')} cannot be used for {head}, which takes "
            f"{expected}; create the probe with that number, or pass logits.select_channels(start, "
            "stop)"
        )


class BinSettings(NamedTuple):
    """How depth is computed from the outputs for bins.

    Attributes:
        scale: Factor by which the outputs are upsampled first.
        upsampling_mode: How they are upsampled.
        normalisation: How an output becomes the weight of its bin: "linear" (ReLU plus 0.1),
            "softmax" or "sigmoid".
    """

    scale: int
    upsampling_mode: UpsamplingMode
    normalisation: str


def expected_depth(
    values: Stack, centres: Numbers, settings: BinSettings
) -> Float[Tensor, "b h2 w2"]:
    """Weighted mean of the depths of the bins [m] (AdaBins), in single precision."""
    values = at_least_float32(values)
    centres = centres.to(values.device, values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        if settings.scale == 1 or is_tracing_or_exporting():
            upsampled = upsample(values, settings.scale, settings.upsampling_mode)
            return expected_centre(upsampled.movedim(1, -1), centres, settings.normalisation)
        return _ExpectedDepth.apply(values, centres, settings)  # pyright: ignore[reportReturnType]


def expected_centre(
    values: Float[Tensor, "*around n"], centres: Numbers, normalisation: str
) -> Float[Tensor, "*around"]:
    """Weighted mean of ``centres``; the weights follow from the last axis of ``values``."""
    if normalisation == "softmax":
        return values.softmax(dim=-1) @ centres
    bin_weights = values.sigmoid() if normalisation == "sigmoid" else values.relu()
    # The floor is added to the sums instead of to every weight.
    floor = _weight_floor(normalisation)
    weighted_sum = bin_weights @ centres + floor * centres.sum()
    return weighted_sum / (bin_weights.sum(dim=-1) + floor * len(centres))


@torch.no_grad()
def most_probable_depth(
    values: Stack, centres: Numbers, settings: BinSettings
) -> Float[Tensor, "b h2 w2"]:
    """Depth of the most probable bin [m], the first of equal ones."""
    values = at_least_float32(values)
    centres = centres.to(values.device, values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        if settings.scale == 1 or is_tracing_or_exporting():
            upsampled = upsample(values, settings.scale, settings.upsampling_mode)
            return most_probable_centre(upsampled.movedim(1, -1), centres, settings.normalisation)
        return _compute_depth_by_strips(
            values,
            settings,
            lambda strip: most_probable_centre(strip, centres, settings.normalisation),
        )


def most_probable_centre(
    values: Float[Tensor, "*around n"], centres: Numbers, normalisation: str
) -> Float[Tensor, "*around"]:
    """Centre of the bin with the largest value, the first of equal ones."""
    if normalisation == "linear":
        values = values.relu()
    return centres[values.argmax(dim=-1)]


def _compute_depth_by_strips(
    values: Tensor, settings: BinSettings, to_depth: Callable[[Tensor], Tensor]
) -> Tensor:
    """Upsample the outputs strip by strip, and convert each strip with ``to_depth``."""
    batch, _, height, width = values.shape
    depth = values.new_empty(batch, height * settings.scale, width * settings.scale)
    buffer = _make_strip_buffer(values)
    for index in range(batch):
        rows = values[index].permute(1, 2, 0)
        for band in _row_upsampling_bands(values, settings):
            strip = _upsample_strip(rows[band.input], band, settings, buffer)
            depth[index, band.output] = to_depth(strip)
    return depth


class _ExpectedDepth(torch.autograd.Function):
    """``expected_depth`` of upsampled outputs; the backward pass upsamples each strip again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, centres: Tensor, settings: BinSettings) -> Tensor:
        """Compute depth strip by strip, and keep only the small outputs for the backward pass."""
        ctx.save_for_backward(values, centres)
        ctx.settings = settings
        return _compute_depth_by_strips(
            values,
            settings,
            lambda strip: _bin_mean_in_place(strip, centres, settings.normalisation).depth,
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the gradient of the small outputs from that of depth, strip by strip."""
        values, centres = ctx.saved_tensors
        settings: BinSettings = ctx.settings
        [depth_gradient] = gradients
        values_gradient = torch.zeros_like(values, memory_format=torch.channels_last)
        buffer = _make_strip_buffer(values)
        bands = _row_upsampling_bands(values, settings)
        with torch.autocast(values.device.type, enabled=False):
            for index in range(len(values)):
                rows = values[index].permute(1, 2, 0)
                rows_gradient = values_gradient[index].permute(1, 2, 0)
                for band in bands:
                    strip = _upsample_strip(rows[band.input], band, settings, buffer)
                    strip_gradient = _strip_gradient(
                        strip, centres, depth_gradient[index, band.output], settings.normalisation
                    )
                    _add_gradient_before_upsampling(rows_gradient, strip_gradient, band, settings)
        # The centres and the settings have no gradient.
        return (values_gradient, None, None)


def _add_gradient_before_upsampling(
    rows_gradient: Tensor, strip_gradient: Tensor, band: Band, settings: BinSettings
) -> None:
    """Backward pass of ``_upsample_strip``: first its width, and then its height.

    The result is added to the rows of ``rows_gradient``, (h, w, bins), from which the strip was
    upsampled. Neighbouring bands share rows, so their gradients add up.
    """
    narrow_gradient = _gradient_before_widening(
        strip_gradient, rows_gradient.shape[1], settings.upsampling_mode
    )
    band_gradient = rows_gradient[band.input].flatten(1)  # a view, which is changed in place
    band_gradient.addmm_(band.weights.T, narrow_gradient.flatten(1))


class _BinMean(NamedTuple):
    """Mean depth of bins, their weights without the floor, and the total weight with it."""

    depth: Tensor
    bin_weights: Tensor
    total: Tensor | float


def _bin_mean_in_place(strip: Tensor, centres: Tensor, normalisation: str) -> _BinMean:
    """``expected_centre`` with its intermediate values; overwrites ``strip``."""
    if normalisation == "softmax":
        bin_weights = strip.softmax(dim=-1)
        return _BinMean(bin_weights @ centres, bin_weights, 1.0)
    bin_weights = strip.sigmoid_() if normalisation == "sigmoid" else strip.relu_()
    floor = _weight_floor(normalisation)
    total = bin_weights.sum(dim=-1).add_(floor * len(centres))
    return _BinMean(
        (bin_weights @ centres).add_(floor * centres.sum()).div_(total), bin_weights, total
    )


def _strip_gradient(
    strip: Tensor, centres: Tensor, depth_gradient: Tensor, normalisation: str
) -> Tensor:
    """Gradient of the upsampled outputs of a strip, by the chain rule.

    The derivative of depth with respect to the weight of a bin is (centre - depth) / total. The
    derivative of a weight w with respect to its output is 1 or 0 for ReLU, w (1 - w) for the
    sigmoid, and effectively w for softmax.
    """
    mean = _bin_mean_in_place(strip, centres, normalisation)
    scaled = depth_gradient / mean.total
    # scaled * centre - scaled * depth for all bins, as one product of matrices.
    coefficients = torch.stack([scaled, -scaled * mean.depth], dim=-1)
    bin_gradient = coefficients.flatten(0, 1) @ torch.stack([centres, torch.ones_like(centres)])
    weight_derivative = mean.bin_weights
    if normalisation == "linear":
        weight_derivative = weight_derivative.sign_()
    elif normalisation == "sigmoid":
        weight_derivative = weight_derivative * (1 - weight_derivative)
    return bin_gradient.view(strip.shape).mul_(weight_derivative)


def _weight_floor(normalisation: str) -> float:
    return _WEIGHT_FLOOR if normalisation == "linear" else 0.0


def _row_upsampling_bands(values: Tensor, settings: BinSettings) -> tuple[Band, ...]:
    return make_upsampling_bands(
        values.shape[2],
        settings.scale,
        settings.upsampling_mode,
        like=values,
        rows_per_band=_STRIP_ROWS,
    )


def _make_strip_buffer(values: Tensor) -> Tensor:
    _, bins, _, width = values.shape
    return values.new_empty(_STRIP_ROWS, width * bins)


def _upsample_strip(rows: Tensor, band: Band, settings: BinSettings, buffer: Tensor) -> Tensor:
    """Upsample rows (h, w, bins) to a strip: first their height by a matrix, then their width."""
    tall = torch.mm(band.weights, rows.flatten(1), out=buffer[: len(band.weights)])
    tall_map = tall.view(1, -1, *rows.shape[1:]).permute(0, 3, 1, 2)
    size = (tall_map.shape[2], tall_map.shape[3] * settings.scale)
    return resize(tall_map, size, settings.upsampling_mode)[0].permute(1, 2, 0)


def _gradient_before_widening(
    strip_gradient: Tensor, width: int, upsampling_mode: UpsamplingMode
) -> Tensor:
    """Gradient of a strip of ``width`` columns, from the gradient of the widened strip."""
    wide = strip_gradient[None].permute(0, 3, 1, 2)
    _, channels, rows, wide_width = wide.shape
    wide_size = [rows, wide_width]
    narrow_shape = [1, channels, rows, width]
    if upsampling_mode == "nearest":
        narrow = torch.ops.aten.upsample_nearest2d_backward(wide, wide_size, narrow_shape)
    else:
        align_corners = upsampling_mode == "corners"
        narrow = torch.ops.aten.upsample_bilinear2d_backward(
            wide, wide_size, narrow_shape, align_corners
        )
    return narrow[0].permute(1, 2, 0)
