"""Check that metres from the camera's height are certain enough to be used."""

from rilievo.errors import CalibrationError
from rilievo.records.prediction_record import Calibration

MAX_HEIGHT_ERROR = 0.6
"""Largest error of depth, for eight in ten pixels, with which metres from the camera's height are
given. Beyond it the depth of the picture is so doubtful that a number would mislead."""


def require_certain_height(calibration: Calibration | None) -> None:
    """Check that metres from the camera's height are certain enough.

    Without a stated height, sizes are in camera heights and need no check.

    Raises:
        CalibrationError: If the expected error of depth is beyond ``MAX_HEIGHT_ERROR``.
    """
    if calibration is None or calibration.method != "camera height" or not calibration.asked:
        return
    error = calibration.expected_error
    if error is not None and error > MAX_HEIGHT_ERROR:
        raise CalibrationError(
            "the camera's height determines the depth of this picture only to within "
            f"±{error:.0%}, but rilievo reports metres only if the error is at most "
            f"±{MAX_HEIGHT_ERROR:.0%}",
            hint="give a known distance or length instead, or measure the bounding box of an "
            "object that stands on the ground",
        )
