"""Measurements of points that a user names, and their record as JSON."""

from collections.abc import Sequence
from dataclasses import asdict

from rilievo.measure.quantities import angle as angle_between
from rilievo.measure.quantities import area, height, length
from rilievo.measurement import Measurement
from rilievo.types import Prediction

COVERAGE = 0.8
"""Share of measurements whose truth should lie in their range."""


def measure_points(
    prediction: Prediction,
    points: Sequence[tuple[float | int, float | int]],
    *,
    angle: bool = False,
) -> Measurement:
    """Measure what the number of points stands for.

    Args:
        prediction: Prediction in metres.
        points: (column, row) [px]: one for a height, two for a length, three or more for an area.
        angle: Whether two points are for the angle between their surfaces.

    Raises:
        CalibrationError: If depth is not in metres, or nothing can be measured there.
    """
    if len(points) == 1:
        return height(prediction, points[0])
    if len(points) == 2:
        return (angle_between if angle else length)(prediction, *points)
    return area(prediction, points)


def measured_record(measured: Measurement, prediction: Prediction) -> dict[str, object]:
    """Record that ``rilievo measure --json`` prints."""
    calibration = prediction.calibration
    return {
        **asdict(measured),
        "unit": measured.unit,
        "coverage": COVERAGE,
        "calibration": None if calibration is None else asdict(calibration),
        "camera": None if prediction.camera is None else prediction.camera.source,
    }
