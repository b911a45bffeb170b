"""Motion of a camera between two frames, by tracked corners with depth.

Pose of a camera from corners whose depth is uncertain, by robust least squares.

The start is a pose from points (P-n-P with RANSAC, Lepetit et al. 2009), or a camera that stands
still. In the refinement the depth of every corner may be wrong by its own factor: with a relative
error s of depth, an image error has the covariance σ² 1 + s² j jᵀ, where j is the displacement in
the image due to a change of log depth. Errors along the epipolar line therefore count less the
larger the parallax is, so that direction comes from the corners and length from their depth.
"""

import math
from typing import NamedTuple

import numpy as np

from rilievo.data.clips.motion.tracks import FrameDepth, Tracking, Tracks, depth_at, rays_at
from rilievo.errors import MissingExtraError
from rilievo.frozen import frozen
from rilievo.geometry.transforms import axis_angle_from_rotation, rigid, rotation_from_axis_angle
from rilievo.shapes import Float, Float64, Matrix, Points, Positions, Transform, Values, Vector

PIXEL = 0.2
"""Standard deviation of a tracked position [px]."""
_DEPTH = 0.3
"""Standard deviation of a corner's log depth, apart from the frame's scale."""
OUTLIER = 3.0
"""Error, in standard deviations, from which a corner counts as moved by itself or mistracked."""
_ROUNDS, _STEP_DONE = 20, 1e-6
_SLACK = 16.0
"""Factor of ``OUTLIER`` in the first round; it is halved in every round."""
NEAREST = 1e-6


class Corners(NamedTuple):
    """Points of the target camera with median depth 1, and their positions in the source [px]."""

    points: Points
    ends: Positions
    K: Matrix


class PoseFit(NamedTuple):
    """Refined motion, its robust cost, and the normal matrix of (rotation, translation)."""

    R: Matrix
    t: Vector
    cost: float
    information: Float64[np.ndarray, "6 6"]


class Errors(NamedTuple):
    """Image errors of corners under a motion.

    Attributes:
        moved: Points in the source camera.
        error: Position seen minus position predicted [px].
        along: Displacement [px] due to a change of log depth by 1.
        inverse: Inverse covariances of ``error``.
        squared: Squared errors in standard deviations.
    """

    moved: Points
    error: Positions
    along: Positions
    inverse: Float64[np.ndarray, "n 2 2"]
    squared: Values


def fit_pose(corners: Corners) -> PoseFit:
    """Fit the motion that takes points of the target camera to the source.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    return min((_refined(corners, start) for start in _starts(corners)), key=lambda fit: fit.cost)


def across_lines(errors: Errors) -> Positions:
    """Errors without their part along the epipolar line, which a change of depth explains."""
    length = np.maximum((errors.along**2).sum(axis=1, keepdims=True), 1e-12)
    along = (errors.error * errors.along).sum(axis=1, keepdims=True) / length
    return errors.error - along * errors.along


def _starts(corners: Corners) -> list[tuple[np.ndarray, np.ndarray]]:
    """A camera that stands still, and a pose from points, where one is found."""
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


def _refined(corners: Corners, start: tuple[np.ndarray, np.ndarray]) -> PoseFit:
    """Gauss-Newton with Cauchy's weights; covariances follow the motion from step to step.

    The weights tell outliers apart only gradually, since the start may be far off (graduated
    non-convexity, Blake and Zisserman 1987).
    """
    R, t = start
    for number in range(_ROUNDS):
        slack = max(1.0, _SLACK / 2**number)
        H, right, _ = _normal(corners, R, t, slack)
        step = np.linalg.solve(H + 1e-9 * np.trace(H) * np.eye(6), right)
        turn = rotation_from_axis_angle(step[:3])
        R, t = turn @ R, turn @ t + step[3:]
        if slack == 1 and np.abs(step).max() < _STEP_DONE:
            break
    H, _, cost = _normal(corners, R, t)
    return PoseFit(R, t, cost, H)


def image_errors(corners: Corners, R: Matrix, t: Vector) -> Errors:
    """Compute the image errors of corners under the motion p ↦ R p + t."""
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


def _normal(
    corners: Corners, R: np.ndarray, t: np.ndarray, slack: float = 1.0
) -> tuple[np.ndarray, np.ndarray, float]:
    """Normal matrix, right side and robust cost for small changes (turn, translation) of a pose."""
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
"""Smallest number of corners that a motion is estimated from."""
_BROADEST = 30.0
"""Standard error of the direction [degrees] from which the direction counts as unknown."""
_PARALLAX = 1.0
"""Smallest parallax [px] of a corner that is triangulated: a fifth of its depth is uncertain."""
_GOOD_PARALLAX = 2.0
"""Smallest parallax [px] of a corner that depth is judged by."""
_FEWEST_JUDGES = 10
"""Smallest number of triangulated corners that depth is compared with."""


@frozen
class Triangulated:
    """Corners of the first frame whose depth follows from their displacement and the motion.

    Attributes:
        places: Positions (x, y) in the first frame [px].
        depth: Depth, in the unit of the motion.
        parallax: Displacement that the rotation does not explain [px].
    """

    places: Positions
    depth: Values
    parallax: Values


@frozen
class PairMotion:
    """Motion between two frames, with its quality.

    Attributes:
        source_T_target: Transform from points of the first (target) camera to the second
            (source) camera, in the unit of the given depth.
        tracked: Number of corners with known depth that were found in both frames.
        inliers: Number of those that the motion explains.
        error: Median error of the inliers across their epipolar lines [px].
        parallax: Median displacement of the inliers that the rotation does not explain [px].
        direction_error: Standard error of the translation's direction [degrees], at most 90. It
            follows from the spread of the corners, not from errors of depth that they share.
        corners: Corners that are triangulated with this motion.
        depth_error: AbsRel of the given depth, scaled by the median, at those of the corners with
            enough parallax, each error at most 1. NaN where they are too few.
        judges: Number of the corners that ``depth_error`` is the mean over.
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
        """Whether enough corners agree on a motion."""
        return self.inliers >= _FEWEST and self.inliers >= 0.3 * self.tracked

    @property
    def travels(self) -> bool:
        """Whether the camera moved far enough for the direction of its translation to be known."""
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
"""Result where too few corners are found in both frames."""


def motion_of_tracks(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> PairMotion:
    """Estimate ``source_T_target`` from corners that were tracked from target to source.

    Args:
        tracks: Corners of the target, found again in the source.
        depth: Depth of the target, in any unit; values that are not finite or not above 0 are
            unknown.
        K: Intrinsics of both frames [px].

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    solution = _fitted(tracks, depth, K)
    return UNKNOWN if solution is None else _described(*solution)


class CornerMisfit(NamedTuple):
    """Misfit of tracked corners to the best motion, for comparing cameras.

    Attributes:
        across: Median error of all corners across their epipolar lines [px].
        turn: Angle of the rotation [rad].
    """

    across: float
    turn: float


def misfit(tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]) -> CornerMisfit | None:
    """Compute the misfit of corners under intrinsics; None where too few have depth.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    solution = _fitted(tracks, depth, K)
    if solution is None:
        return None
    corners, fit, _ = solution
    turn = float(np.linalg.norm(axis_angle_from_rotation(fit.R)))
    errors = np.linalg.norm(across_lines(image_errors(corners, fit.R, fit.t)), axis=1)
    return CornerMisfit(across=float(np.median(errors)), turn=turn)


def _fitted(
    tracks: Tracks, depth: FrameDepth, K: Float[np.ndarray, "3 3"]
) -> tuple[Corners, PoseFit, float] | None:
    """Corners in the unit of their median depth, the best motion, and that unit."""
    z = depth_at(depth, tracks.start)
    valid = np.isfinite(z)
    if valid.sum() < _FEWEST:
        return None
    unit = float(np.median(z[valid]))
    K = K.astype(np.float64)
    rays = rays_at(tracks.start[valid], K)
    corners = Corners(points=rays * (z[valid] / unit)[:, None], ends=tracks.end[valid], K=K)
    return corners, fit_pose(corners), unit


def _described(corners: Corners, fit: PoseFit, unit: float) -> PairMotion:
    residuals = image_errors(corners, fit.R, fit.t)
    good = residuals.squared < OUTLIER**2
    if not good.any():
        return UNKNOWN
    points = _triangulated(corners, fit)
    valid = np.isfinite(points.depth)
    errors = depth_errors(corners.points[:, 2] / points.depth, points.parallax)
    turned = rays_at(_positions(corners.points @ fit.R.T, corners.K), corners.K)
    ends = rays_at(corners.ends, corners.K)
    left = (ends - turned)[:, :2] * corners.K[[0, 1], [0, 1]]
    return PairMotion(
        source_T_target=rigid(fit.R, fit.t * unit),
        tracked=len(corners.points),
        inliers=int(good.sum()),
        error=float(np.median(np.linalg.norm(across_lines(residuals), axis=1)[good])),
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


def _triangulated(corners: Corners, fit: PoseFit) -> Triangulated:
    """Triangulate all corners, in the unit of ``corners``; NaN off their epipolar lines.

    The direction of the translation hardly depends on the given depth, see ``fit_pose``, so that
    depth that is wrong cannot excuse itself by motion.
    """
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
        places=_positions(corners.points, corners.K),
        depth=np.where(good, z, np.nan),
        parallax=parallax,
    )


def depth_errors(ratio: Values, parallax: Values) -> Float64[np.ndarray, "m"]:
    """Relative differences of two depths by their ratio, up to a factor, at most 1 each.

    Corners with little parallax do not count; there is none where too few are left.
    """
    judged = ratio[np.isfinite(ratio) & (parallax > _GOOD_PARALLAX)]
    if len(judged) < _FEWEST_JUDGES:
        return np.zeros(0)
    return np.minimum(np.abs(judged / np.median(judged) - 1), 1)


def _positions(points: Points, K: Matrix) -> Positions:
    z = np.maximum(points[:, 2:], NEAREST)
    return K[[0, 1], [0, 1]] * points[:, :2] / z + K[[0, 1], [2, 2]]


def _direction_error(fit: PoseFit) -> float:
    length = float(np.linalg.norm(fit.t))
    if not length > 0:
        return 90.0
    covariance = np.linalg.pinv(fit.information)[3:, 3:]
    direction = fit.t / length
    beside = np.eye(3) - np.outer(direction, direction)
    spread = math.sqrt(max(float(np.trace(beside @ covariance @ beside)), 0.0))
    return min(90.0, math.degrees(math.atan2(spread, length)))
