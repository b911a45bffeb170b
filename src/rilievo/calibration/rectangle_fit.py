"""Pose of known rectangles, and the focal length that they show.

The homography from plane to rays is two columns of the rotation and the translation (Zhang, PAMI
2000), which tell the focal length (Caprile and Torre, IJCV 1990). From afar a rectangle looks
almost mirrored, so both poses are tried.
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

FREE = (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)
# Largest accepted deviation of a log focal length.
MOST_DOUBT = 0.15
# Deviation of log focal lengths about the assumed.
_SPREAD = 0.5
# Squared misses over the expected that tell the error.
_MISFIT = 4.0
# Largest miss, as a share of the shortest side.
_MOST_MISS = 0.04
# Least difference of both ways round.
_APART = 4.0
# Logarithms at which fits begin.
_FOCAL_LENGTHS = np.log(np.geomspace(0.4, 4.0, 9))
_STEPS, _FEW_STEPS, _DIFFERENCE = 60, 10, 1e-6
_OUTLINE = np.array([(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)])

Residuals = Callable[["RectangleFit"], Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class RectanglePose:
    """Pose of a rectangle in the camera frame.

    Attributes:
        R: Directions of first side, second, and across.
        t: Middle [m].
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
        """Depth along rays [m]; negative behind."""
        return (self.R[:, 2] @ self.t) / (self.R[:, 2] @ rays)


@dataclass(frozen=True, slots=True, kw_only=True)
class RectangleFit:
    """Poses of all rectangles, and the camera.

    Attributes:
        covariance: Log focal length, then each pose: rotation [rad], translation over the distance.
    """

    poses: tuple[RectanglePose, ...]
    camera: Camera
    covariance: Float64[np.ndarray, "m m"]

    __eq__ = same_record
    __hash__ = no_hash

    @property
    def focal_log_deviation(self) -> float:
        """Deviation of the log focal length; 0 if known."""
        return math.sqrt(self.covariance[0, 0])

    def parameters_of(self, rectangle_index: int) -> tuple[int, ...]:
        """Indices of the parameters on which points in the plane of a rectangle depend.

        They are the focal length, and the three of the rotation and the three of the translation.
        """
        first = 1 + 6 * rectangle_index
        return (0, *range(first, first + 6))

    def add_step(self, step: Values) -> "RectangleFit":
        """Fit with parameters changed, in the covariance's order."""
        sixes = step[1:].reshape(-1, 6)
        turns = np.asarray(rotation_from_axis_angle(sixes[:, :3]))
        poses = (
            replace(pose, R=turn @ pose.R, t=pose.t + six[3:] * np.linalg.norm(pose.t))
            for pose, turn, six in zip(self.poses, turns, sixes, strict=True)
        )
        return replace(
            self, poses=tuple(poses), camera=_scale_focal_length(self.camera, float(step[0]))
        )


def fit_rectangles(
    rectangles: Sequence[KnownRectangle], camera: Camera, shape: tuple[int, int] | None = None
) -> RectangleFit:
    """Fit the poses of known rectangles.

    ``shape`` also fits the focal length, of a pinhole.

    Raises:
        CalibrationError: If a corner is unseen, no rectangle is seen so, or either way round.
    """
    is_free = shape is not None and isinstance(camera.lens, Pinhole)
    usual = assumed_camera(shape).focal if shape is not None and is_free else None
    ordered = [_assign_named_sides(rectangle, camera, usual) for rectangle in rectangles]
    fit, residuals = _fit_poses(ordered, camera, usual)
    misses = residuals(fit)[: 8 * len(ordered)]
    for rectangle, own in zip(ordered, misses.reshape(-1, 8), strict=True):
        off = math.sqrt(2 * float(np.mean(np.square(own)))) * rectangle.error
        if off > max(_MOST_MISS * rectangle.shortest, 2 * rectangle.error):
            first, second = rectangle.lengths
            raise CalibrationError(
                f"known rectangle {rectangle}: nothing of {first:g} x {second:g} m is seen so, the "
                f"corners are off by {off:.0f} px; expected its first side from corner 1 to 2, its "
                "second from 2 to 3: check them and the camera"
            )
    slopes = _jacobian(fit, residuals)
    # A known focal length has no slope, and so no variance.
    covariance = np.linalg.pinv(slopes.T @ slopes, rcond=1e-13, hermitian=True)
    freedom = max(2 * len(ordered) - (usual is not None), 1)
    misfit = float(misses @ misses) / freedom
    return replace(fit, covariance=covariance * (misfit if misfit > _MISFIT else 1.0))


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
    fit = fit_rectangles(rectangles, camera, shape if camera.source in FREE else None)
    if 0 < fit.focal_log_deviation <= MOST_DOUBT:
        camera = Camera(K=fit.camera.K, source=source)
    others = tuple(size for size in sizes if not isinstance(size, KnownRectangle))
    return camera, (*(pose.rectangle for pose in fit.poses), *others)


def _assign_named_sides(
    rectangle: KnownRectangle, camera: Camera, assumed_focal: float | None
) -> KnownRectangle:
    if not isinstance(rectangle.sides, str):
        return rectangle
    long, short = rectangle.lengths
    ways = [replace(rectangle, sides=sides) for sides in ((long, short), (short, long))]
    fits = (_fit_poses([way], camera, assumed_focal) for way in ways)
    costs = [_sum_of_squares(residuals(fit)) for fit, residuals in fits]
    if abs(costs[1] - costs[0]) < _APART:
        raise CalibrationError(
            f"known rectangle {rectangle}: seen at this slant, either side may be the long one; "
            f"write them, from corner 1 to 2 and from 2 to 3: {long:g}x{short:g} or "
            f"{short:g}x{long:g}"
        )
    return ways[int(costs[1] < costs[0])]


def _fit_poses(
    rectangles: Sequence[KnownRectangle], camera: Camera, assumed_focal: float | None
) -> tuple[RectangleFit, Residuals]:
    residuals = _residual_function(rectangles, assumed_focal)
    logs = (
        [0.0] if assumed_focal is None else math.log(assumed_focal / camera.focal) + _FOCAL_LENGTHS
    )
    starts = []
    for log in logs:
        start = _scale_focal_length(camera, float(log))
        poses = tuple(_pose_from_homography(rectangle, start) for rectangle in rectangles)
        unknown = np.zeros((1 + 6 * len(poses),) * 2)
        starts.append(RectangleFit(poses=poses, camera=start, covariance=unknown))
    best = min(starts, key=lambda fit: _sum_of_squares(residuals(fit)))
    if not math.isfinite(_sum_of_squares(residuals(best))):
        raise CalibrationError(
            f"known rectangle {rectangles[0]}: the camera cannot see all of its corners"
        )
    fit = _levenberg_marquardt(best, residuals)
    for which, pose in enumerate(fit.poses):
        others = (*fit.poses[:which], _mirror_pose(pose), *fit.poses[which + 1 :])
        # A wrong one never ends: its focal length grows without bound.
        other = _levenberg_marquardt(replace(fit, poses=others), residuals, steps=_FEW_STEPS)
        if _sum_of_squares(residuals(other)) < _sum_of_squares(residuals(fit)):
            fit = _levenberg_marquardt(other, residuals)
    return fit, residuals


def _residual_function(
    rectangles: Sequence[KnownRectangle], assumed_focal: float | None
) -> Residuals:
    image_corners = np.array([rectangle.corners for rectangle in rectangles])
    errors = np.array([rectangle.error for rectangle in rectangles])
    sides = np.array([[*rectangle.lengths, 0.0] for rectangle in rectangles])
    outlines = _OUTLINE * sides[:, None]

    def misses(fit: RectangleFit) -> Values:
        R, t = np.stack([pose.R for pose in fit.poses]), np.stack([pose.t for pose in fit.poses])
        points = np.einsum("nij,nkj->ink", R, outlines) + t.T[:, :, None]
        off = (fit.camera.project(points) - image_corners.transpose(2, 0, 1)) / errors[:, None]
        corners = off.transpose(1, 2, 0).ravel()
        if assumed_focal is None:
            return corners
        return np.append(corners, math.log(fit.camera.focal / assumed_focal) / _SPREAD)

    return misses


def _sum_of_squares(residuals: Values) -> float:
    cost = float(residuals @ residuals)
    return cost if math.isfinite(cost) else math.inf


def _jacobian(fit: RectangleFit, residuals: Residuals) -> Float64[np.ndarray, "r m"]:
    here, count = residuals(fit), len(fit.poses)
    is_free = len(here) > 8 * count
    slopes = np.zeros((len(here), 1 + 6 * count))
    for at in range(0 if is_free else 1, 7):
        step = np.zeros(slopes.shape[1])
        step[slice(at, None, 6) if at else 0] = _DIFFERENCE
        change = (residuals(fit.add_step(step)) - here) / _DIFFERENCE
        if at == 0:
            slopes[:, 0] = change
            continue
        for which in range(count):
            own = slice(8 * which, 8 * which + 8)
            slopes[own, 6 * which + at] = change[own]
    return slopes


def _levenberg_marquardt(
    fit: RectangleFit, residuals: Residuals, *, steps: int = _STEPS
) -> RectangleFit:
    after, here, damping = fit, residuals(fit), 1e-3
    there, cost = here, _sum_of_squares(here)
    if not math.isfinite(cost):
        return fit
    for _ in range(steps):
        slopes = _jacobian(fit, residuals)
        normal, slope = slopes.T @ slopes, slopes.T @ here
        gain = 0.0
        while gain <= 0 and damping < 1e9:
            damped = normal + np.diag(damping * np.diag(normal) + 1e-12)
            step = np.linalg.solve(damped, slope)
            if not np.isfinite(step).all():
                return fit
            after = fit.add_step(-np.clip(step, -1, 1))
            there = residuals(after)
            gain = cost - _sum_of_squares(there)
            damping *= 0.1 if gain > 0 else 10
        if gain <= 0:
            break
        fit, here, cost = after, there, cost - gain
        if gain < 1e-7 * (1 + cost):
            break
    return fit


def _pose_from_homography(rectangle: KnownRectangle, camera: Camera) -> RectanglePose:
    rays = camera.rays(np.array(rectangle.corners).T).T
    if not np.isfinite(rays).all():
        raise CalibrationError(
            f"known rectangle {rectangle}: a corner lies where the lens sees nothing"
        )
    unit = max(rectangle.lengths)
    H = _homography(_OUTLINE[:, :2] * rectangle.lengths / unit, rays)
    x, y, t = 2 * H.T / (np.linalg.norm(H[:, 0]) + np.linalg.norm(H[:, 1]))
    U, _, Vt = np.linalg.svd(np.stack([x, y, np.cross(x, y)], axis=1))
    return RectanglePose(rectangle=rectangle, R=U @ Vt, t=t * unit)


def _homography(plane: Float64[np.ndarray, "4 2"], rays: Points) -> Matrix:
    """Matrix H for which each ray points along H (x, y, 1)."""
    rows = []
    for (x, y), (a, b, c) in zip(plane, rays, strict=True):
        cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]]) / math.hypot(a, b, c)
        rows.append(np.kron(cross, (x, y, 1.0)))
    H = np.linalg.svd(np.concatenate(rows))[2][-1].reshape(3, 3)
    return H if H[:, 2] @ rays.mean(axis=0) > 0 else -H


def _mirror_pose(pose: RectanglePose) -> RectanglePose:
    sight = pose.t / np.linalg.norm(pose.t)
    x, y, _ = (pose.R - 2 * np.outer(sight, sight @ pose.R)).T
    return replace(pose, R=np.stack([x, y, np.cross(x, y)], axis=1))


def _scale_focal_length(camera: Camera, log: float) -> Camera:
    if not log:
        return camera
    K = camera.needs_pinhole("a focal length by rectangles").copy()
    K[[0, 1], [0, 1]] = np.clip(K[[0, 1], [0, 1]] * math.exp(log), 1e-3, 1e12)
    return Camera(K=K, source=camera.source)
