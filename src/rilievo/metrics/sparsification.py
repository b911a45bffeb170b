"""Error of the pixels that remain when the least sure ones are taken out, share by share."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

STEPS = 50
"""Parts that are taken out one after the other: 2 % each (Poggi et al. 2020)."""

REMOVED: Float64[np.ndarray, "steps"] = np.arange(STEPS + 1) / STEPS
"""Shares of the pixels that were taken out, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparsified:
    """The curves of one error of one image, over ``REMOVED``; 0 where nothing is left.

    Attributes:
        by_confidence: The least sure pixels were taken out.
        by_error: The pixels with the largest error were: no order does better.
    """

    by_confidence: Float64[np.ndarray, "steps"]
    by_error: Float64[np.ndarray, "steps"]

    @property
    def ause(self) -> float:
        """Area between the two curves; 0 for a confidence that knows the order of the errors."""
        return _area(self.by_confidence) - _area(self.by_error)

    @property
    def aurg(self) -> float:
        """Area between random removal, which leaves the error as it is, and the confidence."""
        return float(self.by_confidence[0]) - _area(self.by_confidence)


def sparsify(
    confidence: Float64[np.ndarray, "n"],
    error: Float64[np.ndarray, "n"],
    *,
    indicator: Float64[np.ndarray, "n"] | None = None,
    root: bool = False,
) -> Sparsified:
    """Draw the curves of one error.

    Pixels of equal confidence leave together, at the first threshold above them.

    Args:
        confidence: Confidence of each pixel; its order alone counts.
        error: Error of each pixel; the oracle's order.
        indicator: Values that are averaged, where that is not ``error`` itself.
        root: Whether the curves are of the root of the mean.
    """
    averaged = error if indicator is None else indicator
    curves = []
    for order in (confidence, -error):
        means = _means_kept(order, averaged)
        curves.append(np.sqrt(means) if root else means)
    return Sparsified(by_confidence=curves[0], by_error=curves[1])


def _means_kept(
    order: Float64[np.ndarray, "n"], values: Float64[np.ndarray, "n"]
) -> Float64[np.ndarray, "steps"]:
    """Mean of the values that remain, those of the lowest order taken out first."""
    places = np.argsort(order, kind="stable")
    ranked = order[places]
    thresholds = np.percentile(ranked, 100 * REMOVED[:-1])
    starts = np.searchsorted(ranked, thresholds, side="left")
    sums = np.cumsum(values[places][::-1])[::-1]
    return np.append(sums[starts] / (values.size - starts), 0.0)


def _area(curve: Float64[np.ndarray, "steps"]) -> float:
    return float(np.trapezoid(curve, REMOVED))
