"""Measurements asked for by texts, and their JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict

from rilievo.errors import OptionError
from rilievo.measure.quantities import angle as angle_between
from rilievo.measure.quantities import area, height, length
from rilievo.measured_quantity import Measurement
from rilievo.types import Prediction

COVERAGE = 0.8
"""Share of measurements whose truth should lie in their range."""


def read_points(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Parse texts ``U,V``, column and row [px]."""
    points = []
    for text in texts:
        try:
            u, v = map(float, text.split(","))
        except ValueError:
            u = v = math.nan
        if not (math.isfinite(u) and math.isfinite(v)):
            raise OptionError(f"point '{text[:40]}': expected U,V, column and row in pixels")
        points.append((u, v))
    return points


def check_points(points: Sequence[tuple[float, float]], *, angle: bool) -> None:
    """Refuse a number of points that nothing is measured by."""
    if angle and len(points) != 2:
        raise OptionError(f"an angle takes two points U,V, got {len(points)}")
    if not points:
        raise OptionError(
            "name points U,V: one for a height, two for a length, three or more for an area"
        )


def measure_points(
    prediction: Prediction,
    points: Sequence[tuple[float, float]],
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
