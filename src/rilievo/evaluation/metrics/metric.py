"""Definition of a metric."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Shaped, Values
from rilievo.errors import InputError, OptionError

Scenes = Sequence[str | None]
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


@runtime_checkable
class Counted(Protocol):
    """Prediction and ground truth."""

    @property
    def count(self) -> int:
        """Number of pixels to compare; never 0."""
        ...


Pair = TypeVar("Pair", bound=Counted)


class Better(StrEnum):
    """Direction in which a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"
    ZERO = "zero"


def badness(values: Any, better: Better) -> Any:
    """Numbers that are smaller where the metric is better."""
    if better is Better.ZERO:
        return abs(values)
    return -values if better is Better.HIGHER else values


def mean(sums: Sums, count: int) -> float:
    """First sum over the number of pixels."""
    return float(sums[0] / count)


def root_mean(sums: Sums, count: int) -> float:
    """Root of the first sum over the number of pixels."""
    return float(np.sqrt(sums[0] / count))


def whole(sums: Sums, count: int) -> float:
    """First sum itself, of an image as a whole."""
    return float(sums[0])


@dataclass(frozen=True, slots=True)
class Metric(Generic[Pair]):
    """One number for the agreement of a prediction with the ground truth.

    Attributes:
        unit: "m", "°", "%", "1/m", "dB" or "".
        summary: Formula and source in one line.
        finish: Computes the metric from sums over a number of pixels.
        needs_probability: Whether the confidence must be more than an order.
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
    """Metrics by name."""
    return {metric.name: metric for metric in metrics}


def value(metric: Metric[Pair], pair: Pair) -> float:
    """Value of a metric for one image."""
    return metric.finish(metric.sums(pair), pair.count)


def measure(metrics: Mapping[str, Metric[Pair]], pair: Pair) -> dict[str, float]:
    """Values of every metric for one image.

    Raises:
        InputError: If the pair lacks a camera or a confidence.
    """
    return {name: value(metric, pair) for name, metric in metrics.items()}


def pooled(metric: AnyMetric, sums: Sums, count: int) -> float:
    """Value of a metric over the pixels of several images.

    Raises:
        OptionError: If it has no pooled form.
    """
    if not metric.pools:
        raise OptionError(f"'{metric.name}' has no pooled form: average it over images")
    return metric.finish(sums, count)


def column_lengths(vectors: PointColumns) -> Values:
    """Lengths of columns."""
    return np.sqrt(np.square(vectors).sum(axis=0))


def count_improper(values: Values) -> int:
    """Count numbers that are not positive and finite."""
    # One comparison each: NaN fails both.
    if values.min() > 0 and values.max() < np.inf:
        return 0
    return int((~((values > 0) & (values < np.inf))).sum())


def squared_normal_lengths(name: str, normals: PointColumns) -> Values:
    """Squared lengths of normals, checked to have a direction."""
    squares = np.einsum("cn,cn->n", normals, normals)
    if bad := count_improper(squares):
        raise InputError(
            f"{name} normals have length zero, NaN or infinity at {bad} of {squares.size} valid "
            "pixels: take them out of the mask"
        )
    return squares
