"""Heads: conversion of outputs to depth or unit normals, read in strips for memory."""

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
from rilievo.training.tensors import Maps, Normals, Numbers, Stack, exact

_LEAST_KAPPA = 0.01
_FLOOR = 0.1  # added to every share before the sum, as in AdaBins and Probe3D: no share is zero
_STRIP = 8  # rows; with their 256 bins they fit a processor's cache


class Directions(NamedTuple):
    """Unit normals in the camera frame, towards the camera; kappa is above 0.01."""

    normals: Normals
    kappa: Maps | None


class DepthHead(nn.Module):
    """Head that reads depth."""

    def __init__(self, choice: DepthChoice) -> None:
        super().__init__()
        self.choice = choice

    def forward(self, logits: Logits, size: Size) -> Maps:
        """Read depth [m] before resizing it [px], as Probe3D does."""
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
        value = exact(enlarge_outputs(logits)[:, 0])
        if choice.form is Form.EXPONENTIAL:
            return value.exp()
        return choice.least + value.sigmoid() * (choice.largest - choice.least)


class NormalsHead(nn.Module):
    """Head that reads normals and perhaps certainty."""

    def __init__(self, *, uncertainty: bool = True) -> None:
        super().__init__()
        self.uncertainty = uncertainty

    def forward(self, logits: Logits, size: Size) -> Directions:
        """Read normals after bicubic resizing, as Probe3D does."""
        _check_output_count(logits, 4 if self.uncertainty else 3, "normals")
        raw = crop_and_resize(exact(enlarge_outputs(logits)), logits, size, "bicubic")
        normals = F.normalize(raw[:, :3], dim=1)
        kappa = F.elu(raw[:, 3]) + 1 + _LEAST_KAPPA if self.uncertainty else None
        return Directions(normals, kappa)


def bin_centres(choice: DepthChoice) -> Numbers:
    """Compute the bins' depths [m], both ends included."""
    least, most = choice.least, choice.largest
    if choice.spacing == "log":
        logs = torch.linspace(math.log(least), math.log(most), choice.bins, dtype=torch.float64)
        return logs.exp()
    return torch.linspace(least, most, choice.bins, dtype=torch.float64)


def _check_output_count(logits: Logits, expected: int, head: str) -> None:
    count = logits.values.shape[1]
    if count != expected:
        raise ModelError(
            f"a probe of {count} outputs cannot be read as {head}, which takes {expected} here; "
            "make the probe with as many, or hand over logits.select_channels(start, stop)"
        )


class Reading(NamedTuple):
    """Settings for reading depth by "linear" (ReLU plus 0.1), "softmax" or "sigmoid" shares."""

    scale: int
    enlargement: Enlargement
    normalisation: str


def expected_depth(values: Stack, centres: Numbers, reading: Reading) -> Float[Tensor, "b h2 w2"]:
    """Compute the bins' weighted mean [m] (AdaBins), in single precision."""
    values = exact(values)
    centres = centres.to(values.device, values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        if reading.scale == 1 or is_tracing_or_exporting():
            whole = enlarge(values, reading.scale, reading.enlargement)
            return expected_centre(whole.movedim(1, -1), centres, reading.normalisation)
        return _ExpectedDepth.apply(values, centres, reading)  # pyright: ignore[reportReturnType]


def expected_centre(
    values: Float[Tensor, "*around n"], centres: Numbers, normalisation: str
) -> Float[Tensor, "*around"]:
    """Compute the mean of ``centres``, weighted by the last axis."""
    if normalisation == "softmax":
        return values.softmax(dim=-1) @ centres
    shares = values.sigmoid() if normalisation == "sigmoid" else values.relu()
    # The floor is added to the sums instead of to every share.
    floor = _share_floor(normalisation)
    weighted = shares @ centres + floor * centres.sum()
    return weighted / (shares.sum(dim=-1) + floor * len(centres))


@torch.no_grad()
def most_probable_depth(
    values: Stack, centres: Numbers, reading: Reading
) -> Float[Tensor, "b h2 w2"]:
    """Find the most probable bin [m], the first of equal ones."""
    values = exact(values)
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
    """Find the centre of the largest value, the first of equal ones."""
    return centres[(values.relu() if normalisation == "linear" else values).argmax(dim=-1)]


def _read_depth_by_strips(
    values: Tensor, reading: Reading, read: Callable[[Tensor], Tensor]
) -> Tensor:
    """Enlarge strips of rows and read their depth."""
    batch, _, height, width = values.shape
    depth = values.new_empty(batch, height * reading.scale, width * reading.scale)
    tall = _strip_buffer(values)
    for image in range(batch):
        rows = values[image].permute(1, 2, 0)
        for band in _row_enlargement_bands(values, reading):
            strip = _enlarge_strip(rows[band.start : band.stop], band, reading, tall)
            depth[image, band.first : band.last] = read(strip)
    return depth


class _ExpectedDepth(torch.autograd.Function):
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
        to_values = torch.zeros_like(values, memory_format=torch.channels_last)
        tall = _strip_buffer(values)
        with torch.autocast(values.device.type, enabled=False):
            for image in range(len(values)):
                rows, to_rows = (x[image].permute(1, 2, 0) for x in (values, to_values))
                for band in _row_enlargement_bands(values, ctx.reading):
                    strip = _enlarge_strip(rows[band.start : band.stop], band, ctx.reading, tall)
                    band_gradient = gradients[0][image, band.first : band.last]
                    to_strip = _gradient_by_strip(
                        strip, centres, band_gradient, ctx.reading.normalisation
                    )
                    row_gradient = _gradient_before_widening(
                        to_strip, rows.shape[1], ctx.reading.enlargement
                    )
                    part = to_rows[band.start : band.stop].flatten(1)
                    part.addmm_(band.weights.T, row_gradient.flatten(1))
        return (to_values, None, None)


class _BinMean(NamedTuple):
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


def _gradient_by_strip(
    strip: Tensor, centres: Tensor, gradient: Tensor, normalisation: str
) -> Tensor:
    read = _bin_mean_in_place(strip, centres, normalisation)
    share = gradient / read.total
    left = torch.stack([share, -share * read.depth], dim=-1)
    outer = left.flatten(0, 1) @ torch.stack([centres, torch.ones_like(centres)])
    slope = read.shares
    if normalisation == "linear":
        slope = slope.sign_()
    elif normalisation == "sigmoid":
        slope = slope * (1 - slope)
    return outer.view(strip.shape).mul_(slope)


def _share_floor(normalisation: str) -> float:
    return _FLOOR if normalisation == "linear" else 0.0


def _row_enlargement_bands(values: Tensor, reading: Reading) -> tuple[Band, ...]:
    height, (scale, enlargement, _) = values.shape[2], reading
    return enlargement_bands(height, scale, enlargement, like=values, block=_STRIP)


def _strip_buffer(values: Tensor) -> Tensor:
    _, bins, _, width = values.shape
    return values.new_empty(_STRIP, width * bins)


def _enlarge_strip(rows: Tensor, band: Band, reading: Reading, scratch: Tensor) -> Tensor:
    tall = torch.mm(band.weights, rows.flatten(1), out=scratch[: len(band.weights)])
    x = tall.view(1, -1, *rows.shape[1:]).permute(0, 3, 1, 2)
    size = (x.shape[2], x.shape[3] * reading.scale)
    return resize(x, size, reading.enlargement)[0].permute(1, 2, 0)


def _gradient_before_widening(strip: Tensor, width: int, enlargement: Enlargement) -> Tensor:
    x = strip[None].permute(0, 3, 1, 2)
    rows = x.shape[2]
    size, source = [rows, x.shape[3]], [1, x.shape[1], rows, width]
    if enlargement == "nearest":
        gradient = torch.ops.aten.upsample_nearest2d_backward(x, size, source)
    else:
        corners = enlargement == "corners"
        gradient = torch.ops.aten.upsample_bilinear2d_backward(x, size, source, corners)
    return gradient[0].permute(1, 2, 0)
