"""Camera motion between two frames, by tracked corners with uncertain depth."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Matrix, Points, Positions, Transform, Values
from rilievo.data.motion.log_scales import ScaleLink, linked_log_scales
from rilievo.data.motion.pose_fit import (
    MAX_ERROR,
    MIN_Z,
    TRACKING_DEVIATION,
    Corners,
    PoseFit,
    errors_across_epipolar_lines,
    fit_pose,
    reprojection_errors,
)
from rilievo.data.motion.tracks import (
    FrameDepth,
    GreyFrame,
    Tracking,
    Tracks,
    depth_at,
    rays_at,
    track_corners,
)
from rilievo.geometry.transforms import axis_angle_from_rotation, rigid, scale_translation

Place = TypeVar("Place", bound=tuple[int, int])
"""Sequence and number of a frame."""

TRACKING = Tracking(max_corners=400, min_quality=0.005, min_distance=4, max_return_distance=0.3)
_MIN_CORNERS = 20
"""Corners with depth, and inliers among them, below which the motion is unknown."""
_MIN_INLIER_FRACTION = 0.3
_MAX_DIRECTION_ERROR = 30.0
"""Standard error from which the direction of a translation is unknown [degrees]."""
_MIN_PARALLAX = 1.0
"""Parallax of a corner that is triangulated [px]."""
_MIN_PARALLAX_FOR_DEPTH_CHECK = 2.0
"""Parallax of a corner at which depth is checked [px]."""
_MIN_DEPTH_CHECKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangulated:
    """Triangulated corners of the target frame.

    Attributes:
        positions: Positions (x, y) [px].
        depth: Depth in the unit of the motion.
        parallax: Displacement that the rotation does not explain [px].
    """

    positions: Positions
    depth: Values
    parallax: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMotion:
    """Motion between two frames, with its quality.

    Attributes:
        source_T_target: Transform from the first (target) to the second (source) camera, in the
            unit of depth.
        num_tracked: Number of tracked corners with depth.
        num_inliers: Number of tracked corners that agree with the motion.
        epipolar_error: Median error of inliers across epipolar lines [px].
        parallax: Median displacement of inliers that the rotation does not explain [px].
        direction_error: Standard error of the translation's direction [degrees], at most 90.
        corners: Triangulated corners.
        depth_error: AbsRel of the depth, after its best scale, at corners with enough parallax;
            NaN if there are too few.
        num_depth_checks: Number of corners from which ``depth_error`` comes.
    """

    source_T_target: Transform
    num_tracked: int
    num_inliers: int
    epipolar_error: float
    parallax: float
    direction_error: float
    corners: Triangulated
    depth_error: float
    num_depth_checks: int

    @property
    def is_known(self) -> bool:
        """Whether enough corners agree."""
        return self.num_inliers >= max(_MIN_CORNERS, _MIN_INLIER_FRACTION * self.num_tracked)

    @property
    def is_direction_known(self) -> bool:
        """Whether the direction of translation is known."""
        return self.is_known and self.direction_error < _MAX_DIRECTION_ERROR


UNKNOWN_MOTION = PairMotion(
    source_T_target=np.eye(4),
    num_tracked=0,
    num_inliers=0,
    epipolar_error=math.nan,
    parallax=math.nan,
    direction_error=90.0,
    corners=Triangulated(positions=np.zeros((0, 2)), depth=np.zeros(0), parallax=np.zeros(0)),
    depth_error=math.nan,
    num_depth_checks=0,
)


def motion_between(
    target: GreyFrame, source: GreyFrame, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> PairMotion:
    """Estimate ``source_T_target`` from corners that are tracked from target to source.

    ``depth`` is that of the target, in any unit; ``motion_of_tracks`` explains the result.
    """
    return motion_of_tracks(track_corners(target, source, TRACKING), depth, K)


def motion_of_tracks(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> PairMotion:
    """Estimate ``source_T_target`` from corners tracked from target to source.

    The depth of the target frame may have any unit. The result is ``UNKNOWN_MOTION`` if too few
    corners have depth, or none agrees.
    """
    fitted = _fit_tracks(tracks, depth, K)
    return UNKNOWN_MOTION if fitted is None else _assess_motion(fitted)


class CornerMisfit(NamedTuple):
    """How badly tracked corners fit the best motion under given intrinsics.

    Attributes:
        epipolar_error: Median error across epipolar lines [px].
        rotation_angle: Angle of the rotation [rad].
    """

    epipolar_error: float
    rotation_angle: float


def corner_misfit(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> CornerMisfit | None:
    """Fit a motion under the given intrinsics and return its misfit; None for too few corners."""
    fitted = _fit_tracks(tracks, depth, K)
    if fitted is None:
        return None
    errors = reprojection_errors(fitted.corners, fitted.pose.R, fitted.pose.t)
    error_lengths = np.linalg.norm(errors_across_epipolar_lines(errors), axis=1)
    axis_angle = axis_angle_from_rotation(fitted.pose.R)
    return CornerMisfit(
        epipolar_error=float(np.median(error_lengths)),
        rotation_angle=float(np.linalg.norm(axis_angle)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _FittedTracks:
    """Corners with depth, and the motion fitted to them.

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
    """Fit a motion to the corners that have depth; None if there are too few."""
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


def _assess_motion(fitted: _FittedTracks) -> PairMotion:
    """Scale the fitted motion to the unit of the depth, and measure how good it is."""
    corners, pose, unit = fitted.corners, fitted.pose, fitted.median_depth
    errors = reprojection_errors(corners, pose.R, pose.t)
    is_inlier = errors.squared_mahalanobis < MAX_ERROR**2
    if not is_inlier.any():
        return UNKNOWN_MOTION

    triangulated = _triangulate_corners(corners, pose)
    is_triangulated = np.isfinite(triangulated.depth)
    depth_ratio = corners.points[:, 2] / triangulated.depth
    checked_errors = depth_errors(depth_ratio, triangulated.parallax)

    # Parallax is the displacement that is left after the rotation alone.
    rotated = _project_to_pixels(corners.points @ pose.R.T, corners.K)
    without_rotation = rays_at(corners.ends, corners.K) - rays_at(rotated, corners.K)
    parallax = np.linalg.norm(without_rotation[:, :2] * corners.K[[0, 1], [0, 1]], axis=1)
    epipolar_errors = np.linalg.norm(errors_across_epipolar_lines(errors), axis=1)
    return PairMotion(
        source_T_target=rigid(pose.R, pose.t * unit),
        num_tracked=len(corners.points),
        num_inliers=int(is_inlier.sum()),
        epipolar_error=float(np.median(epipolar_errors[is_inlier])),
        parallax=float(np.median(parallax[is_inlier])),
        direction_error=_direction_error(pose),
        corners=Triangulated(
            positions=triangulated.positions[is_triangulated],
            depth=triangulated.depth[is_triangulated] * unit,
            parallax=triangulated.parallax[is_triangulated],
        ),
        depth_error=float(checked_errors.mean()) if len(checked_errors) else math.nan,
        num_depth_checks=len(checked_errors),
    )


def _triangulate_corners(corners: Corners, pose: PoseFit) -> Triangulated:
    """Triangulate corners; depth is NaN without parallax or far from the epipolar line."""
    directions = (corners.points / corners.points[:, 2:]) @ pose.R.T
    ends = rays_at(corners.ends, corners.K)
    # The point z d + t projects to the end e. Its x and y give two equations for the depth z,
    # z (e d_z - d) = t - e t_z, which are solved by least squares.
    coefficients = (ends * directions[:, 2:] - directions)[:, :2]
    rhs = (pose.t - ends * pose.t[2])[:, :2]
    squared_length = (coefficients**2).sum(axis=1)
    z = (coefficients * rhs).sum(axis=1) / np.maximum(squared_length, 1e-12)

    focal = corners.K[0, 0]
    cross_product = np.abs(coefficients[:, 0] * rhs[:, 1] - coefficients[:, 1] * rhs[:, 0])
    epipolar_error = focal * cross_product / np.maximum(np.linalg.norm(rhs, axis=1), 1e-12)
    parallax = focal * np.linalg.norm(coefficients, axis=1)
    is_near_line = epipolar_error < MAX_ERROR * TRACKING_DEVIATION
    is_good = (parallax > _MIN_PARALLAX) & (z > 0) & is_near_line
    return Triangulated(
        positions=_project_to_pixels(corners.points, corners.K),
        depth=np.where(is_good, z, np.nan),
        parallax=parallax,
    )


def depth_errors(ratio: Values, parallax: Values) -> Float64[np.ndarray, "m"]:
    """Relative differences between two depths of each corner, after their best scale.

    ``ratio`` is that of the two depths, NaN where unknown, and ``parallax`` is in pixels. Returns
    the differences, at most 1, where the parallax is enough; empty for too few corners.
    """
    checked = ratio[np.isfinite(ratio) & (parallax > _MIN_PARALLAX_FOR_DEPTH_CHECK)]
    if len(checked) < _MIN_DEPTH_CHECKS:
        return np.zeros(0)
    return np.minimum(np.abs(checked / np.median(checked) - 1), 1)


def _project_to_pixels(points: Points, K: Matrix) -> Positions:
    z = np.maximum(points[:, 2:], MIN_Z)
    return K[[0, 1], [0, 1]] * points[:, :2] / z + K[[0, 1], [2, 2]]


def _direction_error(pose: PoseFit) -> float:
    """Standard error of the translation's direction [degrees], at most 90."""
    length = float(np.linalg.norm(pose.t))
    if not length > 0:  # also if it is NaN
        return 90.0
    covariance = np.linalg.pinv(pose.information)[3:, 3:]
    direction = pose.t / length
    # Only errors perpendicular to the translation change its direction.
    perpendicular = np.eye(3) - np.outer(direction, direction)
    variance = max(float(np.trace(perpendicular @ covariance @ perpendicular)), 0.0)
    return min(90.0, math.degrees(math.atan2(math.sqrt(variance), length)))


def unify_scales(
    motions: Mapping[tuple[Place, Place], Transform],
) -> dict[tuple[Place, Place], Transform]:
    """Bring motions to one scale along each sequence.

    Afterwards the motions between two targets that are sources of each other have the same length,
    up to a weak pull towards the scale that each of them had. The result does not depend on the
    order of the motions.

    Args:
        motions: ``source_T_target`` by target and source. All motions from a target have one unit.
    """
    targets = sorted({target for target, _ in motions})
    index_by_target = {target: index for index, target in enumerate(targets)}
    links = []
    for target, source in sorted(motions):
        if not target < source:
            continue  # each pair of targets gives one link, from its earlier target
        log_ratio = _log_length_ratio(motions, target, source)
        if log_ratio is not None:
            first_index = index_by_target[target]
            second_index = index_by_target[source]
            links.append(ScaleLink(first=first_index, second=second_index, log_ratio=log_ratio))
    factors = np.exp(linked_log_scales(len(targets), links))
    return {
        (target, source): scale_translation(motion, factors[index_by_target[target]])
        for (target, source), motion in motions.items()
    }


def _log_length_ratio(
    motions: Mapping[tuple[Place, Place], Transform], target: Place, source: Place
) -> float | None:
    """Log of the length of the motion to ``source`` over that of the motion back.

    Return None if one of them is missing, or has no positive finite length.
    """
    forward, backward = motions.get((target, source)), motions.get((source, target))
    if forward is None or backward is None:
        return None
    forward_length = float(np.linalg.norm(forward[:3, 3]))
    backward_length = float(np.linalg.norm(backward[:3, 3]))
    if not (0 < forward_length < math.inf and 0 < backward_length < math.inf):
        return None
    return math.log(forward_length / backward_length)
