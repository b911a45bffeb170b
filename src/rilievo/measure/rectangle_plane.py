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

from rilievo.arrays.shapes import Float64, Points, Positions, Values
from rilievo.calibration.readings import Pixel, require_depth
from rilievo.calibration.rectangle_fit import (
    GUESSED_SOURCES,
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

_BY_CORNERS = "measured in the plane of the known rectangle, by its corners and without depth"
_IN_PLANE_HINT = Text(
    "of points in the plane of the known rectangle, ",
    OptionName("in_plane"),
    " measures by its corners",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlaneOfRectangle:
    """Plane of one of the fitted rectangles."""

    fit: RectangleFit
    index: int

    @property
    def pose(self) -> RectanglePose:
        return self.fit.poses[self.index]


def height_above_plane(
    prediction: PredictionRecord, top: Point, foot: Point | None = None
) -> Measurement:
    """Measure how high a point stands above the plane of a known rectangle [m].

    The height is at right angles to the plane.

    With a foot, the point of the plane that lies straight below the top, the height follows from
    the corners alone and without depth. Otherwise it follows from depth, in which networks hardly
    show low relief. It is negative behind the plane, as seen from the camera.

    Args:
        prediction: Prediction whose user gave rectangles; the one nearest to the points is taken.
        top: Point whose height is measured (column, row) [px].
        foot: Point of the plane below it [px].

    Raises:
        OptionError: If no rectangle is known.
        CalibrationError: If a point lies outside the picture or beyond the horizon of the plane, or
            the camera looks straight down on it, so that a top hides its foot.
    """
    if not known_rectangles(prediction):
        raise OptionError(
            "a height above the plane of a known rectangle needs one",
            hint=Text("give ", OptionName("known_rectangle", "...")),
        )
    points = (top,) if foot is None else (top, foot)
    check_pixels(prediction, points)
    plane = _plane_of_points(prediction, points[-1:], outside=True)
    assert plane is not None, "the nearest rectangle is taken if none holds the points"
    if foot is not None:
        return _height_over_foot(plane, top, foot)
    return _height_by_depth(prediction, plane, top)


_MIN_SIDE_VIEW = 0.05
"""Least sine of the angle between the ray of a top and the normal of its plane."""
_FLAT_SHARE = 0.005
"""Share of the distance up to which depth inside of a rectangle counts as flat."""
_MAX_LEAN = 0.2
"""Largest distance of the ray of a top from the line over its foot, over the height."""


def _height_over_foot(plane: _PlaneOfRectangle, top: Point, foot: Point) -> Measurement:
    """Height of a top over its foot, where the ray of the top passes the normal of the foot."""
    pixels = np.array((top, foot), np.float64)
    normal = plane.pose.normal
    sight = plane.fit.camera.rays(pixels[0])
    sight = sight / np.linalg.norm(sight)
    if np.linalg.norm(np.cross(normal, sight)) < _MIN_SIDE_VIEW:
        raise CalibrationError(
            "the camera looks straight down on the plane of the known rectangle, so a top hides "
            "its foot: measure from a photograph at a slant"
        )
    value, lean = _height_and_lean(plane.fit, plane.index, pixels)
    deviation = _first_order_deviation(
        lambda fit, places: _height_and_lean(fit, plane.index, places)[0],
        plane.fit,
        plane.index,
        pixels,
    )
    error = _RANGE_DEVIATIONS * deviation
    measurement = Measurement(
        what=Quantity.HEIGHT_ABOVE_PLANE,
        value=value,
        low=value - error,
        high=value + error,
        origin=MeasurementOrigin.RECTANGLE,
        remarks=("measured by the corners of the known rectangle and the foot, without depth",),
    )
    if lean <= max(_MAX_LEAN * abs(value), 2 * error):
        return measurement
    return add_remark(
        measurement,
        f"the top does not stand straight above the foot: it passes the line above it at "
        f"{_height_text(lean)}",
    )


def _height_and_lean(
    fit: RectangleFit, rectangle_index: int, pixels: Positions
) -> tuple[float, float]:
    """Height above a foot at which the ray of a top passes nearest, and how near it passes [m]."""
    pose = fit.poses[rectangle_index]
    foot_position = _points_on_plane(fit, pose, pixels[1:])[0]
    sight = fit.camera.rays(pixels[0])
    sight = sight / np.linalg.norm(sight)
    # Seen along the ray, the foot and the line above it lie in a plane.
    foot_across = foot_position - (foot_position @ sight) * sight
    normal_across = pose.normal - (pose.normal @ sight) * sight
    height = -float(foot_across @ normal_across) / float(normal_across @ normal_across)
    lean = float(np.linalg.norm(foot_across + height * normal_across))
    return height, lean


def _height_by_depth(
    prediction: PredictionRecord, plane: _PlaneOfRectangle, top: Point
) -> Measurement:
    """Height of a top above the plane of a rectangle, by depth."""
    [pixel] = _named_pixels([top])
    require_depth(prediction.depth, pixel)
    relief = relief_above_plane(prediction, plane.fit, plane.pose, [pixel])
    if relief.plane is not None:
        return _height_by_instrument(prediction, relief.plane, pixel)
    if not prediction.is_of_network:
        raise CalibrationError(
            "the depth map has too little depth inside of the known rectangle to tell its plane: "
            "name the foot of the point in the plane too"
        )
    # Networks show too little of a height, so it may be more, on the side where it is seen.
    [height] = relief.heights.tolist()
    unseen = relief.unseen_height
    return Measurement(
        what=Quantity.HEIGHT_ABOVE_PLANE,
        value=height,
        low=min(0.0, 2 * height, -unseen if height <= 0 else 0.0),
        high=max(0.0, 2 * height, unseen if height >= 0 else 0.0),
        origin=origin_of_points(prediction, [top]),
        remarks=(
            "by the network's depth, which hardly shows low relief: name the foot of the point in "
            "the plane too, and the height follows from the corners alone",
        ),
    )


def _height_by_instrument(
    prediction: PredictionRecord, plane: DepthPlane, top: Pixel
) -> Measurement:
    """Height of a top above the plane that an instrument's depth shows inside of a rectangle."""
    by_instrument = instrument_ranges(prediction)
    assert by_instrument is not None, "the depth is that of an instrument"
    point = (top.u, top.v)
    measurement = replace(
        height_with_range(prediction, plane, by_instrument, top),
        origin=origin_of_points(prediction, [point]),
        remarks=depth_remarks(prediction, [point]),
    )
    depth_error = by_instrument.instrument.relative_error_at(plane.camera_distance)
    bend = plane.bend(depth_error)
    if bend <= max(_FLAT_SHARE, depth_error):
        return measurement
    return add_remark(
        measurement,
        f"the depth inside of the known rectangle is no plane: it is off by "
        f"{_height_text(bend * plane.camera_distance)}",
    )


_RECTANGLE_MARGIN = 0.02
"""Share of the sides by which points may lie outside of a rectangle and still count as inside."""
_RANGE_DEVIATIONS = 1.2816
"""Standard deviations within which eight in ten errors of a normal distribution lie."""
_MAX_RELATIVE_DEVIATION = 3.0
"""Relative standard deviation from which on a quantity counts as unknown."""
_DIFFERENCE_STEP = 1e-4
"""Step of finite differences [px, rad, or relative]."""


def measure_in_rectangle_plane(
    quantity: Quantity, prediction: PredictionRecord, points: Sequence[Point], *, in_plane: bool
) -> Measurement | None:
    """Measure points inside of a known rectangle, or in its plane.

    With ``in_plane``, the plane is used by its corners alone. Otherwise it is used where depth
    shows no point above or below it, with a range that contains what depth may have missed. A
    network that shows a point elsewhere is fitted to the rectangle and used.

    Args:
        quantity: "distance", "length" or "area".
        prediction: Prediction whose user gave rectangles, if any.
        points: Points of the quantity [px].
        in_plane: Whether the points lie in the plane of a rectangle even if outside of it.

    Returns:
        Measurement by the nearest rectangle that holds all points, or with ``in_plane`` by the
        nearest one; None if there is no such rectangle, or an instrument shows a point off its
        plane.

    Raises:
        OptionError: If points are to lie in a plane, and no rectangle is known.
        CalibrationError: If a point is beyond the horizon, or errors exceed the quantity.
    """
    rectangles = known_rectangles(prediction)
    if not rectangles and not in_plane:
        return None
    if not rectangles:
        raise OptionError(
            option="in_plane",
            problem="is about the plane of a known rectangle, and none is known",
            hint=Text("give ", OptionName("known_rectangle", "...")),
        )

    plane = _plane_of_points(prediction, points, outside=in_plane)
    if plane is None:
        return None
    measurement = _measure_in_plane(quantity, plane, points)
    if in_plane:
        return measurement
    relief = relief_above_plane(prediction, plane.fit, plane.pose, _named_pixels(points))
    if relief.is_flat:
        return _with_unseen_relief(measurement, relief)
    if not prediction.is_of_network:
        return None
    return _measure_raised(measurement, plane, points, relief)


def _plane_of_points(
    prediction: PredictionRecord, points: Sequence[Point], *, outside: bool
) -> _PlaneOfRectangle | None:
    """Plane of the nearest rectangle that holds all points, or if ``outside`` of the nearest.

    Raises:
        CalibrationError: If a point is beyond the horizon of the plane.
    """
    rectangles = known_rectangles(prediction)
    fit = _fit_with_camera(rectangles, prediction)
    index = _nearest_rectangle(fit, rectangles, np.array(points, np.float64), outside=outside)
    if index is None:
        return None
    _check_before_horizon(fit, fit.poses[index], points)
    return _PlaneOfRectangle(fit=fit, index=index)


def _named_pixels(points: Sequence[Point]) -> list[Pixel]:
    return [Pixel(float(u), float(v), f"point {u:g},{v:g}") for u, v in points]


def _measure_in_plane(
    quantity: Quantity, plane: _PlaneOfRectangle, points: Sequence[Point]
) -> Measurement:
    """Measure points that lie in the plane of a rectangle, by its corners alone."""
    pixels = np.array(points, np.float64)
    value = quantity_in_plane(quantity, plane.fit, plane.index, pixels)
    deviation = deviation_in_plane(quantity, plane.fit, plane.index, pixels)
    if not _is_known_well_enough(value, deviation):
        raise CalibrationError(
            f"the {quantity} in the rectangle's plane is {value:.2g} {UNITS[quantity]} "
            "and less than its error: choose points farther apart, and those of an area not on "
            "one line"
        )
    measurement = measurement_with_range(
        quantity, value, _RANGE_DEVIATIONS * deviation / value, (_BY_CORNERS,)
    )
    return replace(measurement, origin=MeasurementOrigin.RECTANGLE)


def _with_unseen_relief(measurement: Measurement, relief: PlaneRelief) -> Measurement:
    """Widen the range in the plane by what depth cannot tell of the points' height above it."""
    power = _power_of_length(measurement.what)
    relief_error = relief.noise
    if relief.unseen_height == 0:
        # What an instrument shows is too little to be told from the plane, but may be true.
        relief_error = max(relief.noise, float(np.abs(relief.values).max()))
    error_in_plane = math.log(measurement.high / measurement.value)
    log_error = math.hypot(error_in_plane, power * relief_error)
    nearest, farthest = relief.unseen_factors
    widened = replace(
        measurement,
        low=measurement.value * nearest**power / math.exp(log_error),
        high=measurement.value * farthest**power * math.exp(log_error),
    )
    if relief.unseen_height == 0:
        return widened
    remark = Note(
        "the network's depth does not tell whether the points lie in the plane of the rectangle: "
        f"the range holds for heights of up to {_height_text(relief.unseen_height)} above or below "
        "it",
        hint=Text("if they lie in it, ", OptionName("in_plane"), " narrows the range"),
    )
    return add_remark(widened, remark)


def _measure_raised(
    in_plane: Measurement, plane: _PlaneOfRectangle, points: Sequence[Point], relief: PlaneRelief
) -> Measurement:
    """Measure points that a network shows above or below the plane of a rectangle.

    Networks show too little relief, so the range goes from the plane to twice the relief, or to
    what they may miss altogether.
    """
    relief_values = relief.raised_values
    positions_in_plane = _points_on_plane(plane.fit, plane.pose, np.array(points, np.float64))
    positions = positions_in_plane * np.exp(-relief_values)[:, None]
    power = _power_of_length(in_plane.what)
    value = _quantity_of_positions(in_plane.what, positions)
    nearest, farthest = relief.unseen_factors
    largest_factor = float(np.exp(np.abs(relief_values).max()))

    lows, highs = [in_plane.low, value], [in_plane.high, value]
    if relief_values.max() > 0:
        lows += [in_plane.low * nearest**power, value / largest_factor**power]
    if relief_values.min() < 0:
        highs += [in_plane.high * farthest**power, value * largest_factor**power]
    return Measurement(
        what=in_plane.what,
        value=value,
        low=min(lows),
        high=max(highs),
        remarks=(
            _off_plane_text(relief),
            Note("measured by the network's depth, fitted to the rectangle", hint=_IN_PLANE_HINT),
        ),
    )


def _power_of_length(quantity: Quantity) -> int:
    """Power of a length that a quantity is: 2 for an area."""
    return 2 if quantity == Quantity.AREA else 1


def _off_plane_text(relief: PlaneRelief) -> str:
    """Sentence on the point that stands highest above or lowest below the plane."""
    height = float(relief.heights[np.abs(relief.heights).argmax()])
    side = "above" if height > 0 else "below"
    return f"a point stands {_height_text(abs(height))} {side} the plane of the known rectangle"


def _height_text(height: float) -> str:
    return f"{1000 * height:.2g} mm" if height < 0.1 else f"{height:.2g} m"


def by_depth_remark(prediction: PredictionRecord, points: Sequence[Point]) -> str:
    """Remark on a measurement by depth where a rectangle is known."""
    instrument = prediction.instrument
    if instrument is None or prediction.is_of_network:
        source = "the network's depth"
    else:
        source = f"the {instrument.source}"
    with suppress(CalibrationError):
        plane = _plane_of_points(prediction, points, outside=False)
        if plane is not None:
            relief = relief_above_plane(prediction, plane.fit, plane.pose, _named_pixels(points))
            if not relief.is_flat:
                return Note(f"{_off_plane_text(relief)}, so it is measured by {source}")
    return Note(f"measured by {source}", hint=_IN_PLANE_HINT)


def _is_known_well_enough(value: float, deviation: float) -> bool:
    """Whether a quantity clearly exceeds its error; comparisons with NaN are false."""
    return deviation < _MAX_RELATIVE_DEVIATION * value


def _fit_with_camera(
    rectangles: Sequence[KnownRectangle], prediction: PredictionRecord
) -> RectangleFit:
    """Fit rectangles, and the focal length too unless it was given."""
    camera = prediction.known_camera
    is_free = camera.source in (*GUESSED_SOURCES, CameraSource.RECTANGLE, CameraSource.MARKERS)
    return fit_rectangles(rectangles, camera, prediction.shape if is_free else None)


def _nearest_rectangle(
    fit: RectangleFit, rectangles: Sequence[KnownRectangle], pixels: Positions, *, outside: bool
) -> int | None:
    """Index of the nearest rectangle that holds all points, or if ``outside`` of the nearest."""
    holding = [
        index
        for index, pose in enumerate(fit.poses)
        if _largest_offset(fit, pose, pixels) <= 0.5 + _RECTANGLE_MARGIN
    ]
    if not holding and not outside:
        return None
    centre = pixels.mean(axis=0)
    distances = [math.dist(rectangle.middle, centre) for rectangle in rectangles]
    return min(holding or range(len(rectangles)), key=distances.__getitem__)


def _largest_offset(fit: RectangleFit, pose: RectanglePose, pixels: Positions) -> float:
    """Largest offset of a point from a rectangle's middle, in its sides; 0.5 on the outline."""
    from_middle = _points_on_plane(fit, pose, pixels) - pose.t
    offsets = from_middle @ pose.R[:, :2] / pose.rectangle.lengths
    return float(np.abs(offsets).max())


def _check_before_horizon(fit: RectangleFit, pose: RectanglePose, points: Sequence[Point]) -> None:
    """Raise for a point whose ray does not meet the plane before the camera."""
    rays = fit.camera.rays(np.array(points, np.float64).T)
    for (u, v), depth in zip(points, pose.depths(rays), strict=True):
        if not 0 < depth < math.inf:
            raise CalibrationError(
                f"point {u:g},{v:g} lies beyond the horizon of the rectangle's plane"
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
    """Standard deviation of ``quantity_in_plane``, to first order.

    Errors are those of the fit, and of the points, which are placed as precisely as corners.
    """
    return _first_order_deviation(
        lambda changed, places: quantity_in_plane(quantity, changed, rectangle_index, places),
        fit,
        rectangle_index,
        pixels,
    )


def _first_order_deviation(
    measure: Callable[[RectangleFit, Positions], float],
    fit: RectangleFit,
    rectangle_index: int,
    pixels: Positions,
) -> float:
    """Standard deviation of a quantity by the errors of a fit and of points, to first order."""
    no_fit_step, no_pixel_step = np.zeros(len(fit.covariance)), np.zeros(pixels.shape)

    def derivative(fit_step: Values, pixel_step: Float64[np.ndarray, "m 2"]) -> float:
        """Derivative of the quantity along a step, by a central difference."""
        fit_after, fit_before = fit.add_step(fit_step), fit.add_step(-fit_step)
        after = measure(fit_after, pixels + pixel_step)
        before = measure(fit_before, pixels - pixel_step)
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
