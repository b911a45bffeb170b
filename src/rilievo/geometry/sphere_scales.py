"""Scales of views by their overlaps, and their weighted mean.

Networks scale, contract (far is too near) and tilt views. By contraction to a power g log distances
differ by 1 - g times the log ray lengths. All is solved by least absolute differences; weights fall
to zero at edges.

Views of affine depth have a shift too; one factor stays free.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Field, Float, Float32, Float64, Mask, Values
from rilievo.errors import InputError
from rilievo.geometry.sphere_views import fill_unknown

ViewMaps = Float32[np.ndarray, "k h w"]

_ROUNDS = 30
_STRIDES = (3, 1)
"""Strides of the overlaps, coarse to fine."""
_LEAST = 1e-3
"""Least residual, in logarithms."""
_BRIDGE = 1e-6
"""Weight that keeps a lone view in place."""
_SLOPE = 0.02
"""Weight that holds slopes to 0."""
_LEAST_SHARED = 8
_NEAR = 0.5
"""Nearest share of the sphere that tells the power: skies have no depth."""
_POWERS = (0.6, 1.0)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two views, the mask of shared places, and lesser weights."""

    first: int
    second: int
    shared: Mask
    weights: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Views on one grid of directions.

    Attributes:
        values: Log distance.
        weights: Trust; 0 where unseen.
        area: Solid angle of rows.
    """

    values: ViewMaps
    weights: ViewMaps
    area: Float64[np.ndarray, "h"]

    @property
    def known(self) -> Mask:
        """Places that some view sees."""
        return np.asarray((self.weights > 0).any(axis=0))

    def overlaps(self, stride: int) -> Iterator[Overlap]:
        """Pairs of views with enough in common."""
        weights = self.weights[..., ::stride, ::stride] * self.area[::stride, None]
        for first, second in combinations(range(len(weights)), 2):
            both = np.minimum(weights[first], weights[second])
            shared = both > 0
            if np.count_nonzero(shared) >= _LEAST_SHARED:
                yield Overlap(first, second, shared, both[shared].astype(np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePlaces:
    """Places of a grid's directions in each view.

    Attributes:
        across: Column, -1 to 1 from edge to edge.
        down: Row, likewise.
        lengths: Log distance over z.
    """

    across: ViewMaps
    down: ViewMaps
    lengths: ViewMaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Corrections: log z becomes factor + middle + (log z - middle) / power + slopes.

    Attributes:
        power: Power of contraction.
        middles: Log z that stays.
        factors: Logarithms of median 0.
        slopes: Logarithms at the right and lower edge.
    """

    power: float
    middles: Float64[np.ndarray, "k"]
    factors: Float64[np.ndarray, "k"]
    slopes: Float64[np.ndarray, "k 2"]

    def correct_log_z(
        self, view: int, values: Float32[np.ndarray, "a b"]
    ) -> Float32[np.ndarray, "a b"]:
        """Log z of one view, corrected."""
        rows, columns = values.shape
        x, y = ((2 * (np.arange(n) + 0.5) / n - 1).astype(np.float32) for n in (columns, rows))
        slope = self.slopes[view].astype(np.float32)
        middle, factor = np.float32(self.middles[view]), np.float32(self.factors[view])
        straight = middle + (values - middle) / np.float32(self.power)
        return straight + (factor + slope[0] * x[None] + slope[1] * y[:, None])


def solve_corrections(layers: Layers, places: ScalePlaces) -> Corrections:
    """Solve the corrections of all views together.

    Raises:
        InputError: If no two of several views overlap.
    """
    count = len(layers.values)
    middles = np.array([_median_log_depth(layers, places, view) for view in range(count)])
    plain = np.ones((count, 1, *layers.known.shape), np.float32)
    power = 1.0
    if count > 1:
        first = layers.values + _solve_view_coefficients(layers, plain)[:, 0, None, None]
        power = _shared_power(_zero_far_weights(layers, first), places)
        power = float(np.clip(power, *_POWERS))
    straight = replace(
        layers,
        values=(
            middles[:, None, None]
            + (layers.values - places.lengths - middles[:, None, None]) / power
            + places.lengths
        ).astype(np.float32),
    )
    features = np.stack([plain[:, 0], places.across, places.down], axis=1)
    solution = _solve_view_coefficients(straight, features)
    return Corrections(
        power=power,
        middles=middles,
        factors=solution[:, 0] - np.median(solution[:, 0]),
        slopes=solution[:, 1:],
    )


def _median_log_depth(layers: Layers, places: ScalePlaces, view: int) -> float:
    mask = layers.weights[view] > 0
    if not mask.any():
        return 0.0
    return float(np.median((layers.values[view] - places.lengths[view])[mask]))


def _zero_far_weights(layers: Layers, values: Float[np.ndarray, "k h w"]) -> Layers:
    weight = layers.weights.sum(axis=0)
    mean = (layers.weights * values).sum(axis=0) / np.maximum(weight, 1e-9)
    areas = np.where(weight > 0, layers.area[:, None], 0).ravel()
    order = np.argsort(mean, axis=None)
    total = np.cumsum(areas[order])
    limit = mean.ravel()[order][np.searchsorted(total, _NEAR * total[-1])]
    return replace(layers, weights=layers.weights * (mean <= limit))


def _shared_power(layers: Layers, places: ScalePlaces) -> float:
    plain = np.ones((len(layers.values), 1, *layers.known.shape), np.float32)
    depths = replace(layers, values=layers.values - places.lengths)
    solution = _solve_view_coefficients(depths, plain, places.lengths)
    return float(solution[0, -1])


@dataclass(frozen=True, slots=True)
class _OverlapEquations:
    places: list[int]
    differences: Values
    weights: Values
    features: Float64[np.ndarray, "m n"]


def _solve_view_coefficients(
    layers: Layers,
    features: Float32[np.ndarray, "k m h w"],
    common: ViewMaps | None = None,
) -> Float64[np.ndarray, "k m1"]:
    """Coefficients of features, a row each view; the common one last."""
    count, number = features.shape[:2]
    total = count * number + (common is not None)
    numbers = np.zeros(total)
    held = np.full(total, _SLOPE)
    held[: count * number : number] = _BRIDGE
    held[count * number :] = 0
    for stride in _STRIDES if count > 1 else ():
        pairs = _overlap_equations(layers, features, common, stride)
        if not pairs:
            raise InputError("the views of this picture have nothing in common to compare")
        for _ in range(_ROUNDS):
            before = numbers
            numbers = _reweighted_least_squares(pairs, numbers, held)
            if np.abs(numbers - before).max() < 1e-5:
                break
    own = numbers[: count * number].reshape(count, number)
    shared = np.broadcast_to(numbers[count * number :], (count, total - count * number))
    return np.concatenate([own, shared], axis=1)


def _overlap_equations(
    layers: Layers,
    features: Float32[np.ndarray, "k m h w"],
    common: ViewMaps | None,
    stride: int,
) -> list[_OverlapEquations]:
    some = (..., slice(None, None, stride), slice(None, None, stride))
    values, features = layers.values[some], features[some]
    common = None if common is None else common[some]
    count, number = features.shape[:2]
    pairs = []
    for overlap in layers.overlaps(stride):
        first, second, shared = overlap.first, overlap.second, overlap.shared
        rows = [features[second][:, shared], -features[first][:, shared]]
        places = [view * number + k for view in (second, first) for k in range(number)]
        if common is not None:
            rows.append((common[second] - common[first])[shared][None])
            places.append(count * number)
        differences = (values[second] - values[first])[shared].astype(np.float64)
        features_of_both = np.concatenate(rows).astype(np.float64)
        pairs.append(_OverlapEquations(places, differences, overlap.weights, features_of_both))
    return pairs


def _reweighted_least_squares(
    pairs: list[_OverlapEquations],
    numbers: Float64[np.ndarray, "t"],
    held: Float64[np.ndarray, "t"],
) -> Float64[np.ndarray, "t"]:
    matrix, right = np.zeros((len(numbers), len(numbers))), np.zeros(len(numbers))
    for pair in pairs:
        residuals = pair.differences + numbers[pair.places] @ pair.features
        weighted = pair.features * (pair.weights / np.maximum(np.abs(residuals), _LEAST))
        matrix[np.ix_(pair.places, pair.places)] += weighted @ pair.features.T
        right[pair.places] -= weighted @ pair.differences
    matrix += np.diag(np.maximum(held * np.trace(matrix) / len(numbers), 1e-12))
    return np.linalg.solve(matrix, right)


def row_latitudes(height: int) -> Float64[np.ndarray, "h"]:
    """Latitudes of a whole grid's rows, downwards [rad]."""
    return ((np.arange(height) + 0.5) / height - 0.5) * np.pi


def merge_layers(layers: Layers) -> Field:
    """Weighted mean of views, continued where unseen."""
    weights = layers.weights
    total = weights.sum(axis=0, dtype=np.float64)
    summed = (weights * np.where(weights > 0, layers.values, 0)).sum(axis=0, dtype=np.float64)
    mean = np.divide(summed, total, out=np.zeros(total.shape), where=total > 0)
    return fill_unknown(mean[..., None].astype(np.float32), layers.known)[..., 0]


_SHIFT = 1 / 19
"""Shift, relative to a view's span, where its ends are twenty to one."""
_LEAST_SHIFT, _MOST_SHIFT = 1e-3, 20.0
_HELD = 1e-4
"""Weight that holds log shifts to the start."""
_FACTOR_WEIGHT = 1e-6
"""Weight that holds factors to 1; one factor is free."""
_ENDS = (2.0, 98.0)
"""Percentiles of a view's ends."""
_LEAST_SPAN = 0.3
"""Least span of a view, relative to the others."""
_LEAST_SHIFTED = 0.3
"""Least shifted value, relative to the shift."""
_SHIFT_STRIDES = (4, 2)
"""Strides of the overlaps, coarse to fine."""
_SHIFT_ROUNDS = 40
_FARTHEST_STEP = 0.7
"""Largest change of a log shift in a round."""
_LEAST_RESIDUAL = 1e-3
"""Least residual, in logarithms."""


def normalise_spans(
    views: Sequence[Float32[np.ndarray, "a b"]],
) -> list[Float32[np.ndarray, "a b"]]:
    """Scale each view to 0 and 1 at its ``_ENDS``."""
    ends = np.array([np.percentile(view, _ENDS) for view in views])
    spans = ends[:, 1] - ends[:, 0]
    spans = np.maximum(spans, max(_LEAST_SPAN * float(np.median(spans)), 1e-9))
    return [
        (view - np.float32(low)) / np.float32(span)
        for view, low, span in zip(views, ends[:, 0], spans, strict=True)
    ]


def shifted_log_depth(
    values: Float32[np.ndarray, "*n"], shift: float, *, inverse: bool
) -> Float32[np.ndarray, "*n"]:
    """Log z of ``values + shift``, or of its inverse."""
    logs = np.log(np.maximum(values + np.float32(shift), np.float32(_LEAST_SHIFTED * shift)))
    return -logs if inverse else logs


@dataclass(frozen=True, slots=True)
class _OverlapValues:
    first: int
    second: int
    values: tuple[Values, Values]
    lengths: Values
    weights: Values


def solve_shifts(layers: Layers, places: ScalePlaces, *, inverse: bool) -> Float64[np.ndarray, "k"]:
    """Shifts of views; values of ``layers`` have log ray lengths added."""
    count = len(layers.values)
    # Factors, then logarithms of shifts, relative to where one begins.
    numbers = np.zeros(2 * count)
    for stride in _SHIFT_STRIDES:
        pairs = _overlap_values(layers, places, stride)
        for _ in range(_SHIFT_ROUNDS if pairs else 0):
            change = _factor_and_shift_steps(pairs, numbers, -1.0 if inverse else 1.0)
            change *= min(1.0, _FARTHEST_STEP / max(float(np.abs(change[count:]).max()), 1e-9))
            numbers += change
            limits = np.log(np.array([_LEAST_SHIFT, _MOST_SHIFT]) / _SHIFT)
            numbers[count:] = numbers[count:].clip(*limits)
            if np.abs(change).max() < 1e-4:
                break
    return np.asarray(_SHIFT * np.exp(numbers[count:]))


def _overlap_values(layers: Layers, places: ScalePlaces, stride: int) -> list[_OverlapValues]:
    some = (..., slice(None, None, stride), slice(None, None, stride))
    lengths = places.lengths[some].astype(np.float64)
    values = layers.values[some] - lengths
    pairs = []
    for overlap in layers.overlaps(stride):
        first, second, shared = overlap.first, overlap.second, overlap.shared
        of_both = values[first][shared], values[second][shared]
        farther = (lengths[second] - lengths[first])[shared]
        pairs.append(_OverlapValues(first, second, of_both, farther, overlap.weights))
    return pairs


def _factor_and_shift_steps(
    pairs: list[_OverlapValues], numbers: Float64[np.ndarray, "k2"], sign: float
) -> Float64[np.ndarray, "k2"]:
    """Steps of log factors, then of log shifts."""
    count = len(numbers) // 2
    factors, shifts = numbers[:count], _SHIFT * np.exp(numbers[count:])
    matrix, right = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    for pair in pairs:
        logs, slopes = zip(
            *(
                _shifted_logs(values, float(shifts[view]))
                for values, view in zip(pair.values, (pair.first, pair.second), strict=True)
            ),
            strict=True,
        )
        residuals = factors[pair.second] - factors[pair.first] + pair.lengths
        residuals += sign * (logs[1] - logs[0])
        one = np.ones_like(residuals)
        features = np.stack([one, sign * slopes[1], -one, -sign * slopes[0]])
        weighted = features * (pair.weights / np.maximum(np.abs(residuals), _LEAST_RESIDUAL))
        at = [pair.second, count + pair.second, pair.first, count + pair.first]
        matrix[np.ix_(at, at)] += weighted @ features.T
        right[at] -= weighted @ residuals
    means = np.diagonal(matrix).reshape(2, count).mean(axis=1)
    held = np.maximum(np.repeat(means * (_FACTOR_WEIGHT, _HELD), count), 1e-12)
    return np.linalg.solve(matrix + np.diag(held), right - held * numbers)


def _shifted_logs(values: Values, shift: float) -> tuple[Values, Values]:
    """Logs of values + shift, and slopes by log shift."""
    least = _LEAST_SHIFTED * shift
    above = np.maximum(values + shift, least)
    return np.log(above), np.where(values + shift > least, shift / above, 1.0)
