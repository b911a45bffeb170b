"""Metres from known distances to points, known lengths, or the camera's height above the floor."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rilievo.calibration.floor import calibrate_height as calibrate_height
    from rilievo.calibration.lengths import Along as Along
    from rilievo.calibration.lengths import Known as Known
    from rilievo.calibration.lengths import KnownLength as KnownLength
    from rilievo.calibration.lengths import KnownPoint as KnownPoint
    from rilievo.calibration.lengths import parse_known as parse_known
    from rilievo.calibration.points import calibrate as calibrate
    from rilievo.calibration.record import Calibrated as Calibrated
    from rilievo.calibration.record import Floor as Floor
    from rilievo.calibration.record import Residual as Residual

# Module of each name. Most photographs are not calibrated, so names are loaded at first use.
_HOMES = {
    "Along": "lengths",
    "Calibrated": "record",
    "Floor": "record",
    "Known": "lengths",
    "KnownLength": "lengths",
    "KnownPoint": "lengths",
    "Residual": "record",
    "calibrate": "points",
    "calibrate_height": "floor",
    "parse_known": "lengths",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rilievo.calibration' has no attribute '{name}'")
    value = getattr(import_module(f"rilievo.calibration.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
