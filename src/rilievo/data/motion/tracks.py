"""Corners tracked to another frame and back (Bouguet 2001), and depth at their positions."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    Transform,
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
_GUIDED_WINDOW_SIZE = (21, 21)
_GUIDED_PYRAMID_LEVELS = 2
"""Size of patches [px] and levels of the pyramid where a homography guides the tracking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Settings for corner detection and Lucas-Kanade tracking.

    Attributes:
        max_corners: Largest number of corners.
        min_quality: Least strength of a corner [fraction of the strongest].
        min_distance: Least distance between corners [px].
        window_size: (width, height) of the patches that are compared [px].
        pyramid_levels: Levels of the pyramid above the frame itself.
        max_return_distance: Largest distance from the start after tracking forward and back [px].
    """

    max_corners: int = 300
    min_quality: float = 0.01
    min_distance: int = 7
    window_size: tuple[int, int] = (15, 15)
    pyramid_levels: int = 4
    max_return_distance: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracks:
    """Corners that were tracked from one frame to another.

    Attributes:
        start: Position (x, y) in the first frame [px].
        displacement: Displacement to the second frame [px].
        returned_fraction: Fraction of all corners that returned to their start when tracked back.
    """

    start: Positions
    displacement: Positions
    returned_fraction: float

    @property
    def end(self) -> Positions:
        """Position (x, y) in the second frame [px]."""
        return self.start + self.displacement


@dataclass(frozen=True, slots=True, kw_only=True)
class PointDepths:
    """Depth of tracked points in one frame.

    Attributes:
        positions: Position (x, y) of each point [px].
        depth: Adjusted depth, in the unit of the poses.
        model_depth: Depth by a model, in the model's unit; NaN where unknown.
        log_depth_std: Standard error of the log of ``depth``.
    """

    positions: Positions
    depth: Values
    model_depth: Values
    log_depth_std: Values

    @classmethod
    def empty(cls) -> "PointDepths":
        """Record of no points."""
        empty = np.zeros(0)
        positions = np.zeros((0, 2))
        return cls(positions=positions, depth=empty, model_depth=empty, log_depth_std=empty)

    def more_precise_than(self, log_depth_std: float) -> "PointDepths":
        """Keep the points whose log depth has a smaller standard error."""
        is_precise = self.log_depth_std < log_depth_std
        return PointDepths(
            positions=self.positions[is_precise],
            depth=self.depth[is_precise],
            model_depth=self.model_depth[is_precise],
            log_depth_std=self.log_depth_std[is_precise],
        )

    def times(self, factor: float) -> "PointDepths":
        """Multiply the depth of the points, as for another unit of the poses."""
        return replace(self, depth=self.depth * factor)

    def parallax(self, source_T_target: Transform, K: Matrix) -> Values:
        """Displacement of each point that a translation alone causes [px].

        The points are those of the target frame, whose motion has their unit.
        """
        R, t = source_T_target[:3, :3], source_T_target[:3, 3]
        rotated_rays = rays_at(self.positions, K) @ R.T
        moved_points = rotated_rays * self.depth[:, None] + t
        focal_lengths = K[[0, 1], [0, 1]]
        displacements = _perspective_divide(moved_points) - _perspective_divide(rotated_rays)
        return np.linalg.norm(displacements * focal_lengths, axis=1)


def track_corners(first: GreyFrame, second: GreyFrame, tracking: Tracking | None = None) -> Tracks:
    """Track corners to the second frame and back, and keep those that return."""
    start, end = follow_corners((first, second), tracking or Tracking())
    has_returned = np.isfinite(end[:, 0])
    return Tracks(
        start=start[has_returned],
        displacement=(end - start)[has_returned],
        returned_fraction=float(has_returned.mean()) if len(has_returned) else 0.0,
    )


def follow_corners(frames: Sequence[GreyFrame], tracking: Tracking) -> list[Positions]:
    """Track the corners of the first frame through all frames.

    Returns:
        Positions (x, y) in each frame [px]; NaN once a corner is lost.
    """
    current = new_corners(frames[0], np.zeros((0, 2)), tracking)
    is_tracked = np.ones(len(current), bool)
    positions = [current]
    for frame, next_frame in itertools.pairwise(frames):
        current, has_returned = track_positions(frame, next_frame, current, tracking)
        is_tracked &= has_returned
        positions.append(np.where(is_tracked[:, None], current, np.nan))
    return positions


def new_corners(
    frame: GreyFrame, known_positions: Positions, tracking: Tracking
) -> Float64[np.ndarray, "m 2"]:
    """Find corners (x, y) [px] that are not close to known ones.

    Known and new corners together are at most ``tracking.max_corners``.
    """
    cv2 = _import_opencv()
    free_pixels = np.full(frame.shape, 255, np.uint8)
    for x, y in known_positions:
        cv2.circle(free_pixels, (round(x), round(y)), tracking.min_distance, 0, -1)
    max_new_corners = tracking.max_corners - len(known_positions)
    if max_new_corners < 1:
        return np.zeros((0, 2))
    corners = cv2.goodFeaturesToTrack(
        frame, max_new_corners, tracking.min_quality, tracking.min_distance, mask=free_pixels
    )
    return np.zeros((0, 2)) if corners is None else corners[:, 0].astype(np.float64)


def track_positions(
    first: GreyFrame, second: GreyFrame, positions: Positions, tracking: Tracking
) -> tuple[Positions, Bool[np.ndarray, "n"]]:
    """Track positions to another frame by the Lucas-Kanade method.

    Returns:
        Positions (x, y) in the second frame [px], and a mask of those that returned to their start
        when they were tracked back.
    """
    if not len(positions):
        return positions, np.zeros(0, bool)
    # OpenCV's stubs require an array for the result; its manual says that None creates one.
    track: Any = partial(
        _import_opencv().calcOpticalFlowPyrLK,
        winSize=tracking.window_size,
        maxLevel=tracking.pyramid_levels,
    )
    start = positions[:, None].astype(np.float32)
    end, found, _ = track(first, second, start, None)
    returned, found_back, _ = track(second, first, end, None)
    return_distance = np.linalg.norm((returned - start)[:, 0], axis=1)
    is_found = (found[:, 0] == 1) & (found_back[:, 0] == 1)
    has_returned = is_found & (return_distance < tracking.max_return_distance)
    return end[:, 0].astype(np.float64), has_returned


def track_by_homography(
    first: GreyFrame, second: GreyFrame, tracking: Tracking | None = None
) -> Tracks:
    """Track corners over a large motion. No corners are found between different scenes.

    Tracking begins where a homography of ORB features (Rublee et al., ICCV 2011) puts each corner.
    """
    cv2 = _import_opencv()
    tracking = tracking or Tracking()
    homography = _estimate_homography(first, second)
    corners = cv2.goodFeaturesToTrack(
        first, tracking.max_corners, tracking.min_quality, tracking.min_distance
    )
    if homography is None or corners is None:
        no_positions = np.zeros((0, 2))
        return Tracks(start=no_positions, displacement=no_positions, returned_fraction=0.0)

    track: Any = partial(
        cv2.calcOpticalFlowPyrLK,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        winSize=_GUIDED_WINDOW_SIZE,
        maxLevel=_GUIDED_PYRAMID_LEVELS,
    )
    # OpenCV overwrites the array of initial positions with the result.
    initial_positions = cv2.perspectiveTransform(corners, homography)
    tracked, found, _ = track(first, second, corners, initial_positions)
    returned, found_back, _ = track(second, first, tracked, corners.copy())

    start, end = corners[:, 0].astype(np.float64), tracked[:, 0].astype(np.float64)
    height, width = second.shape
    is_inside = ((end >= 0) & (end <= (width - 1, height - 1))).all(axis=1)
    return_distance = np.linalg.norm(returned[:, 0] - start, axis=1)
    is_found = (found[:, 0] == 1) & (found_back[:, 0] == 1)
    is_good = is_found & (return_distance < tracking.max_return_distance) & is_inside
    return Tracks(
        start=start[is_good],
        displacement=(end - start)[is_good],
        returned_fraction=float(is_good.mean()),
    )


def _estimate_homography(first: GreyFrame, second: GreyFrame) -> Matrix | None:
    """Estimate a homography from ORB matches by RANSAC; None if fewer than 16 matches agree."""
    cv2 = _import_opencv()
    detector = cv2.ORB_create(_MAX_FEATURES)
    first_keypoints, first_descriptors = detector.detectAndCompute(first, None)
    second_keypoints, second_descriptors = detector.detectAndCompute(second, None)
    if first_descriptors is None or second_descriptors is None:
        return None

    matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
    matches = []
    for candidates in matcher.knnMatch(first_descriptors, second_descriptors, k=2):
        if len(candidates) < 2:
            continue
        best, second_best = candidates
        if best.distance < _MAX_DISTANCE_RATIO * second_best.distance:
            matches.append(best)
    if len(matches) < _MIN_MATCHES:
        return None

    starts = np.array([first_keypoints[match.queryIdx].pt for match in matches])
    ends = np.array([second_keypoints[match.trainIdx].pt for match in matches])
    max_error = _MAX_HOMOGRAPHY_ERROR * first.shape[1]
    homography, is_inlier = cv2.findHomography(starts, ends, cv2.RANSAC, max_error)
    if homography is None or is_inlier.sum() < _MIN_MATCHES:
        return None
    return homography


def _import_opencv() -> Any:
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("measuring motion", "fuse") from missing
    return cv2


def grey(frame: Pixels) -> GreyFrame:
    """Brightness of an RGB frame, 0 to 255."""
    return ((frame.astype(np.uint16) @ np.array(_GREY_WEIGHTS, np.uint16)) >> 8).astype(np.uint8)


def depth_at(depth: FrameDepth, positions: Positions) -> Values:
    """Depth at positions (x, y) [px], interpolated bilinearly; NaN where unknown or outside."""
    height, width = depth.shape
    x, y = positions[:, 0], positions[:, 1]
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


def rays_at(positions: Positions, K: Float[np.ndarray, "3 3"]) -> Points:
    """Points of depth 1 in the camera at positions (x, y) [px]."""
    rays = (positions - K[[0, 1], [2, 2]]) / K[[0, 1], [0, 1]]
    return np.concatenate([rays, np.ones((len(rays), 1))], axis=1)


def _perspective_divide(points: Points) -> Positions:
    """Points (x / z, y / z); z is at least 1e-6, so that points behind the camera stay finite."""
    return points[:, :2] / np.maximum(points[:, 2:], 1e-6)
