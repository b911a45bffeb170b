"""Enlargement of maps by whole factors, also as a matrix for each axis."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.arrays.shapes import Float
from rilievo.training.tensors import Channels, Resized

Enlargement = Literal["centres", "corners", "nearest"]
"""How maps are enlarged: bilinearly with edges kept ("centres", which is geometrically right), or
with the centres of corner pixels kept ("corners", which stretches by up to half a pixel), or by
repetition ("nearest")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Block of rows of a matrix, without its columns of zeros.

    Attributes:
        first: First row.
        last: Row after the last one.
        start: First column that is not zero.
        stop: Column after the last one that is not zero.
        weights: Numbers of these rows and columns.
    """

    first: int
    last: int
    start: int
    stop: int
    weights: Float[Tensor, "rows columns"]


def enlarge(x: Channels, scale: int, enlargement: Enlargement) -> Resized:
    """Enlarge a map to ``scale`` times its height and width."""
    return x if scale == 1 else _interpolate(x, enlargement, scale=scale)


def resize(x: Channels, size: tuple[int, int], enlargement: Enlargement) -> Resized:
    """Resize a map to a size (height, width)."""
    return x if x.shape[2:] == size else _interpolate(x, enlargement, size=size)


def _interpolate(
    x: Tensor,
    enlargement: Enlargement,
    *,
    size: tuple[int, int] | None = None,
    scale: int | None = None,
    mode: str = "bilinear",
) -> Tensor:
    if enlargement == "nearest":
        return F.interpolate(x, size, scale, "nearest")
    return F.interpolate(x, size, scale, mode, enlargement == "corners")


def enlargement_bands(
    length: int,
    scale: int,
    enlargement: Enlargement,
    *,
    like: Tensor,
    taps: int = 1,
    block: int = 40,
) -> tuple[Band, ...]:
    """Make the matrix that enlarges an axis, in blocks of rows.

    With several taps, row y has side by side the rows y + t - taps // 2 of the enlarging matrix for
    all taps t: it computes the neighbours that a convolution of the enlarged axis takes.

    Args:
        length: Length of the axis.
        scale: Factor of the enlargement.
        enlargement: How it is enlarged.
        like: Tensor whose type and device the matrix has.
        taps: Taps of the convolution.
        block: Rows of a block.
    """
    return _cached_enlargement_bands(
        length, scale, enlargement, taps, block, like.dtype, like.device
    )


def is_tracing_or_exporting() -> bool:
    """Whether torch records the operations, so that only its own ones can be used."""
    tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return tracing or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


@lru_cache(maxsize=64)
def _cached_enlargement_bands(
    length: int,
    scale: int,
    enlargement: Enlargement,
    taps: int,
    block: int,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[Band, ...]:
    # A cached tensor made in inference mode could not serve training.
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        matrix = _enlarging_matrix(length, scale, enlargement, taps)
        return tuple(
            Band(
                first=band.first,
                last=band.last,
                start=band.start,
                stop=band.stop,
                weights=band.weights.to(device, dtype),
            )
            for band in _split_into_bands(matrix, block)
        )


def _enlarging_matrix(
    length: int, scale: int, enlargement: Enlargement, taps: int
) -> Float[Tensor, "rows columns taps"]:
    weights = _axis_enlargement_weights(length, scale, enlargement)
    padded = F.pad(weights, (taps // 2, taps // 2))
    rows = weights.shape[1]
    return torch.stack([padded[:, tap : tap + rows].T for tap in range(taps)], dim=2)


def _axis_enlargement_weights(
    length: int, scale: int, enlargement: Enlargement
) -> Float[Tensor, "columns rows"]:
    """Weights of the enlarged pixels, by enlarging an axis that is 1 at one pixel."""
    identity = torch.eye(length, dtype=torch.float64)[None]
    return _interpolate(identity, enlargement, scale=scale, mode="linear")[0]


def _split_into_bands(matrix: Float[Tensor, "rows columns taps"], block: int) -> Iterator[Band]:
    for first in range(0, matrix.shape[0], block):
        rows = matrix[first : first + block]
        used_columns = rows.abs().sum(dim=(0, 2)).nonzero().flatten()
        start, stop = int(used_columns[0]), int(used_columns[-1]) + 1
        weights = rows[:, start:stop].flatten(1).contiguous()
        yield Band(first=first, last=first + rows.shape[0], start=start, stop=stop, weights=weights)
