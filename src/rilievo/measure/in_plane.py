"""Lengths, distances and areas in the plane of a known rectangle, without the network's depth.

The corners of the rectangle give its plane, and the rays of the points their places in it. Ranges
come from the errors of the corners and of the points, propagated to first order.
"""

import math
from collections.abc import Sequence

import numpy as np

from rilievo.calibration.rectangle_fit import FREE, RectangleFit, RectanglePose, fit_rectangles
from rilievo.calibration.rectangles import CORNER_ERROR
from rilievo.errors import CalibrationError, OptionError
from rilievo.measure.expectation import known_rectangles
from rilievo.measured_quantity import Measurement
from rilievo.shapes import Float64, Points, Values
from rilievo.types import CameraSource, Prediction

_MARGIN = 0.02
"""Share of the sides by which the inside of a rectangle is enlarged."""
_QUANTILE = 1.2816
"""Standard deviations within which eight in ten values lie."""
_STEP = 1e-4
_MOST_DEVIATION = 3.0
"""Standard deviation over the value from which on nothing is known of a quantity."""
_BY_CORNERS = "measured in the plane of the known rectangle, by its corners and without the network"


def measured_in_plane(
    what: str, prediction: Prediction, points: Sequence[tuple[float, float]], *, in_plane: bool
) -> Measurement | None:
    """Measure in the plane of a known rectangle; None of points that are not in one.

    It is the rectangle that all points lie within; the nearest, by its middle, of several such, and
    of those that are said to hold points outside.

    Args:
        what: "length" of two points, "distance" of one or "area" of several.
        prediction: Prediction with its calibration.
        points: Columns and rows [px].
        in_plane: Whether the points are said to lie in the plane; those within the rectangle do in
            any case.

    Raises:
        OptionError: If points are to lie in a plane, and no rectangle is known.
        CalibrationError: If a point lies beyond the horizon of the plane, or the quantity is lost
            in its error, as the area of points on a line.
    """
    rectangles = known_rectangles(prediction)
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
    off = [_off_middle(fit, pose, pixels) for pose in fit.poses]
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


def _places(fit: RectangleFit, pose: RectanglePose, pixels: Points) -> Points:
    """Places of pixels in a plane, in the camera frame [m], one a row."""
    rays = fit.camera.rays(pixels.T)
    return (rays * pose.depths(rays)).T


def _off_middle(fit: RectangleFit, pose: RectanglePose, pixels: Points) -> float:
    """Largest distance of pixels from a rectangle's middle, over its sides; nan beyond the horizon.

    Up to 0.5 all lie within the rectangle.
    """
    across = (_places(fit, pose, pixels) - pose.t) @ pose.R[:, :2] / pose.rectangle.lengths
    return float(np.abs(across).max())


def quantity_in_plane(what: str, fit: RectangleFit, which: int, pixels: Points) -> float:
    """A quantity in the plane of one of the rectangles of a fit [m or m²].

    Args:
        what: "length" of two points, "distance" of one or "area" of several.
        fit: Poses and camera.
        which: Index of the rectangle.
        pixels: Columns and rows [px].
    """
    places = _places(fit, fit.poses[which], pixels)
    if what == "distance":
        return float(np.linalg.norm(places[0]))
    if what == "length":
        return float(np.linalg.norm(places[1] - places[0]))
    crossed = np.cross(places, np.roll(places, -1, axis=0)).sum(axis=0)
    return float(np.linalg.norm(crossed)) / 2


def deviation_in_plane(what: str, fit: RectangleFit, which: int, pixels: Points) -> float:
    """Standard deviation of ``quantity_in_plane`` by the errors of the corners and the points."""
    count = len(fit.covariance)

    def slope(step: Values, shift: Float64[np.ndarray, "n 2"]) -> float:
        sides = [
            quantity_in_plane(what, fit.moved(sign * step), which, pixels + sign * shift)
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
