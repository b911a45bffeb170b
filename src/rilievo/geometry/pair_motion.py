"""Motion of a camera between two frames, from tracked corners and the depth of the first frame.

The start is a pose from points (P-n-P with RANSAC, Lepetit et al. 2009). It is refined by
least squares, in which the depth of every corner may be wrong by its own factor: with a relative
error s of depth, an image error has the covariance σ² 1 + s² j jᵀ, where j is the displacement in
the image due to a change of log depth. Errors along the epipolar line therefore count less the
larger the parallax is, so that direction comes from the corners and length from their depth.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, UInt8

from rilievo.errors import MissingExtraError
from rilievo.geometry.corner_points import depth_at as depth_at
from rilievo.geometry.corner_points import rays_at as rays_at
from rilievo.geometry.tracks import Tracking, Tracks, track_corners
from rilievo.geometry.transforms import axis_angle_from_rotation, rotation_from_axis_angle

TRACKING = Tracking(corners=400, quality=0.005, apart=4, comes_back=0.3)

_PIXEL = 0.2
"""Standard deviation of a tracked position [px]."""
_DEPTH = 0.3
"""Standard deviation of a corner's log depth, apart from the frame's scale."""
_OUTLIER = 3.0
"""Error, in standard deviations, from which a corner counts as moved by itself or mistracked."""
_FEWEST = 20
"""Smallest number of corners that a motion is estimated from."""
_ROUNDS, _STEP_DONE = 20, 1e-6
_SLACK = 16.0
"""Factor of ``_OUTLIER`` in the first round; it is halved in every round."""
_NEAREST = 1e-6
_BROADEST = 30.0
"""Standard error of the direction [degrees] from which the direction counts as unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """

    source_T_target: Float64[np.ndarray, "4 4"]
    tracked: int
    inliers: int
    error: float
    parallax: float
    direction_error: float

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
)
"""Result where too few corners are found in both frames."""


def motion_from_depth(
    target: UInt8[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w"],
    depth: Float[np.ndarray, "h w"],
    K: Float[np.ndarray, "3 3"],
) -> PairMotion:
    """Estimate ``source_T_target`` from two grey frames and the depth of the target.

    Args:
        target: First frame.
        source: Second frame, of the same size.
        depth: Depth of the target, in any unit; values that are not finite or not above 0 are
            unknown.
        K: Intrinsics of both frames [px].

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    return motion_of_tracks(track_corners(target, source, TRACKING), depth, K)


def motion_of_tracks(
    tracks: Tracks, depth: Float[np.ndarray, "h w"], K: Float[np.ndarray, "3 3"]
) -> PairMotion:
    """Estimate ``source_T_target`` from corners that were tracked from target to source.

    Args:
        tracks: Corners of the target, found again in the source.
        depth: Depth of the target, as for ``motion_from_depth``.
        K: Intrinsics of both frames [px].

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    found = _fitted(tracks, depth, K)
    return UNKNOWN if found is None else _described(*found)


class Misfit(NamedTuple):
    """Misfit of tracked corners to the best motion, for comparing cameras.

    Attributes:
        across: Median error of all corners across their epipolar lines [px].
        turn: Angle of the rotation [rad].
    """

    across: float
    turn: float


def misfit(
    tracks: Tracks, depth: Float[np.ndarray, "h w"], K: Float[np.ndarray, "3 3"]
) -> Misfit | None:
    """Compute the misfit of corners under intrinsics; None where too few have depth.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    found = _fitted(tracks, depth, K)
    if found is None:
        return None
    corners, fit, _ = found
    turn = float(np.linalg.norm(axis_angle_from_rotation(fit.R)))
    errors = np.linalg.norm(_across(_errors(corners, fit.R, fit.t)), axis=1)
    return Misfit(across=float(np.median(errors)), turn=turn)


def _fitted(
    tracks: Tracks, depth: Float[np.ndarray, "h w"], K: Float[np.ndarray, "3 3"]
) -> "tuple[_Corners, _Fit, float] | None":
    """Corners in the unit of their median depth, the best motion, and that unit."""
    z = depth_at(depth, tracks.start)
    seen = np.isfinite(z)
    if seen.sum() < _FEWEST:
        return None
    unit = float(np.median(z[seen]))
    K = K.astype(np.float64)
    rays = rays_at(tracks.start[seen], K)
    corners = _Corners(points=rays * (z[seen] / unit)[:, None], ends=tracks.end[seen], K=K)
    fits = [_refined(corners, start) for start in _starts(corners)]
    return corners, min(fits, key=lambda fit: fit.cost), unit


class _Corners(NamedTuple):
    """Points of the target camera with median depth 1, and their positions in the source [px]."""

    points: Float64[np.ndarray, "n 3"]
    ends: Float64[np.ndarray, "n 2"]
    K: Float64[np.ndarray, "3 3"]


class _Fit(NamedTuple):
    """Refined motion, its robust cost, and the normal matrix of (rotation, translation)."""

    R: Float64[np.ndarray, "3 3"]
    t: Float64[np.ndarray, "3"]
    cost: float
    information: Float64[np.ndarray, "6 6"]


class _Errors(NamedTuple):
    """Image errors of corners under a motion.

    Attributes:
        moved: Points in the source camera.
        error: Position seen minus position predicted [px].
        along: Displacement [px] due to a change of log depth by 1.
        inverse: Inverse covariances of ``error``.
        squared: Squared errors in standard deviations.
    """

    moved: Float64[np.ndarray, "n 3"]
    error: Float64[np.ndarray, "n 2"]
    along: Float64[np.ndarray, "n 2"]
    inverse: Float64[np.ndarray, "n 2 2"]
    squared: Float64[np.ndarray, "n"]


def _starts(corners: _Corners) -> list[tuple[np.ndarray, np.ndarray]]:
    """A camera that stands still, and a pose from points, where one is found."""
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("estimating motion", "train") from missing
    starts = [(np.eye(3), np.zeros(3))]
    rays = rays_at(corners.ends, corners.K)
    ways = corners.K[0, 0] * (rays[:, :2] - corners.points[:, :2] / corners.points[:, 2:])
    allowed = max(1.0, _DEPTH * float(np.median(np.linalg.norm(ways, axis=1))))
    found, turn, way, _ = cv2.solvePnPRansac(
        corners.points,
        corners.ends,
        corners.K,
        None,
        iterationsCount=100,
        reprojectionError=allowed,
        flags=cv2.SOLVEPNP_EPNP,
    )
    if found and np.isfinite(turn).all() and np.isfinite(way).all():
        starts.append((cv2.Rodrigues(turn)[0], way[:, 0]))
    return starts


def _refined(corners: _Corners, start: tuple[np.ndarray, np.ndarray]) -> _Fit:
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
    return _Fit(R, t, cost, H)


def _errors(corners: _Corners, R: np.ndarray, t: np.ndarray) -> _Errors:
    K = corners.K
    turned = corners.points @ R.T
    moved = turned + t
    z = np.maximum(moved[:, 2], _NEAREST)
    f = K[[0, 1], [0, 1]]
    seen = f * moved[:, :2] / z[:, None] + K[[0, 1], [2, 2]]
    along = f * (turned[:, :2] - moved[:, :2] * (turned[:, 2] / z)[:, None]) / z[:, None]
    error = corners.ends - seen
    # Inverse of σ² 1 + s² j jᵀ (Sherman and Morrison).
    pixel, depth = _PIXEL**2, _DEPTH**2
    share = depth / (pixel + depth * (along**2).sum(axis=1))
    inverse = (np.eye(2) - share[:, None, None] * along[:, :, None] * along[:, None, :]) / pixel
    squared = np.einsum("ni,nij,nj->n", error, inverse, error)
    behind = moved[:, 2] <= _NEAREST
    return _Errors(moved, error, along, inverse, np.where(behind, 1e6, squared))


def _normal(
    corners: _Corners, R: np.ndarray, t: np.ndarray, slack: float = 1.0
) -> tuple[np.ndarray, np.ndarray, float]:
    """Normal matrix, right side and robust cost for small changes (turn, translation) of a pose."""
    found = _errors(corners, R, t)
    weight = 1 / (1 + found.squared / (slack * _OUTLIER) ** 2)
    x, y = found.moved[:, 0], found.moved[:, 1]
    z = np.maximum(found.moved[:, 2], _NEAREST)
    fx, fy = corners.K[0, 0], corners.K[1, 1]
    J = np.zeros((len(x), 2, 6))
    # A turn w moves the point p by w × p, a translation moves it by itself.
    J[:, 0, 0], J[:, 0, 1], J[:, 0, 2] = -x * y / z**2, 1 + (x / z) ** 2, -y / z
    J[:, 1, 0], J[:, 1, 1], J[:, 1, 2] = -1 - (y / z) ** 2, x * y / z**2, x / z
    J[:, 0, 3], J[:, 0, 5] = 1 / z, -x / z**2
    J[:, 1, 4], J[:, 1, 5] = 1 / z, -y / z**2
    J *= np.array([fx, fy])[:, None]
    left = np.einsum("n,nia,nij->naj", weight, J, found.inverse)
    H = np.einsum("naj,njb->ab", left, J)
    right = np.einsum("naj,nj->a", left, found.error)
    # The determinant of the covariance keeps a long translation from excusing every error.
    spread = np.log1p((_DEPTH / _PIXEL) ** 2 * (found.along**2).sum(axis=1))
    cost = _OUTLIER**2 * np.log1p(found.squared / _OUTLIER**2) + spread
    return H, right, float(cost.sum())


def _described(corners: _Corners, fit: _Fit, unit: float) -> PairMotion:
    found = _errors(corners, fit.R, fit.t)
    good = found.squared < _OUTLIER**2
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = fit.R, fit.t * unit
    if not good.any():
        return UNKNOWN
    turned = rays_at(_positions(corners.points @ fit.R.T, corners.K), corners.K)
    ends = rays_at(corners.ends, corners.K)
    left = (ends - turned)[:, :2] * corners.K[[0, 1], [0, 1]]
    return PairMotion(
        source_T_target=T,
        tracked=len(corners.points),
        inliers=int(good.sum()),
        error=float(np.median(np.linalg.norm(_across(found), axis=1)[good])),
        parallax=float(np.median(np.linalg.norm(left, axis=1)[good])),
        direction_error=_direction_error(fit),
    )


def _positions(
    points: Float64[np.ndarray, "n 3"], K: Float64[np.ndarray, "3 3"]
) -> Float64[np.ndarray, "n 2"]:
    z = np.maximum(points[:, 2:], _NEAREST)
    return K[[0, 1], [0, 1]] * points[:, :2] / z + K[[0, 1], [2, 2]]


def _across(found: _Errors) -> Float64[np.ndarray, "n 2"]:
    """Errors without their part along the epipolar line, which a change of depth explains."""
    length = np.maximum((found.along**2).sum(axis=1, keepdims=True), 1e-12)
    along = (found.error * found.along).sum(axis=1, keepdims=True) / length
    return found.error - along * found.along


def _direction_error(fit: _Fit) -> float:
    length = float(np.linalg.norm(fit.t))
    if not length > 0:
        return 90.0
    covariance = np.linalg.pinv(fit.information)[3:, 3:]
    direction = fit.t / length
    beside = np.eye(3) - np.outer(direction, direction)
    spread = math.sqrt(max(float(np.trace(beside @ covariance @ beside)), 0.0))
    return min(90.0, math.degrees(math.atan2(spread, length)))
