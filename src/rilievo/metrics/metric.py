"""What a metric is: sums over the pixels of one image, and what is made of the sums.

Kept apart, so that one definition serves both averages of the literature: finished per image and
averaged over images, or summed over the pixels of all images and finished once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import numpy as np
from jaxtyping import Float64

Pair = TypeVar("Pair")

Sums = Float64[np.ndarray, "k"]


class Better(StrEnum):
    """Which way a metric improves."""

    LOWER = "lower"
    HIGHER = "higher"


def _divide_first(sums: Sums, count: int) -> float:
    return float(sums[0] / count)


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
    """

    name: str
    label: str
    unit: str
    better: Better
    summary: str
    sums: Callable[[Pair], Sums]
    finish: Callable[[Sums, int], float] = _divide_first
    pools: bool = True


AnyMetric = Metric[Any]
