"""Order of depth at pairs of points, as in DA-2K (Yang et al. 2024, Depth Anything V2)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.errors import InputError, NoGroundTruthError
from rilievo.evaluation.metrics.metric import Better, Metric, Sums, metrics_by_name


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPair:
    """Predicted depth at the nearer and the farther point of each pair, in any unit.

    Raises:
        InputError: If the numbers of points differ, or a depth is not finite.
        NoGroundTruthError: If there is no pair.
    """

    nearer: Values
    farther: Values

    def __post_init__(self) -> None:
        if self.nearer.shape != self.farther.shape:
            raise InputError(
                "nearer and farther points must form pairs, but the numbers of points are "
                f"{self.nearer.size} and {self.farther.size}"
            )
        if not self.nearer.size:
            raise NoGroundTruthError(
                "this image has no pairs of points, so it cannot be scored for depth order"
            )
        if not (np.isfinite(self.nearer).all() and np.isfinite(self.farther).all()):
            raise InputError(
                "the prediction has no finite value at one of the points, so this point cannot be "
                "compared with the other point of its pair"
            )

    @property
    def count(self) -> int:
        """Number of pairs of points."""
        return self.nearer.size


def count_in_order(pair: OrderPair) -> Sums:
    """Count pairs whose nearer point is predicted nearer; a tie is wrong."""
    return np.array([float(np.count_nonzero(pair.nearer < pair.farther))])


_IN_ORDER = "fraction of pairs of points whose nearer point is predicted strictly nearer (DA-2K)"
ORDER_METRICS: Mapping[str, Metric[OrderPair]] = metrics_by_name(
    Metric("in_order", "in order", "", Better.HIGHER, _IN_ORDER, count_in_order)
)
