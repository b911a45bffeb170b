"""Distances, lengths, heights, areas and angles, from a prediction or in a known rectangle's plane.

Ranges in planes are errors of corners and points, to first order.

Measured quantity with its range.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from rilievo.calibration.floor import find_floor
from rilievo.calibration.ranges import angle_error
from rilievo.calibration.readings import (
    Pixel,
    median_around,
    note_on_shares,
    pixel_index,
    ray,
    values_at_ends,
)
from rilievo.calibration.rectangle_fit import FREE, RectangleFit, RectanglePose, fit_rectangles
from rilievo.calibration.sizes import CORNER_ERROR
from rilievo.depth_map import DepthKind
from rilievo.errors import CalibrationError, OptionError
from rilievo.frozen import frozen
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
from rilievo.messages import Note
from rilievo.other_libraries import HintedAttributes
from rilievo.prediction_record import PredictionRecord
from rilievo.shapes import Float64, Mask, Points, Values, Vector

_UNITS = {
    "distance": "m",
    "relative distance": "× the median distance",
    "length": "m",
    "height": "m",
    "area": "m²",
    "angle": "°",
}


@frozen
class Measurement(HintedAttributes):
    """Quantity measured on a surface.

    Attributes:
        what: "distance", "relative distance", "length", "height", "area" or "angle".
        value: Value, in ``unit``.
        low: Lower end of the range of eight in ten such measurements.
        remarks: Remarks, a sentence each.
    """

    what: str
    value: float
    low: float
    high: float
    remarks: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """Metres, square metres or degrees."""
        return _UNITS[self.what]

    def __str__(self) -> str:
        return f"{'height above the floor' if self.what == 'height' else self.what}: {self.text}"

    @property
    def text(self) -> str:
        """Value and range."""
        return self.text_in(self.unit)

    def text_in(self, unit: str) -> str:
        """Value and range in another unit."""
        digits = _decimal_places(self.high - self.low)
        value, low, high = (f"{number:.{digits}f}" for number in (self.value, self.low, self.high))
        space = "" if self.what == "angle" else " "
        return f"{value}{space}{unit} ({low} to {high})"


def _decimal_places(width: float) -> int:
    if not (width > 0 and math.isfinite(width)):
        return 3
    return min(6, max(0, math.ceil(-math.log10(width / 5))))


# Share of the sides that enlarges a rectangle's inside.
_MARGIN = 0.02
# Deviations within which eight in ten lie.
_QUANTILE = 1.2816
_STEP = 1e-4
# Beyond it a quantity counts as unknown.
_MOST_DEVIATION = 3.0
_BY_CORNERS = "measured in the plane of the known rectangle, by its corners and without the network"


def measure_in_rectangle_plane(
    what: str,
    prediction: PredictionRecord,
    points: Sequence[tuple[float, float]],
    *,
    in_plane: bool,
) -> Measurement | None:
    """Measure in the plane of the nearest rectangle that holds the points, if any.

    Raises:
        OptionError: If points are to lie in a plane, and no rectangle is known.
        CalibrationError: If a point is beyond the horizon, or errors exceed the quantity.
    """
    rectangles = parse_known_rectangles(prediction)
    if not rectangles:
        if in_plane:
            raise OptionError(
                option="in_plane",
                problem="is about the plane of a known rectangle, and none is known",
                hint="give {known_rectangle=...}",
            )
        return None
    camera, pixels = prediction.known_camera, np.array(points, np.float64)
    is_free = camera.source in (*FREE, CameraSource.RECTANGLE, CameraSource.MARKERS)
    fit = fit_rectangles(rectangles, camera, prediction.shape if is_free else None)
    off = [_largest_offset_from_middle(fit, pose, pixels) for pose in fit.poses]
    within = [which for which, miss in enumerate(off) if miss <= 0.5 + _MARGIN]
    if not within and not in_plane:
        return None
    away = [math.dist(rectangle.middle, pixels.mean(axis=0)) for rectangle in rectangles]
    which = min(within or range(len(away)), key=away.__getitem__)
    pose = fit.poses[which]
    rays = fit.camera.rays(pixels.T)
    for (u, v), depth in zip(points, pose.depths(rays), strict=True):
        if not 0 < depth < math.inf:
            raise CalibrationError(
                f"point {u:g},{v:g} lies beyond the horizon of the rectangle's plane"
            )
    value = quantity_in_plane(what, fit, which, pixels)
    deviation = deviation_in_plane(what, fit, which, pixels)
    if not deviation < _MOST_DEVIATION * value:
        raise CalibrationError(
            f"the {what} in the rectangle's plane is {value:.2g} {'m²' if what == 'area' else 'm'} "
            "and less than its error: choose points farther apart, and those of an area not on "
            "one line"
        )
    factor = math.exp(_QUANTILE * deviation / value)
    return Measurement(
        what=what, value=value, low=value / factor, high=value * factor, remarks=(_BY_CORNERS,)
    )


def _points_on_plane(fit: RectangleFit, pose: RectanglePose, pixels: Points) -> Points:
    rays = fit.camera.rays(pixels.T)
    return (rays * pose.depths(rays)).T


def _largest_offset_from_middle(fit: RectangleFit, pose: RectanglePose, pixels: Points) -> float:
    across = (_points_on_plane(fit, pose, pixels) - pose.t) @ pose.R[:, :2] / pose.rectangle.lengths
    return float(np.abs(across).max())


def quantity_in_plane(what: str, fit: RectangleFit, which: int, pixels: Points) -> float:
    """Length, distance or area in a rectangle's plane [m or m²]."""
    places = _points_on_plane(fit, fit.poses[which], pixels)
    if what == "distance":
        return float(np.linalg.norm(places[0]))
    if what == "length":
        return float(np.linalg.norm(places[1] - places[0]))
    crossed = np.cross(places, np.roll(places, -1, axis=0)).sum(axis=0)
    return float(np.linalg.norm(crossed)) / 2


def deviation_in_plane(what: str, fit: RectangleFit, which: int, pixels: Points) -> float:
    """Standard deviation of ``quantity_in_plane``."""
    count = len(fit.covariance)

    def slope(step: Values, shift: Float64[np.ndarray, "n 2"]) -> float:
        sides = [
            quantity_in_plane(what, fit.add_step(sign * step), which, pixels + sign * shift)
            for sign in (1, -1)
        ]
        return (sides[0] - sides[1]) / (2 * _STEP)

    still, there = np.zeros(count), np.zeros(pixels.shape)
    of_fit = np.zeros(count)
    for at in (0, *range(1 + 6 * which, 7 + 6 * which)):
        if fit.covariance[at, at]:
            of_fit[at] = slope(_STEP * np.eye(count)[at], there)
    of_pixels = [slope(still, _STEP * axis.reshape(pixels.shape)) for axis in np.eye(pixels.size)]
    variance = of_fit @ fit.covariance @ of_fit + CORNER_ERROR**2 * float(
        np.square(of_pixels).sum()
    )
    return math.sqrt(variance)


Point = tuple[float, float]
"""Column and row [px]."""
# Radius of a fitted patch, in picture widths.
_PATCH = 0.04
_LEAST_PATCH = 12
# Share within which a known length is measured again.
_EQUAL = 1e-3
# Share within which plane and depth agree.
FLAT = 0.05
_KNOWN = "{known_length=U1,V1,U2,V2,METRES|known=U,V,METRES}"
_IN_PLANES = ("length", "distance", "area")
_BY_NETWORK = Note(
    "measured by the network's depth",
    hint="of points in the plane of the known rectangle, {in_plane} measures by its corners",
)
_MEDIAN_PIXELS = 40_000
_BETTER = "{camera=...|fov=...}"


def distance(prediction: PredictionRecord, point: Point, *, in_plane: bool = False) -> Measurement:
    """Measure the distance from the camera to what a pixel shows, without metres over the median.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If the point has no depth.
    """
    prediction.depth.depth()
    camera = prediction.known_camera
    [at] = _check_pixels(prediction, (point,))
    exact = measure_in_rectangle_plane("distance", prediction, (point,), in_plane=in_plane)
    if exact is not None:
        return exact
    there = ray(camera, at) * median_around(prediction.depth, at)
    far = float(np.linalg.norm(there))
    if prediction.depth.kind is not DepthKind.METRIC:
        ratio = far / _median_distance(prediction)
        error = log_error_of_ratio(prediction, ratio)
        measured = _measurement_with_remarks(
            "relative distance", ratio, error, prediction, (point,)
        )
        return _add_remark(measured, Note(f"metres need one known size: {_KNOWN}"))
    user_metres = user_distance_at(prediction, at)
    if user_metres is None:
        error = log_error_of_distance(prediction, there)
        return _measurement_with_remarks("distance", far, error, prediction, (point,))
    return _measurement_of_known("distance", far, user_metres)


def _median_distance(prediction: PredictionRecord) -> float:
    height, width = prediction.shape
    step = max(1, math.isqrt(height * width // _MEDIAN_PIXELS))
    grid = np.s_[::step, ::step]
    inside = prediction.depth.valid[grid].copy()
    if prediction.sky is not None:
        inside &= ~prediction.sky[grid]
    rows, columns = range(0, height, step), range(0, width, step)
    values = np.where(inside, prediction.depth.values[grid], 1).astype(np.float64)
    points = prediction.known_camera.points(values, rows=rows, columns=columns)
    return float(np.median(np.linalg.norm(points, axis=0)[inside]))


def length(
    prediction: PredictionRecord, first: Point, second: Point, *, in_plane: bool = False
) -> Measurement:
    """Measure the straight distance between two points.

    Raises:
        CalibrationError: If depth is not in metres, or a point has none.
        OptionError: If both points are on one pixel.
    """
    camera = metric_camera(prediction)
    a, b = _check_pixels(prediction, (first, second))
    if math.hypot(b.u - a.u, b.v - a.v) < 1:
        note = note_on_shares((first, second), prediction.shape)
        raise OptionError(
            f"{a.name} and {b.name} lie on the same pixel: {note or 'a length has two ends'}"
        )
    exact = measure_in_rectangle_plane("length", prediction, (first, second), in_plane=in_plane)
    if exact is not None:
        return exact
    near, far = values_at_ends(prediction.depth, a, b, camera)
    ends = ray(camera, a) * near, ray(camera, b) * far
    metres = float(np.linalg.norm(ends[1] - ends[0]))
    user_metres = user_length_between(prediction, a, b)
    if user_metres is None:
        error = log_error_of_length(prediction, *ends)
        return _measurement_with_remarks("length", metres, error, prediction, (first, second))
    return _measurement_of_known("length", metres, user_metres)


def _measurement_of_known(what: str, metres: float, size: float) -> Measurement:
    if abs(metres - size) < _EQUAL * size:
        metres = size
    low, high = sorted((metres, size))
    remarks = (f"this {what} is known: {size:g} m",)
    return Measurement(what=what, value=metres, low=low, high=high, remarks=remarks)


def height(prediction: PredictionRecord, point: Point) -> Measurement:
    """Measure the height of a point above the visible floor.

    Raises:
        CalibrationError: If depth is not in metres, the point has none, or no floor is visible.
    """
    camera = metric_camera(prediction)
    [at] = _check_pixels(prediction, (point,))
    place_of_it = ray(camera, at) * median_around(prediction.depth, at)
    floor = find_floor(prediction.depth, camera, normals=prediction.normals)
    above = float(place_of_it @ floor.normal) + floor.height
    foot = place_of_it - above * floor.normal
    error = log_error_of_length(prediction, place_of_it, foot)
    measured = _measurement_with_remarks("height", above, error, prediction, (point,))
    if above > 0:
        return measured
    upright = replace(measured, low=measured.high, high=measured.low)
    return _add_remark(upright, "it lies below the floor that was found")


def area(
    prediction: PredictionRecord, corners: Sequence[Point], *, in_plane: bool = False
) -> Measurement:
    """Measure the area of a flat polygon, on a plane fitted inside.

    Raises:
        OptionError: If there are fewer than three corners.
        CalibrationError: If depth is not in metres, a corner lies outside, or depth is too little.
    """
    camera = metric_camera(prediction)
    if len(corners) < 3:
        raise OptionError(f"an area has three corners or more, got {len(corners)}")
    pixels = _check_pixels(prediction, corners)
    exact = measure_in_rectangle_plane("area", prediction, corners, in_plane=in_plane)
    if exact is not None:
        return exact
    plane, miss = _fit_plane(prediction, _polygon_mask(prediction.shape, corners))
    rays = [ray(camera, at) for at in pixels]
    depths = [1 / float(plane @ direction) for direction in rays]
    if min(depths) <= 0:
        raise CalibrationError("the plane inside of the outline passes behind the camera")
    places = [direction * depth for direction, depth in zip(rays, depths, strict=True)]
    turned = zip(places, [*places[1:], places[0]], strict=True)
    crossed = np.sum([np.cross(one, other) for one, other in turned], axis=0)
    metres = float(np.linalg.norm(crossed)) / 2
    grounds = compute_error_grounds(prediction)
    sides = [
        log_error_of_length(prediction, one, other, grounds)
        for one, other in zip(places, [*places[1:], places[0]], strict=True)
    ]
    # An area is a product of two lengths, whose errors come from the same factor.
    error = 2 * float(np.median(sides))
    measured = _measurement_with_remarks("area", metres, error, prediction, corners)
    if miss <= FLAT:
        return measured
    remark = f"the outline is not flat: its depth is off the plane by {100 * miss:.0f} % (median)"
    return _add_remark(measured, remark)


def angle(prediction: PredictionRecord, first: Point, second: Point) -> Measurement:
    """Measure the angle between two surfaces' normals, 0 to 180 degrees; two walls give 90.

    Raises:
        InputError: If the depth has an unknown shift.
        CalibrationError: If a point has no depth, or too little around it.
    """
    prediction.depth.depth()
    normals = []
    misses = []
    for at in _check_pixels(prediction, (first, second)):
        median_around(prediction.depth, at)
        plane, miss = _fit_plane(prediction, _disc_mask(prediction.shape, at))
        normals.append(plane / np.linalg.norm(plane))
        misses.append(miss)
    degrees = math.degrees(math.acos(float(np.clip(normals[0] @ normals[1], -1, 1))))
    error = angle_error(is_anchored=anchoring_misfit(prediction) is not None)
    measured = Measurement(
        what="angle",
        value=degrees,
        low=max(0.0, degrees - error),
        high=min(180.0, degrees + error),
        remarks=camera_and_point_remarks(prediction, (first, second)),
    )
    if max(misses) <= FLAT:
        return measured
    return _add_remark(measured, "a surface is not flat there")


def metric_camera(prediction: PredictionRecord) -> Camera:
    """Camera of a prediction in metres.

    Raises:
        CalibrationError: If depth is not in metres.
    """
    if prediction.depth.kind is not DepthKind.METRIC:
        raise CalibrationError(
            problem=f"depth is of kind '{prediction.depth.kind}', so sizes are not known: give one "
            f"known length or distance, {_KNOWN}"
        )
    return prediction.known_camera


def _check_pixels(prediction: PredictionRecord, points: Sequence[Point]) -> list[Pixel]:
    for u, v in points:
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point {u:g},{v:g}: column and row are finite numbers of pixels")
    pixels = [Pixel(float(u), float(v), f"point {u:g},{v:g}") for u, v in points]
    for at in pixels:
        pixel, sky = pixel_index(prediction.depth, at), prediction.sky
        if sky is not None and sky[pixel]:
            raise CalibrationError(
                f"{at.name} lies on the sky, which has no distance: choose a point on something"
            )
    return pixels


def _measurement_with_remarks(
    what: str, value: float, error: float, prediction: PredictionRecord, points: Sequence[Point]
) -> Measurement:
    remarks = camera_and_point_remarks(prediction, points)
    if what in _IN_PLANES and parse_known_rectangles(prediction):
        remarks = (*remarks, _BY_NETWORK)
    return measurement_with_range(what, value, error, remarks)


def measurement_with_range(
    what: str, value: float, error: float, remarks: tuple[str, ...] = ()
) -> Measurement:
    """Measurement of a positive value, by its log error."""
    factor = math.exp(error)
    return Measurement(
        what=what, value=value, low=value / factor, high=value * factor, remarks=remarks
    )


def camera_and_point_remarks(
    prediction: PredictionRecord, points: Sequence[Point]
) -> tuple[str, ...]:
    """Remarks on the camera and on points that hardly lie in pixels."""
    is_assumed = prediction.known_camera.source is CameraSource.ASSUMED
    assumed = Note(f"the focal length is assumed: {_BETTER} narrows the range")
    return tuple(
        filter(None, (assumed if is_assumed else None, note_on_shares(points, prediction.shape)))
    )


def _add_remark(measured: Measurement, remark: str) -> Measurement:
    return replace(measured, remarks=(*measured.remarks, remark))


def _polygon_mask(shape: tuple[int, int], corners: Sequence[Point]) -> Mask:
    height, width = shape
    mask = Image.new("1", (width, height))
    ImageDraw.Draw(mask).polygon([(float(u), float(v)) for u, v in corners], fill=1)
    return np.array(mask, dtype=bool)


def _disc_mask(shape: tuple[int, int], at: Pixel) -> Mask:
    height, width = shape
    v, u = np.ogrid[:height, :width]
    return np.hypot(u - at.u, v - at.v) <= max(2.0, _PATCH * width)


def _fit_plane(prediction: PredictionRecord, mask: Mask) -> tuple[Vector, float]:
    depth, camera = prediction.depth, prediction.known_camera
    inside = mask & depth.valid
    if prediction.sky is not None:
        inside &= ~prediction.sky
    if inside.sum() < _LEAST_PATCH:
        raise CalibrationError(
            f"{int(inside.sum())} pixels with depth lie there, and a plane takes {_LEAST_PATCH}: "
            "choose a larger surface"
        )
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    values = np.where(inside[box], depth.values[box], 1).astype(np.float64)
    grid = range(rows[0], rows[-1] + 1), range(columns[0], columns[-1] + 1)
    points = camera.points(values, rows=grid[0], columns=grid[1])[:, inside[box]].T
    weight = np.ones(len(points))
    m = np.zeros(3)
    # Least absolute residuals of inverse depth, by reweighting: objects before a wall tilt it
    # little.
    for _ in range(10):
        m = np.linalg.lstsq(points * weight[:, None], weight, rcond=None)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(points @ m - 1), 1e-4))
    return m, float(np.median(np.abs(points @ m - 1)))
