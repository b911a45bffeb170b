"""Bundle adjustment of poses, depth scales and points (Triggs et al., 1999).

A weak prior keeps depth near the model's. Robust weights exclude outliers gradually (Blake and
Zisserman 1987). Steps are Levenberg-Marquardt with the Schur complement.
"""

from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Float64, Int64, Matrix
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
"""Error from which a sighting counts as mistaken [standard deviations]."""
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
_MAX_LOG_DEPTH_STEP = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PointViews:
    """Sightings of points in frames after the first that sees them.

    Frames and points are numbered from 0. Unknown depth is NaN.

    Attributes:
        frame: Frame of each sighting.
        point: Point of each sighting.
        place: Position (x, y) of each sighting [px].
        depth: Depth there by a model.
        begins: First frame that sees each point.
        first: Position (x, y) of each point in that frame [px].
        first_depth: Depth there by a model.
        K: Intrinsics of all frames [px].
    """

    frame: Int64[np.ndarray, "sightings"]
    point: Int64[np.ndarray, "sightings"]
    place: Float64[np.ndarray, "sightings 2"]
    depth: Float64[np.ndarray, "sightings"]
    begins: Int64[np.ndarray, "points"]
    first: Float64[np.ndarray, "points 2"]
    first_depth: Float64[np.ndarray, "points"]
    K: Matrix

    @property
    def deviation(self) -> Float64[np.ndarray, "sightings"]:
        """Standard deviation of each sighting [px], which grows after a point's first frame."""
        frames_since_first = self.frame - self.begins[self.point]
        return TRACKING_DEVIATION * np.sqrt(1 + _VARIANCE_GROWTH * frames_since_first)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is adjusted.

    Attributes:
        cam_T_world: Pose of each frame.
        log_factors: Log factor from each frame's depth to the unit of the poses.
        log_depths: Log depth of each point in its first frame, in the unit of the poses.
    """

    cam_T_world: Float64[np.ndarray, "frames 4 4"]
    log_factors: Float64[np.ndarray, "frames"]
    log_depths: Float64[np.ndarray, "points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """Result of a bundle adjustment.

    Attributes:
        state: The best state.
        agrees: Mask of the sightings that it explains.
        doubt: Standard error of each log depth.
    """

    state: State
    agrees: Bool[np.ndarray, "sightings"]
    doubt: Float64[np.ndarray, "points"]


def bundle_adjust(views: PointViews, initial: State) -> Adjustment:
    """Find the state that explains the sightings best. The pose of the first frame stays."""
    state = initial
    damping = _FIRST_DAMPING
    slack = _FIRST_SLACK
    for _ in range(_MAX_ROUNDS):
        equations = normal_equations(views, state, _MAX_IMAGE_ERROR * max(1.0, slack))
        step = _step_of_lower_cost(views, state, equations, damping)
        if step is None:
            break
        state, damping = step.state, step.damping
        is_converged = equations.cost - step.cost < _MIN_RELATIVE_GAIN * equations.cost
        if slack <= 1 and is_converged:
            break
        slack /= 2

    last = normal_equations(views, state, _MAX_IMAGE_ERROR)
    squared_errors = residuals(views, state).squared_image_errors
    return Adjustment(
        state=state,
        agrees=squared_errors < _MAX_IMAGE_ERROR**2,
        doubt=1 / np.sqrt(np.maximum(last.sighting_information, 1e-12)),
    )


# Errors of a state


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Errors of a state in standard deviations; 0 for unknown depth.

    Attributes:
        places: Errors of the positions of sightings.
        depths: Errors of the model's log depth of points.
        factors: Errors of the log factors of frames.
        ray: Point of each sighting, in the camera of the point's first frame.
        R: Rotation from that camera to the camera of the sighting.
        in_camera: Point of each sighting, in the camera of the sighting.
    """

    places: Float64[np.ndarray, "sightings 2"]
    depths: Float64[np.ndarray, "points"]
    factors: Float64[np.ndarray, "frames"]
    ray: Float64[np.ndarray, "sightings 3"]
    R: Float64[np.ndarray, "sightings 3 3"]
    in_camera: Float64[np.ndarray, "sightings 3"]

    @property
    def squared_image_errors(self) -> Float64[np.ndarray, "sightings"]:
        """Squared lengths of the errors of positions."""
        return (self.places**2).sum(axis=1)

    def cost(self, slack: float) -> float:
        """Robust cost (Cauchy), for which errors far above ``slack`` hardly count."""
        places = slack**2 * np.log1p(self.squared_image_errors / slack**2).sum()
        depths = _MAX_DEPTH_ERROR**2 * np.log1p(self.depths**2 / _MAX_DEPTH_ERROR**2).sum()
        return float(places + depths + (self.factors**2).sum())


def residuals(views: PointViews, state: State) -> Residuals:
    """Compute the errors of sightings, depths and log factors."""
    focal, centre = views.K[[0, 1], [0, 1]], views.K[[0, 1], [2, 2]]
    unit_rays = np.concatenate(
        [(views.first - centre) / focal, np.ones((len(views.first), 1))], axis=1
    )
    points = (unit_rays * np.exp(state.log_depths)[:, None])[views.point]

    first_pose = state.cam_T_world[views.begins[views.point]]
    pose = state.cam_T_world[views.frame]
    R = pose[:, :3, :3] @ first_pose[:, :3, :3].transpose(0, 2, 1)
    translation = pose[:, :3, 3] - np.einsum("nij,nj->ni", R, first_pose[:, :3, 3])
    in_camera = np.einsum("nij,nj->ni", R, points) + translation

    projected = focal * in_camera[:, :2] / np.maximum(in_camera[:, 2:], _MIN_Z) + centre
    image_errors = (views.place - projected) / views.deviation[:, None]
    image_errors[in_camera[:, 2] < _MIN_Z] = _ERROR_BEHIND_CAMERA
    model_log_depths = np.log(views.first_depth) + state.log_factors[views.begins]
    log_depth_errors = model_log_depths - state.log_depths
    return Residuals(
        places=image_errors,
        depths=np.where(np.isfinite(log_depth_errors), log_depth_errors / _DEPTH_DEVIATION, 0.0),
        factors=-state.log_factors / _SCALE_DEVIATION,
        ray=points,
        R=R,
        in_camera=in_camera,
    )


# Normal equations


@dataclass(frozen=True, slots=True, kw_only=True)
class Equations:
    """Normal equations of a step.

    The unknowns u are rotation and translation of each frame (6 each), then the log factors of
    frames. Points are apart, since their part of the matrix is diagonal.

    Attributes:
        matrix: Normal matrix of the unknowns u.
        across: Normal matrix between the unknowns u and the log depths of points.
        points: Diagonal normal matrix of the log depths.
        right: Right side of the unknowns u.
        right_points: Right side of the log depths.
        sighting_information: Part of ``points`` that comes from sightings.
        cost: Robust cost of the state.
        slack: Image error from which sightings hardly count [standard deviations].
    """

    matrix: Float64[np.ndarray, "u u"]
    across: Float64[np.ndarray, "u points"]
    points: Float64[np.ndarray, "points"]
    right: Float64[np.ndarray, "u"]
    right_points: Float64[np.ndarray, "points"]
    sighting_information: Float64[np.ndarray, "points"]
    cost: float
    slack: float


def normal_equations(views: PointViews, state: State, slack: float) -> Equations:
    """Set up the normal equations, with Cauchy's weights for image errors above ``slack``."""
    errors = residuals(views, state)
    derivatives = _error_derivatives(views, errors)
    weight = 1 / (1 + errors.squared_image_errors / slack**2)
    frames, points = len(state.cam_T_world), len(state.log_depths)
    size = 7 * frames

    # Columns of a sighting: the pose of its frame, and that of the frame it begins in.
    columns = np.concatenate(
        [
            6 * views.frame[:, None] + np.arange(6),
            6 * views.begins[views.point][:, None] + np.arange(6),
        ],
        axis=1,
    )
    J = np.concatenate([derivatives.by_pose, derivatives.by_first_pose], axis=2)
    J_depth = derivatives.by_log_depth
    weighted_J = weight[:, None, None] * J
    matrix = _sums_at_indices(
        columns[:, :, None] * size + columns[:, None, :],
        weighted_J.transpose(0, 2, 1) @ J,
        size * size,
    ).reshape(size, size)
    right = _sums_at_indices(columns, np.einsum("nia,ni->na", weighted_J, errors.places), size)
    across = _sums_at_indices(
        columns * points + views.point[:, None],
        np.einsum("nia,ni->na", weighted_J, J_depth),
        size * points,
    ).reshape(size, points)
    sighting_information = _sums_at_indices(views.point, weight * (J_depth**2).sum(axis=1), points)
    right_points = _sums_at_indices(
        views.point, weight * (J_depth * errors.places).sum(axis=1), points
    )

    # The model's depth ties the log depth of a point to the log factor of its first frame.
    has_depth = np.isfinite(views.first_depth)
    depth_weight = has_depth / (1 + errors.depths**2 / _MAX_DEPTH_ERROR**2)
    depth_information = depth_weight / _DEPTH_DEVIATION**2
    depth_right = depth_weight * errors.depths / _DEPTH_DEVIATION
    factor_rows = 6 * frames + views.begins
    np.add.at(matrix, (factor_rows, factor_rows), depth_information)
    np.add.at(right, factor_rows, -depth_right)
    across[factor_rows, np.arange(points)] -= depth_information

    all_factor_rows = np.arange(6 * frames, size)
    matrix[all_factor_rows, all_factor_rows] += 1 / _SCALE_DEVIATION**2
    right[all_factor_rows] += errors.factors / _SCALE_DEVIATION
    return Equations(
        matrix=matrix,
        across=across,
        points=sighting_information + depth_information,
        right=right,
        right_points=right_points + depth_right,
        sighting_information=sighting_information,
        cost=errors.cost(slack),
        slack=slack,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Derivatives:
    """Derivatives of projected positions, in standard deviations.

    Attributes:
        by_pose: By rotation and translation of the sighting's frame.
        by_first_pose: By rotation and translation of the point's first frame.
        by_log_depth: By the log depth of the point.
    """

    by_pose: Float64[np.ndarray, "sightings 2 6"]
    by_first_pose: Float64[np.ndarray, "sightings 2 6"]
    by_log_depth: Float64[np.ndarray, "sightings 2"]


def _error_derivatives(views: PointViews, errors: Residuals) -> _Derivatives:
    focal = views.K[[0, 1], [0, 1]]
    z = np.maximum(errors.in_camera[:, 2], _MIN_Z)
    from_centre = focal * errors.in_camera[:, :2] / z[:, None]
    by_point = np.zeros((len(z), 2, 3))
    by_point[:, 0, 0] = focal[0] / z
    by_point[:, 1, 1] = focal[1] / z
    by_point[:, :, 2] = -from_centre / z[:, None]
    by_point /= views.deviation[:, None, None]

    # A rotation w moves the point p by w × p = -[p] w. A rotation of the first frame moves the
    # points that begin there the other way.
    by_first_point = by_point @ errors.R
    return _Derivatives(
        by_pose=np.concatenate([-by_point @ cross_matrix(errors.in_camera), by_point], axis=2),
        by_first_pose=np.concatenate(
            [by_first_point @ cross_matrix(errors.ray), -by_first_point], axis=2
        ),
        by_log_depth=np.einsum("nij,nj->ni", by_first_point, errors.ray),
    )


def _sums_at_indices(
    indices: Int64[np.ndarray, "..."], values: Float64[np.ndarray, "..."], size: int
) -> Float64[np.ndarray, "_"]:
    return np.bincount(indices.ravel(), values.ravel(), size)


# Steps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A step that lowers the cost, and the damping to begin with at the next one."""

    state: State
    cost: float
    damping: float


def _step_of_lower_cost(
    views: PointViews, state: State, equations: Equations, damping: float
) -> _Step | None:
    """Raise the damping until a step lowers the cost; None if none does."""
    while damping < _MAX_DAMPING:
        changed = _state_after_step(state, equations, damping)
        cost = residuals(views, changed).cost(equations.slack)
        if cost <= equations.cost:
            return _Step(state=changed, cost=cost, damping=max(damping / 5, _MIN_DAMPING))
        damping *= 5
    return None


def _state_after_step(state: State, equations: Equations, damping: float) -> State:
    """Solve the damped equations by the Schur complement of the points, and take the step."""
    frames = len(state.cam_T_world)
    # Pose and scale of the first frame stay.
    free = np.concatenate([np.arange(6, 6 * frames), np.arange(6 * frames + 1, 7 * frames)])
    points = equations.points * (1 + damping) + 1e-9
    across = equations.across[free]
    eliminated = across / points
    matrix = equations.matrix[np.ix_(free, free)] - eliminated @ across.T
    matrix[np.diag_indices_from(matrix)] += damping * equations.matrix[free, free] + 1e-9
    step = np.zeros(len(equations.right))
    step[free] = np.linalg.solve(
        matrix, equations.right[free] - eliminated @ equations.right_points
    )
    log_depth_step = (equations.right_points - across.T @ step[free]) / points

    pose_step = step[: 6 * frames].reshape(frames, 6)
    rotation = rotation_from_axis_angle(pose_step[:, :3])
    return replace(
        state,
        cam_T_world=rigid(rotation, pose_step[:, 3:]) @ state.cam_T_world,
        log_factors=state.log_factors + step[6 * frames :],
        log_depths=state.log_depths
        + np.clip(log_depth_step, -_MAX_LOG_DEPTH_STEP, _MAX_LOG_DEPTH_STEP),
    )
