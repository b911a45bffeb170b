"""Bundle adjustment of a long part of a clip, in windows of frames.

Windows overlap, so that errors do not spread.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Positions, Transforms, Values
from rilievo.data.clips.bundle_adjustment import Adjustment, PointViews, State, bundle_adjust
from rilievo.data.clips.followed_points import PointTracker, Sightings
from rilievo.data.clips.log_scales import chained_log_scales
from rilievo.data.clips.tracks import rays_at
from rilievo.geometry.transforms import invert

WINDOW = 40
"""Frames of a window."""
STEP = 20
"""Frames between the starts of windows. Of the frames that two windows share, each gives half."""
_MIN_EXPLAINED = 0.5
"""Fraction of the sightings that a window must explain to be used."""
_MIN_SIGHTINGS = 3
"""Frames that must see a point."""
_MIN_POINTS = 30
"""Points of a window below which it is not adjusted."""
_MIN_SHARED_POINTS = 12
"""Points of a frame from which their median ratio counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDepths:
    """Depth of followed points in one frame.

    Attributes:
        places: Position (x, y) of each point [px].
        depth: Depth in the unit of the poses.
        given: Depth by a model, in its unit; NaN where unknown.
        doubt: Standard error of log depth.
    """

    places: Positions
    depth: Values
    given: Values
    doubt: Values

    @classmethod
    def empty(cls) -> "PointDepths":
        """Record of no points."""
        return cls(places=np.zeros((0, 2)), depth=np.zeros(0), given=np.zeros(0), doubt=np.zeros(0))

    def times(self, factor: float) -> "PointDepths":
        """Multiply the depth of the points, as for another unit of the poses."""
        return replace(self, depth=self.depth * factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdjustedPart:
    """Adjusted part of a clip.

    Attributes:
        cam_T_world: Pose of each frame.
        log_factors: Log factor from each frame's depth to the unit of the poses.
        points: Followed points of each frame.
    """

    cam_T_world: Transforms
    log_factors: Values
    points: tuple[PointDepths, ...]


def adjust_part(
    tracker: PointTracker,
    first: int,
    cam_T_world: Transforms,
    log_factors: Values,
    K: Matrix,
) -> AdjustedPart:
    """Adjust one unbroken part of a clip.

    Args:
        tracker: What followed points through the clip.
        first: First frame of the part.
        cam_T_world: First guess of its poses.
        log_factors: First guess of the log factors from its depth to the unit of the poses.
        K: Intrinsics [px].
    """
    count = len(cam_T_world)
    windows = [
        _adjust_window_or_guess(tracker, first, span, cam_T_world, log_factors, K)
        for span in _overlapping_window_spans(count)
    ]
    log_units = _log_factors_to_common_unit(windows)

    poses, factors = cam_T_world.copy(), log_factors.copy()
    points: list[PointDepths] = [PointDepths.empty()] * count
    end_of_last = 0
    for window, log_unit in zip(windows, log_units.tolist(), strict=True):
        start, stop = window.span.start, window.span.stop
        # A window takes over in the middle of the frames that it shares with the last.
        seam = max(end_of_last - (WINDOW - STEP) // 2, 0) if end_of_last else 0
        taken = slice(seam - start, None)
        cam_T_seam = window.cam_T_world[taken] @ invert(window.cam_T_world[seam - start])
        cam_T_seam[:, :3, 3] *= np.exp(log_unit)
        poses[seam:stop] = cam_T_seam @ poses[seam]
        factors[seam:stop] = window.log_factors[taken] + log_unit
        points[seam:stop] = [depths.times(np.exp(log_unit)) for depths in window.points[taken]]
        end_of_last = stop
    return AdjustedPart(
        cam_T_world=poses,
        log_factors=_log_factors_of_points(points, factors),
        points=tuple(points),
    )


def _overlapping_window_spans(frames: int) -> list[slice]:
    spans = [slice(0, min(frames, WINDOW))]
    while spans[-1].stop < frames:
        stop = min(frames, spans[-1].stop + STEP)
        spans.append(slice(max(stop - WINDOW, 0), stop))
    return spans


@dataclass(frozen=True, slots=True, kw_only=True)
class _AdjustedWindow:
    """Result of one window, whose unit is its own.

    Attributes:
        span: Its frames in the part.
        cam_T_world: Pose of each frame.
        log_factors: Log factor from each frame's depth to the unit of the poses.
        points: Followed points of each frame.
    """

    span: slice
    cam_T_world: Transforms
    log_factors: Values
    points: tuple[PointDepths, ...]


def _adjust_window_or_guess(
    tracker: PointTracker,
    first: int,
    span: slice,
    cam_T_world: Transforms,
    log_factors: Values,
    K: Matrix,
) -> _AdjustedWindow:
    """Adjust a window; keep the first guess if points are too few or contradict each other."""
    poses, factors = cam_T_world[span], log_factors[span]
    frames = len(poses)
    guess = _AdjustedWindow(
        span=span, cam_T_world=poses, log_factors=factors, points=(PointDepths.empty(),) * frames
    )
    sightings = tracker.sightings(first + span.start, first + span.stop)
    views = group_sightings_by_point(sightings, first + span.start, K)
    if views is None:
        return guess
    adjustment = bundle_adjust(views, _initial_state(views, poses, factors))
    is_finite = np.isfinite(adjustment.state.cam_T_world).all()
    if adjustment.agrees.mean() < _MIN_EXPLAINED or not is_finite:
        return guess
    return _AdjustedWindow(
        span=span,
        cam_T_world=adjustment.state.cam_T_world,
        log_factors=adjustment.state.log_factors,
        points=tuple(_reliable_points_in(frame, views, adjustment) for frame in range(frames)),
    )


def group_sightings_by_point(sightings: Sightings, first: int, K: Matrix) -> PointViews | None:
    """Group the sightings of points that three frames or more see.

    Args:
        sightings: The sightings.
        first: Frame that becomes number 0.
        K: Intrinsics [px].

    Returns:
        The sightings, or None if points are fewer than 30.
    """
    if not len(sightings.frame):
        return None
    point = sightings.point - sightings.point.min()
    is_seen_enough = np.bincount(point) >= _MIN_SIGHTINGS
    sightings = sightings.where(is_seen_enough[point])
    order = np.lexsort((sightings.frame, sightings.point))
    is_first = np.diff(sightings.point[order], prepend=-1) != 0
    if is_first.sum() < _MIN_POINTS:
        return None
    first_sightings, later_sightings = order[is_first], order[~is_first]
    number = np.cumsum(is_first) - 1
    return PointViews(
        frame=sightings.frame[later_sightings] - first,
        point=number[~is_first],
        place=sightings.place[later_sightings],
        depth=sightings.depth[later_sightings],
        begins=sightings.frame[first_sightings] - first,
        first=sightings.place[first_sightings],
        first_depth=sightings.depth[first_sightings],
        K=K,
    )


def _initial_state(views: PointViews, cam_T_world: Transforms, log_factors: Values) -> State:
    """State with points at the model's depth, or at the median where it is unknown."""
    log_depths = np.log(views.first_depth) + log_factors[views.begins]
    is_known = np.isfinite(log_depths)
    median = float(np.median(log_depths[is_known])) if is_known.any() else 0.0
    return State(
        cam_T_world=cam_T_world,
        log_factors=log_factors,
        log_depths=np.where(is_known, log_depths, median),
    )


def _reliable_points_in(frame: int, views: PointViews, adjustment: Adjustment) -> PointDepths:
    """Depth, in one frame, of the points that most of their sightings agree on."""
    agreeing = np.bincount(views.point, adjustment.agrees, len(views.begins))
    total = np.bincount(views.point, minlength=len(views.begins))
    is_reliable = (agreeing >= _MIN_SIGHTINGS - 1) & (agreeing > total / 2)

    # Points that began in an earlier frame.
    state = adjustment.state
    is_seen: np.ndarray = (views.frame == frame) & adjustment.agrees & is_reliable[views.point]
    point = views.point[is_seen]
    first_pose = state.cam_T_world[views.begins[point]]
    in_first = rays_at(views.first[point], views.K) * np.exp(state.log_depths[point])[:, None]
    cam_T_first = state.cam_T_world[frame] @ invert(first_pose)
    depth = np.einsum("ni,ni->n", cam_T_first[:, 2, :3], in_first) + cam_T_first[:, 2, 3]

    # Points that begin in this frame.
    begins = is_reliable & (views.begins == frame)
    depths = np.concatenate([depth, np.exp(state.log_depths[begins])])
    is_in_front = depths > 0
    return PointDepths(
        places=np.concatenate([views.place[is_seen], views.first[begins]])[is_in_front],
        depth=depths[is_in_front],
        given=np.concatenate([views.depth[is_seen], views.first_depth[begins]])[is_in_front],
        doubt=np.concatenate([adjustment.doubt[point], adjustment.doubt[begins]])[is_in_front],
    )


def _log_factors_to_common_unit(windows: Sequence[_AdjustedWindow]) -> Float64[np.ndarray, "w"]:
    """Log factor from the unit of each window to that of all, by points that two windows share."""
    steps = [np.nan]
    for before, after in itertools.pairwise(windows):
        shared = before.span.stop - after.span.start
        frames = zip(before.points[-shared:], after.points[:shared], strict=True)
        ratios = [_log_depth_ratios(first, second) for first, second in frames]
        medians = [np.median(ratio) for ratio in ratios if len(ratio) >= _MIN_SHARED_POINTS]
        steps.append(float(np.median(medians)) if medians else np.nan)
    return chained_log_scales(steps)


def _log_depth_ratios(first: PointDepths, second: PointDepths) -> Values:
    """Log of the first depth over the second, of the points at equal positions."""
    _, in_first, in_second = np.intersect1d(
        first.places @ [1, 1j], second.places @ [1, 1j], return_indices=True
    )
    return np.log(first.depth[in_first] / second.depth[in_second])


def _log_factors_of_points(points: Sequence[PointDepths], guess: Values) -> Values:
    """Median log of the depth of points over the model's, interpolated between frames.

    The guess is returned if no frame has enough points.
    """
    medians = np.full(len(points), np.nan)
    for frame, depths in enumerate(points):
        ratios = np.log(depths.depth / depths.given)
        ratios = ratios[np.isfinite(ratios)]
        if len(ratios) >= _MIN_SHARED_POINTS:
            medians[frame] = np.median(ratios)
    known_frames = np.flatnonzero(np.isfinite(medians))
    if not len(known_frames):
        return guess
    return np.interp(np.arange(len(points)), known_frames, medians[known_frames])
