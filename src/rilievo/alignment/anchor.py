"""Anchoring: scale and shift of affine depth, fitted to depth up to scale.

The ratio shift / scale alone is searched, with the median ratio as factor. Errors, which prefer low
contrast, are divided by a power of the spread, chosen by
``lab/studies/try_anchoring.py --frames learned``.
"""

from dataclasses import dataclass

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace, golden_argmin, to_depth
from rilievo.arrays.shapes import Values
from rilievo.errors import CalibrationError
from rilievo.records.depth_map import DepthKind, DepthMap

LEAST_CORRELATION = 0.7
"""Rank correlation below which the fit of a model that rilievo does not list is refused."""
LEAST_LISTED_CORRELATION = 0.3
"""Rank correlation below which the fit of a listed model is refused; flat views have little."""
# Grid of places at which both maps are read.
ROWS, COLUMNS = 48, 64
# Least number of places at which both maps have depth.
LEAST_PLACES = 32
_GRID, _DECADES = 121, 3.0
# Share of values below the grid: sky or outliers.
_LOW = 0.05
# Least depth or inverse depth, as a share of the range.
_FLOOR = 1e-3
# Power of the spread; 0 prefers low contrast, 1 high.
_CONTRAST = 0.85
# Largest depth, in multiples of the least.
_FARTHEST = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """Fit of affine depth to a reference, with Spearman's correlation, -1 to 1."""

    fit: Fit
    rank_correlation: float

    def agrees(self, *, is_listed: bool) -> bool:
        """Whether both maps order places alike enough."""
        return self.rank_correlation >= (
            LEAST_LISTED_CORRELATION if is_listed else LEAST_CORRELATION
        )


def anchor(depth: DepthMap, reference: DepthMap) -> Anchor:
    """Fit an affine map's scale and shift to a reference.

    Raises:
        CalibrationError: If both have depth at too few places, or one is constant.
    """
    x, z = paired_values(depth, reference)
    return anchor_values(x, z, is_inverse=depth.kind is DepthKind.AFFINE_INVERSE)


def anchored_depth(depth: DepthMap, fit: Fit) -> DepthMap:
    """Depth up to scale, by a fit; what is not positive or too far is invalid, as sky.

    Raises:
        CalibrationError: If no pixel remains.
    """
    values = to_depth(depth, fit)
    positive = depth.valid & np.isfinite(values) & (values > 0)
    if not positive.any():
        raise CalibrationError("the fitted scale and shift leave no pixel with a positive depth")
    mask = positive & (values <= _FARTHEST * values[positive].min())
    values[~mask] = 0
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=mask)


def paired_values(depth: DepthMap, reference: DepthMap) -> tuple[Values, Values]:
    """Values of both maps at grid places where both are valid."""
    (x, valid), (z, mask) = _sample_on_grid(depth), _sample_on_grid(reference)
    both = valid & mask
    return x[both].astype(np.float64), z[both].astype(np.float64)


def _sample_on_grid(depth: DepthMap) -> tuple[np.ndarray, np.ndarray]:
    height, width = depth.shape
    rows = (2 * np.arange(ROWS) + 1) * height // (2 * ROWS)
    columns = (2 * np.arange(COLUMNS) + 1) * width // (2 * COLUMNS)
    places = np.ix_(rows, columns)
    return depth.values[places].ravel(), depth.valid[places].ravel()


def anchor_values(x: Values, reference: Values, *, is_inverse: bool) -> Anchor:
    """Fit affine values to positive reference depth.

    What is not positive counts as small, so that a sky does not bend the rest.

    Raises:
        CalibrationError: If there are too few places, or all values are the same.
    """
    if x.size < LEAST_PLACES:
        raise CalibrationError(
            f"the two answers have depth at {x.size} common places of {ROWS * COLUMNS}, too few to "
            "fit one to the other"
        )
    low, high = np.quantile(x, _LOW), np.quantile(x, 1 - _LOW)
    span = float(high - low)
    if span <= 0 or reference.min() == reference.max():
        raise CalibrationError("an answer is constant, so nothing can be fitted to it")
    sign = -1 if is_inverse else 1
    logs = np.log(reference)

    def depth_logs(log_offset: float) -> Values:
        """Log depth up to scale."""
        return sign * np.log(np.maximum(x - low + np.exp(log_offset), _FLOOR * span))

    def cost(log_offset: float) -> float:
        y = depth_logs(log_offset)
        return float(
            np.log(_mean_deviation_from_median(y - logs) + 1e-12)
            - _CONTRAST * np.log(_mean_deviation_from_median(y) + 1e-12)
        )

    grid = np.log(span) + np.log(10) * np.linspace(-_DECADES, _DECADES, _GRID)
    best = int(np.argmin([cost(offset) for offset in grid]))
    minimum = golden_argmin(
        cost, float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    )
    offset = logs - depth_logs(minimum)
    middle = float(np.median(offset))
    scale = float(np.exp(sign * middle))
    fit = Fit(
        space=FitSpace.INVERSE if is_inverse else FitSpace.DEPTH,
        scale=scale,
        shift=scale * (float(np.exp(minimum)) - float(low)),
        residual=float(np.median(np.abs(offset - middle))),
        pixels=x.size,
    )
    return Anchor(fit=fit, rank_correlation=rank_correlation(sign * x, reference))


def _mean_deviation_from_median(x: Values) -> float:
    return float(np.abs(x - np.median(x)).mean())


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation; equal values share a rank, a constant has 0."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _ranks(x: Values) -> Values:
    _, index, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[index.reshape(-1)]
