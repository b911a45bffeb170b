"""Metres from what a user knows: distances to points, or the camera's height above the floor."""

from rilievo.calibration.floor import calibrate_height
from rilievo.calibration.known import Along, KnownPoint, parse_known
from rilievo.calibration.points import calibrate
from rilievo.calibration.record import Calibrated, Floor, Residual

__all__ = [
    "Along",
    "Calibrated",
    "Floor",
    "KnownPoint",
    "Residual",
    "calibrate",
    "calibrate_height",
    "parse_known",
]
