"""Scale and shift of a depth map that fit known measurements.

A length is not a linear function of depth, so the lines through pairs of points that ``points``
tries do not exist here. For a given ratio shift / scale, however, the map is depth up to one
factor, and the factor is the median of those that the facts imply. The search is therefore over
that ratio alone: on a grid of six decades, then by golden section.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from rilievo.alignment import Fit, FitSpace
from rilievo.calibration.fact import Fact
from rilievo.errors import UndeterminedError
from rilievo.types import DepthKind, DepthMap

_GRID = 241
_DECADES = 3.0
_GOLDEN = (np.sqrt(5) - 1) / 2

# The shift is undetermined if over half of all ratios cost less than this above the best (sum of
# absolute logarithms).
_FLAT = 1e-3


def fit_scale_and_shift(depth: DepthMap, facts: Sequence[Fact]) -> Fit:
    """Fit scale and shift with the least sum of absolute errors in the logarithm."""
    is_inverse = depth.kind is DepthKind.AFFINE_INVERSE
    x = np.array([each for fact in facts for each in fact.x])
    inside = depth.values[depth.valid].astype(np.float64)
    span = max(float(inside.max() - inside.min()), 1e-12)
    # Depth up to scale is x + k (or its inverse), positive at every known fact.
    offsets = span * np.logspace(-_DECADES, _DECADES, _GRID)

    def logs(offset: float) -> Float64[np.ndarray, "n"]:
        k = offset - float(x.min())
        says = [fact.says(lambda x: 1 / (x + k) if is_inverse else x + k) for fact in facts]
        return np.log([fact.metres for fact in facts]) - np.log(np.maximum(says, 1e-300))

    def cost(offset: float) -> float:
        each = logs(offset)
        return float(np.abs(each - np.median(each)).sum())

    costs = np.array([cost(offset) for offset in offsets])
    best = int(costs.argmin())
    if np.mean(costs < costs[best] + _FLAT) > 0.5:
        raise UndeterminedError(
            "what is known lies at one depth, which does not determine a shift: give a point or a "
            "length that is clearly nearer or farther"
        )
    offset = _narrowed(cost, offsets[max(best - 1, 0)], offsets[min(best + 1, _GRID - 1)])
    scale, k = float(np.exp(np.median(logs(offset)))), offset - float(x.min())
    if is_inverse:
        return _fit(facts, FitSpace.INVERSE, 1 / scale, k / scale)
    return _fit(facts, FitSpace.DEPTH, scale, scale * k)


def _fit(facts: Sequence[Fact], space: FitSpace, scale: float, shift: float) -> Fit:
    def metres(x: float) -> float:
        y = scale * x + shift
        return 1 / y if space is FitSpace.INVERSE else y

    misses = [fact.says(metres) - fact.metres for fact in facts]
    residual = float(np.sqrt(np.mean(np.square(misses))))
    return Fit(space=space, scale=scale, shift=shift, residual=residual, pixels=len(facts))


def _narrowed(cost: Callable[[float], float], low: float, high: float) -> float:
    """Minimum of a function between two positive numbers, by golden section in the logarithm."""
    low, high = np.log(low), np.log(high)
    for _ in range(80):
        a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if cost(np.exp(a)) <= cost(np.exp(b)):
            high = b
        else:
            low = a
    return float(np.exp((low + high) / 2))
