"""Corners tracked forward and back (Bouguet 2001), and points followed through a clip."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from rilievo.arrays.shapes import (
    Bool,
    Float,
    Float64,
    Int64,
    Matrix,
    Pixels,
    Points,
    Positions,
    UInt8,
    Values,
)
from rilievo.errors import MissingExtraError

FrameDepth = Float[np.ndarray, "h w"]

GreyFrame = UInt8[np.ndarray, "h w"]


_GREY = (77, 150, 29)  # RGB weights of 256 (ITU-R BT.601)
_FEATURES, _DISTINCT = 1000, 0.8  # and the ratio of a match to the next best
_MATCHES = 16  # different scenes have at most 15
_AGREES = 1 / 80
_GUIDED: Mapping[str, Any] = {"winSize": (21, 21), "maxLevel": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Settings of tracking.

    Attributes:
        quality: Least strength, as a share of the strongest.
        apart: Least distance of corners [px].
        window: (width, height) of patches [px].
        comes_back: Largest distance from the start after forward and back [px].
    """

    corners: int = 300
    quality: float = 0.01
    apart: int = 7
    window: tuple[int, int] = (15, 15)
    levels: int = 4
    comes_back: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Corners (x, y) [px], their displacement, and the share that returned."""

    start: Positions
    way: Positions
    share: float

    @property
    def end(self) -> Positions:
        """Position (x, y) in the second frame [px]."""
        return self.start + self.way


def track_corners(
    first: GreyFrame,
    second: GreyFrame,
    tracking: Tracking | None = None,
) -> Tracks:
    """Track corners to the second frame and back, and keep those that return.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    start, end = follow_corners((first, second), tracking or Tracking())
    good = np.isfinite(end[:, 0])
    share = float(good.mean()) if len(good) else 0.0
    return Tracks(start=start[good], way=(end - start)[good], share=share)


def follow_corners(frames: Sequence[GreyFrame], tracking: Tracking) -> list[Positions]:
    """Track corners from frame to frame; return (x, y) [px], NaN after a loss.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    now = new_corners(frames[0], np.zeros((0, 2)), tracking)
    places, alive = [now], np.ones(len(now), bool)
    for one, other in itertools.pairwise(frames):
        now, success = track_positions(one, other, now, tracking)
        alive &= success
        places.append(np.where(alive[:, None], now, np.nan))
    return places


def new_corners(
    frame: GreyFrame, positions: Positions, tracking: Tracking
) -> Float64[np.ndarray, "m 2"]:
    """Find corners (x, y) [px] apart from known ones.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    cv2 = _import_opencv()
    free = np.full(frame.shape, 255, np.uint8)
    for x, y in positions:
        cv2.circle(free, (round(x), round(y)), tracking.apart, 0, -1)
    most = tracking.corners - len(positions)
    if most < 1:
        return np.zeros((0, 2))
    corners = cv2.goodFeaturesToTrack(frame, most, tracking.quality, tracking.apart, mask=free)
    return np.zeros((0, 2)) if corners is None else corners[:, 0].astype(np.float64)


def track_positions(
    first: GreyFrame,
    second: GreyFrame,
    places: Positions,
    tracking: Tracking,
) -> tuple[Positions, Bool[np.ndarray, "n"]]:
    """Track positions to another frame; return (x, y) [px] and which came back.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    if not len(places):
        return places, np.zeros(0, bool)
    # OpenCV's stubs require an array for the result; its manual says that None creates one.
    track: Any = partial(
        _import_opencv().calcOpticalFlowPyrLK, winSize=tracking.window, maxLevel=tracking.levels
    )
    start = places[:, None].astype(np.float32)
    there, status, _ = track(first, second, start, None)
    back, found_back, _ = track(second, first, there, None)
    off = np.linalg.norm((back - start)[:, 0], axis=1)
    good = (status[:, 0] == 1) & (found_back[:, 0] == 1) & (off < tracking.comes_back)
    return there[:, 0].astype(np.float64), good


def track_by_homography(
    first: GreyFrame,
    second: GreyFrame,
    tracking: Tracking | None = None,
) -> Tracks:
    """Track corners over large motion; none between scenes.

    A homography of ORB features (Rublee et al., ICCV 2011) begins the tracking.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    cv2, tracking = _import_opencv(), tracking or Tracking()
    guess = _homography_of_features(first, second)
    corners = cv2.goodFeaturesToTrack(first, tracking.corners, tracking.quality, tracking.apart)
    if guess is None or corners is None:
        return Tracks(start=np.zeros((0, 2)), way=np.zeros((0, 2)), share=0.0)
    # OpenCV writes the result into the guess.
    track: Any = partial(cv2.calcOpticalFlowPyrLK, flags=cv2.OPTFLOW_USE_INITIAL_FLOW, **_GUIDED)
    there, status, _ = track(first, second, corners, cv2.perspectiveTransform(corners, guess))
    back, found_back, _ = track(second, first, there, corners.copy())
    start, end = corners[:, 0].astype(np.float64), there[:, 0].astype(np.float64)
    height, width = second.shape
    inside = ((end >= 0) & (end <= (width - 1, height - 1))).all(axis=1)
    returns = np.linalg.norm(back[:, 0] - start, axis=1) < tracking.comes_back
    good = (status[:, 0] == 1) & (found_back[:, 0] == 1) & returns & inside
    return Tracks(start=start[good], way=(end - start)[good], share=float(good.mean()))


def _homography_of_features(first: GreyFrame, second: GreyFrame) -> Matrix | None:
    cv2 = _import_opencv()
    detector = cv2.ORB_create(_FEATURES)
    (here, one), (there, other) = (
        detector.detectAndCompute(item, None) for item in (first, second)
    )
    if one is None or other is None:
        return None
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(one, other, k=2)
    matches = [
        pair[0]
        for pair in pairs
        if len(pair) == 2 and pair[0].distance < _DISTINCT * pair[1].distance
    ]
    if len(matches) < _MATCHES:
        return None
    starts = np.array([here[item.queryIdx].pt for item in matches])
    ends = np.array([there[item.trainIdx].pt for item in matches])
    homography, agree = cv2.findHomography(starts, ends, cv2.RANSAC, _AGREES * first.shape[1])
    return homography if homography is not None and agree.sum() >= _MATCHES else None


def _import_opencv() -> Any:
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("measuring motion", "train") from missing
    return cv2


def grey(frame: Pixels) -> GreyFrame:
    """Brightness of RGB, 0 to 255."""
    return ((frame.astype(np.uint16) @ np.array(_GREY, np.uint16)) >> 8).astype(np.uint8)


def depth_at(depth: FrameDepth, places: Positions) -> Values:
    """Linear depth at positions (x, y) [px]; NaN where unknown."""
    height, width = depth.shape
    x, y = places[:, 0], places[:, 1]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    left = np.clip(np.floor(x).astype(int), 0, max(width - 2, 0))
    top = np.clip(np.floor(y).astype(int), 0, max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = x - left, y - top
    with np.errstate(invalid="ignore"):
        upper = depth[top, left] * (1 - across) + depth[top, right] * across
        lower = depth[bottom, left] * (1 - across) + depth[bottom, right] * across
        depths = upper * (1 - down) + lower * down
        return np.where(inside & np.isfinite(depths) & (depths > 0), depths, np.nan)


def rays_at(places: Positions, K: Float[np.ndarray, "3 3"]) -> Points:
    """Points of depth 1 at positions (x, y) [px]."""
    rays = (places - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]]
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)


MOST_FRAMES = 15  # a point slides: a path was off by .3 % with 15, 1.1 % with 30
FOLLOWING = Tracking(corners=400, quality=0.005, apart=8, comes_back=0.3)
"""Settings for frames of 640 px and more."""
_FEW = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """Positions (x, y) of points [px] in the order of frames, with depth by a model, or NaN."""

    frame: Int64[np.ndarray, "n"]
    point: Int64[np.ndarray, "n"]
    place: Positions
    depth: Values

    def where(self, chosen: Bool[np.ndarray, "n"]) -> "Sightings":
        """Select entries."""
        return Sightings(
            frame=self.frame[chosen],
            point=self.point[chosen],
            place=self.place[chosen],
            depth=self.depth[chosen],
        )


@dataclass(slots=True)
class PointTracker:
    """Follows points through a clip."""

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
        """Follow points to the next frame; begin new ones where few are left.

        ``depth`` is called where points begin or ``has_depth``; after a ``cut`` all are new.

        Raises:
            MissingExtraError: Without OpenCV.
        """
        index, self._count = self._count, self._count + 1
        if self._last is None or cut:
            self._keep_points_of_mask(np.zeros(len(self._numbers), bool))
        else:
            self._places, success = track_positions(self._last, frame, self._places, self.tracking)
            self._keep_points_of_mask(success & (index - self._begun < MOST_FRAMES))
        self._last = frame
        few = len(self._numbers) < _FEW * self.tracking.corners
        if few:
            self._add_new_points(index, new_corners(frame, self._places, self.tracking))
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
        """Sightings from frame ``first`` to before ``last``."""
        frames = self._seen[first:last]
        return Sightings(
            frame=np.concatenate([sighting.frame for sighting in frames]),
            point=np.concatenate([sighting.point for sighting in frames]),
            place=np.concatenate([sighting.place for sighting in frames]),
            depth=np.concatenate([sighting.depth for sighting in frames]),
        )

    def _keep_points_of_mask(self, mask: Bool[np.ndarray, "n"]) -> None:
        self._numbers, self._begun = self._numbers[mask], self._begun[mask]
        self._places = self._places[mask]

    def _add_new_points(self, index: int, places: Float64[np.ndarray, "m 2"]) -> None:
        numbers = self._next + np.arange(len(places))
        self._next += len(places)
        self._numbers = np.concatenate([self._numbers, numbers])
        self._begun = np.concatenate([self._begun, np.full(len(places), index)])
        self._places = np.concatenate([self._places, places])
