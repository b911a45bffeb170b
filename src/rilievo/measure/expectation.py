"""Circumstances of a measurement: place, and origin of metres."""

import math
from collections.abc import Iterator, Sequence
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
from rilievo.calibration.readings import (
    Pixel,
    known_point_depth,
    ray,
    rectangle_depth,
    values_at_ends,
)
from rilievo.calibration.sizes import (
    Along,
    Known,
    KnownLength,
    KnownPoint,
    KnownRectangle,
    parse_known,
)
from rilievo.errors import RilievoError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.measure.instrument_ranges import instrument_ranges
from rilievo.records.instruments import DepthSource
from rilievo.records.prediction_record import PredictionRecord

AnyPrediction = TypeVar("AnyPrediction", bound=PredictionRecord)

Place = tuple[float, float, float, float]
"""Column, row, depth, and share of a known length that points away."""

UNKNOWN_FAR = 0.5
"""Distance, in widths, if nothing was known."""
_DOUBT_PIXELS = 4_000
_DOUBT_QUANTILE = 0.1
_BORDER = 8
"""One over the share of each side of a picture that tells nothing of its doubt."""
SAME_END = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGrounds:
    """Parts of expected errors that all measurements share."""

    places: tuple[Place, ...]
    disagreement: float


def compute_error_grounds(prediction: PredictionRecord) -> ErrorGrounds:
    """Compute what all measurements of a prediction share."""
    return ErrorGrounds(
        places=tuple(places_of_known_facts(prediction)),
        disagreement=log_error_of_known_facts(prediction),
    )


def log_error_of_length(
    prediction: PredictionRecord, first: Vector, second: Vector, grounds: ErrorGrounds | None = None
) -> float:
    """Expected log error between two points [m]."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        return math.log1p(by_instrument.length_error(first, second))
    grounds = grounds or compute_error_grounds(prediction)
    circumstances = circumstances_of_line(prediction, first, second, grounds.places)
    return max(expected_error("length", circumstances), grounds.disagreement)


def log_error_of_distance(
    prediction: PredictionRecord, at: Vector, grounds: ErrorGrounds | None = None
) -> float:
    """Expected log error from camera to point [m]."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        return math.log1p(by_instrument.distance_error(at))
    grounds = grounds or compute_error_grounds(prediction)
    circumstances = circumstances_at(prediction, at, facts=grounds.places)
    return max(expected_error("depth", circumstances), grounds.disagreement)


def log_error_of_ratio(prediction: PredictionRecord, ratio: float, at: Vector) -> float:
    """Expected log error of the distance of a point over the median distance of the picture."""
    by_instrument = instrument_ranges(prediction)
    if by_instrument is not None:
        return math.log1p(by_instrument.distance_error(at))
    circumstances = Circumstances(
        method="known points",
        far=UNKNOWN_FAR,
        deeper=abs(math.log(ratio)),
        assumed=is_focal_length_guessed(prediction.known_camera),
        doubt=picture_doubt(prediction),
        anchored=anchoring_misfit(prediction),
    )
    return expected_error("depth", circumstances)


def with_expected_error(metric: AnyPrediction) -> AnyPrediction:
    """Add the expected error to a calibration."""
    if metric.calibration is None:
        return metric
    error = median_log_error_of_depth(metric)
    rounded = None if math.isnan(error) else round(math.expm1(error), 3)
    return metric.but(calibration=replace(metric.calibration, expected_error=rounded))


def circumstances_of_line(
    prediction: PredictionRecord,
    first: Vector,
    second: Vector,
    facts: Sequence[Place] | None = None,
) -> Circumstances:
    """Circumstances of a length between two points."""
    middle = (first + second) / 2
    apart = float(np.linalg.norm(second - first))
    deep = abs(float(np.linalg.norm(second)) - float(np.linalg.norm(first)))
    along = min(1.0, deep / apart) if apart else 0.0
    return circumstances_at(prediction, middle, along, facts)


def median_log_error_of_depth(prediction: PredictionRecord, places: int = 7) -> float:
    """Expected log error, the median over a grid of ``places``²."""
    depth, camera = prediction.depth, prediction.known_camera
    height, width = depth.shape
    errors, facts = [], places_of_known_facts(prediction)
    for v in np.linspace(0.5, height - 1.5, places):
        for u in np.linspace(0.5, width - 1.5, places):
            if depth.valid[round(v), round(u)]:
                z = float(depth.values[round(v), round(u)])
                at = ray(camera, Pixel(float(u), float(v), "")) * z
                errors.append(
                    expected_error("depth", circumstances_at(prediction, at, facts=facts))
                )
    return (
        max(float(np.median(errors)), log_error_of_known_facts(prediction)) if errors else math.nan
    )


def log_error_of_known_facts(prediction: PredictionRecord) -> float:
    """Log error that ``COVERAGE`` of known facts stay below; 0 if they are few."""
    calibration = prediction.calibration
    if (
        calibration is None
        or len(calibration.residuals) < MIN_MAJORITY_SIZES
        or len(calibration.residuals) != len(calibration.asked)
    ):
        return 0.0
    sizes = []
    for text, residual in zip(calibration.asked, calibration.residuals, strict=True):
        with suppress(RilievoError):
            fact = parse_known(text)
            if isinstance(fact, KnownRectangle):
                metres = rectangle_depth(fact, prediction.known_camera)
            else:
                metres = fact.metres
            sizes.append(abs(math.log(max(1 + residual / metres, 1e-6))))
    return float(np.quantile(sizes, COVERAGE)) if sizes else 0.0


def circumstances_at(
    prediction: PredictionRecord,
    at: Vector,
    along: float = 0.0,
    facts: Sequence[Place] | None = None,
) -> Circumstances:
    """Circumstances at a point [m]; ``along`` is the share that points away."""
    camera, method = prediction.known_camera, name_metres_method(prediction)
    assumed, doubt, anchored = (
        is_focal_length_guessed(camera),
        picture_doubt(prediction),
        anchoring_misfit(prediction),
    )
    facts = places_of_known_facts(prediction) if facts is None else facts
    if not facts:
        return Circumstances(
            method=method,
            far=UNKNOWN_FAR,
            along=along,
            assumed=assumed,
            doubt=doubt,
            anchored=anchored,
        )
    u, v = camera.project(at)
    far, _, z, fact_along = min(
        (math.hypot(fu - u, fv - v) / prediction.shape[1], index, z, fact_along)
        for index, (fu, fv, z, fact_along) in enumerate(facts)
    )
    return Circumstances(
        method=method,
        far=far,
        along=along,
        deeper=abs(math.log(float(camera.depth_of(at)) / z)),
        fact_along=fact_along,
        assumed=assumed,
        doubt=doubt,
        anchored=anchored,
    )


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
    rows = slice(height // _BORDER, height - height // _BORDER)
    columns = slice(width // _BORDER, width - width // _BORDER)
    central, valid = confidence[rows, columns], prediction.depth.valid[rows, columns]
    step = max(1, math.isqrt(central.size // _DOUBT_PIXELS))
    sampled = central[::step, ::step][valid[::step, ::step]]
    if not sampled.size:
        return TYPICAL_DOUBT
    return 1 - float(np.quantile(sampled, _DOUBT_QUANTILE))


def is_focal_length_guessed(camera: Camera) -> bool:
    """Whether a camera's focal length is a guess."""
    return camera.source in (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)


def name_metres_method(prediction: PredictionRecord) -> str:
    """Method of ``ranges`` for a prediction's metres."""
    calibration = prediction.calibration
    if calibration is None:
        return "model"
    if calibration.bend is not None:
        return "smooth field"
    # Depth stored in the file is converted to known points.
    from_points = calibration.method in ("own depth", "markers", KNOWN_RECTANGLES)
    if calibration.method == MEASURED:
        return "smooth field"
    return "known points" if from_points else calibration.method


def places_of_known_facts(prediction: PredictionRecord) -> list[Place]:
    """Places of all known facts."""
    places = []
    for fact in _parse_known_facts(prediction):
        with suppress(RilievoError):
            places.append(_place_of_fact(prediction, fact))
    return places


def user_length_between(prediction: PredictionRecord, first: Pixel, second: Pixel) -> float | None:
    """Length [m] that the user gave, else None."""
    ends = np.array([[first.u, first.v], [second.u, second.v]])
    for fact in parse_known_lengths(prediction):
        line_ends = np.array([[fact.u1, fact.v1], [fact.u2, fact.v2]])
        if min(np.abs(ends - line_ends).max(), np.abs(ends - line_ends[::-1]).max()) <= SAME_END:
            return float(fact.metres)
    return None


def user_distance_at(prediction: PredictionRecord, at: Pixel) -> float | None:
    """Distance along a ray [m] that the user gave, else None.

    Pixels of a sensor are no known distances, because they have the sensor's error.
    """
    instrument = prediction.instrument
    if instrument is not None and instrument.source is DepthSource.SENSOR:
        return None
    for fact in _parse_known_facts(prediction):
        if isinstance(fact, KnownPoint) and (
            max(abs(fact.u - at.u), abs(fact.v - at.v)) <= SAME_END
        ):
            way = ray(prediction.known_camera, at)
            is_along = fact.along is Along.RAY
            return fact.metres * (1.0 if is_along else float(np.linalg.norm(way) / way[2]))
    return None


def parse_known_lengths(prediction: PredictionRecord) -> list[KnownLength]:
    """Lengths that the user gave."""
    return [fact for fact in _parse_known_facts(prediction) if isinstance(fact, KnownLength)]


def parse_known_rectangles(prediction: PredictionRecord) -> list[KnownRectangle]:
    """Rectangles of the user, and markers."""
    return [fact for fact in _parse_known_facts(prediction) if isinstance(fact, KnownRectangle)]


def _parse_known_facts(prediction: PredictionRecord) -> Iterator[Known]:
    for text in () if prediction.calibration is None else prediction.calibration.asked:
        with suppress(RilievoError):
            yield parse_known(text)


def _place_of_fact(prediction: PredictionRecord, fact: Known) -> Place:
    if isinstance(fact, KnownPoint):
        depth = known_point_depth(fact, prediction.known_camera)
        return float(fact.u), float(fact.v), float(depth), 0.0
    if isinstance(fact, KnownRectangle):
        return *fact.middle, rectangle_depth(fact, prediction.known_camera), 0.0
    ends = Pixel(fact.u1, fact.v1, ""), Pixel(fact.u2, fact.v2, "")
    camera = prediction.known_camera
    depths = values_at_ends(prediction.depth, *ends, camera)
    first, second = (ray(camera, at) * z for at, z in zip(ends, depths, strict=True))
    deep = abs(float(np.linalg.norm(first)) - float(np.linalg.norm(second)))
    along = min(1.0, deep / float(np.linalg.norm(second - first)))
    return (fact.u1 + fact.u2) / 2, (fact.v1 + fact.v2) / 2, sum(depths) / 2, along
