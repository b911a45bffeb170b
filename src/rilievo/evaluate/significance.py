"""Whether two models differ by more than chance, over the images that both were scored on."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from rilievo.errors import MissingExtraError

LEVEL = 0.05
"""A p-value below it is called significant."""

_RESAMPLES = 10_000
# Indices that are drawn at a time: 2 MB, whatever the number of images.
_DRAWN = 1 << 18


def mean_interval(values: Float64[np.ndarray, "n"], *, seed: int = 0) -> tuple[float, float] | None:
    """95 % confidence interval of the mean, by bootstrap over images (percentiles).

    Of paired differences it is the paired bootstrap: both models see the same draw of images.

    Args:
        values: One an image.
        seed: Of the draws: the same values give the same interval.

    Returns:
        Low and high; None of fewer than two images.
    """
    if values.size < 2:
        return None
    rng = np.random.default_rng(seed)
    means = np.empty(_RESAMPLES)
    rows = max(1, _DRAWN // values.size)
    for start in range(0, _RESAMPLES, rows):
        part = means[start : start + rows]
        drawn = rng.integers(0, values.size, (part.size, values.size))
        part[:] = values[drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


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
