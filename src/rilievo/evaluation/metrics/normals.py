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

_ANGLE_BITS = 31
_ANGLE_STEP = 180 / (1 << _ANGLE_BITS)
"""Unit in which angles are integers of 31 bits [°]; the high bits are a coarse bin."""
_LOW_BITS = 17
"""Bits of an angle within its coarse bin."""
_COARSE_BINS = (1 << (_ANGLE_BITS - _LOW_BITS)) + 1
"""Number of coarse bins of 0.011°; the last bin has only 180°."""
_FINE_BINS = 1 << _LOW_BITS
"""Number of angle steps in a coarse bin."""


LOW = Better.LOWER


def angle_sum(pair: NormalsPair) -> Sums:
    """Sum of angles [°]."""
    return np.array([pair.angles.sum()])


MEAN: Metric[NormalsPair] = Metric(
    "mean", "mean", "°", LOW, "mean angle between predicted and true normals", angle_sum
)


def squared_angle_sum(pair: NormalsPair) -> Sums:
    """Sum of squared angles [°²]."""
    return np.array([dot(pair.angles, pair.angles)])


RMSE: Metric[NormalsPair] = Metric(
    "rmse",
    "RMSE",
    "°",
    LOW,
    "root mean squared angle between predicted and true normals",
    squared_angle_sum,
    root_mean,
)


def median_sums(pair: NormalsPair) -> Sums:
    """Median of the image [°], the number of images, which is 1, and a histogram of its angles."""
    coarse_bins = _angle_steps(pair.angles) >> _LOW_BITS
    histogram = np.bincount(coarse_bins, minlength=_COARSE_BINS)
    return np.concatenate([[np.median(pair.angles), 1.0], histogram.astype(np.float64)])


def median(sums: Sums, count: int) -> float:
    """Median [°]: exact for one image, within 0.006° for several."""
    median_sum, image_count, histogram = sums[0], sums[1], sums[2:]
    if image_count == 1:
        return float(median_sum)
    middle_angles = []
    for rank in _median_ranks(count):
        coarse_bin, _ = _find_bin(histogram, rank)
        bin_centre = (coarse_bin + 0.5) * _FINE_BINS
        middle_angles.append(bin_centre * _ANGLE_STEP)
    return float(np.mean(middle_angles))


MEDIAN: Metric[NormalsPair] = Metric(
    "median",
    "median",
    "°",
    LOW,
    "median angle between predicted and true normals",
    median_sums,
    median,
)


def pooled_median(read_angles: Callable[[], Iterable[AnyValues]]) -> float:
    """Median [°] of the angles of many images, within 1e-7°, by reading them twice.

    ``read_angles`` returns an iterator over the images' angles. The first reading finds the coarse
    bins of the two middle angles. The second one counts the fine bins within those bins, which
    takes a megabyte of memory for any number of images.
    """
    coarse_histogram = np.zeros(_COARSE_BINS, np.int64)
    for image_angles in read_angles():
        coarse_bins = _angle_steps(image_angles) >> _LOW_BITS
        coarse_histogram += np.bincount(coarse_bins, minlength=_COARSE_BINS)
    count = int(coarse_histogram.sum())
    if not count:
        raise NoGroundTruthError(
            "no pixel has a ground-truth normal to score, so there is no median angle"
        )

    # An angle step is coarse_bin * _FINE_BINS + fine_bin.
    middle_bins = [_find_bin(coarse_histogram, rank) for rank in _median_ranks(count)]
    fine_histograms = {coarse_bin: np.zeros(_FINE_BINS, np.int64) for coarse_bin, _ in middle_bins}
    for image_angles in read_angles():
        steps = _angle_steps(image_angles)
        for coarse_bin, histogram in fine_histograms.items():
            steps_in_bin = steps[steps >> _LOW_BITS == coarse_bin]
            fine_bins = steps_in_bin & (_FINE_BINS - 1)  # the low bits
            histogram += np.bincount(fine_bins, minlength=_FINE_BINS)

    middle_steps = []
    for coarse_bin, rank_in_bin in middle_bins:
        fine_bin, _ = _find_bin(fine_histograms[coarse_bin], rank_in_bin)
        middle_steps.append(coarse_bin * _FINE_BINS + fine_bin)
    return float(np.mean(middle_steps) * _ANGLE_STEP)


def _angle_steps(angles: AnyValues) -> Indices:
    """Angles [°] as integers of 31 bits."""
    return np.rint(angles / _ANGLE_STEP).astype(np.int64)


def _median_ranks(count: int) -> tuple[int, int]:
    """Ranks of the lower and the upper middle of ``count`` sorted values, from 0."""
    return (count - 1) // 2, count // 2


def _find_bin(histogram: Shaped[np.ndarray, "bins"], rank: int) -> tuple[int, int]:
    """Bin that contains the value of a rank, and the value's rank within the bin."""
    cumulated = histogram.cumsum()
    bin_index = int(np.searchsorted(cumulated, rank, side="right"))
    count_before_bin = cumulated[bin_index] - histogram[bin_index]
    return bin_index, int(rank - count_before_bin)


def _count_below_angle(bound: float) -> Callable[[NormalsPair], Sums]:
    return lambda pair: np.array([float(np.count_nonzero(pair.angles < bound))])


WITHIN: tuple[Metric[NormalsPair], ...] = tuple(
    Metric(
        f"within_{bound:g}".replace(".", "_"),
        f"< {bound:g}°",
        "",
        Better.HIGHER,
        f"fraction of pixels whose predicted normal is off by strictly less than {bound:g}°",
        _count_below_angle(bound),
    )
    for bound in (5.0, 7.5, 11.25, 22.5, 30.0)
)


# A new metric is one function with its Metric, and one name below.
NORMAL_METRICS: Mapping[str, Metric[NormalsPair]] = metrics_by_name(MEAN, MEDIAN, RMSE, *WITHIN)
