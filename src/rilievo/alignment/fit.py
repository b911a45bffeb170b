"""Lines from a depth map's values to metres."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Field, Values
from rilievo.errors import CalibrationError, InputTypeError
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord

# Large maps are converted in bands of this many pixels, so that the float64 copy stays small.
BAND_PIXELS = 1 << 18


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
    """Line that converts a depth map to metres.

    Attributes:
        scale: Slope; in ``LOG`` the power.
        shift: Offset [m, 1/m or ln m, by ``space``].
        residual: Root mean square, in that unit.
        pixels: Number of pixels fitted.
    """

    space: FitSpace
    scale: float
    shift: float
    residual: float
    pixels: int

    def metres(self, x: float) -> float:
        """Depth [m] of a value, not in ``LOG``."""
        y = self.scale * x + self.shift
        return 1 / y if self.space is FitSpace.INVERSE else y


def to_depth(depth: DepthMap, fit: Fit) -> Field:
    """Depth [m] of a fit; zero where invalid, and perhaps not positive or finite after a shift."""
    height, width = depth.shape
    result = np.zeros(depth.shape, np.float32)
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
            result[band][valid] = y.astype(np.float32)
    return result


def check_depth_map(depth: object) -> None:
    """Refuse anything but a ``DepthMap``."""
    if isinstance(depth, PredictionRecord):
        raise InputTypeError("a Prediction is given, expected its DepthMap: take prediction.depth")
    if not isinstance(depth, DepthMap):
        raise InputTypeError(f"a {type(depth).__name__} is given, expected a DepthMap")


def abscissa(values: Values, kind: DepthKind, space: FitSpace) -> Values:
    """Values converted so that a fit in ``space`` is a line."""
    if space is FitSpace.LOG:
        return np.log(values)
    if space is FitSpace.INVERSE and kind is not DepthKind.AFFINE_INVERSE:
        return 1 / values
    return values


# Residuals below this share of the largest ordinate are rounding errors: the point is on the line.
_ON_THE_LINE = 1e-13
_GOLDEN = (5**0.5 - 1) / 2


def least_squares_line(x: Values, y: Values) -> tuple[float, float]:
    """Slope and offset that minimise the sum of (slope · x + offset - y)².

    Raises:
        CalibrationError: If the pixels do not determine a line, or it does not rise.
    """
    _refuse_constant(x)
    mean = x.mean()
    centred = x - mean
    scale = float(dot(centred, y - y.mean()) / dot(centred, centred))
    _refuse_falling_line(scale)
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

    It is rotated about points to the steepest descent (Wesolowsky 1981, "A new descent
    algorithm for the least absolute value regression problem").

    Raises:
        CalibrationError: If the pixels do not determine a line, or it does not rise.
    """
    _refuse_constant(x)
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
        best = _steepest_anchor_index(x, residual, weights, _ON_THE_LINE * np.abs(y).max())
        if best is None:
            break
        anchor = best
    _refuse_falling_line(scale)
    return scale, shift


def _steepest_anchor_index(
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


def _refuse_constant(x: Values) -> None:
    if x.size < 2:
        raise CalibrationError("one pixel with ground truth does not determine a scale and a shift")
    if is_constant(x):
        raise CalibrationError(
            f"the prediction is constant over all {x.size} pixels with ground truth, which does "
            "not determine a scale and a shift"
        )


def _refuse_falling_line(scale: float) -> None:
    if scale <= 0:
        raise CalibrationError(
            f"the best scale is {scale:.4g}, not positive: the prediction takes near for far; "
            "is its kind the right one?"
        )


def golden_argmin(
    cost: Callable[[float], float], low: float, high: float, *, steps: int = 60
) -> float:
    """Argument of least cost between two ends, by golden section."""
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
