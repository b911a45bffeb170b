"""The factor from a model's depth to the unit of given poses, found for a whole clip."""

from collections.abc import Sequence

import numpy as np

from rilievo.arrays.shapes import Field, Float32
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.plane_sweep import (
    CorrelationPeaks,
    correlation_peaks,
    correlations,
    grey_view,
    import_opencv,
)

_LOG_FACTORS = np.arange(-80, 81) * 0.1
"""Natural logarithms of the factors that are tried, around a first guess."""
_DEPTH_OVER_STEP = 20
"""Assumed median depth, in steps of the camera between frames. Factors are tried around it."""
_MAX_VOTING_VIEWS = 12
_FRAME_STEPS = (1, 3, 9)
"""Distances between the two frames of a vote."""
_ROWS_OF_SMALL_VIEW = 56
"""Rows of the reduced pictures that are compared."""
_MIN_MEAN_CLARITY = 0.01
"""Mean clarity of all votes below which the factor stays unknown."""
_BIN_WIDTH = 0.05
"""Width of the histogram's bins [log]."""
_MODE_HALF_WIDTH = 0.4
"""Distance from the fullest bin up to which votes count [log]."""


def clip_scale(views: Sequence[ClipView]) -> float | None:
    """Find the factor from depth to the unit of the poses.

    Each pixel of up to twelve views votes for the factor under which its picture matches that of a
    later frame. The result is the weighted median of the votes around the fullest bin.

    Returns:
        The factor, or None if the camera does not move or too few pixels match clearly.
    """
    initial = _initial_log_factor(views)
    if initial is None:
        return None
    votes = _collect_votes(views, initial)
    log_factors = np.concatenate([vote.log_factors for vote in votes])
    clarity = np.concatenate([vote.clarity for vote in votes])
    if clarity.sum() < _MIN_MEAN_CLARITY * max(1, len(log_factors)):
        return None

    bins = np.arange(_LOG_FACTORS[0] - _BIN_WIDTH / 2, _LOG_FACTORS[-1] + _BIN_WIDTH, _BIN_WIDTH)
    counts, _ = np.histogram(log_factors, bins, weights=clarity)
    smooth_counts = np.convolve(counts, np.ones(5), mode="same")
    mode = bins[int(smooth_counts.argmax())] + _BIN_WIDTH / 2
    is_near_mode = np.abs(log_factors - mode) < _MODE_HALF_WIDTH
    log_factor = initial + _weighted_median(log_factors[is_near_mode], clarity[is_near_mode])
    return float(np.exp(log_factor))


def _initial_log_factor(views: Sequence[ClipView]) -> float | None:
    """Log factor by which the median depth is twenty steps of the camera; None if it stands."""
    medians = [np.median(view.depth[view.valid]) for view in views if view.valid.any()]
    positions = np.stack([view.world_T_cam[:3, 3] for view in views])
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    if not medians or not (steps > 0).any():
        return None
    median_depth = float(np.median(medians))
    mean_step = float(steps[steps > 0].mean())
    if mean_step == 0 or median_depth == 0:
        return None
    return np.log(_DEPTH_OVER_STEP * mean_step / median_depth)


def _collect_votes(views: Sequence[ClipView], initial: float) -> list[CorrelationPeaks]:
    """Compare evenly spread views with later ones, one, three and nine frames away."""
    voter_count = min(_MAX_VOTING_VIEWS, len(views))
    voter_indices = np.linspace(0, len(views) - 1, voter_count).round().astype(int)
    votes = []
    for index in dict.fromkeys(voter_indices.tolist()):  # each once
        for step in _FRAME_STEPS:
            later = index + step
            if later < len(views):
                votes.append(_votes_of_pair(views[index], views[later], initial))
    return votes


def _votes_of_pair(view: ClipView, neighbour: ClipView, initial: float) -> CorrelationPeaks:
    """Find the best log factor, relative to the initial one, at each valid pixel of a view."""
    reduction = max(1, min(view.depth.shape) // _ROWS_OF_SMALL_VIEW)
    grey = grey_view(view).reduced(reduction)
    grey_neighbour = grey_view(neighbour).reduced(reduction)
    depth = resize_map(view.depth, grey.values.shape)
    is_valid = resize_map(view.valid.astype(np.float32), grey.values.shape) > 0.5
    scores = correlations(grey, [grey_neighbour], depth, initial + _LOG_FACTORS, best=1)
    peaks = correlation_peaks(scores, _LOG_FACTORS)
    return CorrelationPeaks(
        log_factors=peaks.log_factors[is_valid], clarity=peaks.clarity[is_valid]
    )


def resize_map(values: Float32[np.ndarray, "a b"], size: tuple[int, ...]) -> Field:
    """Resize a map by the mean over areas if it shrinks, and bilinearly if it grows."""
    if values.shape == size:
        return values
    cv2 = import_opencv()
    interpolation = cv2.INTER_AREA if size[0] < values.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(values, (size[1], size[0]), interpolation=interpolation)


def _weighted_median(values: Float32[np.ndarray, "n"], weights: Float32[np.ndarray, "n"]) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
