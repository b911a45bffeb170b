"""Motion of targets, with depth of their corners, over windows of frames.

Sources lie a stride away, so that a clip falls apart into chains. Frames beside each other, of
different chains, tell by how much depth errs.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from rilievo.data.clips.motion.adjust_clip import PointDepths
from rilievo.data.clips.motion.clip_motion import ClipMotion, ClipTracker
from rilievo.data.clips.motion.pair_motion import TRACKING, Triangulated
from rilievo.data.clips.motion.tracks import Tracking, follow, grey, rays_at
from rilievo.frozen import frozen
from rilievo.geometry.transforms import invert
from rilievo.shapes import AnyPlane, Float64, Matrix, Positions, Transform, Values
from rilievo.training.arrays import Indices
from rilievo.training.video.frames.target_frames import VideoTargetFrames
from rilievo.training.video.frames.targets import FramePlace, Target

_FOLLOWING = Tracking(corners=800, quality=0.005, apart=4, comes_back=0.3)
"""Twice the corners of trajectories: directions in five clips were up to 11.8 degrees off, and 12.7
with half as many."""
_SURE = 0.1
"""Largest standard error of log depth of a point."""
_FEWEST = 20
_SAME = 1.0
"""Largest distance between the same point in two chains [px]."""
_FEWEST_SAME = 10
_BESIDE = 3


@frozen
class WindowMotion:
    """Motion of one target, in the unit of its chain; ``parallax`` is in pixels."""

    motions: Mapping[FramePlace, Transform]
    parallax: float
    points: PointDepths

    def unit_of(self, points: Triangulated) -> float:
        """Factor from the unit of triangulated corners to that of the chain."""
        if not len(points.depth):
            return math.nan
        nearest = _nearest(points.places, self.points.places)
        ratios = self.points.depth[nearest.index] / points.depth
        same = nearest.apart < _SAME
        return float(np.median(ratios[same])) if same.sum() >= _FEWEST_SAME else math.nan


@frozen
class Windows:
    """Motion of targets over windows.

    Attributes:
        error: Mean relative error of depth by chains that know nothing of each other.
        given_error: The same of given depth.
    """

    targets: Mapping[FramePlace, WindowMotion]
    error: float
    given_error: float


@dataclass(slots=True)
class _Chain:
    K: Matrix
    tracker: ClipTracker
    targets: list[Target] = field(default_factory=list)


class WindowTracker:
    """Tracker of points through the chains of targets."""

    def __init__(self, frames: VideoTargetFrames) -> None:
        self._frames = frames
        self._chains: list[_Chain] = []
        self._open: dict[FramePlace, _Chain] = {}

    def add(self, target: Target, depth: AnyPlane) -> None:
        """Add the next target; raises ``MissingExtraError`` without OpenCV."""
        if any(source.sequence != target.place.sequence for source in target.sources):
            return
        before = [source for source in target.sources if source < target.place]
        chain = self._open.pop(max(before), None) if before else None
        if chain is None:
            K = self._frames.K_of(target)
            chain = _Chain(K=K, tracker=ClipTracker(K, _FOLLOWING))
            self._chains.append(chain)
        chain.tracker.add(self._frames.frame_of(target.place), depth)
        chain.targets.append(target)
        self._open[target.place] = chain

    def windows(self) -> Windows:
        """Return the motion of all targets."""
        motions: dict[FramePlace, WindowMotion] = {}
        chain_of: dict[FramePlace, int] = {}
        for number, chain in enumerate(self._chains):
            here = _targets(chain, chain.tracker.motion())
            motions |= here
            chain_of |= dict.fromkeys(here, number)
        errors = [
            error
            for one, other in itertools.pairwise(sorted(motions))
            if chain_of[one] != chain_of[other] and other.frame - one.frame <= _BESIDE
            for error in self._errors(one, other, motions)
        ]
        model_errors = [
            error
            for motion in motions.values()
            for error in _spread(motion.points.given / motion.points.depth).tolist()
        ]
        return Windows(
            targets=motions,
            # Both frames err; the mean error of one of them is smaller by the root of two.
            error=float(np.mean(errors)) / math.sqrt(2) if errors else math.nan,
            given_error=float(np.mean(model_errors)) if model_errors else math.nan,
        )

    def _errors(
        self, one: FramePlace, other: FramePlace, motions: Mapping[FramePlace, WindowMotion]
    ) -> list[float]:
        if one.sequence != other.sequence:
            return []
        frames = [grey(self._frames.frame_of(place)) for place in (one, other)]
        here, there = motions[one].points, motions[other].points
        moved, back = follow(frames[0], frames[1], here.places, TRACKING)
        nearest = _nearest(moved, there.places)
        same = back & (nearest.apart < _SAME)
        return _spread(here.depth[same] / there.depth[nearest.index[same]]).tolist()


class _Nearest(NamedTuple):
    index: Indices
    apart: Values


def _nearest(places: Positions, others: Float64[np.ndarray, "m 2"]) -> _Nearest:
    apart = np.linalg.norm(places[:, None] - others[None], axis=2)
    return _Nearest(index=apart.argmin(axis=1), apart=apart.min(axis=1))


def _targets(chain: _Chain, motion: ClipMotion) -> dict[FramePlace, WindowMotion]:
    places = {target.place: index for index, target in enumerate(chain.targets)}
    motions = {}
    for index, target in enumerate(chain.targets):
        points = _chosen(motion.points[index])
        near = {
            source: motion.cam_T_world[places[source]] @ invert(motion.cam_T_world[index])
            for source in target.sources
            if source in places and motion.parts[places[source]] == motion.parts[index]
        }
        if near and len(points.depth) >= _FEWEST:
            motions[target.place] = WindowMotion(
                motions=near,
                parallax=min(_parallax(points, transform, chain.K) for transform in near.values()),
                points=points,
            )
    return motions


def _chosen(points: PointDepths) -> PointDepths:
    sure = points.doubt < _SURE
    return replace(
        points,
        places=points.places[sure],
        depth=points.depth[sure],
        given=points.given[sure],
        doubt=points.doubt[sure],
    )


def _parallax(points: PointDepths, motion: Transform, K: Matrix) -> float:
    rays = rays_at(points.places, K) @ motion[:3, :3].T
    moved = rays * points.depth[:, None] + motion[:3, 3]
    ends, starts = (vectors[:, :2] / np.maximum(vectors[:, 2:], 1e-6) for vectors in (moved, rays))
    return float(np.median(np.linalg.norm((ends - starts) * K[[0, 1], [0, 1]], axis=1)))


def _spread(ratio: Values) -> Float64[np.ndarray, "m"]:
    ratios = ratio[np.isfinite(ratio)]
    if len(ratios) < _FEWEST_SAME:
        return np.zeros(0)
    return np.minimum(np.abs(ratios / np.median(ratios) - 1), 1)
