"""Errors of the scale and the shift that known sizes gave to the depth of an instrument.

Each known size has an error, by that of the depth at its points and of placing them. From these
follow the errors of the scale and of the shift, as those of a fit of least squares. They grow until
the range of each known size, measured again, contains it, so that sizes that contradict each other
give a wide range. It then also contains what the sizes would say without each of them. Of five
sizes or more, the fit is that of most of them, and eight in ten count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.alignment import Fit, FitSpace
from rilievo.arrays.shapes import Float64, Values
from rilievo.calibration.points import MAX_SCALE_RATIO, MIN_MAJORITY_SIZES
from rilievo.calibration.ranges import COVERAGE
from rilievo.calibration.readings import DepthReading, SizeReading
from rilievo.records.instruments import DepthError

_RELATIVE_STEP = 1e-4
"""Step of finite differences, as a share of depth."""
_MIN_CONTRADICTION = 2.0
"""Difference of two known sizes, over its error of eight in ten, from which on they contradict each
other."""
_MAX_LOG_CHANGE = math.log(MAX_SCALE_RATIO)
"""Largest change of the logarithm of a known size that widens a range. A larger one is refused, or
follows from sizes at nearly the same depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeContradiction:
    """Two known sizes that contradict each other.

    Attributes:
        first: Index of the size by which the scale is larger.
        second: Index of the size by which it is smaller.
        share: Difference of the scales that they imply, as a share of the smaller one.
    """

    first: int
    second: int
    share: float


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
        """Error of all parts as a share of a depth [m]."""
        return math.hypot(*(part.relative_at(depth) for part in self.parts))


def scale_errors_of(
    readings: Sequence[SizeReading], fit: Fit, errors: Sequence[float], *, has_shift: bool
) -> ScaleErrors:
    """Errors of a fit of depth to known sizes.

    Args:
        readings: Known sizes with the values of the map.
        fit: Conversion of the map to metres.
        errors: Relative error of each size that eight in ten stay below.
        has_shift: Whether the map had an unknown shift, which was fitted too.
    """
    size_errors = np.array(errors)
    measured = np.array([reading.measure(fit.metres) for reading in readings])
    misfits = np.log([reading.metres for reading in readings]) - np.log(measured)
    unit_errors = _unit_errors(readings, fit, has_shift=has_shift)
    # Derivatives of the logarithm of each size (rows) by the scale and the shift (columns).
    derivatives = np.stack(
        [_log_changes(readings, fit, unit_error) for unit_error in unit_errors], axis=1
    )

    weighted = derivatives / size_errors[:, None]
    covariance = np.linalg.pinv(weighted.T @ weighted)
    fit_errors = np.sqrt(np.einsum("ni,ij,nj->n", derivatives, covariance, derivatives))
    contradiction = _find_contradiction(misfits, size_errors, derivatives, covariance)

    # The range of each size has to contain these changes of its logarithm.
    changes = np.abs(misfits)
    fits_majority = len(readings) >= MIN_MAJORITY_SIZES
    if contradiction is not None and not fits_majority:
        largest = _largest_change_without_one(misfits, size_errors, derivatives)
        changes = np.maximum(changes, largest)
    ratios = np.expm1(np.minimum(changes, _MAX_LOG_CHANGE)) / fit_errors
    widening = max(1.0, float(np.quantile(ratios, COVERAGE if fits_majority else 1.0)))

    variances, directions = np.linalg.eigh(covariance)
    factors = widening * directions * np.sqrt(np.maximum(variances, 0))
    parts = tuple(_weighted_sum(unit_errors, column) for column in factors.T)
    return ScaleErrors(parts=parts, contradiction=contradiction)


def depth_weights(reading: SizeReading, fit: Fit) -> tuple[float, ...]:
    """Relative change of a known size for a relative error of the depth at each of its points."""
    if isinstance(reading, DepthReading):
        return (1.0,)
    first, second = reading.ends(fit.metres)
    difference = second - first
    squared_length = float(difference @ difference)
    return (
        float(difference @ first) / squared_length,
        float(difference @ second) / squared_length,
    )


def _unit_errors(readings: Sequence[SizeReading], fit: Fit, *, has_shift: bool) -> list[DepthError]:
    """Error of depth by one unit of the scale, and by one of the shift if there is one."""
    scale = DepthError(relative=1.0)
    if not has_shift:
        return [scale]
    # Over a typical depth, a unit of the shift changes depth about as much as one of the scale.
    depths = [fit.metres(value) for reading in readings for value in reading.values]
    typical_depth = float(np.median(depths))
    if fit.space is FitSpace.INVERSE:
        return [scale, DepthError(growth=1 / typical_depth)]
    return [scale, DepthError(absolute=typical_depth)]


def _log_changes(readings: Sequence[SizeReading], fit: Fit, unit_error: DepthError) -> Values:
    """Change of the logarithm of each known size for one unit of an error."""

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
    """The two sizes whose difference exceeds its error most; None if none does."""
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
    share = math.expm1(float(differences[first, second]))
    return SizeContradiction(first=int(first), second=int(second), share=share)


def _largest_change_without_one(
    misfits: Values, size_errors: Values, derivatives: Float64[np.ndarray, "n k"]
) -> Values:
    """Largest change of the logarithm of each size if one of the sizes had not been given."""
    largest = np.zeros_like(misfits)
    for left_out in range(len(misfits)):
        is_kept = np.arange(len(misfits)) != left_out
        if is_kept.sum() < derivatives.shape[1]:
            continue
        weighted = derivatives[is_kept] / size_errors[is_kept, None]
        target = misfits[is_kept] / size_errors[is_kept]
        scale_and_shift = np.linalg.lstsq(weighted, target, rcond=None)[0]
        largest = np.maximum(largest, np.abs(derivatives @ scale_and_shift))
    return largest


def _weighted_sum(errors: Sequence[DepthError], weights: Values) -> DepthError:
    """Sum of errors, each multiplied by its weight."""
    pairs = list(zip(errors, map(float, weights), strict=True))
    return DepthError(
        relative=sum(weight * error.relative for error, weight in pairs),
        absolute=sum(weight * error.absolute for error, weight in pairs),
        growth=sum(weight * error.growth for error, weight in pairs),
    )
