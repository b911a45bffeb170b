"""Ordinal pairs: of two points of a photograph, which one is nearer."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rilievo.errors import InputError, NoGroundTruthError
from rilievo.metrics.metric import Better, Metric, Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPair:
    """Predicted depth of points that are known to be nearer, and of those that are farther.

    Attributes:
        nearer: Depth of any scale, at one point of each pair.
        farther: Depth at the other point of each pair.

    Raises:
        InputError: If their numbers differ, or one is not finite.
        NoGroundTruthError: If there is none.
    """

    nearer: Float64[np.ndarray, "n"]
    farther: Float64[np.ndarray, "n"]

    def __post_init__(self) -> None:
        if self.nearer.shape != self.farther.shape:
            raise InputError(f"{self.nearer.size} nearer points and {self.farther.size} farther")
        if not self.nearer.size:
            raise NoGroundTruthError("no pair of points: this image says nothing of order")
        if not (np.isfinite(self.nearer).all() and np.isfinite(self.farther).all()):
            raise InputError("the prediction is NaN or infinite at a point of a pair")

    @property
    def count(self) -> int:
        """Pairs of points."""
        return self.nearer.size


def in_order(pair: OrderPair) -> Sums:
    """Counts pairs whose nearer point is predicted nearer; a tie is wrong."""
    return np.array([float(np.count_nonzero(pair.nearer < pair.farther))])


_SUMMARY = "share of pairs whose nearer point is predicted nearer, strictly (DA-2K)"
ORDER_METRICS: Mapping[str, Metric[OrderPair]] = {
    "in_order": Metric("in_order", "in order", "", Better.HIGHER, _SUMMARY, in_order)
}
