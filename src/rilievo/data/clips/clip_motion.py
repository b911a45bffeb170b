"""Camera motion along a clip, by tracked corners with depth.

Frames are compared with the last key frame, so that noise does not add up.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Int64, Pixels, Transforms, Values
from rilievo.data.clips.log_scales import chained_log_scales
from rilievo.data.clips.pair_motion import TRACKING, UNKNOWN, PairMotion, motion_of_tracks
from rilievo.data.clips.tracks import (
    FOLLOWING,
    FrameDepth,
    GreyFrame,
    PointTracker,
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

_MOVED = 0.06  # median displacement of a key frame [share of the width]
_LOST = 0.5  # share of corners of a new key frame
_FEWEST = 12
DepthSource = Callable[[], FrameDepth]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameMotion:
    """Motion ``frame_T_key`` of one frame, in the unit of the key frame's depth.

    Attributes:
        key: Index of the key frame; the frame's own where a part begins.
        ratio: Median depth of the key frame, moved here, over the frame's own.
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


class _FrameWithDepth:
    def __init__(
        self,
        index: int,
        grey: GreyFrame,
        depth: FrameDepth | DepthSource,
    ) -> None:
        self.index, self.grey, self._depth = index, grey, depth

    @property
    def has_depth(self) -> bool:
        return isinstance(self._depth, np.ndarray)

    @property
    def depth(self) -> FrameDepth:
        if not isinstance(self._depth, np.ndarray):
            self._depth = self._depth()
        return self._depth


class ClipTracker:
    """Estimates motion frame by frame."""

    def __init__(self, K: Float[np.ndarray, "3 3"], following: Tracking = FOLLOWING) -> None:
        self._K = K.astype(np.float64)
        self._key: _FrameWithDepth | None = None
        self._last: _FrameWithDepth | None = None
        self._frames: list[FrameMotion] = []
        self._points = PointTracker(following)

    def add(
        self,
        frame: Pixels,
        depth: FrameDepth | DepthSource,
    ) -> FrameMotion:
        """Add the next frame and its depth or a function for it; return its motion."""
        now = _FrameWithDepth(len(self._frames), grey(frame), depth)
        motion = self._motion_of_frame(now)
        self._points.add(
            now.grey, lambda: now.depth, has_depth=now.has_depth, cut=motion.key == now.index
        )
        self._frames.append(motion)
        self._last = now
        return motion

    def motion(self) -> ClipMotion:
        """Motion of all frames so far, bundle-adjusted."""
        chain = self._chain_motions()
        poses, scales = chain.cam_T_world.copy(), chain.scales.copy()
        points: list[PointDepths] = []
        for part in np.unique(chain.parts):
            [frames] = np.nonzero(chain.parts == part)
            first, last = int(frames[0]), int(frames[-1]) + 1
            if first:
                # Parts begin where the part before ends, which has moved since.
                poses[first:last] = poses[first:last] @ invert(poses[first]) @ poses[first - 1]
                poses[first] = poses[first - 1]
            adjustment = adjust_part(
                self._points, first, poses[first:last], np.log(scales[first:last]), self._K
            )
            poses[first + 1 : last] = adjustment.cam_T_world[1:]
            scales[first:last] = np.exp(adjustment.log_factors)
            points += adjustment.points
        return replace(chain, cam_T_world=poses, scales=scales, points=tuple(points))

    def _chain_motions(self) -> ClipMotion:
        count = len(self._frames)
        keys = sorted({frame.key for frame in self._frames})
        logs = dict(zip(keys, _log_scales_of_keys(self._frames, keys).tolist(), strict=True))
        poses, scales = np.tile(np.eye(4), (count, 1, 1)), np.ones(count)
        parts, part = np.zeros(count, np.int64), -1
        for index, frame in enumerate(self._frames):
            begins = frame.key == index
            part += begins
            parts[index] = part
            scale = np.exp(logs[frame.key])
            scales[index] = (
                scale if begins else np.exp(logs.get(index, np.log(scale * frame.ratio)))
            )
            if begins:
                poses[index] = poses[index - 1] if index else np.eye(4)
                continue
            moved = frame.pair.source_T_target
            poses[index] = rigid(moved[:3, :3], scale * moved[:3, 3]) @ poses[frame.key]
        return ClipMotion(
            cam_T_world=poses,
            scales=scales,
            parts=parts,
            frames=tuple(self._frames),
            points=(PointDepths.empty(),) * count,
        )

    def _motion_of_frame(self, now: _FrameWithDepth) -> FrameMotion:
        """Compare a frame with the key frame or the last, or begin a part."""
        for track, key in itertools.product(
            (track_corners, track_by_homography), self._frames_to_compare
        ):
            tracks = track(key.grey, now.grey, TRACKING)
            pair = motion_of_tracks(tracks, key.depth, self._K)
            if pair.known:
                far = _needs_new_key(tracks, now.grey.shape[1])
                self._key = now if far else key
                ratio = 1.0
                if far or now.has_depth:
                    ratio = _median_depth_ratio(key, now, tracks, pair, self._K)
                return FrameMotion(key=key.index, pair=pair, ratio=ratio)
        self._key = now
        return FrameMotion(key=now.index, pair=UNKNOWN, ratio=1.0)

    @property
    def _frames_to_compare(self) -> tuple[_FrameWithDepth, ...]:
        """Key frame, then the last; none at first."""
        if self._key is None or self._last is None:
            return ()
        return (self._key,) if self._key is self._last else (self._key, self._last)


def _needs_new_key(tracks: Tracks, width: int) -> bool:
    return tracks.share < _LOST or float(np.median(np.abs(tracks.way).max(axis=1))) > _MOVED * width


def _median_depth_ratio(
    key: _FrameWithDepth,
    now: _FrameWithDepth,
    tracks: Tracks,
    pair: PairMotion,
    K: Float[np.ndarray, "3 3"],
) -> float:
    """Key frame's depth over now's at corners; 1 for few."""
    z, own = depth_at(key.depth, tracks.start), depth_at(now.depth, tracks.end)
    moved = (rays_at(tracks.start, K) * z[:, None]) @ pair.source_T_target[2, :3]
    ratios = (moved + pair.source_T_target[2, 3]) / own
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(ratios)) if len(ratios) >= _FEWEST else 1.0


def _log_scales_of_keys(
    frames: Sequence[FrameMotion], keys: Sequence[int]
) -> Float64[np.ndarray, "k"]:
    steps = [math.nan if frames[key].key == key else math.log(frames[key].ratio) for key in keys]
    return chained_log_scales(steps)
