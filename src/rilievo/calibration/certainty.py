"""Refusal of metres from the camera's height where they are too uncertain to be used."""

from rilievo.errors import CalibrationError
from rilievo.records.prediction_record import Calibration

MAX_HEIGHT_ERROR = 0.6
"""Largest error of depth, for eight in ten pixels, with which metres from the camera's height are
given. Beyond it the depth of the picture is so doubtful that a number would mislead."""


def refuse_uncertain_height(calibration: Calibration | None) -> None:
    """Raise an error if metres from the camera's height are more uncertain than is allowed.

    Sizes in heights of the camera, where the user stated no height, are not metres and pass.

    Raises:
        CalibrationError: If the expected error of depth is beyond ``MAX_HEIGHT_ERROR``.
    """
    if calibration is None or calibration.method != "camera height" or not calibration.asked:
        return
    error = calibration.expected_error
    if error is not None and error > MAX_HEIGHT_ERROR:
        raise CalibrationError(
            f"the camera's height gives the depth of this picture only within ±{error:.0%}, and "
            f"metres are given up to ±{MAX_HEIGHT_ERROR:.0%}",
            hint="give a known distance or length instead, or measure a box whose foot stands on "
            "the ground",
        )
