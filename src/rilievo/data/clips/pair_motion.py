"""Camera motion between two frames, by tracked corners with uncertain depth."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Matrix, Points, Positions, Transform, Values
from rilievo.data.clips.pose_fit import (
    MAX_ERROR,
    MIN_Z,
    TRACKING_DEVIATION,
    Corners,
    PoseFit,
    errors_across_epipolar_lines,
    fit_pose,
    image_errors,
)
from rilievo.data.clips.tracks import FrameDepth, Tracking, Tracks, depth_at, rays_at
from rilievo.geometry.transforms import axis_angle_from_rotation, rigid

TRACKING = Tracking(corners=400, quality=0.005, apart=4, comes_back=0.3)
_MIN_CORNERS = 20
"""Corners with depth, and inliers, without which motion is unknown."""
_MIN_INLIER_FRACTION = 0.3
_MAX_DIRECTION_ERROR = 30.0
"""Standard error from which the direction of a translation is unknown [degrees]."""
_MIN_PARALLAX = 1.0
"""Parallax of a corner that is triangulated [px]."""
_MIN_PARALLAX_OF_JUDGE = 2.0
"""Parallax of a corner that judges depth [px]."""
_MIN_JUDGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangulated:
    """Triangulated corners of the target frame.

    Attributes:
        places: Positions (x, y) [px].
        depth: Depth in the unit of the motion.
        parallax: Displacement without that of the rotation [px].
    """

    places: Positions
    depth: Values
    parallax: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMotion:
    """Motion between two frames, with its quality.

    Attributes:
        source_T_target: Transform from the first (target) to the second camera, in the unit of
            depth.
        tracked: Number of tracked corners with depth.
        inliers: Number of those that agree with the motion.
        error: Median error of inliers across epipolar lines [px].
        parallax: Median displacement of inliers without rotation [px].
        direction_error: Standard error of the translation's direction [degrees], at most 90.
        corners: Triangulated corners.
        depth_error: AbsRel of the depth, after its best scale, at corners with enough parallax;
            NaN for too few.
        judges: Number of those corners.
    """

    source_T_target: Transform
    tracked: int
    inliers: int
    error: float
    parallax: float
    direction_error: float
    corners: Triangulated
    depth_error: float
    judges: int

    @property
    def known(self) -> bool:
        """Whether enough corners agree."""
        return self.inliers >= max(_MIN_CORNERS, _MIN_INLIER_FRACTION * self.tracked)

    @property
    def travels(self) -> bool:
        """Whether the direction of translation is known."""
        return self.known and self.direction_error < _MAX_DIRECTION_ERROR


UNKNOWN = PairMotion(
    source_T_target=np.eye(4),
    tracked=0,
    inliers=0,
    error=math.nan,
    parallax=math.nan,
    direction_error=90.0,
    corners=Triangulated(places=np.zeros((0, 2)), depth=np.zeros(0), parallax=np.zeros(0)),
    depth_error=math.nan,
    judges=0,
)


def motion_of_tracks(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> PairMotion:
    """Estimate ``source_T_target`` from corners tracked from target to source.

    Args:
        tracks: Tracked corners.
        depth: Depth of the target frame, in any unit.
        K: Intrinsics of both frames [px].

    Raises:
        MissingExtraError: Without OpenCV.
    """
    fitted = _fit_tracks(tracks, depth, K)
    return UNKNOWN if fitted is None else _motion_of_fit(fitted)


class CornerMisfit(NamedTuple):
    """How well corners fit to a motion under given intrinsics.

    Attributes:
        across: Median error across epipolar lines [px].
        turn: Angle of the rotation [rad].
    """

    across: float
    turn: float


def corner_misfit(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> CornerMisfit | None:
    """Misfit of corners under intrinsics; None if too few have depth.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    fitted = _fit_tracks(tracks, depth, K)
    if fitted is None:
        return None
    errors = image_errors(fitted.corners, fitted.pose.R, fitted.pose.t)
    error_lengths = np.linalg.norm(errors_across_epipolar_lines(errors), axis=1)
    rotation = axis_angle_from_rotation(fitted.pose.R)
    return CornerMisfit(
        across=float(np.median(error_lengths)), turn=float(np.linalg.norm(rotation))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedTracks:
    """Corners with depth, and the motion that fits to them.

    Attributes:
        corners: The corners, in units of their median depth.
        pose: The motion, in the same unit.
        median_depth: That unit, in the unit of the depth map.
    """

    corners: Corners
    pose: PoseFit
    median_depth: float


def _fit_tracks(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> _FittedTracks | None:
    """Fit a motion to the corners with depth; None if they are too few."""
    z = depth_at(depth, tracks.start)
    has_depth = np.isfinite(z)
    if has_depth.sum() < _MIN_CORNERS:
        return None
    median_depth = float(np.median(z[has_depth]))
    K = K.astype(np.float64)
    rays = rays_at(tracks.start[has_depth], K)
    points = rays * (z[has_depth] / median_depth)[:, None]
    corners = Corners(points=points, ends=tracks.end[has_depth], K=K)
    return _FittedTracks(corners=corners, pose=fit_pose(corners), median_depth=median_depth)


def _motion_of_fit(fitted: _FittedTracks) -> PairMotion:
    corners, pose, unit = fitted.corners, fitted.pose, fitted.median_depth
    errors = image_errors(corners, pose.R, pose.t)
    is_inlier = errors.squared < MAX_ERROR**2
    if not is_inlier.any():
        return UNKNOWN

    triangulated = _triangulate_corners(corners, pose)
    is_triangulated = np.isfinite(triangulated.depth)
    depth_ratio = corners.points[:, 2] / triangulated.depth
    judged_errors = depth_errors(depth_ratio, triangulated.parallax)

    rotated = _project_to_pixels(corners.points @ pose.R.T, corners.K)
    without_rotation = rays_at(corners.ends, corners.K) - rays_at(rotated, corners.K)
    parallax = np.linalg.norm(without_rotation[:, :2] * corners.K[[0, 1], [0, 1]], axis=1)
    epipolar_errors = np.linalg.norm(errors_across_epipolar_lines(errors), axis=1)
    return PairMotion(
        source_T_target=rigid(pose.R, pose.t * unit),
        tracked=len(corners.points),
        inliers=int(is_inlier.sum()),
        error=float(np.median(epipolar_errors[is_inlier])),
        parallax=float(np.median(parallax[is_inlier])),
        direction_error=_direction_error(pose),
        corners=Triangulated(
            places=triangulated.places[is_triangulated],
            depth=triangulated.depth[is_triangulated] * unit,
            parallax=triangulated.parallax[is_triangulated],
        ),
        depth_error=float(judged_errors.mean()) if len(judged_errors) else math.nan,
        judges=len(judged_errors),
    )


def _triangulate_corners(corners: Corners, pose: PoseFit) -> Triangulated:
    """Triangulate corners; depth is NaN without parallax or far from the epipolar line."""
    directions = (corners.points / corners.points[:, 2:]) @ pose.R.T
    ends = rays_at(corners.ends, corners.K)
    # The point z d + t is seen at the end e: z (e d_z - d) = t - e t_z, in x and y.
    left = (ends * directions[:, 2:] - directions)[:, :2]
    right = (pose.t - ends * pose.t[2])[:, :2]
    z = (left * right).sum(axis=1) / np.maximum((left**2).sum(axis=1), 1e-12)

    focal = corners.K[0, 0]
    cross_product = np.abs(left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])
    epipolar_error = focal * cross_product / np.maximum(np.linalg.norm(right, axis=1), 1e-12)
    parallax = focal * np.linalg.norm(left, axis=1)
    is_near_line = epipolar_error < MAX_ERROR * TRACKING_DEVIATION
    is_good = (parallax > _MIN_PARALLAX) & (z > 0) & is_near_line
    return Triangulated(
        places=_project_to_pixels(corners.points, corners.K),
        depth=np.where(is_good, z, np.nan),
        parallax=parallax,
    )


def depth_errors(ratio: Values, parallax: Values) -> Float64[np.ndarray, "m"]:
    """Relative differences of two depths of corners, after their best scale.

    Args:
        ratio: Ratio of the two depths at each corner; NaN where unknown.
        parallax: Parallax of each corner [px].

    Returns:
        Differences of the corners with enough parallax, at most 1; none if these are too few.
    """
    judged = ratio[np.isfinite(ratio) & (parallax > _MIN_PARALLAX_OF_JUDGE)]
    if len(judged) < _MIN_JUDGES:
        return np.zeros(0)
    return np.minimum(np.abs(judged / np.median(judged) - 1), 1)


def _project_to_pixels(points: Points, K: Matrix) -> Positions:
    z = np.maximum(points[:, 2:], MIN_Z)
    return K[[0, 1], [0, 1]] * points[:, :2] / z + K[[0, 1], [2, 2]]


def _direction_error(pose: PoseFit) -> float:
    """Standard error of the translation's direction [degrees], at most 90."""
    length = float(np.linalg.norm(pose.t))
    if not length > 0:
        return 90.0
    covariance = np.linalg.pinv(pose.information)[3:, 3:]
    direction = pose.t / length
    sideways = np.eye(3) - np.outer(direction, direction)
    variance = max(float(np.trace(sideways @ covariance @ sideways)), 0.0)
    return min(90.0, math.degrees(math.atan2(math.sqrt(variance), length)))
