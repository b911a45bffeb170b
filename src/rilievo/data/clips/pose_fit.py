"""Pose of a camera from corners whose depth is uncertain, by robust least squares."""

from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Points, Positions, Values, Vector
from rilievo.data.clips.tracks import rays_at
from rilievo.errors import MissingExtraError
from rilievo.geometry.transforms import rotation_from_axis_angle

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
