"""Fits of lines by least squares or least absolute deviations, and of points in space.

Points' deviations are weighted by one over the true distance (Wang et al. 2025, MoGe).
"""

from collections.abc import Callable
from enum import StrEnum

import numpy as np

from rilievo.errors import CalibrationError
from rilievo.frozen import frozen
from rilievo.shapes import Float64, Values, Vector

# Residuals below this share of the largest ordinate are rounding errors: the point is on the line.
_ON_THE_LINE = 1e-13
_GOLDEN = (5**0.5 - 1) / 2


def least_squares_line(x: Values, y: Values) -> tuple[float, float]:
    """Slope and offset that minimise the sum of (slope · x + offset - y)².

    Raises:
        CalibrationError: If the pixels do not determine a line, or it does not rise.
    """
    _check_spread(x)
    mean = x.mean()
    centred = x - mean
    scale = float(dot(centred, y - y.mean()) / dot(centred, centred))
    _check_rise(scale)
    return scale, float(y.mean() - scale * mean)


def least_absolute_scale(x: Values, y: Values, weights: Values) -> float:
    """Factor of least weight · |factor · x - y|: a weighted median, the lower of two."""
    used = x != 0
    ratio, mass = y[used] / x[used], weights[used] * np.abs(x[used])
    order = np.argsort(ratio, kind="stable")
    upto = mass[order].cumsum()
    return float(ratio[order[np.searchsorted(2 * upto, upto[-1])]])


def least_absolute_line(x: Values, y: Values, weights: Values) -> tuple[float, float]:
    """Line of least sum of weight · |slope · x + offset - y|, exactly.

    It is rotated about a point to the best slope, then about the point of steepest descent
    (Wesolowsky 1981, "A new descent algorithm for the least absolute value regression problem").

    Raises:
        CalibrationError: If the pixels do not determine a line, or it does not rise.
    """
    _check_spread(x)
    least, anchor = np.inf, int(np.argsort(x)[x.size // 2])
    scale, shift = 0.0, 0.0
    while True:
        ahead, aside = x - x[anchor], y - y[anchor]
        turned = least_absolute_scale(ahead, aside, weights)
        residual = turned * ahead - aside
        loss = float(dot(weights, np.abs(residual)))
        if loss >= least:
            break
        least, scale, shift = loss, turned, float(y[anchor] - turned * x[anchor])
        best = _steepest_anchor(x, residual, weights, _ON_THE_LINE * np.abs(y).max())
        if best is None:
            break
        anchor = best
    _check_rise(scale)
    return scale, shift


def _steepest_anchor(
    x: Values,
    residual: Values,
    weights: Values,
    rounding: float,
) -> int | None:
    """Point about which a rotation lowers the sum fastest."""
    on = np.flatnonzero(np.abs(residual) <= rounding)
    on = on[np.argsort(x[on], kind="stable")]
    pull = weights * np.sign(residual)
    pull[on] = 0.0
    at, mass = x[on], weights[on]
    below, moment = mass.cumsum(), (mass * at).cumsum()
    gain = at * (2 * below - below[-1]) + moment[-1] - 2 * moment
    slope = dot(pull, x) - at * pull.sum()
    change = gain - np.abs(slope)
    best = int(np.argmin(change))
    return int(on[best]) if change[best] < -1e-12 * float(dot(weights, np.abs(x))) else None


def is_constant(x: Values) -> bool:
    """Whether numbers differ by float32's rounding alone."""
    return bool(np.abs(x - x.mean()).max() <= 1e-6 * np.abs(x).max())


def _check_spread(x: Values) -> None:
    if x.size < 2:
        raise CalibrationError("one pixel with ground truth does not determine a scale and a shift")
    if is_constant(x):
        raise CalibrationError(
            f"the prediction is constant over all {x.size} pixels with ground truth, which does "
            "not determine a scale and a shift"
        )


def _check_rise(scale: float) -> None:
    if scale <= 0:
        raise CalibrationError(
            f"the best scale is {scale:.4g}, not positive: the prediction takes near for far; "
            "is its kind the right one?"
        )


def golden_minimum(
    cost: Callable[[float], float], low: float, high: float, *, steps: int = 60
) -> float:
    """Minimum of a function, by golden section."""
    for _ in range(steps):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(a) <= cost(b):
            high = b
        else:
            low = a
    return (low + high) / 2


def dot(a: Values, b: Values) -> np.float64:
    """Sum of products on this thread; BLAS would start one a core and slow parallel runs."""
    return np.einsum("n,n->", a, b)


_SCALES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1.0)
_SCALES += (*(2 - part for part in _SCALES[-2:0:-1]), 2.0, 8.0)
"""Parts of a first scale where losses of anchors are bounded."""


class PointFit(StrEnum):
    """Transformation that brings points to the true ones."""

    POINT_SHIFT = "point_shift"
    """Shift in space, for points in metres."""
    POINT_SCALE = "point_scale"
    """Scale about the camera's centre."""
    POINT_SCALE_SHIFT = "point_scale_shift"
    """Scale and shift in space."""


@frozen
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
        fitted = _scale_and_shift(x, y, weights)
    if not fitted.scale > 0:
        raise CalibrationError(
            f"the best scale of the points is {fitted.scale:.4g}, not positive: the prediction "
            "takes near for far"
        )
    return fitted


def _scale_and_shift(
    x: Float64[np.ndarray, "3 n"], y: Float64[np.ndarray, "3 n"], weights: Values
) -> FittedPoints:
    """Best scale with the best anchor, by tangents of convex losses."""
    spread = np.abs(x - x.mean(axis=1, keepdims=True)).max(initial=0.0)
    if weights.size < 2 or spread <= 1e-6 * np.abs(x).max():
        raise CalibrationError("the predicted points do not determine a scale and a shift")
    first = int(np.argsort(x[2], kind="stable")[weights.size // 2])
    start, least = _about(x, y, weights, first)
    anchor, scale = first, start
    bounds = _lower_bounds(x, y, weights, start)
    for index in np.argsort(bounds, kind="stable").tolist():
        if bounds[index] >= least:
            break
        turned, loss = _about(x, y, weights, index)
        if loss < least:
            anchor, scale, least = index, turned, loss
    return FittedPoints(scale=scale, shift=y[:, anchor] - scale * x[:, anchor])


def _about(
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


def _lower_bounds(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    start: float,
) -> Values:
    scales = np.array(_SCALES) * start
    if not start > 0:
        return np.full(weights.size, -np.inf)
    pairs = [_losses(x, y, weights, scale) for scale in scales]
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


def _losses(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    scale: float,
) -> tuple[Values, Values]:
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
