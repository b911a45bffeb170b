"""Distances, lengths, heights, areas and angles between points of a photograph, with ranges.

They are measured by depth, or in the plane of a known rectangle (``rectangle_plane``). Eight in ten
measurements by depth lie in the range, which follows from ``calibration.ranges`` for a network, and
from ``instrument_ranges`` for a given map or a sensor.

Points are (column, row) [px] of the photograph; vectors are in the camera frame [m].
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from rilievo.arrays.shapes import Mask, Points, Vector
from rilievo.calibration.certainty import refuse_uncertain_height
from rilievo.calibration.floor import find_floor
from rilievo.calibration.plane_support import support_of
from rilievo.calibration.points import Floor
from rilievo.calibration.ranges import angle_error
from rilievo.calibration.readings import (
    Pixel,
    ends_on_straight_surface,
    median_around,
    normalized_points_note,
    pixel_centre,
    ray,
    require_depth,
    values_at_ends,
)
from rilievo.errors import CalibrationError, OptionError
from rilievo.errors.messages import Note, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.expected_errors import (
    anchoring_misfit,
    known_size_evidence,
    log_error_of_distance,
    log_error_of_length,
    log_error_of_ratio,
)
from rilievo.measure.instrument_ranges import (
    SurfacePlane,
    error_along_line,
    error_between_points,
    height_placing_error,
    instrument_ranges,
    window_error,
)
from rilievo.measure.known_sizes import known_distance_at, known_length_between, known_rectangles
from rilievo.measure.measured_points import (
    KNOWN_OPTIONS,
    camera_and_point_remarks,
    check_pixels,
    instrument_remarks,
    metric_camera,
    origin_of_points,
    surface_pixels,
)
from rilievo.measure.measurements import (
    Measurement,
    MeasurementOrigin,
    Point,
    Quantity,
    add_remark,
    measurement_with_range,
)
from rilievo.measure.rectangle_plane import (
    by_depth_remark,
    measure_in_rectangle_plane,
    polygon_area,
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
    refuse_uncertain_height(prediction.calibration)
    [pixel] = check_pixels(prediction, (point,))
    planar_measurement = measure_in_rectangle_plane(
        Quantity.DISTANCE, prediction, (point,), in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    position = ray(camera, pixel) * median_around(prediction.depth, pixel)
    metres = float(np.linalg.norm(position))
    if prediction.depth.kind is not DepthKind.METRIC:
        return _relative_distance(prediction, point, metres, position)

    user_metres = known_distance_at(prediction, pixel)
    if user_metres is not None and prediction.instrument is None:
        return _measurement_of_known(Quantity.DISTANCE, metres, user_metres)
    error = log_error_of_distance(prediction, position)
    error = math.hypot(error, _log_error_around(prediction, pixel))
    measured = _measurement_by_depth(Quantity.DISTANCE, metres, error, prediction, (point,))
    return _compared_with_known(prediction, measured, user_metres)


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
    return add_remark(measurement, Note(Text("metres need one known size: ", KNOWN_OPTIONS)))


_MEDIAN_PIXELS = 40_000
"""Number of pixels over which the median distance is taken, for speed."""


def _median_distance(prediction: PredictionRecord) -> float:
    """Median distance from the camera over all surfaces, in the unit of depth."""
    height, width = prediction.shape
    step = max(1, math.isqrt(height * width // _MEDIAN_PIXELS))
    grid = np.s_[::step, ::step]
    is_surface = surface_pixels(prediction)[grid]
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
    refuse_uncertain_height(prediction.calibration)
    start, end = check_pixels(prediction, (first, second))
    _require_two_pixels(start, end, prediction.shape)
    planar_measurement = measure_in_rectangle_plane(
        Quantity.LENGTH, prediction, (first, second), in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    by_instrument = prediction.instrument is not None
    start_depth, end_depth = values_at_ends(
        prediction.depth, start, end, camera, must_meet_ends=by_instrument
    )
    start_position, end_position = ray(camera, start) * start_depth, ray(camera, end) * end_depth
    metres = float(np.linalg.norm(end_position - start_position))

    user_metres = known_length_between(prediction, start, end)
    if user_metres is not None and prediction.instrument is None:
        return _measurement_of_known(Quantity.LENGTH, metres, user_metres)
    error = log_error_of_length(prediction, start_position, end_position)
    placing_error = _log_error_of_ends(
        prediction, (start, end), (start_depth, end_depth), (start_position, end_position)
    )
    error = math.hypot(error, placing_error)
    measured = _measurement_by_depth(Quantity.LENGTH, metres, error, prediction, (first, second))
    return _compared_with_known(prediction, measured, user_metres)


def _log_error_of_ends(
    prediction: PredictionRecord,
    pixels: tuple[Pixel, Pixel],
    depths: tuple[float, float],
    positions: tuple[Vector, Vector],
) -> float:
    """Log error of a length by placing its ends by hand; 0 of a network, whose range has it."""
    if prediction.instrument is None:
        return 0.0
    on_surface = ends_on_straight_surface(
        prediction.depth, *pixels, prediction.known_camera, must_meet_ends=True
    )
    if on_surface is None:
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


def _compared_with_known(
    prediction: PredictionRecord, measured: Measurement, known_metres: float | None
) -> Measurement:
    """Measurement by an instrument of a size that the user gave, if it is known.

    Within the range, it is the known size, unless other known sizes gave the depth another scale.
    Otherwise either of them may be wrong, so the range contains both.
    """
    if known_metres is None:
        return measured
    quantity = measured.what
    instrument = prediction.instrument
    is_scaled_by_sizes = instrument is not None and bool(instrument.scale_errors)
    is_same = abs(measured.value - known_metres) < _SAME_AS_KNOWN * known_metres
    if is_scaled_by_sizes and not is_same and measured.low <= known_metres <= measured.high:
        known_remark = f"this {quantity} is known: {known_metres:g} m"
        return replace(measured, remarks=(known_remark, *measured.remarks))
    if measured.low <= known_metres <= measured.high:
        return _measurement_of_known(quantity, measured.value, known_metres)
    contradiction = (
        f"this {quantity} is known: {known_metres:g} m, which contradicts the measured depth; the "
        "range contains both"
    )
    return replace(
        measured,
        low=min(measured.low, known_metres),
        high=max(measured.high, known_metres),
        remarks=(contradiction, *measured.remarks),
    )


def height(prediction: PredictionRecord, point: Point) -> Measurement:
    """Measure the height of a point above the visible floor [m], negative below it.

    Raises:
        CalibrationError: If depth is not in metres, the point has none, or no floor is visible.
    """
    camera = metric_camera(prediction)
    refuse_uncertain_height(prediction.calibration)
    [pixel] = check_pixels(prediction, (point,))
    # Depth is that of the pixel's centre, which on a slope differs from that of the point.
    centre = pixel_centre(pixel)
    position = ray(camera, centre) * median_around(prediction.depth, centre)
    floor = find_floor(prediction.depth, camera, normals=prediction.normals)
    metres = float(position @ floor.normal) + floor.height
    below, above = _height_errors(prediction, pixel, position, floor, metres)
    measurement = Measurement(
        what=Quantity.HEIGHT,
        value=metres,
        low=metres - below,
        high=metres + above,
        origin=origin_of_points(prediction, (point,)),
        remarks=(
            *camera_and_point_remarks(prediction, (point,)),
            *instrument_remarks(prediction, (point,)),
        ),
    )
    if measurement.high >= 0:
        return measurement
    return add_remark(measurement, "it lies below the floor that was found")


def _height_errors(
    prediction: PredictionRecord, pixel: Pixel, position: Vector, floor: Floor, height: float
) -> tuple[float, float]:
    """Errors of a height above the floor, downwards and upwards [m].

    They contain how far depth is off the floor's plane, so that they stay finite at height 0.
    """
    off_plane = floor.misfit * abs(floor.height - height)
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        error = by_instrument.height_error(position, floor.normal, height, floor.support)
        placing_error = height_placing_error(prediction, pixel, position, floor.normal)
        error = math.hypot(error, placing_error, off_plane)
        return error, error

    # A network's errors are factors of a length, so they reach farther away from the floor.
    foot = position - height * floor.normal
    factor = math.exp(log_error_of_length(prediction, position, foot))
    towards_floor = math.hypot(abs(height) * (1 - 1 / factor), off_plane)
    away_from_floor = math.hypot(abs(height) * (factor - 1), off_plane)
    if height < 0:
        return away_from_floor, towards_floor
    return towards_floor, away_from_floor


FLAT = 0.05
"""Largest relative difference of a flat surface's depth from a plane, as a median."""


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
    refuse_uncertain_height(prediction.calibration)
    if len(corners) < 3:
        raise OptionError(f"an area has three corners or more, got {len(corners)}")
    pixels = check_pixels(prediction, corners)
    _require_simple_outline([(pixel.u, pixel.v) for pixel in pixels])
    planar_measurement = measure_in_rectangle_plane(
        Quantity.AREA, prediction, corners, in_plane=in_plane
    )
    if planar_measurement is not None:
        return planar_measurement

    mask = _polygon_mask(prediction.shape, corners)
    plane = _fit_plane(prediction, mask)
    positions = _positions_on_plane(plane, camera, pixels)
    square_metres = polygon_area(positions)

    # An area is a product of two lengths, whose errors come from the same factor.
    error = 2 * _median_side_error(prediction, pixels, positions)
    measurement = _measurement_by_depth(Quantity.AREA, square_metres, error, prediction, corners)
    off_plane = plane.misfit if plane.misfit > FLAT else 0.0
    bend = surface_bend(prediction, mask, plane)
    if bend > _largest_bend_of_plane(prediction, pixels, plane):
        off_plane = max(off_plane, bend)
    if off_plane == 0:
        return measurement
    return add_remark(
        measurement,
        "the surface inside of the outline is not flat: its depth is off the plane by "
        f"{100 * off_plane:.2g} %, and the area is that of the flat polygon on the plane",
    )


LEAST_BEND = 0.005
"""Bend of a surface up to which it counts as flat, however small the error of its depth is."""
BEND_PER_ERROR = 2.0
"""Bend from which on a surface is not flat, over the error in which its pixels may differ."""
MOST_CORNERS = 1000
"""Most corners of an area, each of whose sides is compared with all others."""
_LEAST_THICKNESS = 1e-9
"""Least thickness of an outline, over its length, that encloses an area."""
BEND_CELLS = 8
"""Most cells along each side of an outline in which depth is compared with the plane."""
BEND_CELL_PIXELS = 49
"""Mean number of pixels in a cell, in whose median the errors of single pixels cancel."""
BEND_QUANTILE = 0.9
"""Share of the cells that stays below the bend. The rest may be objects, or beyond a border."""


def surface_bend(prediction: PredictionRecord, mask: Mask, plane: SurfacePlane) -> float:
    """Relative difference of depth from a plane that nine in ten parts of a surface stay below.

    The parts are the cells of a grid over the mask. Each has the median of its pixels, so that the
    noise of single pixels does not count as a bend. A mask with too few pixels has a bend of 0.
    """
    is_surface = mask & surface_pixels(prediction)
    count = int(is_surface.sum())
    cells = min(BEND_CELLS, math.isqrt(count // BEND_CELL_PIXELS))
    if cells < 2:
        return 0.0

    rows, columns = np.nonzero(is_surface)
    row_cells = (rows - rows.min()) * cells // (np.ptp(rows) + 1)
    column_cells = (columns - columns.min()) * cells // (np.ptp(columns) + 1)
    points = _surface_points(prediction, is_surface)
    misfits = points @ plane.normal / plane.camera_distance - 1

    cell_of = (row_cells * cells + column_cells).astype(np.uint8)
    order = np.argsort(cell_of, kind="stable")
    starts = np.cumsum(np.bincount(cell_of, minlength=cells**2))[:-1]
    parts = np.split(misfits[order], starts)
    medians = [np.median(part) for part in parts if len(part) >= count / cells**2 / 4]
    return float(np.quantile(np.abs(medians), BEND_QUANTILE))


def _largest_bend_of_plane(
    prediction: PredictionRecord, corners: Sequence[Pixel], plane: SurfacePlane
) -> float:
    """Bend up to which errors of an instrument explain it; infinite of a network's depth.

    A network's depth of a flat surface is bent, by more than its noise.
    """
    by_instrument = instrument_ranges(prediction)
    if by_instrument is None or prediction.is_of_network:
        return math.inf
    instrument = by_instrument.instrument
    depth = abs(float(prediction.known_camera.depth_of(plane.support.middle)))
    own_error = by_instrument.own_share * instrument.error.relative_at(depth)
    is_filled = any(by_instrument.is_in_gap(corner) for corner in corners)
    fill_error = by_instrument.fill_error if is_filled else 0.0
    error = math.hypot(own_error, instrument.rounding.relative_at(depth), fill_error)
    return max(LEAST_BEND, BEND_PER_ERROR * error)


def _require_simple_outline(corners: Sequence[Point]) -> None:
    """Raise ``OptionError`` if two sides of an outline meet elsewhere than at their common corner.

    The parts that such an outline encloses have opposite signs, and cancel each other.
    """
    points = [
        corner
        for corner, before in zip(corners, _rotated(corners, -1), strict=True)
        if corner != before
    ]
    if len({*points}) < 3 or _is_on_one_line(points):
        raise OptionError("the corners of the area lie on one line, expected an area between them")
    if len(points) > MOST_CORNERS:
        raise OptionError(f"an area has at most {MOST_CORNERS} corners, got {len(points):,}")
    sides = list(zip(points, _rotated(points, 1), strict=True))
    for second, side in enumerate(sides):
        for first in range(second - 1):
            share_a_corner = first == 0 and second == len(sides) - 1
            if share_a_corner or not _do_sides_meet(sides[first], side):
                continue
            raise OptionError(
                f"the outline crosses or touches itself: its side from {_side_text(sides[first])} "
                f"meets that from {_side_text(side)}, and an area has an outline that encloses one "
                "part",
                hint="give the corners in order around the area",
            )


def _is_on_one_line(points: Sequence[Point]) -> bool:
    """Whether all points lie on the line from the first one to the one farthest from it."""
    offsets = np.asarray(points, float) - points[0]
    farthest = offsets[int(np.argmax(np.hypot(*offsets.T)))]
    distances = np.abs(offsets[:, 0] * farthest[1] - offsets[:, 1] * farthest[0])
    return bool(distances.max() <= _LEAST_THICKNESS * float(farthest @ farthest))


def _rotated(points: Sequence[Point], count: int) -> list[Point]:
    """Points beginning ``count`` places later, around the outline."""
    return [*points[count:], *points[:count]]


def _side_text(side: tuple[Point, Point]) -> str:
    (u1, v1), (u2, v2) = side
    return f"{u1:g},{v1:g} to {u2:g},{v2:g}"


def _do_sides_meet(first: tuple[Point, Point], second: tuple[Point, Point]) -> bool:
    """Whether two straight lines between points of the picture have a point in common."""
    for axis in (0, 1):
        lowest_end = min(max(point[axis] for point in side) for side in (first, second))
        highest_start = max(min(point[axis] for point in side) for side in (first, second))
        if highest_start > lowest_end:
            return False
    for (start, end), other in ((first, second), (second, first)):
        offsets = [_offset_from_line(start, end, point) for point in other]
        if min(offsets) > 0 or max(offsets) < 0:
            return False
    return True


def _offset_from_line(start: Point, end: Point, point: Point) -> float:
    """Positive on the right of the line from ``start`` to ``end``, negative on its left."""
    across, down = end[0] - start[0], end[1] - start[1]
    return across * (point[1] - start[1]) - down * (point[0] - start[0])


def _positions_on_plane(plane: SurfacePlane, camera: Camera, pixels: Sequence[Pixel]) -> Points:
    """Points of a plane that pixels see [m]."""
    rays = [ray(camera, pixel) for pixel in pixels]
    depths = [plane.camera_distance / float(plane.normal @ direction) for direction in rays]
    if min(depths) <= 0:
        raise CalibrationError("the plane inside of the outline passes behind the camera")
    return np.array([direction * depth for direction, depth in zip(rays, depths, strict=True)])


def _median_side_error(
    prediction: PredictionRecord, pixels: Sequence[Pixel], corners: Points
) -> float:
    """Median of the log errors of the sides of a polygon."""
    grounds = known_size_evidence(prediction)
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
    """Measure the angle between the normals of two surfaces, 0 to 180 degrees.

    Normals point towards the camera. Surfaces that face the same way give 0, and two walls at right
    angles 90. The angle inside of a corner, such as that between a wall and a floor, is 180 degrees
    minus this one.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If a point has no depth, or too little around it.
    """
    _require_known_shift(prediction)
    pixels = check_pixels(prediction, (first, second))
    surfaces = [_fit_surface(prediction, pixel) for pixel in pixels]

    degrees = _degrees_between(surfaces[0].normal, surfaces[1].normal)
    low, high = _angle_range(prediction, surfaces, degrees)
    measurement = Measurement(
        what=Quantity.ANGLE,
        value=degrees,
        low=low,
        high=high,
        origin=origin_of_points(prediction, (first, second)),
        remarks=(
            *camera_and_point_remarks(prediction, (first, second)),
            *instrument_remarks(prediction, (first, second)),
        ),
    )
    may_be_parallel = low == 0 or high == 180
    if not may_be_parallel and not low <= 90 <= high:
        measurement = add_remark(
            measurement,
            "this is the angle between the normals of the two surfaces; inside of the corner that "
            f"they form it is {180 - degrees:.1f}°",
        )
    if max(surface.misfit for surface in surfaces) <= FLAT:
        return measurement
    return add_remark(measurement, "a surface is not flat there")


def _degrees_between(first: Vector, second: Vector) -> float:
    return math.degrees(math.acos(float(np.clip(first @ second, -1, 1))))


def _angle_range(
    prediction: PredictionRecord, surfaces: Sequence[SurfacePlane], degrees: float
) -> tuple[float, float]:
    """Range of the angle between two surfaces [degrees]."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is None:
        error = angle_error(is_anchored=anchoring_misfit(prediction) is not None)
        return max(0.0, degrees - error), min(180.0, degrees + error)

    common_edge = _unit_normal_to(surfaces[0].normal, surfaces[1].normal)
    across = [np.cross(common_edge, surface.normal) for surface in surfaces]
    errors_across = [
        by_instrument.tilt_error(surface, direction)
        for surface, direction in zip(surfaces, across, strict=True)
    ]
    errors_along = [by_instrument.tilt_error(surface, common_edge) for surface in surfaces]
    tilts = [
        by_instrument.tilts_by_scale(surface, direction)
        for surface, direction in zip(surfaces, across, strict=True)
    ]
    scale_errors = [second - first for first, second in zip(*tilts, strict=True)]
    error = math.hypot(*errors_across, *scale_errors, by_instrument.guessed_focal_angle)
    # Two normals that are nearly the same differ by any tilt, whatever its direction, and the angle
    # between them is never negative. So where it may be 0, it has the error of all tilts.
    whole_error = math.hypot(error, *errors_along)
    low, high = max(0.0, degrees - error), min(180.0, degrees + error)
    if degrees <= whole_error:
        low, high = 0.0, min(180.0, degrees + whole_error)
    if degrees >= 180 - whole_error:
        low, high = max(0.0, degrees - whole_error), 180.0
    return low, high


def _unit_normal_to(first: Vector, second: Vector) -> Vector:
    """Unit vector at right angles to two unit vectors; any such one if they are parallel."""
    crossed = np.cross(first, second)
    if np.linalg.norm(crossed) < _PARALLEL:
        crossed = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
    return crossed / np.linalg.norm(crossed)


def _require_known_shift(prediction: PredictionRecord) -> None:
    """Raise ``InputError`` if the depth has an unknown shift."""
    prediction.depth.depth()


def _fit_surface(prediction: PredictionRecord, pixel: Pixel) -> SurfacePlane:
    """Plane of the surface around a pixel."""
    require_depth(prediction.depth, pixel)
    disc = _disc_mask(prediction.shape, pixel)
    return _fit_plane(prediction, disc, leaves_out_others=True)


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
    if quantity in _PLANAR_QUANTITIES and known_rectangles(prediction):
        remarks = (*remarks, by_depth_remark(prediction, points))
    measurement = measurement_with_range(quantity, value, error, remarks)
    return replace(measurement, origin=origin_of_points(prediction, points))


_DISC_RADIUS = 0.04
"""Radius of the disc to which a surface is fitted, in widths of the picture."""
_MIN_DISC_RADIUS = 2.0
"""Least radius of such a disc [px]."""
_MIN_PLANE_PIXELS = 12
"""Fewest pixels with depth to which a plane is fitted."""
_PARALLEL = 1e-6
"""Sine of an angle below which two normals count as parallel."""
_PLANE_FIT_ROUNDS = 10
_MIN_PLANE_MISFIT = 1e-4
"""Relative misfit below which all pixels have the same weight."""
_TRIM_RATIOS = (1.5,) * 8 + (3.0,) * 3
"""Largest misfit of a pixel that counts, over the median, in rounds of least squares: first few
pixels, so that another surface in a third of them is left out, then nearly all of the plane."""


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


def _fit_plane(
    prediction: PredictionRecord, mask: Mask, *, leaves_out_others: bool = False
) -> SurfacePlane:
    """Fit a plane to the surface inside of a mask.

    Args:
        prediction: Prediction with depth.
        mask: Pixels of the surface.
        leaves_out_others: Whether pixels far off the plane belong to another surface, and are left
            out.

    Raises:
        CalibrationError: If too few pixels have depth.
    """
    is_surface = mask & surface_pixels(prediction)
    count = int(is_surface.sum())
    if count < _MIN_PLANE_PIXELS:
        raise CalibrationError(
            f"{count} pixels with depth lie there, and a plane takes {_MIN_PLANE_PIXELS}: "
            "choose a larger surface"
        )

    points = _surface_points(prediction, is_surface)
    on_plane, weight = points, np.ones(len(points))
    plane = np.zeros(3)  # The vector m of the plane m · p = 1: its normal over its distance.
    # Least absolute residuals of inverse depth, by reweighting: objects before a wall tilt it
    # little.
    for _ in range(_PLANE_FIT_ROUNDS):
        plane = np.linalg.lstsq(points * weight[:, None], weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(points @ plane - 1), _MIN_PLANE_MISFIT))
    for ratio in _TRIM_RATIOS if leaves_out_others else ():
        misfit = np.abs(points @ plane - 1)
        limit = max(ratio * float(np.median(misfit)), _MIN_PLANE_MISFIT)
        on_plane = points[misfit <= limit]
        plane = np.linalg.lstsq(on_plane, np.ones(len(on_plane)), rcond=None)[0]
    camera_distance = float(1 / np.linalg.norm(plane))
    return SurfacePlane(
        normal=plane * camera_distance,
        camera_distance=camera_distance,
        support=support_of(on_plane, plane * camera_distance),
        misfit=float(np.median(np.abs(points @ plane - 1))),
    )


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
