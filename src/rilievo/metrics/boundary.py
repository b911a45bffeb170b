"""Accuracy of a prediction at the occluding edges of a scene, at any scale.

Two neighbours belong to different objects if their depths differ by more than a factor; the edge
points from the nearer to the farther one. Every factor of ``FACTORS`` gives a score, and the scores
are averaged with the factors as weights. From Bochkovskii et al. 2024, "Depth Pro: Sharp Monocular
Metric Depth in Less Than a Second", section 4.

A pixel has an edge to another one in its window where that lies deeper by more than a factor
``1 + t``. F1 is taken over such pairs for every ``t`` of ``STEPS`` and averaged with ``t`` as the
weight. Read in MoGe's ``moge/test/metrics.py`` (Wang et al. 2025).
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from rilievo.errors import InputError, NoGroundTruthError
from rilievo.metrics.metric import Better, Metric, Sums
from rilievo.metrics.pairs import DepthPair

FACTORS = np.linspace(1.05, 1.25, 10)
_WEIGHTS = FACTORS / FACTORS.sum()


def boundary_counts(pair: DepthPair) -> Sums:
    """Number of edges found, of true edges and of predicted edges, by direction and factor.

    Pairs with an invalid pixel are not edges. The published computation has no mask; where all
    pixels are valid, both agree.
    """
    counts = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first, second in _neighbours():
            usable = pair.valid[first] & pair.valid[second]
            counts += _count(
                pair.predicted[first].astype(np.float64),
                pair.predicted[second].astype(np.float64),
                pair.true[first].astype(np.float64),
                pair.true[second].astype(np.float64),
                usable,
            )
    return np.stack(counts).astype(np.float64).ravel()


def boundary_f1(sums: Sums, _count: int) -> float:
    """F1 of recall and precision, each the mean over four directions; averaged over the factors.

    A direction without edges counts as missed, as published: a scene without edges scores 0.
    """
    found, true, predicted = np.moveaxis(sums.reshape(4, 3, FACTORS.size), 1, 0)
    recall = np.mean(found / np.maximum(true, 1), axis=0)
    precision = np.mean(found / np.maximum(predicted, 1), axis=0)
    both = recall + precision
    f1 = 2 * recall * precision / np.where(both > 0, both, 1.0)
    return float(_WEIGHTS @ f1)


def boundary_recall(
    predicted: Float[np.ndarray, "h w"], foreground: Bool[np.ndarray, "h w"]
) -> float:
    """Share of a mask's outline at which the predicted depth increases, in [0, 1].

    For scenes whose ground truth is an alpha matte or a segmentation, not depth; it is therefore in
    no table. The prediction's edges are thinned first: of adjacent edges in line only the steepest
    is kept, so that blurred predictions gain nothing from thick edges.

    Args:
        predicted: Depth at any scale; positive and finite everywhere.
        foreground: Mask of the object in front; the paper takes alpha > 0.1.

    Raises:
        InputError: If sizes differ, or a depth is not positive and finite.
        NoGroundTruthError: If the mask has no outline.
    """
    if predicted.shape != foreground.shape or foreground.dtype != bool:
        raise InputError(
            f"the mask is {foreground.shape} {foreground.dtype}, expected {predicted.shape} bool"
        )
    if not (predicted.min() > 0 and predicted.max() < np.inf):
        raise InputError("depth is zero, negative, NaN or infinite: recall of edges needs it all")
    depth = predicted.astype(np.float64)
    recalls, outline = np.zeros(FACTORS.size), 0
    for turned, mask in ((depth, foreground), (depth.T, foreground.T)):
        left, right = turned[:, :-1], turned[:, 1:]
        for step, edge in (
            (right / left, mask[:, :-1] & ~mask[:, 1:]),
            (left / right, mask[:, 1:] & ~mask[:, :-1]),
        ):
            edges = int(np.count_nonzero(edge))
            outline += edges
            for index, factor in enumerate(FACTORS):
                found = edge.ravel()[_thin(step, factor)]
                recalls[index] += np.count_nonzero(found) / max(edges, 1) / 4
    if not outline:
        raise NoGroundTruthError("the mask is the same everywhere: it has no outline to find")
    return float(_WEIGHTS @ recalls)


def _neighbours() -> tuple[tuple[tuple[slice, slice], tuple[slice, slice]], ...]:
    """Slices for pixels and their right neighbours, and for pixels and their lower neighbours."""
    whole, head, tail = slice(None), slice(None, -1), slice(1, None)
    return ((whole, head), (whole, tail)), ((head, whole), (tail, whole))


def _count(
    p_first: Float64[np.ndarray, "h w"],
    p_second: Float64[np.ndarray, "h w"],
    t_first: Float64[np.ndarray, "h w"],
    t_second: Float64[np.ndarray, "h w"],
    usable: Bool[np.ndarray, "h w"],
) -> list[Int[np.ndarray, "3 f"]]:
    """Edges found, true and predicted, by factor: with the first pixel nearer, then the second."""
    p_step = np.maximum(p_first, p_second) / np.minimum(p_first, p_second)
    t_step = np.maximum(t_first, t_second) / np.minimum(t_first, t_second)
    # Few pairs are edges, so only these are examined further.
    edges = ((p_step > FACTORS[0]) | (t_step > FACTORS[0])) & usable
    p_level, t_level = (np.searchsorted(FACTORS, step[edges]) for step in (p_step, t_step))
    p_ahead, t_ahead = (p_second > p_first)[edges], (t_second > t_first)[edges]
    counts = []
    for p_side, t_side in ((p_ahead, t_ahead), (~p_ahead, ~t_ahead)):
        p, t = p_level * p_side, t_level * t_side
        counts.append(np.stack([_exceeding(level) for level in (np.minimum(p, t), t, p)]))
    return counts


def _exceeding(levels: Int[np.ndarray, "n"]) -> Int[np.ndarray, "f"]:
    """Number of steps that exceed each factor, given how many factors each step exceeds."""
    histogram = np.bincount(levels, minlength=FACTORS.size + 1)
    return histogram[::-1].cumsum()[::-1][1:]


def _thin(step: Float64[np.ndarray, "h w"], factor: float) -> Int[np.ndarray, "n"]:
    """Keep the steepest of each run of steps above the factor along a row, the first of ties."""
    places = np.flatnonzero(step > factor)
    if not places.size:
        return places
    apart = (np.diff(places) != 1) | (np.diff(places // step.shape[1]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(apart) + 1])
    run = np.repeat(np.arange(starts.size), np.diff([*starts, places.size]))
    values = step.ravel()[places]
    steepest = np.flatnonzero(values == np.maximum.reduceat(values, starts)[run])
    _, first = np.unique(run[steepest], return_index=True)
    return places[steepest[first]]


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
