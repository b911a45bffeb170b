"""Robust values of a depth map at points, along lines, and at known sizes.

Points are column and row [px]; the centre of the top-left pixel is (0, 0). Values are those of the
map, of any kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Mask, Size, Values, Vector
from rilievo.calibration.ellipses import circle_position
from rilievo.calibration.rectangle_depth import sample_rectangle, value_at_middle
from rilievo.calibration.rectangle_fit import RectanglePose, fit_rectangles
from rilievo.calibration.sizes import (
    Along,
    Known,
    KnownCircle,
    KnownLength,
    KnownPoint,
    KnownRectangle,
)
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import inside_picture
from rilievo.records.depth_map import DepthKind, DepthMap

WINDOW_RADIUS = 2
"""Pixels to each side of a point over which the median is taken: robust against outliers, and on a
plane still the value of the pixel itself."""
LINE_SAMPLES = 33
"""Number of points at which a line is sampled."""
LINE_END_FRACTION = 0.06
"""Fraction of a line that is left out at each end: people click on the border of an object, where
depth already changes to the background."""
MAX_LINE_ERROR = 0.03
"""Relative error that nine tenths of the samples of a line on a straight surface stay below. With
a larger one, bent surfaces count as straight, and lengths on real frames err more."""
MIN_LINE_LENGTH = 8.0
"""Length of the shortest line that is sampled [px]."""

MIN_AXIS_COSINE = 0.02
"""Cosine of the angle between a ray and the optical axis (89 degrees) below which depth along the
axis does not tell the distance."""
_MIN_VALID_FRACTION = 0.9
"""Least fraction of the samples of a line that have depth."""
_LINE_FIT_ROUNDS = 12  # of reweighted least squares
_INNER_FRACTION = 0.5
"""Size of the inner part of a circle whose median depth is read, over the circle."""


@dataclass(frozen=True, slots=True)
class Pixel:
    """Point (u, v) of the picture [px], with its name in messages; it may lie between pixels."""

    u: float
    v: float
    name: str


def normalized_points_note(
    points: Sequence[tuple[float, float]], shape: tuple[int, int]
) -> str | None:
    """Note on points that seem to be fractions of the width and height; None if they do not.

    All of their coordinates lie between 0 and 1, which in pixels is the top-left corner. ``shape``
    is (height, width).
    """
    coordinates = [coordinate for point in points for coordinate in point]
    if not any(coordinates) or not all(0 <= coordinate <= 1 for coordinate in coordinates):
        return None

    height, width = shape
    u, v = next(point for point in points if any(point))
    return (
        f"points are read in pixels, so {u:g},{v:g} lies in the top-left corner; if the numbers "
        "are fractions of the width and the height, write "
        f"{u * width - 0.5:g},{v * height - 0.5:g}"
    )


def pixel_index(depth: DepthMap, pixel: Pixel) -> tuple[int, int]:
    """Row and column of the pixel in which a point lies; ``CalibrationError`` if it is outside."""
    height, width = depth.shape
    # A pixel extends half a pixel to each side of its centre.
    row, column = int(np.floor(pixel.v + 0.5)), int(np.floor(pixel.u + 0.5))
    if not (0 <= row < height and 0 <= column < width):
        raise CalibrationError(
            f"{pixel.name} lies outside the image: columns go from 0 to {width - 1}, "
            f"rows from 0 to {height - 1}"
        )
    return row, column


def pixel_centre(pixel: Pixel) -> Pixel:
    """Centre of the pixel in which a point lies; a map has the depth of this centre."""
    u, v = float(np.floor(pixel.u + 0.5)), float(np.floor(pixel.v + 0.5))
    return Pixel(u=u, v=v, name=pixel.name)


def require_inside(depth: DepthMap, pixel: Pixel) -> None:
    """Raise ``CalibrationError`` if a point lies outside of a map."""
    pixel_index(depth, pixel)


def require_depth(depth: DepthMap, pixel: Pixel) -> None:
    """Raise ``CalibrationError`` if a point lies outside the map or on a pixel without depth."""
    if not depth.valid[pixel_index(depth, pixel)]:
        raise CalibrationError(
            f"{pixel.name} lies on a pixel without depth: choose a point next to it"
        )


def median_around(depth: DepthMap, pixel: Pixel) -> float:
    """Median of a map's valid values in a window around a point, which must have depth itself."""
    require_depth(depth, pixel)
    window = window_around_point(depth, pixel)
    valid_values = depth.values[window][depth.valid[window]]
    return float(np.median(valid_values.astype(np.float64)))


def window_around_point(depth: DepthMap, pixel: Pixel) -> tuple[slice, slice]:
    """Rows and columns of the window whose median is the depth at a point; square and centred."""
    row, column = pixel_index(depth, pixel)
    height, width = depth.shape
    # The window stays symmetric at the border, so that a slope's median is its value at the centre.
    radius = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    return slice(row - radius, row + radius + 1), slice(column - radius, column + radius + 1)


def end_values_of_line(
    depth: DepthMap,
    first: Pixel,
    second: Pixel,
    camera: Camera,
    *,
    require_match_at_ends: bool = False,
) -> tuple[float, float]:
    """Depth, or the value of a map of another kind, at both ends of a line.

    If the line lies on a straight surface, its ends are extrapolated from the inner part of the
    line. Otherwise, they are the medians around the ends. With ``require_match_at_ends``,
    extrapolated values are rejected unless they occur near the ends.

    Raises:
        CalibrationError: If an end lies outside the map, or on a pixel without depth.
    """
    for end in (first, second):
        require_inside(depth, end)

    extrapolated = ends_on_straight_surface(
        depth, first, second, camera, require_match_at_ends=require_match_at_ends
    )
    if extrapolated is not None:
        return extrapolated
    return median_around(depth, first), median_around(depth, second)


def ends_on_straight_surface(
    depth: DepthMap,
    first: Pixel,
    second: Pixel,
    camera: Camera,
    *,
    require_match_at_ends: bool = False,
) -> tuple[float, float] | None:
    """Extrapolate a map from the inner part of a line to its ends; None if its surface is bent.

    Inverse depth is linear along the image of a straight line. With ``require_match_at_ends``, the
    result is also None if the surface ends before the line does, as at the corner of a room.
    """
    if depth.kind is DepthKind.AFFINE or min(depth.shape) < 2:
        return None
    if np.hypot(second.u - first.u, second.v - first.v) < MIN_LINE_LENGTH:
        return None

    # At a fraction f of the line, the direction is (1 - f) * first ray + f * second ray, and the
    # surface lies at this direction times a scale. At both ends, the scale is depth. On a straight
    # surface, 1 / scale is linear in f, so its values at the ends follow from those in between.
    fractions = np.linspace(LINE_END_FRACTION, 1 - LINE_END_FRACTION, LINE_SAMPLES)
    first_ray, second_ray = ray(camera, first), ray(camera, second)
    directions = first_ray[:, None] * (1 - fractions) + second_ray[:, None] * fractions
    u, v = camera.project(directions)
    if not inside_picture(u, v, depth.shape).all():
        return None

    inverse_depth, is_valid = _interpolate_inverse_depth(depth, u, v)
    if is_valid.mean() < _MIN_VALID_FRACTION:
        return None
    inverse_scales = inverse_depth * camera.depth_of(directions)
    end_values = _extrapolate_to_ends(depth, fractions[is_valid], inverse_scales[is_valid])
    if end_values is None:
        return None
    first_value, second_value = end_values
    match_at_ends = _occurs_around(depth, first, first_value) and _occurs_around(
        depth, second, second_value
    )
    return end_values if match_at_ends or not require_match_at_ends else None


def _occurs_around(depth: DepthMap, pixel: Pixel, value: float) -> bool:
    """Whether a map has about this value in the window around a point."""
    row, column = pixel_index(depth, pixel)
    top, left = max(0, row - WINDOW_RADIUS), max(0, column - WINDOW_RADIUS)
    window = np.s_[top : row + WINDOW_RADIUS + 1, left : column + WINDOW_RADIUS + 1]
    values = depth.values[window][depth.valid[window]].astype(np.float64)
    if not values.size:
        return False
    tolerance = MAX_LINE_ERROR * abs(value)
    return bool(values.min() - tolerance <= value <= values.max() + tolerance)


def _extrapolate_to_ends(
    depth: DepthMap, fractions: Values, inverse_scales: Values
) -> tuple[float, float] | None:
    """Values of a map at both ends of a line, by the straight line through its samples.

    Returns None if the samples are not on a straight line.

    Args:
        depth: The map.
        fractions: Positions of the samples, 0 at the first end and 1 at the second.
        inverse_scales: Values that are linear in the position if the surface is straight, and that
            are inverse depth at the ends.
    """
    has_inverse_values = depth.kind is DepthKind.AFFINE_INVERSE
    first, second = _fit_least_absolute_line(fractions, inverse_scales)
    if not has_inverse_values and min(first, second) <= 0:
        return None

    fitted = first + fractions * (second - first)
    # The zero of an affine map is arbitrary, so its errors are compared with the map's range.
    reference = _value_range(depth) if has_inverse_values else np.abs(fitted)
    relative_errors = np.abs(inverse_scales - fitted) / np.maximum(reference, 1e-12)
    if np.quantile(relative_errors, 0.9) > MAX_LINE_ERROR:
        return None
    return (first, second) if has_inverse_values else (1 / first, 1 / second)


def _value_range(depth: DepthMap) -> float:
    values = depth.values[depth.valid]
    return float(values.max() - values.min())


def _interpolate_inverse_depth(
    depth: DepthMap, u: Values, v: Values
) -> tuple[Values, Bool[np.ndarray, "n"]]:
    """Interpolate inverse depth bilinearly, and say whether all four neighbours are valid."""
    height, width = depth.shape
    left = np.clip(np.floor(u).astype(int), 0, width - 2)
    top = np.clip(np.floor(v).astype(int), 0, height - 2)
    right, bottom = left + 1, top + 1
    x, y = u - left, v - top
    neighbours_and_weights = (
        (top, left, (1 - x) * (1 - y)),
        (top, right, x * (1 - y)),
        (bottom, left, (1 - x) * y),
        (bottom, right, x * y),
    )

    inverse_depth, are_all_valid = np.zeros_like(u), np.ones(u.shape, bool)
    for row, column, weight in neighbours_and_weights:
        values = depth.values[row, column].astype(np.float64)
        is_valid = depth.valid[row, column]
        if depth.kind is not DepthKind.AFFINE_INVERSE:  # That kind is inverse depth already.
            values = 1 / np.where(is_valid, values, 1)
        inverse_depth += weight * values
        are_all_valid &= is_valid
    return inverse_depth, are_all_valid


def _fit_least_absolute_line(x: Values, y: Values) -> tuple[float, float]:
    """Values at x = 0 and x = 1 of the line with the least sum of absolute errors.

    It is found by iteratively reweighted least squares: the weighted squared error of a sample is
    its absolute error if the weight is 1 / absolute error.
    """
    weights = np.ones_like(x)
    # Keeps the weight of samples on the line finite.
    min_error = 1e-6 * max(float(np.abs(y).max()), 1e-300)
    slope, intercept = 0.0, 0.0
    for _ in range(_LINE_FIT_ROUNDS):
        total_weight = weights.sum()
        mean_x, mean_y = (weights @ x) / total_weight, (weights @ y) / total_weight
        centred_x, centred_y = x - mean_x, y - mean_y
        weighted_x = weights * centred_x
        slope = float(weighted_x @ centred_y / (weighted_x @ centred_x))
        intercept = float(mean_y - slope * mean_x)
        errors = np.abs(y - intercept - slope * x)
        weights = 1 / np.maximum(errors, min_error)
    return intercept, intercept + slope


def ray(camera: Camera, pixel: Pixel) -> Vector:
    """Direction of a point in the camera frame; times depth, it is the point in space."""
    return camera.rays(np.array([pixel.u, pixel.v], np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthReading:
    """Known depth of a point, or of the middle of an outline, with the map's value at it.

    Attributes:
        middle: Column and row of that point [px].
        metres: Known depth of it [m].
        value: Value of the map at it.
    """

    known: KnownPoint | KnownRectangle | KnownCircle
    middle: tuple[float, float]
    metres: float
    value: float

    @property
    def values(self) -> tuple[float, ...]:
        """All values of the map that were read."""
        return (self.value,)

    def measure(self, to_depth: Callable[[float], float]) -> float:
        """Depth by the map, in the unit of ``to_depth``, which converts its values to depth."""
        return to_depth(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthReading:
    """Known length, with the values of the map at its two ends.

    Attributes:
        middle: Column and row halfway between the ends [px].
        values: Values of the map at the ends.
        rays: Directions of the ends, at depth 1.
    """

    known: KnownLength
    middle: tuple[float, float]
    metres: float
    values: tuple[float, float]
    rays: tuple[Vector, Vector]

    def measure(self, to_depth: Callable[[float], float]) -> float:
        """Length by the map, in the unit of ``to_depth``, which converts its values to depth."""
        first, second = self.ends(to_depth)
        return float(np.linalg.norm(second - first))

    def ends(self, to_depth: Callable[[float], float]) -> tuple[Vector, Vector]:
        """Both ends in the camera frame, by the map; ``to_depth`` converts its values to depth."""
        first_value, second_value = self.values
        first_ray, second_ray = self.rays
        return to_depth(first_value) * first_ray, to_depth(second_value) * second_ray


SizeReading = DepthReading | LengthReading
"""Known size with the values that a depth map has at its points."""


def known_point_pixel(point: KnownPoint) -> Pixel:
    """Position of a known point, with its name."""
    return Pixel(u=point.u, v=point.v, name=f"known point {point}")


def read_size(depth: DepthMap, known: Known, camera: Camera | None) -> SizeReading:
    """Read a map at a known point, length, rectangle or circle.

    Raises:
        CalibrationError: If it lies outside the map or where there is no depth, or needs a camera
            where ``camera`` is None.
    """
    if isinstance(known, KnownPoint):
        return _read_point(depth, known, camera)

    name = f"known {known.noun} {known}"
    if camera is None:
        raise CalibrationError(
            f"{name} requires a known camera: give its intrinsics or field of view"
        )
    if isinstance(known, KnownRectangle):
        return _read_rectangle(depth, known, camera, name)
    if isinstance(known, KnownCircle):
        return _read_circle(depth, known, camera, name)
    return _read_length(depth, known, camera, name)


def _read_point(depth: DepthMap, point: KnownPoint, camera: Camera | None) -> DepthReading:
    """Read a map around a known point."""
    value = median_around(depth, known_point_pixel(point))
    return DepthReading(
        known=point,
        middle=(float(point.u), float(point.v)),
        metres=float(known_point_depth(point, camera)),
        value=value,
    )


def known_point_depth(point: KnownPoint, camera: Camera | None) -> float:
    """Depth of a known point [m], which may have been measured along the axis or along its ray.

    Depth is that of the camera's lens: z of a pinhole, the distance of a fisheye or panorama.

    Raises:
        CalibrationError: If the point was measured along its ray and ``camera`` is None, or along
            the axis and it lies beside or behind the camera.
    """
    return point.metres / _metres_at_depth_1(point, camera)


def _metres_at_depth_1(point: KnownPoint, camera: Camera | None) -> float:
    """Distance that a known point would have, along its ray or the axis, if its depth were 1.

    Without a camera, depth is taken to be along the axis.
    """
    pixel = known_point_pixel(point)
    if camera is None:
        if point.along is Along.AXIS:
            return 1.0
        raise CalibrationError(
            f"{pixel.name} is given along its ray, so the camera must be known: give its "
            "intrinsics or field of view"
        )

    # The ray ends at depth 1, so its length and its z are the distances at this depth.
    point_ray = ray(camera, pixel)
    if point.along is Along.RAY:
        return float(np.linalg.norm(point_ray))
    # The ray of a point outside of the image circle is NaN, which this refuses as well.
    if not point_ray[2] > MIN_AXIS_COSINE:
        raise CalibrationError(
            f"{pixel.name} is given along the optical axis, but lies beside or behind "
            f"this {camera.lens.name} camera: give the distance along the ray instead, "
            f"as {point.u:.10g},{point.v:.10g},METRES,ray"
        )
    return float(point_ray[2])


def _read_rectangle(
    depth: DepthMap, rectangle: KnownRectangle, camera: Camera, name: str
) -> DepthReading:
    """Read a map at the middle of a rectangle, as if no object stood on it.

    If too few of the rectangle's pixels have depth, the value is the median around its middle.
    """
    for corner_number, (u, v) in enumerate(rectangle.corners, 1):
        require_inside(depth, Pixel(u=u, v=v, name=f"{name}: corner {corner_number}"))
    [pose] = fit_rectangles((rectangle,), camera).poses
    samples = sample_rectangle(depth, camera, pose)
    u, v = rectangle.middle
    if samples is None:
        value = median_around(depth, Pixel(u=u, v=v, name=f"{name}: its middle"))
    else:
        value = value_at_middle(samples, depth.kind, pose, camera)
    metres = _depth_of_middle(pose, camera)
    return DepthReading(known=rectangle, middle=(u, v), metres=metres, value=value)


def _read_circle(depth: DepthMap, circle: KnownCircle, camera: Camera, name: str) -> DepthReading:
    """Read the median of a map in the inner part of a circle, whose middle must have depth.

    If the inner part is so small that it has no pixel, it is the median around the middle.
    """
    u, v, metres = circle_middle(circle, camera)
    middle = Pixel(u=u, v=v, name=f"{name}: its middle")
    value_around_middle = median_around(depth, middle)
    is_inner = _inner_mask(circle, middle, depth.shape) & depth.valid
    if not is_inner.any():
        return DepthReading(known=circle, middle=(u, v), metres=metres, value=value_around_middle)
    value = float(np.median(depth.values[is_inner].astype(np.float64)))
    return DepthReading(known=circle, middle=(u, v), metres=metres, value=value)


def _inner_mask(circle: KnownCircle, middle: Pixel, shape: Size) -> Mask:
    """Pixels in the inner part of a circle, symmetric about its middle.

    Symmetry makes the median the depth of the middle, also of a slanted plane.
    """
    ellipse = circle.ellipse
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    x, y = columns - middle.u, rows - middle.v
    angle = np.radians(ellipse.angle)
    along = (x * np.cos(angle) + y * np.sin(angle)) / (_INNER_FRACTION * ellipse.long_axis / 2)
    across = (y * np.cos(angle) - x * np.sin(angle)) / (_INNER_FRACTION * ellipse.short_axis / 2)
    return along**2 + across**2 <= 1


def circle_middle(circle: KnownCircle, camera: Camera) -> tuple[float, float, float]:
    """Column and row of the middle of a circle [px], and its depth [m], by its ellipse alone.

    Raises:
        CalibrationError: If the lens does not see its whole rim, or no circle looks like this.
    """
    position = circle_position(circle.ellipse, circle.metres, camera)
    if position is None:
        raise CalibrationError(
            f"known {circle}: no circle in the view of this camera is seen as this ellipse: check "
            "its numbers and the camera"
        )
    u, v = camera.project(position.middle)
    return float(u), float(v), float(camera.depth_of(position.middle))


def _read_length(depth: DepthMap, length: KnownLength, camera: Camera, name: str) -> LengthReading:
    """Read a map at both ends of a known length."""
    first = Pixel(u=length.u1, v=length.v1, name=f"{name}: its first end")
    second = Pixel(u=length.u2, v=length.v2, name=f"{name}: its second end")
    return LengthReading(
        known=length,
        middle=((length.u1 + length.u2) / 2, (length.v1 + length.v2) / 2),
        metres=float(length.metres),
        values=end_values_of_line(depth, first, second, camera),
        rays=(ray(camera, first), ray(camera, second)),
    )


def rectangle_depth(rectangle: KnownRectangle, camera: Camera) -> float:
    """Depth of the middle of a known rectangle [m], by its corners alone."""
    [pose] = fit_rectangles((rectangle,), camera).poses
    return _depth_of_middle(pose, camera)


def _depth_of_middle(pose: RectanglePose, camera: Camera) -> float:
    middle = np.array(pose.rectangle.middle)[:, None]
    return float(pose.depths(camera.rays(middle))[0])
