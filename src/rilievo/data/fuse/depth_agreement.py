"""Correct the depth of many views so that neighbouring views agree."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Int64, Mask, Values
from rilievo.data.fuse.clip_scale import resize_map
from rilievo.data.fuse.clip_views import ClipView, depth_seen_by, neighbour_indices
from rilievo.data.fuse.plane_sweep import (
    GreyView,
    correlation_peaks,
    correlations,
    grey_view,
    import_opencv,
)

MAX_COMPARED_NEIGHBOURS = 8
"""Neighbours with whose depth a view is compared."""
MIN_AGREEING_NEIGHBOURS = 3
"""Neighbours that must agree on a pixel, if so many see it."""
TOLERANCE = 0.025
"""Relative difference up to which views agree."""
_MAX_SWEPT_NEIGHBOURS = 4
"""Neighbours with whose pictures a view is compared."""
_MAX_DISAGREEMENT_RATIO = 2.0
"""Disagreement after corrections over that before them, from which they are refused. Cameras that
are turned by one degree have 6."""

_COARSE_LOG_FACTORS = np.linspace(-0.45, 0.45, 41)
_FINE_LOG_FACTORS = np.linspace(-0.1, 0.1, 17)
"""Log factors of depth that are tried, at half the size and then at the full size."""
_COARSE_BLUR = 4.0
_FINE_BLUR = 2.5
"""Standard deviations by which correlations are blurred before peaks are sought [px]."""
_MIN_CLARITY = 0.15
"""Clarity of a peak of correlation from which a pixel takes part in the median factor."""
_MIN_CLEAR_FRACTION = 0.02
"""Fraction of clear pixels from which a view has a scale of its own."""
_PRIOR_WEIGHT = 1e-2
"""Weight of the median factor at each pixel, so that pixels without clear peaks have an answer."""

_AVERAGING_ROUNDS = 4
_AVERAGING_BLUR = 4.0
"""Standard deviation by which the mean differences are blurred [px]."""
_OWN_WEIGHT = 2.0
"""Weight of a view's own depth, relative to that of a neighbour."""
_UNCLEAR_WEIGHT = 0.03
"""Weight of pixels without a clear peak; those with a clear one have 1 more."""
_HALF_WEIGHT_DIFFERENCE = 0.125
"""Log difference at which the depth of a neighbour counts half."""

Report = Callable[[int, int], None]
"""Function called with the number of views that are done, and with that of all views."""


class DepthCorrection(StrEnum):
    """How the depth of views was corrected besides the one factor for all."""

    NONE = "none"
    SMOOTH = "a smooth factor"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedViews:
    """Views whose depth agrees, without the pixels on which too few views agree.

    Differences are medians of the relative difference between neighbours; NaN means that no two
    views are far enough apart to compare them.

    Attributes:
        views: The views, whose depth is in the unit of the poses.
        scale: Factor from the model's depth to the unit of the poses.
        scales: Median correction of each view, besides ``scale``.
        difference_before: Difference with one scale for all views.
        difference_after: Difference after correcting and averaging.
        difference_unaveraged: Smallest difference before views are averaged. It is large if poses,
            field of view or depth are wrong, which averaging would hide.
        correction: How views were corrected.
    """

    views: tuple[ClipView, ...]
    scale: float
    scales: Values
    difference_before: float
    difference_after: float
    difference_unaveraged: float
    correction: DepthCorrection


def make_depth_agree(
    views: Sequence[ClipView], scale: float, report: Report = lambda done, total: None
) -> AgreedViews:
    """Correct the depth of views so that neighbours agree.

    First each view gets the smooth factor of depth under which its picture matches those of its
    neighbours (by a plane sweep). Then views are averaged with their neighbours, and pixels on
    which too few agree become invalid.

    The views are in the order of time. ``scale`` takes their depth to the unit of the poses, as
    ``clip_scale`` finds it, and ``report`` is called after each view.
    """
    scaled = [replace(view, depth=view.depth * np.float32(scale)) for view in views]
    neighbours = [
        neighbour_indices(scaled, index)[:MAX_COMPARED_NEIGHBOURS] for index in range(len(scaled))
    ]
    corrections = _find_log_corrections(scaled, neighbours, report)
    corrected = [
        replace(view, depth=(view.depth * np.exp(correction.log_factors)).astype(np.float32))
        for view, correction in zip(scaled, corrections, strict=True)
    ]
    clarity = [correction.clarity for correction in corrections]
    difference_before = _median_difference(_compare_with_neighbours(scaled, neighbours))
    corrected_difference = _median_difference(_compare_with_neighbours(corrected, neighbours))
    is_corrected = any(correction.log_factors.any() for correction in corrections)
    if _is_worse(corrected_difference, difference_before):
        # Reject the corrections, and with them the clarity that supported them.
        is_corrected = False
        corrected = scaled
        clarity = [np.zeros_like(values) for values in clarity]

    averaged = average_views(corrected, clarity, neighbours)
    difference_after = _median_difference(_compare_with_neighbours(averaged, neighbours))
    scales = [
        _median_ratio(averaged_view, scaled_view)
        for averaged_view, scaled_view in zip(averaged, scaled, strict=True)
    ]
    return AgreedViews(
        views=tuple(_drop_unconfirmed_pixels(averaged, neighbours, difference_after)),
        scale=scale,
        scales=np.array(scales),
        difference_before=difference_before,
        difference_after=difference_after,
        # The smaller one, because bad corrections say nothing about the depth.
        difference_unaveraged=_smallest_finite(difference_before, corrected_difference),
        correction=DepthCorrection.SMOOTH if is_corrected else DepthCorrection.NONE,
    )


def _find_log_corrections(
    views: Sequence[ClipView], neighbours: Sequence[Sequence[int]], report: Report
) -> "list[_LogCorrection]":
    """Find the correction of each view by its picture.

    Agreement of depth alone would favour flat depth, so it does not choose between corrections.
    """
    corrections = []
    for index, view in enumerate(views):
        swept_neighbours = [views[k] for k in neighbours[index][:_MAX_SWEPT_NEIGHBOURS]]
        corrections.append(_best_log_correction(view, swept_neighbours))
        report(index + 1, len(views))
    return corrections


def _drop_unconfirmed_pixels(
    views: Sequence[ClipView], neighbours: Sequence[Sequence[int]], difference: float
) -> Iterator[ClipView]:
    """Make the pixels invalid that too few neighbours confirm; views without neighbours stay."""
    tolerance = max(TOLERANCE, difference)
    comparisons = _compare_with_neighbours(views, neighbours, tolerance=tolerance)
    for view, comparison, indices in zip(views, comparisons, neighbours, strict=True):
        if indices:
            yield replace(view, valid=view.valid & comparison.is_confirmed())
        else:
            yield view


def _is_worse(after: float, before: float) -> bool:
    """Whether corrections make views disagree, or leave nothing that can be compared (NaN)."""
    is_acceptable = after <= _MAX_DISAGREEMENT_RATIO * before  # False if ``after`` is NaN
    return math.isfinite(before) and not is_acceptable


def _smallest_finite(*numbers: float) -> float:
    """Smallest of the finite numbers; NaN if there is none."""
    return min((number for number in numbers if math.isfinite(number)), default=math.nan)


def _median_ratio(view: ClipView, original: ClipView) -> float:
    """Median factor from the original depth to that of ``view``, where there is depth."""
    valid = view.valid if view.valid.any() else np.ones_like(view.valid)
    return float(np.median(view.depth[valid] / original.depth[valid]))


# How far views agree


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewComparison:
    """Depth of a view compared with that of its neighbours.

    Attributes:
        num_agreeing: Number of neighbours that agree on each pixel.
        num_seeing: Number of neighbours that have depth at the point of each pixel.
        difference: Median absolute log difference; NaN if no neighbour sees a pixel.
    """

    num_agreeing: Int64[np.ndarray, "h w"]
    num_seeing: Int64[np.ndarray, "h w"]
    difference: float

    def is_confirmed(self) -> Mask:
        """Mask of the pixels on which three neighbours agree, or all if fewer see them."""
        min_agreeing = np.minimum(np.maximum(self.num_seeing, 1), MIN_AGREEING_NEIGHBOURS)
        return self.num_agreeing >= min_agreeing


def compare_depth(
    view: ClipView, neighbours: Sequence[ClipView], tolerance: float = TOLERANCE
) -> ViewComparison:
    """Compare the depth of a view with that of its neighbours at the same points."""
    num_agreeing = np.zeros(view.depth.shape, np.int64)
    num_seeing = np.zeros(view.depth.shape, np.int64)
    differences: list[np.ndarray] = [np.zeros(0)]
    for neighbour in neighbours:
        seen = depth_seen_by(neighbour, view)
        difference = np.abs(seen.log_ratio)
        differences.append(difference)
        num_seeing += seen.mask
        num_agreeing[seen.mask] += difference < tolerance
    all_differences = np.concatenate(differences)
    median = float(np.median(all_differences)) if len(all_differences) else math.nan
    return ViewComparison(num_agreeing=num_agreeing, num_seeing=num_seeing, difference=median)


def _compare_with_neighbours(
    views: Sequence[ClipView], neighbours: Sequence[Sequence[int]], *, tolerance: float = TOLERANCE
) -> list[ViewComparison]:
    return [
        compare_depth(view, [views[k] for k in indices], tolerance)
        for view, indices in zip(views, neighbours, strict=True)
    ]


def _median_difference(comparisons: Sequence[ViewComparison]) -> float:
    """Median of the differences that are known; NaN if none is known."""
    differences = [item.difference for item in comparisons if math.isfinite(item.difference)]
    return float(np.median(differences)) if differences else math.nan


# Corrections by the pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogCorrection:
    """Smooth log factor of a view's depth, and how clearly the pictures support it, in [0, 1]."""

    log_factors: Field
    clarity: Field


def _best_log_correction(view: ClipView, neighbours: Sequence[ClipView]) -> _LogCorrection:
    """Choose the correction under which pictures match best: none, one factor or a smooth factor.

    The smooth factor is found at half the size first, and refined at the full size.
    """
    zero = np.zeros(view.depth.shape, np.float32)
    if not neighbours:
        return _LogCorrection(log_factors=zero, clarity=zero)

    grey = grey_view(view)
    grey_neighbours = [grey_view(neighbour) for neighbour in neighbours]
    half_size = _smooth_log_factors(
        grey.reduced(2),
        [neighbour.reduced(2) for neighbour in grey_neighbours],
        view.depth,
        _COARSE_LOG_FACTORS,
        _COARSE_BLUR,
    )
    coarse = resize_map(half_size.log_factors, view.depth.shape)
    fine = _smooth_log_factors(
        grey, grey_neighbours, view.depth * np.exp(coarse), _FINE_LOG_FACTORS, _FINE_BLUR, prior=0.0
    )

    one_factor = np.full_like(zero, half_size.median)
    smooth = coarse + fine.log_factors
    candidates = (zero, one_factor, smooth)
    scores = [
        _mean_correlation(grey, grey_neighbours, view.depth * np.exp(candidate))
        for candidate in candidates
    ]
    best = candidates[int(np.argmax(scores))]
    # If the smooth factor loses, its peaks are not to be trusted.
    clarity = fine.clarity if best is smooth else zero
    return _LogCorrection(log_factors=best, clarity=clarity)


def _mean_correlation(view: GreyView, neighbours: Sequence[GreyView], depth: Field) -> float:
    return float(correlations(view, neighbours, depth, np.zeros(1)).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class _SmoothLogFactors:
    """Smooth factors of depth.

    Attributes:
        log_factors: Natural logarithm of the factor at each pixel.
        clarity: How clearly the pictures support the factor, in [0, 1].
        median: Median log factor over the clear pixels; 0 if there are too few.
    """

    log_factors: Field
    clarity: Field
    median: float


def _smooth_log_factors(
    view: GreyView,
    neighbours: Sequence[GreyView],
    depth: Float32[np.ndarray, "a b"],
    log_factors: Values,
    blur: float,
    *,
    prior: float | None = None,
) -> _SmoothLogFactors:
    """Find the factors of depth under which a view matches its neighbours, smoothed.

    ``log_factors`` are tried on ``depth``, which may have any size. Correlations are blurred by the
    standard deviation ``blur`` [px], and peaks by twice that. Pixels without a clear peak get the
    log factor ``prior``, by default the median of the clear ones.
    """
    scores = correlations(view, neighbours, resize_map(depth, view.values.shape), log_factors)
    blurred_scores = np.stack([_gaussian_blur(score, blur) for score in scores])
    peaks = correlation_peaks(blurred_scores, log_factors)

    is_clear = peaks.clarity > _MIN_CLARITY
    median = 0.0
    if np.count_nonzero(is_clear) >= _MIN_CLEAR_FRACTION * is_clear.size:
        median = float(np.median(peaks.log_factors[is_clear]))
    prior_factor = np.float32(median if prior is None else prior)

    # Mean of the peaks weighed by their clarity, which falls back to the prior where none is clear.
    weight = _gaussian_blur(peaks.clarity, 2 * blur)
    weighted_sum = _gaussian_blur(peaks.log_factors * peaks.clarity, 2 * blur)
    smooth = (weighted_sum + _PRIOR_WEIGHT * prior_factor) / (weight + np.float32(_PRIOR_WEIGHT))
    return _SmoothLogFactors(log_factors=smooth.astype(np.float32), clarity=weight, median=median)


def _gaussian_blur(values: np.ndarray, sigma: float) -> Field:
    return import_opencv().GaussianBlur(values, (0, 0), sigma)


# Averages over neighbours


def average_views(
    views: Sequence[ClipView], clarity: Sequence[Field], neighbours: Sequence[Sequence[int]]
) -> list[ClipView]:
    """Average the log depth of views with that of their neighbours.

    Pixels are weighed by their clarity. ``neighbours`` lists the indices of each view's neighbours.
    """
    weights = [values + np.float32(_UNCLEAR_WEIGHT) for values in clarity]
    averaged = list(views)
    for _ in range(_AVERAGING_ROUNDS):
        averaged = [
            _average_with_neighbours(
                view, weights[index], [(averaged[k], weights[k]) for k in neighbours[index]]
            )
            for index, view in enumerate(averaged)
        ]
    return averaged


def _average_with_neighbours(
    view: ClipView, weight: Field, neighbours: Sequence[tuple[ClipView, Field]]
) -> ClipView:
    """Move the log depth of a view by its mean difference to the neighbours, blurred.

    Neighbours come with the weights of their pixels. Large differences count less.
    """
    # The view's own depth has weight in the mean, but differs by 0 from itself.
    total_difference = np.zeros_like(weight)
    total_weight = weight * np.float32(_OWN_WEIGHT)
    for neighbour, neighbour_weight in neighbours:
        seen = depth_seen_by(neighbour, view)
        # 2 at _HALF_WEIGHT_DIFFERENCE. The exponent 4 keeps smaller differences near full weight.
        outlier_divisor = 1 + (seen.log_ratio / _HALF_WEIGHT_DIFFERENCE) ** 4
        weights = neighbour_weight[seen.rows, seen.columns] / outlier_divisor
        total_difference[seen.mask] += weights * seen.log_ratio
        total_weight[seen.mask] += weights
    blurred_difference = _gaussian_blur(total_difference, _AVERAGING_BLUR)
    correction = blurred_difference / _gaussian_blur(total_weight, _AVERAGING_BLUR)
    return replace(view, depth=(view.depth * np.exp(correction)).astype(np.float32))
