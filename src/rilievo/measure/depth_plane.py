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
from rilievo.calibration.plane_support import PlaneSupport, support_of
from rilievo.calibration.readings import Pixel, pixel_index, require_depth
from rilievo.calibration.rectangle_depth import (
    NOISE_PER_MEDIAN,
    LogRatio,
    RectangleSamples,
    weighted_quantile,
)
from rilievo.measure.instrument_ranges import SLOPE_SHARE, InstrumentRanges
from rilievo.measure.measurements import Measurement, Quantity
from rilievo.measure.placing_errors import WINDOW_QUANTILES, window_around_point
from rilievo.records.prediction_record import PredictionRecord

_NOISE_OF_MEDIAN = 0.25
"""Error of the median of a window over that of a pixel: 1.2533 / 5 for 5 x 5 pixels."""
_MIN_SHARE_IN_PLANE = 0.8
"""Share of the rectangle in one plane below which all of its depth counts as error of the plane."""
_FIT_ROUNDS = 3
_ONE_SIDED_NOISE = 1.2
"""Quantiles of the pixels in a window that noise explains, over what eight in ten stay below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthPlane:
    """Plane through the depth inside of a rectangle.

    Attributes:
        normal: Unit normal, towards the camera.
        camera_distance: Distance from the camera to the plane, along its normal [m].
        support: Points to which it was fitted.
        pixel_noise: Relative difference from the plane that eight in ten pixels stay below.
        share: Share of the rectangle's depth that lies in the plane.
        off_plane: Relative difference from the plane that eight in ten pixels stay below, with
            those that were left out as objects.
    """

    normal: Vector
    camera_distance: float
    support: PlaneSupport
    pixel_noise: float
    share: float
    off_plane: float

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
        """
        beyond_depth_error = math.sqrt(max(0.0, self.pixel_noise**2 - depth_error**2))
        if self.share >= _MIN_SHARE_IN_PLANE:
            return beyond_depth_error
        return max(beyond_depth_error, self.off_plane)


def fit_depth_plane(
    prediction: PredictionRecord, samples: RectangleSamples, ratio: LogRatio
) -> DepthPlane:
    """Fit a plane to the pixels of a rectangle that agree with its corners' plane."""
    rays = prediction.known_camera.rays(samples.pixels.T).T
    positions = rays * samples.values[:, None]
    points = positions[ratio.is_in_plane]
    vector = _robust_plane(points)
    inverse_distance = np.linalg.norm(vector)
    misfits = np.abs(positions @ vector - 1)
    return DepthPlane(
        normal=-vector / inverse_distance,
        camera_distance=float(1 / inverse_distance),
        support=support_of(points, vector / inverse_distance),
        pixel_noise=NOISE_PER_MEDIAN * weighted_quantile(misfits, samples.importance, 0.5),
        share=samples.share_of(ratio.is_in_plane),
        off_plane=weighted_quantile(misfits, samples.importance, 0.8),
    )


def _robust_plane(points: Points) -> Vector:
    """Vector of the plane vector · p = 1 with the least relative misfits, by reweighting."""
    weights = np.ones(len(points))
    vector = np.zeros(3)
    for _ in range(_FIT_ROUNDS):
        vector = np.linalg.lstsq(points * weights[:, None], weights, rcond=None)[0]
        misfits = np.abs(points @ vector - 1)
        typical_misfit = max(float(np.median(misfits)), 1e-6)
        weights = 1 / np.sqrt(np.maximum(misfits, typical_misfit))
    return vector


def height_with_range(
    prediction: PredictionRecord, plane: DepthPlane, by_instrument: InstrumentRanges, top: Pixel
) -> Measurement:
    """Measure the height above the plane of what a pixel shows.

    Raises:
        CalibrationError: If the pixel has no depth.
    """
    heights, position = _heights_around(prediction, plane, top)
    height = float(np.median(heights))
    error = _height_error(plane, by_instrument, position, height)
    # A point that is placed by hand may lie on any of the pixels around, also beyond an edge.
    pixel_noise = _ONE_SIDED_NOISE * plane.pixel_noise * (plane.camera_distance - height)
    lowest, highest = np.quantile(heights, WINDOW_QUANTILES)
    placing_error_below = math.sqrt(max(0.0, (height - lowest) ** 2 - pixel_noise**2))
    placing_error_above = math.sqrt(max(0.0, (highest - height) ** 2 - pixel_noise**2))
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
    centre = int(np.argmax((rows == row) & (columns == column)))
    return plane.heights(positions), positions[centre]


def _height_error(
    plane: DepthPlane, by_instrument: InstrumentRanges, position: Vector, height: float
) -> float:
    """Error of a height by those of depth, of the plane and of the focal length [m]."""
    depth = abs(float(by_instrument.prediction.known_camera.depth_of(position)))
    bend = plane.bend(by_instrument.instrument.pixel_error_at(depth))
    # The plane bends more, the farther the point lies from the middle of what it was fitted to.
    slope = SLOPE_SHARE * plane.support.offset(position)
    return math.hypot(
        by_instrument.height_error(position, plane.normal, height, plane.support),
        abs(plane.camera_distance - height) * _NOISE_OF_MEDIAN * plane.pixel_noise,
        plane.camera_distance * bend * math.hypot(1, slope),
    )
