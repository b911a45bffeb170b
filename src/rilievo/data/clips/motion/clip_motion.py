"""Camera motion along a clip, by tracked corners with depth.

Every frame is compared with the last key frame, so that slow motion adds up and its noise does
not. A frame becomes a key frame once the picture has moved far enough. Depth of each key frame has
a scale of its own: neighbouring key frames must agree on the depth of their common corners, and a
weak pull towards the scale that the depth came with keeps the chain from drifting away. This chain
is where a bundle adjustment over windows of frames begins.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rilievo.data.clips.motion.adjust_clip import PointDepths, adjust_part
from rilievo.data.clips.motion.chained_scales import chained_log_scales
from rilievo.data.clips.motion.pair_motion import TRACKING, UNKNOWN, PairMotion, motion_of_tracks
from rilievo.data.clips.motion.tracks import (
    FOLLOWING,
    FrameDepth,
    GreyFrame,
    PointTracker,
    Tracking,
    Tracks,
    depth_at,
    grey,
    rays_at,
    track_corners,
    track_matched,
)
from rilievo.frozen import frozen
from rilievo.geometry.transforms import invert, rigid
from rilievo.shapes import Float, Float64, Int64, Pixels, Transforms, Values

_MOVED = 0.06
"""Median displacement [share of the width] from which a frame becomes a key frame."""
_LOST = 0.5
"""Share of the corners found again under which a frame becomes a key frame."""
_FEWEST = 12
"""Smallest number of corners that a ratio of scales is measured with."""
DepthSource = Callable[[], FrameDepth]
"""Function that computes the depth of a frame when it is needed."""


@frozen
class FrameMotion:
    """Motion of one frame since its key frame.

    Attributes:
        key: Index of the key frame; the frame's own index where a part of the clip begins.
        pair: Motion ``frame_T_key`` in the unit of the key frame's depth, with its quality.
        ratio: Depth of the key frame, moved to this frame, over this frame's own depth: the median
            over common corners. 1 where too few are seen, or this frame's depth was not needed.
    """

    key: int
    pair: PairMotion
    ratio: float


@frozen
class ClipMotion:
    """Motion of a camera along a clip.

    Attributes:
        cam_T_world: Transform from the world to each frame's camera. The world is the camera of
            the first frame. A new part of the clip begins at the last pose of the part before.
        scales: Factor by which the depth of each frame agrees with the unit of ``cam_T_world``.
        parts: Number of the part that each frame belongs to, from 0. A new part begins where no
            common corners are found, such as at a cut: its poses have no relation to those before.
        frames: Motion of each frame since its key frame, with its quality.
        points: Depth of followed points in each frame, in the unit of ``cam_T_world``.
    """

    cam_T_world: Transforms
    scales: Values
    parts: Int64[np.ndarray, "n"]
    frames: tuple[FrameMotion, ...]
    points: tuple[PointDepths, ...]

    @property
    def cuts(self) -> tuple[int, ...]:
        """Indices of the frames at which a new part begins, without the first."""
        return tuple(int(index) + 1 for index in np.flatnonzero(np.diff(self.parts)))


class _Seen:
    """A frame that later frames may be compared with; its depth is computed when it is needed."""

    def __init__(
        self,
        index: int,
        grey: GreyFrame,
        depth: FrameDepth | DepthSource,
    ) -> None:
        self.index, self.grey, self._depth = index, grey, depth

    @property
    def has_depth(self) -> bool:
        """Whether depth is there already."""
        return isinstance(self._depth, np.ndarray)

    @property
    def depth(self) -> FrameDepth:
        """Depth of the frame."""
        if not isinstance(self._depth, np.ndarray):
            self._depth = self._depth()
        return self._depth


class ClipTracker:
    """Estimates the motion of a clip frame by frame; two frames are kept in memory.

    The places of followed points are kept too, some 20 kB a frame.
    """

    def __init__(self, K: Float[np.ndarray, "3 3"], following: Tracking = FOLLOWING) -> None:
        """Make a tracker of a clip without frames.

        Args:
            K: Intrinsics of the frames [px].
            following: Settings of the search for points that are followed.
        """
        self._K = K.astype(np.float64)
        self._key: _Seen | None = None
        self._last: _Seen | None = None
        self._frames: list[FrameMotion] = []
        self._points = PointTracker(following)

    def add(
        self,
        frame: Pixels,
        depth: FrameDepth | DepthSource,
    ) -> FrameMotion:
        """Add the next frame and its depth, and return its motion.

        Args:
            frame: RGB pixels.
            depth: Depth, or a function that computes it, which is called where it is needed.
        """
        now = _Seen(len(self._frames), grey(frame), depth)
        motion = self._found(now)
        self._points.add(
            now.grey, lambda: now.depth, has_depth=now.has_depth, cut=motion.key == now.index
        )
        self._frames.append(motion)
        self._last = now
        return motion

    def motion(self) -> ClipMotion:
        """Return the motion of all frames so far."""
        chain = self._chain()
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

    def _chain(self) -> ClipMotion:
        """The motion by pairs of frames alone."""
        count = len(self._frames)
        keys = sorted({frame.key for frame in self._frames})
        logs = dict(zip(keys, _log_scales(self._frames, keys).tolist(), strict=True))
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
            points=(PointDepths.none(),) * count,
        )

    def _found(self, now: _Seen) -> FrameMotion:
        """Compare a frame with the key frame, or with the last frame where that fails.

        A new part begins only where features cannot be matched either.
        """
        for track, key in itertools.product((track_corners, track_matched), self._earlier):
            tracks = track(key.grey, now.grey, TRACKING)
            pair = motion_of_tracks(tracks, key.depth, self._K)
            if pair.known:
                far = _is_far(tracks, now.grey.shape[1])
                self._key = now if far else key
                ratio = 1.0
                if far or now.has_depth:
                    ratio = _ratio(key, now, tracks, pair, self._K)
                return FrameMotion(key=key.index, pair=pair, ratio=ratio)
        self._key = now
        return FrameMotion(key=now.index, pair=UNKNOWN, ratio=1.0)

    @property
    def _earlier(self) -> tuple[_Seen, ...]:
        """Frames to compare the next one with, the best first."""
        if self._key is None or self._last is None:
            return ()
        return (self._key,) if self._key is self._last else (self._key, self._last)


def _is_far(tracks: Tracks, width: int) -> bool:
    return tracks.share < _LOST or float(np.median(np.abs(tracks.way).max(axis=1))) > _MOVED * width


def _ratio(
    key: _Seen, now: _Seen, tracks: Tracks, pair: PairMotion, K: Float[np.ndarray, "3 3"]
) -> float:
    """Depth of the key frame's corners as seen from now, over the depth of now."""
    z, own = depth_at(key.depth, tracks.start), depth_at(now.depth, tracks.end)
    moved = (rays_at(tracks.start, K) * z[:, None]) @ pair.source_T_target[2, :3]
    ratios = (moved + pair.source_T_target[2, 3]) / own
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    return float(np.median(ratios)) if len(ratios) >= _FEWEST else 1.0


def _log_scales(frames: Sequence[FrameMotion], keys: Sequence[int]) -> Float64[np.ndarray, "k"]:
    """Log scales of key frames, each of which was compared with the one before."""
    steps = [math.nan if frames[key].key == key else math.log(frames[key].ratio) for key in keys]
    return chained_log_scales(steps)
