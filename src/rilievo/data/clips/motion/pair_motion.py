"""Motion of a camera between two frames, by tracked corners with depth."""

import math
from typing import NamedTuple

import numpy as np

from rilievo.data.clips.motion.pose_refinement import (
    NEAREST,
    OUTLIER,
    PIXEL,
    Corners,
    PoseFit,
    across_lines,
    fit_pose,
    image_errors,
)
from rilievo.data.clips.motion.tracks import FrameDepth, Tracking, Tracks, depth_at, rays_at
from rilievo.frozen import frozen
from rilievo.geometry.transforms import axis_angle_from_rotation, rigid
from rilievo.shapes import Float, Float64, Matrix, Points, Positions, Transform, Values

TRACKING = Tracking(corners=400, quality=0.005, apart=4, comes_back=0.3)

_FEWEST = 20
"""Smallest number of corners that a motion is estimated from."""
_BROADEST = 30.0
"""Standard error of the direction [degrees] from which the direction counts as unknown."""
_PARALLAX = 1.0
"""Smallest parallax [px] of a corner that is triangulated: a fifth of its depth is uncertain."""
_GOOD_PARALLAX = 2.0
"""Smallest parallax [px] of a corner that depth is judged by."""
_FEWEST_JUDGES = 10
"""Smallest number of triangulated corners that depth is compared with."""


@frozen
class Triangulated:
    """Corners of the first frame whose depth follows from their displacement and the motion.

    Attributes:
        places: Positions (x, y) in the first frame [px].
        depth: Depth, in the unit of the motion.
        parallax: Displacement that the rotation does not explain [px].
    """

    places: Positions
    depth: Values
    parallax: Values


@frozen
class PairMotion:
    """Motion between two frames, with its quality.

    Attributes:
        source_T_target: Transform from points of the first (target) camera to the second
            (source) camera, in the unit of the given depth.
        tracked: Number of corners with known depth that were found in both frames.
        inliers: Number of those that the motion explains.
        error: Median error of the inliers across their epipolar lines [px].
        parallax: Median displacement of the inliers that the rotation does not explain [px].
        direction_error: Standard error of the translation's direction [degrees], at most 90. It
            follows from the spread of the corners, not from errors of depth that they share.
        corners: Corners that are triangulated with this motion.
        depth_error: AbsRel of the given depth, scaled by the median, at those of the corners with
            enough parallax, each error at most 1. NaN where they are too few.
        judges: Number of the corners that ``depth_error`` is the mean over.
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
        """Whether enough corners agree on a motion."""
        return self.inliers >= _FEWEST and self.inliers >= 0.3 * self.tracked

    @property
    def travels(self) -> bool:
        """Whether the camera moved far enough for the direction of its translation to be known."""
        return self.known and self.direction_error < _BROADEST


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
"""Result where too few corners are found in both frames."""


def motion_of_tracks(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> PairMotion:
    """Estimate ``source_T_target`` from corners that were tracked from target to source.

    Args:
        tracks: Corners of the target, found again in the source.
        depth: Depth of the target, in any unit; values that are not finite or not above 0 are
            unknown.
        K: Intrinsics of both frames [px].

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    solution = _fitted(tracks, depth, K)
    return UNKNOWN if solution is None else _described(*solution)


class CornerMisfit(NamedTuple):
    """Misfit of tracked corners to the best motion, for comparing cameras.

    Attributes:
        across: Median error of all corners across their epipolar lines [px].
        turn: Angle of the rotation [rad].
    """

    across: float
    turn: float


def misfit(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> CornerMisfit | None:
    """Compute the misfit of corners under intrinsics; None where too few have depth.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    solution = _fitted(tracks, depth, K)
    if solution is None:
        return None
    corners, fit, _ = solution
    turn = float(np.linalg.norm(axis_angle_from_rotation(fit.R)))
    errors = np.linalg.norm(across_lines(image_errors(corners, fit.R, fit.t)), axis=1)
    return CornerMisfit(across=float(np.median(errors)), turn=turn)


def _fitted(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> tuple[Corners, PoseFit, float] | None:
    """Corners in the unit of their median depth, the best motion, and that unit."""
    z = depth_at(depth, tracks.start)
    valid = np.isfinite(z)
    if valid.sum() < _FEWEST:
        return None
    unit = float(np.median(z[valid]))
    K = K.astype(np.float64)
    rays = rays_at(tracks.start[valid], K)
    corners = Corners(points=rays * (z[valid] / unit)[:, None], ends=tracks.end[valid], K=K)
    return corners, fit_pose(corners), unit


def _described(corners: Corners, fit: PoseFit, unit: float) -> PairMotion:
    residuals = image_errors(corners, fit.R, fit.t)
    good = residuals.squared < OUTLIER**2
    if not good.any():
        return UNKNOWN
    points = _triangulated(corners, fit)
    valid = np.isfinite(points.depth)
    errors = depth_errors(corners.points[:, 2] / points.depth, points.parallax)
    turned = rays_at(_positions(corners.points @ fit.R.T, corners.K), corners.K)
    ends = rays_at(corners.ends, corners.K)
    left = (ends - turned)[:, :2] * corners.K[[0, 1], [0, 1]]
    return PairMotion(
        source_T_target=rigid(fit.R, fit.t * unit),
        tracked=len(corners.points),
        inliers=int(good.sum()),
        error=float(np.median(np.linalg.norm(across_lines(residuals), axis=1)[good])),
        parallax=float(np.median(np.linalg.norm(left, axis=1)[good])),
        direction_error=_direction_error(fit),
        corners=Triangulated(
            places=points.places[valid],
            depth=points.depth[valid] * unit,
            parallax=points.parallax[valid],
        ),
        depth_error=float(errors.mean()) if len(errors) else math.nan,
        judges=len(errors),
    )


def _triangulated(corners: Corners, fit: PoseFit) -> Triangulated:
    """Triangulate all corners, in the unit of ``corners``; NaN off their epipolar lines.

    The direction of the translation hardly depends on the given depth, see ``fit_pose``, so that
    depth that is wrong cannot excuse itself by motion.
    """
    directions = (corners.points / corners.points[:, 2:]) @ fit.R.T
    ends = rays_at(corners.ends, corners.K)
    # The point z d + t is seen at the end e: z (e d_z - d) = t - e t_z, in x and y.
    left = (ends * directions[:, 2:] - directions)[:, :2]
    right = (fit.t - ends * fit.t[2])[:, :2]
    z = (left * right).sum(axis=1) / np.maximum((left**2).sum(axis=1), 1e-12)
    focal = corners.K[0, 0]
    across = np.abs(left[:, 0] * right[:, 1] - left[:, 1] * right[:, 0])
    pixels = focal * across / np.maximum(np.linalg.norm(right, axis=1), 1e-12)
    parallax = focal * np.linalg.norm(left, axis=1)
    good = (parallax > _PARALLAX) & (z > 0) & (pixels < OUTLIER * PIXEL)
    return Triangulated(
        places=_positions(corners.points, corners.K),
        depth=np.where(good, z, np.nan),
        parallax=parallax,
    )


def depth_errors(ratio: Values, parallax: Values) -> Float64[np.ndarray, "m"]:
    """Relative differences of two depths by their ratio, up to a factor, at most 1 each.

    Corners with little parallax do not count; there is none where too few are left.
    """
    judged = ratio[np.isfinite(ratio) & (parallax > _GOOD_PARALLAX)]
    if len(judged) < _FEWEST_JUDGES:
        return np.zeros(0)
    return np.minimum(np.abs(judged / np.median(judged) - 1), 1)


def _positions(points: Points, K: Matrix) -> Positions:
    z = np.maximum(points[:, 2:], NEAREST)
    return K[[0, 1], [0, 1]] * points[:, :2] / z + K[[0, 1], [2, 2]]


def _direction_error(fit: PoseFit) -> float:
    length = float(np.linalg.norm(fit.t))
    if not length > 0:
        return 90.0
    covariance = np.linalg.pinv(fit.information)[3:, 3:]
    direction = fit.t / length
    beside = np.eye(3) - np.outer(direction, direction)
    spread = math.sqrt(max(float(np.trace(beside @ covariance @ beside)), 0.0))
    return min(90.0, math.degrees(math.atan2(spread, length)))
