"""Errors of an object's sizes, and the origin of its depth."""

import math
from dataclasses import dataclass

from rilievo.arrays.shapes import Mask
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.measure.expected_errors import is_focal_length_guessed
from rilievo.measure.instrument_ranges import FOCAL_ERRORS, focal_error
from rilievo.measure.measurements import MeasurementOrigin
from rilievo.records.instruments import DepthSource
from rilievo.records.prediction_record import PredictionRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlineErrors:
    """Log errors of an object's sizes by its outline, of eight in ten, over that of its distance.

    Attributes:
        width: Error of the horizontal size across the view.
        height: Error of the vertical size.
        depth: Error of the size along the view.
    """

    width: float
    height: float
    depth: float

    def turned(self, yaw: float) -> "OutlineErrors":
        """Errors along horizontal axes that are turned by an angle [rad]."""
        c, s = math.cos(yaw), math.sin(yaw)
        return OutlineErrors(
            width=math.hypot(c * self.width, s * self.depth),
            height=self.height,
            depth=math.hypot(s * self.width, c * self.depth),
        )


_NETWORK_OUTLINE = OutlineErrors(width=0.19, height=0.19, depth=0.8)
_INSTRUMENT_OUTLINE = OutlineErrors(width=0.03, height=0.03, depth=0.1)
"""An instrument's edges are those of the object."""


def outline_errors(prediction: PredictionRecord) -> OutlineErrors:
    """Errors of sizes by the outline of an object in a prediction's depth."""
    return _NETWORK_OUTLINE if prediction.is_of_network else _INSTRUMENT_OUTLINE


def focal_error_of_sizes(prediction: PredictionRecord) -> float:
    """Log error of widths and heights by the focal length; 0 if it was given."""
    if not prediction.is_of_network:
        return focal_error(prediction.known_camera)
    # The outline errors of a network contain the error of a focal length that is no guess.
    is_guess = is_focal_length_guessed(prediction.known_camera)
    return FOCAL_ERRORS[CameraSource.ASSUMED] if is_guess else 0.0


_MAX_GAP_FRACTION = 0.1
"""Largest fraction of a region in the gaps of a sensor with which its depth counts as measured."""


def region_origin(prediction: PredictionRecord, region: Mask) -> MeasurementOrigin:
    """Where the depth of a region comes from."""
    instrument = prediction.instrument
    if instrument is None or prediction.is_of_network:
        return MeasurementOrigin.NETWORK
    if instrument.source is DepthSource.DEPTH_MAP:
        return MeasurementOrigin.DEPTH_MAP

    measured = prediction.measured
    has_depth = prediction.depth.valid & region
    if measured is None:  # It is not known which pixels were measured.
        return MeasurementOrigin.SENSOR_GAP
    if (has_depth & ~measured).sum() > _MAX_GAP_FRACTION * has_depth.sum():
        return MeasurementOrigin.SENSOR_GAP
    return MeasurementOrigin.SENSOR
