"""The expected depth of bins, without the map of all bins at full size.

A map of 256 bins at 560×560 pixels takes 321 MB an image, and the plain way keeps several of them.
Here a strip of rows is enlarged, normalised and summed at a time, and again for the gradients.
"""

from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from rilievo.networks.probes.enlarge import Band, Enlargement, bands, enlarge, is_traced

Normalisation = Literal["linear", "softmax", "sigmoid"]
"""How outputs become shares: ReLU plus 0.1 over the sum; softmax; sigmoid over the sum."""

_FLOOR = 0.1  # every bin's share before the sum, as in AdaBins and Probe3D: no gradient dies
_STRIP = 16  # rows; with their 256 bins they stay in a processor's cache


class Reading(NamedTuple):
    """How depth is read from enlarged outputs."""

    scale: int
    enlargement: Enlargement
    normalisation: Normalisation


def expected_depth(
    values: Float[Tensor, "b n h w"], centres: Float[Tensor, "n"], reading: Reading
) -> Float[Tensor, "b h2 w2"]:
    """The mean of the bins' centres [m], weighted by the enlarged and normalised outputs.

    Half-precision outputs are read in single precision.
    """
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    centres = centres.to(values.device, values.dtype)
    with torch.autocast(values.device.type, enabled=False):
        if reading.scale == 1 or is_traced():
            whole = enlarge(values, reading.scale, reading.enlargement)
            return expectation(whole.movedim(1, -1), centres, reading.normalisation)
        return _ExpectedDepth.apply(values, centres, reading)  # pyright: ignore[reportReturnType]


def expectation(
    values: Float[Tensor, "*around n"], centres: Float[Tensor, "n"], normalisation: Normalisation
) -> Float[Tensor, "*around"]:
    """The mean of the bins' centres, weighted by the normalised outputs (last axis)."""
    if normalisation == "softmax":
        return values.softmax(dim=-1) @ centres
    shares = values.sigmoid() if normalisation == "sigmoid" else values.relu() + _FLOOR
    return (shares @ centres) / shares.sum(dim=-1)


class _ExpectedDepth(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, centres: Tensor, reading: Reading) -> Tensor:
        ctx.save_for_backward(values, centres)
        ctx.reading = reading
        batch, _, height, width = values.shape
        down, across = _both(values, reading)
        depth = values.new_empty(batch, height * reading.scale, width * reading.scale)
        for image in range(batch):
            rows = values[image].permute(1, 2, 0)
            for band in down:
                strip = _enlarged(rows[band.start : band.stop], band, across)
                depth[image, band.first : band.last] = expectation(
                    strip, centres, reading.normalisation
                )
        return depth

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, centres = ctx.saved_tensors
        down, across = _both(values, ctx.reading)
        to_values = torch.zeros_like(values, memory_format=torch.channels_last)
        for image in range(len(values)):
            rows, to_rows = (x[image].permute(1, 2, 0) for x in (values, to_values))
            for band in down:
                with torch.enable_grad(), torch.autocast(values.device.type, enabled=False):
                    source = rows[band.start : band.stop].detach().requires_grad_()
                    strip = _enlarged(source, band, across)
                    depth = expectation(strip, centres, ctx.reading.normalisation)
                given = gradients[0][image, band.first : band.last]
                [found] = torch.autograd.grad(depth, [source], given)
                to_rows[band.start : band.stop] += found
        return (to_values, None, None)


def _both(values: Tensor, reading: Reading) -> tuple[tuple[Band, ...], tuple[Band, ...]]:
    _, _, height, width = values.shape
    scale, enlargement, _ = reading
    down = bands(height, scale, enlargement, like=values, block=_STRIP)
    return down, bands(width, scale, enlargement, like=values)


def _enlarged(rows: Tensor, band: Band, across: tuple[Band, ...]) -> Tensor:
    """One strip of the enlarged map, of shape (rows, width, bins)."""
    wide = (band.weights @ rows.flatten(1)).unflatten(1, rows.shape[1:])
    parts = [part.weights @ wide[:, part.start : part.stop] for part in across]
    return torch.cat(parts, dim=1)
