"""Camera motion along a clip, by tracked corners with depth.

Frames are compared with the last key frame, so that noise does not add up.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float, Int64, Pixels, Transforms, Values
from rilievo.data.clips.followed_points import FOLLOWING, PointTracker
from rilievo.data.clips.log_scales import chained_log_scales
from rilievo.data.clips.pair_motion import TRACKING, UNKNOWN, PairMotion, motion_of_tracks
from rilievo.data.clips.tracks import (
    FrameDepth,
    GreyFrame,
    Tracking,
    Tracks,
    depth_at,
    grey,
    rays_at,
    track_by_homography,
    track_corners,
)
from rilievo.data.clips.window_adjustment import PointDepths, adjust_part
from rilievo.geometry.transforms import invert, rigid

_MAX_DISPLACEMENT = 0.06
"""Median displacement of corners from which a frame becomes a key frame [fraction of the width]."""
_MIN_TRACKED_FRACTION = 0.5
"""Fraction of corners that return, below which a frame becomes a key frame."""
_MIN_CORNERS = 12
"""Corners from which the ratio of two depth maps is known."""

DepthSource = Callable[[], FrameDepth]
"""Function that gives the depth of a frame when it is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMotion:
    """Motion ``frame_T_key`` of one frame, in the unit of the key frame's depth.

    Attributes:
        key: Index of the key frame; the frame's own where a part begins.
        pair: The motion, with its quality.
        ratio: Median depth of the key frame, moved into this frame, over the frame's own.
    """

    key: int
    pair: PairMotion
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipMotion:
    """Motion of a camera along a clip.

    Attributes:
        cam_T_world: Poses; the world is the first camera.
        scales: Factors from each frame's depth to the unit of ``cam_T_world``.
        parts: Part of each frame, from 0. After a cut, poses have no relation to those before.
        frames: Motion of each frame from its key frame.
        points: Followed points, in the unit of ``cam_T_world``.
    """

    cam_T_world: Transforms
    scales: Values
    parts: Int64[np.ndarray, "n"]
    frames: tuple[FrameMotion, ...]
    points: tuple[PointDepths, ...]

    @property
    def cuts(self) -> tuple[int, ...]:
        """Frames at which a new part begins, without the first."""
        return tuple(int(index) + 1 for index in np.flatnonzero(np.diff(self.parts)))


class ClipTracker:
    """Estimates the motion of a camera frame by frame.

    Args:
        K: Intrinsics of all frames [px].
        following: Settings for the points that are followed through the clip.
    """

    def __init__(self, K: Float[np.ndarray, "3 3"], following: Tracking = FOLLOWING) -> None:
        self._K = K.astype(np.float64)
        self._key: _FrameWithDepth | None = None
        self._last: _FrameWithDepth | None = None
        self._frames: list[FrameMotion] = []
        self._points = PointTracker(following)

    def add(self, frame: Pixels, depth: FrameDepth | DepthSource) -> FrameMotion:
        """Add the next frame with its depth, or with a function for it, and return its motion."""
        current = _FrameWithDepth(len(self._frames), grey(frame), depth)
        motion = self._motion_of_frame(current)
        begins_part = motion.key == current.index
        self._points.add(
            current.grey, lambda: current.depth, has_depth=current.has_depth, cut=begins_part
        )
        self._frames.append(motion)
        self._last = current
        return motion

    def motion(self) -> ClipMotion:
        """Motion of all frames so far, after bundle adjustment."""
        chain = self._chain_motions()
        poses, scales = chain.cam_T_world.copy(), chain.scales.copy()
        points: list[PointDepths] = []
        for part in np.unique(chain.parts):
            [frames] = np.nonzero(chain.parts == part)
            first, end = int(frames[0]), int(frames[-1]) + 1
            if first:
                # Parts begin where the part before ends, which has moved since.
                poses[first:end] = poses[first:end] @ invert(poses[first]) @ poses[first - 1]
                poses[first] = poses[first - 1]
            adjusted = adjust_part(
                self._points, first, poses[first:end], np.log(scales[first:end]), self._K
            )
            poses[first + 1 : end] = adjusted.cam_T_world[1:]
            scales[first:end] = np.exp(adjusted.log_factors)
            points += adjusted.points
        return replace(chain, cam_T_world=poses, scales=scales, points=tuple(points))

    def _motion_of_frame(self, current: "_FrameWithDepth") -> FrameMotion:
        """Compare a frame with the key frame and then the last; if both fail, begin a part."""
        for track in (track_corners, track_by_homography):
            for key in self._frames_to_compare():
                tracks = track(key.grey, current.grey, TRACKING)
                pair = motion_of_tracks(tracks, key.depth, self._K)
                if pair.known:
                    return self._motion_from_key(key, current, tracks, pair)
        self._key = current
        return FrameMotion(key=current.index, pair=UNKNOWN, ratio=1.0)

    def _frames_to_compare(self) -> "tuple[_FrameWithDepth, ...]":
        """The key frame, then the last one if it is another; none at first."""
        if self._key is None or self._last is None:
            return ()
        return (self._key,) if self._key is self._last else (self._key, self._last)

    def _motion_from_key(
        self, key: "_FrameWithDepth", current: "_FrameWithDepth", tracks: Tracks, pair: PairMotion
    ) -> FrameMotion:
        """Motion from a key frame, which the current frame follows if it has moved far."""
        needs_new_key = _needs_new_key(tracks, current.grey.shape[1])
        self._key = current if needs_new_key else key
        ratio = 1.0
        if needs_new_key or current.has_depth:
            ratio = _median_depth_ratio(key, current, tracks, pair, self._K)
        return FrameMotion(key=key.index, pair=pair, ratio=ratio)

    def _chain_motions(self) -> ClipMotion:
        """Join the motions of frames from their key frames, in one unit."""
        count = len(self._frames)
        log_scale_of_key = _log_scales_of_keys(self._frames)
        poses = np.tile(np.eye(4), (count, 1, 1))
        scales = np.ones(count)
        parts = np.zeros(count, np.int64)
        part = -1
        for index, frame in enumerate(self._frames):
            scale = np.exp(log_scale_of_key[frame.key])
            if frame.key == index:  # a part begins
                part += 1
                scales[index] = scale
                poses[index] = poses[index - 1] if index else np.eye(4)
            else:
                own_log_scale = log_scale_of_key.get(index, np.log(scale * frame.ratio))
                scales[index] = np.exp(own_log_scale)
                frame_T_key = frame.pair.source_T_target
                scaled = rigid(frame_T_key[:3, :3], scale * frame_T_key[:3, 3])
                poses[index] = scaled @ poses[frame.key]
            parts[index] = part
        return ClipMotion(
            cam_T_world=poses,
            scales=scales,
            parts=parts,
            frames=tuple(self._frames),
            points=(PointDepths.empty(),) * count,
        )


class _FrameWithDepth:
    """A frame whose depth is asked for when it is first needed."""

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
    median_displacement = float(np.median(np.abs(tracks.way).max(axis=1)))
    has_lost_corners = tracks.share < _MIN_TRACKED_FRACTION
    return has_lost_corners or median_displacement > _MAX_DISPLACEMENT * width


def _median_depth_ratio(
    key: _FrameWithDepth,
    current: _FrameWithDepth,
    tracks: Tracks,
    pair: PairMotion,
    K: Float[np.ndarray, "3 3"],
) -> float:
    """Depth of the key frame, moved into the current one, over its own; 1 for few corners."""
    key_depth = depth_at(key.depth, tracks.start)
    own_depth = depth_at(current.depth, tracks.end)
    current_T_key = pair.source_T_target
    rotated_depth = (rays_at(tracks.start, K) * key_depth[:, None]) @ current_T_key[2, :3]
    ratios = (rotated_depth + current_T_key[2, 3]) / own_depth
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(ratios)) if len(ratios) >= _MIN_CORNERS else 1.0


def _log_scales_of_keys(frames: Sequence[FrameMotion]) -> dict[int, float]:
    """Log factor from the depth of each key frame to the unit of all, by its index."""
    keys = sorted({frame.key for frame in frames})
    steps = [math.nan if frames[key].key == key else math.log(frames[key].ratio) for key in keys]
    return dict(zip(keys, chained_log_scales(steps).tolist(), strict=True))
