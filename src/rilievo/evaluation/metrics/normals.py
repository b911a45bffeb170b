"""Angles between predicted and true normals [°]."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from rilievo.alignment.fit import dot
from rilievo.arrays.shapes import Shaped
from rilievo.errors import NoGroundTruthError
from rilievo.evaluation.metrics.metric import (
    AnyValues,
    Better,
    Metric,
    Sums,
    metrics_by_name,
    root_mean,
)
from rilievo.evaluation.metrics.pairs import Indices, NormalsPair

# Angles are rounded to multiples of 180 / 2³¹ degrees: integers of 31 bits, used in two parts.
_STEP = 180 / (1 << 31)
_LOW_BITS = 17
_COARSE = (1 << (31 - _LOW_BITS)) + 1
_FINE = 1 << _LOW_BITS


def angle_sum(pair: NormalsPair) -> Sums:
    """Sum of angles [°]."""
    return np.array([pair.angles.sum()])


def squared_angle_sum(pair: NormalsPair) -> Sums:
    """Sum of squared angles [°²]."""
    return np.array([dot(pair.angles, pair.angles)])


def median_sums(pair: NormalsPair) -> Sums:
    """Median of the image [°], 1, and a histogram of its angles."""
    histogram = np.bincount(_bin_indices(pair.angles) >> _LOW_BITS, minlength=_COARSE)
    return np.concatenate([[np.median(pair.angles), 1.0], histogram.astype(np.float64)])


def median(sums: Sums, count: int) -> float:
    """Median [°]: exact for one image, within 0.006° for several."""
    if sums[1] == 1:
        return float(sums[0])
    centres = [
        ((_bin_of_rank(sums[2:], rank)[0] + 0.5) * _FINE) * _STEP for rank in _median_ranks(count)
    ]
    return float(np.mean(centres))


def pooled_median(angles: Callable[[], Iterable[AnyValues]]) -> float:
    """Median [°] of the angles of many images, within 1e-7°, by reading them twice.

    Raises:
        NoGroundTruthError: If there are no angles.
    """
    # Bins of 0.011 degrees first, then of 1e-7 near the middle: a megabyte of memory.
    coarse = np.zeros(_COARSE, np.int64)
    for part in angles():
        coarse += np.bincount(_bin_indices(part) >> _LOW_BITS, minlength=_COARSE)
    count = int(coarse.sum())
    if not count:
        raise NoGroundTruthError("there is no angle to take the median of")
    places = [_bin_of_rank(coarse, rank) for rank in _median_ranks(count)]
    fine = {place: np.zeros(_FINE, np.int64) for place, _ in places}
    for part in angles():
        whole = _bin_indices(part)
        for place, histogram in fine.items():
            near = whole[whole >> _LOW_BITS == place] & (_FINE - 1)
            histogram += np.bincount(near, minlength=_FINE)
    middle = [place * _FINE + _bin_of_rank(fine[place], rank)[0] for place, rank in places]
    return float(np.mean(middle) * _STEP)


def _bin_indices(angles: AnyValues) -> Indices:
    """Bins 180/2³¹ degrees wide."""
    return np.rint(angles / _STEP).astype(np.int64)


def _median_ranks(count: int) -> tuple[int, int]:
    """Ranks of the lower and upper middle, from 0."""
    return (count - 1) // 2, count // 2


def _bin_of_rank(histogram: Shaped[np.ndarray, "bins"], rank: int) -> tuple[int, int]:
    """Bin that holds a rank, and the rank within it."""
    upto = histogram.cumsum()
    place = int(np.searchsorted(upto, rank, side="right"))
    return place, int(rank - (upto[place] - histogram[place]))


def _counter_below(bound: float) -> Callable[[NormalsPair], Sums]:
    """Number of pixels whose angle is below ``bound`` [degrees]."""
    return lambda pair: np.array([float(np.count_nonzero(pair.angles < bound))])


LOW = Better.LOWER
# A new metric is one function and one line below.
NORMAL_METRICS: Mapping[str, Metric[NormalsPair]] = metrics_by_name(
    Metric("mean", "mean", "°", LOW, "mean angle", angle_sum),
    Metric("median", "median", "°", LOW, "median angle", median_sums, median),
    Metric(
        "rmse", "RMSE", "°", LOW, "root of the mean squared angle", squared_angle_sum, root_mean
    ),
    *(
        Metric(
            f"within_{bound:g}".replace(".", "_"),
            f"< {bound:g}°",
            "",
            Better.HIGHER,
            f"share of pixels whose angle is under {bound:g}°, strictly",
            _counter_below(bound),
        )
        for bound in (5.0, 7.5, 11.25, 22.5, 30.0)
    ),
)
