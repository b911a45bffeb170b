"""Plane that the depth of an instrument shows inside of a known rectangle, and heights above it.

The plane is fitted to the points that depth shows, and the corners only say where they are. So a
height has the metres of the depth map, and its range follows from the errors of depth, of the fit,
and of placing the point.

Positions are in the camera frame [m].
"""

import math
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Points, Values, Vector
from rilievo.calibration.readings import Pixel, pixel_index, require_depth, window_around_point
from rilievo.calibration.rectangle_depth import LogRatio, RectangleSamples
from rilievo.measure.instrument_ranges import SLOPE_PER_ERROR, InstrumentRanges
from rilievo.measure.measurements import Measurement, Quantity
from rilievo.measure.placing_errors import WINDOW_QUANTILES
from rilievo.measure.plane_support import PlaneSupport, measure_support
from rilievo.records.prediction_record import PredictionRecord

_MEDIAN_NOISE = 0.25
"""Error of the median of a window over that of a pixel: 1.2533 / 5 for 5 x 5 pixels."""
_MIN_FRACTION_IN_PLANE = 0.8
"""Least fraction of a rectangle in its plane; below it, objects count as errors of the plane."""
_FIT_ROUNDS = 3
_WINDOW_QUANTILE_PER_NOISE = 1.2
"""Difference of noisy heights from their median at the quantiles of a window, over the noise that
eight in ten stay below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPlane:
    """Plane through the depth inside of a rectangle.

    Attributes:
        normal: Unit normal, towards the camera.
        camera_distance: Distance from the camera to the plane, along its normal [m].
        pixel_noise: Relative noise that eight in ten pixels stay below, estimated by the median.
        fraction_in_plane: Fraction of the rectangle's depth that lies in the plane.
        misfit: Relative difference from the plane that eight in ten of all pixels stay below, with
            those on objects, which the fit leaves out.
    """

    normal: Vector
    camera_distance: float
    support: PlaneSupport
    pixel_noise: float
    fraction_in_plane: float
    misfit: float

    def heights(self, positions: Points) -> Values:
        """Heights of points above the plane, towards the camera [m]."""
        return positions @ self.normal + self.camera_distance

    def depths(self, rays: Points) -> Values:
        """Depth of the plane along rays [m]; negative behind the camera."""
        with np.errstate(divide="ignore"):
            return -self.camera_distance / (rays @ self.normal)

    def bend(self, depth_error: float) -> float:
        """Relative error of the plane because the depth inside of the rectangle is not flat.

        ``depth_error`` is the relative error that eight in ten pixels of the instrument stay below.
        The bend is the noise beyond it.
        """
        unexplained_noise = math.sqrt(max(0.0, self.pixel_noise**2 - depth_error**2))
        if self.fraction_in_plane >= _MIN_FRACTION_IN_PLANE:
            return unexplained_noise
        return max(unexplained_noise, self.misfit)


def fit_depth_plane(
    prediction: PredictionRecord, samples: RectangleSamples, ratio: LogRatio
) -> DepthPlane:
    """Fit a plane to the pixels of a rectangle that agree with its corners' plane."""
    rays = prediction.known_camera.rays(samples.pixels.T).T
    positions = rays * samples.values[:, None]
    points = positions[ratio.is_in_plane]
    plane_vector = _robust_plane(points)
    inverse_distance = np.linalg.norm(plane_vector)
    misfits = np.abs(positions @ plane_vector - 1)
    return DepthPlane(
        normal=-plane_vector / inverse_distance,
        camera_distance=float(1 / inverse_distance),
        support=measure_support(points, plane_vector / inverse_distance),
        pixel_noise=samples.noise(misfits),
        fraction_in_plane=samples.weighted_fraction(ratio.is_in_plane),
        misfit=samples.weighted_quantile(misfits, 0.8),
    )


def _robust_plane(points: Points) -> Vector:
    """Fit the plane v · p = 1, and return v, by iteratively reweighted least squares.

    Points that are off the plane by more than the median weigh less.
    """
    weights = np.ones(len(points))
    plane_vector = np.zeros(3)
    for _ in range(_FIT_ROUNDS):
        plane_vector = np.linalg.lstsq(points * weights[:, None], weights, rcond=None)[0]
        misfits = np.abs(points @ plane_vector - 1)
        median_misfit = max(float(np.median(misfits)), 1e-6)  # Not 0, so that weights are finite.
        weights = 1 / np.sqrt(np.maximum(misfits, median_misfit))
    return plane_vector


def height_with_range(
    prediction: PredictionRecord, plane: DepthPlane, ranges: InstrumentRanges, top: Pixel
) -> Measurement:
    """Measure the height above the plane of the point that a pixel shows."""
    heights, position = _heights_around(prediction, plane, top)
    height = float(np.median(heights))
    error = _height_error(plane, ranges, position, height)
    # A point that is placed by hand may lie on any pixel of the window, also beyond an edge. The
    # noise of these pixels does not count, because the median averages it away.
    distance_along_normal = plane.camera_distance - height
    noise = _WINDOW_QUANTILE_PER_NOISE * plane.pixel_noise * distance_along_normal
    lowest, highest = np.quantile(heights, WINDOW_QUANTILES)
    # Spread beyond what the noise explains.
    placing_error_below = math.sqrt(max(0.0, (height - lowest) ** 2 - noise**2))
    placing_error_above = math.sqrt(max(0.0, (highest - height) ** 2 - noise**2))
    return Measurement(
        what=Quantity.HEIGHT_ABOVE_PLANE,
        value=height,
        low=height - math.hypot(error, placing_error_below),
        high=height + math.hypot(error, placing_error_above),
    )


def _heights_around(
    prediction: PredictionRecord, plane: DepthPlane, pixel: Pixel
) -> tuple[Values, Vector]:
    """Heights of the pixels in the window around a point, and the position of its own pixel."""
    depth = prediction.depth
    require_depth(depth, pixel)
    rows, columns = np.mgrid[window_around_point(depth, pixel)].reshape(2, -1)
    is_valid = depth.valid[rows, columns]
    rows, columns = rows[is_valid], columns[is_valid]
    rays = prediction.known_camera.rays(np.stack([columns, rows]).astype(np.float64))
    positions = (rays * depth.values[rows, columns].astype(np.float64)).T
    row, column = pixel_index(depth, pixel)
    centre_index = int(np.argmax((rows == row) & (columns == column)))
    return plane.heights(positions), positions[centre_index]


def _height_error(
    plane: DepthPlane, ranges: InstrumentRanges, position: Vector, height: float
) -> float:
    """Error of a height [m] that comes from depth, the fitted plane and the focal length."""
    depth = abs(float(ranges.prediction.known_camera.depth_of(position)))
    instrument_error = ranges.height_error(position, plane.normal, height, plane.support)
    # Error of the median of a window, by the noise of its pixels.
    distance_along_normal = abs(plane.camera_distance - height)
    median_error = distance_along_normal * _MEDIAN_NOISE * plane.pixel_noise
    # A bend shifts and tilts the fitted plane, and the tilt counts more away from its middle.
    bend = plane.bend(ranges.instrument.pixel_error_at(depth))
    tilt_factor = SLOPE_PER_ERROR * plane.support.offset(position)
    bend_error = plane.camera_distance * bend * math.hypot(1, tilt_factor)
    return math.hypot(instrument_error, median_error, bend_error)
