"""Upsampling of maps by integer factors, also as a matrix for each axis."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.training.tensors import Channels, Resized

UpsamplingMode = Literal["centres", "corners", "nearest"]
"""How maps are upsampled: bilinearly with edges kept ("centres", which is geometrically right), or
bilinearly with the centres of corner pixels kept ("corners", torch's ``align_corners``, which
stretches by up to half a pixel), or by repetition ("nearest")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Consecutive rows of an upsampling matrix, cropped to the columns that are not zero.

    A row of the matrix is a pixel of the upsampled axis (output), and a column is a pixel of the
    small axis (input). The ``stop`` indices are exclusive.
    """

    output_start: int
    output_stop: int
    input_start: int
    input_stop: int
    weights: Float[Tensor, "rows columns"]

    @property
    def output(self) -> slice:
        """Pixels of the upsampled axis."""
        return slice(self.output_start, self.output_stop)

    @property
    def input(self) -> slice:
        """Pixels of the small axis from which they are interpolated."""
        return slice(self.input_start, self.input_stop)


def upsample(x: Channels, scale: int, upsampling_mode: UpsamplingMode) -> Resized:
    """Upsample a map to ``scale`` times its height and width."""
    return x if scale == 1 else _interpolate(x, upsampling_mode, scale=scale)


def resize(x: Channels, size: tuple[int, int], upsampling_mode: UpsamplingMode) -> Resized:
    """Resize a map to a size (height, width)."""
    return x if x.shape[2:] == size else _interpolate(x, upsampling_mode, size=size)


def _interpolate(
    x: Tensor,
    upsampling_mode: UpsamplingMode,
    *,
    size: tuple[int, int] | None = None,
    scale: int | None = None,
    interpolation: str = "bilinear",
) -> Tensor:
    """Resize a map to ``size`` or by ``scale``; ``interpolation`` is torch's name, unless nearest.

    It is "linear" for maps of one axis, and "bilinear" for those of two.
    """
    if upsampling_mode == "nearest":
        return F.interpolate(x, size, scale, "nearest")
    return F.interpolate(x, size, scale, interpolation, align_corners=upsampling_mode == "corners")


def make_upsampling_bands(
    length: int,
    scale: int,
    upsampling_mode: UpsamplingMode,
    *,
    like: Tensor,
    taps: int = 1,
    rows_per_band: int = 40,
) -> tuple[Band, ...]:
    """Make the matrix that upsamples an axis of ``length`` pixels, split into bands of rows.

    With several taps, row y is the concatenation of the rows y + tap - taps // 2 of the upsampling
    matrix for tap in range(taps), interleaved by column. One product with it therefore computes all
    neighbours that a convolution of the upsampled axis reads. The matrix has the type and device of
    ``like``.
    """
    return _cached_upsampling_bands(
        length, scale, upsampling_mode, taps, rows_per_band, like.dtype, like.device
    )


def is_tracing_or_exporting() -> bool:
    """Whether torch records the operations, so that our autograd functions cannot be used."""
    tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return tracing or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


@lru_cache(maxsize=64)
def _cached_upsampling_bands(
    length: int,
    scale: int,
    upsampling_mode: UpsamplingMode,
    taps: int,
    rows_per_band: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Band, ...]:
    """``make_upsampling_bands`` with arguments that can be keys of a cache."""
    # A cached tensor made in inference mode could not serve training.
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        matrix = _upsampling_matrix(length, scale, upsampling_mode, taps)
        return tuple(
            replace(band, weights=band.weights.to(device, dtype))
            for band in _split_into_bands(matrix, rows_per_band)
        )


def _upsampling_matrix(
    length: int, scale: int, upsampling_mode: UpsamplingMode, taps: int
) -> Float[Tensor, "rows columns taps"]:
    """Matrix of ``make_upsampling_bands``, with the taps along the last axis."""
    weights = _axis_upsampling_weights(length, scale, upsampling_mode)
    # Neighbours beyond the ends are zero, as in a convolution that pads with zeros.
    padded = F.pad(weights, (taps // 2, taps // 2))
    row_count = weights.shape[1]
    return torch.stack([padded[:, tap : tap + row_count].T for tap in range(taps)], dim=2)


def _axis_upsampling_weights(
    length: int, scale: int, upsampling_mode: UpsamplingMode
) -> Float[Tensor, "columns rows"]:
    """Weights of the small pixels in the upsampled ones, found by upsampling the unit vectors."""
    identity = torch.eye(length, dtype=torch.float64)[None]
    return _interpolate(identity, upsampling_mode, scale=scale, interpolation="linear")[0]


def _split_into_bands(
    matrix: Float[Tensor, "rows columns taps"], rows_per_band: int
) -> Iterator[Band]:
    """Split an upsampling matrix into bands of rows, each cropped to its nonzero columns."""
    for first_row in range(0, matrix.shape[0], rows_per_band):
        rows = matrix[first_row : first_row + rows_per_band]
        nonzero_columns = rows.abs().sum(dim=(0, 2)).nonzero().flatten()
        start = int(nonzero_columns[0])
        stop = int(nonzero_columns[-1]) + 1
        yield Band(
            output_start=first_row,
            output_stop=first_row + rows.shape[0],
            input_start=start,
            input_stop=stop,
            weights=rows[:, start:stop].flatten(1).contiguous(),
        )
