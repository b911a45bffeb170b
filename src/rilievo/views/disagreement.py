"""Disagreement between models on one image, for any kinds of depth."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from rilievo.types import DepthKind, DepthMap

_SIDE = 96


def disagreement(depths: Sequence[DepthMap]) -> float | None:
    """1 - the least rank correlation between any two maps, on a grid of at most 96 x 96 pixels.

    Ranks compare the order of depth, which every kind determines: scale, shift and inversion change
    nothing. 0: the same order everywhere; 1: nothing in common; 2: near and far exchanged.

    Returns:
        The disagreement; None if there are fewer than two maps, or two share too few pixels or are
        flat.

    Source: Spearman, The proof and measurement of association between two things, 1904; ties get
    their mean rank.
    """
    pairs = itertools.combinations([_grid(each) for each in depths], 2)
    correlations = [found for one, other in pairs if (found := _spearman(one, other)) is not None]
    return 1 - min(correlations) if correlations else None


def _grid(depth: DepthMap) -> Float64[np.ndarray, "n"]:
    """Values that grow with distance, at the same places in maps of any size; NaN where invalid."""
    rows, columns = ((np.arange(_SIDE) + 0.5) / _SIDE * side for side in depth.shape)
    places = np.ix_(rows.astype(int), columns.astype(int))
    values = depth.values[places].astype(np.float64)
    if depth.kind is DepthKind.AFFINE_INVERSE:
        values = -values
    return np.where(depth.valid[places], values, np.nan).ravel()


def _spearman(one: Float[np.ndarray, "n"], other: Float[np.ndarray, "n"]) -> float | None:
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < 3:
        return None
    ranks = np.stack([_ranks(one[both]), _ranks(other[both])])
    ranks -= ranks.mean(axis=1, keepdims=True)
    sizes = np.sqrt(np.square(ranks).sum(axis=1))
    if not sizes.all():
        return None
    return float(ranks[0] @ ranks[1] / (sizes[0] * sizes[1]))


def _ranks(values: Float[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
    """Ranks from 0; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + last - 1) / 2)[place]
