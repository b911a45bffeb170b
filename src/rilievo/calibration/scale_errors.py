"""Errors that known sizes leave in the scale and the shift of the depth to which they gave metres.

Each known size has an error, by that of the depth there and of placing its points. From these
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
from rilievo.calibration.points import CONTRADICTORY, MANY
from rilievo.calibration.ranges import COVERAGE
from rilievo.calibration.readings import DepthReading, SizeReading
from rilievo.records.instruments import DepthError

_STEP = 1e-4
"""Step of finite differences, as a share of depth."""
_CONTRADICTION = 2.0
"""Difference of two known sizes, over its error of eight in ten, from which on they contradict each
other."""


_MAX_CLAIM = math.log(CONTRADICTORY)
"""Largest logarithm of a factor of a known size that widens a range. A larger one is refused, or
follows from sizes at nearly the same depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeContradiction:
    """Two known sizes that contradict each other.

    Attributes:
        first: Number of the size by which the scale is larger.
        second: Number of the other size.
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
    sigma = np.array(errors)
    measured = np.array([reading.measure(fit.metres) for reading in readings])
    misfits = np.log([reading.metres for reading in readings]) - np.log(measured)
    basis = _basis_of(readings, fit, has_shift=has_shift)
    changes = np.stack([_log_changes(readings, fit, part) for part in basis], axis=1)

    weighted = changes / sigma[:, None]
    covariance = np.linalg.pinv(weighted.T @ weighted)
    deviations = np.sqrt(np.einsum("ni,ij,nj->n", changes, covariance, changes))
    contradiction = _find_contradiction(misfits, sigma, changes, covariance)
    is_of_most = len(readings) >= MANY
    claims = np.abs(misfits)
    if contradiction is not None and not is_of_most:
        claims = np.maximum(claims, _largest_change_without_one(misfits, sigma, changes))
    ratios = np.expm1(np.minimum(claims, _MAX_CLAIM)) / deviations
    widening = max(1.0, float(np.quantile(ratios, COVERAGE if is_of_most else 1.0)))

    variances, directions = np.linalg.eigh(covariance)
    factors = widening * directions * np.sqrt(np.maximum(variances, 0))
    parts = tuple(_combined(basis, column) for column in factors.T)
    return ScaleErrors(parts=parts, contradiction=contradiction)


def _largest_change_without_one(
    misfits: Values, sigma: Values, changes: Float64[np.ndarray, "n k"]
) -> Values:
    """Largest change of the logarithm of each size if one of the sizes had not been given."""
    largest = np.zeros_like(misfits)
    for left_out in range(len(misfits)):
        kept = np.arange(len(misfits)) != left_out
        if kept.sum() < changes.shape[1]:
            continue
        weighted = changes[kept] / sigma[kept, None]
        change = np.linalg.lstsq(weighted, misfits[kept] / sigma[kept], rcond=None)[0]
        largest = np.maximum(largest, np.abs(changes @ change))
    return largest


def depth_weights(reading: SizeReading, fit: Fit) -> tuple[float, ...]:
    """Relative change of a known size for a relative error of the depth at each of its points."""
    if isinstance(reading, DepthReading):
        return (1.0,)
    first, second = (
        fit.metres(value) * direction
        for value, direction in zip(reading.values, reading.rays, strict=True)
    )
    difference = second - first
    squared = float(difference @ difference)
    return float(difference @ first) / squared, float(difference @ second) / squared


def _basis_of(readings: Sequence[SizeReading], fit: Fit, *, has_shift: bool) -> list[DepthError]:
    """Errors of one unit of the scale and of the shift."""
    scale = DepthError(relative=1.0)
    if not has_shift:
        return [scale]
    # In units of a usual depth, both are of about the same size.
    depth = float(
        np.median([fit.metres(value) for reading in readings for value in reading.values])
    )
    if fit.space is FitSpace.INVERSE:
        return [scale, DepthError(growth=1 / depth)]
    return [scale, DepthError(absolute=depth)]


def _log_changes(readings: Sequence[SizeReading], fit: Fit, error: DepthError) -> Values:
    """Change of the logarithm of each known size for one unit of an error."""

    def moved(value: float, step: float) -> float:
        depth = fit.metres(value)
        return depth * (1 + step * error.relative_at(depth))

    far = [reading.measure(lambda value: moved(value, _STEP)) for reading in readings]
    near = [reading.measure(lambda value: moved(value, -_STEP)) for reading in readings]
    return (np.log(far) - np.log(near)) / (2 * _STEP)


def _combined(basis: Sequence[DepthError], factors: Values) -> DepthError:
    """Sum of errors, each with a factor."""
    pairs = list(zip(basis, map(float, factors), strict=True))
    return DepthError(
        relative=sum(factor * part.relative for part, factor in pairs),
        absolute=sum(factor * part.absolute for part, factor in pairs),
        growth=sum(factor * part.growth for part, factor in pairs),
    )


def _find_contradiction(
    misfits: Values,
    sigma: Values,
    changes: Float64[np.ndarray, "n k"],
    covariance: Float64[np.ndarray, "k k"],
) -> SizeContradiction | None:
    """The two sizes whose difference exceeds its error most; None if none does."""
    apart = changes[:, None] - changes[None]
    by_fit = np.einsum("nmi,ij,nmj->nm", apart, covariance, apart)
    error = np.sqrt(sigma[:, None] ** 2 + sigma[None] ** 2 + by_fit)
    difference = misfits[:, None] - misfits[None]
    first, second = np.unravel_index(int((difference / error).argmax()), difference.shape)
    if difference[first, second] <= _CONTRADICTION * error[first, second]:
        return None
    share = math.expm1(float(difference[first, second]))
    return SizeContradiction(first=int(first), second=int(second), share=share)
