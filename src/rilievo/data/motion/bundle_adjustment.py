"""Bundle adjustment of poses, depth scales and points (Triggs et al., 1999).

A weak prior keeps depth near the model's. Robust weights exclude outliers gradually (Blake and
Zisserman 1987). Steps are Levenberg-Marquardt with the Schur complement.
"""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int64, Matrix
from rilievo.data.motion.tracks import rays_at
from rilievo.geometry.transforms import cross_matrix, rigid, rotation_from_axis_angle

TRACKING_DEVIATION = 0.3
"""Standard deviation of tracking a point into the next frame [px]."""
_VARIANCE_GROWTH = 0.2
"""Growth of the variance with each further frame, since tracked points slide [fraction]."""
_DEPTH_DEVIATION = 0.3
"""Standard deviation of a model's log depth."""
_SCALE_DEVIATION = 0.25
"""Standard deviation of the log scale of a frame's depth."""
_MAX_DEPTH_ERROR = 3.0
"""Error from which the model's depth of a point hardly counts [standard deviations]."""
_MAX_IMAGE_ERROR = 3.0
"""Error from which an observation counts as mistaken [standard deviations]."""
_MIN_Z = 1e-3
"""Depth below which a point counts as behind the camera, in the unit of the poses."""
_ERROR_BEHIND_CAMERA = 1e3
"""Image error of a point behind the camera [standard deviations]."""

_FIRST_SLACK = 16.0
"""Factor by which larger errors are allowed in the first round; it halves in each."""
_MAX_ROUNDS = 30
_MIN_RELATIVE_GAIN = 1e-5
"""Gain of a round below which the adjustment ends, relative to the cost."""
_FIRST_DAMPING, _MIN_DAMPING, _MAX_DAMPING = 1e-3, 1e-7, 1e6
_DAMPING_FACTOR = 5
"""Factor by which damping falls after a good step, and grows after a bad one."""
_MAX_LOG_DEPTH_STEP = 1.0
_TINY = 1e-9
"""Added to diagonals, so that a frame or point that nothing constrains stays where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointObservations:
    """Observations of points by tracking, except the one in each point's first frame.

    Frames and points are indices from 0. Depth is predicted by a model, and NaN where unknown.

    Attributes:
        frame_index: Frame of each observation.
        point_index: Point of each observation.
        position: Position (x, y) of each observation [px].
        depth: Depth at each observation.
        first_frame: First frame that sees each point.
        first_position: Position (x, y) of each point in that frame [px].
        first_depth: Depth of each point in that frame.
        K: Intrinsics of all frames [px].
    """

    frame_index: Int64[np.ndarray, "observations"]
    point_index: Int64[np.ndarray, "observations"]
    position: Float64[np.ndarray, "observations 2"]
    depth: Float64[np.ndarray, "observations"]
    first_frame: Int64[np.ndarray, "points"]
    first_position: Float64[np.ndarray, "points 2"]
    first_depth: Float64[np.ndarray, "points"]
    K: Matrix

    @property
    def position_std(self) -> Float64[np.ndarray, "observations"]:
        """Standard deviation of each observation [px], which grows after a point's first frame."""
        frames_since_first = self.frame_index - self.first_frame[self.point_index]
        return TRACKING_DEVIATION * np.sqrt(1 + _VARIANCE_GROWTH * frames_since_first)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The unknowns of the bundle adjustment.

    Attributes:
        cam_T_world: Pose of each frame.
        log_scales: Log of the factor from each frame's depth to the unit of the poses.
        log_depths: Log depth of each point in its first frame, in the unit of the poses.
    """

    cam_T_world: Float64[np.ndarray, "frames 4 4"]
    log_scales: Float64[np.ndarray, "frames"]
    log_depths: Float64[np.ndarray, "points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Result of a bundle adjustment.

    Attributes:
        state: State of least cost.
        is_inlier: Mask of the observations that the state explains.
        log_depth_std: Standard error of the log depth of each point.
    """

    state: State
    is_inlier: Bool[np.ndarray, "observations"]
    log_depth_std: Float64[np.ndarray, "points"]


def bundle_adjust(observations: PointObservations, initial: State) -> Adjustment:
    """Find the state of least robust cost by Levenberg-Marquardt. The first pose stays fixed.

    The first rounds tolerate large errors, so that a poor initial state does not turn good
    observations into outliers. The tolerance ("slack") halves in each round.
    """
    state = initial
    damping = _FIRST_DAMPING
    slack = _FIRST_SLACK
    for _ in range(_MAX_ROUNDS):
        equations = normal_equations(observations, state, _MAX_IMAGE_ERROR * max(1.0, slack))
        step = _find_improving_step(observations, state, equations, damping)
        if step is None:
            break
        state, damping = step.state, step.damping
        is_converged = equations.cost - step.cost < _MIN_RELATIVE_GAIN * equations.cost
        if slack <= 1 and is_converged:
            break
        slack /= 2

    final_equations = normal_equations(observations, state, _MAX_IMAGE_ERROR)
    squared_errors = residuals(observations, state).squared_image_errors
    return Adjustment(
        state=state,
        is_inlier=squared_errors < _MAX_IMAGE_ERROR**2,
        log_depth_std=1 / np.sqrt(np.maximum(final_equations.observation_information, 1e-12)),
    )


# Errors of a state


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Errors of a state in standard deviations, and the geometry for their derivatives.

    Attributes:
        image: Tracked minus projected position of each observation.
        log_depth: Model's log depth minus that of each point; 0 where the model's is unknown.
        log_scale: Difference of each frame's log scale from 0, where its prior is centred.
        in_first_camera: Point of each observation, in the camera of the point's first frame.
        camera_R_first: Rotation from that camera to the camera of the observation.
        in_camera: Point of each observation, in the camera of the observation.
    """

    image: Float64[np.ndarray, "observations 2"]
    log_depth: Float64[np.ndarray, "points"]
    log_scale: Float64[np.ndarray, "frames"]
    in_first_camera: Float64[np.ndarray, "observations 3"]
    camera_R_first: Float64[np.ndarray, "observations 3 3"]
    in_camera: Float64[np.ndarray, "observations 3"]

    @property
    def squared_image_errors(self) -> Float64[np.ndarray, "observations"]:
        """Squared lengths of the image errors."""
        return (self.image**2).sum(axis=1)

    def cost(self, slack: float) -> float:
        """Robust cost (Cauchy), for which image errors far above ``slack`` hardly count."""
        image_cost = slack**2 * np.log1p(self.squared_image_errors / slack**2).sum()
        depth_cost = _MAX_DEPTH_ERROR**2 * np.log1p(self.log_depth**2 / _MAX_DEPTH_ERROR**2).sum()
        return float(image_cost + depth_cost + (self.log_scale**2).sum())


def residuals(observations: PointObservations, state: State) -> Residuals:
    """Compute the errors of reprojection, of log depth, and of the scales under their prior."""
    focal, centre = observations.K[[0, 1], [0, 1]], observations.K[[0, 1], [2, 2]]
    rays = rays_at(observations.first_position, observations.K)
    in_first_camera = (rays * np.exp(state.log_depths)[:, None])[observations.point_index]

    first_pose = state.cam_T_world[observations.first_frame[observations.point_index]]
    pose = state.cam_T_world[observations.frame_index]
    camera_R_first = pose[:, :3, :3] @ first_pose[:, :3, :3].transpose(0, 2, 1)
    translation = pose[:, :3, 3] - np.einsum("nij,nj->ni", camera_R_first, first_pose[:, :3, 3])
    in_camera = np.einsum("nij,nj->ni", camera_R_first, in_first_camera) + translation

    projected = focal * in_camera[:, :2] / np.maximum(in_camera[:, 2:], _MIN_Z) + centre
    image_errors = (observations.position - projected) / observations.position_std[:, None]
    image_errors[in_camera[:, 2] < _MIN_Z] = _ERROR_BEHIND_CAMERA
    model_log_depths = np.log(observations.first_depth) + state.log_scales[observations.first_frame]
    log_depth_errors = model_log_depths - state.log_depths
    # Points without model depth (NaN) have no error of depth. The prior keeps log scales near 0.
    return Residuals(
        image=image_errors,
        log_depth=np.where(np.isfinite(log_depth_errors), log_depth_errors / _DEPTH_DEVIATION, 0.0),
        log_scale=-state.log_scales / _SCALE_DEVIATION,
        in_first_camera=in_first_camera,
        camera_R_first=camera_R_first,
        in_camera=in_camera,
    )


# Normal equations


@dataclass(frozen=True, slots=True, kw_only=True)
class Equations:
    """Normal equations JᵀWJ δ = JᵀW e of a step δ.

    An error e is an observation minus what the state predicts, J is the derivative of that
    prediction with respect to the unknowns, and W has the robust weights. The step minimises
    Σ w (e - J δ)².

    The unknowns u are rotation and translation of each frame (6 each), then the log scales of all
    frames. The log depths of points are kept apart, since their block of the matrix is diagonal.

    Attributes:
        matrix: Block of JᵀWJ for the unknowns u.
        point_coupling: Block between the unknowns u and the log depths.
        point_diagonal: Diagonal of the block for the log depths.
        rhs: Right-hand side JᵀW e for the unknowns u.
        point_rhs: Right-hand side for the log depths.
        observation_information: Part of ``point_diagonal`` that comes from observations.
        cost: Robust cost of the state.
        slack: Image error from which observations hardly count [standard deviations].
    """

    matrix: Float64[np.ndarray, "u u"]
    point_coupling: Float64[np.ndarray, "u points"]
    point_diagonal: Float64[np.ndarray, "points"]
    rhs: Float64[np.ndarray, "u"]
    point_rhs: Float64[np.ndarray, "points"]
    observation_information: Float64[np.ndarray, "points"]
    cost: float
    slack: float


def normal_equations(observations: PointObservations, state: State, slack: float) -> Equations:
    """Set up the normal equations, with Cauchy's weights for image errors above ``slack``."""
    errors = residuals(observations, state)
    equations = _observation_equations(observations, errors, len(state.cam_T_world), slack)
    _add_model_depths(equations, observations, errors)
    _add_scale_prior(equations, errors)
    return equations


def _observation_equations(
    observations: PointObservations, errors: Residuals, frame_count: int, slack: float
) -> Equations:
    """Sum the terms of the observations into the normal equations."""
    derivatives = _error_derivatives(observations, errors)
    weight = 1 / (1 + errors.squared_image_errors / slack**2)
    point_count = len(observations.first_frame)
    size = 7 * frame_count

    # An observation depends on 12 unknowns: the poses of its frame and of the point's first frame.
    columns = np.concatenate(
        [
            _pose_indices(observations.frame_index),
            _pose_indices(observations.first_frame[observations.point_index]),
        ],
        axis=1,
    )
    J = np.concatenate([derivatives.d_pose, derivatives.d_first_pose], axis=2)
    J_depth = derivatives.d_log_depth
    weighted_J = weight[:, None, None] * J
    matrix = _sum_at_indices(
        columns[:, :, None] * size + columns[:, None, :],
        weighted_J.transpose(0, 2, 1) @ J,
        size * size,
    ).reshape(size, size)
    point_coupling = _sum_at_indices(
        columns * point_count + observations.point_index[:, None],
        np.einsum("nia,ni->na", weighted_J, J_depth),
        size * point_count,
    ).reshape(size, point_count)
    observation_information = _sum_at_indices(
        observations.point_index, weight * (J_depth**2).sum(axis=1), point_count
    )
    return Equations(
        matrix=matrix,
        point_coupling=point_coupling,
        point_diagonal=observation_information.copy(),
        rhs=_sum_at_indices(columns, np.einsum("nia,ni->na", weighted_J, errors.image), size),
        point_rhs=_sum_at_indices(
            observations.point_index, weight * (J_depth * errors.image).sum(axis=1), point_count
        ),
        observation_information=observation_information,
        cost=errors.cost(slack),
        slack=slack,
    )


def _pose_indices(frames: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n 6"]:
    """Indices of the poses of frames among the unknowns u."""
    return 6 * frames[:, None] + np.arange(6)


def _scale_indices(frames: Int64[np.ndarray, "n"], frame_count: int) -> Int64[np.ndarray, "n"]:
    """Indices of the log scales of frames among the unknowns u, where they follow all poses."""
    return 6 * frame_count + frames


def _add_model_depths(
    equations: Equations, observations: PointObservations, errors: Residuals
) -> None:
    """Add terms that tie the log depth of a point to the model's, times its frame's scale.

    The error of a point with log depth d, first seen in a frame with log scale s, is
    e = (m - (d - s)) / σ, where m is the model's log depth and σ its standard deviation. So the
    prediction d - s has the derivative 1 / σ with respect to d, and -1 / σ with respect to s.
    """
    has_depth = np.isfinite(observations.first_depth)
    weight = has_depth / (1 + errors.log_depth**2 / _MAX_DEPTH_ERROR**2)
    information = weight / _DEPTH_DEVIATION**2
    rhs = weight * errors.log_depth / _DEPTH_DEVIATION

    # Several points may begin in one frame, and each of them counts, which only np.add.at does if
    # indices repeat. Each point has its own column in the coupling and its own log depth.
    scales = _scale_indices(observations.first_frame, len(errors.log_scale))
    points = np.arange(len(rhs))
    np.add.at(equations.matrix, (scales, scales), information)
    np.add.at(equations.rhs, scales, -rhs)
    equations.point_coupling[scales, points] -= information
    equations.point_diagonal[points] += information
    equations.point_rhs[points] += rhs


def _add_scale_prior(equations: Equations, errors: Residuals) -> None:
    """Add the prior by which the log scales s of frames are near 0: the error is -s / σ."""
    frame_count = len(errors.log_scale)
    scales = _scale_indices(np.arange(frame_count), frame_count)
    equations.matrix[scales, scales] += 1 / _SCALE_DEVIATION**2
    equations.rhs[scales] += errors.log_scale / _SCALE_DEVIATION


@dataclass(frozen=True, slots=True, kw_only=True)
class _Derivatives:
    """Jacobians of projected positions [standard deviations].

    A pose has six parameters, rotation w (axis-angle) and then translation t: T becomes
    [exp(w), t] T.

    Attributes:
        d_pose: Derivative with respect to the pose of the observation's frame.
        d_first_pose: Derivative with respect to the pose of the point's first frame.
        d_log_depth: Derivative with respect to the log depth of the point.
    """

    d_pose: Float64[np.ndarray, "observations 2 6"]
    d_first_pose: Float64[np.ndarray, "observations 2 6"]
    d_log_depth: Float64[np.ndarray, "observations 2"]


def _error_derivatives(observations: PointObservations, errors: Residuals) -> _Derivatives:
    """Differentiate each projection (u, v) with respect to both poses and the log depth."""
    focal = observations.K[[0, 1], [0, 1]]
    z = np.maximum(errors.in_camera[:, 2], _MIN_Z)
    uv_from_centre = focal * errors.in_camera[:, :2] / z[:, None]
    d_uv_d_point = np.zeros((len(z), 2, 3))
    d_uv_d_point[:, 0, 0] = focal[0] / z
    d_uv_d_point[:, 1, 1] = focal[1] / z
    d_uv_d_point[:, :, 2] = -uv_from_centre / z[:, None]
    d_uv_d_point /= observations.position_std[:, None, None]

    # The camera's motion takes its point p to p + w × p + t, and w × p = -[p]ₓ w. A motion of the
    # first camera has the opposite sign: p = T T₁⁻¹ p₁ for the point p₁, which is fixed there.
    d_uv_d_first_point = d_uv_d_point @ errors.camera_R_first
    in_camera_cross = cross_matrix(errors.in_camera)
    first_cross = cross_matrix(errors.in_first_camera)
    return _Derivatives(
        d_pose=np.concatenate([-d_uv_d_point @ in_camera_cross, d_uv_d_point], axis=2),
        d_first_pose=np.concatenate(
            [d_uv_d_first_point @ first_cross, -d_uv_d_first_point], axis=2
        ),
        d_log_depth=np.einsum("nij,nj->ni", d_uv_d_first_point, errors.in_first_camera),
    )


def _sum_at_indices(
    indices: Int64[np.ndarray, "..."], values: Float64[np.ndarray, "..."], size: int
) -> Float64[np.ndarray, "_"]:
    return np.bincount(indices.ravel(), values.ravel(), size)


# Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """State after a step that lowers the cost, and the damping with which the next one begins."""

    state: State
    cost: float
    damping: float


def _find_improving_step(
    observations: PointObservations, state: State, equations: Equations, damping: float
) -> _Step | None:
    """Raise the damping until a step lowers the cost; return None if no step does."""
    while damping < _MAX_DAMPING:
        candidate = _take_damped_step(state, equations, damping)
        cost = residuals(observations, candidate).cost(equations.slack)
        if cost <= equations.cost:
            next_damping = max(damping / _DAMPING_FACTOR, _MIN_DAMPING)
            return _Step(state=candidate, cost=cost, damping=next_damping)
        damping *= _DAMPING_FACTOR
    return None


def _take_damped_step(state: State, equations: Equations, damping: float) -> State:
    """Solve the damped equations and move the state by the solution.

    With A for ``matrix``, B for ``point_coupling``, D for ``point_diagonal``, and right-hand sides
    a and b, the equations are A u + B d = a and Bᵀ u + D d = b, where damping multiplies the
    diagonals of A and D by 1 + ``damping``. The steps d of the log depths are eliminated by the
    Schur complement: (A - B D⁻¹ Bᵀ) u = a - B D⁻¹ b, and then d = D⁻¹ (b - Bᵀ u).
    """
    frame_count = len(state.cam_T_world)
    pose_end = 6 * frame_count
    # The pose and the log scale of the first frame are held fixed.
    moving_frames = np.arange(1, frame_count)
    free = np.concatenate(
        [_pose_indices(moving_frames).ravel(), _scale_indices(moving_frames, frame_count)]
    )
    point_diagonal = equations.point_diagonal * (1 + damping) + _TINY
    coupling = equations.point_coupling[free]
    coupling_over_diagonal = coupling / point_diagonal
    schur_complement = equations.matrix[np.ix_(free, free)] - coupling_over_diagonal @ coupling.T
    schur_complement[np.diag_indices_from(schur_complement)] += (
        damping * equations.matrix[free, free] + _TINY
    )
    step = np.zeros(len(equations.rhs))
    step[free] = np.linalg.solve(
        schur_complement, equations.rhs[free] - coupling_over_diagonal @ equations.point_rhs
    )
    log_depth_step = (equations.point_rhs - coupling.T @ step[free]) / point_diagonal

    pose_step = step[:pose_end].reshape(frame_count, 6)
    rotation = rotation_from_axis_angle(pose_step[:, :3])
    return replace(
        state,
        cam_T_world=rigid(rotation, pose_step[:, 3:]) @ state.cam_T_world,
        log_scales=state.log_scales + step[pose_end:],
        log_depths=state.log_depths
        + np.clip(log_depth_step, -_MAX_LOG_DEPTH_STEP, _MAX_LOG_DEPTH_STEP),
    )
