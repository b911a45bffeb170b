"""Lengths, areas, distances and heights by the plane of a known rectangle.

Points in the plane are measured by the corners alone and without depth. The range follows from the
errors of corners and points, to first order. Whether points lie in the plane is told by depth
(``plane_relief``).

Points are (column, row) [px] of the photograph; vectors are in the camera frame [m].
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Points, Positions, Values, Vector
from rilievo.calibration.readings import Pixel, require_depth
from rilievo.calibration.rectangle_fit import (
    RectangleFit,
    RectanglePose,
    fit_rectangles,
)
from rilievo.calibration.sizes import CORNER_ERROR, KnownRectangle
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.measure.depth_plane import DepthPlane, height_with_range
from rilievo.measure.instrument_ranges import instrument_ranges
from rilievo.measure.known_sizes import known_rectangles
from rilievo.measure.measured_points import (
    check_pixels,
    depth_remarks,
    origin_of_points,
)
from rilievo.measure.measurements import (
    UNITS,
    Measurement,
    MeasurementOrigin,
    Point,
    Quantity,
    add_remark,
    measurement_with_range,
)
from rilievo.measure.plane_relief import PlaneRelief, relief_above_plane
from rilievo.measure.polygons import polygon_area
from rilievo.records.prediction_record import PredictionRecord

_BY_CORNERS = "measured in the plane of the known rectangle, from its corners and without depth"
_IN_PLANE_HINT = Text(
    "if the points lie in the plane of the known rectangle, give ",
    OptionName("in_plane"),
    " to measure from its corners",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RectanglePlane:
    """Plane of one of the fitted rectangles."""

    fit: RectangleFit
    rectangle_index: int

    @property
    def pose(self) -> RectanglePose:
        return self.fit.poses[self.rectangle_index]


def height_above_plane(
    prediction: PredictionRecord, top: Point, foot: Point | None = None
) -> Measurement:
    """Measure how high a point stands above the plane of a known rectangle [m].

    The height is at right angles to the plane, and negative behind the plane as seen from the
    camera. If you give the foot, the point of the plane straight below the top, the height follows
    from the corners alone. Otherwise it follows from depth, in which networks hardly show low
    relief.

    Args:
        prediction: Prediction with known rectangles; the one nearest to the points is used.
        top: Point whose height is measured (column, row) [px].
        foot: Point of the plane below it [px].

    Raises:
        OptionError: If no rectangle is known.
        CalibrationError: If a point lies outside the picture or beyond the horizon of the plane, or
            the camera looks straight down on it, so that a top hides its foot.
    """
    if not known_rectangles(prediction):
        raise OptionError(
            "a height above a plane needs a known rectangle in that plane",
            hint=Text("give ", OptionName("known_rectangle", "...")),
        )
    points = (top,) if foot is None else (top, foot)
    check_pixels(prediction, points)
    # The last point is the foot, or the top if no foot is given.
    plane = _find_plane(prediction, points[-1:], allow_outside=True)
    assert plane is not None, "the nearest rectangle is used if none contains the points"
    if foot is not None:
        return _height_over_foot(plane, top, foot)
    return _height_by_depth(prediction, plane, top)


_MIN_VIEW_SINE = 0.05
"""Least sine of the angle between the ray of a top and the normal of its plane."""
_MAX_FLAT_BEND = 0.005
"""Largest relative bend with which depth inside of a rectangle counts as flat."""
_MAX_RELATIVE_MISS = 0.2
"""Largest distance at which the ray of a top may miss the vertical over its foot, per height."""


def _height_over_foot(plane: _RectanglePlane, top: Point, foot: Point) -> Measurement:
    """Height at which the ray of a top passes closest to the plane's normal through the foot."""
    pixels = np.array((top, foot), np.float64)
    top_ray = _unit_ray(plane.fit, pixels[0])
    if np.linalg.norm(np.cross(plane.pose.normal, top_ray)) < _MIN_VIEW_SINE:
        raise CalibrationError(
            "the camera looks straight at the plane of the known rectangle, so the top hides the "
            "foot: use a photograph that was taken at an angle"
        )
    height, miss_distance = _closest_approach(plane.fit, plane.rectangle_index, pixels)
    deviation = _propagate_error(
        lambda fit, points: _closest_approach(fit, plane.rectangle_index, points)[0],
        plane.fit,
        plane.rectangle_index,
        pixels,
    )
    error = _RANGE_IN_DEVIATIONS * deviation
    measurement = Measurement(
        what=Quantity.HEIGHT_ABOVE_PLANE,
        value=height,
        low=height - error,
        high=height + error,
        origin=MeasurementOrigin.RECTANGLE,
        remarks=("measured from the corners of the known rectangle and the foot, without depth",),
    )
    if miss_distance <= max(_MAX_RELATIVE_MISS * abs(height), 2 * error):
        return measurement
    return add_remark(
        measurement,
        "the top is not straight above the foot: its ray misses the line above the foot "
        f"by {_length_text(miss_distance)}",
    )


def _closest_approach(
    fit: RectangleFit, rectangle_index: int, pixels: Positions
) -> tuple[float, float]:
    """Find where the ray of a top comes closest to the vertical over its foot.

    ``pixels`` are the top and the foot. The vertical is the line foot + height * normal.

    Returns:
        Height on the vertical, and the distance between ray and vertical there [m].
    """
    pose = fit.poses[rectangle_index]
    [foot] = _points_on_plane(fit, pose, pixels[1:])
    top_ray = _unit_ray(fit, pixels[0])
    # Projected along the ray, the ray is the origin, and the vertical is a line past it.
    projected_foot = foot - (foot @ top_ray) * top_ray
    projected_normal = pose.normal - (pose.normal @ top_ray) * top_ray
    height = -float(projected_foot @ projected_normal) / float(projected_normal @ projected_normal)
    miss_distance = float(np.linalg.norm(projected_foot + height * projected_normal))
    return height, miss_distance


def _unit_ray(fit: RectangleFit, pixel: Float64[np.ndarray, "2"]) -> Vector:
    direction = fit.camera.rays(pixel)
    return direction / np.linalg.norm(direction)


def _height_by_depth(
    prediction: PredictionRecord, plane: _RectanglePlane, top: Point
) -> Measurement:
    """Height of a point above the plane of a rectangle, from the depth map.

    It is that above the plane which an instrument shows, or that by a network. If an instrument
    shows no plane, ``CalibrationError`` is raised.
    """
    [pixel] = _pixels_of_points([top])
    require_depth(prediction.depth, pixel)
    relief = relief_above_plane(prediction, plane.fit, plane.pose, [pixel])
    if relief.plane is not None:
        return _height_by_instrument(prediction, relief.plane, pixel)
    if not prediction.is_of_network:
        raise CalibrationError(
            "the depth map has too little depth inside the known rectangle to determine "
            "its plane: give the foot of the point in the plane as well"
        )
    # Networks flatten relief. So on the side of the plane where the network shows the point, the
    # range reaches from the plane to twice the height, or to the height that networks miss. At 0,
    # it may be on either side.
    [height] = relief.heights.tolist()
    far_end = max(2 * abs(height), relief.max_missed_height)
    return Measurement(
        what=Quantity.HEIGHT_ABOVE_PLANE,
        value=height,
        low=-far_end if height <= 0 else 0.0,
        high=far_end if height >= 0 else 0.0,
        origin=origin_of_points(prediction, [top]),
        remarks=(
            "measured from the network's depth, which hardly shows low relief: if you "
            "also give the foot of the point in the plane, the height follows from the "
            "corners alone",
        ),
    )


def _height_by_instrument(
    prediction: PredictionRecord, plane: DepthPlane, top: Pixel
) -> Measurement:
    """Height of a top above the plane that an instrument measured inside of a rectangle."""
    ranges = instrument_ranges(prediction)
    assert ranges is not None, "only an instrument's relief has a depth plane"
    point = (top.u, top.v)
    measurement = replace(
        height_with_range(prediction, plane, ranges, top),
        origin=origin_of_points(prediction, [point]),
        remarks=depth_remarks(prediction, [point]),
    )
    depth_error = ranges.instrument.relative_error_at(plane.camera_distance)
    bend = plane.bend(depth_error)
    if bend <= max(_MAX_FLAT_BEND, depth_error):
        return measurement
    return add_remark(
        measurement,
        "the surface inside the known rectangle is not flat: its depth deviates from a plane by "
        f"{_length_text(bend * plane.camera_distance)}",
    )


_RECTANGLE_MARGIN = 0.02
"""Fraction of the sides by which points may lie outside of a rectangle that contains them."""
_RANGE_IN_DEVIATIONS = 1.2816
"""Standard deviations within which eight in ten errors of a normal distribution lie."""
_MAX_RELATIVE_DEVIATION = 3.0
"""Relative standard deviation from which on a quantity counts as unknown."""
_DIFFERENCE_STEP = 1e-4
"""Step of finite differences [px, rad, or relative]."""


def measure_in_rectangle_plane(
    quantity: Quantity, prediction: PredictionRecord, points: Sequence[Point], *, in_plane: bool
) -> Measurement | None:
    """Measure points inside of a known rectangle, or in its plane.

    With ``in_plane`` the points lie in the plane of the nearest rectangle, and its corners alone
    measure them. Otherwise depth decides whether the points lie in the plane of the rectangle that
    contains them:

    - If depth shows no point off the plane, the corners measure, and the range is widened by the
      relief that depth may have missed.
    - If a network shows a point off the plane, its depth measures, fitted to the rectangle.
    - If an instrument shows a point off the plane, the result is None.

    Args:
        quantity: "distance", "length" or "area".
        prediction: Prediction whose user gave rectangles, if any.
        points: Points of the quantity [px].
        in_plane: Whether the points lie in the plane of a rectangle even if outside of it.

    Returns:
        Measurement; None if the caller has to measure by depth.

    Raises:
        OptionError: If ``in_plane`` is set and no rectangle is known.
        CalibrationError: If a point is beyond the horizon, or errors exceed the quantity.
    """
    rectangles = known_rectangles(prediction)
    if not rectangles and not in_plane:
        return None
    if not rectangles:
        raise OptionError(
            option="in_plane",
            problem="needs a known rectangle, in whose plane the points lie",
            hint=Text("give ", OptionName("known_rectangle", "...")),
        )

    plane = _find_plane(prediction, points, allow_outside=in_plane)
    if plane is None:
        return None
    measurement = _measure_in_plane(quantity, plane, points)
    if in_plane:
        return measurement
    relief = relief_above_plane(prediction, plane.fit, plane.pose, _pixels_of_points(points))
    if relief.is_flat:
        return _widen_by_missed_relief(measurement, relief)
    if not prediction.is_of_network:
        return None
    return _measure_off_plane(measurement, plane, points, relief)


def _find_plane(
    prediction: PredictionRecord, points: Sequence[Point], *, allow_outside: bool
) -> _RectanglePlane | None:
    """Find the plane of the nearest known rectangle that contains all points.

    If none does, return the plane of the nearest rectangle if ``allow_outside``, otherwise None.
    """
    rectangles = known_rectangles(prediction)
    fit = _fit_with_camera(rectangles, prediction)
    pixels = np.array(points, np.float64)
    index = _nearest_rectangle(fit, rectangles, pixels, allow_outside=allow_outside)
    if index is None:
        return None
    _check_before_horizon(fit, fit.poses[index], points)
    return _RectanglePlane(fit=fit, rectangle_index=index)


def _pixels_of_points(points: Sequence[Point]) -> list[Pixel]:
    return [Pixel(float(u), float(v), f"point {u:g},{v:g}") for u, v in points]


def _measure_in_plane(
    quantity: Quantity, plane: _RectanglePlane, points: Sequence[Point]
) -> Measurement:
    """Measure points that lie in the plane of a rectangle, by its corners alone."""
    pixels = np.array(points, np.float64)
    value = quantity_in_plane(quantity, plane.fit, plane.rectangle_index, pixels)
    deviation = deviation_in_plane(quantity, plane.fit, plane.rectangle_index, pixels)
    # The comparison is also false for NaN.
    if not deviation < _MAX_RELATIVE_DEVIATION * value:
        raise CalibrationError(
            f"the {quantity} in the rectangle's plane is {value:.2g} {UNITS[quantity]}, "
            "which is less than its error: choose points that are farther apart and, for "
            "an area, not on one line"
        )
    log_error = _RANGE_IN_DEVIATIONS * deviation / value
    measurement = measurement_with_range(quantity, value, log_error, (_BY_CORNERS,))
    return replace(measurement, origin=MeasurementOrigin.RECTANGLE)


def _widen_by_missed_relief(measurement: Measurement, relief: PlaneRelief) -> Measurement:
    """Widen the range of a measurement in the plane by the heights that depth may have missed."""
    dimension = _length_dimension(measurement.what)
    relief_error = relief.noise
    if relief.max_missed_height == 0:
        # An instrument's relief is too low to tell it from noise, but it may be real.
        relief_error = max(relief.noise, float(np.abs(relief.values).max()))
    error_in_plane = math.log(measurement.high / measurement.value)
    log_error = math.hypot(error_in_plane, dimension * relief_error)
    nearest_missed, farthest_missed = relief.missed_relief_factors
    widened = replace(
        measurement,
        low=measurement.value * nearest_missed**dimension / math.exp(log_error),
        high=measurement.value * farthest_missed**dimension * math.exp(log_error),
    )
    if relief.max_missed_height == 0:
        return widened
    remark = Note(
        "the network's depth does not show whether the points are in the plane of the "
        "rectangle: the range covers heights of up to "
        f"{_length_text(relief.max_missed_height)} above or below it",
        hint=Text("if they are in the plane, ", OptionName("in_plane"), " narrows the range"),
    )
    return add_remark(widened, remark)


def _measure_off_plane(
    in_plane: Measurement, plane: _RectanglePlane, points: Sequence[Point], relief: PlaneRelief
) -> Measurement:
    """Measure points that a network shows above or below the plane of a rectangle.

    Networks show too little relief, so the range goes from the plane to twice the relief, or to
    the relief that networks miss altogether.

    ``in_plane`` is the measurement of the same points if they lay in the plane.
    """
    # Relief is log(plane depth / depth), which is positive in front of the plane. So depth is
    # exp(-relief) of the plane's, and a quantity changes with that to the power of its dimension.
    raised = relief.raised_values
    dimension = _length_dimension(in_plane.what)
    positions_in_plane = _points_on_plane(plane.fit, plane.pose, np.array(points, np.float64))
    positions = positions_in_plane * np.exp(-raised)[:, None]
    value = _quantity_of_positions(in_plane.what, positions)
    nearest_missed, farthest_missed = relief.missed_relief_factors
    largest_factor = float(np.exp(np.abs(raised).max()))

    # Further ends of the range: relief that is missed, and twice the relief that is shown. What
    # lies in front of the plane is smaller than in it, and what lies behind it is larger.
    lows, highs = [in_plane.low, value], [in_plane.high, value]
    if raised.max() > 0:
        lows += [in_plane.low * nearest_missed**dimension, value / largest_factor**dimension]
    if raised.min() < 0:
        highs += [in_plane.high * farthest_missed**dimension, value * largest_factor**dimension]
    return Measurement(
        what=in_plane.what,
        value=value,
        low=min(lows),
        high=max(highs),
        remarks=(
            _off_plane_text(relief),
            Note("measured from the network's depth, fitted to the rectangle", hint=_IN_PLANE_HINT),
        ),
    )


def _length_dimension(quantity: Quantity) -> int:
    """Dimension of a quantity in lengths: 2 for an area, and 1 for others."""
    return 2 if quantity == Quantity.AREA else 1


def _off_plane_text(relief: PlaneRelief) -> str:
    """Sentence on the point that stands highest above or lowest below the plane."""
    height = float(relief.heights[np.abs(relief.heights).argmax()])
    side = "above" if height > 0 else "below"
    return f"a point is {_length_text(abs(height))} {side} the plane of the known rectangle"


def _length_text(metres: float) -> str:
    return f"{1000 * metres:.2g} mm" if metres < 0.1 else f"{metres:.2g} m"


def depth_instead_of_corners_remark(prediction: PredictionRecord, points: Sequence[Point]) -> str:
    """Remark why points were measured by depth although a rectangle is known."""
    instrument = prediction.instrument
    if instrument is None or prediction.is_of_network:
        source = "the network's depth"
    else:
        source = f"the {instrument.source}"
    with suppress(CalibrationError):
        plane = _find_plane(prediction, points, allow_outside=False)
        if plane is not None:
            relief = relief_above_plane(
                prediction, plane.fit, plane.pose, _pixels_of_points(points)
            )
            if not relief.is_flat:
                return Note(f"{_off_plane_text(relief)}, so rilievo measures from {source}")
    return Note(f"measured from {source}", hint=_IN_PLANE_HINT)


def _fit_with_camera(
    rectangles: Sequence[KnownRectangle], prediction: PredictionRecord
) -> RectangleFit:
    """Fit rectangles, and the focal length too unless it was given."""
    camera = prediction.known_camera
    was_fitted = camera.source in (CameraSource.RECTANGLE, CameraSource.MARKERS)
    is_free = camera.source.is_guess or was_fitted
    return fit_rectangles(rectangles, camera, prediction.shape if is_free else None)


def _nearest_rectangle(
    fit: RectangleFit,
    rectangles: Sequence[KnownRectangle],
    pixels: Positions,
    *,
    allow_outside: bool,
) -> int | None:
    """Index of the nearest rectangle that contains all points.

    If none does, return the index of the nearest one if ``allow_outside``, otherwise None.
    """
    candidates = [
        index
        for index, pose in enumerate(fit.poses)
        if _largest_offset(fit, pose, pixels) <= 0.5 + _RECTANGLE_MARGIN  # 0.5 is half a side.
    ]
    if not candidates:
        if not allow_outside:
            return None
        candidates = list(range(len(rectangles)))
    centre = pixels.mean(axis=0)
    return min(candidates, key=lambda index: math.dist(rectangles[index].middle, centre))


def _largest_offset(fit: RectangleFit, pose: RectanglePose, pixels: Positions) -> float:
    """Largest offset of a point from a rectangle's middle, in its sides; 0.5 on the outline."""
    from_middle = _points_on_plane(fit, pose, pixels) - pose.t
    offsets = from_middle @ pose.R[:, :2] / pose.rectangle.lengths
    return float(np.abs(offsets).max())


def _check_before_horizon(fit: RectangleFit, pose: RectanglePose, points: Sequence[Point]) -> None:
    """Raise ``CalibrationError`` for a ray that does not meet the plane before the camera."""
    rays = fit.camera.rays(np.array(points, np.float64).T)
    for (u, v), depth in zip(points, pose.depths(rays), strict=True):
        if not 0 < depth < math.inf:
            raise CalibrationError(
                f"point {u:g},{v:g} lies beyond the horizon of the rectangle's plane: choose a "
                "point nearer to the rectangle"
            )


def _points_on_plane(fit: RectangleFit, pose: RectanglePose, pixels: Positions) -> Points:
    rays = fit.camera.rays(pixels.T)
    return (rays * pose.depths(rays)).T


def quantity_in_plane(
    quantity: Quantity, fit: RectangleFit, rectangle_index: int, pixels: Positions
) -> float:
    """Distance, length or area (``quantity``) in the plane of one of the rectangles [m or m²]."""
    return _quantity_of_positions(
        quantity, _points_on_plane(fit, fit.poses[rectangle_index], pixels)
    )


def _quantity_of_positions(quantity: Quantity, positions: Points) -> float:
    """Distance, length or area (``quantity``) of points in space [m or m²]."""
    if quantity == Quantity.DISTANCE:
        return float(np.linalg.norm(positions[0]))
    if quantity == Quantity.LENGTH:
        return float(np.linalg.norm(positions[1] - positions[0]))
    return polygon_area(positions)


def deviation_in_plane(
    quantity: Quantity, fit: RectangleFit, rectangle_index: int, pixels: Positions
) -> float:
    """Standard deviation of ``quantity_in_plane``, to first order."""
    return _propagate_error(
        lambda fit, pixels: quantity_in_plane(quantity, fit, rectangle_index, pixels),
        fit,
        rectangle_index,
        pixels,
    )


def _propagate_error(
    measure: Callable[[RectangleFit, Positions], float],
    fit: RectangleFit,
    rectangle_index: int,
    pixels: Positions,
) -> float:
    """Standard deviation of a quantity by the errors of the fit and of the points.

    Errors are propagated to first order, J Σ Jᵀ, with numerical derivatives J of ``measure``.
    Points are placed as precisely as the corners of rectangles.
    """
    no_fit_step, no_pixel_step = np.zeros(len(fit.covariance)), np.zeros(pixels.shape)

    def derivative(fit_step: Values, pixel_step: Float64[np.ndarray, "m 2"]) -> float:
        """Derivative of the quantity along a step, by a central difference."""
        after = measure(fit.add_step(fit_step), pixels + pixel_step)
        before = measure(fit.add_step(-fit_step), pixels - pixel_step)
        return (after - before) / (2 * _DIFFERENCE_STEP)

    fit_derivatives = np.zeros(len(fit.covariance))
    for parameter in fit.parameters_of(rectangle_index):
        # A known focal length has no variance, and only a pinhole could be given another.
        if fit.covariance[parameter, parameter] == 0:
            continue
        fit_step = no_fit_step.copy()
        fit_step[parameter] = _DIFFERENCE_STEP
        fit_derivatives[parameter] = derivative(fit_step, no_pixel_step)

    pixel_derivatives: list[float] = []
    for coordinate in np.ndindex(pixels.shape):
        pixel_step = no_pixel_step.copy()
        pixel_step[coordinate] = _DIFFERENCE_STEP
        pixel_derivatives.append(derivative(no_fit_step, pixel_step))

    fit_variance = fit_derivatives @ fit.covariance @ fit_derivatives
    pixel_variance = CORNER_ERROR**2 * float(np.square(pixel_derivatives).sum())
    return math.sqrt(fit_variance + pixel_variance)
