"""95 % confidence intervals over images or scenes, and tests for differences beyond chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.errors import needing
from rilievo.evaluation.metrics.metric import Scenes

MIN_SCENES = 3
"""Fewest independent scenes, or images without a scene, for which an interval is claimed."""

_STUDENT_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
)
"""Two-sided 95 % quantiles of Student's t, from 1 degree of freedom on."""
_NORMAL_QUANTILE = 1.959964
"""Two-sided 95 % quantile of the normal distribution."""
_MAX_LOG_FACTOR = 100.0
"""Largest logarithm of the factor from an estimate to the end of its interval."""


class Interval(NamedTuple):
    """A 95 % confidence interval."""

    low: float
    high: float


class ValueRange(Enum):
    """Range of the values that a statistic can have, which its interval does not leave."""

    ANY = auto()
    """Any number, such as a difference or a bias."""
    POSITIVE = auto()
    """Positive numbers, such as errors."""
    SHARE = auto()
    """Numbers from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A number that follows from sums over images.

    Attributes:
        parts: Summands of each image, in a row for each.
        finish: Function that computes a number from each row of sums.
        value_range: Range of the values that it can have.
    """

    parts: Float64[np.ndarray, "n k"]
    finish: Callable[[Float64[np.ndarray, "m k"]], Float64[np.ndarray, "m"]]
    value_range: ValueRange = ValueRange.ANY


def mean_statistic(
    values: Values,
    value_range: ValueRange = ValueRange.ANY,
    weights: Values | None = None,
) -> Statistic:
    """Weighted mean of one value for each image; without weights, the plain mean."""
    weights = np.ones_like(values) if weights is None else weights
    return Statistic(
        parts=np.stack([values * weights, weights], axis=1),
        finish=lambda sums: sums[:, 0] / sums[:, 1],
        value_range=value_range,
    )


def jackknife_interval(statistic: Statistic, scenes: Scenes) -> Interval | None:
    """95 % interval by leaving out one scene at a time; None with fewer than three scenes."""
    scene_of_image = scene_numbers(scenes)
    count = scene_count(scenes)
    if count < MIN_SCENES:
        return None
    columns = [
        np.bincount(scene_of_image, weights=part, minlength=count) for part in statistic.parts.T
    ]
    scene_sums = np.stack(columns, axis=1)
    total = scene_sums.sum(axis=0)

    without_scene = statistic.finish(total - scene_sums)
    squared_deviations = np.square(without_scene - without_scene.mean())
    standard_error = float(np.sqrt((count - 1) / count * squared_deviations.sum()))
    estimate = float(statistic.finish(total[None])[0])
    half_width = _student_t(count - 1) * standard_error
    return _interval_in_range(estimate, half_width, statistic.value_range)


def scene_numbers(scenes: Scenes) -> np.ndarray:
    """Number of each image's scene, from 0; an image without a scene counts as its own."""
    numbers: dict[object, int] = {}
    keys = [(index,) if scene is None else scene for index, scene in enumerate(scenes)]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def scene_weights(scenes: Scenes) -> Values:
    """Weight of each image such that all scenes count the same."""
    scene_of_image = scene_numbers(scenes)
    return 1 / np.bincount(scene_of_image)[scene_of_image]


def scene_count(scenes: Scenes) -> int:
    """Number of different scenes; an image without one counts as its own."""
    return int(scene_numbers(scenes).max(initial=-1)) + 1


def _student_t(degrees: int) -> float:
    """Two-sided 95 % quantile of Student's t for so many degrees of freedom.

    Beyond the table, by the expansion of Hill 1970.
    """
    if degrees <= len(_STUDENT_T):
        return _STUDENT_T[degrees - 1]
    z, n = _NORMAL_QUANTILE, degrees
    first = z**3 + z
    second = 5 * z**5 + 16 * z**3 + 3 * z
    third = 3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z
    return z + first / (4 * n) + second / (96 * n**2) + third / (384 * n**3)


def _interval_in_range(estimate: float, half_width: float, value_range: ValueRange) -> Interval:
    """Interval around an estimate that stays in the range of possible values.

    It is symmetric in the logarithm of an error, or of what a share lacks to 1.
    """
    if value_range is ValueRange.SHARE:
        low, high = _interval_in_range(1 - estimate, half_width, ValueRange.POSITIVE)
        return Interval(max(0.0, 1 - high), 1 - low)
    if value_range is ValueRange.POSITIVE and estimate > 0:
        factor = np.exp(min(half_width / estimate, _MAX_LOG_FACTOR))
        return Interval(float(estimate / factor), float(estimate * factor))
    return Interval(estimate - half_width, estimate + half_width)


def mean_interval(
    values: Values,
    scenes: Scenes | None = None,
    value_range: ValueRange = ValueRange.ANY,
    *,
    by_scene: bool = False,
) -> Interval | None:
    """95 % interval of the mean of one value for each image.

    ``scenes`` tells which images depend on each other; without it, none do. With ``by_scene`` all
    scenes count the same. None with fewer than three images or scenes.
    """
    scene_names = [None] * values.size if scenes is None else scenes
    weights = scene_weights(scene_names) if by_scene else None
    return jackknife_interval(mean_statistic(values, value_range, weights), scene_names)


def scene_means(values: Values, scenes: Scenes) -> Float64[np.ndarray, "scenes"]:
    """Mean value of each scene; an image without a scene counts as its own."""
    scene_of_image = scene_numbers(scenes)
    return np.bincount(scene_of_image, weights=values) / np.bincount(scene_of_image)


def wilcoxon_p(differences: Values) -> float:
    """Two-sided p-value that paired differences are symmetric around zero (Wilcoxon 1945).

    Differences of zero are left out; if none remains, it is 1.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    with needing("a comparison", "evaluate"):
        from scipy.stats import wilcoxon
    nonzero = differences[differences != 0]
    if not nonzero.size:
        return 1.0
    return float(np.asarray(wilcoxon(nonzero))[1])


def holm_correction(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p-values for the number of tests, in their order (Holm 1979)."""
    corrected = [1.0] * len(p_values)
    ascending = sorted(range(len(p_values)), key=p_values.__getitem__)
    previous = 0.0
    for rank, index in enumerate(ascending):
        tests_left = len(p_values) - rank
        # A corrected p-value is never smaller than that of a surer test.
        previous = max(previous, min(1.0, tests_left * p_values[index]))
        corrected[index] = previous
    return tuple(corrected)
