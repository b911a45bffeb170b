"""Pose of known rectangles, and the focal length that their corners show.

The homography from the plane of a rectangle to rays consists of two columns of the rotation and the
translation (Zhang, PAMI 2000), which determine the focal length (Caprile and Torre, IJCV 1990). A
distant rectangle looks almost like its mirror image, so both poses are tried.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Float64, Matrix, Points, Values, Vector
from rilievo.calibration.sizes import Known, KnownRectangle
from rilievo.errors import CalibrationError
from rilievo.geometry.cameras.camera import Camera, CameraSource, assumed_camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.transforms import rotation_from_axis_angle

MAX_FOCAL_DEVIATION = 0.15
"""Largest standard deviation of the logarithm of a focal length that is taken from rectangles."""

_FOCAL_DEVIATION = 0.5
"""Standard deviation of the logarithm of focal lengths about the assumed one (a prior)."""
_INITIAL_LOG_FOCAL_RATIOS = np.log(np.geomspace(0.4, 4.0, 9))
"""Logarithms of the initial focal lengths, over the assumed one."""
_MAX_CORNER_MISS = 0.04
"""Largest error of the corners, over the rectangle's shortest side in the photograph."""
_MAX_REDUCED_CHI_SQUARE = 4.0
"""Largest mean squared error of the corners, over the expected one, with which their stated error
is believed."""
_MIN_COST_DIFFERENCE = 4.0
"""Least difference of the sums of squares with which it is clear which side is the long one."""
_MAX_STEPS = 60
_MAX_MIRROR_STEPS = 10
"""Most steps of the fit of a mirrored pose. The fit of a wrong one does not converge, because its
focal length grows without bound."""
_INITIAL_DAMPING, _MAX_DAMPING = 1e-3, 1e9
"""Damping of the first step, and damping at which the search for a better fit ends."""
_MIN_DAMPING_TERM = 1e-12
"""Added to the diagonal of the normal matrix, which is 0 for a known focal length."""
_MAX_STEP = 1.0
"""Largest change of a parameter in one step."""
_CONVERGED = 1e-7
"""Relative reduction of the sum of squares in the last step."""
_DIFFERENCE_STEP = 1e-6
"""Step of finite differences."""
_UNIT_CORNERS = np.array([(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)])
"""Corners of a rectangle about its middle, in units of its sides."""

_CORNER_COORDINATES = 8
"""Column and row of the four corners of a rectangle, for each of which there is a residual."""
_POSE_PARAMETERS = 6
"""Three of the rotation and three of the translation. Those of all poses come after the focal
length, which is parameter 0."""

Residuals = Callable[["RectangleFit"], Values]
"""Errors of a fit in standard deviations: column and row of four corners for each rectangle, and
the logarithm of the focal length if it is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RectanglePose:
    """Pose of a rectangle in the camera frame.

    Attributes:
        R: Rotation; its columns are the directions of the first side, of the second, and of their
            cross product.
        t: Middle of the rectangle [m].
    """

    rectangle: KnownRectangle
    R: Matrix
    t: Vector

    __eq__ = same_record
    __hash__ = no_hash

    @property
    def normal(self) -> Vector:
        """Unit normal towards the camera."""
        return -self.R[:, 2] * np.sign(self.R[:, 2] @ self.t)

    def depths(self, rays: Float64[np.ndarray, "3 n"]) -> Values:
        """Depth at which rays meet the rectangle's plane [m]; negative behind the camera."""
        return (self.R[:, 2] @ self.t) / (self.R[:, 2] @ rays)


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleFit:
    """Poses of all rectangles of a photograph, and its camera.

    The parameters of the fit are the logarithm of the focal length, and for each pose a rotation
    vector [rad] and a translation over the distance of the rectangle.

    Attributes:
        poses: Poses in the order of the rectangles.
        camera: Camera with the fitted focal length.
        covariance: Covariance of the parameters.
    """

    poses: tuple[RectanglePose, ...]
    camera: Camera
    covariance: Float64[np.ndarray, "m m"]

    __eq__ = same_record
    __hash__ = no_hash

    @property
    def focal_log_deviation(self) -> float:
        """Standard deviation of the logarithm of the focal length; 0 if it was known."""
        return math.sqrt(self.covariance[0, 0])

    def parameters_of(self, rectangle_index: int) -> tuple[int, ...]:
        """Indices of the parameters on which points in the plane of a rectangle depend.

        They are the focal length, three of the rotation and three of the translation.
        """
        first = 1 + _POSE_PARAMETERS * rectangle_index
        return (0, *range(first, first + _POSE_PARAMETERS))

    def add_step(self, step: Values) -> "RectangleFit":
        """Fit with its parameters changed by a step."""
        pose_steps = step[1:].reshape(-1, _POSE_PARAMETERS)
        rotations = np.asarray(rotation_from_axis_angle(pose_steps[:, :3]))
        poses = []
        for pose, pose_step, rotation in zip(self.poses, pose_steps, rotations, strict=True):
            translation = pose_step[3:] * np.linalg.norm(pose.t)
            poses.append(replace(pose, R=rotation @ pose.R, t=pose.t + translation))
        camera = _scale_focal_length(self.camera, float(step[0]))
        return replace(self, poses=tuple(poses), camera=camera)


def fit_rectangles(
    rectangles: Sequence[KnownRectangle], camera: Camera, shape: tuple[int, int] | None = None
) -> RectangleFit:
    """Fit the poses of known rectangles.

    Args:
        rectangles: Rectangles of one photograph.
        camera: Its camera.
        shape: Height and width of the photograph, to fit the focal length of a pinhole, too. None
            to keep the camera.

    Raises:
        CalibrationError: If the lens does not see a corner, no rectangle with these sides has such
            corners, or either named side may be the long one.
    """
    assumed_focal = None
    if shape is not None and isinstance(camera.lens, Pinhole):
        assumed_focal = assumed_camera(shape).focal
    ordered = [_order_named_sides(rectangle, camera, assumed_focal) for rectangle in rectangles]
    fit, residuals = _fit_poses(ordered, camera, assumed_focal)
    corner_errors = residuals(fit)[: _CORNER_COORDINATES * len(ordered)]
    errors_by_rectangle = corner_errors.reshape(-1, _CORNER_COORDINATES)
    for rectangle, errors in zip(ordered, errors_by_rectangle, strict=True):
        _require_small_errors(rectangle, errors)

    covariance = _parameter_covariance(
        _jacobian(fit, residuals), corner_errors, has_free_focal=assumed_focal is not None
    )
    return replace(fit, covariance=covariance)


def _parameter_covariance(
    jacobian: Float64[np.ndarray, "r m"], corner_errors: Values, *, has_free_focal: bool
) -> Float64[np.ndarray, "m m"]:
    """Covariance of the parameters of a fit.

    Args:
        jacobian: Derivatives of all residuals by the parameters.
        corner_errors: Errors of the corners that remain, in standard deviations.
        has_free_focal: Whether the focal length was fitted, too.
    """
    # The derivatives by a known focal length are 0, for which the pseudo-inverse gives variance 0.
    covariance = np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-13, hermitian=True)
    rectangle_count = len(corner_errors) // _CORNER_COORDINATES
    free_parameters = _POSE_PARAMETERS * rectangle_count + (1 if has_free_focal else 0)
    degrees_of_freedom = max(len(corner_errors) - free_parameters, 1)
    reduced_chi_square = float(corner_errors @ corner_errors) / degrees_of_freedom
    # Corners that miss by much more than their stated error are less exact than stated.
    if reduced_chi_square > _MAX_REDUCED_CHI_SQUARE:
        return covariance * reduced_chi_square
    return covariance


def _require_small_errors(rectangle: KnownRectangle, standardized_errors: Values) -> None:
    """Raise ``CalibrationError`` if a fit misses the corners.

    ``standardized_errors`` are those of columns and rows, in standard deviations of a corner.
    """
    # The mean squared distance is twice that of one coordinate.
    corner_error = math.sqrt(2 * float(np.mean(np.square(standardized_errors)))) * rectangle.error
    if corner_error > max(_MAX_CORNER_MISS * rectangle.shortest_side, 2 * rectangle.error):
        first, second = rectangle.lengths
        raise CalibrationError(
            f"known rectangle {rectangle}: no rectangle of {first:g} x {second:g} m fits "
            f"these corners (the best one misses them by {corner_error:.0f} px): check the camera, "
            "the corners, and that the first side goes from corner 1 to 2 and the second from 2 to "
            "3"
        )


def fit_camera_to_rectangles(
    sizes: Sequence[Known], camera: Camera, shape: tuple[int, int], source: CameraSource
) -> tuple[Camera, tuple[Known, ...]]:
    """Replace a guessed focal length by that of known rectangles, and order their sides.

    Returns:
        The camera, with ``source`` if the rectangles determine its focal length; and the sizes, the
        rectangles first, with their sides in the order of the corners.
    """
    rectangles = [size for size in sizes if isinstance(size, KnownRectangle)]
    if not rectangles:
        return camera, tuple(sizes)
    # Without a shape, the fit keeps the focal length.
    may_fit_focal = camera.source.is_guess
    fit = fit_rectangles(rectangles, camera, shape if may_fit_focal else None)
    # The deviation is 0 if the focal length was not fitted.
    if 0 < fit.focal_log_deviation <= MAX_FOCAL_DEVIATION:
        camera = Camera(K=fit.camera.K, source=source)
    others = tuple(size for size in sizes if not isinstance(size, KnownRectangle))
    return camera, (*(pose.rectangle for pose in fit.poses), *others)


def _order_named_sides(
    rectangle: KnownRectangle, camera: Camera, assumed_focal: float | None
) -> KnownRectangle:
    """Replace the name of a rectangle by its sides, in the order that fits the corners better."""
    if not isinstance(rectangle.sides, str):
        return rectangle
    long, short = rectangle.lengths
    long_first = replace(rectangle, sides=(long, short))
    short_first = replace(rectangle, sides=(short, long))

    def cost(candidate: KnownRectangle) -> float:
        """Sum of squared residuals with these sides."""
        fit, residuals = _fit_poses([candidate], camera, assumed_focal)
        return _sum_of_squares(residuals(fit))

    long_first_cost, short_first_cost = cost(long_first), cost(short_first)
    if abs(short_first_cost - long_first_cost) < _MIN_COST_DIFFERENCE:
        raise CalibrationError(
            f"known rectangle {rectangle}: at this slant, either side may be the long one; "
            f"instead of the name, write {long:g}x{short:g} or {short:g}x{long:g}, beginning with "
            "the side from corner 1 to 2"
        )
    return short_first if short_first_cost < long_first_cost else long_first


def _fit_poses(
    rectangles: Sequence[KnownRectangle], camera: Camera, assumed_focal: float | None
) -> tuple[RectangleFit, Residuals]:
    """Fit poses, and the focal length if one is assumed.

    Returns:
        The fit, and the function that computes its residuals.
    """
    residuals = _residual_function(rectangles, assumed_focal)

    def cost(fit: RectangleFit) -> float:
        """Sum of squared residuals."""
        return _sum_of_squares(residuals(fit))

    initial_fit = min(_initial_fits(rectangles, camera, assumed_focal), key=cost)
    if not math.isfinite(cost(initial_fit)):
        raise CalibrationError(
            f"known rectangle {rectangles[0]}: the camera cannot see all of its corners; check "
            "the camera and the corners"
        )
    best_fit = _levenberg_marquardt(initial_fit, residuals)
    # A pose and its mirror image are both minima of the cost, so both are tried for each rectangle.
    for index, pose in enumerate(best_fit.poses):
        poses = list(best_fit.poses)
        poses[index] = _mirror_pose(pose)
        mirrored_fit = _levenberg_marquardt(
            replace(best_fit, poses=tuple(poses)), residuals, max_steps=_MAX_MIRROR_STEPS
        )
        if cost(mirrored_fit) < cost(best_fit):
            best_fit = _levenberg_marquardt(mirrored_fit, residuals)
    return best_fit, residuals


def _initial_fits(
    rectangles: Sequence[KnownRectangle], camera: Camera, assumed_focal: float | None
) -> list[RectangleFit]:
    """Poses by homographies, for each initial focal length; without a covariance yet."""
    cameras = [camera]
    if assumed_focal is not None:
        log_factors = math.log(assumed_focal / camera.focal) + _INITIAL_LOG_FOCAL_RATIOS
        cameras = [_scale_focal_length(camera, log_factor) for log_factor in log_factors.tolist()]
    parameter_count = 1 + _POSE_PARAMETERS * len(rectangles)
    no_covariance = np.zeros((parameter_count, parameter_count))
    fits = []
    for tried_camera in cameras:
        poses = tuple(_pose_from_homography(rectangle, tried_camera) for rectangle in rectangles)
        fits.append(RectangleFit(poses=poses, camera=tried_camera, covariance=no_covariance))
    return fits


def _residual_function(
    rectangles: Sequence[KnownRectangle], assumed_focal: float | None
) -> Residuals:
    """Make the function that computes ``Residuals`` of a fit.

    They are the errors of the corners in standard deviations, then the log deviation of the focal
    length if one is assumed.
    """
    image_corners = np.array([rectangle.corners for rectangle in rectangles])
    deviations = np.array([rectangle.error for rectangle in rectangles])
    sides = np.array([[*rectangle.lengths, 0.0] for rectangle in rectangles])
    plane_corners = _UNIT_CORNERS * sides[:, None]

    def residuals(fit: RectangleFit) -> Values:
        R = np.stack([pose.R for pose in fit.poses])
        t = np.stack([pose.t for pose in fit.poses])
        # The axes are (x, y, z), rectangles and corners; those of pixels (u, v), rectangles and
        # corners; those of residuals rectangles, corners and (u, v).
        points = np.einsum("nij,nkj->ink", R, plane_corners) + t.T[:, :, None]
        pixel_errors = fit.camera.project(points) - image_corners.transpose(2, 0, 1)
        corner_residuals = (pixel_errors / deviations[:, None]).transpose(1, 2, 0).ravel()
        if assumed_focal is None:
            return corner_residuals
        log_focal_ratio = math.log(fit.camera.focal / assumed_focal)
        return np.append(corner_residuals, log_focal_ratio / _FOCAL_DEVIATION)

    return residuals


def _sum_of_squares(residuals: Values) -> float:
    cost = float(residuals @ residuals)
    return cost if math.isfinite(cost) else math.inf


def _levenberg_marquardt(
    fit: RectangleFit, residuals: Residuals, *, max_steps: int = _MAX_STEPS
) -> RectangleFit:
    """Minimize the sum of squared residuals (Levenberg-Marquardt), starting from a fit.

    With residuals r, their derivatives J and N = Jᵀ J, a step solves (N + damping diag(N)) step =
    -Jᵀ r. The damping grows until a step reduces the sum, and shrinks after it.
    """
    fit_residuals = residuals(fit)
    cost = _sum_of_squares(fit_residuals)
    if not math.isfinite(cost):
        return fit
    damping = _INITIAL_DAMPING
    for _ in range(max_steps):
        jacobian = _jacobian(fit, residuals)
        normal_matrix, gradient = jacobian.T @ jacobian, jacobian.T @ fit_residuals
        candidate, candidate_residuals, cost_reduction = fit, fit_residuals, 0.0
        while cost_reduction <= 0:
            if damping >= _MAX_DAMPING:
                return fit
            step = _damped_step(normal_matrix, gradient, damping)
            if step is None:
                return fit
            candidate = fit.add_step(step)
            candidate_residuals = residuals(candidate)
            cost_reduction = cost - _sum_of_squares(candidate_residuals)
            damping *= 0.1 if cost_reduction > 0 else 10
        fit, fit_residuals = candidate, candidate_residuals
        cost -= cost_reduction
        has_converged = cost_reduction < _CONVERGED * (1 + cost)
        if has_converged:
            break
    return fit


def _damped_step(
    normal_matrix: Float64[np.ndarray, "m m"], gradient: Values, damping: float
) -> Values | None:
    """Step of a damped fit, at most ``_MAX_STEP`` for each parameter; None if it is not finite."""
    damping_terms = damping * np.diag(normal_matrix) + _MIN_DAMPING_TERM
    negative_step = np.linalg.solve(normal_matrix + np.diag(damping_terms), gradient)
    if not np.isfinite(negative_step).all():
        return None
    return -np.clip(negative_step, -_MAX_STEP, _MAX_STEP)


def _jacobian(fit: RectangleFit, residuals: Residuals) -> Float64[np.ndarray, "r m"]:
    """Derivatives d residual (rows) / d parameter (columns), by finite differences."""
    fit_residuals, rectangle_count = residuals(fit), len(fit.poses)
    parameter_count = 1 + _POSE_PARAMETERS * rectangle_count
    jacobian = np.zeros((len(fit_residuals), parameter_count))

    def derivative_by(parameters: slice) -> Values:
        """Derivative of the residuals if these parameters change together."""
        step = np.zeros(parameter_count)
        step[parameters] = _DIFFERENCE_STEP
        return (residuals(fit.add_step(step)) - fit_residuals) / _DIFFERENCE_STEP

    # The focal length has a residual of its own only if it is fitted; else it is not changed.
    is_focal_fitted = len(fit_residuals) > _CORNER_COORDINATES * rectangle_count
    if is_focal_fitted:
        jacobian[:, 0] = derivative_by(slice(0, 1))
    for pose_parameter in range(1, 1 + _POSE_PARAMETERS):
        # The corners of a rectangle depend on its own pose only. So this parameter of all poses
        # changes at once, and each rectangle takes the derivatives of its own corners.
        derivatives = derivative_by(slice(pose_parameter, None, _POSE_PARAMETERS))
        for rectangle in range(rectangle_count):
            rows = slice(_CORNER_COORDINATES * rectangle, _CORNER_COORDINATES * (rectangle + 1))
            column = _POSE_PARAMETERS * rectangle + pose_parameter
            jacobian[rows, column] = derivatives[rows]
    return jacobian


def _pose_from_homography(rectangle: KnownRectangle, camera: Camera) -> RectanglePose:
    """Pose of a rectangle by the homography from its plane to the rays of its corners."""
    rays = camera.rays(np.array(rectangle.corners).T).T
    if not np.isfinite(rays).all():
        raise CalibrationError(
            f"known rectangle {rectangle}: a corner lies outside the field of view of the "
            "lens: check the camera and the corners"
        )
    # The longer side is the unit of lengths.
    unit = max(rectangle.lengths)
    H = _homography(_UNIT_CORNERS[:, :2] * rectangle.lengths / unit, rays)
    # The first two columns are the unit directions of the sides, and the third one is the middle of
    # the rectangle, all times one unknown factor.
    mean_length = (np.linalg.norm(H[:, 0]) + np.linalg.norm(H[:, 1])) / 2
    x, y, t = H.T / mean_length
    # Noise makes the directions neither orthogonal nor exactly unit vectors.
    U, _, Vt = np.linalg.svd(np.stack([x, y, np.cross(x, y)], axis=1))
    nearest_rotation = U @ Vt
    return RectanglePose(rectangle=rectangle, R=nearest_rotation, t=t * unit)


def _homography(plane_points: Float64[np.ndarray, "4 2"], rays: Points) -> Matrix:
    """Matrix H for which each ray points along H (x, y, 1), by a direct linear transform."""
    equations = []
    for (x, y), (a, b, c) in zip(plane_points, rays, strict=True):
        # The unit ray and H (x, y, 1) are parallel, so their cross product is zero. That is linear
        # in the entries of H, row by row.
        cross_matrix = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]]) / math.hypot(a, b, c)
        equations.append(np.kron(cross_matrix, (x, y, 1.0)))
    # The last right singular vector solves the equations best. Its sign is arbitrary.
    _, _, Vt = np.linalg.svd(np.concatenate(equations))
    H = Vt[-1].reshape(3, 3)
    is_in_front = H[:, 2] @ rays.mean(axis=0) > 0
    return H if is_in_front else -H


def _mirror_pose(pose: RectanglePose) -> RectanglePose:
    """Mirror a pose at the plane across the line of sight; from afar, it looks almost the same."""
    line_of_sight = pose.t / np.linalg.norm(pose.t)
    x, y, _ = (pose.R - 2 * np.outer(line_of_sight, line_of_sight @ pose.R)).T
    return replace(pose, R=np.stack([x, y, np.cross(x, y)], axis=1))


def _scale_focal_length(camera: Camera, log_factor: float) -> Camera:
    """Multiply both focal lengths of a pinhole by exp(log_factor)."""
    if not log_factor:
        return camera
    K = camera.needs_pinhole("a focal length from known rectangles").copy()
    K[[0, 1], [0, 1]] = np.clip(K[[0, 1], [0, 1]] * math.exp(log_factor), 1e-3, 1e12)
    return Camera(K=K, source=camera.source)
