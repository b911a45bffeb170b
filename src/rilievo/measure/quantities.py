"""Distances, lengths, heights, areas and angles between points of a photograph, with ranges.

There are two ways to measure:

- By the predicted depth. Eight in ten such measurements lie in the range, which follows from
  ``calibration.ranges``.
- In the plane of a known rectangle, by its corners alone and without the network. The range follows
  from the errors of corners and points, to first order.

Points are (column, row) [px] of the photograph; vectors are in the camera frame [m].
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from PIL import Image, ImageDraw

from rilievo.arrays.shapes import Float64, Mask, Points, Values, Vector
from rilievo.calibration.floor import find_floor
from rilievo.calibration.ranges import angle_error
from rilievo.calibration.readings import (
    Pixel,
    ends_on_straight_surface,
    median_around,
    normalized_points_note,
    pixel_index,
    ray,
    require_depth,
    values_at_ends,
)
from rilievo.calibration.rectangle_fit import FREE, RectangleFit, RectanglePose, fit_rectangles
from rilievo.calibration.sizes import CORNER_ERROR, KnownRectangle
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import AnyOf, Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.expectation import (
    anchoring_misfit,
    compute_error_grounds,
    log_error_of_distance,
    log_error_of_length,
    log_error_of_ratio,
    parse_known_rectangles,
    user_distance_at,
    user_length_between,
)
from rilievo.measure.instrument_ranges import (
    error_along_line,
    error_between_points,
    instrument_ranges,
    window_error,
)
from rilievo.measure.plane_relief import PlaneRelief, relief_above_plane
from rilievo.records.depth_map import DepthKind
from rilievo.records.instruments import DepthSource
from rilievo.records.prediction_record import PredictionRecord

Point = tuple[float, float]
"""Column and row [px]."""


class MeasurementOrigin(StrEnum):
    """Where the number of a measurement comes from, which decides its range."""

    NETWORK = "network"
    """Depth that a network predicted."""
    DEPTH_MAP = "depth map"
    """A depth map that the user gave."""
    SENSOR = "sensor"
    """Pixels that a sensor measured."""
    SENSOR_GAP = "sensor gap"
    """Depth that was filled between the pixels of a sensor, at one point or more."""
    RECTANGLE = "rectangle"
    """The corners of a known rectangle, without depth."""
    KNOWN = "known"
    """A size that the user gave."""


class Quantity(StrEnum):
    """Quantity that is measured."""

    DISTANCE = "distance"
    RELATIVE_DISTANCE = "relative distance"
    """Distance over the median distance of the photograph, if no size is known."""
    LENGTH = "length"
    HEIGHT = "height"
    """Height above the visible floor."""
    HEIGHT_ABOVE_PLANE = "height above the plane"
    """Height above the plane of a known rectangle."""
    AREA = "area"
    ANGLE = "angle"


_UNITS = {
    Quantity.DISTANCE: "m",
    Quantity.RELATIVE_DISTANCE: "× the median distance",
    Quantity.LENGTH: "m",
    Quantity.HEIGHT: "m",
    Quantity.HEIGHT_ABOVE_PLANE: "m",
    Quantity.AREA: "m²",
    Quantity.ANGLE: "°",
}
_PLANAR_QUANTITIES = (Quantity.DISTANCE, Quantity.LENGTH, Quantity.AREA)
"""Quantities that the corners of a known rectangle can measure in its plane."""

_KNOWN_OPTIONS = AnyOf(
    OptionName("known_length", "U1,V1,U2,V2,METRES"), OptionName("known", "U,V,METRES")
)
_CAMERA_OPTIONS = AnyOf(OptionName("camera", "..."), OptionName("fov", "..."))
_BY_CORNERS = "measured in the plane of the known rectangle, by its corners and without the network"
_IN_PLANE_HINT = Text(
    "of points in the plane of the known rectangle, ",
    OptionName("in_plane"),
    " measures by its corners",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Quantity measured on a surface.

    Attributes:
        what: The quantity, which is also a text, such as "length".
        value: Value, in ``unit``.
        low: Lower end of the range in which eight in ten such measurements lie.
        high: Upper end.
        origin: Where the number comes from.
        remarks: Remarks, a sentence each.
    """

    what: Quantity
    value: float
    low: float
    high: float
    origin: MeasurementOrigin = MeasurementOrigin.NETWORK
    remarks: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Unit of ``value``: metres, square metres, degrees, or the median distance."""
        return _UNITS[self.what]

    def __str__(self) -> str:
        name = "height above the floor" if self.what == Quantity.HEIGHT else self.what
        return f"{name}: {self.text}"

    @property
    def text(self) -> str:
        """Value and range, such as ``0.82 m (0.71 to 0.95)``."""
        return self.text_in(self.unit)

    def text_in(self, unit: str) -> str:
        """Value and range with another name of the unit; numbers are not converted."""
        digits = _decimal_places(self.high - self.low)
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        space = "" if self.what == Quantity.ANGLE else " "
        return f"{value}{space}{unit} ({low} to {high})"


def _decimal_places(range_width: float) -> int:
    """Decimal places that show a fifth of a range, at most 6; 3 for a range of no width."""
    if not (range_width > 0 and math.isfinite(range_width)):
        return 3
    return min(6, max(0, math.ceil(-math.log10(range_width / 5))))


def distance(prediction: PredictionRecord, point: Point, *, in_plane: bool = False) -> Measurement:
    """Measure the distance from the camera to what a pixel shows [m].

    If depth is not in metres, it is relative to the median distance of the photograph. With
    ``in_plane`` the point lies in the plane of the nearest known rectangle.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If the point has no depth.
    """
    _require_known_shift(prediction)
    camera = prediction.known_camera
    [pixel] = _check_pixels(prediction, (point,))
    planar_measurement = measure_in_rectangle_plane(
        Quantity.DISTANCE, prediction, (point,), in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    position = ray(camera, pixel) * median_around(prediction.depth, pixel)
    metres = float(np.linalg.norm(position))
    if prediction.depth.kind is not DepthKind.METRIC:
        return _relative_distance(prediction, point, metres, position)

    user_metres = user_distance_at(prediction, pixel)
    if user_metres is not None:
        return _measurement_of_known(Quantity.DISTANCE, metres, user_metres)
    error = log_error_of_distance(prediction, position)
    error = math.hypot(error, _log_error_around(prediction, pixel))
    return _measurement_by_depth(Quantity.DISTANCE, metres, error, prediction, (point,))


def _log_error_around(prediction: PredictionRecord, pixel: Pixel) -> float:
    """Log error of depth by placing a point by hand; 0 of a network, whose range contains it."""
    if prediction.instrument is None:
        return 0.0
    value = median_around(prediction.depth, pixel)
    return math.log1p(window_error(prediction.depth, pixel, value))


def _relative_distance(
    prediction: PredictionRecord, point: Point, distance: float, position: Vector
) -> Measurement:
    ratio = distance / _median_distance(prediction)
    error = log_error_of_ratio(prediction, ratio, position)
    measurement = _measurement_by_depth(
        Quantity.RELATIVE_DISTANCE, ratio, error, prediction, (point,)
    )
    return _add_remark(measurement, Note(Text("metres need one known size: ", _KNOWN_OPTIONS)))


_MEDIAN_PIXELS = 40_000
"""Number of pixels over which the median distance is taken, for speed."""


def _median_distance(prediction: PredictionRecord) -> float:
    """Median distance from the camera over all surfaces, in the unit of depth."""
    height, width = prediction.shape
    step = max(1, math.isqrt(height * width // _MEDIAN_PIXELS))
    grid = np.s_[::step, ::step]
    is_surface = prediction.depth.valid[grid].copy()
    if prediction.sky is not None:
        is_surface &= ~prediction.sky[grid]

    depth = np.where(is_surface, prediction.depth.values[grid], 1).astype(np.float64)
    rows, columns = range(0, height, step), range(0, width, step)
    points = prediction.known_camera.points(depth, rows=rows, columns=columns)
    return float(np.median(np.linalg.norm(points, axis=0)[is_surface]))


def length(
    prediction: PredictionRecord, first: Point, second: Point, *, in_plane: bool = False
) -> Measurement:
    """Measure the straight distance between two points [m].

    With ``in_plane`` both lie in the plane of the nearest known rectangle.

    Raises:
        CalibrationError: If depth is not in metres, or a point has none.
        OptionError: If both points are on one pixel.
    """
    camera = metric_camera(prediction)
    start, end = _check_pixels(prediction, (first, second))
    _require_two_pixels(start, end, prediction.shape)
    planar_measurement = measure_in_rectangle_plane(
        Quantity.LENGTH, prediction, (first, second), in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    start_depth, end_depth = values_at_ends(prediction.depth, start, end, camera)
    start_position, end_position = ray(camera, start) * start_depth, ray(camera, end) * end_depth
    metres = float(np.linalg.norm(end_position - start_position))

    user_metres = user_length_between(prediction, start, end)
    if user_metres is not None:
        return _measurement_of_known(Quantity.LENGTH, metres, user_metres)
    error = log_error_of_length(prediction, start_position, end_position)
    placing_error = _log_error_of_ends(
        prediction, (start, end), (start_depth, end_depth), (start_position, end_position)
    )
    error = math.hypot(error, placing_error)
    return _measurement_by_depth(Quantity.LENGTH, metres, error, prediction, (first, second))


def _log_error_of_ends(
    prediction: PredictionRecord,
    pixels: tuple[Pixel, Pixel],
    depths: tuple[float, float],
    positions: tuple[Vector, Vector],
) -> float:
    """Log error of a length by placing its ends by hand; 0 of a network, whose range has it."""
    if prediction.instrument is None:
        return 0.0
    if ends_on_straight_surface(prediction.depth, *pixels, prediction.known_camera) is None:
        error = error_between_points(prediction, pixels, positions)
    else:
        error = error_along_line(pixels, depths)
    return math.log1p(error)


def _require_two_pixels(start: Pixel, end: Pixel, shape: tuple[int, int]) -> None:
    """Raise ``OptionError`` if both ends of a length are on one pixel."""
    if math.hypot(end.u - start.u, end.v - start.v) >= 1:
        return
    note = normalized_points_note(((start.u, start.v), (end.u, end.v)), shape)
    raise OptionError(
        f"{start.name} and {end.name} lie on the same pixel: {note or 'a length has two ends'}"
    )


_SAME_AS_KNOWN = 1e-3
"""Relative difference below which a measurement of a known size shows the known number."""


def _measurement_of_known(quantity: Quantity, metres: float, known_metres: float) -> Measurement:
    """Measurement of a size that the user gave, which shows how well depth was fitted to it."""
    if abs(metres - known_metres) < _SAME_AS_KNOWN * known_metres:
        metres = known_metres
    return Measurement(
        what=quantity,
        value=metres,
        low=min(metres, known_metres),
        high=max(metres, known_metres),
        origin=MeasurementOrigin.KNOWN,
        remarks=(f"this {quantity} is known: {known_metres:g} m",),
    )


def height(prediction: PredictionRecord, point: Point) -> Measurement:
    """Measure the height of a point above the visible floor [m], negative below it.

    Raises:
        CalibrationError: If depth is not in metres, the point has none, or no floor is visible.
    """
    camera = metric_camera(prediction)
    [pixel] = _check_pixels(prediction, (point,))
    position = ray(camera, pixel) * median_around(prediction.depth, pixel)
    floor = find_floor(prediction.depth, camera, normals=prediction.normals)
    metres = float(position @ floor.normal) + floor.height
    foot = position - metres * floor.normal

    error = log_error_of_length(prediction, position, foot)
    if prediction.instrument is not None:
        placing_error = error_between_points(prediction, (pixel,), (position,), foot)
        error = math.hypot(error, math.log1p(placing_error))
    measurement = _measurement_by_depth(Quantity.HEIGHT, metres, error, prediction, (point,))
    if metres > 0:
        return measurement
    # The ends of the range were computed for a positive value.
    ordered = replace(measurement, low=measurement.high, high=measurement.low)
    return _add_remark(ordered, "it lies below the floor that was found")


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
    if not parse_known_rectangles(prediction):
        raise OptionError(
            "a height above the plane of a known rectangle needs one",
            hint=Text("give ", OptionName("known_rectangle", "...")),
        )
    points = (top,) if foot is None else (top, foot)
    _check_pixels(prediction, points)
    plane = _plane_of_points(prediction, points[-1:], outside=True)
    assert plane is not None, "the nearest rectangle is taken if none holds the points"
    if foot is not None:
        return _height_over_foot(plane, top, foot)
    return _height_by_depth(prediction, plane, top)


_MIN_SIDE_VIEW = 0.05
"""Least sine of the angle between the ray of a top and the normal of its plane."""
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
    return _add_remark(
        measurement,
        f"the top does not stand straight above the foot: it passes the line above it at "
        f"{_height_text(lean)}",
    )


def _height_and_lean(
    fit: RectangleFit, rectangle_index: int, pixels: Points
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
    """Height of a top above the plane of a rectangle, by depth that is fitted to the plane."""
    relief = relief_above_plane(prediction, plane.fit, plane.pose, _named_pixels([top]))
    [height] = relief.heights.tolist()
    origin = origin_of_points(prediction, [top])
    if prediction.instrument is not None:
        error = relief.camera_distance * relief.noise
        return Measurement(
            what=Quantity.HEIGHT_ABOVE_PLANE,
            value=height,
            low=height - error,
            high=height + error,
            origin=origin,
            remarks=instrument_remarks(prediction, [top]),
        )
    # Networks show too little of a height, so it may be more, on the side where it is seen.
    unseen = relief.unseen_height
    return Measurement(
        what=Quantity.HEIGHT_ABOVE_PLANE,
        value=height,
        low=min(0.0, 2 * height, -unseen if height <= 0 else 0.0),
        high=max(0.0, 2 * height, unseen if height >= 0 else 0.0),
        origin=origin,
        remarks=(
            "by the network's depth, which hardly shows low relief: name the foot of the point in "
            "the plane too, and the height follows from the corners alone",
        ),
    )


FLAT = 0.05
"""Largest relative difference of a flat surface's depth from a plane, as a median."""


def area(
    prediction: PredictionRecord, corners: Sequence[Point], *, in_plane: bool = False
) -> Measurement:
    """Measure the area of a flat polygon [m²], on a plane fitted to the depth inside.

    Corners are in order. With ``in_plane`` they lie in the plane of the nearest known rectangle.

    Raises:
        OptionError: If there are fewer than three corners.
        CalibrationError: If depth is not in metres, a corner lies outside, or depth is too little.
    """
    camera = metric_camera(prediction)
    if len(corners) < 3:
        raise OptionError(f"an area has three corners or more, got {len(corners)}")
    pixels = _check_pixels(prediction, corners)
    planar_measurement = measure_in_rectangle_plane(
        Quantity.AREA, prediction, corners, in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    plane, misfit = _fit_plane(prediction, _polygon_mask(prediction.shape, corners))
    positions = _positions_on_plane(plane, camera, pixels)
    square_metres = _polygon_area(positions)

    # An area is a product of two lengths, whose errors come from the same factor.
    error = 2 * _median_side_error(prediction, pixels, positions)
    measurement = _measurement_by_depth(Quantity.AREA, square_metres, error, prediction, corners)
    if misfit <= FLAT:
        return measurement
    return _add_remark(
        measurement,
        f"the outline is not flat: its depth is off the plane by {100 * misfit:.0f} % (median)",
    )


def _positions_on_plane(plane: Vector, camera: Camera, pixels: Sequence[Pixel]) -> Points:
    """Points of a plane that pixels see [m]."""
    rays = [ray(camera, pixel) for pixel in pixels]
    depths = [1 / float(plane @ direction) for direction in rays]
    if min(depths) <= 0:
        raise CalibrationError("the plane inside of the outline passes behind the camera")
    return np.array([direction * depth for direction, depth in zip(rays, depths, strict=True)])


def _polygon_area(corners: Points) -> float:
    """Area of a flat polygon in space."""
    crossed = np.cross(corners, np.roll(corners, -1, axis=0)).sum(axis=0)
    return float(np.linalg.norm(crossed)) / 2


def _median_side_error(
    prediction: PredictionRecord, pixels: Sequence[Pixel], corners: Points
) -> float:
    """Median of the log errors of the sides of a polygon."""
    grounds = compute_error_grounds(prediction)
    depths = prediction.known_camera.depth_of(corners.T)
    errors: list[float] = []
    for start in range(len(corners)):
        end = (start + 1) % len(corners)
        error = log_error_of_length(prediction, corners[start], corners[end], grounds)
        if prediction.instrument is not None:
            ends, end_depths = (pixels[start], pixels[end]), (depths[start], depths[end])
            error = math.hypot(error, math.log1p(error_along_line(ends, end_depths)))
        errors.append(error)
    return float(np.median(errors))


def angle(prediction: PredictionRecord, first: Point, second: Point) -> Measurement:
    """Measure the angle between the normals of two surfaces, 0 to 180 degrees; two walls give 90.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If a point has no depth, or too little around it.
    """
    _require_known_shift(prediction)
    first_pixel, second_pixel = _check_pixels(prediction, (first, second))
    first_normal, first_misfit = _fit_normal(prediction, first_pixel)
    second_normal, second_misfit = _fit_normal(prediction, second_pixel)

    cosine = float(np.clip(first_normal @ second_normal, -1, 1))
    degrees = math.degrees(math.acos(cosine))
    error = _angle_error(prediction, (first_pixel, second_pixel))
    measurement = Measurement(
        what=Quantity.ANGLE,
        value=degrees,
        low=max(0.0, degrees - error),
        high=min(180.0, degrees + error),
        origin=origin_of_points(prediction, (first, second)),
        remarks=(
            *camera_and_point_remarks(prediction, (first, second)),
            *instrument_remarks(prediction, (first, second)),
        ),
    )
    if max(first_misfit, second_misfit) <= FLAT:
        return measurement
    return _add_remark(measurement, "a surface is not flat there")


def _angle_error(prediction: PredictionRecord, pixels: Sequence[Pixel]) -> float:
    """Error of the angle between the surfaces at pixels [degrees]."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is None:
        return angle_error(is_anchored=anchoring_misfit(prediction) is not None)
    camera = prediction.known_camera
    positions = [ray(camera, pixel) * median_around(prediction.depth, pixel) for pixel in pixels]
    return by_instrument.angle_error(positions)


def _require_known_shift(prediction: PredictionRecord) -> None:
    """Raise ``InputError`` if the depth has an unknown shift."""
    prediction.depth.depth()


def _fit_normal(prediction: PredictionRecord, pixel: Pixel) -> tuple[Vector, float]:
    """Normal of the surface around a pixel, and the median relative misfit of depth there."""
    require_depth(prediction.depth, pixel)
    plane, misfit = _fit_plane(prediction, _disc_mask(prediction.shape, pixel))
    return plane / np.linalg.norm(plane), misfit


def metric_camera(prediction: PredictionRecord) -> Camera:
    """Camera of a prediction in metres.

    Raises:
        CalibrationError: If depth is not in metres.
    """
    if prediction.depth.kind is not DepthKind.METRIC:
        raise CalibrationError(
            problem=Text(
                f"depth is of kind '{prediction.depth.kind}', so sizes are not known: give one "
                "known length or distance, ",
                _KNOWN_OPTIONS,
            )
        )
    return prediction.known_camera


def _check_pixels(prediction: PredictionRecord, points: Sequence[Point]) -> list[Pixel]:
    """Pixels of points; raises for those outside of the photograph or on the sky."""
    for u, v in points:
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point {u:g},{v:g}: column and row are finite numbers of pixels")

    pixels = [Pixel(float(u), float(v), f"point {u:g},{v:g}") for u, v in points]
    for pixel in pixels:
        index = pixel_index(prediction.depth, pixel)
        if prediction.sky is not None and prediction.sky[index]:
            raise CalibrationError(
                f"{pixel.name} lies on the sky, which has no distance: choose a point on something"
            )
    return pixels


def _measurement_by_depth(
    quantity: Quantity,
    value: float,
    error: float,
    prediction: PredictionRecord,
    points: Sequence[Point],
) -> Measurement:
    remarks = (
        *camera_and_point_remarks(prediction, points),
        *instrument_remarks(prediction, points),
    )
    if quantity in _PLANAR_QUANTITIES and parse_known_rectangles(prediction):
        remarks = (*remarks, _by_depth_remark(prediction, points))
    measurement = measurement_with_range(quantity, value, error, remarks)
    return replace(measurement, origin=origin_of_points(prediction, points))


def origin_of_points(prediction: PredictionRecord, points: Sequence[Point]) -> MeasurementOrigin:
    """Where the depth of points comes from; one in a gap of a sensor decides."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is None:
        return MeasurementOrigin.NETWORK
    if by_instrument.instrument.source is DepthSource.DEPTH_MAP:
        return MeasurementOrigin.DEPTH_MAP
    is_in_gap = [by_instrument.is_in_gap(Pixel(u, v, "")) for u, v in points]
    return MeasurementOrigin.SENSOR_GAP if any(is_in_gap) else MeasurementOrigin.SENSOR


def instrument_remarks(
    prediction: PredictionRecord, points: Sequence[Point] = ()
) -> tuple[str, ...]:
    """Remarks on an instrument's error that nobody stated, and on points in a sensor's gaps."""
    instrument, remarks = prediction.instrument, list[str]()
    if instrument is None:
        return ()
    if instrument.is_assumed:
        remarks.append(
            Note(
                f"the range assumes that 8 in 10 depths of the {instrument.source} are within "
                f"{instrument.error}",
                hint=Text(OptionName("depth_error", "1%"), " states its error"),
            )
        )
    if origin_of_points(prediction, points) is MeasurementOrigin.SENSOR_GAP:
        remarks.append("a point lies in a gap of the sensor, whose depth the network filled")
    return tuple(remarks)


def measurement_with_range(
    quantity: Quantity, value: float, log_error: float, remarks: tuple[str, ...] = ()
) -> Measurement:
    """Measurement of a positive value, whose range is a factor exp(``log_error``) to each side."""
    factor = math.exp(log_error)
    return Measurement(
        what=quantity, value=value, low=value / factor, high=value * factor, remarks=remarks
    )


def camera_and_point_remarks(
    prediction: PredictionRecord, points: Sequence[Point]
) -> tuple[str, ...]:
    """Remarks on an assumed focal length, and on points that are hardly in pixels."""
    remarks: list[str] = []
    if prediction.known_camera.source is CameraSource.ASSUMED:
        remarks.append(
            Note(Text("the focal length is assumed: ", _CAMERA_OPTIONS, " narrows the range"))
        )
    note = normalized_points_note(points, prediction.shape)
    if note is not None:
        remarks.append(note)
    return tuple(remarks)


def _add_remark(measurement: Measurement, remark: str) -> Measurement:
    return replace(measurement, remarks=(*measurement.remarks, remark))


_DISC_RADIUS = 0.04
"""Radius of the disc to which a surface is fitted, in widths of the picture."""
_MIN_DISC_RADIUS = 2.0
"""Least radius of such a disc [px]."""
_MIN_PLANE_PIXELS = 12
"""Fewest pixels with depth to which a plane is fitted."""
_PLANE_FIT_ROUNDS = 10
_MIN_PLANE_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""


def _polygon_mask(shape: tuple[int, int], corners: Sequence[Point]) -> Mask:
    height, width = shape
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([(float(u), float(v)) for u, v in corners], fill=1)
    return np.array(mask, dtype=bool)


def _disc_mask(shape: tuple[int, int], centre: Pixel) -> Mask:
    height, width = shape
    v, u = np.ogrid[:height, :width]
    radius = max(_MIN_DISC_RADIUS, _DISC_RADIUS * width)
    return np.hypot(u - centre.u, v - centre.v) <= radius


def _fit_plane(prediction: PredictionRecord, mask: Mask) -> tuple[Vector, float]:
    """Fit a plane to the surface inside of a mask.

    Returns:
        The vector m of the plane m · p = 1, which is its normal over its distance, and the median
        relative misfit of depth.

    Raises:
        CalibrationError: If too few pixels have depth.
    """
    is_surface = mask & prediction.depth.valid
    if prediction.sky is not None:
        is_surface &= ~prediction.sky
    count = int(is_surface.sum())
    if count < _MIN_PLANE_PIXELS:
        raise CalibrationError(
            f"{count} pixels with depth lie there, and a plane takes {_MIN_PLANE_PIXELS}: "
            "choose a larger surface"
        )

    points = _surface_points(prediction, is_surface)
    weight = np.ones(len(points))
    plane = np.zeros(3)
    # Least absolute residuals of inverse depth, by reweighting: objects before a wall tilt it
    # little.
    for _ in range(_PLANE_FIT_ROUNDS):
        plane = np.linalg.lstsq(points * weight[:, None], weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(points @ plane - 1), _MIN_PLANE_MISFIT))
    return plane, float(np.median(np.abs(points @ plane - 1)))


def _surface_points(prediction: PredictionRecord, is_surface: Mask) -> Points:
    """Points of the pixels of a mask, computed within its bounding box alone."""
    rows = np.flatnonzero(is_surface.any(axis=1))
    columns = np.flatnonzero(is_surface.any(axis=0))
    row_range = range(rows[0], rows[-1] + 1)
    column_range = range(columns[0], columns[-1] + 1)
    box = np.s_[row_range.start : row_range.stop, column_range.start : column_range.stop]

    depth = np.where(is_surface[box], prediction.depth.values[box], 1).astype(np.float64)
    points = prediction.known_camera.points(depth, rows=row_range, columns=column_range)
    return points[:, is_surface[box]].T


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
    rectangles = parse_known_rectangles(prediction)
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
    if prediction.instrument is not None:
        return None
    return _measure_raised(measurement, plane, points, relief)


def _plane_of_points(
    prediction: PredictionRecord, points: Sequence[Point], *, outside: bool
) -> _PlaneOfRectangle | None:
    """Plane of the nearest rectangle that holds all points, or if ``outside`` of the nearest.

    Raises:
        CalibrationError: If a point is beyond the horizon of the plane.
    """
    rectangles = parse_known_rectangles(prediction)
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
            f"the {quantity} in the rectangle's plane is {value:.2g} {_UNITS[quantity]} "
            "and less than its error: choose points farther apart, and those of an area not on "
            "one line"
        )
    measurement = measurement_with_range(
        quantity, value, _RANGE_DEVIATIONS * deviation / value, (_BY_CORNERS,)
    )
    return replace(measurement, origin=MeasurementOrigin.RECTANGLE)


def _with_unseen_relief(measurement: Measurement, relief: PlaneRelief) -> Measurement:
    """Widen the range in the plane by what depth cannot tell of the points' height above it."""
    power = 2 if measurement.what == Quantity.AREA else 1
    log_error = math.hypot(math.log(measurement.high / measurement.value), power * relief.noise)
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
    return _add_remark(widened, remark)


def _measure_raised(
    in_plane: Measurement, plane: _PlaneOfRectangle, points: Sequence[Point], relief: PlaneRelief
) -> Measurement:
    """Measure points that a network shows above or below the plane of a rectangle.

    Networks show too little relief, so the range goes from the plane to twice the relief, or to
    what they may miss altogether.
    """
    in_plane_positions = _points_on_plane(plane.fit, plane.pose, np.array(points, np.float64))
    positions = in_plane_positions * np.exp(-relief.values)[:, None]
    power = 2 if in_plane.what == Quantity.AREA else 1
    value = _quantity_of_positions(in_plane.what, positions)
    nearest, farthest = relief.unseen_factors
    further = float(np.exp(np.abs(relief.values).max()))

    lows, highs = [in_plane.low, value], [in_plane.high, value]
    if relief.values.max() > 0:
        lows += [in_plane.low * nearest**power, value / further**power]
    if relief.values.min() < 0:
        highs += [in_plane.high * farthest**power, value * further**power]
    remarks = (
        _off_plane_text(relief),
        Note("measured by the network's depth, fitted to the rectangle", hint=_IN_PLANE_HINT),
    )
    return Measurement(
        what=in_plane.what, value=value, low=min(lows), high=max(highs), remarks=remarks
    )


def _off_plane_text(relief: PlaneRelief) -> str:
    """Sentence on the point that stands highest above or lowest below the plane."""
    height = float(relief.heights[np.abs(relief.heights).argmax()])
    side = "above" if height > 0 else "below"
    return f"a point stands {_height_text(abs(height))} {side} the plane of the known rectangle"


def _height_text(height: float) -> str:
    return f"{1000 * height:.2g} mm" if height < 0.1 else f"{height:.2g} m"


def _by_depth_remark(prediction: PredictionRecord, points: Sequence[Point]) -> str:
    """Remark on a measurement by depth where a rectangle is known."""
    source = "the network's depth"
    if prediction.instrument is not None:
        source = f"the {prediction.instrument.source}"
    with suppress(CalibrationError):
        plane = _plane_of_points(prediction, points, outside=False)
        if plane is not None:
            relief = relief_above_plane(prediction, plane.fit, plane.pose, _named_pixels(points))
            if not relief.is_flat:
                return Note(f"{_off_plane_text(relief)}, so it is measured by {source}")
    return Note(f"measured by {source}", hint=_IN_PLANE_HINT)


def _is_known_well_enough(value: float, deviation: float) -> bool:
    """Whether a quantity clearly exceeds its error; not if one of them is NaN."""
    if math.isnan(value) or math.isnan(deviation):
        return False
    return deviation < _MAX_RELATIVE_DEVIATION * value


def _fit_with_camera(
    rectangles: Sequence[KnownRectangle], prediction: PredictionRecord
) -> RectangleFit:
    """Fit rectangles, and the focal length too unless it was given."""
    camera = prediction.known_camera
    is_free = camera.source in (*FREE, CameraSource.RECTANGLE, CameraSource.MARKERS)
    return fit_rectangles(rectangles, camera, prediction.shape if is_free else None)


def _nearest_rectangle(
    fit: RectangleFit, rectangles: Sequence[KnownRectangle], pixels: Points, *, outside: bool
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


def _largest_offset(fit: RectangleFit, pose: RectanglePose, pixels: Points) -> float:
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


def _points_on_plane(fit: RectangleFit, pose: RectanglePose, pixels: Points) -> Points:
    rays = fit.camera.rays(pixels.T)
    return (rays * pose.depths(rays)).T


def quantity_in_plane(
    quantity: Quantity, fit: RectangleFit, rectangle_index: int, pixels: Points
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
    return _polygon_area(positions)


def deviation_in_plane(
    quantity: Quantity, fit: RectangleFit, rectangle_index: int, pixels: Points
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
    measure: Callable[[RectangleFit, Points], float],
    fit: RectangleFit,
    rectangle_index: int,
    pixels: Points,
) -> float:
    """Standard deviation of a quantity by the errors of a fit and of points, to first order."""
    no_fit_step, no_pixel_step = np.zeros(len(fit.covariance)), np.zeros(pixels.shape)

    def derivative(fit_step: Values, pixel_step: Float64[np.ndarray, "n 2"]) -> float:
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
