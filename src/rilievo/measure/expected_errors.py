"""Expected errors of measurements, by where they lie and where their metres come from.

The error of an instrument is propagated (``instrument_ranges``). That of a network's depth follows
from circumstances such as the distance to the nearest known size (``measure.ranges``).
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from rilievo.arrays.shapes import Vector
from rilievo.calibration.points import (
    KNOWN_CIRCLES,
    KNOWN_LENGTHS,
    KNOWN_RECTANGLES,
    MAX_CERTAIN_SCALE_RATIO,
    MIN_MAJORITY_SIZES,
)
from rilievo.calibration.readings import Pixel, circle_middle, ray, rectangle_depth
from rilievo.calibration.sizes import KnownCircle, KnownRectangle, parse_known
from rilievo.errors import CalibrationError, RilievoError
from rilievo.errors.messages import format_beyond
from rilievo.geometry.cameras.camera import Camera
from rilievo.measure.instrument_ranges import instrument_ranges
from rilievo.measure.known_sizes import KnownSizePosition, known_size_positions, known_sizes
from rilievo.measure.placing_errors import circle_placing_error
from rilievo.measure.ranges import (
    COVERAGE,
    MIN_RESIDUAL,
    TYPICAL_DOUBT,
    AnchoringMisfit,
    Circumstances,
    expected_error,
)
from rilievo.records.prediction_record import MEASURED_PIXELS, Calibration, PredictionRecord

AnyPrediction = TypeVar("AnyPrediction", bound=PredictionRecord)

UNKNOWN_SIZE_DISTANCE = 0.5
"""Distance to the nearest known size, in widths of the picture, if there is none."""
MAX_HEIGHT_ERROR = 0.6
"""Largest error of depth, for eight in ten pixels, with which metres from the camera's height are
given. Beyond it the depth of the picture is so doubtful that a number would mislead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSizeEvidence:
    """What the known sizes of a prediction say about the errors of its measurements.

    Attributes:
        positions: Positions of the known sizes in the picture.
        log_error: Log error of depth that eight in ten of them stay below. If they are few, the log
            ratio by which they contradict each other, or 0 if they do not. If all are circles, at
            least the error of placing the rim of the largest one.
    """

    positions: tuple[KnownSizePosition, ...]
    log_error: float


def known_size_evidence(prediction: PredictionRecord) -> KnownSizeEvidence:
    """Collect the evidence once, for all measurements of a prediction."""
    return KnownSizeEvidence(
        positions=tuple(known_size_positions(prediction)),
        log_error=_least_log_error(prediction),
    )


def log_error_of_length(
    prediction: PredictionRecord,
    first: Vector,
    second: Vector,
    evidence: KnownSizeEvidence | None = None,
) -> float:
    """Expected log error of the length between two points, which are given in metres.

    ``evidence`` is that of the prediction, which is collected if it is None.
    """
    ranges = instrument_ranges(prediction)
    if ranges is not None:
        return math.log1p(ranges.length_error(first, second))
    if evidence is None:
        evidence = known_size_evidence(prediction)
    circumstances = circumstances_of_line(prediction, first, second, evidence.positions)
    return max(expected_error("length", circumstances), evidence.log_error)


def log_error_of_distance(
    prediction: PredictionRecord, position: Vector, evidence: KnownSizeEvidence | None = None
) -> float:
    """Expected log error of the distance from the camera to a point, which is given in metres.

    ``evidence`` is that of the prediction, which is collected if it is None.
    """
    ranges = instrument_ranges(prediction)
    if ranges is not None:
        return math.log1p(ranges.distance_error(position))
    if evidence is None:
        evidence = known_size_evidence(prediction)
    circumstances = circumstances_at(prediction, position, known_positions=evidence.positions)
    return max(expected_error("depth", circumstances), evidence.log_error)


def log_error_beside_foot(prediction: PredictionRecord, position: Vector, foot: Vector) -> float:
    """Expected log error of a network's distance of a point, if that of its foot were right.

    Both points are given in metres. It is the error of the shape that the network gives to the
    scene, whatever its scale. A foot far outside the picture, or behind the camera, counts as a
    place that is not known.
    """
    camera = prediction.known_camera
    foot_distance = UNKNOWN_SIZE_DISTANCE
    if camera.depth_of(foot) > 0:
        pixels_apart = np.linalg.norm(camera.project(position) - camera.project(foot))
        foot_distance = min(float(pixels_apart) / prediction.shape[1], UNKNOWN_SIZE_DISTANCE)
    circumstances = circumstances_at(prediction, position, known_positions=())
    return expected_error(
        "depth",
        replace(
            circumstances,
            method="known points",
            known_size_distance=foot_distance,
            log_depth_ratio=0.0,
        ),
    )


def log_error_of_distance_ratio(
    prediction: PredictionRecord, ratio: float, position: Vector
) -> float:
    """Expected log error of a point's distance divided by the median distance of the picture."""
    ranges = instrument_ranges(prediction)
    if ranges is not None:
        # An instrument's error is that of the distance, whatever the ratio.
        return math.log1p(ranges.distance_error(position))
    # The error is as if the median distance were a known one, at no certain place.
    circumstances = Circumstances(
        method="known points",
        known_size_distance=UNKNOWN_SIZE_DISTANCE,
        log_depth_ratio=abs(math.log(ratio)),
        is_focal_length_guessed=is_focal_length_guessed(prediction.known_camera),
        doubt=picture_doubt(prediction),
        anchoring=anchoring_misfit(prediction),
    )
    return expected_error("depth", circumstances)


def circumstances_of_line(
    prediction: PredictionRecord,
    first: Vector,
    second: Vector,
    known_positions: Sequence[KnownSizePosition] | None = None,
) -> Circumstances:
    """Circumstances of the length between two points [m], which are those of its middle."""
    length = float(np.linalg.norm(second - first))
    difference_of_distances = abs(float(np.linalg.norm(second)) - float(np.linalg.norm(first)))
    radial_fraction = min(1.0, difference_of_distances / length) if length else 0.0
    return circumstances_at(prediction, (first + second) / 2, radial_fraction, known_positions)


def circumstances_at(
    prediction: PredictionRecord,
    position: Vector,
    radial_fraction: float = 0.0,
    known_positions: Sequence[KnownSizePosition] | None = None,
) -> Circumstances:
    """Circumstances of a measurement at a point [m].

    ``radial_fraction`` is that of a measured line. ``known_positions`` are found if they are None.
    """
    camera = prediction.known_camera
    if known_positions is None:
        known_positions = known_size_positions(prediction)
    without_known_size = Circumstances(
        method=metres_method(prediction),
        known_size_distance=UNKNOWN_SIZE_DISTANCE,
        radial_fraction=radial_fraction,
        is_focal_length_guessed=is_focal_length_guessed(camera),
        doubt=picture_doubt(prediction),
        anchoring=anchoring_misfit(prediction),
    )
    # The middle of a high point and its foot may lie behind the camera, and then has no pixel.
    if not known_positions or camera.depth_of(position) <= 0:
        return without_known_size

    u, v = camera.project(position)
    picture_width = prediction.shape[1]
    distances = [math.hypot(known.u - u, known.v - v) / picture_width for known in known_positions]
    index = int(np.argmin(distances))
    nearest = known_positions[index]
    return replace(
        without_known_size,
        known_size_distance=distances[index],
        log_depth_ratio=abs(math.log(float(camera.depth_of(position)) / nearest.depth)),
        known_radial_fraction=nearest.radial_fraction,
    )


def with_expected_error(metric: AnyPrediction) -> AnyPrediction:
    """Add the expected error of depth to the calibration of a prediction in metres, if it has one.

    It is a relative error, rounded to three decimal places; None if there is no depth.
    """
    if metric.calibration is None:
        return metric
    error = _typical_log_error_of_depth(metric)
    rounded = None if math.isnan(error) else round(math.expm1(error), 3)
    return metric.but(calibration=replace(metric.calibration, expected_error=rounded))


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
            f"±{format_beyond(100 * error, 100 * MAX_HEIGHT_ERROR)}%, but rilievo reports metres "
            f"only if the error is at most ±{MAX_HEIGHT_ERROR:.0%}",
            hint="give a known distance or length instead, or measure the bounding box of an "
            "object that stands on the ground",
        )


_GRID_SIDE = 7
"""Number of grid points along each side of a picture at which expected errors are sampled."""


def _typical_log_error_of_depth(prediction: PredictionRecord) -> float:
    """Median of the expected log errors of depth over a grid, or that at known sizes if it is more.

    It is NaN if the grid has no depth.
    """
    depth, camera = prediction.depth, prediction.known_camera
    height, width = depth.shape
    known_positions = known_size_positions(prediction)
    errors: list[float] = []
    for v in np.linspace(0.5, height - 1.5, _GRID_SIDE):
        for u in np.linspace(0.5, width - 1.5, _GRID_SIDE):
            row_column = round(v), round(u)
            if not depth.valid[row_column]:
                continue
            direction = ray(camera, Pixel(u=float(u), v=float(v), name=""))
            position = direction * float(depth.values[row_column])
            circumstances = circumstances_at(prediction, position, known_positions=known_positions)
            errors.append(expected_error("depth", circumstances))
    if not errors:
        return math.nan
    return max(float(np.median(errors)), _least_log_error(prediction))


_MIN_DEPTH_RATIO = 1e-6
"""Least ratio of calibrated to known metres, which keeps its logarithm finite."""


def _least_log_error(prediction: PredictionRecord) -> float:
    """Log error below which no range of a network's depth is, because of the known sizes."""
    sizes = list(known_sizes(prediction))
    placing_error = 0.0
    circles = [size for size in sizes if isinstance(size, KnownCircle)]
    if circles and len(circles) == len(sizes):
        # Small coins are few pixels wide, whereas the errors of lengths were fitted to longer ones.
        placing_error = math.log1p(min(map(circle_placing_error, circles)))
    return max(_log_error_at_known_sizes(prediction), placing_error)


def _log_error_at_known_sizes(prediction: PredictionRecord) -> float:
    """Log error that the residuals of ``COVERAGE`` of the known sizes stay below.

    Of few known sizes, it is their contradiction if they contradict each other, and else 0. It is
    also 0 if the residuals do not belong to the sizes one by one.
    """
    calibration = prediction.calibration
    if calibration is None or len(calibration.residuals) != len(calibration.asked):
        return 0.0

    log_errors: list[float] = []
    for text, residual in zip(calibration.asked, calibration.residuals, strict=True):
        # Sizes that cannot be read again do not count.
        with suppress(RilievoError):
            size = parse_known(text)
            if isinstance(size, KnownRectangle):
                known_metres = rectangle_depth(size, prediction.known_camera)
            elif isinstance(size, KnownCircle):
                _, _, known_metres = circle_middle(size, prediction.known_camera)
            else:
                known_metres = size.metres
            # A residual is the size by the map minus the known one.
            depth_ratio = max(1 + residual / known_metres, _MIN_DEPTH_RATIO)
            log_errors.append(math.log(depth_ratio))
    if not log_errors:
        return 0.0
    if len(log_errors) < MIN_MAJORITY_SIZES:
        contradiction = max(log_errors) - min(log_errors)
        return contradiction if contradiction > math.log(MAX_CERTAIN_SCALE_RATIO) else 0.0
    return float(np.quantile(np.abs(log_errors), COVERAGE))


def anchoring_misfit(prediction: PredictionRecord) -> AnchoringMisfit | None:
    """Disagreement of anchored depth with its reference; None for other depth."""
    depth = prediction.depth_or_none
    anchoring = prediction.anchoring if depth is not None and depth.is_depth else None
    if anchoring is None or anchoring.residual is None or anchoring.rank_correlation is None:
        return None
    return AnchoringMisfit(
        log_residual=math.log(max(anchoring.residual, MIN_RESIDUAL)),
        rank_disorder=1 - anchoring.rank_correlation,
    )


_BORDER_DIVISOR = 8
"""The border that is left out on each side is the picture's side over this."""
_MAX_SAMPLED_PIXELS = 4_000
"""Number of pixels whose confidence is read, for speed."""
_DOUBT_QUANTILE = 0.1
"""Quantile of the confidence from which the doubt follows."""


def picture_doubt(prediction: PredictionRecord) -> float:
    """Doubt of a picture: 1 minus the 10% quantile of the confidence in its central part.

    A bad picture shows more clearly in this quantile than in the mean confidence, which a wrong
    part of the picture hardly changes. The borders are left out, because confidence is low there in
    good pictures too.
    """
    confidence = prediction.confidence
    if confidence is None or prediction.made_by.settings.get("confidence") == "mirror":
        # Ranges were fitted with the model's own confidence, and "mirror" has another scale.
        return TYPICAL_DOUBT
    height, width = confidence.shape
    rows = slice(height // _BORDER_DIVISOR, height - height // _BORDER_DIVISOR)
    columns = slice(width // _BORDER_DIVISOR, width - width // _BORDER_DIVISOR)
    central, valid = confidence[rows, columns], prediction.depth.valid[rows, columns]
    step = max(1, math.isqrt(central.size // _MAX_SAMPLED_PIXELS))
    sampled = central[::step, ::step][valid[::step, ::step]]
    if not sampled.size:
        return TYPICAL_DOUBT
    return 1 - float(np.quantile(sampled, _DOUBT_QUANTILE))


def is_focal_length_guessed(camera: Camera) -> bool:
    """Whether a camera's focal length is a guess."""
    return camera.source.is_guess


def metres_method(prediction: PredictionRecord) -> str:
    """Method by which depth became metric, under the name that ``measure.ranges`` has for it.

    It is "model" if the network predicted metres.
    """
    calibration = prediction.calibration
    if calibration is None:
        return "model"
    if calibration.bend is not None or calibration.method == MEASURED_PIXELS:
        return "smooth field"
    # The file's own depth, and markers and rectangles, become known points.
    if calibration.method in ("own depth", "markers", KNOWN_RECTANGLES):
        return "known points"
    # A circle is as long as a known length across its middle.
    if calibration.method == KNOWN_CIRCLES:
        return KNOWN_LENGTHS
    return calibration.method
