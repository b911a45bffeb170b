"""Bundle adjustment of a long part of a clip, in windows of frames.

Windows overlap, so that errors do not spread.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Transforms, Values
from rilievo.data.motion.bundle_adjustment import (
    Adjustment,
    PointObservations,
    State,
    bundle_adjust,
)
from rilievo.data.motion.followed_points import Observations, PointTracker
from rilievo.data.motion.log_scales import chained_log_scales
from rilievo.data.motion.tracks import PointDepths, rays_at
from rilievo.geometry.transforms import invert

WINDOW = 40
"""Frames of a window."""
STEP = 20
"""Frames between the starts of windows. Of the frames that two windows share, the first half is
taken from the earlier window."""
_MIN_EXPLAINED = 0.5
"""Fraction of the observations that a window must explain to be used."""
_MIN_OBSERVATIONS = 3
"""Frames that must see a point."""
_MIN_POINTS = 30
"""Points of a window below which it is not adjusted."""
_MIN_POINTS_FOR_MEDIAN = 12
"""Points of a frame from which the median ratio of their depths counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedPart:
    """A part of a clip after bundle adjustment.

    Attributes:
        cam_T_world: Pose of each frame.
        log_scales: Log of the scale that takes each frame's depth to the unit of the poses.
        points: Tracked points of each frame.
    """

    cam_T_world: Transforms
    log_scales: Values
    points: tuple[PointDepths, ...]


def adjust_part(
    tracker: PointTracker, first: int, cam_T_world: Transforms, log_scales: Values, K: Matrix
) -> AdjustedPart:
    """Adjust one part of a clip, in which there is no cut.

    ``first`` is the index of the part's first frame. The poses and log scales of its frames, as in
    ``AdjustedPart``, are initial ones.
    """
    frame_count = len(cam_T_world)
    windows = [
        _adjust_window_or_keep(tracker, first, span, cam_T_world, log_scales, K)
        for span in _overlapping_window_spans(frame_count)
    ]
    log_unit_ratios = _log_scales_to_common_unit(windows)

    poses = cam_T_world.copy()
    joined_log_scales = log_scales.copy()
    points: list[PointDepths] = [PointDepths.empty()] * frame_count
    previous_stop = 0
    for window, log_unit in zip(windows, log_unit_ratios.tolist(), strict=True):
        start, stop = window.span.start, window.span.stop
        # A window takes over in the middle of the frames that it shares with the previous one.
        seam = max(previous_stop - (WINDOW - STEP) // 2, 0) if previous_stop else 0
        # Motion from the seam on, in the common unit, continues the path up to the seam.
        from_seam = slice(seam - start, None)
        cam_T_seam = window.cam_T_world[from_seam] @ invert(window.cam_T_world[seam - start])
        cam_T_seam[:, :3, 3] *= np.exp(log_unit)
        poses[seam:stop] = cam_T_seam @ poses[seam]
        joined_log_scales[seam:stop] = window.log_scales[from_seam] + log_unit
        points[seam:stop] = [depths.times(np.exp(log_unit)) for depths in window.points[from_seam]]
        previous_stop = stop
    return AdjustedPart(
        cam_T_world=poses,
        log_scales=_log_scales_from_points(points, initial=joined_log_scales),
        points=tuple(points),
    )


def _overlapping_window_spans(frame_count: int) -> list[slice]:
    spans = [slice(0, min(frame_count, WINDOW))]
    while spans[-1].stop < frame_count:
        stop = min(frame_count, spans[-1].stop + STEP)
        spans.append(slice(max(stop - WINDOW, 0), stop))
    return spans


@dataclass(frozen=True, slots=True, kw_only=True)
class _AdjustedWindow:
    """Adjusted frames of one window, as in ``AdjustedPart`` but in the window's own unit."""

    span: slice
    cam_T_world: Transforms
    log_scales: Values
    points: tuple[PointDepths, ...]


def _adjust_window_or_keep(
    tracker: PointTracker,
    first: int,
    span: slice,
    cam_T_world: Transforms,
    log_scales: Values,
    K: Matrix,
) -> _AdjustedWindow:
    """Adjust a window, or keep its initial poses if the points are too few or contradictory."""
    initial_poses, initial_log_scales = cam_T_world[span], log_scales[span]
    frame_count = len(initial_poses)
    unadjusted = _AdjustedWindow(
        span=span,
        cam_T_world=initial_poses,
        log_scales=initial_log_scales,
        points=(PointDepths.empty(),) * frame_count,
    )
    observations = tracker.observations(first + span.start, first + span.stop)
    grouped = group_observations_by_point(observations, first + span.start, K)
    if grouped is None:
        return unadjusted
    initial_state = _initial_state(grouped, initial_poses, initial_log_scales)
    adjustment = bundle_adjust(grouped, initial_state)
    is_finite = np.isfinite(adjustment.state.cam_T_world).all()
    if adjustment.is_inlier.mean() < _MIN_EXPLAINED or not is_finite:
        return unadjusted
    return _AdjustedWindow(
        span=span,
        cam_T_world=adjustment.state.cam_T_world,
        log_scales=adjustment.state.log_scales,
        points=tuple(
            _reliable_points_in(frame, grouped, adjustment) for frame in range(frame_count)
        ),
    )


def group_observations_by_point(
    observations: Observations, first: int, K: Matrix
) -> PointObservations | None:
    """Group the observations of points that three frames or more of a window see.

    The window's first frame, which has the index ``first``, becomes frame 0. Returns None if there
    are fewer than 30 such points.
    """
    if not len(observations.frame_index):
        return None
    point_index = observations.point_index - observations.point_index.min()
    is_seen_enough = np.bincount(point_index) >= _MIN_OBSERVATIONS
    observations = observations.where(is_seen_enough[point_index])

    # In this order, the observations of a point follow each other, from its first frame on.
    order = np.lexsort((observations.frame_index, observations.point_index))
    is_first_of_point = np.diff(observations.point_index[order], prepend=-1) != 0
    if is_first_of_point.sum() < _MIN_POINTS:
        return None
    first_observations, later_observations = order[is_first_of_point], order[~is_first_of_point]
    renumbered_points = np.cumsum(is_first_of_point) - 1
    return PointObservations(
        frame_index=observations.frame_index[later_observations] - first,
        point_index=renumbered_points[~is_first_of_point],
        position=observations.position[later_observations],
        depth=observations.depth[later_observations],
        first_frame=observations.frame_index[first_observations] - first,
        first_position=observations.position[first_observations],
        first_depth=observations.depth[first_observations],
        K=K,
    )


def _initial_state(
    observations: PointObservations, cam_T_world: Transforms, log_scales: Values
) -> State:
    """Place points at the model's depth, or at the median depth where it is unknown."""
    log_depths = np.log(observations.first_depth) + log_scales[observations.first_frame]
    is_known = np.isfinite(log_depths)
    median = float(np.median(log_depths[is_known])) if is_known.any() else 0.0
    return State(
        cam_T_world=cam_T_world,
        log_scales=log_scales,
        log_depths=np.where(is_known, log_depths, median),
    )


def _reliable_points_in(
    frame: int, observations: PointObservations, adjustment: Adjustment
) -> PointDepths:
    """Compute the depth, in one frame, of points whose observations are mostly inliers."""
    point_count = len(observations.first_frame)
    inlier_counts = np.bincount(observations.point_index, adjustment.is_inlier, point_count)
    total_counts = np.bincount(observations.point_index, minlength=point_count)
    # The first observation of a point is always an inlier, and is not counted.
    is_reliable = (inlier_counts >= _MIN_OBSERVATIONS - 1) & (inlier_counts > total_counts / 2)

    # Points that began in an earlier frame are moved from there into this frame.
    state = adjustment.state
    is_seen: np.ndarray = (
        (observations.frame_index == frame)
        & adjustment.is_inlier
        & is_reliable[observations.point_index]
    )
    seen_points = observations.point_index[is_seen]
    first_pose = state.cam_T_world[observations.first_frame[seen_points]]
    first_rays = rays_at(observations.first_position[seen_points], observations.K)
    in_first_camera = first_rays * np.exp(state.log_depths[seen_points])[:, None]
    cam_T_first = state.cam_T_world[frame] @ invert(first_pose)
    seen_depth = (
        np.einsum("ni,ni->n", cam_T_first[:, 2, :3], in_first_camera) + cam_T_first[:, 2, 3]
    )

    # Points that begin in this frame have their depth in the state.
    begins = is_reliable & (observations.first_frame == frame)
    positions = np.concatenate(
        [observations.position[is_seen], observations.first_position[begins]]
    )
    depth = np.concatenate([seen_depth, np.exp(state.log_depths[begins])])
    model_depth = np.concatenate([observations.depth[is_seen], observations.first_depth[begins]])
    log_depth_std = np.concatenate(
        [adjustment.log_depth_std[seen_points], adjustment.log_depth_std[begins]]
    )
    is_in_front = depth > 0
    return PointDepths(
        positions=positions[is_in_front],
        depth=depth[is_in_front],
        model_depth=model_depth[is_in_front],
        log_depth_std=log_depth_std[is_in_front],
    )


def _log_scales_to_common_unit(windows: Sequence[_AdjustedWindow]) -> Float64[np.ndarray, "w"]:
    """Log scale from the unit of each window to a common one, by points that two windows share."""
    steps = [np.nan]
    for previous, current in itertools.pairwise(windows):
        shared_count = previous.span.stop - current.span.start
        shared_frames = zip(
            previous.points[-shared_count:], current.points[:shared_count], strict=True
        )
        log_ratios = [_log_depth_ratios(before, after) for before, after in shared_frames]
        medians = [
            np.median(ratios) for ratios in log_ratios if len(ratios) >= _MIN_POINTS_FOR_MEDIAN
        ]
        steps.append(float(np.median(medians)) if medians else np.nan)
    return chained_log_scales(steps)


def _log_depth_ratios(first: PointDepths, second: PointDepths) -> Values:
    """Log of the first depth over the second, of the points at equal positions."""
    # Positions become complex numbers x + iy, since intersect1d compares scalars.
    _, in_first, in_second = np.intersect1d(
        first.positions @ [1, 1j], second.positions @ [1, 1j], return_indices=True
    )
    return np.log(first.depth[in_first] / second.depth[in_second])


def _log_scales_from_points(points: Sequence[PointDepths], *, initial: Values) -> Values:
    """Median log ratio of adjusted to model depth in each frame, interpolated between frames.

    Returns ``initial`` if no frame has enough points.
    """
    medians = np.full(len(points), np.nan)
    for frame, frame_points in enumerate(points):
        log_ratios = np.log(frame_points.depth / frame_points.model_depth)
        log_ratios = log_ratios[np.isfinite(log_ratios)]
        if len(log_ratios) >= _MIN_POINTS_FOR_MEDIAN:
            medians[frame] = np.median(log_ratios)
    frames_with_median = np.flatnonzero(np.isfinite(medians))
    if not len(frames_with_median):
        return initial
    return np.interp(np.arange(len(points)), frames_with_median, medians[frames_with_median])
