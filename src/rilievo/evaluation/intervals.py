"""95% confidence intervals over images or scenes, and tests for differences beyond chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float64, Values
from rilievo.errors import explain_missing_extra
from rilievo.evaluation.metrics.metric import Scenes

MIN_SCENES = 3
"""Fewest independent scenes, or images without a scene, for which an interval is claimed."""

_STUDENT_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
)
"""Two-sided 95% quantiles of Student's t, from 1 degree of freedom on."""
_NORMAL_QUANTILE = 1.959964
"""Two-sided 95% quantile of the normal distribution."""
_MAX_LOG_FACTOR = 100.0
"""Largest logarithm of the factor from an estimate to the end of its interval, against overflow."""


class Interval(NamedTuple):
    """A 95% confidence interval."""

    low: float
    high: float


class ValueRange(Enum):
    """Range of the values that a statistic can have, which its interval does not leave."""

    ANY = auto()
    """Any number, such as a difference or a bias."""
    POSITIVE = auto()
    """Positive numbers, such as errors."""
    FRACTION = auto()
    """Numbers from 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """A number that follows from sums over images.

    Attributes:
        summands: Summands of the images, a row for each image and a column for each sum.
        finish: Function that computes the number from each row of sums.
    """

    summands: Float64[np.ndarray, "n k"]
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
        summands=np.stack([values * weights, weights], axis=1),
        finish=lambda sums: sums[:, 0] / sums[:, 1],
        value_range=value_range,
    )


def jackknife_interval(statistic: Statistic, scenes: Scenes) -> Interval | None:
    """95% interval by leaving out one scene at a time (Tukey 1958).

    Return None with fewer than three scenes.
    """
    scene_index = scene_indices(scenes)
    num_scenes = scene_count(scenes)
    if num_scenes < MIN_SCENES:
        return None
    scene_sums = np.stack(
        [np.bincount(scene_index, column, num_scenes) for column in statistic.summands.T], axis=1
    )
    total = scene_sums.sum(axis=0)

    # Row i is the statistic of all scenes but scene i.
    leave_one_out = statistic.finish(total - scene_sums)
    squared_deviations = np.square(leave_one_out - leave_one_out.mean())
    standard_error = float(np.sqrt((num_scenes - 1) / num_scenes * squared_deviations.sum()))
    estimate = float(statistic.finish(total[None])[0])
    half_width = _student_t(num_scenes - 1) * standard_error
    return _interval_in_range(estimate, half_width, statistic.value_range)


def scene_indices(scenes: Scenes) -> np.ndarray:
    """Index of each image's scene, from 0; an image without a scene counts as a scene of its own.

    Indices are in the order in which the scenes first appear.
    """
    # A tuple cannot be the name of a scene.
    keys = [(index,) if scene is None else scene for index, scene in enumerate(scenes)]
    index_by_key = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([index_by_key[key] for key in keys], np.intp)


def scene_weights(scenes: Scenes) -> Values:
    """Weight of each image such that all scenes count the same."""
    scene_index = scene_indices(scenes)
    return 1 / np.bincount(scene_index)[scene_index]


def scene_count(scenes: Scenes) -> int:
    """Number of different scenes; an image without a scene counts as a scene of its own."""
    return int(scene_indices(scenes).max(initial=-1)) + 1


def _student_t(degrees_of_freedom: int) -> float:
    """Two-sided 95% quantile of Student's t.

    Beyond the table it is z + g1 / n + g2 / n² + g3 / n³, where g1 to g3 are polynomials in the
    normal quantile z (Hill 1970).
    """
    if degrees_of_freedom <= len(_STUDENT_T):
        return _STUDENT_T[degrees_of_freedom - 1]
    z, n = _NORMAL_QUANTILE, degrees_of_freedom
    g1_times_4 = z**3 + z
    g2_times_96 = 5 * z**5 + 16 * z**3 + 3 * z
    g3_times_384 = 3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z
    return z + g1_times_4 / (4 * n) + g2_times_96 / (96 * n**2) + g3_times_384 / (384 * n**3)


def _interval_in_range(estimate: float, half_width: float, value_range: ValueRange) -> Interval:
    """Interval around an estimate that stays in the range of possible values.

    For a positive number it is symmetric in the logarithm, so that it stays above 0, and for a
    fraction in the logarithm of 1 - fraction, so that it stays below 1.
    """
    if value_range is ValueRange.FRACTION:
        low, high = _interval_in_range(1 - estimate, half_width, ValueRange.POSITIVE)
        return Interval(max(0.0, 1 - high), 1 - low)
    if value_range is ValueRange.POSITIVE and estimate > 0:
        # By the delta method, the half-width of ln(estimate) is half_width / estimate.
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
    """95% interval of the mean of one value for each image.

    Images of the same scene are not independent; without ``scenes``, all images are. With
    ``by_scene``, the mean is taken over scenes. Return None with fewer than three images or scenes.
    """
    scene_names = [None] * values.size if scenes is None else scenes
    weights = scene_weights(scene_names) if by_scene else None
    return jackknife_interval(mean_statistic(values, value_range, weights), scene_names)


def scene_means(values: Values, scenes: Scenes) -> Float64[np.ndarray, "scenes"]:
    """Mean value of each scene; an image without a scene counts as a scene of its own."""
    scene_index = scene_indices(scenes)
    return np.bincount(scene_index, weights=values) / np.bincount(scene_index)


def wilcoxon_p(differences: Values) -> float:
    """Two-sided p-value that paired differences are symmetric around zero (Wilcoxon 1945).

    Differences of zero are left out. If all are zero, the p-value is 1.
    """
    with explain_missing_extra("a comparison", "evaluate"):
        from scipy.stats import wilcoxon
    nonzero = differences[differences != 0]
    if not nonzero.size:
        return 1.0
    _, p_value = wilcoxon(nonzero)
    return float(p_value)


def holm_correction(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p-values for the number of tests (Holm 1979); they stay in their order."""
    corrected = [1.0] * len(p_values)
    smallest_first = sorted(range(len(p_values)), key=p_values.__getitem__)
    previous = 0.0
    for rank, index in enumerate(smallest_first):
        remaining_tests = len(p_values) - rank
        # A corrected p-value is never smaller than one whose raw p-value is smaller.
        previous = max(previous, min(1.0, remaining_tests * p_values[index]))
        corrected[index] = previous
    return tuple(corrected)
