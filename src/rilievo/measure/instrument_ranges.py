"""Ranges of sizes whose depth an instrument measured, by propagation of its error.

A stated error does not say how the errors of neighbouring pixels are correlated. They may be
independent, change smoothly over a part of the picture, or be the same everywhere, as an error of
the scale is. Each size therefore has the range of the least favourable correlation.

Where nobody states an error, we assume that of depth cameras, whose correlation was measured. Most
of it is common to all pixels, and the rest varies between the pixels of one surface.

Two more errors are added: that of a focal length that was not given, and that of placing a point by
hand (``placing_errors``).

All errors are relative, and eight in ten stay below them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.arrays.shapes import Vector
from rilievo.calibration.readings import Pixel, pixel_index
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.measure.plane_support import PlaneSupport
from rilievo.measure.surface_planes import SurfacePlane
from rilievo.records.instruments import DepthError, DepthSource, Instrument
from rilievo.records.prediction_record import PredictionRecord

VARYING_FRACTION = 0.3
"""Fraction of the assumed error that varies between the pixels of one surface.

Eight in ten medians of 5 x 5 pixels lie within .53 to .88% of the plane through a flat surface,
for six depth cameras (``lab/studies/measure_sensor_planes.py``). That is .27 to .44 of 2%, and
includes what is not quite flat."""
COMMON_FRACTION = math.sqrt(1 - VARYING_FRACTION**2)
"""Fraction of the assumed error that all pixels have in common."""
SLOPE_PER_ERROR = 0.5
"""Slope error of a fitted plane, over the error of its depth and per deviation of its points.

Independent errors average out, and errors that are the same everywhere do not tilt a plane. Least
favourable are smooth errors whose correlation length is half of the radius of a disc, with a slope
of .41, or a third of the length of a rectangle of 3 to 1, with one of .50."""
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
        squared_length = float(difference @ difference)
        if squared_length == 0:
            return math.inf

        # With L = |second - first|, a relative error e of an end's depth moves the end p by e p,
        # and changes L by ± e (difference · p) / L.
        weights = (
            -float(difference @ first) / squared_length,
            float(difference @ second) / squared_length,
        )
        depth_error = self.change_by_depth_errors((first, second), weights)
        return math.hypot(depth_error, self._focal_error_of(difference))

    def height_error(
        self, position: Vector, normal: Vector, height: float, support: PlaneSupport
    ) -> float:
        """Error of the height of a point above a plane [m].

        At height 0 an error remains, because the plane itself is uncertain. ``support`` are the
        points to which the plane with this unit normal was fitted.
        """
        foot = position - height * normal
        # A relative error e of depth moves a point p by e p, and its height by e (normal · p). That
        # of the plane's depth moves the foot, and enters with the opposite sign.
        weights = (float(normal @ position), -float(normal @ foot))
        depth_error = self.change_by_depth_errors((position, foot), weights)
        # A tilt of the plane counts the more, the farther the point lies from its middle.
        plane_distance = abs(float(normal @ foot))
        tilt = self.slope_error(support, position)
        # The focal length scales only the part of the height across the optical axis.
        squared_sine = float(normal[:2] @ normal[:2])
        focal_height_error = self.focal_error * squared_sine * abs(height)
        return math.hypot(depth_error, plane_distance * tilt, focal_height_error)

    def tilt_error(self, plane: SurfacePlane, direction: Vector) -> float:
        """Error of the tilt of a plane along a unit direction that lies in it [degrees]."""
        middle = plane.support.middle
        gap_error = VARYING_FRACTION * self._gap_error_at(middle)
        varying_error = math.hypot(self.varying_error_at(middle), gap_error)
        slope = SLOPE_PER_ERROR * varying_error * plane.support.inverse_spread(direction)
        return math.degrees(math.atan(plane.camera_distance * slope))

    def tilts_by_scale(self, plane: SurfacePlane, direction: Vector) -> list[float]:
        """Tilt of a plane along a unit direction by each error of a known scale [degrees].

        Such an error depends on depth alone, so it tilts the plane by its difference between two
        points on opposite sides of the plane's middle.
        """
        spread = 1 / plane.support.inverse_spread(direction)
        middle = plane.support.middle
        depth_ahead = self._depth_at(middle + spread * direction)
        depth_behind = self._depth_at(middle - spread * direction)
        slopes = [
            (error.relative_at(depth_ahead) - error.relative_at(depth_behind)) / (2 * spread)
            for error in self.instrument.scale_errors
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
    def varying_fraction(self) -> float:
        """Fraction of the error in which the pixels of one surface may differ."""
        return VARYING_FRACTION if self.instrument.is_assumed else 1.0

    @property
    def common_fraction(self) -> float:
        """Fraction of the error that all pixels are known to have in common."""
        return COMMON_FRACTION if self.instrument.is_assumed else 0.0

    def change_by_depth_errors(
        self, positions: Sequence[Vector], weights: Sequence[float]
    ) -> float:
        """Error of a quantity caused by the errors of depth at points.

        ``weights`` are the derivatives of the quantity with respect to the relative depth at each
        position.
        """
        depths = [self._depth_at(position) for position in positions]

        def changes_by(error: DepthError) -> list[float]:
            """Change of the quantity by the error at each point."""
            return [
                weight * error.relative_at(depth)
                for depth, weight in zip(depths, weights, strict=True)
            ]

        changes = changes_by(self.instrument.error)
        rounding_changes = changes_by(self.instrument.rounding)
        scale_changes = [sum(changes_by(error)) for error in self.instrument.scale_errors]
        gap_changes = [
            weight * self._gap_error_at(position)
            for position, weight in zip(positions, weights, strict=True)
        ]
        return math.hypot(
            self.varying_fraction * _worst_case_sum(changes),
            self.common_fraction * abs(sum(changes)),  # the part that all points share
            _worst_case_sum(rounding_changes),
            *scale_changes,
            *gap_changes,
        )

    def varying_error_at(self, position: Vector) -> float:
        """Error by which the pixels of a surface may differ, where rounding tilts it more."""
        depth = self._depth_at(position)
        error = self.varying_fraction * self.instrument.error.relative_at(depth)
        return math.hypot(error, STEP_TILT * self.instrument.rounding.relative_at(depth))

    def slope_error(self, support: PlaneSupport, position: Vector) -> float:
        """Error of the height of a fitted plane at a position, over its distance.

        It is that of its tilt, which counts the more, the farther the position lies from the middle
        of the points of ``support``.
        """
        return SLOPE_PER_ERROR * self.varying_error_at(support.middle) * support.offset(position)

    def _focal_error_of(self, vector: Vector) -> float:
        """Relative error of the length of a vector by the focal length.

        The focal length scales only what the vector extends across the optical axis.
        """
        across_axis = vector[:2]
        return self.focal_error * float(across_axis @ across_axis) / float(vector @ vector)

    def _depth_error_at(self, position: Vector) -> float:
        error = self.instrument.relative_error_at(self._depth_at(position))
        return math.hypot(error, self._gap_error_at(position))

    def _depth_at(self, position: Vector) -> float:
        return abs(float(self.prediction.known_camera.depth_of(position)))

    def _gap_error_at(self, position: Vector) -> float:
        """Further error in a gap of a sensor; 0 for points that the picture does not show."""
        camera, (height, width) = self.prediction.known_camera, self.prediction.shape
        u, v = camera.project(position).tolist()
        is_shown = -0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5
        if not is_shown or not self.is_in_gap(Pixel(u, v, "")):
            return 0.0
        return self.fill_error


def _worst_case_sum(changes: Sequence[float]) -> float:
    """Error of a sum of changes whose correlation is not known.

    The variance is linear in the correlation, so the least favourable correlation is 0 or 1.
    """
    return max(math.hypot(*changes), abs(sum(changes)))


def instrument_ranges(prediction: PredictionRecord) -> InstrumentRanges | None:
    """Errors of sizes by the instrument of a prediction; None if a network predicted depth."""
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
