"""Expected errors of measurements, by where they lie and where their metres come from.

The error of an instrument is propagated (``instrument_ranges``). That of a network's depth follows
from circumstances such as the distance to the nearest known size (``calibration.ranges``).
"""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from rilievo.alignment.sensor_depth import MEASURED
from rilievo.arrays.shapes import Vector
from rilievo.calibration.points import MIN_MAJORITY_SIZES
from rilievo.calibration.ranges import (
    COVERAGE,
    KNOWN_RECTANGLES,
    MIN_RESIDUAL,
    TYPICAL_DOUBT,
    Circumstances,
    Misfit,
    expected_error,
)
from rilievo.calibration.readings import Pixel, ray, rectangle_depth
from rilievo.calibration.sizes import KnownRectangle, parse_known
from rilievo.errors import RilievoError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.instrument_ranges import instrument_ranges
from rilievo.measure.known_sizes import KnownPlace, known_places
from rilievo.records.prediction_record import PredictionRecord

AnyPrediction = TypeVar("AnyPrediction", bound=PredictionRecord)

UNKNOWN_PLACE_DISTANCE = 0.5
"""Distance to the nearest known size, in widths of the picture, that is assumed without any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSizeEvidence:
    """What the known sizes of a prediction say about the errors of its measurements.

    Attributes:
        places: Places of the known sizes in the picture.
        disagreement: Log error that eight in ten of them stay below; 0 if they are few.
    """

    places: tuple[KnownPlace, ...]
    disagreement: float


def known_size_evidence(prediction: PredictionRecord) -> KnownSizeEvidence:
    """Collect what all measurements of a prediction share."""
    return KnownSizeEvidence(
        places=tuple(known_places(prediction)),
        disagreement=_disagreement_of_known_sizes(prediction),
    )


def log_error_of_length(
    prediction: PredictionRecord,
    first: Vector,
    second: Vector,
    evidence: KnownSizeEvidence | None = None,
) -> float:
    """Expected log error of the length between two points [m].

    ``evidence`` is that of the prediction, and is collected if it is None.
    """
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        return math.log1p(by_instrument.length_error(first, second))
    evidence = evidence or known_size_evidence(prediction)
    circumstances = circumstances_of_line(prediction, first, second, evidence.places)
    return max(expected_error("length", circumstances), evidence.disagreement)


def log_error_of_distance(
    prediction: PredictionRecord, position: Vector, evidence: KnownSizeEvidence | None = None
) -> float:
    """Expected log error of the distance from the camera to a point [m].

    ``evidence`` is that of the prediction, and is collected if it is None.
    """
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        return math.log1p(by_instrument.distance_error(position))
    evidence = evidence or known_size_evidence(prediction)
    circumstances = circumstances_at(prediction, position, places=evidence.places)
    return max(expected_error("depth", circumstances), evidence.disagreement)


def log_error_of_ratio(prediction: PredictionRecord, ratio: float, position: Vector) -> float:
    """Expected log error of the distance of a point over the median distance of the picture."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        return math.log1p(by_instrument.distance_error(position))
    circumstances = Circumstances(
        method="known points",
        far=UNKNOWN_PLACE_DISTANCE,
        deeper=abs(math.log(ratio)),
        assumed=is_focal_length_guessed(prediction.known_camera),
        doubt=picture_doubt(prediction),
        anchored=anchoring_misfit(prediction),
    )
    return expected_error("depth", circumstances)


def circumstances_of_line(
    prediction: PredictionRecord,
    first: Vector,
    second: Vector,
    places: Sequence[KnownPlace] | None = None,
) -> Circumstances:
    """Circumstances of the length between two points [m], which are those of its middle."""
    length = float(np.linalg.norm(second - first))
    difference_of_distances = abs(float(np.linalg.norm(second)) - float(np.linalg.norm(first)))
    along = min(1.0, difference_of_distances / length) if length else 0.0
    return circumstances_at(prediction, (first + second) / 2, along, places)


def circumstances_at(
    prediction: PredictionRecord,
    position: Vector,
    along: float = 0.0,
    places: Sequence[KnownPlace] | None = None,
) -> Circumstances:
    """Circumstances of a measurement at a point [m].

    Args:
        prediction: Prediction in metres.
        position: The point in the camera frame.
        along: Share of a measured line that points away from the camera.
        places: Places of the prediction's known sizes; None to find them.
    """
    camera = prediction.known_camera
    if places is None:
        places = known_places(prediction)
    without_place = Circumstances(
        method=metres_method(prediction),
        far=UNKNOWN_PLACE_DISTANCE,
        along=along,
        assumed=is_focal_length_guessed(camera),
        doubt=picture_doubt(prediction),
        anchored=anchoring_misfit(prediction),
    )
    if not places:
        return without_place

    u, v = camera.project(position)
    picture_width = prediction.shape[1]
    distances = [math.hypot(place.u - u, place.v - v) / picture_width for place in places]
    index = min(range(len(places)), key=distances.__getitem__)
    nearest = places[index]
    return replace(
        without_place,
        far=distances[index],
        deeper=abs(math.log(float(camera.depth_of(position)) / nearest.depth)),
        fact_along=nearest.along,
    )


def with_expected_error(metric: AnyPrediction) -> AnyPrediction:
    """Add the expected error of depth to the calibration of a prediction in metres, if it has one.

    It is a relative error, rounded to three decimal places, and None without depth.
    """
    if metric.calibration is None:
        return metric
    error = _median_log_error_of_depth(metric)
    rounded = None if math.isnan(error) else round(math.expm1(error), 3)
    return metric.but(calibration=replace(metric.calibration, expected_error=rounded))


_GRID_SIDE = 7
"""Places along each side of a picture over which the median of expected errors is taken."""


def _median_log_error_of_depth(prediction: PredictionRecord) -> float:
    """Median of the expected log errors of depth over a grid; NaN if the grid has no depth."""
    depth, camera = prediction.depth, prediction.known_camera
    height, width = depth.shape
    places = known_places(prediction)
    errors: list[float] = []
    for v in np.linspace(0.5, height - 1.5, _GRID_SIDE):
        for u in np.linspace(0.5, width - 1.5, _GRID_SIDE):
            pixel = round(v), round(u)
            if not depth.valid[pixel]:
                continue
            position = ray(camera, Pixel(float(u), float(v), "")) * float(depth.values[pixel])
            circumstances = circumstances_at(prediction, position, places=places)
            errors.append(expected_error("depth", circumstances))
    if not errors:
        return math.nan
    return max(float(np.median(errors)), _disagreement_of_known_sizes(prediction))


def _disagreement_of_known_sizes(prediction: PredictionRecord) -> float:
    """Log error that ``COVERAGE`` of the known sizes stay below; 0 if they are few."""
    calibration = prediction.calibration
    if calibration is None or len(calibration.residuals) < MIN_MAJORITY_SIZES:
        return 0.0
    if len(calibration.residuals) != len(calibration.asked):
        return 0.0

    log_errors: list[float] = []
    for text, residual in zip(calibration.asked, calibration.residuals, strict=True):
        with suppress(RilievoError):
            size = parse_known(text)
            if isinstance(size, KnownRectangle):
                metres = rectangle_depth(size, prediction.known_camera)
            else:
                metres = size.metres
            log_errors.append(abs(math.log(max(1 + residual / metres, 1e-6))))
    return float(np.quantile(log_errors, COVERAGE)) if log_errors else 0.0


def anchoring_misfit(prediction: PredictionRecord) -> Misfit | None:
    """Disagreement of anchored depth with its reference; None for other depth."""
    depth = prediction.depth_or_none
    anchoring = prediction.anchoring if depth is not None and depth.is_depth else None
    if anchoring is None or anchoring.residual is None or anchoring.rank_correlation is None:
        return None
    return Misfit(
        misfit=math.log(max(anchoring.residual, MIN_RESIDUAL)),
        disorder=1 - anchoring.rank_correlation,
    )


_BORDER_DIVISOR = 8
"""One over the share of each side of a picture that says nothing about its doubt."""
_DOUBT_PIXELS = 4_000
"""Pixels whose confidence is read, for speed."""
_DOUBT_QUANTILE = 0.1
"""Quantile of the confidence that tells a bad picture."""


def picture_doubt(prediction: PredictionRecord) -> float:
    """Doubt of a picture: 1 minus the confidence that nine in ten of its central pixels exceed.

    This tells a bad picture better than the mean confidence, which a wrong part of a picture hardly
    changes. The borders, an eighth on each side, are left out, because confidence is low there in
    good pictures too.
    """
    confidence = prediction.confidence
    if confidence is None or prediction.made_by.settings.get("confidence") == "mirror":
        return TYPICAL_DOUBT  # Ranges were fitted with the model's own confidence.
    height, width = confidence.shape
    rows = slice(height // _BORDER_DIVISOR, height - height // _BORDER_DIVISOR)
    columns = slice(width // _BORDER_DIVISOR, width - width // _BORDER_DIVISOR)
    central, valid = confidence[rows, columns], prediction.depth.valid[rows, columns]
    step = max(1, math.isqrt(central.size // _DOUBT_PIXELS))
    sampled = central[::step, ::step][valid[::step, ::step]]
    if not sampled.size:
        return TYPICAL_DOUBT
    return 1 - float(np.quantile(sampled, _DOUBT_QUANTILE))


def is_focal_length_guessed(camera: Camera) -> bool:
    """Whether a camera's focal length is a guess."""
    return camera.source in (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)


def metres_method(prediction: PredictionRecord) -> str:
    """Method by which depth became metric, under the name that ``calibration.ranges`` has for it.

    It is "model" if the network predicted metres.
    """
    calibration = prediction.calibration
    if calibration is None:
        return "model"
    if calibration.bend is not None or calibration.method == MEASURED:
        return "smooth field"
    # The file's own depth, and markers and rectangles, become known points.
    if calibration.method in ("own depth", "markers", KNOWN_RECTANGLES):
        return "known points"
    return calibration.method
