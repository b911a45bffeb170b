"""Anchored depth: affine depth brought to depth up to scale by the depth of a second model.

Only the ratio shift / scale is searched, because the best scale for a given ratio is a median. The
error alone would prefer a shift so large that little contrast is left, so the search divides it by
a power of the contrast. ``lab/studies/try_anchoring.py --frames learned`` chose the power.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace, golden_argmin, to_depth
from rilievo.arrays.shapes import Mask, Values
from rilievo.errors import CalibrationError
from rilievo.records.depth_map import DepthKind, DepthMap

LEAST_CORRELATION = 0.7
"""Rank correlation below which the fit of a model that rilievo does not list is refused."""
LEAST_LISTED_CORRELATION = 0.3
"""Rank correlation below which the fit of a listed model is refused; flat views have little."""

GRID_ROWS, GRID_COLUMNS = 48, 64
"""Size of the grid of pixels at which both maps are compared."""
LEAST_PIXELS = 32
"""Least number of these pixels at which both maps have depth."""

_OFFSETS, _DECADES = 121, 3.0
"""Number of ratios shift / scale that are tried, and their decades around the range of values."""
_LOW_QUANTILE = 0.05
"""Share of values below the range: sky or outliers."""
_LEAST_SHARE_OF_RANGE = 1e-3
"""Least shifted value, as a share of the range; the logarithm needs a positive one."""
_CONTRAST_POWER = 0.85
"""Power of the contrast that divides the error; 0 prefers low contrast, 1 high contrast."""
_MAX_DEPTH_RATIO = 1_000.0
"""Largest anchored depth over the smallest; what is beyond counts as sky."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Fit of affine depth to a reference.

    Attributes:
        fit: Line from the values of the affine map to depth up to scale.
        rank_correlation: Spearman's correlation of both maps as depth, -1 to 1.
    """

    fit: Fit
    rank_correlation: float

    def agrees(self, *, is_listed: bool) -> bool:
        """Whether both maps order pixels from near to far alike enough.

        ``is_listed`` says that rilievo lists the model, so that its kind is certain.
        """
        least = LEAST_LISTED_CORRELATION if is_listed else LEAST_CORRELATION
        return self.rank_correlation >= least


def anchor(depth: DepthMap, reference: DepthMap) -> Anchor:
    """Fit the scale and shift of an affine map to a reference.

    Raises:
        CalibrationError: If too few pixels have depth in both, or one map is constant.
    """
    values, reference_depth = paired_values(depth, reference)
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    return anchor_values(values, reference_depth, is_inverse=is_inverse)


def anchored_depth(depth: DepthMap, fit: Fit) -> DepthMap:
    """Depth up to scale by a fit. Depth that is not positive or too far is invalid, as sky is.

    Raises:
        CalibrationError: If no pixel remains.
    """
    values = to_depth(depth, fit)
    is_positive = depth.valid & np.isfinite(values) & (values > 0)
    if not is_positive.any():
        raise CalibrationError("the fitted scale and shift leave no pixel with a positive depth")
    farthest = _MAX_DEPTH_RATIO * values[is_positive].min()
    valid = is_positive & (values <= farthest)
    values[~valid] = 0
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=valid)


def paired_values(depth: DepthMap, reference: DepthMap) -> tuple[Values, Values]:
    """Values of both maps at those pixels of a grid where both are valid, in float64."""
    values, valid = _sample_on_grid(depth)
    reference_values, reference_valid = _sample_on_grid(reference)
    both = valid & reference_valid
    return values[both].astype(np.float64), reference_values[both].astype(np.float64)


def _sample_on_grid(depth: DepthMap) -> tuple[Values, Mask]:
    height, width = depth.shape
    rows = (2 * np.arange(GRID_ROWS) + 1) * height // (2 * GRID_ROWS)
    columns = (2 * np.arange(GRID_COLUMNS) + 1) * width // (2 * GRID_COLUMNS)
    grid = np.ix_(rows, columns)
    return depth.values[grid].ravel(), depth.valid[grid].ravel()


def anchor_values(x: Values, reference: Values, *, is_inverse: bool) -> Anchor:
    """Fit affine values to positive reference depth.

    Values that come out negative count as small, so that a sky does not bend the rest.

    Args:
        x: Affine depth, or affine inverse depth.
        reference: Depth at the same pixels, up to scale.
        is_inverse: Whether ``x`` is inverse depth.

    Raises:
        CalibrationError: If there are too few values, or all are the same.
    """
    if x.size < LEAST_PIXELS:
        raise CalibrationError(
            f"the two answers have depth at {x.size} common places of {GRID_ROWS * GRID_COLUMNS}, "
            "too few to fit one to the other"
        )
    low, high = np.quantile(x, _LOW_QUANTILE), np.quantile(x, 1 - _LOW_QUANTILE)
    span = float(high - low)
    if span <= 0 or reference.min() == reference.max():
        raise CalibrationError("an answer is constant, so nothing can be fitted to it")

    sign = -1 if is_inverse else 1
    reference_logs = np.log(reference)

    def depth_logs(log_offset: float) -> Values:
        """Log depth up to scale, if the lowest value is ``exp(log_offset)`` above zero."""
        shifted = x - low + np.exp(log_offset)
        return sign * np.log(np.maximum(shifted, _LEAST_SHARE_OF_RANGE * span))

    def cost(log_offset: float) -> float:
        logs = depth_logs(log_offset)
        error = _mean_deviation_from_median(logs - reference_logs)
        contrast = _mean_deviation_from_median(logs)
        return float(np.log(error + 1e-12) - _CONTRAST_POWER * np.log(contrast + 1e-12))

    log_offset = _minimize(cost, np.log(span))
    log_ratios = reference_logs - depth_logs(log_offset)
    log_scale = float(np.median(log_ratios))
    scale = float(np.exp(sign * log_scale))
    fit = Fit(
        space=FitSpace.INVERSE if is_inverse else FitSpace.DEPTH,
        scale=scale,
        shift=scale * (float(np.exp(log_offset)) - float(low)),
        residual=float(np.median(np.abs(log_ratios - log_scale))),
        pixels=x.size,
    )
    return Anchor(fit=fit, rank_correlation=rank_correlation(sign * x, reference))


def _minimize(cost: Callable[[float], float], log_span: float) -> float:
    """Argument of least cost: the best on a grid around ``log_span``, then a golden section."""
    grid = log_span + np.log(10) * np.linspace(-_DECADES, _DECADES, _OFFSETS)
    best = int(np.argmin([cost(offset) for offset in grid]))
    before, after = grid[max(best - 1, 0)], grid[min(best + 1, _OFFSETS - 1)]
    return golden_argmin(cost, float(before), float(after))


def _mean_deviation_from_median(x: Values) -> float:
    return float(np.abs(x - np.median(x)).mean())


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share a rank, and a constant has 0."""
    x_ranks, y_ranks = _ranks(x), _ranks(y)
    x_ranks, y_ranks = x_ranks - x_ranks.mean(), y_ranks - y_ranks.mean()
    norm = float(np.sqrt((x_ranks @ x_ranks) * (y_ranks @ y_ranks)))
    return float(x_ranks @ y_ranks) / norm if norm else 0.0


def _ranks(x: Values) -> Values:
    """Rank of each value from 1; equal values get the mean of their ranks."""
    _, index, count = np.unique(x, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(count) - (count - 1) / 2
    return mean_ranks[index.reshape(-1)]
