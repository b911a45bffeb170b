"""Occluding edges within a window around each pixel, as MoGe scores them.

A pixel has an edge to another one in its window where that lies deeper by more than a factor
``1 + t``. F1 is taken over such pairs for every ``t`` of ``STEPS`` and averaged with ``t`` as the
weight. Read in MoGe's ``moge/test/metrics.py`` (Wang et al. 2025).
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float64

from rilievo.metrics.metric import Better, Metric, Sums
from rilievo.metrics.pairs import DepthPair

STEPS: Float64[np.ndarray, "t"] = np.linspace(0.05, 0.25, 10)


def window_edges(pair: DepthPair, radius: int) -> Sums:
    """Edges that both have, of the truth and of the prediction, one after the other, by step.

    Pixels nearer to the border than ``radius`` have no window and are passed over.
    """
    predicted, true = (
        np.where(pair.valid, each, np.float32(1)).astype(np.float64)
        for each in (pair.predicted, pair.true)
    )
    counts = np.zeros((3, STEPS.size))
    height, width = pair.valid.shape
    if min(height, width) <= 2 * radius:
        return counts.ravel()
    middle = slice(radius, height - radius), slice(radius, width - radius)
    for down in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            if not 0 < down * down + across * across <= radius * radius:
                continue
            other = (
                slice(radius + down, height - radius + down),
                slice(radius + across, width - radius + across),
            )
            both = pair.valid[middle] & pair.valid[other]
            p = (predicted[other] / predicted[middle])[both]
            t = (true[other] / true[middle])[both]
            # Few are edges at all; what follows looks at those alone.
            steep = (p > 1 + STEPS[0]) | (t > 1 + STEPS[0])
            p, t = p[steep, None] > 1 + STEPS, t[steep, None] > 1 + STEPS
            counts += np.stack([(p & t).sum(axis=0), t.sum(axis=0), p.sum(axis=0)])
    return counts.ravel()


def window_f1(sums: Sums, _count: int) -> float:
    """F1 by step, averaged with the steps as weights; 0 at a step where nothing is found."""
    found, true, predicted = sums.reshape(3, STEPS.size)
    recall = found / np.maximum(true, 1e-12)
    precision = found / np.maximum(predicted, 1e-12)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    return float(STEPS @ f1 / STEPS.sum())


def _within(radius: int) -> Callable[[DepthPair], Sums]:
    return lambda pair: window_edges(pair, radius)


# A radius is one number here.
WINDOW_METRICS: Mapping[str, Metric[DepthPair]] = {
    f"edge_f1_r{radius}": Metric(
        name=f"edge_f1_r{radius}",
        label=f"edge F1 r={radius}",
        unit="",
        better=Better.HIGHER,
        summary=f"F1 of occluding edges within {radius} pixel{'s' if radius > 1 else ''} (MoGe)",
        sums=_within(radius),
        finish=window_f1,
    )
    for radius in (1, 2, 3)
}
