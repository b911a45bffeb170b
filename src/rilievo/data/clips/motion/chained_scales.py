"""Scales of depth along a row of maps or windows."""

from collections.abc import Sequence

import numpy as np

from rilievo.shapes import Values

LINK = 0.05
"""Standard deviation of a log ratio between neighbours."""
OWN = 0.25
"""Standard deviation of a log scale of its own."""


def chained_log_scales(steps: Sequence[float]) -> Values:
    """Log factors of depth maps in a row, from log ratios between neighbours, NaN where unknown.

    Least squares with a weak pull towards 1, so that errors do not add up.
    """
    own, link = 1 / OWN**2, 1 / LINK**2
    count = len(steps)
    diagonal, right, linked = np.full(count, own), np.zeros(count), np.zeros(count)
    for place in range(1, count):
        if not np.isfinite(steps[place]):
            continue
        linked[place] = link
        diagonal[place - 1 : place + 1] += link
        right[place - 1] -= link * steps[place]
        right[place] += link * steps[place]
    for place in range(1, count):
        share = linked[place] / diagonal[place - 1]
        diagonal[place] -= share * linked[place]
        right[place] += share * right[place - 1]
    logs = np.zeros(count)
    for place in reversed(range(count)):
        after = linked[place + 1] * logs[place + 1] if place + 1 < count else 0.0
        logs[place] = (right[place] + after) / diagonal[place]
    return logs
