"""Accuracy of a prediction at the occluding edges of a scene.

``boundary_f1`` is the metric of Depth Pro (Bochkovskii et al. 2024): an edge is a pair of
neighbouring pixels whose depths have a ratio above a factor. ``window_f1`` is that of MoGe, which
compares each pixel with all others in a round window.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from rilievo.arrays.shapes import Float64, Int, Mask
from rilievo.errors.messages import count_text
from rilievo.evaluation.metrics.metric import Better, Metric, Plane, Sums, metrics_by_name
from rilievo.evaluation.metrics.pairs import DepthPair, Indices

RATIO_THRESHOLDS = np.linspace(1.05, 1.25, 10)
"""Ratios of neighbouring depths above which a pair of pixels is an edge, as in Depth Pro."""
_RATIO_WEIGHTS = RATIO_THRESHOLDS / RATIO_THRESHOLDS.sum()
STEP_THRESHOLDS: Float64[np.ndarray, "t"] = np.linspace(0.05, 0.25, 10)
"""Relative differences of depth above which a pair of pixels is an edge, as in MoGe."""
_MIN_DIVISOR = 1e-12
"""Lower limit of a number of edges, or of a sum of rates, before a division by it."""


def boundary_counts(pair: DepthPair) -> Sums:
    """Numbers of matched, true and predicted edges, by direction and threshold.

    Directions are: depth grows to the right, to the left, downwards and upwards.
    """
    counts = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first, second in _neighbour_slices():
            # The published computation has no mask; it is the same if all pixels are valid.
            both_valid = pair.valid[first] & pair.valid[second]
            # Horizontal neighbours give edges to the right and left, vertical ones down and up.
            counts += _edge_counts(
                pair.predicted[first].astype(np.float64),
                pair.predicted[second].astype(np.float64),
                pair.true[first].astype(np.float64),
                pair.true[second].astype(np.float64),
                both_valid,
            )
    # The axes are direction (4), kind of edge (3) and threshold.
    return np.stack(counts).astype(np.float64).ravel()


def boundary_f1(sums: Sums, _count: int) -> float:
    """F1 of edges, averaged over the thresholds, where larger ones weigh more."""
    # The sums have the axes direction, (found, true, predicted) and threshold.
    found, true, predicted = np.moveaxis(sums.reshape(4, 3, RATIO_THRESHOLDS.size), 1, 0)
    # A direction without edges counts as missed, as published.
    recall = np.mean(found / np.maximum(true, 1), axis=0)
    precision = np.mean(found / np.maximum(predicted, 1), axis=0)
    total = recall + precision
    # Where both are 0, F1 is 0; the divisor 1 only avoids a division by zero.
    f1 = 2 * recall * precision / np.where(total > 0, total, 1.0)
    return float(_RATIO_WEIGHTS @ f1)


BOUNDARY_F1: Metric[DepthPair] = Metric(
    "boundary_f1",
    "boundary F1",
    "",
    Better.HIGHER,
    "scale-invariant F1 of occluding edges (Bochkovskii et al. 2024, Depth Pro)",
    boundary_counts,
    boundary_f1,
)


def _neighbour_slices() -> tuple[tuple[tuple[slice, slice], tuple[slice, slice]], ...]:
    """Index pairs of neighbouring pixels: (left, right), then (upper, lower)."""
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
) -> list[Int[np.ndarray, "3 t"]]:
    """Count edges whose second pixel is farther, then those whose first pixel is farther.

    Each array has the edges found, true and predicted, by threshold.
    """
    predicted_ratio = _depth_ratio(predicted_first, predicted_second)
    true_ratio = _depth_ratio(true_first, true_second)
    # Few pairs are edges, so only these are examined further.
    lowest = RATIO_THRESHOLDS[0]
    is_edge = ((predicted_ratio > lowest) | (true_ratio > lowest)) & both_valid

    # A level is the number of thresholds that the ratio exceeds.
    predicted_levels = np.searchsorted(RATIO_THRESHOLDS, predicted_ratio[is_edge])
    true_levels = np.searchsorted(RATIO_THRESHOLDS, true_ratio[is_edge])
    predicted_grows = (predicted_second > predicted_first)[is_edge]
    true_grows = (true_second > true_first)[is_edge]

    directions = (predicted_grows, true_grows), (~predicted_grows, ~true_grows)
    counts = []
    for in_predicted_direction, in_true_direction in directions:
        # Multiplication with the mask puts edges of the other direction on level 0, no edge.
        predicted = predicted_levels * in_predicted_direction
        true = true_levels * in_true_direction
        # An edge is found at the thresholds that both ratios exceed.
        found = np.minimum(predicted, true)
        counts.append(
            np.stack([_counts_at_each_threshold(levels) for levels in (found, true, predicted)])
        )
    return counts


def _depth_ratio(first: Plane, second: Plane) -> Plane:
    """Larger depth over the smaller one, pixel by pixel."""
    return np.maximum(first, second) / np.minimum(first, second)


def _counts_at_each_threshold(levels: Indices) -> Int[np.ndarray, "t"]:
    """Number of pairs that exceed each threshold, from the number of thresholds each exceeds."""
    histogram = np.bincount(levels, minlength=RATIO_THRESHOLDS.size + 1)
    counts_from_level = histogram[::-1].cumsum()[::-1]
    return counts_from_level[1:]


def window_edge_counts(pair: DepthPair, radius: int) -> Sums:
    """Number of edges found, true and predicted, by threshold, within windows of a radius [px].

    An edge is the middle of a window and another pixel of it that is farther by the threshold.
    """
    # Any positive number will do at invalid pixels, which are masked out below.
    predicted = np.where(pair.valid, pair.predicted, np.float32(1)).astype(np.float64)
    true = np.where(pair.valid, pair.true, np.float32(1)).astype(np.float64)

    counts = np.zeros((3, STEP_THRESHOLDS.size))
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
        lowest = 1 + STEP_THRESHOLDS[0]
        is_edge = (predicted_ratio > lowest) | (true_ratio > lowest)
        is_predicted = predicted_ratio[is_edge, None] > 1 + STEP_THRESHOLDS
        is_true = true_ratio[is_edge, None] > 1 + STEP_THRESHOLDS
        is_found = is_predicted & is_true
        counts += np.stack([edges.sum(axis=0) for edges in (is_found, is_true, is_predicted)])
    return counts.ravel()


def _window_offsets(radius: int) -> list[tuple[int, int]]:
    """Offsets (rows, columns) from the middle of a round window to its other pixels."""
    reach = range(-radius, radius + 1)
    return [(dy, dx) for dy in reach for dx in reach if 0 < dy * dy + dx * dx <= radius * radius]


def window_f1(sums: Sums, _count: int) -> float:
    """F1 of edges in windows, averaged over the thresholds, where larger ones weigh more."""
    found, true, predicted = sums.reshape(3, STEP_THRESHOLDS.size)
    recall = found / np.maximum(true, _MIN_DIVISOR)
    precision = found / np.maximum(predicted, _MIN_DIVISOR)
    f1 = 2 * recall * precision / np.maximum(recall + precision, _MIN_DIVISOR)
    return float(STEP_THRESHOLDS @ f1 / STEP_THRESHOLDS.sum())


WINDOW_METRICS: Mapping[str, Metric[DepthPair]] = metrics_by_name(
    *(
        Metric(
            f"edge_f1_r{radius}",
            f"edge F1 r={radius}",
            "",
            Better.HIGHER,
            "F1 of occluding edges in windows with a radius of "
            f"{count_text(radius, 'pixel')} (MoGe)",
            partial(window_edge_counts, radius=radius),
            window_f1,
        )
        for radius in (1, 2, 3)
    )
)
