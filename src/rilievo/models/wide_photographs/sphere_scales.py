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
from rilievo.models.wide_photographs.sphere_views import fill_unknown

ViewMaps = Float32[np.ndarray, "k h w"]

_STRIDES = (3, 1)
"""Strides at which overlaps are compared, coarse to fine."""
_MAX_ROUNDS = 30
"""Most rounds of iteratively reweighted least squares."""
_CONVERGED_CHANGE = 1e-5
"""Largest change of a coefficient in the last round."""
_MIN_RESIDUAL = 1e-3
"""Least residual of log distance in the weights of a round, which are its inverse."""
_FACTOR_REGULARISATION = 1e-6
"""Weight that pulls log factors to 0, so that a view without an overlap keeps its scale."""
_SLOPE_REGULARISATION = 0.02
"""Weight that pulls slopes to 0."""
_MIN_REGULARISATION = 1e-12
_MIN_SHARED_DIRECTIONS = 8
"""Fewest shared directions of two views that are compared."""
_NEAR_FRACTION = 0.5
"""Nearest fraction of the sphere, from which the power is found; the sky has no true depth."""
_MIN_POWER, _MAX_POWER = 0.6, 1.0
"""Limits of the power by which a network contracts depth; 1 is no contraction."""

_INITIAL_SHIFT = 1 / 19
"""Shift of a view, over its span, at which its far end is twenty times as far as its near one."""
_MIN_SHIFT, _MAX_SHIFT = 1e-3, 20.0
_LOG_SHIFT_REGULARISATION = 1e-4
"""Weight that pulls log shifts to that of ``_INITIAL_SHIFT``, relative to that of overlaps."""
_SHIFT_FACTOR_REGULARISATION = 1e-6
"""The same for log factors and 0, because a common factor of all views is undetermined."""
_SPAN_PERCENTILES = (2.0, 98.0)
"""Percentiles of a view's values between which its span lies, so that outliers do not count."""
_MIN_SPAN_OVER_MEDIAN = 0.3
"""Least span of a view, as a fraction of the median span of all views."""
_MIN_SHIFTED_OVER_SHIFT = 0.3
"""Least value after a shift, as a fraction of the shift; smaller values are replaced by it."""
_SHIFT_STRIDES = (4, 2)
"""Strides at which overlaps are compared for shifts, coarse to fine."""
_MAX_SHIFT_ROUNDS = 40
_MAX_LOG_SHIFT_STEP = 0.7
"""Largest change of a log shift in a round."""
_CONVERGED_SHIFT_STEP = 1e-4
"""Largest change of a log factor or log shift in the last round."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Directions that two views share.

    Attributes:
        first: Index of a view.
        second: Index of the other view.
        shared: Mask of the grid.
        weights: Lesser weight of the two views in each direction of the mask.
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
        area: Solid angle of a direction in each row of the grid.
    """

    values: ViewMaps
    weights: ViewMaps
    area: Float64[np.ndarray, "h"]

    @property
    def known(self) -> Mask:
        """Mask of the directions that at least one view sees."""
        return np.asarray((self.weights > 0).any(axis=0))

    def overlaps(self, stride: int) -> Iterator[Overlap]:
        """Yield the pairs of views that share enough directions to be compared.

        Of the grid, every ``stride``-th row and column is compared. The weight of a direction is
        that of the view which sees it less well, times the solid angle.
        """
        weights = self.weights[..., ::stride, ::stride] * self.area[::stride, None]
        for first, second in combinations(range(len(weights)), 2):
            lesser_weight = np.minimum(weights[first], weights[second])
            shared = lesser_weight > 0
            if np.count_nonzero(shared) >= _MIN_SHARED_DIRECTIONS:
                shared_weights = lesser_weight[shared].astype(np.float64)
                yield Overlap(first, second, shared, shared_weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePlaces:
    """Positions of a grid's directions in each view.

    Attributes:
        across: Column, from -1 at the left edge to 1 at the right edge.
        log_ray_lengths: Log of distance / z, which is the length of the ray at z = 1.
    """

    across: ViewMaps
    down: ViewMaps
    log_ray_lengths: ViewMaps


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrections:
    """Affine corrections of log depth, one for each view, by which views of a sphere agree.

    Networks contract depth towards its median. A correction expands log z about its median, and
    adds a constant and a slope across and down the view.

    Attributes:
        power: Factor by which log z was contracted, common to all views.
        median_logs: Median log z of each view, which the expansion leaves as it is.
        log_factors: Constant of each view, the log of a factor; their median is 0.
        slopes: Additions to log z at the right and at the lower edge of each view. They are linear,
            and of the opposite sign at the left and the upper edge.
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
        x = _pixel_centres(columns)
        y = _pixel_centres(rows)
        x_slope, y_slope = self.slopes[view].astype(np.float32)
        median = np.float32(self.median_logs[view])
        log_factor = np.float32(self.log_factors[view])
        expanded = median + (log_z - median) / np.float32(self.power)
        return expanded + (log_factor + x_slope * x[None] + y_slope * y[:, None])


def _pixel_centres(count: int) -> Float32[np.ndarray, "n"]:
    """Centres of pixels in a row, from -1 at the first edge to 1 at the last."""
    return (2 * (np.arange(count) + 0.5) / count - 1).astype(np.float32)


def solve_corrections(layers: Layers, places: ScalePlaces) -> Corrections:
    """Solve for the range power, scale and slopes by which overlapping views agree.

    Raises:
        InputError: If no two of several views overlap.
    """
    view_count = len(layers.values)
    median_logs = np.array([_median_log_z(layers, places, view) for view in range(view_count)])
    power = _find_power(layers, places) if view_count > 1 else 1.0

    # Undo the network's contraction of depth: log z is stretched about its median by 1 / power.
    medians = median_logs[:, None, None]  # (views, 1, 1)
    log_z = layers.values - places.log_ray_lengths
    stretched_log_distance = medians + (log_z - medians) / power + places.log_ray_lengths
    stretched_views = replace(layers, values=stretched_log_distance.astype(np.float32))
    features = np.stack([_ones(layers), places.across, places.down], axis=1)
    coefficients = _fit_views(stretched_views, features)
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
    log_z = layers.values[view] - places.log_ray_lengths[view]
    return float(np.median(log_z[is_seen]))


def _ones(layers: Layers) -> ViewMaps:
    """Feature whose coefficient is a view's factor."""
    return np.ones(layers.values.shape, np.float32)


def _find_power(layers: Layers, places: ScalePlaces) -> float:
    """Find the power of the contraction, within limits, from near surfaces.

    Views that look in different directions see one point at different angles to their axes, so
    that distance / z differs. Contraction of z by a power p makes their log distances differ by
    (1 - p) times the difference of log(distance / z). So if log(distance / z) is a common feature
    of the fit to log z, p is its coefficient.
    """
    constant_feature = _ones(layers)[:, None]
    log_factors = _fit_views(layers, constant_feature)[:, 0, None, None]
    near = _without_far_directions(layers, layers.values + log_factors)
    log_z = replace(near, values=near.values - places.log_ray_lengths)
    coefficients = _fit_views(log_z, constant_feature, common_feature=places.log_ray_lengths)
    return float(np.clip(coefficients[0, -1], _MIN_POWER, _MAX_POWER))


def _without_far_directions(layers: Layers, log_distance: Float[np.ndarray, "k h w"]) -> Layers:
    """Set the weights to 0 except in the nearest ``_NEAR_FRACTION`` of the area that is seen.

    Which directions are near follows from the weighted mean of the views' ``log_distance``.
    """
    total_weight = layers.weights.sum(axis=0)
    weighted_sum = (layers.weights * log_distance).sum(axis=0)
    mean_log_distance = weighted_sum / np.maximum(total_weight, 1e-9)
    seen_areas = np.where(total_weight > 0, layers.area[:, None], 0).ravel()
    nearest_first = np.argsort(mean_log_distance, axis=None)
    area_up_to = np.cumsum(seen_areas[nearest_first])
    limit_index = np.searchsorted(area_up_to, _NEAR_FRACTION * area_up_to[-1])
    max_log_distance = mean_log_distance.ravel()[nearest_first][limit_index]
    is_near = mean_log_distance <= max_log_distance
    return replace(layers, weights=layers.weights * is_near)


@dataclass(frozen=True, slots=True)
class _OverlapEquations:
    """Linear equations of one overlap: differences + coefficients @ features = 0.

    Attributes:
        unknown_indices: Indices of the coefficients that occur in them.
        differences: Value of the second view less that of the first, for each direction.
        features: Feature of each coefficient in each direction.
    """

    unknown_indices: list[int]
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
    # The unknowns are the coefficients of the first view, those of the second view, and so on, and
    # at the end that of the common feature.
    view_count, feature_count = features.shape[:2]
    own_count = view_count * feature_count
    common_count = 0 if common_feature is None else 1
    regularisation = np.full(own_count + common_count, _SLOPE_REGULARISATION)
    regularisation[:own_count:feature_count] = _FACTOR_REGULARISATION
    regularisation[own_count:] = 0

    coefficients = np.zeros(own_count + common_count)
    if view_count > 1:  # a single view agrees with itself
        for stride in _STRIDES:
            equations = _overlap_equations(layers, features, common_feature, stride)
            coefficients = _solve_robustly(equations, coefficients, regularisation)
    by_view = coefficients[:own_count].reshape(view_count, feature_count)
    common = np.broadcast_to(coefficients[own_count:], (view_count, common_count))
    return np.concatenate([by_view, common], axis=1)


def _overlap_equations(
    layers: Layers,
    features: Float32[np.ndarray, "k m h w"],
    common_feature: ViewMaps | None,
    stride: int,
) -> list[_OverlapEquations]:
    """Make the equations of all overlaps at every ``stride``-th direction.

    In an overlap, value + coefficients @ features is the same for both views: v2 - v1 + c2 @ f2 -
    c1 @ f1 = 0. The coefficient of ``common_feature`` is the same in all views.

    Raises:
        InputError: If no two views overlap.
    """
    every_nth = (..., slice(None, None, stride), slice(None, None, stride))
    values = layers.values[every_nth]
    own_features = features[every_nth]
    view_count, feature_count = own_features.shape[:2]
    equations = []
    for overlap in layers.overlaps(stride):
        first = overlap.first
        second = overlap.second
        shared = overlap.shared
        signed_features = [own_features[second][:, shared], -own_features[first][:, shared]]
        second_indices = range(second * feature_count, (second + 1) * feature_count)
        first_indices = range(first * feature_count, (first + 1) * feature_count)
        unknown_indices = [*second_indices, *first_indices]
        if common_feature is not None:
            common = common_feature[every_nth]
            signed_features.append((common[second] - common[first])[shared][None])
            unknown_indices.append(view_count * feature_count)  # the last unknown
        differences = (values[second] - values[first])[shared].astype(np.float64)
        all_features = np.concatenate(signed_features).astype(np.float64)
        equations.append(
            _OverlapEquations(
                unknown_indices=unknown_indices,
                differences=differences,
                weights=overlap.weights,
                features=all_features,
            )
        )
    if not equations:
        raise InputError(
            "the views into which the picture is split have no depth in common, so their scales "
            "cannot be compared"
        )
    return equations


def _solve_robustly(
    equations: list[_OverlapEquations], coefficients: Vector, regularisation: Vector
) -> Vector:
    """Solve for least absolute differences, in rounds that begin with these coefficients."""
    for _ in range(_MAX_ROUNDS):
        previous = coefficients
        coefficients = _solve_reweighted(equations, previous, regularisation)
        if np.abs(coefficients - previous).max() < _CONVERGED_CHANGE:
            break
    return coefficients


def _solve_reweighted(
    equations: list[_OverlapEquations], coefficients: Vector, regularisation: Vector
) -> Vector:
    """One round of iteratively reweighted least squares for least absolute differences.

    With differences d, features F, weights W, which are the inverse residuals of the last round,
    and regularisation Λ, it solves (F W Fᵀ + Λ) coefficients = -F W d.
    """
    size = len(coefficients)
    normal_matrix = np.zeros((size, size))
    right_side = np.zeros(size)
    for overlap in equations:
        indices = overlap.unknown_indices
        residuals = overlap.differences + coefficients[indices] @ overlap.features
        weights = overlap.weights / np.maximum(np.abs(residuals), _MIN_RESIDUAL)
        weighted = overlap.features * weights
        normal_matrix[np.ix_(indices, indices)] += weighted @ overlap.features.T
        right_side[indices] -= weighted @ overlap.differences
    # Λ is relative to the mean of the diagonal.
    added = np.maximum(regularisation * np.trace(normal_matrix) / size, _MIN_REGULARISATION)
    return np.linalg.solve(normal_matrix + np.diag(added), right_side)


def row_latitudes(height: int) -> Float64[np.ndarray, "h"]:
    """Latitudes of the rows of an equirectangular grid, downwards [rad]."""
    return ((np.arange(height) + 0.5) / height - 0.5) * np.pi


def merge_layers(layers: Layers) -> Field:
    """Weighted mean of the views, continued smoothly where no view sees anything."""
    weights = layers.weights
    total = weights.sum(axis=0, dtype=np.float64)
    seen_values = np.where(weights > 0, layers.values, 0)
    weighted_sum = (weights * seen_values).sum(axis=0, dtype=np.float64)
    mean = np.divide(weighted_sum, total, out=np.zeros(total.shape), where=total > 0)
    return fill_unknown(mean[..., None].astype(np.float32), layers.known)[..., 0]


def normalise_spans(
    views: Sequence[Float32[np.ndarray, "a b"]],
) -> list[Float32[np.ndarray, "a b"]]:
    """Shift and scale the affine values of each view, so that they are about 0 to 1.

    A network gives each view a scale and a shift of its own, so values of different views cannot be
    compared. Afterwards, the 2nd percentile of each view is 0 and the 98th is 1. A view of nearly
    constant depth, such as a wall, is not stretched as far, because that would only stretch noise.
    """
    low_and_high = np.array([np.percentile(view, _SPAN_PERCENTILES) for view in views])
    lows = low_and_high[:, 0]
    measured_spans = low_and_high[:, 1] - lows
    min_span = max(_MIN_SPAN_OVER_MEDIAN * float(np.median(measured_spans)), 1e-9)
    spans = np.maximum(measured_spans, min_span)
    return [
        (view - np.float32(low)) / np.float32(span)
        for view, low, span in zip(views, lows, spans, strict=True)
    ]


def shifted_log_depth(
    values: Float32[np.ndarray, "*n"], shift: float, *, inverse: bool
) -> Float32[np.ndarray, "*n"]:
    """Log z of affine depth, or of affine inverse depth, after a shift.

    Values that the shift leaves near 0 or below have no usable logarithm, and are limited.
    """
    min_shifted = np.float32(_MIN_SHIFTED_OVER_SHIFT * shift)
    logs = np.log(np.maximum(values + np.float32(shift), min_shifted))
    return -logs if inverse else logs


@dataclass(frozen=True, slots=True)
class _OverlapValues:
    """Affine values of two views in the directions that they share.

    Attributes:
        first: Index of the first view.
        second: Index of the second view.
        length_differences: Log ray length in the second view, minus that in the first.
    """

    first: int
    second: int
    first_values: Values
    second_values: Values
    length_differences: Values
    weights: Values


def solve_shifts(layers: Layers, places: ScalePlaces, *, inverse: bool) -> Float64[np.ndarray, "k"]:
    """Shifts of the views' affine values, by which their log distances agree best.

    The values are those of ``normalise_spans``, to which the log of distance / z was added. With
    ``inverse`` they are affine inverse depth.

    In a direction with affine value a and log ray length l, view k has the log distance

        log_factor[k] + sign log(a + shift[k]) + l,  with sign = -1 for inverse depth, else 1

    Factors and shifts minimise the sum of absolute differences of log distance in all overlaps.
    They are found by Gauss-Newton steps of least squares, with residuals weighted by their inverse.
    """
    view_count = len(layers.values)
    sign = -1.0 if inverse else 1.0
    log_limits = np.log(np.array([_MIN_SHIFT, _MAX_SHIFT]) / _INITIAL_SHIFT)
    # The log factors of all views, then the logs of their shifts over the initial shift.
    unknowns = np.zeros(2 * view_count)
    for stride in _SHIFT_STRIDES:
        overlaps = _overlap_values(layers, places, stride)
        if not overlaps:
            continue
        for _ in range(_MAX_SHIFT_ROUNDS):
            step = _gauss_newton_step(overlaps, unknowns, sign)
            largest_shift_step = float(np.abs(step[view_count:]).max())
            step *= min(1.0, _MAX_LOG_SHIFT_STEP / max(largest_shift_step, 1e-9))
            unknowns += step
            unknowns[view_count:] = unknowns[view_count:].clip(*log_limits)
            if np.abs(step).max() < _CONVERGED_SHIFT_STEP:
                break
    return np.asarray(_INITIAL_SHIFT * np.exp(unknowns[view_count:]))


def _overlap_values(layers: Layers, places: ScalePlaces, stride: int) -> list[_OverlapValues]:
    """Collect the affine values of all overlaps at every ``stride``-th direction."""
    every_nth = (..., slice(None, None, stride), slice(None, None, stride))
    log_lengths = places.log_ray_lengths[every_nth].astype(np.float64)
    values = layers.values[every_nth] - log_lengths
    return [
        _OverlapValues(
            first=overlap.first,
            second=overlap.second,
            first_values=values[overlap.first][overlap.shared],
            second_values=values[overlap.second][overlap.shared],
            length_differences=(log_lengths[overlap.second] - log_lengths[overlap.first])[
                overlap.shared
            ],
            weights=overlap.weights,
        )
        for overlap in layers.overlaps(stride)
    ]


def _gauss_newton_step(overlaps: list[_OverlapValues], unknowns: Vector, sign: float) -> Vector:
    """Step of the unknowns of ``solve_shifts``, by least squares about their present values.

    With residuals r, their derivatives J by the unknowns x, weights W, and regularisation Λ, which
    pulls the unknowns to 0, the step solves (Jᵀ W J + Λ) step = -Jᵀ W r - Λ x.
    """
    view_count = len(unknowns) // 2
    normal_matrix = np.zeros((2 * view_count, 2 * view_count))
    right_side = np.zeros(2 * view_count)
    for overlap in overlaps:
        residuals, derivatives = _log_distance_residuals(overlap, unknowns, sign)
        weights = overlap.weights / np.maximum(np.abs(residuals), _MIN_RESIDUAL)
        weighted = derivatives * weights
        first = overlap.first
        second = overlap.second
        indices = [second, view_count + second, first, view_count + first]
        normal_matrix[np.ix_(indices, indices)] += weighted @ derivatives.T
        right_side[indices] -= weighted @ residuals

    # Λ is relative to the mean weight of the log factors, and to that of the log shifts.
    factor_weight, shift_weight = np.diagonal(normal_matrix).reshape(2, view_count).mean(axis=1)
    strengths = [
        factor_weight * _SHIFT_FACTOR_REGULARISATION,
        shift_weight * _LOG_SHIFT_REGULARISATION,
    ]
    regularisation = np.maximum(np.repeat(strengths, view_count), _MIN_REGULARISATION)
    return np.linalg.solve(
        normal_matrix + np.diag(regularisation), right_side - regularisation * unknowns
    )


def _log_distance_residuals(
    overlap: _OverlapValues, unknowns: Vector, sign: float
) -> tuple[Values, Float64[np.ndarray, "4 n"]]:
    """Log distance in the second view minus that in the first, and the derivatives.

    The derivatives are by the log factor and the log shift of the second view, then of the first.
    """
    log_factors, log_shifts = np.split(unknowns, 2)
    shifts = _INITIAL_SHIFT * np.exp(log_shifts)
    first = overlap.first
    second = overlap.second
    first_logs, first_slopes = _shifted_logs(overlap.first_values, float(shifts[first]))
    second_logs, second_slopes = _shifted_logs(overlap.second_values, float(shifts[second]))

    residuals = log_factors[second] - log_factors[first] + overlap.length_differences
    residuals += sign * (second_logs - first_logs)
    ones = np.ones_like(residuals)
    return residuals, np.stack([ones, sign * second_slopes, -ones, -sign * first_slopes])


def _shifted_logs(values: Values, shift: float) -> tuple[Values, Values]:
    """Log of values + shift, and its derivative by log shift, shift / (values + shift).

    Sums below a fraction of the shift are replaced by it. They are proportional to the shift then,
    so the derivative is 1.
    """
    min_shifted = _MIN_SHIFTED_OVER_SHIFT * shift
    shifted = np.maximum(values + shift, min_shifted)
    is_above_limit = values + shift > min_shifted
    derivatives = np.where(is_above_limit, shift / shifted, 1.0)
    return np.log(shifted), derivatives
