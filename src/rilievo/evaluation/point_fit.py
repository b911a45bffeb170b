"""Fit predicted points in space to true ones, by a scale and a shift (Wang et al. 2025, MoGe)."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.alignment.fit import least_absolute_scale
from rilievo.arrays.shapes import Float64, Int, Values, Vector
from rilievo.errors import CalibrationError

_FACTORS_BELOW_1 = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
_FACTORS_ABOVE_1 = tuple(2 - factor for factor in reversed(_FACTORS_BELOW_1))
_SCALE_FACTORS = (*_FACTORS_BELOW_1, 1.0, *_FACTORS_ABOVE_1, 8.0)
"""Multiples of a first scale, in ascending order, at which the losses are computed."""
_RELATIVE_ROUNDING = 1e-9
"""By this fraction, bounds are lowered, so that rounding does not rule the best point out."""


class PointFit(StrEnum):
    """Transformation that brings points to the true ones."""

    POINT_SHIFT = "point_shift"
    """Shift in space, for points in metres."""
    POINT_SCALE = "point_scale"
    """Scale about the camera's centre."""
    POINT_SCALE_SHIFT = "point_scale_shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPoints:
    """Fit: true = scale · predicted + shift [m]."""

    scale: float
    shift: Vector


def fit_points(
    predicted: Float64[np.ndarray, "3 n"],
    true: Float64[np.ndarray, "3 n"],
    weights: Values,
    fit: PointFit,
) -> FittedPoints:
    """Fit predicted points to true ones [m] by least weighted absolute deviations of coordinates.

    ``fit`` says whether the scale, the shift or both are fitted.
    """
    if fit is PointFit.POINT_SHIFT:
        ones = np.ones(weights.size)
        shift = [least_absolute_scale(ones, offsets, weights) for offsets in true - predicted]
        return FittedPoints(scale=1.0, shift=np.array(shift))
    if fit is PointFit.POINT_SCALE:
        if not predicted.any():
            raise CalibrationError(
                "the predicted points are all at the camera's centre, which does not determine a "
                "scale"
            )
        scale = least_absolute_scale(predicted.ravel(), true.ravel(), np.tile(weights, 3))
        fitted = FittedPoints(scale=scale, shift=np.zeros(3))
    else:
        fitted = _fit_scale_and_shift(predicted, true, weights)
    if not fitted.scale > 0:
        raise CalibrationError(
            f"the best scale of the points is {fitted.scale:.4g}, which is not positive: "
            "the prediction swaps near and far"
        )
    return fitted


def _fit_scale_and_shift(
    predicted: Float64[np.ndarray, "3 n"], true: Float64[np.ndarray, "3 n"], weights: Values
) -> FittedPoints:
    """Scale and shift of least loss, exactly.

    At the best scale, the best shift maps one of the points, the pivot, onto its true point. So
    each point is tried as the pivot, in the order of a lower bound of its loss. The search ends
    when the bound is no better than the best loss so far.
    """
    deviation = np.abs(predicted - predicted.mean(axis=1, keepdims=True)).max(initial=0.0)
    if weights.size < 2:
        raise CalibrationError(
            "fewer than two predicted points have ground truth, which does not determine a scale "
            "and a shift"
        )
    if deviation <= 1e-6 * np.abs(predicted).max():
        raise CalibrationError(
            "the predicted points all coincide, which does not determine a scale and a shift"
        )

    # A good first loss, about the point of median depth, saves most of the others.
    best_pivot = int(np.argsort(predicted[2], kind="stable")[weights.size // 2])
    first_scale, best_loss = _scale_and_loss_about(predicted, true, weights, best_pivot)
    best_scale = first_scale
    bounds = _loss_lower_bounds(predicted, true, weights, first_scale)
    for pivot in np.argsort(bounds, kind="stable").tolist():
        if bounds[pivot] >= best_loss:
            break
        scale, loss = _scale_and_loss_about(predicted, true, weights, pivot)
        if loss < best_loss:
            best_pivot, best_scale, best_loss = pivot, scale, loss
    shift = true[:, best_pivot] - best_scale * predicted[:, best_pivot]
    return FittedPoints(scale=best_scale, shift=shift)


def _scale_and_loss_about(
    predicted: Float64[np.ndarray, "3 n"],
    true: Float64[np.ndarray, "3 n"],
    weights: Values,
    pivot: int,
) -> tuple[float, float]:
    """Best scale, and its loss, among the fits that map the pivot onto its true point."""
    predicted_offsets = (predicted - predicted[:, pivot, None]).ravel()
    true_offsets = (true - true[:, pivot, None]).ravel()
    coordinate_weights = np.tile(weights, 3)
    if not predicted_offsets.any():
        return 0.0, float(coordinate_weights @ np.abs(true_offsets))
    scale = least_absolute_scale(predicted_offsets, true_offsets, coordinate_weights)
    return scale, float(coordinate_weights @ np.abs(scale * predicted_offsets - true_offsets))


def _loss_lower_bounds(
    predicted: Float64[np.ndarray, "3 n"],
    true: Float64[np.ndarray, "3 n"],
    weights: Values,
    first_scale: float,
) -> Values:
    """Lower bound, over all scales, of the loss of fits that map a point onto its true point.

    That loss is convex in the scale. Between the two tried scales where its slope changes sign, it
    is bounded below by the intersection of the two tangents: left + left_slope · offset =
    right - right_slope · (interval - offset). The bound is -inf if no interval holds the minimum.
    """
    if not first_scale > 0:
        return np.full(weights.size, -np.inf)
    scales = np.array(_SCALE_FACTORS) * first_scale
    losses_and_slopes = [_losses_and_slopes(predicted, true, weights, scale) for scale in scales]
    losses, slopes = (np.stack(arrays) for arrays in zip(*losses_and_slopes, strict=True))

    bounds = np.full(weights.size, -np.inf)
    for i in range(scales.size - 1):
        left_loss, right_loss = losses[i], losses[i + 1]
        left_slope, right_slope = slopes[i], slopes[i + 1]
        interval = scales[i + 1] - scales[i]
        # Parallel tangents do not meet; the divisor 1.0 is a placeholder that is masked out.
        tangents_meet = right_slope > left_slope
        slope_increase = np.where(tangents_meet, right_slope - left_slope, 1.0)
        meeting_offset = (left_loss - right_loss + right_slope * interval) / slope_increase
        meeting_loss = left_loss + left_slope * np.clip(meeting_offset, 0, interval)
        bound = np.where(tangents_meet, meeting_loss, np.minimum(left_loss, right_loss))
        has_minimum = (left_slope <= 0) & (right_slope >= 0)
        bounds = np.where(has_minimum, np.maximum(bounds, bound), bounds)
    return bounds - _RELATIVE_ROUNDING * np.abs(bounds)


def _losses_and_slopes(
    predicted: Float64[np.ndarray, "3 n"],
    true: Float64[np.ndarray, "3 n"],
    weights: Values,
    scale: float,
) -> tuple[Values, Values]:
    """Loss of the fits about each point at a scale, and its derivative by the scale.

    About the point i, the loss is the sum over j of w_j · |r_i - r_j|, where r = true - scale ·
    predicted, for each of the three coordinates. With the residuals sorted, cumulative sums over
    the smaller and the larger ones give it for all points at once.
    """
    losses, slopes = np.zeros(weights.size), np.zeros(weights.size)
    for predicted_axis, true_axis in zip(predicted, true, strict=True):
        residuals = true_axis - scale * predicted_axis
        order = np.argsort(residuals, kind="stable")
        r, w, x = residuals[order], weights[order], predicted_axis[order]
        # Equal residuals belong to neither side, because they add nothing.
        smaller_end = np.searchsorted(r, r, side="left")
        larger_start = np.searchsorted(r, r, side="right")

        w_smaller, w_larger = _sums_outside(w, smaller_end, larger_start)
        wr_smaller, wr_larger = _sums_outside(w * r, smaller_end, larger_start)
        wx_smaller, wx_larger = _sums_outside(w * x, smaller_end, larger_start)
        losses[order] += r * (w_smaller - w_larger) - wr_smaller + wr_larger
        slopes[order] += wx_smaller - wx_larger - x * (w_smaller - w_larger)
    return losses, slopes


def _sums_outside(
    terms: Values, starts: Int[np.ndarray, "n"], ends: Int[np.ndarray, "n"]
) -> tuple[Values, Values]:
    """For each interval from a start to an end: sums of the terms before it, and from its end."""
    cumulative = np.concatenate([[0.0], np.cumsum(terms)])
    return cumulative[starts], cumulative[-1] - cumulative[ends]
