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

_OFFSET_COUNT, _OFFSET_DECADES = 121, 3.0
"""Number of offsets that are tried first, from 10^-3 to 10^3 times the range of the values."""
_IGNORED_FRACTION = 0.05
"""Fraction of the values at each end that is ignored: sky or outliers."""
_MIN_SHIFTED_FRACTION = 1e-3
"""Least shifted value, as a fraction of the range; the logarithm needs a positive one."""
_CONTRAST_POWER = 0.85
"""Power of the contrast that divides the error; 0 prefers low contrast, 1 high contrast."""
_TINY = 1e-12
"""Added to errors and contrasts, because the logarithm of zero is infinite."""
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
        """Whether both maps order pixels from near to far in nearly the same way."""
        return self.rank_correlation >= least_correlation(is_listed=is_listed)


def least_correlation(*, is_listed: bool) -> float:
    """Rank correlation below which the two maps disagree.

    For a model that rilievo lists, whose kind of depth is certain, less agreement suffices.
    """
    return LEAST_LISTED_CORRELATION if is_listed else LEAST_CORRELATION


def anchor(depth: DepthMap, reference: DepthMap) -> Anchor:
    """Fit the scale and shift of an affine map to a reference.

    Raises:
        CalibrationError: If too few pixels have depth in both, or one map is constant.
    """
    values, reference_depth = paired_values(depth, reference)
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    return anchor_values(values, reference_depth, is_inverse=is_inverse)


def anchored_depth(depth: DepthMap, fit: Fit) -> DepthMap:
    """Convert an affine map to depth up to scale by its fit to a reference.

    Pixels whose depth is not positive or too far are invalid, as sky is.
    """
    values = to_depth(depth, fit)
    is_positive = depth.valid & np.isfinite(values) & (values > 0)
    if not is_positive.any():
        raise CalibrationError(
            "the fitted scale and shift leave no pixel with positive depth, so there is no surface"
        )
    farthest = _MAX_DEPTH_RATIO * values[is_positive].min()
    valid = is_positive & (values <= farthest)
    values[~valid] = 0
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=valid)


def paired_values(depth: DepthMap, reference: DepthMap) -> tuple[Values, Values]:
    """Sample both maps on a grid, and return the values in float64 where both are valid."""
    values, valid = _sample_on_grid(depth)
    reference_values, reference_valid = _sample_on_grid(reference)
    both = valid & reference_valid
    return values[both].astype(np.float64), reference_values[both].astype(np.float64)


def _sample_on_grid(depth: DepthMap) -> tuple[Values, Mask]:
    """Values and validity at the centres of the grid's cells, as flat arrays."""
    height, width = depth.shape
    rows = (2 * np.arange(GRID_ROWS) + 1) * height // (2 * GRID_ROWS)
    columns = (2 * np.arange(GRID_COLUMNS) + 1) * width // (2 * GRID_COLUMNS)
    grid = np.ix_(rows, columns)
    return depth.values[grid].ravel(), depth.valid[grid].ravel()


def anchor_values(x: Values, reference: Values, *, is_inverse: bool) -> Anchor:
    """Fit affine depth, or affine inverse depth, to positive reference depth at the same pixels.

    Every candidate is x - low + offset, where x are the affine values and low is a low quantile of
    them. A search finds the offset of least cost, and the scale for it is a median. Candidates near
    zero or below are clamped to a small fraction of the range, so that sky does not dominate.
    """
    if x.size < LEAST_PIXELS:
        raise CalibrationError(
            f"both predictions have depth at only {x.size} of {GRID_ROWS * GRID_COLUMNS} sampled "
            "pixels, which is too few to fit one to the other"
        )
    low, high = np.quantile(x, _IGNORED_FRACTION), np.quantile(x, 1 - _IGNORED_FRACTION)
    value_range = float(high - low)
    if value_range <= 0 or reference.min() == reference.max():
        raise CalibrationError(
            "one of the two predictions is constant, which does not determine a scale and a shift"
        )

    # The logarithm of inverse depth is minus that of depth.
    sign = -1 if is_inverse else 1
    reference_logs = np.log(reference)

    def shifted_depth_logs(log_offset: float) -> Values:
        """Log depth up to scale of the candidate with the offset ``exp(log_offset)``."""
        shifted = x - low + np.exp(log_offset)
        return sign * np.log(np.maximum(shifted, _MIN_SHIFTED_FRACTION * value_range))

    def cost(log_offset: float) -> float:
        """Return ln(error / contrast**power), because small contrast alone makes errors small."""
        depth_logs = shifted_depth_logs(log_offset)
        error = _mean_deviation_from_median(depth_logs - reference_logs)
        contrast = _mean_deviation_from_median(depth_logs)
        return float(np.log(error + _TINY) - _CONTRAST_POWER * np.log(contrast + _TINY))

    log_offset = _minimize_near_range(cost, np.log(value_range))
    log_ratios = reference_logs - shifted_depth_logs(log_offset)
    log_scale = float(np.median(log_ratios))
    # The scale of inverse depth divides depth.
    scale = float(np.exp(sign * log_scale))
    fit = Fit(
        space=FitSpace.INVERSE if is_inverse else FitSpace.DEPTH,
        scale=scale,
        shift=scale * (float(np.exp(log_offset)) - float(low)),
        residual=float(np.median(np.abs(log_ratios - log_scale))),
        pixels=x.size,
    )
    return Anchor(fit=fit, rank_correlation=rank_correlation(sign * x, reference))


def _minimize_near_range(cost: Callable[[float], float], log_range: float) -> float:
    """Log offset of least cost: the best of a grid around ``log_range``, then a golden section."""
    decades = np.linspace(-_OFFSET_DECADES, _OFFSET_DECADES, _OFFSET_COUNT)
    log_offsets = log_range + np.log(10) * decades
    best = int(np.argmin([cost(log_offset) for log_offset in log_offsets]))
    before = log_offsets[max(best - 1, 0)]
    after = log_offsets[min(best + 1, _OFFSET_COUNT - 1)]
    return golden_argmin(cost, float(before), float(after))


def _mean_deviation_from_median(x: Values) -> float:
    return float(np.abs(x - np.median(x)).mean())


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share a rank, and a constant has 0."""
    x_ranks, y_ranks = _ranks(x), _ranks(y)
    x_centred, y_centred = x_ranks - x_ranks.mean(), y_ranks - y_ranks.mean()
    norm = float(np.sqrt((x_centred @ x_centred) * (y_centred @ y_centred)))
    return float(x_centred @ y_centred) / norm if norm else 0.0


def _ranks(x: Values) -> Values:
    """Rank of each value from 1; equal values get the mean of their ranks."""
    _, unique_index, counts = np.unique(x, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    return mean_ranks[unique_index.reshape(-1)]
