"""Scales that bring many depth maps to one unit, from ratios between pairs of them.

Each log scale has a weak prior at 0, and each ratio between two maps is a link. Both are weighed
by their standard deviations, and the sum of squares is least.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Values

LINK_DEVIATION = 0.05
"""Standard deviation of a log ratio between two depth maps."""
PRIOR_DEVIATION = 0.25
"""Standard deviation of the log scale of a depth map."""
_MAX_RELATIVE_RESIDUAL = 1e-12
"""Residual of the normal equations at which conjugate gradients end, relative to the first."""


def chained_log_scales(steps: Sequence[float]) -> Values:
    """Log scales of depth maps in a row.

    Args:
        steps: Log ratio of each map's scale to that of the map before it; NaN where unknown. The
            first has no effect.
    """
    prior_weight, link_weight = 1 / PRIOR_DEVIATION**2, 1 / LINK_DEVIATION**2
    count = len(steps)
    # The normal equations are tridiagonal: ``diagonal``, and -``link`` between neighbours.
    diagonal = np.full(count, prior_weight)
    right = np.zeros(count)
    link = np.zeros(count)
    for index in range(1, count):
        if not np.isfinite(steps[index]):
            continue
        link[index] = link_weight
        diagonal[index - 1 : index + 1] += link_weight
        right[index - 1] -= link_weight * steps[index]
        right[index] += link_weight * steps[index]

    for index in range(1, count):
        factor = link[index] / diagonal[index - 1]
        diagonal[index] -= factor * link[index]
        right[index] += factor * right[index - 1]
    log_scales = np.zeros(count)
    for index in reversed(range(count)):
        next_term = link[index + 1] * log_scales[index + 1] if index + 1 < count else 0.0
        log_scales[index] = (right[index] + next_term) / diagonal[index]
    return log_scales


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLink:
    """Log of the factor that the second of two depth maps needs over that of the first."""

    first: int
    second: int
    log_ratio: float


def linked_log_scales(count: int, links: Sequence[ScaleLink]) -> Values:
    """Log scales of ``count`` depth maps, from log ratios between any two of them.

    The same least squares as ``chained_log_scales``, solved by conjugate gradients because links
    need not form a row.
    """
    prior_weight, link_weight = 1 / PRIOR_DEVIATION**2, 1 / LINK_DEVIATION**2
    first = np.array([link.first for link in links], np.int64)
    second = np.array([link.second for link in links], np.int64)
    ratios = np.array([link.log_ratio for link in links], np.float64)

    def sum_at_ends(values: Values) -> Values:
        """Sum over the links of a map: plus at its second end, minus at its first."""
        return np.bincount(second, values, count) - np.bincount(first, values, count)

    def multiply(log_scales: Values) -> Values:
        """Product of the normal matrix and a vector."""
        differences = log_scales[second] - log_scales[first]
        return prior_weight * log_scales + link_weight * sum_at_ends(differences)

    log_scales = np.zeros(count)
    residual = link_weight * sum_at_ends(ratios)
    direction, squared = residual, float(residual @ residual)
    max_squared = _MAX_RELATIVE_RESIDUAL**2 * squared
    while squared > max_squared:
        product = multiply(direction)
        length = squared / float(direction @ product)
        log_scales = log_scales + length * direction
        residual = residual - length * product
        previous, squared = squared, float(residual @ residual)
        direction = residual + squared / previous * direction
    return log_scales
