"""The visible floor of a prediction, and what it says about distances."""

from contextlib import suppress

import numpy as np

from rilievo.calibration.floor import find_floor, is_deep_place
from rilievo.calibration.points import Floor
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.masks import surface_pixels
from rilievo.records.prediction_record import PredictionRecord

_MIN_DROP = 1e-3
"""Least slope below the horizon of a ray that meets the floor."""
_PIXEL_STEP = 4
"""Step between the rows and columns over which the depth of a place is judged [px]."""


def find_floor_or_none(prediction: PredictionRecord) -> Floor | None:
    """Floor of a prediction; None if none is visible."""
    with suppress(CalibrationError):
        return find_floor(prediction.depth, prediction.known_camera, normals=prediction.normals)
    return None


def is_street_with_floor(prediction: PredictionRecord, floor: Floor) -> bool:
    """Whether metres come from the camera's height above the floor of a deep place, like a street.

    There, the point at which an object meets the floor says how far away it is.
    """
    calibration = prediction.calibration
    if calibration is None or calibration.method != "camera height":
        return False
    grid = np.s_[::_PIXEL_STEP, ::_PIXEL_STEP]
    depth = prediction.depth.values[grid][surface_pixels(prediction)[grid]]
    return is_deep_place(floor.height, depth)


def distance_to_floor(camera: Camera, floor: Floor, u: float, v: float) -> float | None:
    """Distance along the ray of a pixel to the floor [m]; None at the horizon and above."""
    ray = camera.rays(np.array([u, v], np.float64))
    drop = -float(ray @ floor.normal) / float(np.linalg.norm(ray))
    return floor.height / drop if drop > _MIN_DROP else None
