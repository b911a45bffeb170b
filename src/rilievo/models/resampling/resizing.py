"""Resize a network's maps to the photograph's size: bilinearly, or with steps that stay sharp."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped
from PIL import Image

from rilievo.io.row_bands import bands

JUMP = 0.04
"""Least step between neighbours that is kept sharp."""

# The sizes are free: most functions here take one size and return another.
Field = Float32[np.ndarray, "_ _"]

Stack = Float32[np.ndarray, "_ _ _"]


def resize(
    field: Float32[np.ndarray, "*c a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "*c h w"]:
    """Resize bilinearly with half-pixel centres; nothing overshoots, so depth stays positive."""
    if field.shape[-2:] == shape:
        return field
    if shape[0] > field.shape[-2] and shape[1] > field.shape[-1]:
        return _stretched(_widened(field, shape[1]), shape[0])
    if field.ndim > 2:
        return np.stack([resize(each, shape) for each in field])
    image = Image.fromarray(np.ascontiguousarray(field))
    # Converted in bands, because Pillow's export of pixels takes three times their memory.
    resized = np.empty(shape, np.float32)
    for rows in bands(shape):
        resized[rows] = _resized_rows(image, shape, rows)
    return resized


def _widened(field: Float32[np.ndarray, "*c a b"], width: int) -> Float32[np.ndarray, "*c a w"]:
    """Enlarge sideways."""
    first, share = places(field.shape[-1], width)
    with np.errstate(invalid="ignore"):  # infinite values are refused later
        wide = np.diff(field, axis=-1, append=field[..., -1:]).take(first, axis=-1)
        wide *= share
        wide += field.take(first, axis=-1)
    return wide


def _stretched(field: Float32[np.ndarray, "*c a w"], height: int) -> Float32[np.ndarray, "*c h w"]:
    """Enlarge downwards; in a third of the time that Pillow takes for rows of floats."""
    last = field.shape[-2] - 1
    first, share = places(last + 1, height)
    ends = np.searchsorted(first, np.arange(last + 1), side="right").tolist()
    stretched = np.empty((*field.shape[:-2], height, field.shape[-1]), np.float32)
    start = 0
    with np.errstate(invalid="ignore"):
        for row, end in enumerate(ends):
            band, line = stretched[..., start:end, :], field[..., row : row + 1, :]
            below = min(row + 1, last)
            np.multiply(share[start:end, None], field[..., below : below + 1, :] - line, out=band)
            band += line
            start = end
    return stretched


def places(length: int, count: int) -> tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
    """Pixel before each of ``count`` places along a line, and the share of the next one."""
    position = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)
    first = position.astype(np.int64)
    return first, (position - first).astype(np.float32)


def unit(
    normals: Float32[np.ndarray, "3 a b"], shape: tuple[int, int]
) -> Float32[np.ndarray, "3 h w"]:
    """Resize normals and scale them to unit length; where they cancel, they face the camera."""
    images = [Image.fromarray(np.ascontiguousarray(channel)) for channel in normals]
    resized = np.empty((3, *shape), np.float32)
    for rows in bands(shape):
        band = resized[:, rows]
        for channel, image in zip(band, images, strict=True):
            channel[:] = _resized_rows(image, shape, rows)
        length = np.sqrt(np.einsum("chw,chw->hw", band, band))
        lost = length < 1e-6
        if lost.any():
            band[:, lost] = np.array([[0.0], [0.0], [-1.0]], np.float32)
            length[lost] = 1.0
        band /= length
    return resized


def _resized_rows(
    image: Image.Image, shape: tuple[int, int], rows: slice
) -> Float32[np.ndarray, "rows w"]:
    """Resize a field in Pillow's mode F to ``shape``, and return some rows."""
    height, width = shape
    # The box crops only the output grid; pixels beyond it still count at its edges.
    top, bottom = (row * image.height / height for row in (rows.start, rows.stop))
    size, box = (width, rows.stop - rows.start), (0.0, top, float(image.width), bottom)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box=box))


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Pixels of a larger picture between four pixels of a step, each with its own side of it.

    The pixels in one column between the same four pixels are a segment.

    Attributes:
        size: Size (height, width) of the larger picture.
        corners: Indices of the four pixels of the smaller picture around each segment: the upper
            left and right, the lower left and right.
        shares: Weights of these pixels along their rows, for the near side and for the far side of
            the step; 0 for pixels on the other side.
        pixels: Indices of the segments' pixels in the larger picture.
        sides: Segment of each pixel, plus the number of segments if it is on the far side.
        falls: Weight of the lower row for each pixel.
    """

    size: tuple[int, int]
    corners: Int[np.ndarray, "4 s"]
    shares: Float32[np.ndarray, "2 4 s"]
    pixels: Int[np.ndarray, "n"]
    sides: Int[np.ndarray, "n"]
    falls: Float32[np.ndarray, "n"]

    @classmethod
    def of(cls, field: Field, ramp: Bool[np.ndarray, "a b"], size: tuple[int, int]) -> "Steps":
        """Find the pixels of the larger picture at steps of a field, where it was a ramp."""
        height, width = field.shape
        low, high, inside = (
            _of_four(values, join)
            for values, join in ((field, np.minimum), (field, np.maximum), (ramp, np.logical_or))
        )
        is_step = inside & (high - low > JUMP) if field.shape != size else np.zeros_like(inside)
        rows, columns = np.nonzero(is_step)
        (ups, falls), (lefts, slides) = _cells(height, size[0]), _cells(width, size[1])
        cells, across = _expanded(lefts, columns)
        corners = (rows * width + columns)[cells] + np.array([0, 1, width, width + 1])[:, None]
        ends = field.reshape(-1)[corners]
        is_far = ends > ((low + high) / 2)[is_step][cells]
        slide = slides[across]
        shares = np.stack([1 - slide, slide] * 2) * np.stack([~is_far, is_far])
        segments, down = _expanded(ups, rows[cells])
        fall = falls[down]
        is_far = _weighted(shares, segments + cells.size, fall) > 0.5
        return cls(
            size=size,
            corners=corners,
            shares=shares,
            pixels=down * size[1] + across[segments],
            sides=segments + cells.size * is_far,
            falls=fall,
        )

    def enlarge(self, values: Stack) -> Stack:
        """Enlarge bilinearly, except for the pixels at steps."""
        enlarged = resize(values, self.size)
        if self.pixels.size:
            whole = _weighted(self.shares, self.sides, self.falls)
            for field, large in zip(values, enlarged, strict=True):
                parts = self.shares * field.reshape(-1)[self.corners]
                pixels = _weighted(parts, self.sides, self.falls) / whole
                large.reshape(-1)[self.pixels] = pixels
        return enlarged


def _of_four(
    values: Shaped[np.ndarray, "a b"], join: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> Shaped[np.ndarray, "a-1 b-1"]:
    """Join each pixel with its neighbours to the right, below and across."""
    two = join(values[1:], values[:-1])
    return join(two[:, 1:], two[:, :-1])


def _cells(length: int, count: int) -> tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
    """Pixel before each place, as ``places``, but never the last; and the share of the next."""
    first, share = places(length, count)
    is_last = first == length - 1
    return first - is_last, share + is_last.astype(np.float32)


def _expanded(
    cells: Int[np.ndarray, "n"], chosen: Int[np.ndarray, "m"]
) -> tuple[Int[np.ndarray, "k"], Int[np.ndarray, "k"]]:
    """Places in each chosen cell, one after another, each with its index in ``chosen``.

    Args:
        cells: Cell of every place, in ascending order.
        chosen: Cells.
    """
    starts, ends = (np.searchsorted(cells, chosen, side) for side in ("left", "right"))
    counts = ends - starts
    owners = np.repeat(np.arange(chosen.size), counts)
    return owners, np.arange(owners.size) + np.repeat(ends - np.cumsum(counts), counts)


def _weighted(
    parts: Float32[np.ndarray, "2 4 s"],
    sides: Int[np.ndarray, "n"],
    falls: Float32[np.ndarray, "n"],
) -> Float32[np.ndarray, "n"]:
    """Sum over the four corners on one side of each pixel."""
    upper, lower = ((parts[:, row] + parts[:, row + 1]).reshape(-1) for row in (0, 2))
    return upper[sides] + falls * (lower - upper)[sides]
