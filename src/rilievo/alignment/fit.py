"""Lines from a depth map's values to metres, fits of points in space, and subsamples of pixels.

Points' deviations are weighted by one over the true distance (Wang et al. 2025, MoGe).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float64, Int, Mask, Values, Vector
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Subsample:
    """Ascending indices into the flattened map, and counts."""

    places: Int[np.ndarray, "n"]
    times: Int[np.ndarray, "n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellPixels:
    """Valid pixel of each grid cell, where ``known``."""

    places: Int[np.ndarray, "a b"]
    known: Bool[np.ndarray, "a b"]


def subsample_by_grid(valid: Mask, *, side: int = 64) -> Subsample:
    """Valid pixel nearest to the centre of each cell of a square grid (Wang et al. 2025, MoGe)."""
    chosen = nearest_pixel_of_cells(valid, (side, side))
    places, times = np.unique(chosen.places[chosen.known], return_counts=True)
    return Subsample(places=places, times=times)


def nearest_pixel_of_cells(valid: Mask, shape: tuple[int, int]) -> CellPixels:
    """Valid pixel nearest to each cell's centre, the first of equals."""
    height, width = valid.shape
    rows, down = _cell_windows(height, shape[0])
    columns, across = _cell_windows(width, shape[1])
    cells = np.arange(shape[1])
    chosen, mask = np.empty(shape, np.int64), np.empty(shape, bool)
    for row, (window, away) in enumerate(zip(rows, down, strict=True)):
        places = window[:, None] * width + columns[:, None, :]
        apart = away[:, None] ** 2 + across[:, None, :] ** 2
        # (cell, pixel of the cell in reading order)
        apart = np.where(valid.ravel()[places], apart, np.inf).reshape(shape[1], -1)
        nearest = apart.argmin(axis=1)
        mask[row] = apart[cells, nearest] < np.inf
        chosen[row] = places.reshape(shape[1], -1)[cells, nearest]
    return CellPixels(places=chosen, known=mask)


def _cell_windows(
    pixels: int, side: int
) -> tuple[Int[np.ndarray, "side size"], Float64[np.ndarray, "side size"]]:
    """Pixels of each cell and their offsets [px]; beyond the image far off."""
    length = max(1.0, pixels / side)
    centres = (np.arange(side) + 0.5) * pixels / side
    first = np.rint(centres - length / 2).astype(np.int64)
    window = first[:, None] + np.arange(int(np.ceil(length)))
    return np.minimum(window, pixels - 1), window + 0.5 - centres[:, None]
