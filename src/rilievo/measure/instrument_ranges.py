"""Ranges of sizes whose depth an instrument measured, by propagation of its error.

A stated error does not say how the errors of neighbouring pixels are related. They may differ from
pixel to pixel, change smoothly over a part of the picture, or be the same everywhere, as an error
of the scale is. Each size therefore has the range of the least favourable relation.

The error that is assumed where nobody states one is that of depth cameras, for which the relation
was measured: most of it is common to all pixels, and the rest differs between the pixels of one
surface.

To these come the error of a focal length that was not given, and that of placing a point by hand.

All errors are those that eight in ten stay below, as a share of the quantity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Vector
from rilievo.calibration.plane_support import PlaneSupport
from rilievo.calibration.readings import WINDOW_RADIUS, Pixel, pixel_index
from rilievo.calibration.sizes import CORNER_ERROR
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.measure.surface_planes import SurfacePlane
from rilievo.records.depth_map import DepthMap
from rilievo.records.instruments import DepthError, DepthSource, Instrument
from rilievo.records.prediction_record import PredictionRecord

OWN_SHARE = 0.3
"""Share of the assumed error in which the pixels of one surface differ.

Eight in ten medians of 5 x 5 pixels lie within .53 to .88 % of the plane through a flat surface,
for six depth cameras (``lab/studies/measure_sensor_planes.py``). That is .27 to .44 of 2 %, and
includes what is not quite flat."""
COMMON_SHARE = math.sqrt(1 - OWN_SHARE**2)
"""Share of the assumed error that all pixels have in common."""
SLOPE_SHARE = 0.5
"""Slope of a plane by errors of its depth, over these errors and per deviation of its points.

Errors that differ from pixel to pixel average out, and errors that are the same everywhere do not
tilt a plane. Least favourable are smooth errors whose correlation length is half of the radius of a
disc, with a slope of .41, or a third of the length of a rectangle of 3 to 1, with one of .50."""
STEP_TILT = 2.0
"""Slope of a plane by a step of rounded depth through its middle, over that by smooth errors."""
GUESSED_FOCAL_ANGLE = 10.0
"""Error of an angle where the focal length is a guess [degrees]."""
POINT_ERROR = 1.2816 * CORNER_ERROR
"""Error of a point that is placed by hand, of eight in ten along one direction [px]."""
WINDOW_QUANTILES = (0.1, 0.9)
"""Quantiles of the depth in the window around a point, between which eight in ten pixels lie."""
UNTESTED_FILL_ERROR = 0.1
"""Relative error of filled depth whose error could not be tested, because the gaps are too large.

Eight in ten errors of ``lab/studies/fill_sensor_holes.py`` stay well below it."""

FOCAL_ERRORS = {
    CameraSource.ASSUMED: 0.35,
    CameraSource.VANISHING_POINTS: 0.35,
    CameraSource.PREDICTED: 0.1,
    CameraSource.RECTANGLE: 0.05,
    CameraSource.MARKERS: 0.05,
    CameraSource.MILLIMETRES: 0.03,
    CameraSource.EXIF_35MM: 0.03,
    CameraSource.EXIF_SENSOR: 0.03,
}
"""Log error of the focal length by its source. Cameras that were given are taken as exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentRanges:
    """Errors of sizes in a prediction whose depth an instrument measured.

    Attributes:
        instrument: Instrument and the error of its depth.
        focal_error: Log error of the focal length.
        fill_error: Relative error of depth in the gaps of a sensor.
    """

    prediction: PredictionRecord
    instrument: Instrument
    focal_error: float
    fill_error: float

    def distance_error(self, position: Vector) -> float:
        """Relative error of the distance from the camera to a point [m]."""
        error = self._depth_error_at(position)
        squared = float(position @ position)
        sideways = position[:2]
        focal = self.focal_error * float(sideways @ sideways) / squared
        return math.hypot(error, focal)

    def length_error(self, first: Vector, second: Vector) -> float:
        """Relative error of the length between two points [m]."""
        difference = second - first
        squared = float(difference @ difference)
        if squared == 0:
            return math.inf

        weights = (-float(difference @ first) / squared, float(difference @ second) / squared)
        by_depth = self._error_by_depth((first, second), weights)
        sideways = difference[:2]
        focal = self.focal_error * float(sideways @ sideways) / squared
        return math.hypot(by_depth, focal)

    def height_error(
        self, position: Vector, normal: Vector, height: float, support: PlaneSupport
    ) -> float:
        """Error of the height of a point above a plane [m], which stays finite at height 0.

        Args:
            position: Position of the point [m].
            normal: Unit normal of the plane.
            height: Height of the point above it [m].
            support: Points to which the plane was fitted.
        """
        foot = position - height * normal
        weights = (float(normal @ position), -float(normal @ foot))
        by_depth = self._error_by_depth((position, foot), weights)
        distance = abs(float(normal @ foot))
        tilt = SLOPE_SHARE * self._own_error_at(support.middle) * support.offset(position)
        sideways = normal[:2]
        focal = self.focal_error * float(sideways @ sideways) * abs(height)
        return math.hypot(by_depth, distance * tilt, focal)

    def tilt_error(self, plane: SurfacePlane, direction: Vector) -> float:
        """Error of the tilt of a plane along a unit direction that lies in it [degrees]."""
        middle = plane.support.middle
        gap_error = OWN_SHARE * self._gap_error_at(middle)
        own_error = math.hypot(self._own_error_at(middle), gap_error)
        slope = SLOPE_SHARE * own_error * plane.support.inverse_spread(direction)
        return math.degrees(math.atan(plane.camera_distance * slope))

    def tilts_by_scale(self, plane: SurfacePlane, direction: Vector) -> list[float]:
        """Tilt of a plane along a unit direction by each error of a known scale [degrees]."""
        spread = 1 / plane.support.inverse_spread(direction)
        middle = plane.support.middle
        far = self._depth_at(middle + spread * direction)
        near = self._depth_at(middle - spread * direction)
        slopes = [
            (part.relative_at(far) - part.relative_at(near)) / (2 * spread)
            for part in self.instrument.scale_errors
        ]
        return [math.degrees(math.atan(plane.camera_distance * slope)) for slope in slopes]

    @property
    def guessed_focal_angle(self) -> float:
        """Error of an angle by a guessed focal length [degrees]; 0 of another one."""
        is_guessed = self.focal_error >= FOCAL_ERRORS[CameraSource.ASSUMED]
        return GUESSED_FOCAL_ANGLE if is_guessed else 0.0

    def is_in_gap(self, pixel: Pixel) -> bool:
        """Whether depth at a pixel was filled between those that a sensor measured."""
        if self.instrument.source is not DepthSource.SENSOR:
            return False
        measured = self.prediction.measured
        # A file without the mask does not say which pixels were measured.
        return measured is None or not measured[pixel_index(self.prediction.depth, pixel)]

    @property
    def own_share(self) -> float:
        """Share of the error in which the pixels of one surface may differ."""
        return OWN_SHARE if self.instrument.is_assumed else 1.0

    @property
    def common_share(self) -> float:
        """Share of the error that all pixels are known to have in common."""
        return COMMON_SHARE if self.instrument.is_assumed else 0.0

    def _error_by_depth(self, positions: Sequence[Vector], weights: Sequence[float]) -> float:
        """Error of a quantity by the errors of depth at points.

        Args:
            positions: Positions of the points [m].
            weights: Change of the quantity for a relative error of depth at each of them.
        """
        depths = [self._depth_at(position) for position in positions]

        def changes_by(error: DepthError) -> list[float]:
            return [
                weight * error.relative_at(depth)
                for depth, weight in zip(depths, weights, strict=True)
            ]

        changes = changes_by(self.instrument.error)
        rounding_changes = changes_by(self.instrument.rounding)
        scale_changes = [sum(changes_by(part)) for part in self.instrument.scale_errors]
        gaps = [
            weight * self._gap_error_at(position)
            for position, weight in zip(positions, weights, strict=True)
        ]
        return math.hypot(
            self.own_share * _least_favourable(changes),
            self.common_share * abs(sum(changes)),
            _least_favourable(rounding_changes),
            *scale_changes,
            *gaps,
        )

    def _own_error_at(self, position: Vector) -> float:
        """Error by which the pixels of a surface may differ, as far as it tilts the surface."""
        depth = self._depth_at(position)
        error = self.own_share * self.instrument.error.relative_at(depth)
        return math.hypot(error, STEP_TILT * self.instrument.rounding.relative_at(depth))

    def _depth_error_at(self, position: Vector) -> float:
        error = self.instrument.relative_error_at(self._depth_at(position))
        return math.hypot(error, self._gap_error_at(position))

    def _depth_at(self, position: Vector) -> float:
        return abs(float(self.prediction.known_camera.depth_of(position)))

    def _gap_error_at(self, position: Vector) -> float:
        """Further error in a gap of a sensor; 0 for points that the picture does not show."""
        camera, (height, width) = self.prediction.known_camera, self.prediction.shape
        u, v = (float(number) for number in camera.project(position))
        is_shown = -0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5
        if not is_shown or not self.is_in_gap(Pixel(u, v, "")):
            return 0.0
        return self.fill_error


def _least_favourable(changes: Sequence[float]) -> float:
    """Error of a sum of changes whose correlation is not known.

    The variance is linear in the correlation, so that one of its ends is the least favourable:
    changes that are independent, or that are the same.
    """
    return max(math.hypot(*changes), abs(sum(changes)))


def instrument_ranges(prediction: PredictionRecord) -> InstrumentRanges | None:
    """Errors of sizes by the instrument of a prediction; None if a network's ranges hold."""
    instrument = prediction.instrument
    if instrument is None:
        return None
    calibration = prediction.calibration
    fill_error = None if calibration is None else calibration.expected_error
    return InstrumentRanges(
        prediction=prediction,
        instrument=instrument,
        focal_error=focal_error(prediction.known_camera),
        fill_error=UNTESTED_FILL_ERROR if fill_error is None else fill_error,
    )


def focal_error(camera: Camera) -> float:
    """Log error of a camera's focal length; 0 if it was given, or if the lens has none."""
    if not isinstance(camera.lens, Pinhole):
        return 0.0
    return FOCAL_ERRORS.get(camera.source, 0.0)


def window_around_point(depth: DepthMap, pixel: Pixel) -> tuple[slice, slice]:
    """Rows and columns of the window whose median is the depth at a point; square and centred."""
    row, column = pixel_index(depth, pixel)
    height, width = depth.shape
    radius = min(WINDOW_RADIUS, row, column, height - 1 - row, width - 1 - column)
    return slice(row - radius, row + radius + 1), slice(column - radius, column + radius + 1)


def window_error(depth: DepthMap, pixel: Pixel, value: float) -> float:
    """Relative difference to ``value`` that the depth of eight in ten pixels around stays below.

    A point that is placed by hand may lie on any of these pixels, also beyond an edge.
    """
    window = window_around_point(depth, pixel)
    values = depth.values[window][depth.valid[window]].astype(np.float64)
    low, high = np.quantile(values, WINDOW_QUANTILES)
    return max(float(high) - value, value - float(low), 0.0) / value


def error_along_line(pixels: Sequence[Pixel], depths: Sequence[float]) -> float:
    """Relative error of a straight line's length by the errors of placing its two ends.

    Along the image of a line inverse depth is linear, so a pixel at the farther end covers more of
    it, by the ratio of the depths.
    """
    first, second = pixels
    count = math.hypot(second.u - first.u, second.v - first.v)
    ratio = depths[1] / depths[0]
    return POINT_ERROR * math.hypot(ratio, 1 / ratio) / max(count, 1e-3)


def height_placing_error(
    prediction: PredictionRecord, pixel: Pixel, position: Vector, normal: Vector
) -> float:
    """Error of the height of a point above a plane by placing the point by hand [m]."""
    pixel_size, window = _placing_errors(prediction, pixel, position)
    along_normal = abs(float(normal @ position))
    along_ray = along_normal / float(np.linalg.norm(position))
    across_ray = math.sqrt(max(0.0, 1 - along_ray**2))
    return math.hypot(POINT_ERROR * pixel_size * across_ray, window * along_normal)


def _placing_errors(
    prediction: PredictionRecord, pixel: Pixel, position: Vector
) -> tuple[float, float]:
    """Size of a pixel at a position [m], and relative error of depth in the window around."""
    camera = prediction.known_camera
    depth = float(camera.depth_of(position))
    beside = camera.rays(np.array([[pixel.u - 0.5, pixel.u + 0.5], [pixel.v, pixel.v]]))
    pixel_size = depth * float(np.linalg.norm(beside[:, 1] - beside[:, 0]))
    return pixel_size, window_error(prediction.depth, pixel, depth)


def error_between_points(
    prediction: PredictionRecord,
    pixels: Sequence[Pixel],
    positions: Sequence[Vector],
) -> float:
    """Relative error of a length by the errors of placing its two ends on any surfaces by hand."""
    difference = positions[1] - positions[0]
    squared = float(difference @ difference)
    if squared == 0:
        return math.inf

    errors = list[float]()
    for pixel, position in zip(pixels, positions, strict=True):
        pixel_size, around = _placing_errors(prediction, pixel, position)
        along_ray = float(difference @ position) ** 2 / (squared * float(position @ position))
        across_ray = math.sqrt(max(0.0, 1 - along_ray))
        errors.append(POINT_ERROR * pixel_size * across_ray / math.sqrt(squared))
        errors.append(around * abs(float(difference @ position)) / squared)
    return math.hypot(*errors)
