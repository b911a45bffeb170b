"""Errors of the scale and the shift that known sizes gave to the depth of an instrument.

Each known size has an error, by that of the depth at its points and of placing them. From these
follow the errors of the scale and the shift, as for a least-squares fit. They are then widened,
until the range of each known size, measured again, contains it. So sizes that contradict each other
give a wide range, which also contains the fits without each of them. With five sizes or more, the
fit follows the majority, and only eight in ten ranges have to contain their size.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace
from rilievo.arrays.shapes import Float64, Values
from rilievo.calibration.points import MAX_SCALE_RATIO, MIN_MAJORITY_SIZES
from rilievo.calibration.readings import DepthReading, SizeReading
from rilievo.measure.ranges import COVERAGE
from rilievo.records.instruments import DepthError

_RELATIVE_STEP = 1e-4
"""Step of finite differences, as a fraction of depth."""
_MIN_CONTRADICTION = 2.0
"""Least difference of two contradictory sizes, over the error that eight in ten stay below."""
_MAX_LOG_CHANGE = math.log(MAX_SCALE_RATIO)
"""Largest change of the logarithm of a known size that widens a range. A larger one is refused
elsewhere, or comes from sizes at nearly the same depth, which do not determine a shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeContradiction:
    """Two known sizes that contradict each other.

    Attributes:
        first: Index of the size by which the scale is larger.
        second: Index of the size by which it is smaller.
        relative_difference: Difference of the scales that they imply, over the smaller one.
    """

    first: int
    second: int
    relative_difference: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleErrors:
    """Errors of depth by the scale and the shift that known sizes gave it.

    Attributes:
        parts: Independent errors, each of which moves all depths together.
        contradiction: The two sizes that contradict each other most; None if they agree.
    """

    parts: tuple[DepthError, ...]
    contradiction: SizeContradiction | None

    def relative_at(self, depth: float) -> float:
        """Relative error of a depth [m] by all parts together."""
        return math.hypot(*(part.relative_at(depth) for part in self.parts))


def estimate_scale_errors(
    readings: Sequence[SizeReading], fit: Fit, size_errors: Sequence[float], *, has_shift: bool
) -> ScaleErrors:
    """Estimate the errors of a fit of depth to known sizes.

    Args:
        readings: Known sizes with the values of the map.
        fit: Conversion of the map to metres.
        size_errors: Relative error of each size that eight in ten stay below.
        has_shift: Whether the map had an unknown shift, which was fitted too.
    """
    measured = np.array([reading.measure(fit.metres) for reading in readings])
    misfits = np.log([reading.metres for reading in readings]) - np.log(measured)
    errors_per_parameter = _errors_per_parameter(readings, fit, has_shift=has_shift)
    # d log(size) / d(scale, shift), one row for each size.
    derivatives = np.stack(
        [_log_changes(readings, fit, error) for error in errors_per_parameter], axis=1
    )
    relative_errors = np.array(size_errors)
    weighted = derivatives / relative_errors[:, None]
    covariance = np.linalg.pinv(weighted.T @ weighted)
    contradiction = _find_contradiction(misfits, relative_errors, derivatives, covariance)

    # The range of each size has to contain these changes of its logarithm.
    log_changes = np.abs(misfits)
    fits_majority = len(readings) >= MIN_MAJORITY_SIZES
    if contradiction is not None and not fits_majority:
        changes_without_one = _largest_change_without_one(misfits, relative_errors, derivatives)
        log_changes = np.maximum(log_changes, changes_without_one)
    coverage = COVERAGE if fits_majority else 1.0
    widening = _widening(log_changes, derivatives, covariance, coverage)

    # Along its principal axes, the covariance is a sum of independent errors.
    variances, directions = np.linalg.eigh(covariance)
    principal_errors = widening * directions * np.sqrt(np.maximum(variances, 0))
    parts = tuple(_weighted_sum(errors_per_parameter, weights) for weights in principal_errors.T)
    return ScaleErrors(parts=parts, contradiction=contradiction)


def _widening(
    log_changes: Values,
    derivatives: Float64[np.ndarray, "n k"],
    covariance: Float64[np.ndarray, "k k"],
    coverage: float,
) -> float:
    """Factor of the errors of a fit with which ranges contain this fraction of the changes."""
    fit_errors = np.sqrt(np.einsum("ni,ij,nj->n", derivatives, covariance, derivatives))
    relative_changes = np.expm1(np.minimum(log_changes, _MAX_LOG_CHANGE))
    return max(1.0, float(np.quantile(relative_changes / fit_errors, coverage)))


def depth_weights(reading: SizeReading, fit: Fit) -> tuple[float, ...]:
    """Relative change of a known size for a relative error of the depth at each of its points.

    With L = |second - first|, a relative error e at an end p changes L by ± e (difference · p) / L.
    """
    if isinstance(reading, DepthReading):
        return (1.0,)
    first, second = reading.ends(fit.metres)
    difference = second - first
    squared_length = float(difference @ difference)
    return (
        float(difference @ first) / squared_length,
        float(difference @ second) / squared_length,
    )


def _errors_per_parameter(
    readings: Sequence[SizeReading], fit: Fit, *, has_shift: bool
) -> list[DepthError]:
    """Error of depth caused by a unit change of the scale, and of the shift if it was fitted.

    The unit of the shift is chosen so that it changes the median depth as much as one of the scale.
    """
    scale_error = DepthError(relative=1.0)
    if not has_shift:
        return [scale_error]
    depths = [fit.metres(value) for reading in readings for value in reading.values]
    median_depth = float(np.median(depths))
    if fit.space is FitSpace.INVERSE:
        # A shift of 1/z changes z in proportion to z², so its relative error grows with depth.
        return [scale_error, DepthError(growth=1 / median_depth)]
    return [scale_error, DepthError(absolute=median_depth)]


def _log_changes(readings: Sequence[SizeReading], fit: Fit, unit_error: DepthError) -> Values:
    """Derivative of log(size) with respect to an error, by a central difference."""

    def depth_with_error(value: float, factor: float) -> float:
        depth = fit.metres(value)
        return depth * (1 + factor * unit_error.relative_at(depth))

    step = _RELATIVE_STEP
    larger = [reading.measure(lambda value: depth_with_error(value, step)) for reading in readings]
    smaller = [
        reading.measure(lambda value: depth_with_error(value, -step)) for reading in readings
    ]
    return (np.log(larger) - np.log(smaller)) / (2 * step)


def _find_contradiction(
    misfits: Values,
    size_errors: Values,
    derivatives: Float64[np.ndarray, "n k"],
    covariance: Float64[np.ndarray, "k k"],
) -> SizeContradiction | None:
    """Find the two sizes whose difference exceeds its error most; None if none does."""
    # Arrays over all pairs of sizes; the error of a difference is that of both sizes and the fit.
    derivative_differences = derivatives[:, None] - derivatives[None]
    fit_variances = np.einsum(
        "nmi,ij,nmj->nm", derivative_differences, covariance, derivative_differences
    )
    errors = np.sqrt(size_errors[:, None] ** 2 + size_errors[None] ** 2 + fit_variances)
    differences = misfits[:, None] - misfits[None]
    worst = int((differences / errors).argmax())
    first, second = np.unravel_index(worst, differences.shape)
    if differences[first, second] <= _MIN_CONTRADICTION * errors[first, second]:
        return None
    relative_difference = math.expm1(float(differences[first, second]))
    return SizeContradiction(
        first=int(first), second=int(second), relative_difference=relative_difference
    )


def _largest_change_without_one(
    misfits: Values, size_errors: Values, derivatives: Float64[np.ndarray, "n k"]
) -> Values:
    """Largest change of the logarithm of each size if the fit leaves one size out (jackknife)."""
    largest_changes = np.zeros_like(misfits)
    for left_out in range(len(misfits)):
        is_kept = np.arange(len(misfits)) != left_out
        is_determined = is_kept.sum() >= derivatives.shape[1]
        if not is_determined:
            continue
        weighted = derivatives[is_kept] / size_errors[is_kept, None]
        target = misfits[is_kept] / size_errors[is_kept]
        scale_and_shift = np.linalg.lstsq(weighted, target, rcond=None)[0]
        changes = np.abs(derivatives @ scale_and_shift)
        largest_changes = np.maximum(largest_changes, changes)
    return largest_changes


def _weighted_sum(errors: Sequence[DepthError], weights: Values) -> DepthError:
    """Sum of errors, each multiplied by its weight."""
    pairs = list(zip(errors, map(float, weights), strict=True))
    return DepthError(
        relative=sum(weight * error.relative for error, weight in pairs),
        absolute=sum(weight * error.absolute for error, weight in pairs),
        growth=sum(weight * error.growth for error, weight in pairs),
    )
