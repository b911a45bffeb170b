"""Whether two models differ by more than chance, over the images that both were scored on."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from rilievo.errors import MissingExtraError
from rilievo.evaluate.intervals import Interval, Reach, grouped, interval_of, mean_of

LEVEL = 0.05
"""A p-value below it is called significant."""


def mean_interval(
    values: Float64[np.ndarray, "n"],
    scenes: Sequence[str | None] | None = None,
    reach: Reach = Reach.ANY,
) -> Interval | None:
    """95 % confidence interval of the mean, as ``rilievo.evaluate.intervals`` makes it.

    Args:
        values: One an image; paired differences give the paired interval.
        scenes: Scene of each image; None if no image has one.
        reach: Range of values that the statistic can have.

    Returns:
        None of fewer than three images or scenes.
    """
    known = [None] * values.size if scenes is None else scenes
    return interval_of(mean_of(values, reach), known)


def scene_means(
    values: Float64[np.ndarray, "n"], scenes: Sequence[str | None]
) -> Float64[np.ndarray, "scenes"]:
    """Mean of each scene's values; an image without a scene stands for itself."""
    groups = grouped(scenes)
    return np.bincount(groups, weights=values) / np.bincount(groups)


def wilcoxon_p(differences: Float64[np.ndarray, "n"]) -> float:
    """Two-sided p-value that paired differences are symmetric around zero (Wilcoxon 1945).

    Images without a difference are left out, as Wilcoxon did; where none is left, it is 1.

    Raises:
        MissingExtraError: If scipy is not installed.
    """
    try:
        from scipy.stats import wilcoxon
    except ImportError as error:
        raise MissingExtraError("a comparison", "evaluate") from error
    different = differences[differences != 0]
    if not different.size:
        return 1.0
    return float(np.asarray(wilcoxon(different))[1])


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values corrected for being several, in the given order (Holm 1979).

    The chance that any of them is below 0.05 while nothing differs is at most 5 %.
    """
    corrected = [1.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return tuple(corrected)
