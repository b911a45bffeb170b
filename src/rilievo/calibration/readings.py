"""Robust values of a depth map at points and along lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.calibration.rectangle_fit import fit_rectangles
from rilievo.calibration.sizes import Along, Known, KnownPoint, KnownRectangle
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import inside_picture
from rilievo.shapes import Bool, Values, Vector

# Depth at a point is the median over this many pixels to each side: robust against outliers, and
# on a plane still the depth of the pixel itself.
WINDOW_RADIUS = 2
# A line is sampled at this many places, without this share at each end: people click on the border
# of an object, where depth already changes to the background.
LINE_SAMPLES = 33
LINE_ENDS = 0.06
# A line lies on a straight surface if nine tenths of its samples fit within this share; with a
# larger one, bent surfaces count as straight, and lengths on real frames err more.
LINE_MISS = 0.03
LINE_LEAST_PIXELS = 8.0


@dataclass(frozen=True, slots=True)
class Pixel:
    """Point [px] with its name in messages."""

    u: float
    v: float
    name: str


def note_on_shares(points: Sequence[tuple[float, float]], shape: tuple[int, int]) -> str | None:
    """Note on points that are probably shares of width and height."""
    if not any(map(any, points)) or not all(0 <= share <= 1 for at in points for share in at):
        return None
    u, v = next(filter(any, points))
    return (
        f"points are taken in pixels, in the top-left corner, such as {u:g},{v:g}; if they are "
        "shares of the width and the height, write "
        f"{u * shape[1] - 0.5:g},{v * shape[0] - 0.5:g}"
    )


def pixel_index(depth: DepthMap, at: Pixel) -> tuple[int, int]:
    """Row and column of the pixel that holds a point."""
    height, width = depth.shape
    # A pixel extends half a pixel to each side of its centre.
    row, column = int(np.floor(at.v + 0.5)), int(np.floor(at.u + 0.5))
    if not (0 <= row < height and 0 <= column < width):
        raise CalibrationError(
            f"{at.name} lies outside the image: columns go from 0 to {width - 1}, "
            f"rows from 0 to {height - 1}"
        )
    return row, column


def median_around(depth: DepthMap, at: Pixel) -> float:
    """Median of a map's valid values around a point."""
    row, column = pixel_index(depth, at)
    if not depth.valid[row, column]:
        raise CalibrationError(f"{at.name} lies on a pixel without depth: choose one beside it")
    height, width = depth.shape
    # The window stays symmetric at the border, so that a slope's median is its value at the centre.
    reach = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    window = np.s_[row - reach : row + reach + 1, column - reach : column + reach + 1]
    return float(np.median(depth.values[window][depth.valid[window]].astype(np.float64)))


def values_at_ends(
    depth: DepthMap, first: Pixel, second: Pixel, camera: Camera
) -> tuple[float, float]:
    """Values of a map at the ends of a line, extrapolated from inner pixels."""
    for end in (first, second):
        pixel_index(depth, end)  # refuses one outside the image
    values = _straight_line_ends(depth, first, second, camera)
    return values or (median_around(depth, first), median_around(depth, second))


def _straight_line_ends(
    depth: DepthMap, first: Pixel, second: Pixel, camera: Camera
) -> tuple[float, float] | None:
    if depth.kind is DepthKind.AFFINE:
        return None
    if np.hypot(second.u - first.u, second.v - first.v) < LINE_LEAST_PIXELS or min(depth.shape) < 2:
        return None
    t = np.linspace(LINE_ENDS, 1 - LINE_ENDS, LINE_SAMPLES)
    # A point of the line is a combination of the two rays, times a factor whose inverse is linear.
    between = ray(camera, first)[:, None] * (1 - t) + ray(camera, second)[:, None] * t
    u, v = camera.project(between)
    if not inside_picture(u, v, depth.shape).all():
        return None
    x, valid = _interpolate_inverse_depth(depth, u, v)
    if valid.mean() < 0.9:
        return None
    t, y = t[valid], (x * camera.depth_of(between))[valid]
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    start, end = _least_absolute_line_ends(t, y)
    fitted = start + t * (end - start)
    # Values of an affine kind have no zero, so misses are judged by the map's range.
    inside = depth.values[depth.valid]
    measure = float(inside.max() - inside.min()) if is_inverse else np.abs(fitted)
    misses = np.abs(y - fitted) / np.maximum(measure, 1e-12)
    if np.quantile(misses, 0.9) > LINE_MISS or (not is_inverse and min(start, end) <= 0):
        return None
    return (start, end) if is_inverse else (1 / start, 1 / end)


def _interpolate_inverse_depth(
    depth: DepthMap, u: Values, v: Values
) -> tuple[Values, Bool[np.ndarray, "n"]]:
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


def _least_absolute_line_ends(t: Values, y: Values) -> tuple[float, float]:
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


def ray(camera: Camera, at: Pixel) -> Vector:
    """Point at depth 1 through a pixel."""
    return camera.rays(np.array([at.u, at.v], np.float64))


@dataclass(frozen=True, slots=True)
class Fact:
    """Known point, length or rectangle, and the map's values there.

    Attributes:
        metres: Depth along the axis of the point or middle, or length [m].
        x: Values: one at a point, two at ends.
        rays: Directions of a length's ends, z = 1.
    """

    known: Known
    name: str
    metres: float
    x: tuple[float, ...]
    rays: tuple[Vector, Vector] | None = None

    @property
    def middle(self) -> tuple[float, float]:
        """Column and row of its middle [px]."""
        feature = self.known
        if isinstance(feature, KnownPoint):
            return float(feature.u), float(feature.v)
        if isinstance(feature, KnownRectangle):
            return feature.middle
        return (feature.u1 + feature.u2) / 2, (feature.v1 + feature.v2) / 2

    def metres_by(self, depth: Callable[[float], float]) -> float:
        """Depth or length, if ``depth`` converts values to metres."""
        if self.rays is None:
            return depth(self.x[0])
        first, second = (depth(x) * way for x, way in zip(self.x, self.rays, strict=True))
        return float(np.linalg.norm(second - first))


def known_point_pixel(point: KnownPoint) -> Pixel:
    """Pixel of a known point."""
    return Pixel(u=point.u, v=point.v, name=f"known point {point}")


def read_fact(depth: DepthMap, fact: Known, camera: Camera | None) -> Fact:
    """Read a map at a known point, length or rectangle."""
    if isinstance(fact, KnownPoint):
        at = known_point_pixel(fact)
        x = median_around(depth, at)
        if camera is None and fact.along is Along.AXIS:
            return Fact(known=fact, name=at.name, metres=float(fact.metres), x=(x,))
        if camera is None:
            raise CalibrationError(
                f"{at.name} is measured along its ray, which needs the camera: "
                "give its intrinsics or field of view"
            )
        direction = ray(camera, at)
        of_one = direction[2] if fact.along is Along.AXIS else np.linalg.norm(direction)
        return Fact(known=fact, name=at.name, metres=float(fact.metres / of_one), x=(x,))
    name = f"known {fact.noun} {fact}"
    if camera is None:
        raise CalibrationError(f"{name} needs the camera: give its intrinsics or field of view")
    if isinstance(fact, KnownRectangle):
        for number, (u, v) in enumerate(fact.corners, 1):
            pixel_index(depth, Pixel(u=u, v=v, name=f"{name}: corner {number}"))
        x = median_around(depth, Pixel(*fact.middle, name=f"{name}: its middle"))
        return Fact(known=fact, name=name, metres=rectangle_depth(fact, camera), x=(x,))
    first = Pixel(u=fact.u1, v=fact.v1, name=f"{name}: its first end")
    second = Pixel(u=fact.u2, v=fact.v2, name=f"{name}: its second end")
    return Fact(
        known=fact,
        name=name,
        metres=float(fact.metres),
        x=values_at_ends(depth, first, second, camera),
        rays=(ray(camera, first), ray(camera, second)),
    )


def rectangle_depth(rectangle: KnownRectangle, camera: Camera) -> float:
    """Depth where the diagonals cross [m]."""
    [pose] = fit_rectangles((rectangle,), camera).poses
    return float(pose.depths(camera.rays(np.array(rectangle.middle)[:, None]))[0])
