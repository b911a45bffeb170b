"""Definition of a metric: sums over pixels, and a function of the sums, for both averages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from rilievo.errors import InputError, NoGroundTruthError, OptionError
from rilievo.evaluation.arrays import PointColumns
from rilievo.shapes import AnyPlane, Float, Float64, Mask, Values

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


def table_of(*metrics: AnyMetric) -> Mapping[str, AnyMetric]:
    """Metrics by their names."""
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


def check_maps(
    predicted: Float[np.ndarray, "..."],
    true: Float[np.ndarray, "..."],
    valid: Mask,
) -> None:
    """Refuse maps of unequal sizes, and an empty mask."""
    if predicted.shape != true.shape or true.shape[-2:] != valid.shape:
        raise InputError(
            f"prediction {predicted.shape}, truth {true.shape} and mask {valid.shape} differ"
        )
    if valid.dtype != bool:
        # Of whole numbers, numpy would make indices.
        raise InputError(f"the mask is {valid.dtype}, expected bool: convert it with mask > 0")
    if not valid.any():
        raise NoGroundTruthError("no valid pixel: this image has no ground truth that counts")


def confidence_at(confidence: AnyPlane | None, valid: Mask) -> Values:
    """Confidence at the valid pixels, checked to be in [0, 1]."""
    if confidence is None:
        raise InputError("the prediction has no confidence, which this benchmark judges")
    if confidence.shape != valid.shape:
        raise InputError(f"confidence {confidence.shape} and mask {valid.shape} differ")
    numbers = confidence[valid].astype(np.float64)
    if not (numbers.min() >= 0 and numbers.max() <= 1):
        bad = int((~((numbers >= 0) & (numbers <= 1))).sum())
        raise InputError(
            f"confidence is outside 0 to 1, or NaN, at {bad} of {numbers.size} valid pixels"
        )
    return numbers


def lengths(vectors: PointColumns) -> Values:
    """Lengths of vectors."""
    return np.sqrt(np.square(vectors).sum(axis=0))


def count_improper(values: Values) -> int:
    """Count numbers that are not positive and finite."""
    # One comparison each: NaN fails both.
    if values.min() > 0 and values.max() < np.inf:
        return 0
    return int((~((values > 0) & (values < np.inf))).sum())


def squared_lengths(name: str, normals: PointColumns) -> Values:
    """Squared lengths of normals, checked to have a direction."""
    squares = np.einsum("cn,cn->n", normals, normals)
    if bad := count_improper(squares):
        raise InputError(
            f"{name} normals have length zero, NaN or infinity at {bad} of {squares.size} valid "
            "pixels: take them out of the mask"
        )
    return squares
