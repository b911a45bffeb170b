"""Accuracy of a prediction at the occluding edges of a scene."""

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask
from rilievo.evaluation.metrics.metric import Plane, Sums
from rilievo.evaluation.metrics.pairs import DepthPair, Indices

FACTORS = np.linspace(1.05, 1.25, 10)
_WEIGHTS = FACTORS / FACTORS.sum()
STEPS: Float64[np.ndarray, "t"] = np.linspace(0.05, 0.25, 10)


def boundary_counts(pair: DepthPair) -> Sums:
    """Number of edges found, true and predicted, by direction and factor."""
    counts = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first, second in _neighbour_slices():
            # The published computation has no mask; where all pixels are valid, both agree.
            usable = pair.valid[first] & pair.valid[second]
            counts += _edge_counts(
                pair.predicted[first].astype(np.float64),
                pair.predicted[second].astype(np.float64),
                pair.true[first].astype(np.float64),
                pair.true[second].astype(np.float64),
                usable,
            )
    return np.stack(counts).astype(np.float64).ravel()


def boundary_f1(sums: Sums, _count: int) -> float:
    """F1 of edges, averaged over the factors by weight."""
    common, true, predicted = np.moveaxis(sums.reshape(4, 3, FACTORS.size), 1, 0)
    # A direction without edges counts as missed, as published.
    recall = np.mean(common / np.maximum(true, 1), axis=0)
    precision = np.mean(common / np.maximum(predicted, 1), axis=0)
    both = recall + precision
    f1 = 2 * recall * precision / np.where(both > 0, both, 1.0)
    return float(_WEIGHTS @ f1)


def _neighbour_slices() -> tuple[tuple[tuple[slice, slice], tuple[slice, slice]], ...]:
    """Slices of left and right, then of upper and lower pixels."""
    whole, head, tail = slice(None), slice(None, -1), slice(1, None)
    return ((whole, head), (whole, tail)), ((head, whole), (tail, whole))


def _edge_counts(
    p_first: Plane,
    p_second: Plane,
    t_first: Plane,
    t_second: Plane,
    usable: Mask,
) -> list[Int[np.ndarray, "3 f"]]:
    """Edges of both, truth, prediction by factor; ahead, then back."""
    p_step = np.maximum(p_first, p_second) / np.minimum(p_first, p_second)
    t_step = np.maximum(t_first, t_second) / np.minimum(t_first, t_second)
    # Few pairs are edges, so only these are examined further.
    edges = ((p_step > FACTORS[0]) | (t_step > FACTORS[0])) & usable
    p_level, t_level = (np.searchsorted(FACTORS, step[edges]) for step in (p_step, t_step))
    p_ahead, t_ahead = (p_second > p_first)[edges], (t_second > t_first)[edges]
    counts = []
    for p_side, t_side in ((p_ahead, t_ahead), (~p_ahead, ~t_ahead)):
        p, t = p_level * p_side, t_level * t_side
        counts.append(
            np.stack([_counts_at_each_factor(level) for level in (np.minimum(p, t), t, p)])
        )
    return counts


def _counts_at_each_factor(levels: Indices) -> Int[np.ndarray, "f"]:
    """Number of levels that reach each factor."""
    histogram = np.bincount(levels, minlength=FACTORS.size + 1)
    return histogram[::-1].cumsum()[::-1][1:]


def window_edge_counts(pair: DepthPair, radius: int) -> Sums:
    """Number of edges found, true and predicted within windows, by step."""
    predicted, true = (
        np.where(pair.valid, depth, np.float32(1)).astype(np.float64)
        for depth in (pair.predicted, pair.true)
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
    """F1 of edges in windows, averaged over the steps by weight."""
    common, true, predicted = sums.reshape(3, STEPS.size)
    recall = common / np.maximum(true, 1e-12)
    precision = common / np.maximum(predicted, 1e-12)
    f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
    return float(STEPS @ f1 / STEPS.sum())
