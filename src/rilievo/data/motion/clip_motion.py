"""Camera motion along a clip, by tracked corners with depth.

Frames are compared with the last key frame, so that noise does not add up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float, Int64, Pixels, Transform, Transforms, Values
from rilievo.data.motion.followed_points import FOLLOWING, PointTracker
from rilievo.data.motion.log_scales import chained_log_scales
from rilievo.data.motion.pair_motion import TRACKING, UNKNOWN_MOTION, PairMotion, motion_of_tracks
from rilievo.data.motion.tracks import (
    FrameDepth,
    GreyFrame,
    PointDepths,
    Tracking,
    Tracks,
    depth_at,
    grey,
    rays_at,
    track_by_homography,
    track_corners,
)
from rilievo.data.motion.window_adjustment import adjust_part
from rilievo.geometry.transforms import invert, rigid

_MAX_DISPLACEMENT = 0.06
"""Median displacement of corners from which a frame becomes a key frame [fraction of the width]."""
_MIN_TRACKED_FRACTION = 0.5
"""Fraction of corners that return, below which a frame becomes a key frame."""
_MIN_CORNERS = 12
"""Corners with depth from which the ratio of two depth maps is known."""

DepthSource = Callable[[], FrameDepth]
"""Function that computes the depth of a frame when it is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMotion:
    """Motion ``frame_T_key`` of one frame, in the unit of the key frame's depth.

    Attributes:
        key_index: Index of the key frame, or of the frame itself where a part begins.
        pair: The motion, with its quality.
        depth_ratio: Median of the key frame's depth, moved into this frame, over the frame's own.
    """

    key_index: int
    pair: PairMotion
    depth_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMotion:
    """Motion of a camera along a clip.

    Attributes:
        cam_T_world: Poses; the world is the first camera.
        scales: Factors from each frame's depth to the unit of ``cam_T_world``.
        parts: Index of the part to which each frame belongs. A part begins after each cut, and its
            poses are unrelated to those before.
        frames: Motion of each frame from its key frame.
        points: Tracked points of each frame, in the unit of ``cam_T_world``.
    """

    cam_T_world: Transforms
    scales: Values
    parts: Int64[np.ndarray, "n"]
    frames: tuple[FrameMotion, ...]
    points: tuple[PointDepths, ...]

    @property
    def cuts(self) -> tuple[int, ...]:
        """Indices of the frames at which a new part begins, except the first."""
        return tuple(int(index) + 1 for index in np.flatnonzero(np.diff(self.parts)))

    def motion_between(self, source: int, target: int) -> Transform | None:
        """Motion ``source_T_target`` between two frames; None if there is a cut between them."""
        # Poses before and after a cut have no relation.
        if self.parts[source] != self.parts[target]:
            return None
        return self.cam_T_world[source] @ invert(self.cam_T_world[target])


class ClipTracker:
    """Estimates the motion of a camera frame by frame.

    Args:
        K: Intrinsics of all frames [px].
        following: Settings for the points that are tracked through the clip.
    """

    def __init__(self, K: Float[np.ndarray, "3 3"], following: Tracking = FOLLOWING) -> None:
        self._K = K.astype(np.float64)
        self._key: _FrameWithDepth | None = None
        self._last: _FrameWithDepth | None = None
        self._motions: list[FrameMotion] = []
        self._point_tracker = PointTracker(following)

    def add(self, frame: Pixels, depth: FrameDepth | DepthSource) -> FrameMotion:
        """Add the next frame with its depth, or with a function for it, and return its motion."""
        current = _FrameWithDepth(len(self._motions), grey(frame), depth)
        motion = self._estimate_motion(current)
        begins_part = motion.key_index == current.index
        self._point_tracker.add(
            current.grey, lambda: current.depth, has_depth=current.has_depth, is_cut=begins_part
        )
        self._motions.append(motion)
        self._last = current
        return motion

    def motion(self) -> ClipMotion:
        """Compute the motion of all frames so far, with bundle adjustment of each part."""
        chain = self._chain_motions()
        poses, scales = chain.cam_T_world.copy(), chain.scales.copy()
        points: list[PointDepths] = []
        for part in np.unique(chain.parts):
            frames = np.flatnonzero(chain.parts == part)
            first, end = int(frames[0]), int(frames[-1]) + 1
            if first:
                # A part begins at the last pose of the previous part, which was adjusted above.
                poses[first:end] = poses[first:end] @ invert(poses[first]) @ poses[first - 1]
                poses[first] = poses[first - 1]
            adjusted = adjust_part(
                self._point_tracker, first, poses[first:end], np.log(scales[first:end]), self._K
            )
            poses[first + 1 : end] = adjusted.cam_T_world[1:]
            scales[first:end] = np.exp(adjusted.log_scales)
            points += adjusted.points
        return replace(chain, cam_T_world=poses, scales=scales, points=tuple(points))

    def _estimate_motion(self, current: "_FrameWithDepth") -> FrameMotion:
        """Compare a frame with the key frame and the last frame; if both fail, begin a part."""
        for track in (track_corners, track_by_homography):
            for key in self._frames_to_compare():
                tracks = track(key.grey, current.grey, TRACKING)
                pair = motion_of_tracks(tracks, key.depth, self._K)
                if pair.is_known:
                    return self._motion_from_key(key, current, tracks, pair)
        self._key = current
        return FrameMotion(key_index=current.index, pair=UNKNOWN_MOTION, depth_ratio=1.0)

    def _frames_to_compare(self) -> "tuple[_FrameWithDepth, ...]":
        """Return the key frame, and the last frame if that is another; empty before any frame."""
        if self._key is None or self._last is None:
            return ()
        return (self._key,) if self._key is self._last else (self._key, self._last)

    def _motion_from_key(
        self, key: "_FrameWithDepth", current: "_FrameWithDepth", tracks: Tracks, pair: PairMotion
    ) -> FrameMotion:
        """Record the motion from a key frame; a frame that has moved far becomes the next key."""
        needs_new_key = _needs_new_key(tracks, current.grey.shape[1])
        self._key = current if needs_new_key else key
        depth_ratio = 1.0
        if needs_new_key or current.has_depth:
            depth_ratio = _median_depth_ratio(key, current, tracks, pair, self._K)
        return FrameMotion(key_index=key.index, pair=pair, depth_ratio=depth_ratio)

    def _chain_motions(self) -> ClipMotion:
        """Chain the motions from key frames into poses with one common scale.

        Tracked points are empty here; the bundle adjustment fills them in.
        """
        frame_count = len(self._motions)
        log_scale_by_key = _log_scales_of_keys(self._motions)
        poses = np.tile(np.eye(4), (frame_count, 1, 1))
        scales = np.ones(frame_count)
        parts = np.zeros(frame_count, np.int64)
        part = -1
        for index, motion in enumerate(self._motions):
            key_scale = np.exp(log_scale_by_key[motion.key_index])
            begins_part = motion.key_index == index
            if begins_part:
                part += 1
                scales[index] = key_scale
                # The motion across a cut is unknown, so the camera stays where it was.
                poses[index] = poses[index - 1] if index else np.eye(4)
            else:
                # A key frame has a scale already. Any other frame gets it from its depth ratio.
                log_scale = log_scale_by_key.get(index, np.log(key_scale * motion.depth_ratio))
                scales[index] = np.exp(log_scale)
                # The pair's target is the key frame, and its source is this frame.
                frame_T_key = motion.pair.source_T_target
                scaled_motion = rigid(frame_T_key[:3, :3], key_scale * frame_T_key[:3, 3])
                poses[index] = scaled_motion @ poses[motion.key_index]
            parts[index] = part
        return ClipMotion(
            cam_T_world=poses,
            scales=scales,
            parts=parts,
            frames=tuple(self._motions),
            points=(PointDepths.empty(),) * frame_count,
        )


class _FrameWithDepth:
    """A frame whose depth is computed when it is first needed."""

    def __init__(self, index: int, grey: GreyFrame, depth: FrameDepth | DepthSource) -> None:
        self.index = index
        self.grey = grey
        self._depth = depth

    @property
    def has_depth(self) -> bool:
        return isinstance(self._depth, np.ndarray)

    @property
    def depth(self) -> FrameDepth:
        if not isinstance(self._depth, np.ndarray):
            self._depth = self._depth()
        return self._depth


def _needs_new_key(tracks: Tracks, width: int) -> bool:
    median_displacement = float(np.median(np.abs(tracks.displacement).max(axis=1)))
    has_lost_corners = tracks.returned_fraction < _MIN_TRACKED_FRACTION
    return has_lost_corners or median_displacement > _MAX_DISPLACEMENT * width


def _median_depth_ratio(
    key: _FrameWithDepth,
    current: _FrameWithDepth,
    tracks: Tracks,
    pair: PairMotion,
    K: Float[np.ndarray, "3 3"],
) -> float:
    """Median of the key frame's depth, moved into the current frame, over the current depth.

    Returns 1 if too few corners have depth in both frames.
    """
    key_depth = depth_at(key.depth, tracks.start)
    current_depth = depth_at(current.depth, tracks.end)
    current_T_key = pair.source_T_target
    # The depth of a moved point is the third row of R p + t.
    rotated_depth = (rays_at(tracks.start, K) * key_depth[:, None]) @ current_T_key[2, :3]
    ratios = (rotated_depth + current_T_key[2, 3]) / current_depth
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(ratios)) if len(ratios) >= _MIN_CORNERS else 1.0


def _log_scales_of_keys(motions: Sequence[FrameMotion]) -> dict[int, float]:
    """Log scale from the depth of each key frame to a common unit, by the key frame's index."""
    key_indices = sorted({motion.key_index for motion in motions})
    log_ratios = []
    for key_index in key_indices:
        motion = motions[key_index]
        begins_part = motion.key_index == key_index
        log_ratios.append(math.nan if begins_part else math.log(motion.depth_ratio))
    return dict(zip(key_indices, chained_log_scales(log_ratios).tolist(), strict=True))
