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
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.io.photographs.exif import assumed_camera

GUESSED_SOURCES = (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)
"""Sources of cameras whose focal length rectangles may correct."""
MAX_FOCAL_DEVIATION = 0.15
"""Largest standard deviation of the logarithm of a focal length that is taken from rectangles."""

_FOCAL_DEVIATION = 0.5
"""Standard deviation of the logarithm of focal lengths about the assumed one."""
_FOCAL_STARTS = np.log(np.geomspace(0.4, 4.0, 9))
"""Logarithms of the focal lengths, over the assumed one, at which fits begin."""
_MAX_CORNER_MISS = 0.04
"""Largest error of the corners, as a share of the rectangle's shortest side in the photograph."""
_MAX_MISFIT = 4.0
"""Squared error of the corners, over the expected one, from which on it replaces their stated
error."""
_MIN_COST_DIFFERENCE = 4.0
"""Difference of the sums of squares from which on it is clear which side is the long one."""
_MAX_STEPS = 60
_MAX_MIRROR_STEPS = 10
"""Most steps of the fit of a mirrored pose. A wrong one never ends, as its focal length grows
without bound."""
_DIFFERENCE = 1e-6
"""Step of finite differences."""
_UNIT_CORNERS = np.array([(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)])
"""Corners of a rectangle about its middle, in its sides."""

Residuals = Callable[["RectangleFit"], Values]
"""Errors of a fit in standard deviations: column and row of four corners for each rectangle, and
the logarithm of the focal length if it is fitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RectanglePose:
    """Pose of a rectangle in the camera frame.

    Attributes:
        rectangle: The known rectangle.
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

        They are the focal length, and the three of the rotation and the three of the translation.
        """
        first = 1 + 6 * rectangle_index
        return (0, *range(first, first + 6))

    def add_step(self, step: Values) -> "RectangleFit":
        """Fit with its parameters changed by a step."""
        pose_steps = step[1:].reshape(-1, 6)
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
    corner_errors = residuals(fit)[: 8 * len(ordered)]
    for rectangle, errors in zip(ordered, corner_errors.reshape(-1, 8), strict=True):
        _require_small_errors(rectangle, errors)

    jacobian = _jacobian(fit, residuals)
    # A known focal length has no derivative, and so no variance.
    covariance = np.linalg.pinv(jacobian.T @ jacobian, rcond=1e-13, hermitian=True)
    focal_parameters = 0 if assumed_focal is None else 1
    degrees_of_freedom = max(2 * len(ordered) - focal_parameters, 1)
    misfit = float(corner_errors @ corner_errors) / degrees_of_freedom
    return replace(fit, covariance=covariance * (misfit if misfit > _MAX_MISFIT else 1.0))


def _require_small_errors(rectangle: KnownRectangle, errors: Values) -> None:
    """Raise ``CalibrationError`` if a fit misses the corners; errors are in standard deviations."""
    pixels = math.sqrt(2 * float(np.mean(np.square(errors)))) * rectangle.error
    if pixels > max(_MAX_CORNER_MISS * rectangle.shortest_side, 2 * rectangle.error):
        first, second = rectangle.lengths
        raise CalibrationError(
            f"known rectangle {rectangle}: nothing of {first:g} x {second:g} m is seen so, the "
            f"corners are off by {pixels:.0f} px; expected its first side from corner 1 to 2, its "
            "second from 2 to 3: check them and the camera"
        )


def camera_of_rectangles(
    sizes: Sequence[Known], camera: Camera, shape: tuple[int, int], source: CameraSource
) -> tuple[Camera, tuple[Known, ...]]:
    """Take a guessed focal length from the rectangles among known sizes, and order their sides.

    Returns:
        The camera, with ``source`` if the rectangles determine its focal length, and the sizes:
        first the rectangles, whose sides are those of their corners, then the others.

    Raises:
        CalibrationError: As ``fit_rectangles``.
    """
    rectangles = [size for size in sizes if isinstance(size, KnownRectangle)]
    if not rectangles:
        return camera, tuple(sizes)
    fit = fit_rectangles(rectangles, camera, shape if camera.source in GUESSED_SOURCES else None)
    if 0 < fit.focal_log_deviation <= MAX_FOCAL_DEVIATION:
        camera = Camera(K=fit.camera.K, source=source)
    others = tuple(size for size in sizes if not isinstance(size, KnownRectangle))
    return camera, (*(pose.rectangle for pose in fit.poses), *others)


def _order_named_sides(
    rectangle: KnownRectangle, camera: Camera, assumed_focal: float | None
) -> KnownRectangle:
    """Rectangle whose sides have numbers: those of a name in the order that fits better.

    Raises:
        CalibrationError: If both orders fit.
    """
    if not isinstance(rectangle.sides, str):
        return rectangle
    long, short = rectangle.lengths
    long_first = replace(rectangle, sides=(long, short))
    short_first = replace(rectangle, sides=(short, long))
    costs = []
    for candidate in (long_first, short_first):
        fit, residuals = _fit_poses([candidate], camera, assumed_focal)
        costs.append(_sum_of_squares(residuals(fit)))
    if abs(costs[1] - costs[0]) < _MIN_COST_DIFFERENCE:
        raise CalibrationError(
            f"known rectangle {rectangle}: seen at this slant, either side may be the long one; "
            f"write them, from corner 1 to 2 and from 2 to 3: {long:g}x{short:g} or "
            f"{short:g}x{long:g}"
        )
    return short_first if costs[1] < costs[0] else long_first


def _fit_poses(
    rectangles: Sequence[KnownRectangle], camera: Camera, assumed_focal: float | None
) -> tuple[RectangleFit, Residuals]:
    """Fit poses, and the focal length if one is assumed; also returns the function of residuals.

    Raises:
        CalibrationError: If no pose lies where the lens sees it.
    """
    residuals = _residual_function(rectangles, assumed_focal)

    def cost(fit: RectangleFit) -> float:
        return _sum_of_squares(residuals(fit))

    best_start = min(_initial_fits(rectangles, camera, assumed_focal), key=cost)
    if not math.isfinite(cost(best_start)):
        raise CalibrationError(
            f"known rectangle {rectangles[0]}: the camera cannot see all of its corners"
        )
    fit = _levenberg_marquardt(best_start, residuals)
    for index, pose in enumerate(fit.poses):
        poses = (*fit.poses[:index], _mirror_pose(pose), *fit.poses[index + 1 :])
        mirrored = replace(fit, poses=poses)
        mirrored = _levenberg_marquardt(mirrored, residuals, max_steps=_MAX_MIRROR_STEPS)
        if cost(mirrored) < cost(fit):
            fit = _levenberg_marquardt(mirrored, residuals)
    return fit, residuals


def _initial_fits(
    rectangles: Sequence[KnownRectangle], camera: Camera, assumed_focal: float | None
) -> list[RectangleFit]:
    """Poses by homographies, for each focal length at which a fit may begin."""
    log_changes = [0.0]
    if assumed_focal is not None:
        log_changes = list(math.log(assumed_focal / camera.focal) + _FOCAL_STARTS)
    fits = []
    for log_change in log_changes:
        scaled = _scale_focal_length(camera, float(log_change))
        poses = tuple(_pose_from_homography(rectangle, scaled) for rectangle in rectangles)
        unknown = np.zeros((1 + 6 * len(poses), 1 + 6 * len(poses)))
        fits.append(RectangleFit(poses=poses, camera=scaled, covariance=unknown))
    return fits


def _residual_function(
    rectangles: Sequence[KnownRectangle], assumed_focal: float | None
) -> Residuals:
    """Residuals of the corners, and of the logarithm of the focal length if one is assumed."""
    image_corners = np.array([rectangle.corners for rectangle in rectangles])
    deviations = np.array([rectangle.error for rectangle in rectangles])
    sides = np.array([[*rectangle.lengths, 0.0] for rectangle in rectangles])
    corners = _UNIT_CORNERS * sides[:, None]

    def residuals(fit: RectangleFit) -> Values:
        R = np.stack([pose.R for pose in fit.poses])
        t = np.stack([pose.t for pose in fit.poses])
        # x, y and z (first axis) of each rectangle's (second axis) corners (third axis).
        points = np.einsum("nij,nkj->ink", R, corners) + t.T[:, :, None]
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
    """Minimize the sum of squared residuals, beginning at a fit."""
    current = residuals(fit)
    cost = _sum_of_squares(current)
    if not math.isfinite(cost):
        return fit
    damping = 1e-3
    candidate, candidate_residuals = fit, current
    for _ in range(max_steps):
        jacobian = _jacobian(fit, residuals)
        normal_matrix, gradient = jacobian.T @ jacobian, jacobian.T @ current
        gain = 0.0
        while gain <= 0 and damping < 1e9:
            damped = normal_matrix + np.diag(damping * np.diag(normal_matrix) + 1e-12)
            step = np.linalg.solve(damped, gradient)
            if not np.isfinite(step).all():
                return fit
            candidate = fit.add_step(-np.clip(step, -1, 1))
            candidate_residuals = residuals(candidate)
            gain = cost - _sum_of_squares(candidate_residuals)
            damping *= 0.1 if gain > 0 else 10
        if gain <= 0:
            break
        fit, current = candidate, candidate_residuals
        cost -= gain
        if gain < 1e-7 * (1 + cost):
            break
    return fit


def _jacobian(fit: RectangleFit, residuals: Residuals) -> Float64[np.ndarray, "r m"]:
    """Derivatives of the residuals (rows) by the parameters (columns), by finite differences."""
    current, count = residuals(fit), len(fit.poses)
    jacobian = np.zeros((len(current), 1 + 6 * count))

    def derivative(parameters: slice) -> Values:
        step = np.zeros(jacobian.shape[1])
        step[parameters] = _DIFFERENCE
        return (residuals(fit.add_step(step)) - current) / _DIFFERENCE

    has_focal_residual = len(current) > 8 * count
    if has_focal_residual:
        jacobian[:, 0] = derivative(slice(0, 1))
    for parameter in range(1, 7):
        # The corners of a rectangle depend on its own pose only, so all poses change at once.
        change = derivative(slice(parameter, None, 6))
        for index in range(count):
            corners = slice(8 * index, 8 * index + 8)
            jacobian[corners, 6 * index + parameter] = change[corners]
    return jacobian


def _pose_from_homography(rectangle: KnownRectangle, camera: Camera) -> RectanglePose:
    """Pose that projects a rectangle about to its corners.

    Raises:
        CalibrationError: If the lens does not see a corner.
    """
    rays = camera.rays(np.array(rectangle.corners).T).T
    if not np.isfinite(rays).all():
        raise CalibrationError(
            f"known rectangle {rectangle}: a corner lies where the lens sees nothing"
        )
    long_side = max(rectangle.lengths)
    H = _homography(_UNIT_CORNERS[:, :2] * rectangle.lengths / long_side, rays)
    # The first two columns are the directions of the sides, up to a common factor.
    x, y, t = 2 * H.T / (np.linalg.norm(H[:, 0]) + np.linalg.norm(H[:, 1]))
    # The nearest rotation.
    U, _, Vt = np.linalg.svd(np.stack([x, y, np.cross(x, y)], axis=1))
    return RectanglePose(rectangle=rectangle, R=U @ Vt, t=t * long_side)


def _homography(plane_points: Float64[np.ndarray, "4 2"], rays: Points) -> Matrix:
    """Matrix H for which each ray points along H (x, y, 1), by a direct linear transform."""
    equations = []
    for (x, y), (a, b, c) in zip(plane_points, rays, strict=True):
        cross_matrix = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]]) / math.hypot(a, b, c)
        equations.append(np.kron(cross_matrix, (x, y, 1.0)))
    _, _, Vt = np.linalg.svd(np.concatenate(equations))
    H = Vt[-1].reshape(3, 3)
    return H if H[:, 2] @ rays.mean(axis=0) > 0 else -H


def _mirror_pose(pose: RectanglePose) -> RectanglePose:
    """Pose that looks almost the same from afar: mirrored at the plane across the line of sight."""
    line_of_sight = pose.t / np.linalg.norm(pose.t)
    x, y, _ = (pose.R - 2 * np.outer(line_of_sight, line_of_sight @ pose.R)).T
    return replace(pose, R=np.stack([x, y, np.cross(x, y)], axis=1))


def _scale_focal_length(camera: Camera, log_factor: float) -> Camera:
    """Multiply both focal lengths of a pinhole by exp(log_factor)."""
    if not log_factor:
        return camera
    K = camera.needs_pinhole("a focal length by rectangles").copy()
    K[[0, 1], [0, 1]] = np.clip(K[[0, 1], [0, 1]] * math.exp(log_factor), 1e-3, 1e12)
    return Camera(K=K, source=camera.source)
