"""Corrections by which the depth of overlapping views agrees, and the weighted mean of the views.

A network gives each view of a wide picture its own scale, tilts it, and contracts depth: what is
far comes out too near. Contraction by a power p means that log z deviates from its median by p
times the true deviation. ``solve_corrections`` finds one power for all views, and a factor and two
slopes for each, by least absolute differences of log distance where views overlap.

Views of affine depth have an unknown shift, too, which ``solve_shifts`` finds first. A common
factor of all views stays free.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Field, Float, Float32, Float64, Mask, Values, Vector
from rilievo.errors import InputError
from rilievo.geometry.sphere_views import fill_unknown

ViewMaps = Float32[np.ndarray, "k h w"]

_STRIDES = (3, 1)
"""Strides at which overlaps are compared, coarse to fine."""
_MAX_ROUNDS = 30
_CONVERGED = 1e-5
"""Largest change of a coefficient in the last round."""
_MIN_RESIDUAL = 1e-3
"""Least residual of log distance in the weights of a round, which are its inverse."""
_FACTOR_HOLD = 1e-6
"""Weight that holds factors to 0, so that a view without an overlap stays in place."""
_SLOPE_HOLD = 0.02
"""Weight that holds slopes to 0."""
_MIN_HOLD = 1e-12
_MIN_OVERLAP = 8
"""Least number of directions that two views share to be compared."""
_NEAR_SHARE = 0.5
"""Nearest share of the sphere, from which the power is found; the sky has no true depth."""
_POWERS = (0.6, 1.0)
"""Least and largest power."""

_FIRST_SHIFT = 1 / 19
"""Shift of a view, over its span, at which its far end is twenty times as far as its near one."""
_MIN_SHIFT, _MAX_SHIFT = 1e-3, 20.0
_LOG_SHIFT_HOLD = 1e-4
"""Weight that holds log shifts to that of ``_FIRST_SHIFT``."""
_SHIFT_FACTOR_HOLD = 1e-6
"""Weight that holds log factors to 0; a common one is free."""
_SPAN_PERCENTILES = (2.0, 98.0)
_MIN_SPAN = 0.3
"""Least span of a view, over the median one."""
_MIN_SHIFTED = 0.3
"""Least shifted value, over the shift."""
_SHIFT_STRIDES = (4, 2)
"""Strides at which overlaps are compared for shifts, coarse to fine."""
_MAX_SHIFT_ROUNDS = 40
_MAX_LOG_SHIFT_STEP = 0.7
"""Largest change of a log shift in a round."""
_SHIFTS_CONVERGED = 1e-4


@dataclass(frozen=True, slots=True)
class Overlap:
    """Directions that two views share.

    Attributes:
        first: Index of a view.
        second: Index of the other view.
        shared: Mask of the grid.
        weights: For each direction of the mask, the lesser weight of the two views.
    """

    first: int
    second: int
    shared: Mask
    weights: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Views drawn on one grid of directions.

    Attributes:
        values: Log distance.
        weights: Weight of each view; 0 where it sees nothing.
        area: Solid angle of a direction, for each row.
    """

    values: ViewMaps
    weights: ViewMaps
    area: Float64[np.ndarray, "h"]

    @property
    def known(self) -> Mask:
        """Directions that some view sees."""
        return np.asarray((self.weights > 0).any(axis=0))

    def overlaps(self, stride: int) -> Iterator[Overlap]:
        """Pairs of views that share enough directions."""
        weights = self.weights[..., ::stride, ::stride] * self.area[::stride, None]
        for first, second in combinations(range(len(weights)), 2):
            lesser = np.minimum(weights[first], weights[second])
            shared = lesser > 0
            if np.count_nonzero(shared) >= _MIN_OVERLAP:
                yield Overlap(first, second, shared, lesser[shared].astype(np.float64))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePlaces:
    """Positions of a grid's directions in each view.

    Attributes:
        across: Column, from -1 at the left edge to 1 at the right edge.
        down: Row, likewise.
        lengths: Log of the ratio of distance to z.
    """

    across: ViewMaps
    down: ViewMaps
    lengths: ViewMaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Affine corrections of log depth, one for each view, by which views of a sphere agree.

    Networks contract depth towards its median. A correction expands log z about its median, and
    adds a constant and a slope across and down the view.

    Attributes:
        power: Factor by which log z was contracted, common to all views.
        median_logs: Median log z of each view, which the expansion leaves as it is.
        log_factors: Constant of each view, the log of a factor; their median is 0.
        slopes: What is added to log z at the right and at the lower edge of each view. The left and
            the upper edge have the negative of it.
    """

    power: float
    median_logs: Float64[np.ndarray, "k"]
    log_factors: Float64[np.ndarray, "k"]
    slopes: Float64[np.ndarray, "k 2"]

    def correct_log_z(
        self, view: int, log_z: Float32[np.ndarray, "a b"]
    ) -> Float32[np.ndarray, "a b"]:
        """Correct the log z of one view."""
        rows, columns = log_z.shape
        x, y = _pixel_centres(columns), _pixel_centres(rows)
        x_slope, y_slope = self.slopes[view].astype(np.float32)
        median, log_factor = np.float32(self.median_logs[view]), np.float32(self.log_factors[view])
        expanded = median + (log_z - median) / np.float32(self.power)
        return expanded + (log_factor + x_slope * x[None] + y_slope * y[:, None])


def _pixel_centres(count: int) -> Float32[np.ndarray, "n"]:
    """Centres of pixels in a row, from -1 at the first edge to 1 at the last."""
    return (2 * (np.arange(count) + 0.5) / count - 1).astype(np.float32)


def solve_corrections(layers: Layers, places: ScalePlaces) -> Corrections:
    """Find the corrections of all views together.

    Raises:
        InputError: If no two of several views overlap.
    """
    count = len(layers.values)
    median_logs = np.array([_median_log_z(layers, places, view) for view in range(count)])
    power = _find_power(layers, places) if count > 1 else 1.0

    medians = median_logs[:, None, None]
    log_z = layers.values - places.lengths
    expanded = medians + (log_z - medians) / power + places.lengths
    features = np.stack([_ones(layers), places.across, places.down], axis=1)
    coefficients = _fit_views(replace(layers, values=expanded.astype(np.float32)), features)
    log_factors = coefficients[:, 0]
    return Corrections(
        power=power,
        median_logs=median_logs,
        log_factors=log_factors - np.median(log_factors),
        slopes=coefficients[:, 1:],
    )


def _median_log_z(layers: Layers, places: ScalePlaces, view: int) -> float:
    is_seen = layers.weights[view] > 0
    if not is_seen.any():
        return 0.0
    log_z = layers.values[view] - places.lengths[view]
    return float(np.median(log_z[is_seen]))


def _ones(layers: Layers) -> ViewMaps:
    """Feature whose coefficient is a view's factor."""
    return np.ones(layers.values.shape, np.float32)


def _find_power(layers: Layers, places: ScalePlaces) -> float:
    """Power of the contraction, within limits, from what is near.

    Views that look in different directions see one point at different angles to their axes, so
    that distance / z differs. Contraction of z by a power p makes their log distances differ by
    (1 - p) times the difference of its logarithms. So p is the coefficient of these logarithms by
    which log z agrees.
    """
    factors = _ones(layers)[:, None]
    scaled = layers.values + _fit_views(layers, factors)[:, 0, None, None]
    near = _without_far_directions(layers, scaled)
    log_z = replace(near, values=near.values - places.lengths)
    coefficients = _fit_views(log_z, factors, common_feature=places.lengths)
    return float(np.clip(coefficients[0, -1], *_POWERS))


def _without_far_directions(layers: Layers, log_distance: Float[np.ndarray, "k h w"]) -> Layers:
    """Layers whose weights are 0 except in the nearest share of the sphere."""
    weight = layers.weights.sum(axis=0)
    mean = (layers.weights * log_distance).sum(axis=0) / np.maximum(weight, 1e-9)
    areas = np.where(weight > 0, layers.area[:, None], 0).ravel()
    order = np.argsort(mean, axis=None)
    nearer_area = np.cumsum(areas[order])
    limit = mean.ravel()[order][np.searchsorted(nearer_area, _NEAR_SHARE * nearer_area[-1])]
    return replace(layers, weights=layers.weights * (mean <= limit))


@dataclass(frozen=True, slots=True)
class _OverlapEquations:
    """Linear equations of one overlap: differences + coefficients @ features = 0.

    Attributes:
        indices: Indices of the coefficients that occur in them.
        differences: Value of the second view less that of the first, for each direction.
        weights: Weight of each direction.
        features: Feature of each coefficient in each direction.
    """

    indices: list[int]
    differences: Values
    weights: Values
    features: Float64[np.ndarray, "m n"]


def _fit_views(
    layers: Layers,
    features: Float32[np.ndarray, "k m h w"],
    common_feature: ViewMaps | None = None,
) -> Float64[np.ndarray, "k m1"]:
    """Coefficients of features that make the values of views agree where they overlap.

    Args:
        layers: Values of the views.
        features: Features of each view, which have coefficients of their own. The first is
            constant.
        common_feature: Feature whose coefficient is the same in all views.

    Returns:
        Coefficients, a row for each view; that of the common feature last.
    """
    views, per_view = features.shape[:2]
    own = views * per_view
    total = own + (common_feature is not None)
    coefficients = np.zeros(total)
    holds = np.full(total, _SLOPE_HOLD)
    holds[:own:per_view] = _FACTOR_HOLD
    holds[own:] = 0

    for stride in _STRIDES if views > 1 else ():
        equations = _overlap_equations(layers, features, common_feature, stride)
        if not equations:
            raise InputError("the views of this picture have nothing in common to compare")
        for _ in range(_MAX_ROUNDS):
            previous = coefficients
            coefficients = _solve_reweighted(equations, previous, holds)
            if np.abs(coefficients - previous).max() < _CONVERGED:
                break

    own_rows = coefficients[:own].reshape(views, per_view)
    common = np.broadcast_to(coefficients[own:], (views, total - own))
    return np.concatenate([own_rows, common], axis=1)


def _overlap_equations(
    layers: Layers,
    features: Float32[np.ndarray, "k m h w"],
    common_feature: ViewMaps | None,
    stride: int,
) -> list[_OverlapEquations]:
    grid = (..., slice(None, None, stride), slice(None, None, stride))
    values, features = layers.values[grid], features[grid]
    views, per_view = features.shape[:2]
    equations = []
    for overlap in layers.overlaps(stride):
        first, second, shared = overlap.first, overlap.second, overlap.shared
        rows = [features[second][:, shared], -features[first][:, shared]]
        indices = [view * per_view + k for view in (second, first) for k in range(per_view)]
        if common_feature is not None:
            common = common_feature[grid]
            rows.append((common[second] - common[first])[shared][None])
            indices.append(views * per_view)
        differences = (values[second] - values[first])[shared].astype(np.float64)
        all_features = np.concatenate(rows).astype(np.float64)
        equations.append(_OverlapEquations(indices, differences, overlap.weights, all_features))
    return equations


def _solve_reweighted(
    equations: list[_OverlapEquations], coefficients: Vector, holds: Vector
) -> Vector:
    """One round of iteratively reweighted least squares for least absolute differences."""
    size = len(coefficients)
    matrix, right_side = np.zeros((size, size)), np.zeros(size)
    for overlap in equations:
        residuals = overlap.differences + coefficients[overlap.indices] @ overlap.features
        weights = overlap.weights / np.maximum(np.abs(residuals), _MIN_RESIDUAL)
        weighted = overlap.features * weights
        matrix[np.ix_(overlap.indices, overlap.indices)] += weighted @ overlap.features.T
        right_side[overlap.indices] -= weighted @ overlap.differences
    matrix += np.diag(np.maximum(holds * np.trace(matrix) / size, _MIN_HOLD))
    return np.linalg.solve(matrix, right_side)


def row_latitudes(height: int) -> Float64[np.ndarray, "h"]:
    """Latitudes of the rows of an equirectangular grid, downwards [rad]."""
    return ((np.arange(height) + 0.5) / height - 0.5) * np.pi


def merge_layers(layers: Layers) -> Field:
    """Weighted mean of the views, continued smoothly where no view sees."""
    weights = layers.weights
    total = weights.sum(axis=0, dtype=np.float64)
    seen_values = np.where(weights > 0, layers.values, 0)
    weighted_sum = (weights * seen_values).sum(axis=0, dtype=np.float64)
    mean = np.divide(weighted_sum, total, out=np.zeros(total.shape), where=total > 0)
    return fill_unknown(mean[..., None].astype(np.float32), layers.known)[..., 0]


def normalise_spans(
    views: Sequence[Float32[np.ndarray, "a b"]],
) -> list[Float32[np.ndarray, "a b"]]:
    """Scale each view so that its ``_SPAN_PERCENTILES`` become 0 and 1."""
    ends = np.array([np.percentile(view, _SPAN_PERCENTILES) for view in views])
    lows, spans = ends[:, 0], ends[:, 1] - ends[:, 0]
    spans = np.maximum(spans, max(_MIN_SPAN * float(np.median(spans)), 1e-9))
    return [
        (view - np.float32(low)) / np.float32(span)
        for view, low, span in zip(views, lows, spans, strict=True)
    ]


def shifted_log_depth(
    values: Float32[np.ndarray, "*n"], shift: float, *, inverse: bool
) -> Float32[np.ndarray, "*n"]:
    """Log z of affine depth, or of affine inverse depth, by its shift."""
    least = np.float32(_MIN_SHIFTED * shift)
    logs = np.log(np.maximum(values + np.float32(shift), least))
    return -logs if inverse else logs


@dataclass(frozen=True, slots=True)
class _OverlapValues:
    """Affine values of two views in the directions that they share.

    Attributes:
        first: Index of a view.
        second: Index of the other view.
        first_values: Its affine values.
        second_values: Those of the other view.
        lengths: Log of distance / z in the second view, less that in the first.
        weights: Weight of each direction.
    """

    first: int
    second: int
    first_values: Values
    second_values: Values
    lengths: Values
    weights: Values


def solve_shifts(layers: Layers, places: ScalePlaces, *, inverse: bool) -> Float64[np.ndarray, "k"]:
    """Shifts of the views' affine values, by which their log distances agree best.

    Args:
        layers: Values of ``normalise_spans``, to which the log of distance / z was added.
        places: Positions of the directions in each view.
        inverse: Whether the values are affine inverse depth.
    """
    views = len(layers.values)
    sign = -1.0 if inverse else 1.0
    log_limits = np.log(np.array([_MIN_SHIFT, _MAX_SHIFT]) / _FIRST_SHIFT)
    # Log factors of the views, then logs of their shifts over the first shift.
    unknowns = np.zeros(2 * views)
    for stride in _SHIFT_STRIDES:
        overlaps = _overlap_values(layers, places, stride)
        for _ in range(_MAX_SHIFT_ROUNDS if overlaps else 0):
            steps = _factor_and_shift_steps(overlaps, unknowns, sign)
            largest_shift_step = float(np.abs(steps[views:]).max())
            steps *= min(1.0, _MAX_LOG_SHIFT_STEP / max(largest_shift_step, 1e-9))
            unknowns += steps
            unknowns[views:] = unknowns[views:].clip(*log_limits)
            if np.abs(steps).max() < _SHIFTS_CONVERGED:
                break
    return np.asarray(_FIRST_SHIFT * np.exp(unknowns[views:]))


def _overlap_values(layers: Layers, places: ScalePlaces, stride: int) -> list[_OverlapValues]:
    grid = (..., slice(None, None, stride), slice(None, None, stride))
    lengths = places.lengths[grid].astype(np.float64)
    values = layers.values[grid] - lengths
    return [
        _OverlapValues(
            first=overlap.first,
            second=overlap.second,
            first_values=values[overlap.first][overlap.shared],
            second_values=values[overlap.second][overlap.shared],
            lengths=(lengths[overlap.second] - lengths[overlap.first])[overlap.shared],
            weights=overlap.weights,
        )
        for overlap in layers.overlaps(stride)
    ]


def _factor_and_shift_steps(
    overlaps: list[_OverlapValues], unknowns: Vector, sign: float
) -> Vector:
    """One step of Gauss and Newton for log factors and log shifts, by reweighted least squares.

    ``sign`` is -1 for inverse depth.
    """
    views = len(unknowns) // 2
    log_factors, shifts = unknowns[:views], _FIRST_SHIFT * np.exp(unknowns[views:])
    matrix, right_side = np.zeros((2 * views, 2 * views)), np.zeros(2 * views)
    for overlap in overlaps:
        first, second = overlap.first, overlap.second
        first_logs, first_slopes = _shifted_logs(overlap.first_values, float(shifts[first]))
        second_logs, second_slopes = _shifted_logs(overlap.second_values, float(shifts[second]))
        residuals = log_factors[second] - log_factors[first] + overlap.lengths
        residuals += sign * (second_logs - first_logs)

        ones = np.ones_like(residuals)
        features = np.stack([ones, sign * second_slopes, -ones, -sign * first_slopes])
        weighted = features * (overlap.weights / np.maximum(np.abs(residuals), _MIN_RESIDUAL))
        indices = [second, views + second, first, views + first]
        matrix[np.ix_(indices, indices)] += weighted @ features.T
        right_side[indices] -= weighted @ residuals

    mean_diagonals = np.diagonal(matrix).reshape(2, views).mean(axis=1)
    holds = np.repeat(mean_diagonals * (_SHIFT_FACTOR_HOLD, _LOG_SHIFT_HOLD), views)
    holds = np.maximum(holds, _MIN_HOLD)
    return np.linalg.solve(matrix + np.diag(holds), right_side - holds * unknowns)


def _shifted_logs(values: Values, shift: float) -> tuple[Values, Values]:
    """Logs of values + shift, and their derivatives by the log of the shift."""
    least = _MIN_SHIFTED * shift
    shifted = np.maximum(values + shift, least)
    derivatives = np.where(values + shift > least, shift / shifted, 1.0)
    return np.log(shifted), derivatives
