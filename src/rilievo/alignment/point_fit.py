"""Fit points in space to true ones, by a scale and a shift."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.alignment.fit import least_absolute_scale
from rilievo.arrays.shapes import Float64, Values, Vector
from rilievo.errors import CalibrationError

_SCALES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1.0)
_SCALES += (*(2 - part for part in _SCALES[-2:0:-1]), 2.0, 8.0)


# Parts of a first scale where losses of anchors are bounded.


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
    """Fit predicted points to true ones [m], with positive weights.

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
    """Best scale with the best anchor, by tangents of convex losses."""
    spread = np.abs(x - x.mean(axis=1, keepdims=True)).max(initial=0.0)
    if weights.size < 2 or spread <= 1e-6 * np.abs(x).max():
        raise CalibrationError("the predicted points do not determine a scale and a shift")
    first = int(np.argsort(x[2], kind="stable")[weights.size // 2])
    start, least = _scale_and_loss_about(x, y, weights, first)
    anchor, scale = first, start
    bounds = _loss_lower_bounds(x, y, weights, start)
    for index in np.argsort(bounds, kind="stable").tolist():
        if bounds[index] >= least:
            break
        turned, loss = _scale_and_loss_about(x, y, weights, index)
        if loss < least:
            anchor, scale, least = index, turned, loss
    return FittedPoints(scale=scale, shift=y[:, anchor] - scale * x[:, anchor])


def _scale_and_loss_about(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    anchor: int,
) -> tuple[float, float]:
    ahead = (x - x[:, anchor, None]).ravel()
    aside = (y - y[:, anchor, None]).ravel()
    mass = np.tile(weights, 3)
    if not ahead.any():
        return 0.0, float(mass @ np.abs(aside))
    scale = least_absolute_scale(ahead, aside, mass)
    return scale, float(mass @ np.abs(scale * ahead - aside))


def _loss_lower_bounds(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    start: float,
) -> Values:
    scales = np.array(_SCALES) * start
    if not start > 0:
        return np.full(weights.size, -np.inf)
    pairs = [_anchor_losses_and_slopes(x, y, weights, scale) for scale in scales]
    losses, slopes = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    bounds = np.full(weights.size, -np.inf)
    for place in range(scales.size - 1):
        # Where the slope changes its sign, the least loss is between; tangents meet below it.
        falls, rises = slopes[place], slopes[place + 1]
        here = (falls <= 0) & (rises >= 0)
        width = scales[place + 1] - scales[place]
        steep = np.where(rises > falls, rises - falls, 1.0)
        reach = (losses[place] - losses[place + 1] + rises * width) / steep
        met = losses[place] + falls * np.clip(reach, 0, width)
        flat = np.minimum(losses[place], losses[place + 1])
        bounds = np.where(here, np.maximum(bounds, np.where(rises > falls, met, flat)), bounds)
    # Rounding must not rule the best anchor out.
    return bounds - 1e-9 * np.abs(bounds)


def _anchor_losses_and_slopes(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    scale: float,
) -> tuple[Values, Values]:
    """Losses of lines through each point, and their slopes by scale."""
    losses, slopes = np.zeros(weights.size), np.zeros(weights.size)
    for along, true in zip(x, y, strict=True):
        rest = true - scale * along
        order = np.argsort(rest, kind="stable")
        r, w, a = rest[order], weights[order], along[order]
        # Points below and above, by their sums; the anchor itself adds nothing to either.
        below = np.searchsorted(r, r, side="left")
        upto = np.searchsorted(r, r, side="right")
        sums = [np.concatenate([[0.0], np.cumsum(array)]) for array in (w, w * r, w * a)]
        (w_low, w_high), (r_low, r_high), (a_low, a_high) = (
            (array[below], array[-1] - array[upto]) for array in sums
        )
        losses[order] += r * (w_low - w_high) - r_low + r_high
        slopes[order] += a_low - a_high - a * (w_low - w_high)
    return losses, slopes
