"""Depth of many views brought to agree: one scale, one a view, and a smooth correction."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import Field, Float32, Int64, Values
from rilievo.data.fuse.clip_views import ClipView, inside_view, neighbour_indices
from rilievo.data.fuse.plane_sweep import (
    Grey,
    correlation_peaks,
    correlations,
    grey_view,
    import_opencv,
)
from rilievo.geometry.intrinsics import project_to_source
from rilievo.geometry.transforms import invert

SWEPT = 4  # neighbours whose pictures are compared
COMPARED = 8  # neighbours whose depth is compared
AGREEING = 3  # those that must agree on a point

_ROUNDS = 4
_BLUR = 4.0
_SELF = 2.0  # weight of own depth, relative to a neighbour
_UNCLEAR = 0.03  # weight of unclear pixels; clear ones have 1
_ELSEWHERE = 0.125  # log difference at which a neighbour counts half


def level_views(
    views: Sequence[ClipView],
    clear: Sequence[Field],
    around: Sequence[Sequence[int]],
) -> list[ClipView]:
    """Average log depth with neighbours, weighed by ``clear``, 0 to 1."""
    weights = [clearness + np.float32(_UNCLEAR) for clearness in clear]
    for _ in range(_ROUNDS):
        views = [
            _level_with_neighbours(
                view, weights[index], [(views[k], weights[k]) for k in around[index]]
            )
            for index, view in enumerate(views)
        ]
    return list(views)


def _level_with_neighbours(
    view: ClipView,
    own: Field,
    others: Sequence[tuple[ClipView, Field]],
) -> ClipView:
    total, weight = np.zeros_like(own), own * np.float32(_SELF)
    depth = np.where(view.valid, view.depth, 1).astype(np.float64)
    for other, its in others:
        u, v, z = project_to_source(depth, view.K, invert(other.world_T_cam) @ view.world_T_cam)
        inside = view.valid & inside_view(u, v, z, other.depth.shape)
        row, column = np.rint(v[inside]).astype(int), np.rint(u[inside]).astype(int)
        valid = other.valid[row, column]
        inside[inside] = valid
        row, column = row[valid], column[valid]
        apart = np.log(other.depth[row, column] / z[inside])
        counts = its[row, column] / (1 + (apart / _ELSEWHERE) ** 4)
        total[inside] += counts * apart
        weight[inside] += counts
    smooth = import_opencv().GaussianBlur
    logs = smooth(total, (0, 0), _BLUR) / smooth(weight, (0, 0), _BLUR)
    return replace(view, depth=(view.depth * np.exp(logs)).astype(np.float32))


_COARSE = np.linspace(-0.45, 0.45, 41)
_FINE = np.linspace(-0.1, 0.1, 17)
_CLIP = np.arange(-80, 81) * 0.1
_CLEAR = 0.15
_TRIED = 12
_ROWS = 56
_BIN, _AROUND = 0.05, 0.4  # width of bins of votes, and of the range around the fullest
_LEAST_VOTES = 0.01
_PULL = 1e-2
_FEWEST = 0.02  # share of clear pixels for a scale of its own
_MOST_APART = 2.0  # ratio of disagreement; cameras turned by 1 degree have 6
Report = Callable[[int, int], None]
TOLERANCE = 0.025
"""Relative difference up to which views agree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewAgreement:
    """Numbers of neighbours that agree on a pixel and see it, and the median difference."""

    agreeing: Int64[np.ndarray, "h w"]
    seeing: Int64[np.ndarray, "h w"]
    apart: float


def compare_depth(
    view: ClipView, others: Sequence[ClipView], tolerance: float = TOLERANCE
) -> ViewAgreement:
    """Count agreeing and seeing neighbours by pixel."""
    agreeing, seeing = (np.zeros(view.depth.shape, np.int64) for _ in range(2))
    differences: list[np.ndarray] = [np.zeros(0)]
    depth = np.where(view.valid, view.depth, 1).astype(np.float64)
    for other in others:
        # All views of a clip have one camera.
        u, v, z = project_to_source(depth, view.K, invert(other.world_T_cam) @ view.world_T_cam)
        inside = view.valid & inside_view(u, v, z, other.depth.shape)
        row, column = np.rint(v[inside]).astype(int), np.rint(u[inside]).astype(int)
        here = other.valid[row, column]
        apart = np.abs(np.log(np.where(here, other.depth[row, column], 1) / z[inside]))
        inside[inside] = here
        seeing += inside
        differences.append(apart[here])
        near = np.zeros_like(inside)
        near[inside] = apart[here] < tolerance
        agreeing += near
    joined = np.concatenate(differences)
    apart = float(np.median(joined)) if len(joined) else float("nan")
    return ViewAgreement(agreeing=agreeing, seeing=seeing, apart=apart)


class DepthCorrection(StrEnum):
    """Correction of views beside the common factor."""

    NONE = "none"
    SMOOTH = "a smooth factor"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreedViews:
    """Views whose depth agrees, without pixels on which too few agree.

    Attributes:
        scale: Factor from depth to the unit of the poses.
        scales: Median correction of each view.
        before: Median relative difference between neighbours with one scale.
        doubt: Difference before levelling; large for wrong poses, field of view or depth.
    """

    views: tuple[ClipView, ...]
    scale: float
    scales: Values
    before: float
    after: float
    doubt: float
    correction: DepthCorrection


def clip_scale(views: Sequence[ClipView]) -> float | None:
    """Find the factor from depth to the unit of the poses, unless few pixels vote."""
    places = np.stack([view.world_T_cam[:3, 3] for view in views])
    medians = [np.median(view.depth[view.valid]) for view in views if view.valid.any()]
    depth = float(np.median(medians)) if medians else 0.0
    steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    way = float(steps[steps > 0].mean()) if (steps > 0).any() else 0.0
    if way == 0 or depth == 0:
        return None
    middle = np.log(20 * way / depth)
    chosen = np.linspace(0, len(views) - 1, min(_TRIED, len(views))).round().astype(int)
    votes = [
        _log_factor_votes(views, index, step, middle)
        for index in dict.fromkeys(chosen.tolist())
        for step in (1, 3, 9)
    ]
    logs, weights = (np.concatenate([vote[k] for vote in votes]) for k in (0, 1))
    if weights.sum() < _LEAST_VOTES * max(1, len(logs)):
        return None
    bins = np.arange(_CLIP[0] - _BIN / 2, _CLIP[-1] + _BIN, _BIN)
    counts, _ = np.histogram(logs, bins, weights=weights)
    smooth = np.convolve(counts, np.ones(5), mode="same")
    mode = bins[int(smooth.argmax())] + _BIN / 2
    near = np.abs(logs - mode) < _AROUND
    return float(np.exp(middle + _weighted_median(logs[near], weights[near])))


def _log_factor_votes(
    views: Sequence[ClipView], index: int, step: int, middle: float
) -> tuple[Float32[np.ndarray, "n"], Float32[np.ndarray, "n"]]:
    """Log factors between two frames, and their clearness."""
    if index + step >= len(views):
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    factor = max(1, min(views[index].depth.shape) // _ROWS)
    view, other = (grey_view(views[k]).reduced(factor) for k in (index, index + step))
    depth = _resize_map(views[index].depth, view.values.shape)
    valid = _resize_map(views[index].valid.astype(np.float32), view.values.shape) > 0.5
    factors, clear = correlation_peaks(
        correlations(view, [other], depth, middle + _CLIP, best=1), _CLIP
    )
    return factors[valid], clear[valid]


def _weighted_median(values: Float32[np.ndarray, "n"], weights: Float32[np.ndarray, "n"]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def make_depth_agree(
    views: Sequence[ClipView], scale: float, report: Report = lambda done, total: None
) -> AgreedViews:
    """Correct depth of views in time order; ``scale`` is ``clip_scale``'s."""
    scaled = [replace(view, depth=view.depth * np.float32(scale)) for view in views]
    around = [neighbour_indices(scaled, index)[:COMPARED] for index in range(len(scaled))]
    corrections = []
    for index, view in enumerate(scaled):
        # Pictures decide, since flat depth agrees better with itself.
        corrections.append(
            _best_log_correction(view, [scaled[other] for other in around[index][:SWEPT]])
        )
        report(index + 1, len(scaled))
    corrected = [
        replace(view, depth=(view.depth * np.exp(item.logs)).astype(np.float32))
        for view, item in zip(scaled, corrections, strict=True)
    ]
    before, alone = (
        _median_of_differences(_agreements_with_neighbours(item, around))
        for item in (scaled, corrected)
    )
    clear = [item.clear for item in corrections]
    is_refused = _is_worse(alone, before)
    if is_refused:
        corrected, clear = scaled, [np.zeros_like(item) for item in clear]
    is_smooth = not is_refused and any(item.logs.any() for item in corrections)
    level = level_views(corrected, clear, around)
    after = _median_of_differences(_agreements_with_neighbours(level, around))
    compared = _agreements_with_neighbours(level, around, tolerance=max(TOLERANCE, after))
    return AgreedViews(
        views=tuple(
            replace(view, valid=view.valid & _mask_of_enough_agreement(item)) if others else view
            for view, item, others in zip(level, compared, around, strict=True)
        ),
        scale=scale,
        scales=np.array([_median_ratio(*pair) for pair in zip(level, scaled, strict=True)]),
        before=before,
        after=after,
        doubt=_least_known(before, alone),
        correction=DepthCorrection.SMOOTH if is_smooth else DepthCorrection.NONE,
    )


def _is_worse(corrected: float, before: float) -> bool:
    """Whether corrections make views disagree, or leave nothing that can be compared."""
    return math.isfinite(before) and not corrected <= _MOST_APART * before


def _least_known(*numbers: float) -> float:
    """Least of the numbers that are known, in any order; NaN if none is."""
    return min((number for number in numbers if math.isfinite(number)), default=math.nan)


def _median_ratio(view: ClipView, first: ClipView) -> float:
    """Median factor from the depth of ``first`` to that of ``view``, where there is depth."""
    valid = view.valid if view.valid.any() else np.ones_like(view.valid)
    return float(np.median(view.depth[valid] / first.depth[valid]))


def _agreements_with_neighbours(
    views: Sequence[ClipView], around: Sequence[Sequence[int]], *, tolerance: float = TOLERANCE
) -> list[ViewAgreement]:
    return [
        compare_depth(view, [views[other] for other in others], tolerance)
        for view, others in zip(views, around, strict=True)
    ]


def _mask_of_enough_agreement(view: ViewAgreement) -> np.ndarray:
    return view.agreeing >= np.minimum(np.maximum(view.seeing, 1), AGREEING)


def _median_of_differences(agreements: Sequence[ViewAgreement]) -> float:
    differences = [
        view_agreement.apart for view_agreement in agreements if np.isfinite(view_agreement.apart)
    ]
    return float(np.median(differences)) if differences else float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogCorrection:
    logs: Field
    clear: Field


def _best_log_correction(view: ClipView, others: Sequence[ClipView]) -> _LogCorrection:
    nothing = np.zeros(view.depth.shape, np.float32)
    if not others:
        return _LogCorrection(logs=nothing, clear=nothing)
    grey, around = grey_view(view), [grey_view(item) for item in others]
    middle = _smooth_log_factors(
        grey.reduced(2), [item.reduced(2) for item in around], view.depth, _COARSE, 4.0
    )
    coarse = _resize_map(middle.logs, view.depth.shape)
    fine = _smooth_log_factors(grey, around, view.depth * np.exp(coarse), _FINE, 2.5, towards=0.0)
    tried = (nothing, np.full_like(nothing, middle.median), coarse + fine.logs)
    scores = [
        float(correlations(grey, around, view.depth * np.exp(item), np.zeros(1)).mean())
        for item in tried
    ]
    best = int(np.argmax(scores))
    # Peaks that make the view look less like its neighbours are no peaks.
    return _LogCorrection(logs=tried[best], clear=fine.clear if best == len(tried) - 1 else nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _LogFactors:
    logs: Field
    clear: Field
    median: float


def _smooth_log_factors(
    view: Grey,
    others: Sequence[Grey],
    depth: Float32[np.ndarray, "a b"],
    logs: Values,
    blur: float,
    *,
    towards: float | None = None,
) -> _LogFactors:
    """Smooth log factors; unclear places get ``towards``, or the median."""
    cv2 = import_opencv()

    def blurred(values: np.ndarray, sigma: float) -> Field:
        return cv2.GaussianBlur(values, (0, 0), sigma)

    scores = correlations(view, others, _resize_map(depth, view.values.shape), logs)
    factors, clear = correlation_peaks(np.stack([blurred(score, blur) for score in scores]), logs)
    chosen = clear > _CLEAR
    is_enough = np.count_nonzero(chosen) >= _FEWEST * chosen.size
    median = float(np.median(factors[chosen])) if is_enough else 0.0
    base = np.float32(median if towards is None else towards)
    weight = blurred(clear, 2 * blur)
    smooth = (blurred(factors * clear, 2 * blur) + _PULL * base) / (weight + np.float32(_PULL))
    return _LogFactors(logs=smooth.astype(np.float32), clear=weight, median=median)


def _resize_map(values: Float32[np.ndarray, "a b"], size: tuple[int, ...]) -> Field:
    if values.shape == size:
        return values
    cv2 = import_opencv()
    how = cv2.INTER_AREA if size[0] < values.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(values, (size[1], size[0]), interpolation=how)
