"""Pose of known rectangles, and the focal length that they show.

The homography from the plane of a rectangle to the rays of its corners is, up to a factor, two
columns of the rotation and the translation (Zhang, PAMI 2000), whatever the lens. With the right
focal length these columns are at right angles and of one length, as the two vanishing points say
(Caprile and Torre, IJCV 1990). From there all poses, and a focal length that is not known, are
refined by least squares on the corners (Levenberg-Marquardt). From afar a rectangle looks almost as
if mirrored at the plane across the line of sight, so both poses are tried.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from rilievo.calibration.rectangles import KnownRectangle
from rilievo.errors import CalibrationError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.io.photographs.file_camera import assumed_camera
from rilievo.records import no_hash, same_record
from rilievo.shapes import Float64, Matrix, Points, Values, Vector
from rilievo.types import Camera, CameraSource

FREE = (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)
"""Sources of focal lengths that rectangles replace."""
MOST_DOUBT = 0.15
"""Largest accepted standard deviation of the logarithm of a focal length."""
_SPREAD = 0.5
"""Standard deviation of the logarithm of focal lengths about the assumed one."""
_MISFIT = 4.0
"""Squared misses of the corners over those to expect, from which on they tell the error."""
_MOST_MISS = 0.04
"""Largest miss of the corners, as a share of the shortest side in the photograph."""
_APART = 4.0
"""Least difference in squared misses between both ways round a rectangle."""
_FOCAL_LENGTHS = np.log(np.geomspace(0.4, 4.0, 9))
"""Logarithms of focal lengths, over the assumed one, at which fits begin."""
_STEPS, _FEW_STEPS, _DIFFERENCE = 60, 10, 1e-6
_OUTLINE = np.array([(-0.5, -0.5, 0.0), (0.5, -0.5, 0.0), (0.5, 0.5, 0.0), (-0.5, 0.5, 0.0)])

Residuals = Callable[["RectangleFit"], Values]


@frozen
class RectanglePose:
    """Pose of a rectangle in the camera frame.

    Attributes:
        rectangle: The rectangle, with its sides in order.
        R: Columns are the directions of its first side, of its second, and across.
        t: Middle of the rectangle [m].
    """

    rectangle: KnownRectangle
    R: Matrix
    t: Vector

    __eq__ = same_record
    __hash__ = no_hash

    @property
    def normal(self) -> Vector:
        """Unit normal of its plane, towards the camera."""
        return -self.R[:, 2] * np.sign(self.R[:, 2] @ self.t)

    def depths(self, rays: Float64[np.ndarray, "3 n"]) -> Values:
        """Depth of its plane along rays [m]; negative where that is behind the camera."""
        return (self.R[:, 2] @ self.t) / (self.R[:, 2] @ rays)


@frozen
class RectangleFit:
    """Poses of all known rectangles in a photograph, and the camera that sees them so.

    Attributes:
        poses: Poses, in the order of the rectangles.
        camera: The camera, with the focal length that fits.
        covariance: Covariance of the logarithm of the focal length, and of each pose: a small
            rotation after it [rad], and a translation as a share of the distance.
    """

    poses: tuple[RectanglePose, ...]
    camera: Camera
    covariance: Float64[np.ndarray, "m m"]

    __eq__ = same_record
    __hash__ = no_hash

    @property
    def doubt(self) -> float:
        """Standard deviation of the logarithm of the focal length; 0 where it was known."""
        return math.sqrt(self.covariance[0, 0])

    def moved(self, step: Values) -> "RectangleFit":
        """The fit with other parameters, by their differences in the order of the covariance."""
        sixes = step[1:].reshape(-1, 6)
        turns = np.asarray(rotation_from_axis_angle(sixes[:, :3]))
        poses = (
            replace(pose, R=turn @ pose.R, t=pose.t + six[3:] * np.linalg.norm(pose.t))
            for pose, turn, six in zip(self.poses, turns, sixes, strict=True)
        )
        return replace(self, poses=tuple(poses), camera=_scaled(self.camera, float(step[0])))


def fit_rectangles(
    rectangles: Sequence[KnownRectangle], camera: Camera, shape: tuple[int, int] | None = None
) -> RectangleFit:
    """Fit the poses of known rectangles.

    Args:
        rectangles: Rectangles of one photograph.
        camera: Camera of the photograph.
        shape: (height, width) of the photograph [px] where the focal length is to be fitted too, of
            a pinhole alone; None keeps that of the camera.

    Raises:
        CalibrationError: If the camera cannot see a corner, no rectangle of these sides is seen so,
            or a common thing is seen so either way round.
    """
    is_free = shape is not None and isinstance(camera.lens, Pinhole)
    usual = assumed_camera(shape).focal if shape is not None and is_free else None
    ordered = [_in_order(rectangle, camera, usual) for rectangle in rectangles]
    fit, residuals = _fitted(ordered, camera, usual)
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
    slopes = _slopes(fit, residuals)
    # A known focal length has no slope, and so no variance.
    covariance = np.linalg.pinv(slopes.T @ slopes, rcond=1e-13, hermitian=True)
    freedom = max(2 * len(ordered) - (usual is not None), 1)
    misfit = float(misses @ misses) / freedom
    return replace(fit, covariance=covariance * (misfit if misfit > _MISFIT else 1.0))


def rectangle_depth(rectangle: KnownRectangle, camera: Camera) -> float:
    """Depth of the plane of a rectangle where its diagonals cross [m]."""
    [pose] = fit_rectangles((rectangle,), camera).poses
    return float(pose.depths(camera.rays(np.array(rectangle.middle)[:, None]))[0])


def _in_order(rectangle: KnownRectangle, camera: Camera, usual: float | None) -> KnownRectangle:
    """The rectangle with its sides in the order in which the corners fit better."""
    if not isinstance(rectangle.sides, str):
        return rectangle
    long, short = rectangle.lengths
    ways = [replace(rectangle, sides=sides) for sides in ((long, short), (short, long))]
    fits = (_fitted([way], camera, usual) for way in ways)
    costs = [_cost(residuals(fit)) for fit, residuals in fits]
    if abs(costs[1] - costs[0]) < _APART:
        raise CalibrationError(
            f"known rectangle {rectangle}: seen at this slant, either side may be the long one; "
            f"write them, from corner 1 to 2 and from 2 to 3: {long:g}x{short:g} or "
            f"{short:g}x{long:g}"
        )
    return ways[int(costs[1] < costs[0])]


def _fitted(
    rectangles: Sequence[KnownRectangle], camera: Camera, usual: float | None
) -> tuple[RectangleFit, Residuals]:
    """The best fit of all starts, and the misses that it makes least.

    Args:
        rectangles: Rectangles, with their sides in order.
        camera: Camera.
        usual: Assumed focal length [px] about which one that is not known is fitted; None keeps
            that of the camera.
    """
    residuals = _residuals(rectangles, usual)
    logs = [0.0] if usual is None else math.log(usual / camera.focal) + _FOCAL_LENGTHS
    starts = []
    for log in logs:
        start = _scaled(camera, float(log))
        poses = tuple(_direct(rectangle, start) for rectangle in rectangles)
        unknown = np.zeros((1 + 6 * len(poses),) * 2)
        starts.append(RectangleFit(poses=poses, camera=start, covariance=unknown))
    best = min(starts, key=lambda fit: _cost(residuals(fit)))
    if not math.isfinite(_cost(residuals(best))):
        raise CalibrationError(
            f"known rectangle {rectangles[0]}: the camera cannot see all of its corners"
        )
    fit = _refined(best, residuals)
    for which, pose in enumerate(fit.poses):
        others = (*fit.poses[:which], _mirrored(pose), *fit.poses[which + 1 :])
        # A wrong one never ends: its focal length grows without bound.
        other = _refined(replace(fit, poses=others), residuals, steps=_FEW_STEPS)
        if _cost(residuals(other)) < _cost(residuals(fit)):
            fit = _refined(other, residuals)
    return fit, residuals


def _residuals(rectangles: Sequence[KnownRectangle], usual: float | None) -> Residuals:
    """Misses of the corners in their standard deviations, eight a rectangle, of a fit.

    Where the focal length is not known, the last is that of its logarithm.
    """
    image_corners = np.array([rectangle.corners for rectangle in rectangles])
    errors = np.array([rectangle.error for rectangle in rectangles])
    sides = np.array([[*rectangle.lengths, 0.0] for rectangle in rectangles])
    outlines = _OUTLINE * sides[:, None]

    def misses(fit: RectangleFit) -> Values:
        R, t = np.stack([pose.R for pose in fit.poses]), np.stack([pose.t for pose in fit.poses])
        points = np.einsum("nij,nkj->ink", R, outlines) + t.T[:, :, None]
        off = (fit.camera.project(points) - image_corners.transpose(2, 0, 1)) / errors[:, None]
        corners = off.transpose(1, 2, 0).ravel()
        if usual is None:
            return corners
        return np.append(corners, math.log(fit.camera.focal / usual) / _SPREAD)

    return misses


def _cost(residuals: Values) -> float:
    cost = float(residuals @ residuals)
    return cost if math.isfinite(cost) else math.inf


def _slopes(fit: RectangleFit, residuals: Residuals) -> Float64[np.ndarray, "r m"]:
    """Derivatives of the residuals by the parameters; a pose moves no other's corners."""
    here, count = residuals(fit), len(fit.poses)
    is_free = len(here) > 8 * count
    slopes = np.zeros((len(here), 1 + 6 * count))
    for at in range(0 if is_free else 1, 7):
        step = np.zeros(slopes.shape[1])
        step[slice(at, None, 6) if at else 0] = _DIFFERENCE
        change = (residuals(fit.moved(step)) - here) / _DIFFERENCE
        if at == 0:
            slopes[:, 0] = change
            continue
        for which in range(count):
            own = slice(8 * which, 8 * which + 8)
            slopes[own, 6 * which + at] = change[own]
    return slopes


def _refined(fit: RectangleFit, residuals: Residuals, *, steps: int = _STEPS) -> RectangleFit:
    """The fit at the least sum of squared misses that is reached from here."""
    after, here, damping = fit, residuals(fit), 1e-3
    there, cost = here, _cost(here)
    if not math.isfinite(cost):
        return fit
    for _ in range(steps):
        slopes = _slopes(fit, residuals)
        normal, slope = slopes.T @ slopes, slopes.T @ here
        gain = 0.0
        while gain <= 0 and damping < 1e9:
            damped = normal + np.diag(damping * np.diag(normal) + 1e-12)
            step = np.linalg.solve(damped, slope)
            if not np.isfinite(step).all():
                return fit
            after = fit.moved(-np.clip(step, -1, 1))
            there = residuals(after)
            gain = cost - _cost(there)
            damping *= 0.1 if gain > 0 else 10
        if gain <= 0:
            break
        fit, here, cost = after, there, cost - gain
        if gain < 1e-7 * (1 + cost):
            break
    return fit


def _direct(rectangle: KnownRectangle, camera: Camera) -> RectanglePose:
    """Pose by the homography from the plane to the rays of the corners."""
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


def _mirrored(pose: RectanglePose) -> RectanglePose:
    """The pose that looks nearly alike from afar: mirrored at a plane across the line of sight."""
    sight = pose.t / np.linalg.norm(pose.t)
    x, y, _ = (pose.R - 2 * np.outer(sight, sight @ pose.R)).T
    return replace(pose, R=np.stack([x, y, np.cross(x, y)], axis=1))


def _scaled(camera: Camera, log: float) -> Camera:
    """The camera with a focal length whose logarithm differs."""
    if not log:
        return camera
    K = camera.needs_pinhole("a focal length by rectangles").copy()
    K[[0, 1], [0, 1]] = np.clip(K[[0, 1], [0, 1]] * math.exp(log), 1e-3, 1e12)
    return Camera(K=K, source=camera.source)
