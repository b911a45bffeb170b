"""Filters that resize photographs to a network's size, or crop outputs."""

from enum import StrEnum

import numpy as np
from jaxtyping import Float32, Int, UInt8
from PIL import Image

from rilievo.io.photographs.pixels import STRIP_PIXELS

GAP = 3.0
"""Least factor that is left for the triangle filter after a box filter."""

BAND_PIXELS = 1 << 14
"""Interpolated pixels of one band of rows."""


class Grid(StrEnum):
    """Alignment of the pixel grids of a small and a large picture."""

    CENTRES = "centres"
    """Outer edges are aligned: pixel centres are at halves."""
    CORNERS = "corners"
    """Centres of the corner pixels are aligned."""


def shrink(pixels: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "a b 3"]:
    """Resize without aliasing: triangle filter, after a box filter on large photographs."""
    if pixels.shape[:2] == size:
        return pixels
    height, width, _ = pixels.shape
    down, across = max(1, int(height / size[0] / GAP)), max(1, int(width / size[1] / GAP))
    image = Image.fromarray(_reduce(pixels, down, across))
    # The last boxes may extend beyond the photograph.
    box = (0.0, 0.0, width / across, height / down)
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box))


def bilinear_points(
    pixels: UInt8[np.ndarray, "h w 3"],
    size: tuple[int, int],
    *,
    grid: Grid,
    border: tuple[int, int] = (0, 0),
) -> Float32[np.ndarray, "a b 3"]:
    """Interpolate between the four nearest pixels: no antialiasing, no rounding, in 0..255.

    Args:
        pixels: The photograph.
        size: Size (height, width) of the result.
        grid: Alignment of the two grids.
        border: Number of rows and columns to reflect around the photograph; they are sampled in
            place, not copied.
    """
    rows = _Taps(pixels.shape[0], size[0], grid, border[0])
    columns = _Taps(pixels.shape[1], size[1], grid, border[1])
    # Rows of colours are taken as rows of numbers, in bands that stay in the processor's cache.
    before, after = (
        (3 * each[:, None] + np.arange(3)).reshape(-1) for each in (columns.before, columns.after)
    )
    across = columns.fraction.repeat(3)
    back = 1 - across
    result = np.empty((size[0], 3 * size[1]), np.float32)
    step = max(1, BAND_PIXELS // size[1])
    for first in range(0, size[0], step):
        band = slice(first, min(first + step, size[0]))
        down = rows.fraction[band, None]
        lines: list[Float32[np.ndarray, "rows n"]] = []
        for side in (rows.before, rows.after):
            picked = np.ascontiguousarray(pixels[side[band]]).reshape(band.stop - first, -1)
            line = picked.take(before, axis=1) * back
            line += picked.take(after, axis=1) * across
            lines.append(line)
        top, bottom = lines
        top *= 1 - down
        bottom *= down
        np.add(top, bottom, out=result[band])
    return result.reshape(*size, 3)


class _Taps:
    """The two source pixels around each target pixel along one side, and the second's weight."""

    def __init__(self, length: int, count: int, grid: Grid, border: int) -> None:
        whole = length + 2 * border
        places = np.arange(count, dtype=np.float32)
        if grid is Grid.CORNERS:
            at = places * np.float32((whole - 1) / max(count - 1, 1))
        else:
            at = (places + np.float32(0.5)) * np.float32(whole / count) - np.float32(0.5)
        at = np.clip(at, 0, whole - 1)
        before = at.astype(np.intp)
        self.fraction: Float32[np.ndarray, " count"] = at - before.astype(np.float32)
        self.before = _reflected(before - border, length)
        self.after = _reflected(np.minimum(before + 1, whole - 1) - border, length)


def _reflected(index: Int[np.ndarray, " count"], length: int) -> Int[np.ndarray, " count"]:
    """Source index of a pixel beyond the edge: mirrored at the outermost pixel's centre."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = index % period
    return np.minimum(folded, period - folded)


def _reduce(
    pixels: UInt8[np.ndarray, "h w 3"], down: int, across: int
) -> UInt8[np.ndarray, "a b 3"]:
    """Means over boxes of pixels, in strips; Pillow would copy the whole photograph, enlarged."""
    if down == across == 1:
        return pixels
    height, width, _ = pixels.shape
    reduced = np.empty((-(-height // down), -(-width // across), 3), np.uint8)
    rows = max(1, STRIP_PIXELS // (width * down))
    for first in range(0, len(reduced), rows):
        strip = np.ascontiguousarray(pixels[first * down : (first + rows) * down])
        reduced[first : first + rows] = np.asarray(Image.fromarray(strip).reduce((across, down)))
    return reduced
