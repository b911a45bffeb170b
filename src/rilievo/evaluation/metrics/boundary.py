"""Accuracy of a prediction at the occluding edges of a scene.

``boundary_f1`` is the metric of Depth Pro (Bochkovskii et al. 2024): an edge is a pair of
neighbouring pixels whose depths have a ratio above a factor. ``window_f1`` is that of MoGe, which
compares each pixel with all others in a round window.
"""

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask
from rilievo.evaluation.metrics.metric import Plane, Sums
from rilievo.evaluation.metrics.pairs import DepthPair, Indices

FACTORS = np.linspace(1.05, 1.25, 10)
"""Ratios of neighbouring depths above which a pair of pixels is an edge, as in Depth Pro."""
_FACTOR_WEIGHTS = FACTORS / FACTORS.sum()
STEPS: Float64[np.ndarray, "t"] = np.linspace(0.05, 0.25, 10)
"""Relative differences of depth above which a pair of pixels is an edge, as in MoGe."""
_MIN_EDGES = 1e-12
"""Lower limit of a number of edges, or of a sum of rates, before a division by it."""


def boundary_counts(pair: DepthPair) -> Sums:
    """Number of edges found, true and predicted, by direction and factor.

    Directions are: depth grows to the right, to the left, downwards and upwards.
    """
    counts = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first, second in _neighbour_slices():
            # The published computation has no mask; where all pixels are valid, both agree.
            both_valid = pair.valid[first] & pair.valid[second]
            counts += _edge_counts(
                pair.predicted[first].astype(np.float64),
                pair.predicted[second].astype(np.float64),
                pair.true[first].astype(np.float64),
                pair.true[second].astype(np.float64),
                both_valid,
            )
    return np.stack(counts).astype(np.float64).ravel()


def boundary_f1(sums: Sums, _count: int) -> float:
    """F1 of edges, averaged over the factors by weight; larger factors weigh more."""
    found, true, predicted = np.moveaxis(sums.reshape(4, 3, FACTORS.size), 1, 0)
    # A direction without edges counts as missed, as published.
    recall = np.mean(found / np.maximum(true, 1), axis=0)
    precision = np.mean(found / np.maximum(predicted, 1), axis=0)
    total = recall + precision
    f1 = 2 * recall * precision / np.where(total > 0, total, 1.0)
    return float(_FACTOR_WEIGHTS @ f1)


def _neighbour_slices() -> tuple[tuple[tuple[slice, slice], tuple[slice, slice]], ...]:
    """Slices of left and right, then of upper and lower pixels."""
    everything = slice(None)
    all_but_last = slice(None, -1)
    all_but_first = slice(1, None)
    horizontal = (everything, all_but_last), (everything, all_but_first)
    vertical = (all_but_last, everything), (all_but_first, everything)
    return horizontal, vertical


def _edge_counts(
    predicted_first: Plane,
    predicted_second: Plane,
    true_first: Plane,
    true_second: Plane,
    both_valid: Mask,
) -> list[Int[np.ndarray, "3 f"]]:
    """Count edges whose second pixel is farther, then those whose first pixel is farther.

    Each array has the edges found, true and predicted, by factor.
    """
    predicted_ratio = _depth_ratio(predicted_first, predicted_second)
    true_ratio = _depth_ratio(true_first, true_second)
    # Few pairs are edges, so only these are examined further.
    is_edge = ((predicted_ratio > FACTORS[0]) | (true_ratio > FACTORS[0])) & both_valid

    # A level is the number of factors that the ratio exceeds.
    predicted_levels = np.searchsorted(FACTORS, predicted_ratio[is_edge])
    true_levels = np.searchsorted(FACTORS, true_ratio[is_edge])
    predicted_grows = (predicted_second > predicted_first)[is_edge]
    true_grows = (true_second > true_first)[is_edge]

    directions = (predicted_grows, true_grows), (~predicted_grows, ~true_grows)
    counts = []
    for in_predicted_direction, in_true_direction in directions:
        predicted = predicted_levels * in_predicted_direction
        true = true_levels * in_true_direction
        found = np.minimum(predicted, true)
        counts.append(
            np.stack([_counts_at_each_factor(levels) for levels in (found, true, predicted)])
        )
    return counts


def _depth_ratio(first: Plane, second: Plane) -> Plane:
    """Larger depth divided by the smaller."""
    return np.maximum(first, second) / np.minimum(first, second)


def _counts_at_each_factor(levels: Indices) -> Int[np.ndarray, "f"]:
    """Number of levels that reach each factor."""
    histogram = np.bincount(levels, minlength=FACTORS.size + 1)
    return histogram[::-1].cumsum()[::-1][1:]


def window_edge_counts(pair: DepthPair, radius: int) -> Sums:
    """Number of edges found, true and predicted, by step, within windows of a radius [px].

    An edge is a pair of the middle of a window and a pixel that is farther by the step.
    """
    predicted = np.where(pair.valid, pair.predicted, np.float32(1)).astype(np.float64)
    true = np.where(pair.valid, pair.true, np.float32(1)).astype(np.float64)

    counts = np.zeros((3, STEPS.size))
    height, width = pair.valid.shape
    if min(height, width) <= 2 * radius:
        return counts.ravel()
    middle = slice(radius, height - radius), slice(radius, width - radius)
    for dy, dx in _window_offsets(radius):
        shifted = (
            slice(radius + dy, height - radius + dy),
            slice(radius + dx, width - radius + dx),
        )
        both_valid = pair.valid[middle] & pair.valid[shifted]
        predicted_ratio = (predicted[shifted] / predicted[middle])[both_valid]
        true_ratio = (true[shifted] / true[middle])[both_valid]
        # Few pairs are edges, so only these are examined further.
        is_edge = (predicted_ratio > 1 + STEPS[0]) | (true_ratio > 1 + STEPS[0])
        in_predicted = predicted_ratio[is_edge, None] > 1 + STEPS
        in_true = true_ratio[is_edge, None] > 1 + STEPS
        found = in_predicted & in_true
        counts += np.stack([edges.sum(axis=0) for edges in (found, in_true, in_predicted)])
    return counts.ravel()


def _window_offsets(radius: int) -> list[tuple[int, int]]:
    """Rows and columns from the middle of a round window to its other pixels."""
    reach = range(-radius, radius + 1)
    return [(dy, dx) for dy in reach for dx in reach if 0 < dy * dy + dx * dx <= radius * radius]


def window_f1(sums: Sums, _count: int) -> float:
    """F1 of edges in windows, averaged over the steps by weight; larger steps weigh more."""
    found, true, predicted = sums.reshape(3, STEPS.size)
    recall = found / np.maximum(true, _MIN_EDGES)
    precision = found / np.maximum(predicted, _MIN_EDGES)
    f1 = 2 * recall * precision / np.maximum(recall + precision, _MIN_EDGES)
    return float(STEPS @ f1 / STEPS.sum())
