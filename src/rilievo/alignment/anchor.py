"""Anchoring: the two unknown numbers of affine depth, fitted to depth up to scale of another model.

For a given ratio shift / scale, an affine map is depth up to one factor, and the factor with the
least sum of absolute errors in the logarithm is the median ratio. The search is therefore over the
ratio alone: on a grid of six decades, then by golden section. Both maps are read at the same few
thousand places, so the cost does not depend on the size of the photograph.

The reference is an estimate that errs, and its contrast is lower than that of the scene. The least
sum of absolute errors alone prefers maps of low contrast, whose errors are small with them. It is
therefore divided by a power of the map's own spread, chosen on frames outside the panel by
``lab/studies/try_anchoring.py --frames learned``. There, with truth in the place of the map, the
error is 0.28 of the reference's on NYU in the place of 0.46, and 0.43 to 0.49 in rooms of four
kinds in the place of 0.53 to 0.79.
"""

import numpy as np

from rilievo.alignment.fit import Fit, FitSpace, to_depth
from rilievo.alignment.lines import golden_minimum
from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import CalibrationError
from rilievo.frozen import frozen
from rilievo.shapes import Values

LEAST_CORRELATION = 0.7
"""Rank correlation of two answers below which one of them is doubted: that of a model of which
nothing is known is refused.
"""
LEAST_OF_KNOWN = 0.3
"""Rank correlation below which the answer of a known model is refused too. In flat views, of a desk
or a wall, the order of the reference is noise, and a shift hardly matters.
"""
ROWS, COLUMNS = 48, 64
"""Grid of places at which both maps are read."""
LEAST_PLACES = 32
"""Least number of places at which both maps have depth."""
_GRID, _DECADES = 121, 3.0
_LOW = 0.05
"""Share of the values that may lie below the least one from which the grid of ratios begins: the
sky of inverse depth, or outliers."""
_FLOOR = 1e-3
"""Least depth or inverse depth in the search, as a share of the range of the values."""
_CONTRAST = 0.85
"""Power of the spread by which errors are divided: 0 would prefer maps of low contrast, 1 maps of
high contrast."""
_FARTHEST = 1_000.0
"""Largest depth that is kept, in multiples of the least; what lies beyond is far, without depth."""


@frozen
class Anchor:
    """Fit of an affine depth map to a reference, and how well the two agree.

    Attributes:
        fit: Line from the map's values to depth or inverse depth, in the unit of the reference.
            Its residual is the median absolute error of the logarithm of depth.
        rank_correlation: Spearman's correlation of the two maps as depth, from -1 to 1.
    """

    fit: Fit
    rank_correlation: float

    def agrees(self, *, is_known: bool) -> bool:
        """Whether both maps order places alike enough, by whether the map's model is known."""
        return self.rank_correlation >= (LEAST_OF_KNOWN if is_known else LEAST_CORRELATION)


def anchor(depth: DepthMap, reference: DepthMap) -> Anchor:
    """Fit scale and shift of an affine depth map to another answer for the same photograph.

    Args:
        depth: Map of kind ``AFFINE`` (the shift is in depth) or ``AFFINE_INVERSE`` (in inverse
            depth).
        reference: Map of kind ``UP_TO_SCALE`` or ``METRIC``, at any resolution.

    Raises:
        CalibrationError: If both have depth at too few places, or one of them is constant there.
    """
    x, z = paired(depth, reference)
    return anchor_values(x, z, is_inverse=depth.kind is DepthKind.AFFINE_INVERSE)


def anchored_depth(depth: DepthMap, fit: Fit) -> DepthMap:
    """Depth up to scale, by a fit of ``anchor``.

    Pixels whose depth is not positive, or more than ``_FARTHEST`` times the least, are not valid:
    they lie at the zero of inverse depth, as the sky does.

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


def paired(depth: DepthMap, reference: DepthMap) -> tuple[Values, Values]:
    """Values of both maps at the places of a grid where both are valid."""
    (x, valid), (z, mask) = _on_grid(depth), _on_grid(reference)
    both = valid & mask
    return x[both].astype(np.float64), z[both].astype(np.float64)


def _on_grid(depth: DepthMap) -> tuple[np.ndarray, np.ndarray]:
    """Values and validity of the pixels nearest to the centres of the grid's cells."""
    height, width = depth.shape
    rows = (2 * np.arange(ROWS) + 1) * height // (2 * ROWS)
    columns = (2 * np.arange(COLUMNS) + 1) * width // (2 * COLUMNS)
    places = np.ix_(rows, columns)
    return depth.values[places].ravel(), depth.valid[places].ravel()


def anchor_values(x: Values, reference: Values, *, is_inverse: bool) -> Anchor:
    """Fit scale and shift of affine values to positive reference depth at the same places.

    Depth is scale * x + shift, or its inverse if ``is_inverse``. Of the logarithm of depth y and
    that of the reference r, the sum of |y - r - median| over the sum of |y - median| to the power
    ``_CONTRAST`` is least. Where depth is not positive, it counts as a small positive number, so
    that a sky at zero inverse depth or a few wrong values do not bend the rest.

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
        """Logarithm of depth up to scale, where its line is 0 at ``low`` less the offset."""
        return sign * np.log(np.maximum(x - low + np.exp(log_offset), _FLOOR * span))

    def cost(log_offset: float) -> float:
        y = depth_logs(log_offset)
        return float(np.log(_spread(y - logs) + 1e-12) - _CONTRAST * np.log(_spread(y) + 1e-12))

    grid = np.log(span) + np.log(10) * np.linspace(-_DECADES, _DECADES, _GRID)
    best = int(np.argmin([cost(offset) for offset in grid]))
    minimum = golden_minimum(
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


def _spread(x: Values) -> float:
    """Mean absolute deviation from the median."""
    return float(np.abs(x - np.median(x)).mean())


def rank_correlation(x: Values, y: Values) -> float:
    """Spearman's rank correlation; equal values share their mean rank, and a constant has 0."""
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size else 0.0


def _ranks(x: Values) -> Values:
    _, index, count = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[index.reshape(-1)]
