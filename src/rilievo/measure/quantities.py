"""Distances, lengths, heights, areas and angles between points of a photograph, with ranges.

They are measured by depth, or in the plane of a known rectangle (``rectangle_plane``). Eight in ten
measurements by depth lie in the range, which follows from ``measure.ranges`` for a network, and
from ``instrument_ranges`` for a given map or a sensor.

Points are (column, row) [px] of the photograph; vectors are in the camera frame [m].
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rilievo.arrays.shapes import Points, Vector
from rilievo.calibration.floor import find_floor
from rilievo.calibration.points import Floor
from rilievo.calibration.readings import (
    Pixel,
    end_values_of_line,
    ends_on_straight_surface,
    median_around,
    normalized_points_note,
    pixel_centre,
    ray,
)
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import Note, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.expected_errors import (
    anchoring_misfit,
    known_size_evidence,
    log_error_beside_foot,
    log_error_of_distance,
    log_error_of_distance_ratio,
    log_error_of_length,
    require_certain_height,
)
from rilievo.measure.instrument_ranges import InstrumentRanges, instrument_ranges
from rilievo.measure.known_sizes import known_distance_at, known_length_between, known_rectangles
from rilievo.measure.masks import surface_pixels
from rilievo.measure.measured_points import (
    KNOWN_OPTIONS,
    check_pixels,
    depth_remarks,
    metric_camera,
    origin_of_points,
)
from rilievo.measure.measurements import (
    Measurement,
    MeasurementOrigin,
    Point,
    Quantity,
    add_remark,
    measurement_with_range,
)
from rilievo.measure.placing_errors import (
    error_along_line,
    error_between_points,
    height_placing_error,
    window_error,
)
from rilievo.measure.plane_support import measure_support
from rilievo.measure.polygons import polygon_area, polygon_mask, require_simple_outline
from rilievo.measure.ranges import angle_error
from rilievo.measure.rectangle_plane import (
    depth_instead_of_corners_remark,
    measure_in_rectangle_plane,
)
from rilievo.measure.surface_planes import (
    BEND_PER_ERROR,
    MAX_FLAT_MISFIT,
    MIN_BEND,
    SurfacePlane,
    fit_surface_around,
    fit_surface_plane,
    surface_bend,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import PredictionRecord

_PLANAR_QUANTITIES = (Quantity.DISTANCE, Quantity.LENGTH, Quantity.AREA)
"""Quantities that the corners of a known rectangle can measure in its plane."""


def distance(prediction: PredictionRecord, point: Point, *, in_plane: bool = False) -> Measurement:
    """Measure the distance from the camera to what a pixel shows [m].

    If depth is not in metres, it is relative to the median distance of the photograph. With
    ``in_plane`` the point lies in the plane of the nearest known rectangle.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If the point has no depth, or metres from the camera's height are too
            uncertain.
    """
    _require_known_shift(prediction)
    camera = prediction.known_camera
    require_certain_height(prediction.calibration)
    [pixel] = check_pixels(prediction, (point,))
    planar_measurement = measure_in_rectangle_plane(
        Quantity.DISTANCE, prediction, (point,), in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    # Only metric depth gives metres; other depth gives a distance in an unknown unit.
    position = ray(camera, pixel) * median_around(prediction.depth, pixel)
    metres = float(np.linalg.norm(position))
    if prediction.depth.kind is not DepthKind.METRIC:
        return _relative_distance(prediction, point, metres, position)

    user_metres = known_distance_at(prediction, pixel)
    if user_metres is not None and prediction.instrument is None:
        return _measure_known_size(Quantity.DISTANCE, metres, user_metres)
    error = log_error_of_distance(prediction, position)
    error = math.hypot(error, _placing_log_error(prediction, pixel))
    measured = _make_measurement_by_depth(Quantity.DISTANCE, metres, error, prediction, (point,))
    return _compare_with_known(prediction, measured, user_metres)


def _placing_log_error(prediction: PredictionRecord, pixel: Pixel) -> float:
    """Log error of depth because the point was placed by hand.

    It is 0 for a network's depth, because the learned ranges already contain this error.
    """
    if prediction.instrument is None:
        return 0.0
    depth = median_around(prediction.depth, pixel)
    return math.log1p(window_error(prediction.depth, pixel, depth))


def _relative_distance(
    prediction: PredictionRecord, point: Point, distance: float, position: Vector
) -> Measurement:
    """Measure a distance in the unit of depth as a multiple of the picture's median distance."""
    ratio = distance / _median_distance(prediction)
    error = log_error_of_distance_ratio(prediction, ratio, position)
    measurement = _make_measurement_by_depth(
        Quantity.RELATIVE_DISTANCE, ratio, error, prediction, (point,)
    )
    return add_remark(
        measurement, Note(Text("to get metres, give one known size: ", KNOWN_OPTIONS))
    )


_MEDIAN_PIXELS = 40_000
"""Number of pixels over which the median distance is taken, for speed."""


def _median_distance(prediction: PredictionRecord) -> float:
    """Median distance from the camera over all surfaces, in the unit of depth."""
    height, width = prediction.shape
    step = max(1, math.isqrt(height * width // _MEDIAN_PIXELS))
    grid = np.s_[::step, ::step]
    is_surface = surface_pixels(prediction)[grid]
    # Pixels without a surface get any finite depth; the median leaves them out.
    depth = np.where(is_surface, prediction.depth.values[grid], 1).astype(np.float64)
    rows, columns = range(0, height, step), range(0, width, step)
    points = prediction.known_camera.points(depth, rows=rows, columns=columns)
    return float(np.median(np.linalg.norm(points, axis=0)[is_surface]))


def length(
    prediction: PredictionRecord, first: Point, second: Point, *, in_plane: bool = False
) -> Measurement:
    """Measure the straight-line distance between two points [m].

    With ``in_plane`` both lie in the plane of the nearest known rectangle.

    Raises:
        CalibrationError: If depth is not in metres, or a point has none.
        OptionError: If both points are on one pixel.
    """
    camera = metric_camera(prediction)
    require_certain_height(prediction.calibration)
    start, end = check_pixels(prediction, (first, second))
    _require_two_pixels(start, end, prediction.shape)
    planar_measurement = measure_in_rectangle_plane(
        Quantity.LENGTH, prediction, (first, second), in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    is_measured = prediction.instrument is not None
    depths = end_values_of_line(
        prediction.depth, start, end, camera, require_match_at_ends=is_measured
    )
    positions = ray(camera, start) * depths[0], ray(camera, end) * depths[1]
    metres = float(np.linalg.norm(positions[1] - positions[0]))
    user_metres = known_length_between(prediction, start, end)
    if user_metres is not None and not is_measured:
        return _measure_known_size(Quantity.LENGTH, metres, user_metres)

    depth_error = log_error_of_length(prediction, *positions)
    placing_error = _placing_log_error_of_ends(prediction, (start, end), depths, positions)
    log_error = math.hypot(depth_error, placing_error)
    measured = _make_measurement_by_depth(
        Quantity.LENGTH, metres, log_error, prediction, (first, second)
    )
    return _compare_with_known(prediction, measured, user_metres)


def _placing_log_error_of_ends(
    prediction: PredictionRecord,
    pixels: tuple[Pixel, Pixel],
    depths: tuple[float, float],
    positions: tuple[Vector, Vector],
) -> float:
    """Log error of a length because its ends were placed by hand.

    It is 0 for a network's depth, because the learned ranges already contain this error.
    """
    if prediction.instrument is None:
        return 0.0
    depths_on_surface = ends_on_straight_surface(
        prediction.depth, *pixels, prediction.known_camera, require_match_at_ends=True
    )
    if depths_on_surface is None:
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
        f"{start.name} and {end.name} lie on the same pixel: "
        f"{note or 'a length needs two different points'}"
    )


_MAX_SAME_DIFFERENCE = 1e-3
"""Relative difference below which a measurement of a known size shows the known number."""


def _measure_known_size(
    quantity: Quantity, measured_metres: float, known_metres: float
) -> Measurement:
    """Measurement of a size that the user gave, which is its value.

    The range spans the measured and the known value, so its width shows how well depth fits. A
    remark gives the measured value if it differs.
    """
    is_same = abs(measured_metres - known_metres) < _MAX_SAME_DIFFERENCE * known_metres
    remark = f"this {quantity} is known to be {known_metres:g} m"
    if is_same:
        measured_metres = known_metres
    else:
        remark = f"{remark}; according to the depth, it would be {measured_metres:.3g} m"
    return Measurement(
        what=quantity,
        value=known_metres,
        low=min(measured_metres, known_metres),
        high=max(measured_metres, known_metres),
        origin=MeasurementOrigin.KNOWN,
        remarks=(remark,),
    )


def _compare_with_known(
    prediction: PredictionRecord, measured: Measurement, known_metres: float | None
) -> Measurement:
    """Compare a measurement by an instrument with the size that the user gave, if there is one.

    - A known size within the range replaces the measurement. If known sizes scaled the depth and
      leave this one off, the measurement stays, and a remark mentions the known size.
    - If the known size is outside of the range, either of them may be wrong, so the range is
      widened to contain both.
    """
    if known_metres is None:
        return measured
    quantity = measured.what
    instrument = prediction.instrument
    is_scaled_by_sizes = instrument is not None and bool(instrument.scale_errors)
    is_same = abs(measured.value - known_metres) < _MAX_SAME_DIFFERENCE * known_metres
    is_in_range = measured.low <= known_metres <= measured.high
    if is_in_range and is_scaled_by_sizes and not is_same:
        known_remark = f"this {quantity} is known to be {known_metres:g} m"
        return replace(measured, remarks=(known_remark, *measured.remarks))
    if is_in_range:
        return _measure_known_size(quantity, measured.value, known_metres)
    contradiction = (
        f"this {quantity} is known to be {known_metres:g} m, which contradicts the measured depth; "
        "the range contains both values"
    )
    return replace(
        measured,
        low=min(measured.low, known_metres),
        high=max(measured.high, known_metres),
        remarks=(contradiction, *measured.remarks),
    )


_NO_FLOOR_HINT = "measure the length between the point and its foot instead"


def height(prediction: PredictionRecord, point: Point) -> Measurement:
    """Measure the height of a point above the visible floor [m], negative below it.

    Raises:
        CalibrationError: If depth is not in metres, the point has none, or no floor is visible.
    """
    camera = metric_camera(prediction)
    require_certain_height(prediction.calibration)
    [pixel] = check_pixels(prediction, (point,))
    # A map has the depth of the pixel's centre, which on a slope differs from that of the point.
    centre = pixel_centre(pixel)
    position = ray(camera, centre) * median_around(prediction.depth, centre)
    try:
        floor = find_floor(prediction.depth, camera, normals=prediction.normals)
    except CalibrationError as error:
        # Known sizes, which its hint asks for, would not show the floor.
        raise CalibrationError(error.message, hint=_NO_FLOOR_HINT) from error
    height_metres = float(position @ floor.normal) + floor.height
    error_below, error_above = _height_errors(prediction, pixel, position, floor, height_metres)
    measurement = Measurement(
        what=Quantity.HEIGHT,
        value=height_metres,
        low=height_metres - error_below,
        high=height_metres + error_above,
        origin=origin_of_points(prediction, (point,)),
        remarks=depth_remarks(prediction, (point,)),
    )
    if measurement.high >= 0:  # It is not surely below.
        return measurement
    return add_remark(measurement, "the point is below the floor that was found")


def _height_errors(
    prediction: PredictionRecord, pixel: Pixel, position: Vector, floor: Floor, height: float
) -> tuple[float, float]:
    """Errors of a height above the floor, downwards and upwards [m].

    They contain the misfit of the floor's plane, so that they do not vanish at height 0.
    """
    floor_error = floor.misfit * abs(floor.height - height)
    ranges = instrument_ranges(prediction)
    if ranges is None:
        return _height_errors_by_network(prediction, position, floor, height, floor_error)
    support = measure_support(floor.points, floor.normal)
    depth_error = ranges.height_error(position, floor.normal, height, support)
    placing_error = height_placing_error(prediction, pixel, position, floor.normal)
    error = math.hypot(depth_error, placing_error, floor_error)
    return error, error


def _height_errors_by_network(
    prediction: PredictionRecord,
    position: Vector,
    floor: Floor,
    height: float,
    floor_error: float,
) -> tuple[float, float]:
    """Errors of a height by a network's depth and of the floor's plane, downwards and upwards [m].

    ``floor_error`` is that of the plane.
    """
    # The error of a length is a factor, so the height lies between height / factor and
    # height * factor, and the range reaches farther away from the floor than towards it.
    foot = position - height * floor.normal
    factor = math.exp(log_error_of_length(prediction, position, foot))
    error_towards_floor, error_away = abs(height) * (1 - 1 / factor), abs(height) * (factor - 1)
    if height >= 0:
        error_below, error_above = error_towards_floor, error_away
    else:
        error_below, error_above = error_away, error_towards_floor

    # A network may also put the point before or behind its place above the floor. The point then
    # moves on its ray, which scales its distance below the camera (negative above the horizon).
    shape_error = log_error_beside_foot(prediction, position, foot)
    below_camera = floor.height - height
    rise_if_farther = -below_camera * math.expm1(shape_error)
    rise_if_nearer = -below_camera * math.expm1(-shape_error)
    fall = -min(rise_if_farther, rise_if_nearer)
    rise = max(rise_if_farther, rise_if_nearer)
    return math.hypot(error_below, floor_error, fall), math.hypot(error_above, floor_error, rise)


def area(
    prediction: PredictionRecord, corners: Sequence[Point], *, in_plane: bool = False
) -> Measurement:
    """Measure the area of a flat polygon [m²], on a plane fitted to the depth inside.

    Corners are in order. With ``in_plane`` they lie in the plane of the nearest known rectangle.

    Raises:
        OptionError: If there are fewer than three corners, or the outline crosses itself.
        CalibrationError: If depth is not in metres, a corner lies outside, or depth is too little.
    """
    camera = metric_camera(prediction)
    require_certain_height(prediction.calibration)
    if len(corners) < 3:
        raise OptionError(f"an area needs at least three corners, got {len(corners)}")
    pixels = check_pixels(prediction, corners)
    require_simple_outline([(pixel.u, pixel.v) for pixel in pixels])
    planar_measurement = measure_in_rectangle_plane(
        Quantity.AREA, prediction, corners, in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    mask = polygon_mask(prediction.shape, corners)
    plane = fit_surface_plane(prediction, mask)
    positions = _positions_on_plane(plane, camera, pixels)
    square_metres = polygon_area(positions)

    # An area is a product of two lengths, whose errors come from the same factor.
    error = 2 * _median_side_error(prediction, pixels, positions)
    measurement = _make_measurement_by_depth(
        Quantity.AREA, square_metres, error, prediction, corners
    )
    offset = plane.misfit if plane.misfit > MAX_FLAT_MISFIT else 0.0
    bend = surface_bend(prediction, mask, plane)
    if bend > _max_bend_by_errors(prediction, pixels, plane):
        offset = max(offset, bend)
    if offset == 0:
        return measurement
    return add_remark(
        measurement,
        "the surface inside the outline is not flat: its depth deviates from a plane by "
        f"{100 * offset:.2g}%, and the area is that of the flat polygon in this plane",
    )


def _max_bend_by_errors(
    prediction: PredictionRecord, corners: Sequence[Pixel], plane: SurfacePlane
) -> float:
    """Largest bend that the errors of an instrument explain on a flat surface.

    It is infinite for a network's depth, which is bent on flat surfaces too.
    """
    ranges = instrument_ranges(prediction)
    if ranges is None or prediction.is_of_network:
        return math.inf
    instrument = ranges.instrument
    depth = abs(float(prediction.known_camera.depth_of(plane.support.middle)))
    varying_error = ranges.varying_fraction * instrument.error.relative_at(depth)
    rounding_error = instrument.rounding.relative_at(depth)
    has_filled_corner = any(ranges.is_in_gap(corner) for corner in corners)
    fill_error = ranges.fill_error if has_filled_corner else 0.0
    return max(MIN_BEND, BEND_PER_ERROR * math.hypot(varying_error, rounding_error, fill_error))


def _positions_on_plane(plane: SurfacePlane, camera: Camera, pixels: Sequence[Pixel]) -> Points:
    """Intersect the rays of pixels with a plane [m]."""
    rays = [ray(camera, pixel) for pixel in pixels]
    depths = [plane.camera_distance / float(plane.normal @ direction) for direction in rays]
    if min(depths) <= 0:
        raise CalibrationError(
            "the plane of the surface inside the outline passes behind the camera: choose a "
            "surface that is seen less obliquely"
        )
    return np.array([direction * depth for direction, depth in zip(rays, depths, strict=True)])


def _median_side_error(
    prediction: PredictionRecord, pixels: Sequence[Pixel], corners: Points
) -> float:
    """Median of the log errors of the sides of a polygon.

    ``pixels`` are its corners in the picture, and ``corners`` those in space [m].
    """
    evidence = known_size_evidence(prediction)
    depths = prediction.known_camera.depth_of(corners.T)
    side_errors: list[float] = []
    for start in range(len(corners)):
        end = (start + 1) % len(corners)
        error = log_error_of_length(prediction, corners[start], corners[end], evidence)
        if prediction.instrument is not None:
            relative_error = error_along_line(
                (pixels[start], pixels[end]), (depths[start], depths[end])
            )
            error = math.hypot(error, math.log1p(relative_error))
        side_errors.append(error)
    return float(np.median(side_errors))


def angle(prediction: PredictionRecord, first: Point, second: Point) -> Measurement:
    """Measure the angle between the normals of the surfaces at two points, 0 to 180 degrees.

    Normals point towards the camera. Surfaces that face the same way give 0, and two walls at right
    angles 90. The angle inside of a corner, such as that between a wall and a floor, is 180 degrees
    minus this one.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If a point has no depth, or too little around it.
    """
    _require_known_shift(prediction)
    pixels = check_pixels(prediction, (first, second))
    first_surface, second_surface = (fit_surface_around(prediction, pixel) for pixel in pixels)

    degrees = _degrees_between(first_surface.normal, second_surface.normal)
    low, high = _angle_range(prediction, first_surface, second_surface, degrees)
    measurement = Measurement(
        what=Quantity.ANGLE,
        value=degrees,
        low=low,
        high=high,
        origin=origin_of_points(prediction, (first, second)),
        remarks=depth_remarks(prediction, (first, second)),
    )
    # Where the surfaces may be parallel, they form no corner, and where they may be at right
    # angles, the angle inside of the corner is the same.
    may_be_parallel = low == 0 or high == 180
    may_be_right_angle = low <= 90 <= high
    if not (may_be_parallel or may_be_right_angle):
        measurement = add_remark(
            measurement,
            "this is the angle between the normals of the two surfaces; the angle inside "
            f"the corner that they form is {180 - degrees:.1f}°",
        )
    if max(first_surface.misfit, second_surface.misfit) <= MAX_FLAT_MISFIT:
        return measurement
    return add_remark(
        measurement,
        "at least one of the surfaces is not flat around its point, so the angle is uncertain",
    )


def _degrees_between(first: Vector, second: Vector) -> float:
    return math.degrees(math.acos(float(np.clip(first @ second, -1, 1))))


def _angle_range(
    prediction: PredictionRecord, first: SurfacePlane, second: SurfacePlane, degrees: float
) -> tuple[float, float]:
    """Range of the angle between two surfaces [degrees]."""
    ranges = instrument_ranges(prediction)
    if ranges is not None:
        return _angle_range_by_instrument(ranges, first, second, degrees)
    error = angle_error(is_anchored=anchoring_misfit(prediction) is not None)
    return max(0.0, degrees - error), min(180.0, degrees + error)


def _angle_range_by_instrument(
    ranges: InstrumentRanges, first: SurfacePlane, second: SurfacePlane, degrees: float
) -> tuple[float, float]:
    """Range of an angle between two surfaces by the errors of their tilts [degrees].

    Only tilts across the common edge of the surfaces change the angle, unless they are parallel.
    """
    common_edge = _unit_normal_to(first.normal, second.normal)
    first_across = np.cross(common_edge, first.normal)
    second_across = np.cross(common_edge, second.normal)
    errors_across = (
        ranges.tilt_error(first, first_across),
        ranges.tilt_error(second, second_across),
    )
    errors_along = (
        ranges.tilt_error(first, common_edge),
        ranges.tilt_error(second, common_edge),
    )
    # An error of the common scale tilts both surfaces, so only the difference changes the angle.
    first_tilts = ranges.tilts_by_scale(first, first_across)
    second_tilts = ranges.tilts_by_scale(second, second_across)
    scale_errors = [
        second_tilt - first_tilt
        for first_tilt, second_tilt in zip(first_tilts, second_tilts, strict=True)
    ]
    error = math.hypot(*errors_across, *scale_errors, ranges.guessed_focal_angle)
    # Two normals that are nearly the same differ by any tilt, whatever its direction, and the angle
    # between them is never negative. So where it may be 0, it has the error of all tilts.
    error_if_parallel = math.hypot(error, *errors_along)
    if degrees >= 180 - error_if_parallel:
        return max(0.0, degrees - error_if_parallel), 180.0
    if degrees <= error_if_parallel:
        return 0.0, min(180.0, degrees + error_if_parallel)
    return max(0.0, degrees - error), min(180.0, degrees + error)


_MAX_PARALLEL_SINE = 1e-6
"""Largest sine of the angle between two normals that count as parallel."""


def _unit_normal_to(first: Vector, second: Vector) -> Vector:
    """Unit vector at right angles to two unit vectors; any such one if they are parallel."""
    normal = np.cross(first, second)
    if np.linalg.norm(normal) < _MAX_PARALLEL_SINE:
        least_parallel_axis = np.eye(3)[np.argmin(np.abs(first))]
        normal = np.cross(first, least_parallel_axis)
    return normal / np.linalg.norm(normal)


def _require_known_shift(prediction: PredictionRecord) -> None:
    """Raise ``InputError`` if the depth has an unknown shift."""
    prediction.depth.depth()


def _make_measurement_by_depth(
    quantity: Quantity,
    value: float,
    log_error: float,
    prediction: PredictionRecord,
    points: Sequence[Point],
) -> Measurement:
    """Make a measurement with the origin of its depth and the remarks on it."""
    remarks = depth_remarks(prediction, points)
    # The corners of a known rectangle would have measured these better.
    if quantity in _PLANAR_QUANTITIES and known_rectangles(prediction):
        remarks = (*remarks, depth_instead_of_corners_remark(prediction, points))
    measurement = measurement_with_range(quantity, value, log_error, remarks)
    return replace(measurement, origin=origin_of_points(prediction, points))
