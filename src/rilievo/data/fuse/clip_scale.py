"""The factor from a model's depth to the unit of given poses, found for a whole clip."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float32
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.plane_sweep import (
    correlation_peaks,
    correlations,
    grey_view,
    import_opencv,
)

_LOG_OFFSETS = np.arange(-80, 81) * 0.1
"""Natural logarithms of the factors that are tried, minus that of the first guess."""
_DEPTH_OVER_STEP = 20
"""Assumed median depth, in steps of the camera between frames. Factors are tried around it."""
_MAX_VOTING_VIEWS = 12
_FRAME_STEPS = (1, 3, 9)
"""Distances between the two frames that are compared."""
_ROWS_OF_SMALL_VIEW = 56
"""Rows of the reduced pictures that are compared."""
_MIN_MEAN_CLARITY = 0.01
"""Mean clarity of all votes below which the factor stays unknown."""
_BIN_WIDTH = 0.05
"""Width of the histogram's bins [log]."""
_MODE_HALF_WIDTH = 0.4
"""Distance from the fullest bin up to which votes count [log]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Votes:
    """Votes of pixels for the factor from depth to the unit of the poses.

    Attributes:
        log_offsets: Natural logarithm of each pixel's best factor, minus that of the first guess.
        weights: How clearly that factor is the best, in [0, 1].
    """

    log_offsets: Float32[np.ndarray, "n"]
    weights: Float32[np.ndarray, "n"]


def clip_scale(views: Sequence[ClipView]) -> float | None:
    """Find the factor from depth to the unit of the poses.

    Each pixel of up to twelve views votes for the factor under which its picture matches that of a
    later frame. The result is the weighted median of the votes around the fullest bin.

    Returns:
        The factor, or None if the camera does not move or too few pixels match clearly.
    """
    guess = _guess_log_factor(views)
    if guess is None:
        return None
    votes = _collect_votes(views, guess)
    if votes.weights.sum() < _MIN_MEAN_CLARITY * max(1, len(votes.weights)):
        return None
    return float(np.exp(guess + _most_voted_log_offset(votes)))


def _guess_log_factor(views: Sequence[ClipView]) -> float | None:
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


def _collect_votes(views: Sequence[ClipView], guess: float) -> _Votes:
    """Compare evenly spread views with later ones, one, three and nine frames away."""
    voter_count = min(_MAX_VOTING_VIEWS, len(views))
    voter_indices = np.linspace(0, len(views) - 1, voter_count).round().astype(int)
    votes = []
    for index in dict.fromkeys(voter_indices.tolist()):  # each once
        for step in _FRAME_STEPS:
            later = index + step
            if later < len(views):
                votes.append(_votes_from_pair(views[index], views[later], guess))
    return _Votes(
        log_offsets=np.concatenate([pair_votes.log_offsets for pair_votes in votes]),
        weights=np.concatenate([pair_votes.weights for pair_votes in votes]),
    )


def _votes_from_pair(view: ClipView, later_view: ClipView, guess: float) -> _Votes:
    """Let each pixel with depth vote for one factor from depth to the unit of the poses.

    With the right factor, a pixel of ``view`` lands where ``later_view`` shows the same surface, so
    the grey values around both places correlate most. ``guess`` is the log factor around which
    factors are tried.
    """
    reduction = max(1, min(view.depth.shape) // _ROWS_OF_SMALL_VIEW)
    grey = grey_view(view).reduced(reduction)
    later_grey = grey_view(later_view).reduced(reduction)
    depth = resize_map(view.depth, grey.values.shape)
    is_valid = resize_map(view.valid.astype(np.float32), grey.values.shape) > 0.5

    scores = correlations(grey, [later_grey], depth, guess + _LOG_OFFSETS, best=1)
    peaks = correlation_peaks(scores, _LOG_OFFSETS)
    return _Votes(log_offsets=peaks.log_factors[is_valid], weights=peaks.clarity[is_valid])


def _most_voted_log_offset(votes: _Votes) -> float:
    """Weighted median of the votes around the fullest bin of their histogram."""
    bins = np.arange(_LOG_OFFSETS[0] - _BIN_WIDTH / 2, _LOG_OFFSETS[-1] + _BIN_WIDTH, _BIN_WIDTH)
    counts, _ = np.histogram(votes.log_offsets, bins, weights=votes.weights)
    smooth_counts = np.convolve(counts, np.ones(5), mode="same")
    mode = bins[int(smooth_counts.argmax())] + _BIN_WIDTH / 2
    is_near_mode = np.abs(votes.log_offsets - mode) < _MODE_HALF_WIDTH
    return _weighted_median(votes.log_offsets[is_near_mode], votes.weights[is_near_mode])


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
