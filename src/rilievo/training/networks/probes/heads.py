"""Heads, which read depth or unit normals from the outputs of a probe.

Depth from bins is read in strips of rows, since the enlarged outputs for all bins would not fit a
processor's cache, or even memory.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Size
from rilievo.errors import ModelError
from rilievo.training.networks.blueprint import DepthChoice, Form, Readout
from rilievo.training.networks.probes.enlargement import (
    Band,
    Enlargement,
    enlarge,
    enlargement_bands,
    is_tracing_or_exporting,
    resize,
)
from rilievo.training.networks.probes.probe import Logits, crop_and_resize, enlarge_outputs
from rilievo.training.tensors import Maps, Normals, Numbers, Stack, at_least_float32

_MIN_KAPPA = 0.01
"""Bound below kappa."""
_SHARE_FLOOR = 0.1
"""Number that is added to every share of a bin, as in AdaBins and Probe3D, so that none is zero."""
_STRIP_ROWS = 8
"""Rows that are read at once; with 256 bins they fit a processor's cache."""


class Directions(NamedTuple):
    """Normals of a batch.

    Attributes:
        normals: Unit normals in the camera frame, towards the camera.
        kappa: Their concentration, above 0.01 and large where they are certain; None if it is not
            predicted.
    """

    normals: Normals
    kappa: Maps | None


class DepthHead(nn.Module):
    """Head that reads depth from bins, or from one output."""

    def __init__(self, choice: DepthChoice) -> None:
        super().__init__()
        self.choice = choice

    def forward(self, logits: Logits, size: Size) -> Maps:
        """Read depth [m], and then resize it to ``size`` [px], as Probe3D does."""
        _check_output_count(logits, self.choice.channels, "depth")
        return crop_and_resize(self._read_depth(logits)[:, None], logits, size)[:, 0]

    def _read_depth(self, logits: Logits) -> Maps:
        choice = self.choice
        if choice.form is Form.BINS:
            reading = Reading(logits.scale, logits.enlargement, choice.normalisation)
            is_expected = choice.readout is Readout.EXPECTATION or self.training
            read = expected_depth if is_expected else most_probable_depth
            return read(logits.values, bin_centres(choice), reading)
        # Half precision would round depth to steps of 1 %.
        value = at_least_float32(enlarge_outputs(logits)[:, 0])
        if choice.form is Form.EXPONENTIAL:
            return value.exp()
        return choice.least + value.sigmoid() * (choice.largest - choice.least)


class NormalsHead(nn.Module):
    """Head that reads normals and, with ``uncertainty``, their concentration kappa."""

    def __init__(self, *, uncertainty: bool = True) -> None:
        super().__init__()
        self.uncertainty = uncertainty

    def forward(self, logits: Logits, size: Size) -> Directions:
        """Resize outputs bicubically to ``size`` [px], and then read normals, as Probe3D does."""
        _check_output_count(logits, 4 if self.uncertainty else 3, "normals")
        raw = crop_and_resize(at_least_float32(enlarge_outputs(logits)), logits, size, "bicubic")
        normals = F.normalize(raw[:, :3], dim=1)
        kappa = F.elu(raw[:, 3]) + 1 + _MIN_KAPPA if self.uncertainty else None
        return Directions(normals, kappa)


def bin_centres(choice: DepthChoice) -> Numbers:
    """Depths of the bins [m], from the least to the largest."""
    least, largest = choice.least, choice.largest
    if choice.spacing == "log":
        logs = torch.linspace(math.log(least), math.log(largest), choice.bins, dtype=torch.float64)
        return logs.exp()
    return torch.linspace(least, largest, choice.bins, dtype=torch.float64)


def _check_output_count(logits: Logits, expected: int, head: str) -> None:
    count = logits.values.shape[1]
    if count != expected:
        raise ModelError(
            f"a probe of {count} outputs cannot be read as {head}, which takes {expected} here; "
            "make the probe with as many, or hand over logits.select_channels(start, stop)"
        )


class Reading(NamedTuple):
    """How depth is read from the outputs for bins.

    Attributes:
        scale: Factor of the enlargement before.
        enlargement: How they are enlarged.
        normalisation: How outputs become shares: "linear" (ReLU plus 0.1), "softmax" or "sigmoid".
    """

    scale: int
    enlargement: Enlargement
    normalisation: str


def expected_depth(values: Stack, centres: Numbers, reading: Reading) -> Float[Tensor, "b h2 w2"]:
    """Mean depth of the bins [m], weighted by their shares (AdaBins), in single precision."""
    values = at_least_float32(values)
    centres = centres.to(values.device, values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        if reading.scale == 1 or is_tracing_or_exporting():
            whole = enlarge(values, reading.scale, reading.enlargement)
            return expected_centre(whole.movedim(1, -1), centres, reading.normalisation)
        return _ExpectedDepth.apply(values, centres, reading)  # pyright: ignore[reportReturnType]


def expected_centre(
    values: Float[Tensor, "*around n"], centres: Numbers, normalisation: str
) -> Float[Tensor, "*around"]:
    """Mean of ``centres``, weighted by the shares that the last axis of ``values`` gives."""
    if normalisation == "softmax":
        return values.softmax(dim=-1) @ centres
    shares = values.sigmoid() if normalisation == "sigmoid" else values.relu()
    # The floor is added to the sums instead of to every share.
    floor = _share_floor(normalisation)
    weighted_sum = shares @ centres + floor * centres.sum()
    return weighted_sum / (shares.sum(dim=-1) + floor * len(centres))


@torch.no_grad()
def most_probable_depth(
    values: Stack, centres: Numbers, reading: Reading
) -> Float[Tensor, "b h2 w2"]:
    """Depth of the most probable bin [m], the first of equal ones."""
    values = at_least_float32(values)
    centres = centres.to(values.device, values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        if reading.scale == 1 or is_tracing_or_exporting():
            whole = enlarge(values, reading.scale, reading.enlargement)
            return most_probable_centre(whole.movedim(1, -1), centres, reading.normalisation)
        return _read_depth_by_strips(
            values,
            reading,
            lambda strip: most_probable_centre(strip, centres, reading.normalisation),
        )


def most_probable_centre(
    values: Float[Tensor, "*around n"], centres: Numbers, normalisation: str
) -> Float[Tensor, "*around"]:
    """Centre of the bin with the largest value, the first of equal ones."""
    return centres[(values.relu() if normalisation == "linear" else values).argmax(dim=-1)]


def _read_depth_by_strips(
    values: Tensor, reading: Reading, read: Callable[[Tensor], Tensor]
) -> Tensor:
    """Enlarge the outputs strip by strip, and read the depth of each with ``read``."""
    batch, _, height, width = values.shape
    depth = values.new_empty(batch, height * reading.scale, width * reading.scale)
    buffer = _strip_buffer(values)
    for image in range(batch):
        rows = values[image].permute(1, 2, 0)
        for band in _row_enlargement_bands(values, reading):
            strip = _enlarge_strip(rows[band.start : band.stop], band, reading, buffer)
            depth[image, band.first : band.last] = read(strip)
    return depth


class _ExpectedDepth(torch.autograd.Function):
    """``expected_depth`` of enlarged outputs, whose gradient enlarges each strip again."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, centres: Tensor, reading: Reading) -> Tensor:
        ctx.save_for_backward(values, centres)
        ctx.reading = reading
        return _read_depth_by_strips(
            values,
            reading,
            lambda strip: _bin_mean_in_place(strip, centres, reading.normalisation).depth,
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, centres = ctx.saved_tensors
        reading: Reading = ctx.reading
        values_gradient = torch.zeros_like(values, memory_format=torch.channels_last)
        buffer = _strip_buffer(values)
        with torch.autocast(values.device.type, enabled=False):
            for image in range(len(values)):
                rows = values[image].permute(1, 2, 0)
                rows_gradient = values_gradient[image].permute(1, 2, 0)
                for band in _row_enlargement_bands(values, reading):
                    strip = _enlarge_strip(rows[band.start : band.stop], band, reading, buffer)
                    depth_gradient = gradients[0][image, band.first : band.last]
                    strip_gradient = _strip_gradient(
                        strip, centres, depth_gradient, reading.normalisation
                    )
                    narrow_gradient = _gradient_before_widening(
                        strip_gradient, rows.shape[1], reading.enlargement
                    )
                    band_gradient = rows_gradient[band.start : band.stop].flatten(1)
                    band_gradient.addmm_(band.weights.T, narrow_gradient.flatten(1))
        return (values_gradient, None, None)


class _BinMean(NamedTuple):
    """Mean depth of bins, with the shares (without floor) and the total that it was made of."""

    depth: Tensor
    shares: Tensor
    total: Tensor | float


def _bin_mean_in_place(strip: Tensor, centres: Tensor, normalisation: str) -> _BinMean:
    if normalisation == "softmax":
        shares = strip.softmax(dim=-1)
        return _BinMean(shares @ centres, shares, 1.0)
    shares = strip.sigmoid_() if normalisation == "sigmoid" else strip.relu_()
    floor = _share_floor(normalisation)
    total = shares.sum(dim=-1).add_(floor * len(centres))
    return _BinMean((shares @ centres).add_(floor * centres.sum()).div_(total), shares, total)


def _strip_gradient(
    strip: Tensor, centres: Tensor, depth_gradient: Tensor, normalisation: str
) -> Tensor:
    """Gradient of the enlarged outputs of a strip.

    The derivative of depth by a share is (centre - depth) / total.
    """
    mean = _bin_mean_in_place(strip, centres, normalisation)
    scaled = depth_gradient / mean.total
    coefficients = torch.stack([scaled, -scaled * mean.depth], dim=-1)
    share_gradient = coefficients.flatten(0, 1) @ torch.stack([centres, torch.ones_like(centres)])
    slope = mean.shares
    if normalisation == "linear":
        slope = slope.sign_()
    elif normalisation == "sigmoid":
        slope = slope * (1 - slope)
    return share_gradient.view(strip.shape).mul_(slope)


def _share_floor(normalisation: str) -> float:
    return _SHARE_FLOOR if normalisation == "linear" else 0.0


def _row_enlargement_bands(values: Tensor, reading: Reading) -> tuple[Band, ...]:
    height, (scale, enlargement, _) = values.shape[2], reading
    return enlargement_bands(height, scale, enlargement, like=values, block=_STRIP_ROWS)


def _strip_buffer(values: Tensor) -> Tensor:
    _, bins, _, width = values.shape
    return values.new_empty(_STRIP_ROWS, width * bins)


def _enlarge_strip(rows: Tensor, band: Band, reading: Reading, buffer: Tensor) -> Tensor:
    """Enlarge rows to a strip: first their number, by a matrix, and then their width."""
    tall = torch.mm(band.weights, rows.flatten(1), out=buffer[: len(band.weights)])
    x = tall.view(1, -1, *rows.shape[1:]).permute(0, 3, 1, 2)
    size = (x.shape[2], x.shape[3] * reading.scale)
    return resize(x, size, reading.enlargement)[0].permute(1, 2, 0)


def _gradient_before_widening(
    strip_gradient: Tensor, width: int, enlargement: Enlargement
) -> Tensor:
    """Gradient of a strip of ``width`` columns from that of the widened strip."""
    wide = strip_gradient[None].permute(0, 3, 1, 2)
    _, channels, rows, wide_width = wide.shape
    size, narrow_shape = [rows, wide_width], [1, channels, rows, width]
    if enlargement == "nearest":
        narrow = torch.ops.aten.upsample_nearest2d_backward(wide, size, narrow_shape)
    else:
        align_corners = enlargement == "corners"
        narrow = torch.ops.aten.upsample_bilinear2d_backward(
            wide, size, narrow_shape, align_corners
        )
    return narrow[0].permute(1, 2, 0)
