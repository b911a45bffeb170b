"""Corners tracked to another frame and back (Bouguet 2001)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rilievo.arrays.shapes import (
    Bool,
    Float,
    Float64,
    Matrix,
    Pixels,
    Points,
    Positions,
    UInt8,
    Values,
)
from rilievo.errors import MissingExtraError

FrameDepth = Float[np.ndarray, "h w"]
"""Depth of a frame; NaN where unknown."""
GreyFrame = UInt8[np.ndarray, "h w"]
"""Brightness of a frame."""

_GREY_WEIGHTS = (77, 150, 29)
"""Weights of red, green and blue, of 256 (ITU-R BT.601)."""
_MAX_FEATURES = 1000
_MAX_DISTANCE_RATIO = 0.8
"""Distance of a feature to its match over that to the next best, below which the match counts."""
_MIN_MATCHES = 16
"""Matches that must agree on a homography. Different scenes have at most 15."""
_MAX_HOMOGRAPHY_ERROR = 1 / 80
"""Distance from a homography up to which a match agrees [fraction of the width]."""
_GUIDED_WINDOW = (21, 21)
_GUIDED_LEVELS = 2
"""Size of patches [px] and levels of the pyramid where a homography guides the tracking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Settings of tracking.

    Attributes:
        corners: Greatest number of corners.
        quality: Least strength of a corner [fraction of the strongest].
        apart: Least distance between corners [px].
        window: (width, height) of the patches that are compared [px].
        levels: Levels of the pyramid above the frame itself.
        comes_back: Largest distance from the start after tracking forward and back [px].
    """

    corners: int = 300
    quality: float = 0.01
    apart: int = 7
    window: tuple[int, int] = (15, 15)
    levels: int = 4
    comes_back: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Corners that were tracked from a frame to another.

    Attributes:
        start: Position (x, y) in the first frame [px].
        way: Displacement to the second frame [px].
        share: Fraction of all corners that returned to their start when tracked back.
    """

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
    has_returned = np.isfinite(end[:, 0])
    share = float(has_returned.mean()) if len(has_returned) else 0.0
    return Tracks(start=start[has_returned], way=(end - start)[has_returned], share=share)


def follow_corners(frames: Sequence[GreyFrame], tracking: Tracking) -> list[Positions]:
    """Track corners from frame to frame; return (x, y) [px], NaN after a loss.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    current = new_corners(frames[0], np.zeros((0, 2)), tracking)
    is_followed = np.ones(len(current), bool)
    positions = [current]
    for frame, next_frame in itertools.pairwise(frames):
        current, has_returned = track_positions(frame, next_frame, current, tracking)
        is_followed &= has_returned
        positions.append(np.where(is_followed[:, None], current, np.nan))
    return positions


def new_corners(
    frame: GreyFrame, positions: Positions, tracking: Tracking
) -> Float64[np.ndarray, "m 2"]:
    """Find corners (x, y) [px] that are apart from known ones.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    cv2 = _import_opencv()
    free = np.full(frame.shape, 255, np.uint8)
    for x, y in positions:
        cv2.circle(free, (round(x), round(y)), tracking.apart, 0, -1)
    wanted = tracking.corners - len(positions)
    if wanted < 1:
        return np.zeros((0, 2))
    corners = cv2.goodFeaturesToTrack(frame, wanted, tracking.quality, tracking.apart, mask=free)
    return np.zeros((0, 2)) if corners is None else corners[:, 0].astype(np.float64)


def track_positions(
    first: GreyFrame,
    second: GreyFrame,
    places: Positions,
    tracking: Tracking,
) -> tuple[Positions, Bool[np.ndarray, "n"]]:
    """Track positions to another frame.

    Returns:
        Positions (x, y) in the second frame [px], and a mask of those that returned to their start
        when they were tracked back.

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
    end, found, _ = track(first, second, start, None)
    returned, found_back, _ = track(second, first, end, None)
    distance = np.linalg.norm((returned - start)[:, 0], axis=1)
    is_found = (found[:, 0] == 1) & (found_back[:, 0] == 1)
    return end[:, 0].astype(np.float64), is_found & (distance < tracking.comes_back)


def track_by_homography(
    first: GreyFrame,
    second: GreyFrame,
    tracking: Tracking | None = None,
) -> Tracks:
    """Track corners over a large motion; none are found between different scenes.

    Tracking begins where a homography of ORB features (Rublee et al., ICCV 2011) puts each corner.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    cv2 = _import_opencv()
    tracking = tracking or Tracking()
    homography = _homography_of_features(first, second)
    corners = cv2.goodFeaturesToTrack(first, tracking.corners, tracking.quality, tracking.apart)
    if homography is None or corners is None:
        return Tracks(start=np.zeros((0, 2)), way=np.zeros((0, 2)), share=0.0)

    track: Any = partial(
        cv2.calcOpticalFlowPyrLK,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        winSize=_GUIDED_WINDOW,
        maxLevel=_GUIDED_LEVELS,
    )
    # OpenCV writes the result into the array of first guesses.
    guess = cv2.perspectiveTransform(corners, homography)
    tracked, found, _ = track(first, second, corners, guess)
    returned, found_back, _ = track(second, first, tracked, corners.copy())

    start, end = corners[:, 0].astype(np.float64), tracked[:, 0].astype(np.float64)
    height, width = second.shape
    is_inside = ((end >= 0) & (end <= (width - 1, height - 1))).all(axis=1)
    has_returned = np.linalg.norm(returned[:, 0] - start, axis=1) < tracking.comes_back
    is_good = (found[:, 0] == 1) & (found_back[:, 0] == 1) & has_returned & is_inside
    return Tracks(start=start[is_good], way=(end - start)[is_good], share=float(is_good.mean()))


def _homography_of_features(first: GreyFrame, second: GreyFrame) -> Matrix | None:
    """Homography on which 16 matches of features or more agree; None if they do not."""
    cv2 = _import_opencv()
    detector = cv2.ORB_create(_MAX_FEATURES)
    first_keypoints, first_descriptors = detector.detectAndCompute(first, None)
    second_keypoints, second_descriptors = detector.detectAndCompute(second, None)
    if first_descriptors is None or second_descriptors is None:
        return None

    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    matches = []
    for nearest in matcher.knnMatch(first_descriptors, second_descriptors, k=2):
        if len(nearest) == 2 and nearest[0].distance < _MAX_DISTANCE_RATIO * nearest[1].distance:
            matches.append(nearest[0])
    if len(matches) < _MIN_MATCHES:
        return None

    starts = np.array([first_keypoints[match.queryIdx].pt for match in matches])
    ends = np.array([second_keypoints[match.trainIdx].pt for match in matches])
    max_error = _MAX_HOMOGRAPHY_ERROR * first.shape[1]
    homography, agrees = cv2.findHomography(starts, ends, cv2.RANSAC, max_error)
    return homography if homography is not None and agrees.sum() >= _MIN_MATCHES else None


def _import_opencv() -> Any:
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("measuring motion", "train") from missing
    return cv2


def grey(frame: Pixels) -> GreyFrame:
    """Brightness of an RGB frame, 0 to 255."""
    return ((frame.astype(np.uint16) @ np.array(_GREY_WEIGHTS, np.uint16)) >> 8).astype(np.uint8)


def depth_at(depth: FrameDepth, places: Positions) -> Values:
    """Depth at positions (x, y) [px], interpolated linearly; NaN where unknown or outside."""
    height, width = depth.shape
    x, y = places[:, 0], places[:, 1]
    is_inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    left = np.clip(np.floor(x).astype(int), 0, max(width - 2, 0))
    top = np.clip(np.floor(y).astype(int), 0, max(height - 2, 0))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    from_left, from_top = x - left, y - top
    with np.errstate(invalid="ignore"):
        upper = depth[top, left] * (1 - from_left) + depth[top, right] * from_left
        lower = depth[bottom, left] * (1 - from_left) + depth[bottom, right] * from_left
        depths = upper * (1 - from_top) + lower * from_top
        is_known = is_inside & np.isfinite(depths) & (depths > 0)
        return np.where(is_known, depths, np.nan)


def rays_at(places: Positions, K: Float[np.ndarray, "3 3"]) -> Points:
    """Points of depth 1 in the camera at positions (x, y) [px]."""
    rays = (places - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]]
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)
