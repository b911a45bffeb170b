"""Pose of a camera from corners whose depth is uncertain, by robust least squares.

A reprojection error has the covariance σ² 1 + s² j jᵀ, where σ is the standard deviation of
tracking, s that of log depth, and j = d(projection) / d(log depth). Errors along the epipolar line
thus hardly count.
"""

from typing import NamedTuple

import numpy as np

from rilievo.arrays.shapes import Float64, Matrix, Points, Positions, Values, Vector
from rilievo.data.motion.tracks import rays_at
from rilievo.errors import MissingExtraError
from rilievo.geometry.transforms import rotation_from_axis_angle

TRACKING_DEVIATION = 0.2
"""Standard deviation of tracking [px]."""
DEPTH_DEVIATION = 0.3
"""Standard deviation of log depth."""
MAX_ERROR = 3.0
"""Error from which a corner counts as mistaken [standard deviations]."""
MIN_Z = 1e-6
"""Depth below which a corner counts as behind the camera, in units of the median depth."""
_SQUARED_ERROR_BEHIND_CAMERA = 1e6
_MAX_ROUNDS = 20
_MAX_STEP_AT_END = 1e-6
"""Step below which the refinement ends [rad, and units of the median depth]."""
_FIRST_SLACK = 16.0
"""Factor by which larger errors are allowed in the first round; it halves in each."""


class Corners(NamedTuple):
    """Corners of a target frame that were tracked into a source frame.

    Attributes:
        points: Points in the target camera, in units of their median depth.
        ends: Tracked positions (x, y) in the source frame [px].
        K: Intrinsics of both frames [px].
    """

    points: Points
    ends: Positions
    K: Matrix


class PoseFit(NamedTuple):
    """Motion p ↦ R p + t from the target to the source camera.

    Attributes:
        R: Rotation.
        t: Translation in units of the median depth.
        cost: Robust cost of the fit.
        information: Normal matrix of rotation and translation, whose inverse is their covariance.
    """

    R: Matrix
    t: Vector
    cost: float
    information: Float64[np.ndarray, "6 6"]


def fit_pose(corners: Corners) -> PoseFit:
    """Fit the motion from target to source.

    The fit starts once from no motion and once from P-n-P; the result of lower cost is returned.
    """
    fits = [_refine_pose(corners, R, t) for R, t in _initial_poses(corners)]
    return min(fits, key=lambda fit: fit.cost)


def _initial_poses(corners: Corners) -> list[tuple[Matrix, Vector]]:
    """No motion, and the motion by P-n-P with RANSAC (Lepetit et al. 2009) if it finds one."""
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("estimating motion", "fuse") from missing
    poses: list[tuple[Matrix, Vector]] = [(np.eye(3), np.zeros(3))]

    ends = rays_at(corners.ends, corners.K)[:, :2]
    starts = corners.points[:, :2] / corners.points[:, 2:]
    displacements = np.linalg.norm(corners.K[0, 0] * (ends - starts), axis=1)
    # An error of depth changes the displacement of a corner by about the same fraction.
    allowed_error = max(1.0, DEPTH_DEVIATION * float(np.median(displacements)))
    success, axis_angle, translation, _ = cv2.solvePnPRansac(
        corners.points,
        corners.ends,
        corners.K,
        None,
        iterationsCount=100,
        reprojectionError=allowed_error,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if success and np.isfinite(axis_angle).all() and np.isfinite(translation).all():
        poses.append((np.array(cv2.Rodrigues(axis_angle)[0]), np.array(translation[:, 0])))
    return poses


def _refine_pose(corners: Corners, R: Matrix, t: Vector) -> PoseFit:
    """Refine a pose by Gauss-Newton with Cauchy's weights, which exclude outliers gradually.

    The step δ = (w, t) multiplies the pose from the left by the motion p ↦ exp(w) p + t.
    """
    for round_index in range(_MAX_ROUNDS):
        slack = max(1.0, _FIRST_SLACK / 2**round_index)
        equations = _normal_equations(corners, R, t, slack)
        damping = 1e-9 * np.trace(equations.matrix) * np.eye(6)
        step = np.linalg.solve(equations.matrix + damping, equations.rhs)
        rotation = rotation_from_axis_angle(step[:3])
        R, t = rotation @ R, rotation @ t + step[3:]
        if slack == 1 and np.abs(step).max() < _MAX_STEP_AT_END:
            break
    final = _normal_equations(corners, R, t)
    return PoseFit(R=R, t=t, cost=final.cost, information=final.matrix)


class ReprojectionErrors(NamedTuple):
    """Reprojection errors of tracked corners under a relative pose.

    Attributes:
        points_in_source: Points in the source camera.
        error: Tracked minus projected positions [px].
        d_uv_d_log_depth: Derivative of the projected position with respect to log depth, which
            points along the epipolar line [px].
        inverse_covariance: Inverse covariance of each error [1/px²].
        squared_mahalanobis: Squared Mahalanobis length of each error.
    """

    points_in_source: Points
    error: Positions
    d_uv_d_log_depth: Positions
    inverse_covariance: Float64[np.ndarray, "n 2 2"]
    squared_mahalanobis: Values


def reprojection_errors(corners: Corners, R: Matrix, t: Vector) -> ReprojectionErrors:
    """Compute the reprojection errors under the motion p ↦ R p + t."""
    focal, centre = corners.K[[0, 1], [0, 1]], corners.K[[0, 1], [2, 2]]
    rotated = corners.points @ R.T
    points = rotated + t
    z = np.maximum(points[:, 2], MIN_Z)
    projected = focal * points[:, :2] / z[:, None] + centre
    # A change of log depth moves the point along its rotated ray.
    j = focal * (rotated[:, :2] - points[:, :2] * (rotated[:, 2] / z)[:, None]) / z[:, None]
    error = corners.ends - projected

    # Inverse of σ² 1 + s² j jᵀ (Sherman and Morrison).
    tracking_variance, depth_variance = TRACKING_DEVIATION**2, DEPTH_DEVIATION**2
    factor = depth_variance / (tracking_variance + depth_variance * (j**2).sum(axis=1))
    outer_product = factor[:, None, None] * j[:, :, None] * j[:, None, :]
    inverse_covariance = (np.eye(2) - outer_product) / tracking_variance
    squared_mahalanobis = np.einsum("ni,nij,nj->n", error, inverse_covariance, error)
    is_behind = points[:, 2] <= MIN_Z
    return ReprojectionErrors(
        points_in_source=points,
        error=error,
        d_uv_d_log_depth=j,
        inverse_covariance=inverse_covariance,
        squared_mahalanobis=np.where(is_behind, _SQUARED_ERROR_BEHIND_CAMERA, squared_mahalanobis),
    )


def errors_across_epipolar_lines(errors: ReprojectionErrors) -> Positions:
    """Parts of the errors perpendicular to the epipolar lines, which no depth explains [px]."""
    line_directions = errors.d_uv_d_log_depth
    squared_length = np.maximum((line_directions**2).sum(axis=1, keepdims=True), 1e-12)
    projection = (errors.error * line_directions).sum(axis=1, keepdims=True) / squared_length
    return errors.error - projection * line_directions


class _Equations(NamedTuple):
    """Normal equations Σ w Jᵀ C⁻¹ J δ = Σ w Jᵀ C⁻¹ e of a step δ, and the robust cost.

    For each corner, e is the reprojection error, C its covariance, J the derivative of the
    projected position with respect to δ, and w the robust weight.
    """

    matrix: Float64[np.ndarray, "6 6"]
    rhs: Float64[np.ndarray, "6"]
    cost: float


def _normal_equations(corners: Corners, R: Matrix, t: Vector, slack: float = 1.0) -> _Equations:
    """Set up the normal equations, with Cauchy's weights for errors above ``slack * MAX_ERROR``."""
    errors = reprojection_errors(corners, R, t)
    squared = errors.squared_mahalanobis
    weight = 1 / (1 + squared / (slack * MAX_ERROR) ** 2)
    J = _motion_jacobian(errors.points_in_source, corners.K)
    weighted_J = np.einsum("n,nia,nij->naj", weight, J, errors.inverse_covariance)

    # The cost is that of a distribution whose covariance C depends on the pose, so it has the term
    # ln det C. By the determinant lemma, that is ln(1 + s² ‖j‖² / σ²), up to a constant. Without
    # it, a long translation would blow up C along the epipolar line, and so excuse every error.
    log_determinant = np.log1p(
        (DEPTH_DEVIATION / TRACKING_DEVIATION) ** 2 * (errors.d_uv_d_log_depth**2).sum(axis=1)
    )
    cost = MAX_ERROR**2 * np.log1p(squared / MAX_ERROR**2) + log_determinant
    return _Equations(
        matrix=np.einsum("naj,njb->ab", weighted_J, J),
        rhs=np.einsum("naj,nj->a", weighted_J, errors.error),
        cost=float(cost.sum()),
    )


def _motion_jacobian(points: Points, K: Matrix) -> Float64[np.ndarray, "n 2 6"]:
    """Derivatives of the projections (u, v) [px] of points if the points are moved a little.

    A small motion is a rotation w and a translation t: it moves p = (x, y, z) to p + w × p + t. The
    last axis of the result holds the derivatives with respect to the three numbers of w, and then
    the three of t. For focal lengths of 1:

    - u = x / z and v = y / z change with the point by A = [[1/z, 0, -x/z²], [0, 1/z, -y/z²]].
    - The point changes with t by the identity, and with w by -[p]ₓ, because w × p = -[p]ₓ w.

    So the derivatives are -A [p]ₓ and A.
    """
    x, y = points[:, 0], points[:, 1]
    z = np.maximum(points[:, 2], MIN_Z)
    zero = np.zeros_like(z)
    du_dw = (-x * y / z**2, 1 + (x / z) ** 2, -y / z)
    dv_dw = (-1 - (y / z) ** 2, x * y / z**2, x / z)
    du_dt = (1 / z, zero, -x / z**2)
    dv_dt = (zero, 1 / z, -y / z**2)
    J = np.stack([np.stack([*du_dw, *du_dt], axis=1), np.stack([*dv_dw, *dv_dt], axis=1)], axis=1)
    J *= np.array([K[0, 0], K[1, 1]])[:, None]
    return J
