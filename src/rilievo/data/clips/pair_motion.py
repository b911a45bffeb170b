"""Camera motion between two frames, by tracked corners with uncertain depth.

Robust least squares begin at P-n-P with RANSAC (Lepetit et al. 2009) or without motion. An image
error has the covariance σ² 1 + s² j jᵀ, where j is its change by log depth.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Matrix, Points, Positions, Transform, Values
from rilievo.data.clips.pose_fit import (
    NEAREST,
    OUTLIER,
    PIXEL,
    Corners,
    PoseFit,
    errors_across_epipolar_lines,
    fit_pose,
    image_errors,
)
from rilievo.data.clips.tracks import FrameDepth, Tracking, Tracks, depth_at, rays_at
from rilievo.geometry.transforms import axis_angle_from_rotation, rigid

TRACKING = Tracking(corners=400, quality=0.005, apart=4, comes_back=0.3)
_FEWEST = 20
_BROADEST = 30.0  # error of an unknown direction [degrees]
_PARALLAX = 1.0  # least of a triangulated corner [px]
_GOOD_PARALLAX = 2.0  # least of a corner that judges depth [px]
_FEWEST_JUDGES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Triangulated:
    """Corners (x, y) [px], depth in the unit of motion, parallax without rotation [px]."""

    places: Positions
    depth: Values
    parallax: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMotion:
    """Motion between two frames, with its quality.

    Attributes:
        source_T_target: Transform from the first (target) to the second camera, in the unit of
            depth.
        tracked: Number of corners with depth in both frames.
        error: Median error of inliers across epipolar lines [px].
        parallax: Median displacement of inliers without rotation [px].
        direction_error: Standard error of the translation's direction [degrees], at most 90.
        depth_error: AbsRel of scaled depth at ``judges`` corners; NaN for too few.
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
        return self.inliers >= _FEWEST and self.inliers >= 0.3 * self.tracked

    @property
    def travels(self) -> bool:
        """Whether the direction of translation is known."""
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


def motion_of_tracks(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> PairMotion:
    """Estimate ``source_T_target`` from corners tracked from target to source.

    Depth of the target is in any unit, and K is of both frames [px].

    Raises:
        MissingExtraError: Without OpenCV.
    """
    solution = _fit_tracks(tracks, depth, K)
    return UNKNOWN if solution is None else _motion_of_fit(*solution)


class CornerMisfit(NamedTuple):
    """Median error across epipolar lines [px], and the turn [rad]."""

    across: float
    turn: float


def corner_misfit(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> CornerMisfit | None:
    """Misfit of corners under intrinsics; None where too few have depth.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    solution = _fit_tracks(tracks, depth, K)
    if solution is None:
        return None
    corners, fit, _ = solution
    turn = float(np.linalg.norm(axis_angle_from_rotation(fit.R)))
    errors = np.linalg.norm(
        errors_across_epipolar_lines(image_errors(corners, fit.R, fit.t)), axis=1
    )
    return CornerMisfit(across=float(np.median(errors)), turn=turn)


def _fit_tracks(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> tuple[Corners, PoseFit, float] | None:
    """Corners, fit, and median depth; None for too few corners."""
    z = depth_at(depth, tracks.start)
    valid = np.isfinite(z)
    if valid.sum() < _FEWEST:
        return None
    unit = float(np.median(z[valid]))
    K = K.astype(np.float64)
    rays = rays_at(tracks.start[valid], K)
    corners = Corners(points=rays * (z[valid] / unit)[:, None], ends=tracks.end[valid], K=K)
    return corners, fit_pose(corners), unit


def _motion_of_fit(corners: Corners, fit: PoseFit, unit: float) -> PairMotion:
    residuals = image_errors(corners, fit.R, fit.t)
    good = residuals.squared < OUTLIER**2
    if not good.any():
        return UNKNOWN
    points = _triangulate_corners(corners, fit)
    valid = np.isfinite(points.depth)
    errors = depth_errors(corners.points[:, 2] / points.depth, points.parallax)
    turned = rays_at(_project_to_pixels(corners.points @ fit.R.T, corners.K), corners.K)
    ends = rays_at(corners.ends, corners.K)
    left = (ends - turned)[:, :2] * corners.K[[0, 1], [0, 1]]
    return PairMotion(
        source_T_target=rigid(fit.R, fit.t * unit),
        tracked=len(corners.points),
        inliers=int(good.sum()),
        error=float(
            np.median(np.linalg.norm(errors_across_epipolar_lines(residuals), axis=1)[good])
        ),
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


def _triangulate_corners(corners: Corners, fit: PoseFit) -> Triangulated:
    """Triangulate corners; NaN off epipolar lines."""
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
        places=_project_to_pixels(corners.points, corners.K),
        depth=np.where(good, z, np.nan),
        parallax=parallax,
    )


def depth_errors(ratio: Values, parallax: Values) -> Float64[np.ndarray, "m"]:
    """Relative differences of two depths up to a factor, at most 1, at corners with parallax."""
    judged = ratio[np.isfinite(ratio) & (parallax > _GOOD_PARALLAX)]
    if len(judged) < _FEWEST_JUDGES:
        return np.zeros(0)
    return np.minimum(np.abs(judged / np.median(judged) - 1), 1)


def _project_to_pixels(points: Points, K: Matrix) -> Positions:
    z = np.maximum(points[:, 2:], NEAREST)
    return K[[0, 1], [0, 1]] * points[:, :2] / z + K[[0, 1], [2, 2]]


def _direction_error(fit: PoseFit) -> float:
    """Standard error of translation's direction [degrees], at most 90."""
    length = float(np.linalg.norm(fit.t))
    if not length > 0:
        return 90.0
    covariance = np.linalg.pinv(fit.information)[3:, 3:]
    direction = fit.t / length
    beside = np.eye(3) - np.outer(direction, direction)
    spread = math.sqrt(max(float(np.trace(beside @ covariance @ beside)), 0.0))
    return min(90.0, math.degrees(math.atan2(spread, length)))
