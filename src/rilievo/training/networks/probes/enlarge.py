"""Enlargement of maps by whole factors, as a matrix for each axis.

Bilinear enlargement is linear and separable. Written as two banded matrices it can be merged with
the convolution after it, and done strip by strip, so that the large map is never held as a whole.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rilievo.frozen import frozen
from rilievo.shapes import Float
from rilievo.training.tensors import Channels, Resized

Enlargement = Literal["centres", "corners", "nearest"]
"""Method of enlarging a map: bilinear with the areas of pixels kept ("centres", geometrically
right), bilinear with the centres of the corner pixels kept ("corners", which stretches the map by
up to half a cell), or repetition ("nearest")."""


@frozen
class Band:
    """A block of consecutive rows of a matrix, and the columns where it is not zero.

    ``last`` and ``stop`` are exclusive. With several taps there is a column for each tap of each
    column.
    """

    first: int
    last: int
    start: int
    stop: int
    weights: Float[Tensor, "rows columns"]


def enlarge(x: Channels, scale: int, enlargement: Enlargement) -> Resized:
    """Enlarge to ``scale`` times the size."""
    return x if scale == 1 else _interpolated(x, enlargement, scale=scale)


def resize(x: Channels, size: tuple[int, int], enlargement: Enlargement) -> Resized:
    """Resize to any size."""
    return x if x.shape[2:] == size else _interpolated(x, enlargement, size=size)


def _interpolated(
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


def bands(
    length: int,
    scale: int,
    enlargement: Enlargement,
    *,
    like: Tensor,
    taps: int = 1,
    block: int = 40,
) -> tuple[Band, ...]:
    """The matrix that enlarges an axis and correlates it with ``taps`` weights, in blocks of rows.

    ``taps`` is odd. The axis is padded with zeros, as in a convolution: row y holds, for tap t, row
    y + t - taps // 2 of the enlarging matrix.
    """
    return _bands(length, scale, enlargement, taps, block, like.dtype, like.device)


def is_traced() -> bool:
    """Whether a graph is being recorded (export, compilation), which needs the plain form."""
    tracing = torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
    return tracing or torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()


@lru_cache(maxsize=64)
def _bands(
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
        matrix = _matrix(length, scale, enlargement, taps)
        return tuple(
            Band(
                first=band.first,
                last=band.last,
                start=band.start,
                stop=band.stop,
                weights=band.weights.to(device, dtype),
            )
            for band in _blocks(matrix, block)
        )


def _matrix(
    length: int, scale: int, enlargement: Enlargement, taps: int
) -> Float[Tensor, "rows columns taps"]:
    """The whole matrix in double precision, with a plane for each tap."""
    rows = _along_one_axis(length, scale, enlargement)
    around = F.pad(rows, (taps // 2, taps // 2))
    return torch.stack([around[:, t : t + rows.shape[1]].T for t in range(taps)], dim=2)


def _along_one_axis(
    length: int, scale: int, enlargement: Enlargement
) -> Float[Tensor, "columns rows"]:
    identity = torch.eye(length, dtype=torch.float64)[None]
    return _interpolated(identity, enlargement, scale=scale, mode="linear")[0]


def _blocks(matrix: Float[Tensor, "rows columns taps"], block: int) -> Iterator[Band]:
    for first in range(0, matrix.shape[0], block):
        rows = matrix[first : first + block]
        used = rows.abs().sum(dim=(0, 2)).nonzero().flatten()
        start, stop = int(used[0]), int(used[-1]) + 1
        weights = rows[:, start:stop].flatten(1).contiguous()
        yield Band(first=first, last=first + rows.shape[0], start=start, stop=stop, weights=weights)
