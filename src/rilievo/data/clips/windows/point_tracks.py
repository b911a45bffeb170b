"""Points followed through a clip from frame to frame, for as long as they can be trusted."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rilievo.data.clips.motion.tracks import (
    FrameDepth,
    GreyFrame,
    Tracking,
    depth_at,
    follow,
    new_corners,
)
from rilievo.frozen import frozen
from rilievo.shapes import Bool, Float64, Int64, Positions, Values

MOST_FRAMES = 15
"""Number of frames through which a point is followed. Over more of them points slide: the path of
KITTI's drive 00 over 150 frames was off by .3 % with 15, and by 1.1 % with 30.
"""
FOLLOWING = Tracking(corners=400, quality=0.005, apart=8, comes_back=0.3)
"""Settings for frames of some 640 px and more. Corners farther apart than those of a pair: with
4 px in place of 8 the path through a rendered room was off by 1.2 % in place of .2 %."""
_FEW = 0.7
"""Share of the largest number of points below which new ones begin, for which depth is asked."""


@frozen
class Sightings:
    """Positions of followed points, one entry for each frame in which a point was seen.

    Entries are in the order of frames.

    Attributes:
        frame: Index of the frame.
        point: Number of the point.
        place: Position (x, y) [px].
        depth: Depth that a model gives the pixel, in its unit; NaN where it was not asked.
    """

    frame: Int64[np.ndarray, "n"]
    point: Int64[np.ndarray, "n"]
    place: Positions
    depth: Values

    def where(self, chosen: Bool[np.ndarray, "n"]) -> "Sightings":
        """Return some of the entries."""
        return Sightings(
            frame=self.frame[chosen],
            point=self.point[chosen],
            place=self.place[chosen],
            depth=self.depth[chosen],
        )


@dataclass(slots=True)
class PointTracker:
    """Follows points through the frames of a clip; the last frame alone is kept in memory.

    Attributes:
        tracking: Settings of the search for points.
    """

    tracking: Tracking = FOLLOWING
    _last: GreyFrame | None = None
    _count: int = 0
    _numbers: Int64[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0, np.int64))
    _begun: Int64[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0, np.int64))
    _places: Positions = field(default_factory=lambda: np.zeros((0, 2)))
    _next: int = 0
    _seen: list[Sightings] = field(default_factory=list)

    def add(
        self,
        frame: GreyFrame,
        depth: Callable[[], FrameDepth],
        *,
        has_depth: bool,
        cut: bool,
    ) -> None:
        """Follow the points to the next frame; begin new ones where few are left.

        Args:
            frame: Grey frame.
            depth: Function that returns the depth of the frame. It is called where points begin,
                or where that costs nothing.
            has_depth: Whether depth costs nothing, as it is there already.
            cut: Whether the frame has nothing to do with the one before.

        Raises:
            MissingExtraError: If OpenCV is not installed.
        """
        index, self._count = self._count, self._count + 1
        if self._last is None or cut:
            self._keep(np.zeros(len(self._numbers), bool))
        else:
            self._places, success = follow(self._last, frame, self._places, self.tracking)
            self._keep(success & (index - self._begun < MOST_FRAMES))
        self._last = frame
        few = len(self._numbers) < _FEW * self.tracking.corners
        if few:
            self._begin(index, new_corners(frame, self._places, self.tracking))
        values = depth_at(depth(), self._places) if few or has_depth else None
        self._seen.append(
            Sightings(
                frame=np.full(len(self._numbers), index, np.int64),
                point=self._numbers.copy(),
                place=self._places.copy(),
                depth=np.full(len(self._numbers), np.nan) if values is None else values,
            )
        )

    def sightings(self, first: int, last: int) -> Sightings:
        """Return the sightings in the frames from ``first`` to before ``last``."""
        frames = self._seen[first:last]
        return Sightings(
            frame=np.concatenate([sighting.frame for sighting in frames]),
            point=np.concatenate([sighting.point for sighting in frames]),
            place=np.concatenate([sighting.place for sighting in frames]),
            depth=np.concatenate([sighting.depth for sighting in frames]),
        )

    def _keep(self, mask: Bool[np.ndarray, "n"]) -> None:
        self._numbers, self._begun = self._numbers[mask], self._begun[mask]
        self._places = self._places[mask]

    def _begin(self, index: int, places: Float64[np.ndarray, "m 2"]) -> None:
        numbers = self._next + np.arange(len(places))
        self._next += len(places)
        self._numbers = np.concatenate([self._numbers, numbers])
        self._begun = np.concatenate([self._begun, np.full(len(places), index)])
        self._places = np.concatenate([self._places, places])
