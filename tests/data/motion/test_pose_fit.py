"""Image errors of corners under a motion, against derivatives and covariances by NumPy."""

import numpy as np
from scipy.spatial.transform import Rotation

from rilievo.data.motion import pose_fit
from rilievo.data.motion.pose_fit import Corners, reprojection_errors

K = np.array([[110.0, 0, 63.5], [0, 105.0, 47.5], [0, 0, 1]])
R, T = Rotation.from_rotvec([0.02, -0.05, 0.01]).as_matrix(), np.array([0.1, -0.03, 0.05])


def places(points: np.ndarray) -> np.ndarray:
    """Where a pinhole sees points after the motion [px]."""
    moved = (points @ R.T + T) @ K.T
    return moved[:, :2] / moved[:, 2:]


def test_errors_are_weighed_by_the_inverse_of_their_covariance() -> None:
    """The covariance is that of tracking, and of depth along the epipolar line."""
    rng = np.random.default_rng(2)
    points = np.c_[rng.uniform(-0.5, 0.5, (30, 2)), np.ones(30)] * rng.uniform(0.5, 2, (30, 1))
    ends = places(points) + rng.normal(0, 2, (30, 2))
    found = reprojection_errors(Corners(points=points, ends=ends, K=K), R, T)

    step = 1e-6
    along = (places(points * np.exp(step)) - places(points * np.exp(-step))) / (2 * step)
    np.testing.assert_allclose(found.d_uv_d_log_depth, along, rtol=1e-6, atol=1e-6)
    of_depth = pose_fit.DEPTH_DEVIATION**2 * along[:, :, None] * along[:, None, :]
    inverse = np.linalg.inv(pose_fit.TRACKING_DEVIATION**2 * np.eye(2) + of_depth)
    np.testing.assert_allclose(found.inverse_covariance, inverse, rtol=1e-6, atol=1e-6)
    error = ends - places(points)
    squared = np.einsum("ni,nij,nj->n", error, inverse, error)
    np.testing.assert_allclose(found.squared_mahalanobis, squared, rtol=1e-5)


def test_a_corner_behind_the_camera_is_far_off() -> None:
    points = np.array([[0.0, 0.0, -1.0]])
    found = reprojection_errors(Corners(points=points, ends=np.array([[63.5, 47.5]]), K=K), R, T)
    np.testing.assert_array_equal(found.squared_mahalanobis, 1e6)
