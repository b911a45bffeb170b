"""Fit predicted points in space to true ones, by a scale and a shift (Wang et al. 2025, MoGe)."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.alignment.fit import least_absolute_scale
from rilievo.arrays.shapes import Float64, Values, Vector
from rilievo.errors import CalibrationError

_BELOW_FIRST = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998)
_SCALE_FACTORS = (*_BELOW_FIRST, 1.0, *(2 - factor for factor in _BELOW_FIRST[:0:-1]), 2.0, 8.0)
"""Multiples of a first scale at which the losses about all points are computed."""


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
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    fit: PointFit,
) -> FittedPoints:
    """Fit predicted points to true ones by least weighted absolute deviations of coordinates.

    Args:
        x: Predicted points.
        y: True points [m].
        weights: Positive weights of the points.
        fit: Which of scale and shift are fitted.

    Raises:
        CalibrationError: If the points do not determine the fit, or it mirrors them.
    """
    if fit is PointFit.POINT_SHIFT:
        ones = np.ones(weights.size)
        shift = [least_absolute_scale(ones, differences, weights) for differences in y - x]
        return FittedPoints(scale=1.0, shift=np.array(shift))
    if fit is PointFit.POINT_SCALE:
        if not x.any():
            raise CalibrationError("the predicted points are all at the camera's centre")
        scale = least_absolute_scale(x.ravel(), y.ravel(), np.tile(weights, 3))
        fitted = FittedPoints(scale=scale, shift=np.zeros(3))
    else:
        fitted = _fit_scale_and_shift(x, y, weights)
    if not fitted.scale > 0:
        raise CalibrationError(
            f"the best scale of the points is {fitted.scale:.4g}, not positive: the prediction "
            "takes near for far"
        )
    return fitted


def _fit_scale_and_shift(
    x: Float64[np.ndarray, "3 n"], y: Float64[np.ndarray, "3 n"], weights: Values
) -> FittedPoints:
    """Scale and shift of least loss, exactly.

    At the best scale, the best shift maps one of the points onto its true one. So each point is a
    pivot to try. Most are ruled out by a lower bound of their loss before it is computed.
    """
    deviation = np.abs(x - x.mean(axis=1, keepdims=True)).max(initial=0.0)
    if weights.size < 2 or deviation <= 1e-6 * np.abs(x).max():
        raise CalibrationError("the predicted points do not determine a scale and a shift")

    pivot = int(np.argsort(x[2], kind="stable")[weights.size // 2])
    first_scale, least_loss = _scale_and_loss_about(x, y, weights, pivot)
    scale = first_scale
    bounds = _loss_lower_bounds(x, y, weights, first_scale)
    for index in np.argsort(bounds, kind="stable").tolist():
        if bounds[index] >= least_loss:
            break
        index_scale, loss = _scale_and_loss_about(x, y, weights, index)
        if loss < least_loss:
            pivot, scale, least_loss = index, index_scale, loss
    return FittedPoints(scale=scale, shift=y[:, pivot] - scale * x[:, pivot])


def _scale_and_loss_about(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    pivot: int,
) -> tuple[float, float]:
    """Best scale, and its loss, among the fits that map one point onto its true one."""
    x_from_pivot = (x - x[:, pivot, None]).ravel()
    y_from_pivot = (y - y[:, pivot, None]).ravel()
    weights_of_coordinates = np.tile(weights, 3)
    if not x_from_pivot.any():
        return 0.0, float(weights_of_coordinates @ np.abs(y_from_pivot))
    scale = least_absolute_scale(x_from_pivot, y_from_pivot, weights_of_coordinates)
    return scale, float(weights_of_coordinates @ np.abs(scale * x_from_pivot - y_from_pivot))


def _loss_lower_bounds(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    first_scale: float,
) -> Values:
    """Lower bound of the loss about each point, over all scales.

    The loss about a point is convex in the scale. Its least value lies between those two of the
    tried scales where its slope changes the sign, and not below the point where the two tangents
    meet.
    """
    if not first_scale > 0:
        return np.full(weights.size, -np.inf)
    scales = np.array(_SCALE_FACTORS) * first_scale
    losses_and_slopes = [_losses_and_slopes(x, y, weights, scale) for scale in scales]
    losses, slopes = (np.stack(arrays) for arrays in zip(*losses_and_slopes, strict=True))

    bounds = np.full(weights.size, -np.inf)
    for low in range(scales.size - 1):
        low_slope, high_slope = slopes[low], slopes[low + 1]
        has_minimum = (low_slope <= 0) & (high_slope >= 0)
        is_bent = high_slope > low_slope
        width = scales[low + 1] - scales[low]
        bend = np.where(is_bent, high_slope - low_slope, 1.0)
        meeting_place = (losses[low] - losses[low + 1] + high_slope * width) / bend
        at_meeting = losses[low] + low_slope * np.clip(meeting_place, 0, width)
        bound = np.where(is_bent, at_meeting, np.minimum(losses[low], losses[low + 1]))
        bounds = np.where(has_minimum, np.maximum(bounds, bound), bounds)
    # Rounding must not rule the best point out.
    return bounds - 1e-9 * np.abs(bounds)


def _losses_and_slopes(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    scale: float,
) -> tuple[Values, Values]:
    """Loss of the fits about each point at a scale, and its derivative by the scale.

    The loss about a point adds up the distances of all residuals to its own one. With the residuals
    sorted, sums over the smaller and over the larger ones give it for all points at once.
    """
    losses, slopes = np.zeros(weights.size), np.zeros(weights.size)
    for x_axis, y_axis in zip(x, y, strict=True):
        residuals = y_axis - scale * x_axis
        order = np.argsort(residuals, kind="stable")
        r, w, a = residuals[order], weights[order], x_axis[order]
        # Equal residuals add nothing to either side.
        smaller_end = np.searchsorted(r, r, side="left")
        larger_start = np.searchsorted(r, r, side="right")
        sums = [np.concatenate([[0.0], np.cumsum(terms)]) for terms in (w, w * r, w * a)]
        (w_smaller, w_larger), (r_smaller, r_larger), (a_smaller, a_larger) = (
            (sum_to[smaller_end], sum_to[-1] - sum_to[larger_start]) for sum_to in sums
        )
        losses[order] += r * (w_smaller - w_larger) - r_smaller + r_larger
        slopes[order] += a_smaller - a_larger - a * (w_smaller - w_larger)
    return losses, slopes
