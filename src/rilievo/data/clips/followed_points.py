"""Points followed through a clip, from frame to frame."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int64, Positions, Values
from rilievo.data.clips.tracks import (
    FrameDepth,
    GreyFrame,
    Tracking,
    depth_at,
    new_corners,
    track_positions,
)

MAX_FRAMES_OF_POINT = 15
"""Frames through which a point is followed. Points slide: a path was off by 0.3 % with 15 frames,
and by 1.1 % with 30."""
FOLLOWING = Tracking(corners=400, quality=0.005, apart=8, comes_back=0.3)
"""Settings for frames of 640 px and more."""
_MIN_FOLLOWED_FRACTION = 0.7
"""Fraction of the wanted corners below which new points begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Sightings of points in frames, in the order of frames.

    Attributes:
        frame: Index of the frame.
        point: Number of the point.
        place: Position (x, y) [px].
        depth: Depth there by a model; NaN where unknown.
    """

    frame: Int64[np.ndarray, "n"]
    point: Int64[np.ndarray, "n"]
    place: Positions
    depth: Values

    def where(self, chosen: Bool[np.ndarray, "n"]) -> "Sightings":
        """Select the sightings of a mask."""
        return Sightings(
            frame=self.frame[chosen],
            point=self.point[chosen],
            place=self.place[chosen],
            depth=self.depth[chosen],
        )


class PointTracker:
    """Follows points through a clip, and begins new ones where few are left."""

    def __init__(self, tracking: Tracking = FOLLOWING) -> None:
        self._tracking = tracking
        self._last_frame: GreyFrame | None = None
        self._sightings: list[Sightings] = []  # of each frame
        self._next_point = 0
        # The points that are followed: their numbers, first frames and last positions.
        self._points = np.zeros(0, np.int64)
        self._first_frames = np.zeros(0, np.int64)
        self._places = np.zeros((0, 2))

    def add(
        self,
        frame: GreyFrame,
        depth: Callable[[], FrameDepth],
        *,
        has_depth: bool,
        cut: bool,
    ) -> None:
        """Follow points to the next frame.

        Args:
            frame: The frame.
            depth: Function for its depth, called if points begin or ``has_depth``.
            has_depth: Whether its depth is known already.
            cut: Whether it shows another scene, so that all points are new.

        Raises:
            MissingExtraError: Without OpenCV.
        """
        index = len(self._sightings)
        if self._last_frame is None or cut:
            self._keep(np.zeros(len(self._points), bool))
        else:
            self._places, has_returned = track_positions(
                self._last_frame, frame, self._places, self._tracking
            )
            self._keep(has_returned & (index - self._first_frames < MAX_FRAMES_OF_POINT))
        self._last_frame = frame

        begins_points = len(self._points) < _MIN_FOLLOWED_FRACTION * self._tracking.corners
        if begins_points:
            self._begin(index, new_corners(frame, self._places, self._tracking))
        depths = np.full(len(self._points), np.nan)
        if begins_points or has_depth:
            depths = depth_at(depth(), self._places)
        self._sightings.append(
            Sightings(
                frame=np.full(len(self._points), index, np.int64),
                point=self._points.copy(),
                place=self._places.copy(),
                depth=depths,
            )
        )

    def sightings(self, first: int, last: int) -> Sightings:
        """Sightings from frame ``first`` to before ``last``."""
        frames = self._sightings[first:last]
        return Sightings(
            frame=np.concatenate([sightings.frame for sightings in frames]),
            point=np.concatenate([sightings.point for sightings in frames]),
            place=np.concatenate([sightings.place for sightings in frames]),
            depth=np.concatenate([sightings.depth for sightings in frames]),
        )

    def _keep(self, mask: Bool[np.ndarray, "n"]) -> None:
        self._points = self._points[mask]
        self._first_frames = self._first_frames[mask]
        self._places = self._places[mask]

    def _begin(self, frame: int, places: Float64[np.ndarray, "m 2"]) -> None:
        """Begin a point at each of these positions."""
        count = len(places)
        new_points = self._next_point + np.arange(count)
        self._next_point += count
        self._points = np.concatenate([self._points, new_points])
        self._first_frames = np.concatenate([self._first_frames, np.full(count, frame)])
        self._places = np.concatenate([self._places, places])
