"""Definition of a metric: sums over the pixels of an image, and a number computed from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Shaped, Values
from rilievo.errors import InputError, OptionError

Scenes = Sequence[str | None]
"""Scene of each image; None where it is not known."""
AnyValues = Float[np.ndarray, "n"]
Plane = Float64[np.ndarray, "h w"]
PointColumns = Float64[np.ndarray, "3 n"]
PointPlane = Float64[np.ndarray, "3 h w"]
Cloud = Float[np.ndarray, "n 3"]
OtherCloud = Float[np.ndarray, "m 3"]
Curves = Float64[np.ndarray, "2 steps"]
"""Curves by confidence, then by error."""
RangeSums = Float64[np.ndarray, "3 bins"]
"""Pixels, |relative error| and signed relative error, by range of depth."""
Numbers = Shaped[np.ndarray, "..."]
Sums = Float64[np.ndarray, "k"]
"""Sums over the pixels of one image; those of several images are added."""


@runtime_checkable
class Counted(Protocol):
    """Prediction and ground truth of one image."""

    @property
    def count(self) -> int:
        """Number of pixels, or of other items, that are compared; never 0."""
        ...


Pair = TypeVar("Pair", bound=Counted)


class Better(StrEnum):
    """Direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"
    ZERO = "zero"


def badness(values: Any, better: Better) -> Any:
    """Convert values of a metric to numbers that are smaller for better values."""
    if better is Better.ZERO:
        return abs(values)
    if better is Better.HIGHER:
        return -values
    return values


def mean(sums: Sums, count: int) -> float:
    """First sum over the number of pixels."""
    return float(sums[0] / count)


def root_mean(sums: Sums, count: int) -> float:
    """Root of the first sum over the number of pixels."""
    return float(np.sqrt(sums[0] / count))


def first_sum(sums: Sums, count: int) -> float:
    """First sum itself, for a metric of an image as a whole."""
    return float(sums[0])


@dataclass(frozen=True, slots=True)
class Metric(Generic[Pair]):
    """One number for the agreement of a prediction with the ground truth.

    Attributes:
        name: Name in options and files.
        label: Name in tables.
        unit: "m", "°", "%", "1/m", "dB" or "".
        summary: Formula and source in one line.
        sums: Function that returns sums over the pixels of an image.
        finish: Function that computes the metric from the sums and the number of pixels.
        pools: Whether sums of several images may be added before ``finish``.
        needs_confidence: Whether the prediction must have a confidence.
        needs_probability: Whether the confidence must be a probability, not only a ranking.
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
    needs_probability: bool = False


AnyMetric = Metric[Any]


def metrics_by_name(*metrics: AnyMetric) -> Mapping[str, AnyMetric]:
    """Mapping from the names of metrics to the metrics."""
    return {metric.name: metric for metric in metrics}


def value(metric: Metric[Pair], pair: Pair) -> float:
    """Value of a metric for one image."""
    return metric.finish(metric.sums(pair), pair.count)


def measure(metrics: Mapping[str, Metric[Pair]], pair: Pair) -> dict[str, float]:
    """Values of every metric for one image."""
    return {name: value(metric, pair) for name, metric in metrics.items()}


def pooled(metric: AnyMetric, sums: Sums, count: int) -> float:
    """Value of a metric over the pixels of several images."""
    if not metric.pools:
        raise OptionError(f"'{metric.name}' cannot be pooled: average it over images")
    return metric.finish(sums, count)


def column_lengths(vectors: PointColumns) -> Values:
    """Length of each column."""
    return np.sqrt(np.square(vectors).sum(axis=0))


def count_unusable(values: Values) -> int:
    """Count values that are not positive and finite."""
    # The minimum and the maximum are NaN if any value is, and NaN fails both comparisons.
    if values.min() > 0 and values.max() < np.inf:
        return 0
    is_usable = (values > 0) & (values < np.inf)
    return int((~is_usable).sum())


def squared_normal_lengths(name: str, normals: PointColumns) -> Values:
    """Squared length of each normal; ``name`` is "predicted" or "true", for the message."""
    squared_lengths = np.einsum("cn,cn->n", normals, normals)
    unusable = count_unusable(squared_lengths)
    if unusable:
        raise InputError(
            f"{name} normals have zero, NaN or infinite length at {unusable} of "
            f"{squared_lengths.size} valid pixels: remove these pixels from the mask"
        )
    return squared_lengths
