"""What a metric is: sums over the pixels of one image, and what is made of the sums.

Kept apart, so that one definition serves both averages of the literature: finished per image and
averaged over images, or summed over the pixels of all images and finished once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float64

from rilievo.errors import OptionError


@runtime_checkable
class Counted(Protocol):
    """A prediction and its truth, and how many pixels they are compared at."""

    @property
    def count(self) -> int:
        """Pixels that count; never 0."""
        ...


Pair = TypeVar("Pair", bound=Counted)

Sums = Float64[np.ndarray, "k"]


class Better(StrEnum):
    """Which way a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"
    ZERO = "zero"
    """Nearer to zero, from either side."""


def mean(sums: Sums, count: int) -> float:
    """The first sum over the number of pixels: how most metrics finish."""
    return float(sums[0] / count)


def root_mean(sums: Sums, count: int) -> float:
    """Root of the first sum over the number of pixels."""
    return float(np.sqrt(sums[0] / count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric(Generic[Pair]):
    """One number that says how well a prediction agrees with the truth.

    Attributes:
        name: In its table, and in files.
        label: In tables and plots, with its factor where the literature has several.
        unit: "m", "°", "%", "1/m", "dB" or "" for none.
        better: Which way it improves.
        summary: Formula and source, one line.
        sums: Of one image's pair; float64.
        finish: The number, of sums over ``count`` pixels.
        pools: Whether sums of several images may be added up. What looks at a picture as a whole,
            such as SSIM, has no pooled form.
        needs_confidence: Whether it judges the confidence of a prediction.
    """

    name: str
    label: str
    unit: str
    better: Better
    summary: str
    sums: Callable[[Pair], Sums]
    finish: Callable[[Sums, int], float] = mean
    pools: bool = True
    needs_confidence: bool = False


AnyMetric = Metric[Any]


def sums_of(metrics: Mapping[str, Metric[Pair]], pair: Pair) -> dict[str, Sums]:
    """Sums of every metric over one image; those of several images may be added where it pools."""
    return {name: metric.sums(pair) for name, metric in metrics.items()}


def value(metric: Metric[Pair], pair: Pair) -> float:
    """The metric of one image."""
    return metric.finish(metric.sums(pair), pair.count)


def measure(metrics: Mapping[str, Metric[Pair]], pair: Pair) -> dict[str, float]:
    """Every metric of one image; what they have in common is computed once."""
    return {name: value(metric, pair) for name, metric in metrics.items()}


def pooled(metric: AnyMetric, sums: Sums, count: int) -> float:
    """The metric over the pixels of several images.

    Args:
        metric: One that pools.
        sums: Of all images, added up.
        count: Pixels of all images.

    Raises:
        OptionError: If the metric looks at each picture as a whole and has no pooled form.
    """
    if not metric.pools:
        raise OptionError(f"'{metric.name}' has no pooled form: average it over images")
    return metric.finish(sums, count)
