"""Straight lines from the values of a depth map to metres, and how they are fitted."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Field, Values
from rilievo.errors import CalibrationError, InputTypeError
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord

BAND_PIXELS = 1 << 18
"""Pixels of a large map that are converted at once, so that the float64 copy stays small."""

_RELATIVE_ROUNDING = 1e-13
"""Largest residual of a point on the line, as a share of the largest ordinate."""
_MAX_CONSTANT_DEVIATION = 1e-6
"""Largest relative deviation from the mean that float32's rounding explains."""
_GOLDEN_RATIO = (5**0.5 - 1) / 2


class FitSpace(StrEnum):
    """Quantity in which a fit is a straight line."""

    DEPTH = "depth"
    """depth = scale · x + shift."""
    INVERSE = "inverse"
    """1 / depth = scale · x + shift, with x inverse too."""
    LOG = "log"
    """ln depth = scale · ln x + shift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Line that converts the values of a depth map to metres.

    Attributes:
        space: Quantity (depth, inverse depth or log depth) in which it is a straight line.
        scale: Slope of the line; for ``LOG``, the exponent of the map's values.
        shift: Offset [m, 1/m or ln m, by ``space``].
        residual: Root mean square of the residuals, in the unit of ``shift``.
        pixels: Number of pixels fitted.
    """

    space: FitSpace
    scale: float
    shift: float
    residual: float
    pixels: int

    def metres(self, value: float) -> float:
        """Depth [m] of a value of the map. Do not call it for ``LOG``, where it is wrong."""
        y = self.scale * value + self.shift
        return 1 / y if self.space is FitSpace.INVERSE else y


def to_depth(depth: DepthMap, fit: Fit) -> Field:
    """Convert the values of a map to depth [m] by a fit.

    The result is zero at invalid pixels. A shift can make it negative, zero or infinite elsewhere.
    """
    height, width = depth.shape
    metres = np.zeros(depth.shape, np.float32)
    rows_per_band = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows_per_band):
        band = slice(top, top + rows_per_band)
        valid = depth.valid[band]
        x = to_fit_space(depth.values[band][valid].astype(np.float64), depth.kind, fit.space)
        y = fit.scale * x + fit.shift
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            if fit.space is FitSpace.INVERSE:
                y = 1 / y
            elif fit.space is FitSpace.LOG:
                y = np.exp(y)
            # ``metres[band]`` is a view, so this writes into the result.
            metres[band][valid] = y.astype(np.float32)
    return metres


def check_depth_map(depth: object) -> None:
    """Raise an InputTypeError for anything but a ``DepthMap``, for example a prediction."""
    if isinstance(depth, PredictionRecord):
        raise InputTypeError("got a Prediction, expected a DepthMap: pass prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputTypeError(f"got a {type(depth).__name__}, expected a DepthMap")


def to_fit_space(values: Values, kind: DepthKind, space: FitSpace) -> Values:
    """Convert values of a map of some kind to the quantity in which the fit is a line."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values


def least_squares_line(x: Values, y: Values) -> tuple[float, float]:
    """Positive slope and offset that minimise the sum of (slope · x + offset - y)²."""
    _check_not_constant(x)
    x_mean, y_mean = x.mean(), y.mean()
    x_centred = x - x_mean
    slope = float(dot(x_centred, y - y_mean) / dot(x_centred, x_centred))
    _check_positive_slope(slope)
    return slope, float(y_mean - slope * x_mean)


def least_absolute_scale(x: Values, y: Values, weights: Values) -> float:
    """Factor that minimises the sum of weight · |factor · x - y|.

    Each term is weight · |x| · |factor - y / x|, so the factor is a weighted median of y / x. Of
    two medians it is the lower one.
    """
    is_nonzero = x != 0
    ratios = y[is_nonzero] / x[is_nonzero]
    ratio_weights = weights[is_nonzero] * np.abs(x[is_nonzero])
    order = np.argsort(ratios, kind="stable")
    cumulative_weights = ratio_weights[order].cumsum()
    # The median is the first ratio at which half of the weight is reached.
    median_index = np.searchsorted(2 * cumulative_weights, cumulative_weights[-1])
    return float(ratios[order[median_index]])


def least_absolute_line(x: Values, y: Values, weights: Values) -> tuple[float, float]:
    """Slope and offset that minimise the sum of weight · |slope · x + offset - y|, exactly.

    A best line goes through two of the points. The search rotates a line about one point, the
    pivot, to the best slope. Then it continues at the point on the line where a rotation lowers the
    loss fastest (Wesolowsky 1981, "A new descent algorithm for the least absolute value
    regression problem"). The loss is convex, so a line that no rotation improves is the best.
    """
    _check_not_constant(x)
    max_rounding = _RELATIVE_ROUNDING * np.abs(y).max()
    best_loss, best_slope, best_offset = np.inf, 0.0, 0.0
    pivot = int(np.argsort(x)[x.size // 2])  # the point of median x
    # It ends, because each round lowers the loss, and there are finitely many lines of two points.
    while True:
        x_from_pivot, y_from_pivot = x - x[pivot], y - y[pivot]
        slope = least_absolute_scale(x_from_pivot, y_from_pivot, weights)
        residuals = slope * x_from_pivot - y_from_pivot
        loss = float(dot(weights, np.abs(residuals)))
        if loss >= best_loss:
            break  # What seemed to be an improvement was rounding.
        best_loss, best_slope, best_offset = loss, slope, float(y[pivot] - slope * x[pivot])

        next_pivot = _steepest_pivot(x, residuals, weights, max_rounding)
        if next_pivot is None:
            break
        pivot = next_pivot
    _check_positive_slope(best_slope)
    return best_slope, best_offset


def _steepest_pivot(
    x: Values, residuals: Values, weights: Values, max_rounding: float
) -> int | None:
    """Index of the point on the line about which a rotation lowers the loss fastest.

    A rotation about a point at p changes the loss at the rate growth - |slope|. The growth is that
    of points on the line, which acquire a residual: sum of weight · |x - p|. The slope is that of
    points off the line: sum of weight · sign(residual) · (x - p). Return None if no rotation lowers
    the loss.
    """
    on_line = np.flatnonzero(np.abs(residuals) <= max_rounding)
    on_line = on_line[np.argsort(x[on_line], kind="stable")]
    signed_weights = weights * np.sign(residuals)
    signed_weights[on_line] = 0.0

    # With the points on the line sorted by x, cumulative sums W of weight and M of weight · x give
    # the growth about all of them. Points left of p add p · W - M, and points right of p add
    # (M_total - M) - p · (W_total - W).
    line_x, line_weights = x[on_line], weights[on_line]
    weight_sums, moment_sums = line_weights.cumsum(), (line_weights * line_x).cumsum()
    growth = line_x * (2 * weight_sums - weight_sums[-1]) + moment_sums[-1] - 2 * moment_sums
    slopes = dot(signed_weights, x) - line_x * signed_weights.sum()
    loss_rates = growth - np.abs(slopes)
    best = int(np.argmin(loss_rates))
    # A change within rounding could send the search in circles.
    lowers_loss = loss_rates[best] < -1e-12 * float(dot(weights, np.abs(x)))
    return int(on_line[best]) if lowers_loss else None


def is_constant(x: Values) -> bool:
    """Whether the rounding of float32 explains all differences between the values."""
    return bool(np.abs(x - x.mean()).max() <= _MAX_CONSTANT_DEVIATION * np.abs(x).max())


def _check_not_constant(x: Values) -> None:
    if x.size < 2:
        raise CalibrationError("one pixel with ground truth does not determine a scale and a shift")
    if is_constant(x):
        raise CalibrationError(
            f"the prediction is constant over all {x.size} pixels with ground truth, which does "
            "not determine a scale and a shift"
        )


def _check_positive_slope(slope: float) -> None:
    if slope <= 0:
        raise CalibrationError(
            f"the best scale is {slope:.4g}, which is not positive: the prediction swaps "
            "near and far; check its kind"
        )


def golden_argmin(
    cost: Callable[[float], float], low: float, high: float, *, steps: int = 60
) -> float:
    """Argument of least cost between ``low`` and ``high``, by golden-section search."""
    for _ in range(steps):
        lower_probe = high - _GOLDEN_RATIO * (high - low)
        upper_probe = low + _GOLDEN_RATIO * (high - low)
        if cost(lower_probe) <= cost(upper_probe):
            high = upper_probe
        else:
            low = lower_probe
    return (low + high) / 2


def dot(a: Values, b: Values) -> np.float64:
    """Sum of products.

    ``np.einsum`` computes it on this thread. ``a @ b`` would let BLAS start a thread on each core,
    which slows parallel runs down.
    """
    return np.einsum("n,n->", a, b)
