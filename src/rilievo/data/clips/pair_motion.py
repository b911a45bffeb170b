"""Camera motion between two frames, by tracked corners with uncertain depth.

Robust least squares begin at P-n-P with RANSAC (Lepetit et al. 2009) or without motion. An image
error has the covariance σ² 1 + s² j jᵀ, where j is its change by log depth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import (
    Float,
    Float64,
    Matrix,
    Points,
    Positions,
    Transform,
    Values,
    Vector,
)
from rilievo.data.clips.tracks import FrameDepth, Tracking, Tracks, depth_at, rays_at
from rilievo.errors import MissingExtraError
from rilievo.geometry.transforms import axis_angle_from_rotation, rigid, rotation_from_axis_angle

PIXEL = 0.2
"""Standard deviation of tracking [px]."""
_DEPTH = 0.3  # standard deviation of log depth
OUTLIER = 3.0
"""Standard deviations of a mistaken corner."""
_ROUNDS, _STEP_DONE = 20, 1e-6
_SLACK = 16.0  # factor of the first round, halved in each
NEAREST = 1e-6


class Corners(NamedTuple):
    """Target points with median depth 1, and source positions [px]."""

    points: Points
    ends: Positions
    K: Matrix


class PoseFit(NamedTuple):
    """Motion, robust cost, and normal matrix of (rotation, translation)."""

    R: Matrix
    t: Vector
    cost: float
    information: Float64[np.ndarray, "6 6"]


class Errors(NamedTuple):
    """Image errors under a motion; ``along`` is [px] by log depth, ``squared`` in deviations."""

    moved: Points
    error: Positions
    along: Positions
    inverse: Float64[np.ndarray, "n 2 2"]
    squared: Values


def fit_pose(corners: Corners) -> PoseFit:
    """Fit the motion from target to source.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    return min(
        (_refine_pose(corners, start) for start in _initial_poses(corners)),
        key=lambda fit: fit.cost,
    )


def errors_across_epipolar_lines(errors: Errors) -> Positions:
    """Parts of errors that depth cannot explain [px]."""
    length = np.maximum((errors.along**2).sum(axis=1, keepdims=True), 1e-12)
    along = (errors.error * errors.along).sum(axis=1, keepdims=True) / length
    return errors.error - along * errors.along


def _initial_poses(corners: Corners) -> list[tuple[np.ndarray, np.ndarray]]:
    """Identity, and (R, t) by RANSAC."""
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("estimating motion", "train") from missing
    starts: list[tuple[np.ndarray, np.ndarray]] = [(np.eye(3), np.zeros(3))]
    rays = rays_at(corners.ends, corners.K)
    ways = corners.K[0, 0] * (rays[:, :2] - corners.points[:, :2] / corners.points[:, 2:])
    allowed = max(1.0, _DEPTH * float(np.median(np.linalg.norm(ways, axis=1))))
    success, turn, way, _ = cv2.solvePnPRansac(
        corners.points,
        corners.ends,
        corners.K,
        None,
        iterationsCount=100,
        reprojectionError=allowed,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if success and np.isfinite(turn).all() and np.isfinite(way).all():
        starts.append((np.array(cv2.Rodrigues(turn)[0]), np.array(way[:, 0])))
    return starts


def _refine_pose(corners: Corners, start: tuple[np.ndarray, np.ndarray]) -> PoseFit:
    """Refine a pose by Gauss-Newton with Cauchy's weights."""
    R, t = start
    for number in range(_ROUNDS):
        slack = max(1.0, _SLACK / 2**number)
        H, right, _ = _normal_equations(corners, R, t, slack)
        step = np.linalg.solve(H + 1e-9 * np.trace(H) * np.eye(6), right)
        turn = rotation_from_axis_angle(step[:3])
        R, t = turn @ R, turn @ t + step[3:]
        if slack == 1 and np.abs(step).max() < _STEP_DONE:
            break
    H, _, cost = _normal_equations(corners, R, t)
    return PoseFit(R, t, cost, H)


def image_errors(corners: Corners, R: Matrix, t: Vector) -> Errors:
    """Compute errors under the motion p ↦ R p + t."""
    K = corners.K
    turned = corners.points @ R.T
    moved = turned + t
    z = np.maximum(moved[:, 2], NEAREST)
    f = K[[0, 1], [0, 1]]
    places = f * moved[:, :2] / z[:, None] + K[[0, 1], [2, 2]]
    along = f * (turned[:, :2] - moved[:, :2] * (turned[:, 2] / z)[:, None]) / z[:, None]
    error = corners.ends - places
    # Inverse of σ² 1 + s² j jᵀ (Sherman and Morrison).
    pixel, depth = PIXEL**2, _DEPTH**2
    share = depth / (pixel + depth * (along**2).sum(axis=1))
    inverse = (np.eye(2) - share[:, None, None] * along[:, :, None] * along[:, None, :]) / pixel
    squared = np.einsum("ni,nij,nj->n", error, inverse, error)
    behind = moved[:, 2] <= NEAREST
    return Errors(moved, error, along, inverse, np.where(behind, 1e6, squared))


def _normal_equations(
    corners: Corners, R: np.ndarray, t: np.ndarray, slack: float = 1.0
) -> tuple[np.ndarray, np.ndarray, float]:
    """Normal matrix and right side of (rotation, translation), and cost."""
    errors = image_errors(corners, R, t)
    weight = 1 / (1 + errors.squared / (slack * OUTLIER) ** 2)
    x, y = errors.moved[:, 0], errors.moved[:, 1]
    z = np.maximum(errors.moved[:, 2], NEAREST)
    fx, fy = corners.K[0, 0], corners.K[1, 1]
    J = np.zeros((len(x), 2, 6))
    # A turn w moves the point p by w × p, a translation moves it by itself.
    J[:, 0, 0], J[:, 0, 1], J[:, 0, 2] = -x * y / z**2, 1 + (x / z) ** 2, -y / z
    J[:, 1, 0], J[:, 1, 1], J[:, 1, 2] = -1 - (y / z) ** 2, x * y / z**2, x / z
    J[:, 0, 3], J[:, 0, 5] = 1 / z, -x / z**2
    J[:, 1, 4], J[:, 1, 5] = 1 / z, -y / z**2
    J *= np.array([fx, fy])[:, None]
    left = np.einsum("n,nia,nij->naj", weight, J, errors.inverse)
    H = np.einsum("naj,njb->ab", left, J)
    right = np.einsum("naj,nj->a", left, errors.error)
    # The determinant of the covariance keeps a long translation from excusing every error.
    spread = np.log1p((_DEPTH / PIXEL) ** 2 * (errors.along**2).sum(axis=1))
    cost = OUTLIER**2 * np.log1p(errors.squared / OUTLIER**2) + spread
    return H, right, float(cost.sum())


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


_FACTORS = (0.5, 0.7, 1.0, 1.4, 2.0)
_BETTER = 0.15  # share by which another focal length fits better
_AGREE = 0.8
_TURNING = 0.4
_LEAST_TURN = math.radians(0.5)
_FEWEST_PAIRS = 5


class CornerPair(NamedTuple):
    """Tracked corners of two frames, and depth of the first."""

    tracks: Tracks
    depth: FrameDepth


def better_focal_factor(pairs: Sequence[CornerPair], K: Float[np.ndarray, "3 3"]) -> float | None:
    """Factor of a focal length that fits clearly better, if any.

    The check finds errors of a third or more, from pairs that turn.

    Raises:
        MissingExtraError: Without OpenCV.
    """
    turned = [
        pair_errors
        for pair in pairs
        if (pair_errors := _errors_by_focal_factor(pair, K)) is not None
    ]
    turned = [pair_errors for pair_errors in turned if pair_errors.turn >= _LEAST_TURN]
    turned = sorted(turned, key=lambda errors: errors.turn)[int((1 - _TURNING) * len(turned)) :]
    if len(turned) < _FEWEST_PAIRS:
        return None
    errors = np.array([pair_errors.errors for pair_errors in turned])
    means = errors.mean(axis=0)
    best, own = int(np.argmin(means)), _FACTORS.index(1.0)
    agree = (errors[:, best] < errors[:, own]).mean() >= _AGREE
    return _FACTORS[best] if agree and means[best] < (1 - _BETTER) * means[own] else None


class _PairErrors(NamedTuple):
    errors: list[float]
    turn: float


def _errors_by_focal_factor(pair: CornerPair, K: Float[np.ndarray, "3 3"]) -> _PairErrors | None:
    attempts = []
    for factor in _FACTORS:
        changed = K.astype(np.float64)
        changed[[0, 1], [0, 1]] *= factor
        attempts.append(corner_misfit(pair.tracks, pair.depth, changed))
    corner_fits = [corner_fit for corner_fit in attempts if corner_fit is not None]
    if len(corner_fits) < len(attempts):
        return None
    return _PairErrors(
        errors=[corner_fit.across for corner_fit in corner_fits],
        turn=corner_fits[_FACTORS.index(1.0)].turn,
    )
