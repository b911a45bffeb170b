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
_FINE_ANGLE = 180 / (1 << _ANGLE_BITS)
"""Unit in which angles are integers of 31 bits [°]; the high bits are a coarse bin."""
_LOW_BITS = 17
"""Bits of an angle within its coarse bin."""
_COARSE_BINS = (1 << (_ANGLE_BITS - _LOW_BITS)) + 1
"""Number of coarse bins of 0.011°; the last one has 180° alone."""
_FINE_BINS = 1 << _LOW_BITS
"""Number of fine angles in a coarse bin."""


def angle_sum(pair: NormalsPair) -> Sums:
    """Sum of angles [°]."""
    return np.array([pair.angles.sum()])


def squared_angle_sum(pair: NormalsPair) -> Sums:
    """Sum of squared angles [°²]."""
    return np.array([dot(pair.angles, pair.angles)])


def median_sums(pair: NormalsPair) -> Sums:
    """Median of the image [°], the number of images, which is 1, and a histogram of its angles."""
    coarse_bins = _fine_angles(pair.angles) >> _LOW_BITS
    histogram = np.bincount(coarse_bins, minlength=_COARSE_BINS)
    return np.concatenate([[np.median(pair.angles), 1.0], histogram.astype(np.float64)])


def median(sums: Sums, count: int) -> float:
    """Median [°]: exact for one image, within 0.006° for several."""
    median_sum, images, histogram = sums[0], sums[1], sums[2:]
    if images == 1:
        return float(median_sum)
    centres = []
    for rank in _median_ranks(count):
        coarse_bin, _ = _bin_of_rank(histogram, rank)
        centres.append(((coarse_bin + 0.5) * _FINE_BINS) * _FINE_ANGLE)
    return float(np.mean(centres))


def pooled_median(angles: Callable[[], Iterable[AnyValues]]) -> float:
    """Median [°] of the angles of many images, within 1e-7°, by reading them twice.

    The first reading finds the coarse bins of the two middle angles, the second one counts the fine
    angles in these, which takes a megabyte of memory for any number of images.

    Raises:
        NoGroundTruthError: If there are no angles.
    """
    coarse_histogram = np.zeros(_COARSE_BINS, np.int64)
    for image_angles in angles():
        coarse_bins = _fine_angles(image_angles) >> _LOW_BITS
        coarse_histogram += np.bincount(coarse_bins, minlength=_COARSE_BINS)
    count = int(coarse_histogram.sum())
    if not count:
        raise NoGroundTruthError("there is no angle to take the median of")

    middles = [_bin_of_rank(coarse_histogram, rank) for rank in _median_ranks(count)]
    fine_histograms = {coarse_bin: np.zeros(_FINE_BINS, np.int64) for coarse_bin, _ in middles}
    for image_angles in angles():
        fine_angles = _fine_angles(image_angles)
        for coarse_bin, histogram in fine_histograms.items():
            in_bin = fine_angles[fine_angles >> _LOW_BITS == coarse_bin]
            histogram += np.bincount(in_bin & (_FINE_BINS - 1), minlength=_FINE_BINS)

    middle_angles = []
    for coarse_bin, rank_in_bin in middles:
        fine_bin, _ = _bin_of_rank(fine_histograms[coarse_bin], rank_in_bin)
        middle_angles.append(coarse_bin * _FINE_BINS + fine_bin)
    return float(np.mean(middle_angles) * _FINE_ANGLE)


def _fine_angles(angles: AnyValues) -> Indices:
    """Angles as multiples of ``_FINE_ANGLE``."""
    return np.rint(angles / _FINE_ANGLE).astype(np.int64)


def _median_ranks(count: int) -> tuple[int, int]:
    """Ranks of the lower and upper middle, from 0."""
    return (count - 1) // 2, count // 2


def _bin_of_rank(histogram: Shaped[np.ndarray, "bins"], rank: int) -> tuple[int, int]:
    """Bin that has a rank, and the rank within it."""
    cumulated = histogram.cumsum()
    index = int(np.searchsorted(cumulated, rank, side="right"))
    before_bin = cumulated[index] - histogram[index]
    return index, int(rank - before_bin)


def _count_below_angle(bound: float) -> Callable[[NormalsPair], Sums]:
    """Function that counts pixels whose angle is below a bound [°], strictly."""
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
            _count_below_angle(bound),
        )
        for bound in (5.0, 7.5, 11.25, 22.5, 30.0)
    ),
)
