"""Fits of lines, by least squares or by least absolute deviations."""

from collections.abc import Callable

import numpy as np

from rilievo.errors import CalibrationError
from rilievo.shapes import Values

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
    """The factor that minimises the sum of weight · |factor · x - y|; not all x are 0.

    It is the weighted median of y / x with weights weight · |x|; of two middle values the lower.
    """
    used = x != 0
    ratio, mass = y[used] / x[used], weights[used] * np.abs(x[used])
    order = np.argsort(ratio, kind="stable")
    upto = mass[order].cumsum()
    return float(ratio[order[np.searchsorted(2 * upto, upto[-1])]])


def least_absolute_line(x: Values, y: Values, weights: Values) -> tuple[float, float]:
    """Slope and offset that minimise the sum of weight · |slope · x + offset - y|, exactly.

    An optimal line goes through two of the points. Wang et al. 2025 (MoGe) take each point in turn
    as the anchor that the line rotates about, and keep the best. The sum is convex, so descent is
    enough: rotate about a point to the best slope, which brings the line to another point, and
    continue about the point on the line with the steepest descent, until no point lowers the sum
    (Wesolowsky 1981, "A new descent algorithm for the least absolute value regression problem").
    Where several lines are equally good, one of them is returned.

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
    """The point on the line about which a rotation lowers the sum fastest; None if none does.

    A rotation about point i moves the line by x - x[i]: residuals of points off the line grow or
    shrink in proportion, residuals of points on the line only grow.
    """
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
    """Whether numbers differ by no more than the rounding of float32, which has seven digits."""
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
    """Place of the minimum of a function between two numbers, by golden section."""
    for _ in range(steps):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(a) <= cost(b):
            high = b
        else:
            low = a
    return (low + high) / 2


def dot(a: Values, b: Values) -> np.float64:
    """Sum of products, computed on the calling thread.

    BLAS would start a thread per core, which does not speed up sums that wait for memory and slows
    evaluations that run in parallel.
    """
    return np.einsum("n,n->", a, b)
