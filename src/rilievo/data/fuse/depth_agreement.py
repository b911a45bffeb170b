"""Depth of many views brought to agree: one scale, one a view, and a smooth correction."""

import math
from collections.abc import Callable, Sequence
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
_COARSE_BLUR = 4.0
_FINE_BLUR = 2.5
"""Standard deviations by which correlations are blurred before peaks are sought [px]."""
_MIN_CLARITY = 0.15
"""Clarity of a peak from which a pixel takes part in the median factor."""
_MIN_CLEAR_FRACTION = 0.02
"""Fraction of clear pixels from which a view has a scale of its own."""
_PRIOR_WEIGHT = 1e-2
"""Weight of the median factor at each pixel, so that pixels without clear peaks have an answer."""

_LEVELLING_ROUNDS = 4
_LEVELLING_BLUR = 4.0
"""Standard deviation by which the mean differences are blurred [px]."""
_OWN_WEIGHT = 2.0
"""Weight of a view's own depth, relative to that of a neighbour."""
_UNCLEAR_WEIGHT = 0.03
"""Weight of pixels without a clear peak; those with a clear one have 1 more."""
_HALF_WEIGHT_DIFFERENCE = 0.125
"""Log difference at which the depth of a neighbour counts half."""

Report = Callable[[int, int], None]
"""Function called with the number of views that are done, and of all."""


class DepthCorrection(StrEnum):
    """Correction of views beside the common factor."""

    NONE = "none"
    SMOOTH = "a smooth factor"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedViews:
    """Views whose depth agrees, without the pixels on which too few agree.

    Differences are medians of the relative difference between neighbours; NaN means that no two
    views are far enough apart to compare them.

    Attributes:
        views: The views, whose depth is in the unit of the poses.
        scale: Factor from the model's depth to the unit of the poses.
        scales: Median correction of each view, beside ``scale``.
        before: Difference with one scale for all views.
        after: Difference in the end.
        doubt: Difference before views are averaged; large if poses, field of view or depth are
            wrong.
        correction: How views were corrected.
    """

    views: tuple[ClipView, ...]
    scale: float
    scales: Values
    before: float
    after: float
    doubt: float
    correction: DepthCorrection


def make_depth_agree(
    views: Sequence[ClipView], scale: float, report: Report = lambda done, total: None
) -> AgreedViews:
    """Correct the depth of views so that neighbours agree.

    First each view gets the smooth factor of depth under which its picture matches those of its
    neighbours. Then views are averaged with their neighbours, and pixels on which too few agree
    become invalid.

    Args:
        views: Views in the order of time.
        scale: Factor from their depth to the unit of the poses, such as ``clip_scale`` finds it.
        report: Called after each view.
    """
    scaled = [replace(view, depth=view.depth * np.float32(scale)) for view in views]
    neighbours = [
        neighbour_indices(scaled, index)[:MAX_COMPARED_NEIGHBOURS] for index in range(len(scaled))
    ]
    corrections = []
    for index, view in enumerate(scaled):
        # Pictures decide, since flat depth agrees better with itself.
        swept = [scaled[k] for k in neighbours[index][:_MAX_SWEPT_NEIGHBOURS]]
        corrections.append(_best_log_correction(view, swept))
        report(index + 1, len(scaled))

    corrected = [
        replace(view, depth=(view.depth * np.exp(correction.log_factors)).astype(np.float32))
        for view, correction in zip(scaled, corrections, strict=True)
    ]
    clarity = [correction.clarity for correction in corrections]
    before = _median_difference(_compare_with_neighbours(scaled, neighbours))
    after_correction = _median_difference(_compare_with_neighbours(corrected, neighbours))
    is_corrected = any(correction.log_factors.any() for correction in corrections)
    if _is_worse(after_correction, before):
        is_corrected = False
        corrected = scaled
        clarity = [np.zeros_like(values) for values in clarity]

    levelled = level_views(corrected, clarity, neighbours)
    after = _median_difference(_compare_with_neighbours(levelled, neighbours))
    comparisons = _compare_with_neighbours(levelled, neighbours, tolerance=max(TOLERANCE, after))
    return AgreedViews(
        views=tuple(
            replace(view, valid=view.valid & comparison.is_confirmed()) if has_neighbours else view
            for view, comparison, has_neighbours in zip(
                levelled, comparisons, neighbours, strict=True
            )
        ),
        scale=scale,
        scales=np.array([_median_ratio(*pair) for pair in zip(levelled, scaled, strict=True)]),
        before=before,
        after=after,
        doubt=_smallest_known(before, after_correction),
        correction=DepthCorrection.SMOOTH if is_corrected else DepthCorrection.NONE,
    )


def _is_worse(after: float, before: float) -> bool:
    """Whether corrections make views disagree, or leave nothing that can be compared."""
    return math.isfinite(before) and not after <= _MAX_DISAGREEMENT_RATIO * before


def _smallest_known(*numbers: float) -> float:
    """Smallest of the finite numbers; NaN if there is none."""
    return min((number for number in numbers if math.isfinite(number)), default=math.nan)


def _median_ratio(view: ClipView, original: ClipView) -> float:
    """Median factor from the original depth to that of ``view``, where there is depth."""
    valid = view.valid if view.valid.any() else np.ones_like(view.valid)
    return float(np.median(view.depth[valid] / original.depth[valid]))


# How far views agree


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewComparison:
    """Depth of a view beside that of its neighbours.

    Attributes:
        agreeing: Number of neighbours that agree on each pixel.
        seeing: Number of neighbours that have depth at the point of each pixel.
        difference: Median absolute log difference; NaN if no neighbour sees a pixel.
    """

    agreeing: Int64[np.ndarray, "h w"]
    seeing: Int64[np.ndarray, "h w"]
    difference: float

    def is_confirmed(self) -> Mask:
        """Mask of the pixels on which three neighbours agree, or all if fewer see them."""
        needed = np.minimum(np.maximum(self.seeing, 1), MIN_AGREEING_NEIGHBOURS)
        return self.agreeing >= needed


def compare_depth(
    view: ClipView, neighbours: Sequence[ClipView], tolerance: float = TOLERANCE
) -> ViewComparison:
    """Compare the depth of a view with that of its neighbours at the same points."""
    agreeing = np.zeros(view.depth.shape, np.int64)
    seeing = np.zeros(view.depth.shape, np.int64)
    differences: list[np.ndarray] = [np.zeros(0)]
    for neighbour in neighbours:
        seen = depth_seen_by(neighbour, view)
        difference = np.abs(seen.log_ratio)
        differences.append(difference)
        seeing += seen.mask
        agreeing[seen.mask] += difference < tolerance
    joined = np.concatenate(differences)
    median = float(np.median(joined)) if len(joined) else math.nan
    return ViewComparison(agreeing=agreeing, seeing=seeing, difference=median)


def _compare_with_neighbours(
    views: Sequence[ClipView], neighbours: Sequence[Sequence[int]], *, tolerance: float = TOLERANCE
) -> list[ViewComparison]:
    return [
        compare_depth(view, [views[k] for k in indices], tolerance)
        for view, indices in zip(views, neighbours, strict=True)
    ]


def _median_difference(comparisons: Sequence[ViewComparison]) -> float:
    """Median of the differences that are known; NaN if none is."""
    differences = [item.difference for item in comparisons if math.isfinite(item.difference)]
    return float(np.median(differences)) if differences else math.nan


# Corrections by the pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogCorrection:
    """Smooth correction of a view's depth.

    Attributes:
        log_factors: Natural logarithm of the factor of depth at each pixel.
        clarity: How clearly the pictures say so, in [0, 1].
    """

    log_factors: Field
    clarity: Field


def _best_log_correction(view: ClipView, neighbours: Sequence[ClipView]) -> _LogCorrection:
    """Of no correction, one factor and a smooth factor, that under which pictures match best."""
    nothing = np.zeros(view.depth.shape, np.float32)
    if not neighbours:
        return _LogCorrection(log_factors=nothing, clarity=nothing)

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
        grey,
        grey_neighbours,
        view.depth * np.exp(coarse),
        _FINE_LOG_FACTORS,
        _FINE_BLUR,
        prior=0.0,
    )

    one_factor = np.full_like(nothing, half_size.median)
    smooth = coarse + fine.log_factors
    candidates = (nothing, one_factor, smooth)
    scores = [
        _mean_correlation(grey, grey_neighbours, view.depth * np.exp(candidate))
        for candidate in candidates
    ]
    best = candidates[int(np.argmax(scores))]
    # Peaks that make the view look less like its neighbours are no peaks.
    clarity = fine.clarity if best is smooth else nothing
    return _LogCorrection(log_factors=best, clarity=clarity)


def _mean_correlation(view: GreyView, neighbours: Sequence[GreyView], depth: Field) -> float:
    return float(correlations(view, neighbours, depth, np.zeros(1)).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class _SmoothLogFactors:
    """Smooth factors of depth.

    Attributes:
        log_factors: Natural logarithm of the factor at each pixel.
        clarity: How clearly the pictures say so, in [0, 1].
        median: Median over the clear pixels; 0 if they are too few.
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

    Args:
        view: The view.
        neighbours: Its neighbours.
        depth: Depth of the view, at any size.
        log_factors: Logarithms of the factors that are tried.
        blur: Standard deviation by which correlations are blurred; peaks are blurred by twice
            that [px].
        prior: Log factor of pixels without a clear peak; by default the median of the clear ones.
    """
    scores = correlations(view, neighbours, resize_map(depth, view.values.shape), log_factors)
    blurred_scores = np.stack([_blurred(score, blur) for score in scores])
    peaks = correlation_peaks(blurred_scores, log_factors)

    is_clear = peaks.clarity > _MIN_CLARITY
    median = 0.0
    if np.count_nonzero(is_clear) >= _MIN_CLEAR_FRACTION * is_clear.size:
        median = float(np.median(peaks.log_factors[is_clear]))
    prior_factor = np.float32(median if prior is None else prior)

    weight = _blurred(peaks.clarity, 2 * blur)
    weighted = _blurred(peaks.log_factors * peaks.clarity, 2 * blur)
    smooth = (weighted + _PRIOR_WEIGHT * prior_factor) / (weight + np.float32(_PRIOR_WEIGHT))
    return _SmoothLogFactors(log_factors=smooth.astype(np.float32), clarity=weight, median=median)


def _blurred(values: np.ndarray, sigma: float) -> Field:
    return import_opencv().GaussianBlur(values, (0, 0), sigma)


# Averages over neighbours


def level_views(
    views: Sequence[ClipView],
    clarity: Sequence[Field],
    neighbours: Sequence[Sequence[int]],
) -> list[ClipView]:
    """Average the log depth of views with that of their neighbours.

    Args:
        views: The views.
        clarity: Weight of each pixel of each view, in [0, 1].
        neighbours: Indices of each view's neighbours.
    """
    weights = [values + np.float32(_UNCLEAR_WEIGHT) for values in clarity]
    levelled = list(views)
    for _ in range(_LEVELLING_ROUNDS):
        levelled = [
            _level_with_neighbours(
                view, weights[index], [(levelled[k], weights[k]) for k in neighbours[index]]
            )
            for index, view in enumerate(levelled)
        ]
    return levelled


def _level_with_neighbours(
    view: ClipView,
    weight: Field,
    neighbours: Sequence[tuple[ClipView, Field]],
) -> ClipView:
    """Add the mean log difference to the neighbours, blurred, to a view's log depth."""
    total_difference = np.zeros_like(weight)
    total_weight = weight * np.float32(_OWN_WEIGHT)
    for neighbour, neighbour_weight in neighbours:
        seen = depth_seen_by(neighbour, view)
        outlier_factor = 1 + (seen.log_ratio / _HALF_WEIGHT_DIFFERENCE) ** 4
        weights = neighbour_weight[seen.rows, seen.columns] / outlier_factor
        total_difference[seen.mask] += weights * seen.log_ratio
        total_weight[seen.mask] += weights
    correction = _blurred(total_difference, _LEVELLING_BLUR) / _blurred(
        total_weight, _LEVELLING_BLUR
    )
    return replace(view, depth=(view.depth * np.exp(correction)).astype(np.float32))
