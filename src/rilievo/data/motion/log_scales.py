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
            first entry has no effect.
    """
    prior_weight, link_weight = 1 / PRIOR_DEVIATION**2, 1 / LINK_DEVIATION**2
    count = len(steps)
    # The normal equations are tridiagonal: ``diagonal``, and -``link`` between neighbours.
    diagonal = np.full(count, prior_weight)
    rhs = np.zeros(count)
    link = np.zeros(count)
    for index in range(1, count):
        if not np.isfinite(steps[index]):
            continue
        link[index] = link_weight
        diagonal[index - 1 : index + 1] += link_weight
        rhs[index - 1] -= link_weight * steps[index]
        rhs[index] += link_weight * steps[index]

    # Thomas algorithm: eliminate the lower links, then substitute from the last map back.
    for index in range(1, count):
        factor = link[index] / diagonal[index - 1]
        diagonal[index] -= factor * link[index]
        rhs[index] += factor * rhs[index - 1]
    log_scales = np.zeros(count)
    for index in reversed(range(count)):
        next_term = link[index + 1] * log_scales[index + 1] if index + 1 < count else 0.0
        log_scales[index] = (rhs[index] + next_term) / diagonal[index]
    return log_scales


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleLink:
    """Log of the factor that the second of two depth maps needs over that of the first."""

    first: int
    second: int
    log_ratio: float


def linked_log_scales(count: int, links: Sequence[ScaleLink]) -> Values:
    """Log scales of ``count`` depth maps, from log ratios between any two of them.

    The same least squares as ``chained_log_scales``, whose normal equations are
    (p 1 + l Σ d dᵀ) x = l Σ d r, where p and l are the weights of prior and links, r the log ratio
    of a link, and d has 1 for its second map and -1 for its first. Conjugate gradients solve them
    (Hestenes and Stiefel 1952), because links need not form a row.
    """
    prior_weight, link_weight = 1 / PRIOR_DEVIATION**2, 1 / LINK_DEVIATION**2
    first_maps = np.array([link.first for link in links], np.int64)
    second_maps = np.array([link.second for link in links], np.int64)
    log_ratios = np.array([link.log_ratio for link in links], np.float64)

    def sum_over_links(values: Values) -> Values:
        """Sum for each map over its links: plus if it is the second map, minus if the first."""
        return np.bincount(second_maps, values, count) - np.bincount(first_maps, values, count)

    def multiply_by_normal_matrix(log_scales: Values) -> Values:
        differences = log_scales[second_maps] - log_scales[first_maps]
        return prior_weight * log_scales + link_weight * sum_over_links(differences)

    log_scales = np.zeros(count)
    residual = link_weight * sum_over_links(log_ratios)
    direction = residual
    squared_residual = float(residual @ residual)
    squared_tolerance = _MAX_RELATIVE_RESIDUAL**2 * squared_residual
    while squared_residual > squared_tolerance:
        product = multiply_by_normal_matrix(direction)
        step_length = squared_residual / float(direction @ product)
        log_scales = log_scales + step_length * direction
        residual = residual - step_length * product
        previous_squared, squared_residual = squared_residual, float(residual @ residual)
        direction = residual + squared_residual / previous_squared * direction
    return log_scales
