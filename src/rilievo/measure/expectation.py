"""Circumstances of a measurement: its place, and the origin of its metres."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import numpy as np

from rilievo.alignment.measured import MEASURED
from rilievo.calibration.lengths import Along, Known, KnownLength, KnownPoint, parse_known
from rilievo.calibration.points import MANY
from rilievo.calibration.ranges import (
    COVERAGE,
    KNOWN_RECTANGLES,
    LEAST_RESIDUAL,
    USUAL_DOUBT,
    Circumstances,
    Misfit,
    expected_error,
)
from rilievo.calibration.readings import Pixel, ray, values_at_ends
from rilievo.calibration.rectangle_fit import rectangle_depth
from rilievo.calibration.rectangles import KnownRectangle
from rilievo.errors import RilievoError
from rilievo.frozen import frozen
from rilievo.shapes import Vector
from rilievo.types import Camera, CameraSource, Prediction

AnyPrediction = TypeVar("AnyPrediction", bound=Prediction)

Place = tuple[float, float, float, float]
"""Column, row, depth, and share of a known length that points away from the camera."""

UNKNOWN_FAR = 0.5
"""Distance, in widths of the photograph, that is assumed if nothing in the picture was known."""
_DOUBT_PIXELS = 4_000
SAME_END = 1.0
"""Most pixels between an end of a known length and that of the same line measured again."""


@frozen
class Grounds:
    """Parts of expected errors that all measurements of a prediction share.

    Each known rectangle is fitted for them.

    Attributes:
        places: Result of ``known_places``.
        disagreement: Result of ``disagreement_of``.
    """

    places: tuple[Place, ...]
    disagreement: float


def grounds_of(prediction: Prediction) -> Grounds:
    """Compute what all measurements of a prediction share."""
    return Grounds(places=tuple(known_places(prediction)), disagreement=disagreement_of(prediction))


def expected_of_line(
    prediction: Prediction, first: Vector, second: Vector, grounds: Grounds | None = None
) -> float:
    """Expected error of the logarithm of the distance between two points in the camera frame.

    Args:
        prediction: Prediction in metres, with its camera.
        first: Point in the camera frame [m].
        second: Another.
        grounds: Result of ``grounds_of``, to reuse for many lines; computed if None.
    """
    stated = _error_of_measured(prediction)
    if stated is not None:
        return stated
    grounds = grounds or grounds_of(prediction)
    circumstances = circumstances_of_line(prediction, first, second, grounds.places)
    return max(expected_error("length", circumstances), grounds.disagreement)


def expected_of_distance(
    prediction: Prediction, at: Vector, grounds: Grounds | None = None
) -> float:
    """Expected error of the logarithm of the distance to a point in the camera frame.

    Args:
        prediction: Prediction in metres, with its camera.
        at: Point in the camera frame [m].
        grounds: Result of ``grounds_of``, to reuse for many points; computed if None.
    """
    stated = _error_of_measured(prediction)
    if stated is not None:
        return stated
    grounds = grounds or grounds_of(prediction)
    circumstances = circumstances_at(prediction, at, facts=grounds.places)
    return max(expected_error("depth", circumstances), grounds.disagreement)


def expected_of_ratio(prediction: Prediction, ratio: float) -> float:
    """Expected error of the logarithm of a distance over another in the photograph."""
    circumstances = Circumstances(
        method="known points",
        far=UNKNOWN_FAR,
        deeper=abs(math.log(ratio)),
        assumed=is_assumed(prediction.known_camera),
        doubt=doubt_of(prediction),
        anchored=misfit_of(prediction),
    )
    return expected_error("depth", circumstances)


def _error_of_measured(prediction: Prediction) -> float | None:
    """Error of the logarithm of depth that a sensor's own pixels tell; None without a sensor."""
    calibration = prediction.calibration
    if calibration is None or calibration.method != MEASURED:
        return None
    error = calibration.expected_error
    return None if error is None else math.log1p(error)


def with_expected_error(metric: AnyPrediction) -> AnyPrediction:
    """Add the expected error to a prediction's calibration."""
    if metric.calibration is None:
        return metric
    error = expected_of_depth(metric)
    rounded = None if math.isnan(error) else round(math.expm1(error), 3)
    return metric.but(calibration=replace(metric.calibration, expected_error=rounded))


def circumstances_of_line(
    prediction: Prediction,
    first: Vector,
    second: Vector,
    facts: Sequence[Place] | None = None,
) -> Circumstances:
    """Circumstances of a length between two points in the camera frame; facts as of a point."""
    middle = (first + second) / 2
    apart = float(np.linalg.norm(second - first))
    deep = abs(float(np.linalg.norm(second)) - float(np.linalg.norm(first)))
    along = min(1.0, deep / apart) if apart else 0.0
    return circumstances_at(prediction, middle, along, facts)


def expected_of_depth(prediction: Prediction, places: int = 7) -> float:
    """Expected error of the logarithm of depth: the median over a grid in the picture.

    Args:
        prediction: Prediction in metres, with its camera.
        places: Number of places along each side of the grid.
    """
    depth, camera = prediction.depth, prediction.known_camera
    height, width = depth.shape
    errors, facts = [], known_places(prediction)
    for v in np.linspace(0.5, height - 1.5, places):
        for u in np.linspace(0.5, width - 1.5, places):
            if depth.valid[round(v), round(u)]:
                z = float(depth.values[round(v), round(u)])
                at = ray(camera, Pixel(float(u), float(v), "")) * z
                errors.append(
                    expected_error("depth", circumstances_at(prediction, at, facts=facts))
                )
    return max(float(np.median(errors)), disagreement_of(prediction)) if errors else math.nan


def disagreement_of(prediction: Prediction) -> float:
    """Error of the logarithm that a share ``COVERAGE`` of what is known stays below after the fit.

    Where ``MANY`` facts or more disagree with the fitted depth, so will what is measured; 0 of
    fewer, which fit in any case.
    """
    calibration = prediction.calibration
    if (
        calibration is None
        or len(calibration.residuals) < MANY
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
    prediction: Prediction,
    at: Vector,
    along: float = 0.0,
    facts: Sequence[Place] | None = None,
) -> Circumstances:
    """Circumstances of a quantity at a point in the camera frame.

    Args:
        prediction: Prediction in metres, with its camera.
        at: Point in the camera frame [m].
        along: Share of a measured line that points away from the camera.
        facts: Result of ``known_places`` for the prediction, to reuse for many points; computed if
            None.
    """
    camera, method = prediction.known_camera, method_of(prediction)
    assumed, doubt, anchored = is_assumed(camera), doubt_of(prediction), misfit_of(prediction)
    facts = known_places(prediction) if facts is None else facts
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


def misfit_of(prediction: Prediction) -> Misfit | None:
    """Disagreement of anchored depth with the embedded model's; None of depth of another origin."""
    depth = prediction.depth_or_none
    anchoring = prediction.anchoring if depth is not None and depth.is_depth else None
    if anchoring is None or anchoring.residual is None or anchoring.rank_correlation is None:
        return None
    return Misfit(
        misfit=math.log(max(anchoring.residual, LEAST_RESIDUAL)),
        disorder=1 - anchoring.rank_correlation,
    )


def doubt_of(prediction: Prediction) -> float:
    """Doubt of a photograph, in ``Circumstances.doubt``."""
    confidence = prediction.confidence
    if confidence is None or prediction.made_by.settings.get("confidence") == "mirror":
        return USUAL_DOUBT  # ranges were fitted with the model's own confidence
    step = max(1, math.isqrt(confidence.size // _DOUBT_PIXELS))
    few = confidence[::step, ::step][prediction.depth.valid[::step, ::step]]
    if not few.size:
        return USUAL_DOUBT
    return 1 - float(few.mean())


def is_assumed(camera: Camera) -> bool:
    """Whether the focal length of a camera is a guess, in ``Circumstances.assumed``."""
    return camera.source in (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)


def method_of(prediction: Prediction) -> str:
    """Method that gave the metres, as in ``Circumstances.method``."""
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


def known_places(prediction: Prediction) -> list[Place]:
    """Places in the picture of all known facts."""
    places = []
    for fact in _facts(prediction):
        with suppress(RilievoError):
            places.append(_place(prediction, fact))
    return places


def known_length(prediction: Prediction, first: Pixel, second: Pixel) -> float | None:
    """Length [m] of a line that the user gave; None for other lines."""
    ends = np.array([[first.u, first.v], [second.u, second.v]])
    for fact in known_lengths(prediction):
        line_ends = np.array([[fact.u1, fact.v1], [fact.u2, fact.v2]])
        if min(np.abs(ends - line_ends).max(), np.abs(ends - line_ends[::-1]).max()) <= SAME_END:
            return float(fact.metres)
    return None


def known_distance(prediction: Prediction, at: Pixel) -> float | None:
    """Distance along the ray of a point [m] that the user gave; None for other points."""
    for fact in _facts(prediction):
        if isinstance(fact, KnownPoint) and (
            max(abs(fact.u - at.u), abs(fact.v - at.v)) <= SAME_END
        ):
            way = ray(prediction.known_camera, at)
            is_along = fact.along is Along.RAY
            return fact.metres * (1.0 if is_along else float(np.linalg.norm(way) / way[2]))
    return None


def known_lengths(prediction: Prediction) -> list[KnownLength]:
    """Lengths that the user gave."""
    return [fact for fact in _facts(prediction) if isinstance(fact, KnownLength)]


def known_rectangles(prediction: Prediction) -> list[KnownRectangle]:
    """Rectangles that the user gave, and printed markers."""
    return [fact for fact in _facts(prediction) if isinstance(fact, KnownRectangle)]


def _facts(prediction: Prediction) -> Iterator[Known]:
    """Known points, lengths, rectangles; the height of a camera has no place in the picture."""
    for text in () if prediction.calibration is None else prediction.calibration.asked:
        with suppress(RilievoError):
            yield parse_known(text)


def _place(prediction: Prediction, fact: Known) -> Place:
    if isinstance(fact, KnownPoint):
        return float(fact.u), float(fact.v), float(fact.metres), 0.0
    if isinstance(fact, KnownRectangle):
        return *fact.middle, rectangle_depth(fact, prediction.known_camera), 0.0
    ends = Pixel(fact.u1, fact.v1, ""), Pixel(fact.u2, fact.v2, "")
    camera = prediction.known_camera
    depths = values_at_ends(prediction.depth, *ends, camera)
    first, second = (ray(camera, at) * z for at, z in zip(ends, depths, strict=True))
    deep = abs(float(np.linalg.norm(first)) - float(np.linalg.norm(second)))
    along = min(1.0, deep / float(np.linalg.norm(second - first)))
    return (fact.u1 + fact.u2) / 2, (fact.v1 + fact.v2) / 2, sum(depths) / 2, along
