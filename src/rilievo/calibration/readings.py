"""Numbers of a depth map at points and along lines, as measuring needs them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from rilievo.errors import CalibrationError
from rilievo.types import Camera, DepthKind, DepthMap

# The depth at a point is the median of this many pixels either way: robust against a stray pixel,
# and on a plane still the depth of the pixel itself.
WINDOW_RADIUS = 2
# A line is read at this many places, its ends left out: people click on the border of a thing,
# where depth already falls off.
_PLACES = 33
_ENDS = 0.06
# A line lies on a straight surface if nine tenths of what it meets keep within this share.
_STRAIGHT = 0.05
_LEAST_PIXELS = 8.0


@dataclass(frozen=True, slots=True)
class Pixel:
    """A point of a photograph, with the name that errors call it by."""

    u: float | int
    v: float | int
    name: str


def place(depth: DepthMap, at: Pixel) -> tuple[int, int]:
    """(row, column) of the pixel that holds a point.

    Raises:
        CalibrationError: If the point lies outside the image.
    """
    height, width = depth.shape
    # A pixel reaches half a pixel to each side of its centre.
    row, column = int(np.floor(at.v + 0.5)), int(np.floor(at.u + 0.5))
    if not (0 <= row < height and 0 <= column < width):
        raise CalibrationError(
            f"{at.name} lies outside the image: columns go from 0 to {width - 1}, "
            f"rows from 0 to {height - 1}"
        )
    return row, column


def value_at(depth: DepthMap, at: Pixel) -> float:
    """Median of the valid numbers about a point.

    Raises:
        CalibrationError: If the point lies outside, or on a pixel without depth.
    """
    row, column = place(depth, at)
    if not depth.valid[row, column]:
        raise CalibrationError(f"{at.name} lies on a pixel without depth: choose one beside it")
    height, width = depth.shape
    # Even to all sides, so that the median of a slope is its middle at the border too.
    reach = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    window = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return float(np.median(depth.values[window][depth.valid[window]].astype(np.float64)))


def values_at_ends(depth: DepthMap, first: Pixel, second: Pixel) -> tuple[float, float]:
    """Numbers of the map at the two ends of a straight line.

    Where the line lies on a straight surface, inverse depth changes evenly along its image, so the
    ends are read off the line through its inner pixels: robust where people click on the border of
    a thing. Elsewhere each end is read where it is.

    Raises:
        CalibrationError: If an end lies outside, or where neither it nor the line has depth.
    """
    places = place(depth, first), place(depth, second)
    along = _along(depth, first, second)
    if along is not None:
        return along
    for at, (row, column) in zip((first, second), places, strict=True):
        if not depth.valid[row, column]:
            raise CalibrationError(f"{at.name} lies on a pixel without depth: choose one beside it")
    return value_at(depth, first), value_at(depth, second)


def _along(depth: DepthMap, first: Pixel, second: Pixel) -> tuple[float, float] | None:
    """Values at both ends by the line through its inside; None where that is not straight."""
    if depth.kind is DepthKind.AFFINE:
        return None
    if np.hypot(second.u - first.u, second.v - first.v) < _LEAST_PIXELS or min(depth.shape) < 2:
        return None
    t = np.linspace(_ENDS, 1 - _ENDS, _PLACES)
    x, valid = _between_pixels(
        depth, first.u + t * (second.u - first.u), first.v + t * (second.v - first.v)
    )
    if valid.mean() < 0.9:
        return None
    t, y = t[valid], x[valid]
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    start, end = _line(t, y)
    fitted = start + t * (end - start)
    # Numbers of an affine kind have no zero, so what is alike is judged by the map's range.
    inside = depth.values[depth.valid]
    measure = float(inside.max() - inside.min()) if is_inverse else np.abs(fitted)
    misses = np.abs(y - fitted) / np.maximum(measure, 1e-12)
    if np.quantile(misses, 0.9) > _STRAIGHT or (not is_inverse and min(start, end) <= 0):
        return None
    return (start, end) if is_inverse else (1 / start, 1 / end)


def _between_pixels(
    depth: DepthMap, u: Float64[np.ndarray, "n"], v: Float64[np.ndarray, "n"]
) -> tuple[Float64[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """Inverse depth between four pixels each, which is exact on a plane, and where all four are."""
    height, width = depth.shape
    column = np.clip(np.floor(u).astype(int), 0, width - 2)
    row = np.clip(np.floor(v).astype(int), 0, height - 2)
    right, down = u - column, v - row
    total, valid = np.zeros_like(u), np.ones(u.shape, bool)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x = depth.values[row + dy, column + dx].astype(np.float64)
        inside = depth.valid[row + dy, column + dx]
        y = x if depth.kind is DepthKind.AFFINE_INVERSE else 1 / np.where(inside, x, 1)
        total += (right if dx else 1 - right) * (down if dy else 1 - down) * y
        valid &= inside
    return total, valid


def _line(t: Float64[np.ndarray, "n"], y: Float64[np.ndarray, "n"]) -> tuple[float, float]:
    """Values at 0 and 1 of the line with (nearly) the least sum of absolute misses."""
    weight = np.ones_like(t)
    least = 1e-6 * max(float(np.abs(y).max()), 1e-300)
    slope = offset = 0.0
    for _ in range(12):
        total = weight.sum()
        middle, level = (weight @ t) / total, (weight @ y) / total
        spread = t - middle
        slope = float((weight * spread) @ (y - level) / ((weight * spread) @ spread))
        offset = float(level - slope * middle)
        weight = 1 / np.maximum(np.abs(y - offset - slope * t), least)
    return offset, offset + slope


def ray(camera: Camera, at: Pixel) -> Float64[np.ndarray, "3"]:
    """Direction through a point in the camera frame, one long along the axis."""
    K = camera.K
    return np.array([(at.u - K[0, 2]) / K[0, 0], (at.v - K[1, 2]) / K[1, 1], 1.0])
