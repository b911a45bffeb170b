"""Fits of points in space: a scale and a shift.

Deviations of all coordinates are summed, weighted by one over the distance of the true point, over
a subsample of 64x64 pixels (Wang et al. 2025, MoGe).
"""

from enum import StrEnum

import numpy as np

from rilievo.alignment.lines import least_absolute_scale
from rilievo.errors import CalibrationError
from rilievo.frozen import frozen
from rilievo.shapes import Float64, Values, Vector

_SCALES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 1.0)
_SCALES += (*(2 - part for part in _SCALES[-2:0:-1]), 2.0, 8.0)
"""Parts of a first scale at which the losses of all anchors are bounded from below."""


class PointFit(StrEnum):
    """Transformation that is fitted to bring points to the true ones."""

    POINT_SHIFT = "point_shift"
    """A shift in space: for points in metres, whose distance to the camera's centre is not
    judged."""
    POINT_SCALE = "point_scale"
    """A scale about the camera's centre."""
    POINT_SCALE_SHIFT = "point_scale_shift"
    """A scale and a shift in space."""


@frozen
class FittedPoints:
    """A fit: true = scale · predicted + shift [m], 1 and zero where none was fitted."""

    scale: float
    shift: Vector


def fit_points(
    x: Float64[np.ndarray, "3 n"],
    y: Float64[np.ndarray, "3 n"],
    weights: Values,
    fit: PointFit,
) -> FittedPoints:
    """Fit predicted points to true ones [m] of the same pixels, with weights above zero.

    Raises ``CalibrationError`` if the points do not determine the fit, or it mirrors them.
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
    """The best scale with the best anchor: a point that the fit takes to its true place, exactly.

    MoGe tries every point as the anchor. The loss of an anchor is convex in the scale, and those of
    all anchors at one scale follow from sorting once; so tangents bound the losses from below, and
    only anchors whose bound is below the best loss are tried.
    """
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
    """The best scale about an anchor, and its loss."""
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
    """A number for each anchor that its loss at its best scale is not below."""
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
    """Loss of every anchor at one scale, and its slope in the scale."""
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
