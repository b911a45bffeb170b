"""Ranges of sizes whose depth an instrument measured, by propagation of its error.

A stated error does not say how the errors of neighbouring pixels are related. They may differ from
pixel to pixel, change smoothly over a part of the picture, or be the same everywhere, as an error
of the scale is. Each size therefore has the range of the least favourable relation.

The error that is assumed where nobody states one is that of depth cameras, for which the relation
was measured: most of it is common to all pixels, and the rest differs between the pixels of one
surface.

To these come the error of a focal length that was not given, and that of placing a point by hand
(``placing_errors``).

All errors are those that eight in ten stay below, as a share of the quantity.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.arrays.shapes import Vector
from rilievo.calibration.plane_support import PlaneSupport
from rilievo.calibration.readings import Pixel, pixel_index
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.measure.surface_planes import SurfacePlane
from rilievo.records.instruments import DepthError, DepthSource, Instrument
from rilievo.records.prediction_record import PredictionRecord

VARYING_SHARE = 0.3
"""Share of the assumed error in which the pixels of one surface differ.

Eight in ten medians of 5 x 5 pixels lie within .53 to .88 % of the plane through a flat surface,
for six depth cameras (``lab/studies/measure_sensor_planes.py``). That is .27 to .44 of 2 %, and
includes what is not quite flat."""
COMMON_SHARE = math.sqrt(1 - VARYING_SHARE**2)
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
        prediction: Prediction with the depth of the instrument.
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
        return math.hypot(self._depth_error_at(position), self._focal_error_of(position))

    def length_error(self, first: Vector, second: Vector) -> float:
        """Relative error of the length between two points [m]."""
        difference = second - first
        squared = float(difference @ difference)
        if squared == 0:
            return math.inf

        # A relative error of depth moves an end by its position; what counts is along the length.
        weights = (-float(difference @ first) / squared, float(difference @ second) / squared)
        by_depth = self._error_by_depth((first, second), weights)
        return math.hypot(by_depth, self._focal_error_of(difference))

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
        # A relative error of depth moves a point by its position; what counts is along the normal.
        weights = (float(normal @ position), -float(normal @ foot))
        by_depth = self._error_by_depth((position, foot), weights)
        plane_distance = abs(float(normal @ foot))
        tilt = SLOPE_SHARE * self._varying_error_at(support.middle) * support.offset(position)
        across_axis = normal[:2]
        by_focal_length = self.focal_error * float(across_axis @ across_axis) * abs(height)
        return math.hypot(by_depth, plane_distance * tilt, by_focal_length)

    def tilt_error(self, plane: SurfacePlane, direction: Vector) -> float:
        """Error of the tilt of a plane along a unit direction that lies in it [degrees]."""
        middle = plane.support.middle
        gap_error = VARYING_SHARE * self._gap_error_at(middle)
        varying_error = math.hypot(self._varying_error_at(middle), gap_error)
        slope = SLOPE_SHARE * varying_error * plane.support.inverse_spread(direction)
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
        """Error of an angle by a guessed focal length [degrees]; 0 if it is no guess."""
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
    def varying_share(self) -> float:
        """Share of the error in which the pixels of one surface may differ."""
        return VARYING_SHARE if self.instrument.is_assumed else 1.0

    @property
    def common_share(self) -> float:
        """Share of the error that all pixels are known to have in common."""
        return COMMON_SHARE if self.instrument.is_assumed else 0.0

    def _focal_error_of(self, vector: Vector) -> float:
        """Relative error of the length of a vector by the focal length.

        The focal length scales only what the vector extends across the optical axis.
        """
        across_axis = vector[:2]
        return self.focal_error * float(across_axis @ across_axis) / float(vector @ vector)

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
            self.varying_share * _least_favourable(changes),
            self.common_share * abs(sum(changes)),
            _least_favourable(rounding_changes),
            *scale_changes,
            *gaps,
        )

    def _varying_error_at(self, position: Vector) -> float:
        """Error by which the pixels of a surface may differ, as far as it tilts the surface."""
        depth = self._depth_at(position)
        error = self.varying_share * self.instrument.error.relative_at(depth)
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
