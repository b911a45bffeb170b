"""95 % intervals over images or scenes, and differences beyond chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.errors import needing
from rilievo.evaluation.metrics.metric import Scenes

FEWEST = 3

# Two-sided 95 % quantiles of Student's t, from 1 degree of freedom.
_STUDENT_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
)
_NORMAL = 1.959964


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


class Reach(Enum):
    """Range of values that a statistic can have."""

    ANY = auto()
    """Differences and biases."""
    POSITIVE = auto()
    """Errors."""
    SHARE = auto()
    """Shares, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A number that follows from sums over images.

    Attributes:
        parts: Summands, a row an image.
        finish: Function from rows of sums to a number each.
    """

    parts: Float64[np.ndarray, "n k"]
    finish: Callable[[Float64[np.ndarray, "m k"]], Float64[np.ndarray, "m"]]
    reach: Reach = Reach.ANY


def mean_statistic(
    values: Values,
    reach: Reach = Reach.ANY,
    weights: Values | None = None,
) -> Statistic:
    """The mean of one value an image, with weights."""
    weights = np.ones_like(values) if weights is None else weights
    return Statistic(
        parts=np.stack([values * weights, weights], axis=1),
        finish=lambda sums: sums[:, 0] / sums[:, 1],
        reach=reach,
    )


def jackknife_interval(statistic: Statistic, scenes: Scenes) -> Interval | None:
    """95 % interval; None of fewer than three scenes."""
    groups = scene_numbers(scenes)
    count = scene_count(scenes)
    if count < FEWEST:
        return None
    columns = [np.bincount(groups, weights=part, minlength=count) for part in statistic.parts.T]
    sums = np.stack(columns, axis=1)
    total = sums.sum(axis=0)
    without = statistic.finish(total - sums)
    error = float(np.sqrt((count - 1) / count * np.square(without - without.mean()).sum()))
    middle = float(statistic.finish(total[None])[0])
    return _interval_in_reach(middle, _student_t(count - 1) * error, statistic.reach)


def scene_numbers(scenes: Scenes) -> np.ndarray:
    """A number for each scene, from 0; an image without a scene counts as its own."""
    numbers: dict[object, int] = {}
    keys = [(index,) if scene is None else scene for index, scene in enumerate(scenes)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def scene_weights(scenes: Scenes) -> Values:
    """Weights of images that make every scene count the same."""
    groups = scene_numbers(scenes)
    return 1 / np.bincount(groups)[groups]


def scene_count(scenes: Scenes) -> int:
    """Number of scenes; an image without one counts as its own."""
    return int(scene_numbers(scenes).max(initial=-1)) + 1


def _student_t(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t (beyond the table, Hill 1970)."""
    if freedom <= len(_STUDENT_T):
        return _STUDENT_T[freedom - 1]
    z, n = _NORMAL, freedom
    first, second = z**3 + z, 5 * z**5 + 16 * z**3 + 3 * z
    third = 3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z
    return z + first / (4 * n) + second / (96 * n**2) + third / (384 * n**3)


def _interval_in_reach(middle: float, half: float, reach: Reach) -> Interval:
    """Interval, symmetric in the logarithm for errors and shares."""
    if reach is Reach.SHARE:
        low, high = _interval_in_reach(1 - middle, half, Reach.POSITIVE)
        return Interval(max(0.0, 1 - high), 1 - low)
    if reach is Reach.POSITIVE and middle > 0:
        factor = np.exp(min(half / middle, 100.0))
        return Interval(float(middle / factor), float(middle * factor))
    return Interval(middle - half, middle + half)


def mean_interval(
    values: Values,
    scenes: Scenes | None = None,
    reach: Reach = Reach.ANY,
    *,
    by_scene: bool = False,
) -> Interval | None:
    """95 % interval of the mean; None of fewer than three images or scenes."""
    scene_names = [None] * values.size if scenes is None else scenes
    weights = scene_weights(scene_names) if by_scene else None
    return jackknife_interval(mean_statistic(values, reach, weights), scene_names)


def scene_means(values: Values, scenes: Scenes) -> Float64[np.ndarray, "scenes"]:
    """Mean of each scene; an image without one stands for itself."""
    groups = scene_numbers(scenes)
    return np.bincount(groups, weights=values) / np.bincount(groups)


def wilcoxon_p(differences: Values) -> float:
    """Two-sided p-value that paired differences are symmetric around zero (Wilcoxon 1945).

    Images without a difference are left out; where none is left, it is 1.
    """
    with needing("a comparison", "evaluate"):
        from scipy.stats import wilcoxon
    different = differences[differences != 0]
    if not different.size:
        return 1.0
    return float(np.asarray(wilcoxon(different))[1])


def holm_correction(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values corrected for being several (Holm 1979)."""
    corrected = [1.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return tuple(corrected)
