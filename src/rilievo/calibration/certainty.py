"""Metres from the camera's height that are too uncertain to be used."""

from rilievo.errors import CalibrationError
from rilievo.records.prediction_record import Calibration

MOST_HEIGHT_ERROR = 0.6
"""Largest error of depth, for eight in ten pixels, with which metres from the camera's height are
given. Beyond it the depth of the picture is so doubtful that a number would mislead."""


def refuse_uncertain_height(calibration: Calibration | None) -> None:
    """Refuse metres from the camera's height whose range is beyond ``MOST_HEIGHT_ERROR``.

    Sizes in heights of the camera, of which the user stated none, are not metres and stay.

    Raises:
        CalibrationError: If the range is wider.
    """
    if calibration is None or calibration.method != "camera height" or not calibration.asked:
        return
    error = calibration.expected_error
    if error is not None and error > MOST_HEIGHT_ERROR:
        raise CalibrationError(
            f"the camera's height gives the depth of this picture only within ±{error:.0%}, and "
            f"metres are given up to ±{MOST_HEIGHT_ERROR:.0%}",
            hint="give a known distance or length instead, or measure a box whose foot stands on "
            "the ground",
        )


def refuse_uncertain_box(calibration: Calibration | None, *, meets_ground: bool) -> None:
    """Refuse a box by the camera's height whose metres are as uncertain as those of points.

    Args:
        calibration: Calibration of the prediction.
        meets_ground: Whether the object in the box meets the ground, whose depth follows from the
            height of the camera.

    Raises:
        CalibrationError: If it does not, and the range is wider than ``MOST_HEIGHT_ERROR``.
    """
    if not meets_ground:
        refuse_uncertain_height(calibration)
