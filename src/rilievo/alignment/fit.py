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
_CONSTANT = 1e-6
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
        space: Quantity in which it is a line.
        scale: Slope; in ``LOG`` the power.
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
        """Depth [m] of a value of the map; not for ``LOG``."""
        y = self.scale * value + self.shift
        return 1 / y if self.space is FitSpace.INVERSE else y


def to_depth(depth: DepthMap, fit: Fit) -> Field:
    """Depth [m] of a map by a fit.

    It is zero at invalid pixels. After a shift it may be negative, zero or infinite elsewhere.
    """
    height, width = depth.shape
    metres = np.zeros(depth.shape, np.float32)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = slice(top, top + rows)
        valid = depth.valid[band]
        x = abscissa(depth.values[band][valid].astype(np.float64), depth.kind, fit.space)
        y = fit.scale * x + fit.shift
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            if fit.space is FitSpace.INVERSE:
                y = 1 / y
            elif fit.space is FitSpace.LOG:
                y = np.exp(y)
            metres[band][valid] = y.astype(np.float32)
    return metres


def check_depth_map(depth: object) -> None:
    """Refuse anything but a ``DepthMap``.

    Raises:
        InputTypeError: If it is a prediction or something else.
    """
    if isinstance(depth, PredictionRecord):
        raise InputTypeError("a Prediction is given, expected its DepthMap: take prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputTypeError(f"a {type(depth).__name__} is given, expected a DepthMap")


def abscissa(values: Values, kind: DepthKind, space: FitSpace) -> Values:
    """Values of a map of some kind in the quantity in which the fit is a line."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values


def least_squares_line(x: Values, y: Values) -> tuple[float, float]:
    """Slope and offset that minimise the sum of (slope · x + offset - y)².

    Raises:
        CalibrationError: If the pixels do not determine a line, or it does not rise.
    """
    _refuse_constant(x)
    mean = x.mean()
    centred = x - mean
    slope = float(dot(centred, y - y.mean()) / dot(centred, centred))
    _refuse_falling_line(slope)
    return slope, float(y.mean() - slope * mean)


def least_absolute_scale(x: Values, y: Values, weights: Values) -> float:
    """Factor that minimises the sum of weight · |factor · x - y|.

    It is the weighted median of y / x, the lower one of two.
    """
    used = x != 0
    ratios, ratio_weights = y[used] / x[used], weights[used] * np.abs(x[used])
    order = np.argsort(ratios, kind="stable")
    cumulative = ratio_weights[order].cumsum()
    median_place = np.searchsorted(2 * cumulative, cumulative[-1])
    return float(ratios[order[median_place]])


def least_absolute_line(x: Values, y: Values, weights: Values) -> tuple[float, float]:
    """Slope and offset that minimise the sum of weight · |slope · x + offset - y|, exactly.

    The best line goes through two of the points. The search rotates a line about one point to the
    best slope, and goes on about the point where a rotation lowers the sum fastest (Wesolowsky
    1981, "A new descent algorithm for the least absolute value regression problem").

    Raises:
        CalibrationError: If the pixels do not determine a line, or it does not rise.
    """
    _refuse_constant(x)
    rounding = _RELATIVE_ROUNDING * np.abs(y).max()
    least_loss, slope, offset = np.inf, 0.0, 0.0
    pivot = int(np.argsort(x)[x.size // 2])
    while True:
        x_from_pivot, y_from_pivot = x - x[pivot], y - y[pivot]
        rotated = least_absolute_scale(x_from_pivot, y_from_pivot, weights)
        residuals = rotated * x_from_pivot - y_from_pivot
        loss = float(dot(weights, np.abs(residuals)))
        if loss >= least_loss:
            break
        least_loss, slope, offset = loss, rotated, float(y[pivot] - rotated * x[pivot])

        next_pivot = _steepest_pivot(x, residuals, weights, rounding)
        if next_pivot is None:
            break
        pivot = next_pivot
    _refuse_falling_line(slope)
    return slope, offset


def _steepest_pivot(x: Values, residuals: Values, weights: Values, rounding: float) -> int | None:
    """Index of the point on the line about which a rotation lowers the sum fastest.

    The sum of the points on the line grows with any rotation, and that of the others changes with
    the slope of their signs. None if no rotation lowers both together.
    """
    on_line = np.flatnonzero(np.abs(residuals) <= rounding)
    on_line = on_line[np.argsort(x[on_line], kind="stable")]
    signed_weights = weights * np.sign(residuals)
    signed_weights[on_line] = 0.0

    line_x, line_weights = x[on_line], weights[on_line]
    weight_sums, moment_sums = line_weights.cumsum(), (line_weights * line_x).cumsum()
    growth = line_x * (2 * weight_sums - weight_sums[-1]) + moment_sums[-1] - 2 * moment_sums
    slopes = dot(signed_weights, x) - line_x * signed_weights.sum()
    changes = growth - np.abs(slopes)
    best = int(np.argmin(changes))
    lowers_sum = changes[best] < -1e-12 * float(dot(weights, np.abs(x)))
    return int(on_line[best]) if lowers_sum else None


def is_constant(x: Values) -> bool:
    """Whether the rounding of float32 explains all differences between numbers."""
    return bool(np.abs(x - x.mean()).max() <= _CONSTANT * np.abs(x).max())


def _refuse_constant(x: Values) -> None:
    if x.size < 2:
        raise CalibrationError("one pixel with ground truth does not determine a scale and a shift")
    if is_constant(x):
        raise CalibrationError(
            f"the prediction is constant over all {x.size} pixels with ground truth, which does "
            "not determine a scale and a shift"
        )


def _refuse_falling_line(slope: float) -> None:
    if slope <= 0:
        raise CalibrationError(
            f"the best scale is {slope:.4g}, not positive: the prediction takes near for far; "
            "is its kind the right one?"
        )


def golden_argmin(
    cost: Callable[[float], float], low: float, high: float, *, steps: int = 60
) -> float:
    """Argument of least cost between ``low`` and ``high``, by golden-section search."""
    for _ in range(steps):
        lower = high - _GOLDEN_RATIO * (high - low)
        upper = low + _GOLDEN_RATIO * (high - low)
        if cost(lower) <= cost(upper):
            high = upper
        else:
            low = lower
    return (low + high) / 2


def dot(a: Values, b: Values) -> np.float64:
    """Sum of products.

    ``np.einsum`` computes it on this thread. ``a @ b`` would let BLAS start a thread on each core,
    which slows parallel runs down.
    """
    return np.einsum("n,n->", a, b)
