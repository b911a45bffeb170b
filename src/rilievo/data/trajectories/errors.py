"""Errors of an estimated trajectory: of its positions, and of the motion between its frames."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import (
    Bool,
    Float,
    Float64,
    Matrix,
    Points,
    Transform,
    Transforms,
    Values,
    Vector,
)
from rilievo.errors import InputError, OptionError

TruePoses = Float[np.ndarray, "m 4 4"]
AnyPoses = Float[np.ndarray, "n 4 4"]
_LEAST = 1e-12


class Freedom(StrEnum):
    """Parameters of a fit."""

    ORIGIN = "origin"
    """The first pose; for estimates in metres."""
    SCALE = "scale"
    """The first pose, and a scale by least squares."""
    RIGID = "rigid"
    """SE(3) by least squares."""
    SIMILARITY = "similarity"
    """Sim(3) by least squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Map p ↦ s R p + t to the true world; s is 1 without motion, negative for a reversed path."""

    scale: float
    R: Matrix
    t: Vector

    def apply(self, poses: AnyPoses) -> Transforms:
        """Transform poses; rotations stay rotations."""
        moved = np.array(poses, dtype=np.float64)
        moved[:, :3, :3] = self.R @ moved[:, :3, :3]
        moved[:, :3, 3] = self.scale * moved[:, :3, 3] @ self.R.T + self.t
        return moved


def fit_similarity(estimate: AnyPoses, true: TruePoses, freedom: Freedom) -> Similarity:
    """Fit an estimate to the truth (Umeyama, TPAMI 1991).

    Raises:
        InputError: If poses are fewer than two, differ in number, or are not finite.
    """
    check_paths(estimate, true)
    first, true_first = estimate[0].astype(np.float64), true[0].astype(np.float64)
    p, q = estimate[:, :3, 3].astype(np.float64), true[:, :3, 3].astype(np.float64)
    if freedom in (Freedom.ORIGIN, Freedom.SCALE):
        R = true_first[:3, :3] @ first[:3, :3].T
        turned = (p - p[0]) @ R.T
        scale = 1.0
        if freedom is Freedom.SCALE:
            scale = _least_squares_scale(turned, q - q[0])
        return Similarity(scale=scale, R=R, t=q[0] - scale * R @ p[0])
    return _umeyama(p, q, scaled=freedom is Freedom.SIMILARITY)


def position_rmse(
    estimate: AnyPoses,
    true: TruePoses,
    freedom: Freedom = Freedom.SIMILARITY,
) -> float:
    """Absolute trajectory error sqrt(mean ‖p̂ - p‖²) after the fit (Sturm et al., IROS 2012).

    Raises:
        InputError: If poses are fewer than two, differ in number, or are not finite.
    """
    fitted = fit_similarity(estimate, true, freedom).apply(estimate)
    gaps = fitted[:, :3, 3] - true[:, :3, 3]
    return float(np.sqrt(np.mean(np.sum(gaps * gaps, axis=1))))


def snippet_errors(
    estimate: AnyPoses, true: TruePoses, *, length: int = 5
) -> Float64[np.ndarray, "k"]:
    """Error of each snippet, called "ATE": sqrt(Σ ‖s p̂ - p‖²) / N (Zhou et al., CVPR 2017).

    Positions are relative to the first camera, and each snippet of N frames has its own scale s.
    This is sqrt(N) times less than an RMSE. Snippets with a true NaN are left out.

    Raises:
        InputError: If lengths differ, or a pose of the estimate is not finite.
        OptionError: If a snippet has fewer than two frames.
    """
    return _errors_of_snippets(
        estimate, true, length, len(true) - length + 1, _positions_from_first_pose
    )


def monodepth2_snippet_errors(
    estimate: AnyPoses, true: TruePoses, *, length: int = 5
) -> Float64[np.ndarray, "k"]:
    """Error of each snippet as Monodepth2's program reports it, also called "ATE".

    Motions of points, inverse to the camera's steps, are multiplied in forward order, and
    translations of the products compared. Every frame but the last begins a snippet. Means differ
    by up to 2 % from ``snippet_errors``, single snippets by 90 %.

    Raises:
        InputError: If lengths differ, or a pose of the estimate is not finite.
        OptionError: If a snippet has fewer than two frames.
    """
    return _errors_of_snippets(estimate, true, length, len(true) - 1, _forward_products)


def _errors_of_snippets(
    estimate: AnyPoses,
    true: TruePoses,
    length: int,
    count: int,
    points_of: Callable[[AnyPoses], Points],
) -> Float64[np.ndarray, "k"]:
    if length < 2:
        raise OptionError(f"a snippet has two frames or more, got {length}")
    check_finite_same_length(estimate, true)
    has_pose = known_poses(true)
    errors = [
        _scaled_gap(points_of(estimate[part]), points_of(true[part]))
        for start in range(count)
        if has_pose[part := slice(start, start + length)].all()
    ]
    return np.array(errors, dtype=np.float64)


def _forward_products(poses: AnyPoses) -> Points:
    """Origin and translations of M₁, M₁ M₂, ..."""
    product, points = np.eye(4), [np.zeros(3)]
    for before, after in itertools.pairwise(poses.astype(np.float64)):
        product = product @ np.linalg.solve(after, before)
        points.append(product[:3, 3])
    return np.stack(points)


def known_poses(poses: AnyPoses) -> Bool[np.ndarray, "n"]:
    """Mask of poses without NaN."""
    return np.asarray(np.isfinite(poses).all(axis=(1, 2)))


def check_finite_same_length(estimate: AnyPoses, true: TruePoses) -> None:
    """Refuse different lengths, and estimates with a pose that is not finite."""
    if len(estimate) != len(true):
        raise InputError(f"{len(estimate)} poses are estimated, but {len(true)} are true")
    if not known_poses(estimate).all():
        raise InputError("an estimated pose has NaN or infinite numbers")


def check_paths(estimate: AnyPoses, true: TruePoses) -> None:
    """Refuse different lengths, fewer than two poses, and any pose that is not finite."""
    check_finite_same_length(estimate, true)
    if len(true) < 2 or not known_poses(true).all():
        raise InputError(
            f"a path has two poses or more, all finite; this has {int(known_poses(true).sum())} "
            f"such of {len(true)}"
        )


def _scaled_gap(p: Points, q: Points) -> float:
    """Error sqrt(Σ ‖s p - q‖²) / n with the best s."""
    gaps = _least_squares_scale(p, q) * p - q
    return float(np.sqrt(np.sum(gaps * gaps)) / len(q))


def _positions_from_first_pose(poses: AnyPoses) -> Points:
    positions = poses[:, :3, 3].astype(np.float64)
    return (positions - positions[0]) @ poses[0, :3, :3].astype(np.float64)


def _least_squares_scale(p: Points, q: Points) -> float:
    """Scale s that minimises Σ ‖s p - q‖²; 1 if p does not move."""
    square = float(np.sum(p * p))
    return float(np.sum(p * q)) / square if square > _LEAST**2 else 1.0


def _umeyama(p: Points, q: Points, *, scaled: bool) -> Similarity:
    p_mean, q_mean = p.mean(axis=0), q.mean(axis=0)
    covariance = (q - q_mean).T @ (p - p_mean) / len(p)
    U, spread, Vt = np.linalg.svd(covariance)
    # The nearest orthogonal matrix may be a mirror; turning the weakest axis makes it a rotation.
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    R = (U * signs) @ Vt
    variance = float(np.mean(np.sum((p - p_mean) ** 2, axis=1)))
    free = scaled and variance > _LEAST**2
    scale = float(np.sum(spread * signs)) / variance if free else 1.0
    return Similarity(scale=scale, R=R, t=q_mean - scale * R @ p_mean)


KITTI_LENGTHS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)
"""Lengths of KITTI's segments [m]."""
_EVERY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionErrors:
    """Errors of motions: position in the unit of truth, rotation [degrees]."""

    translation: Float64[np.ndarray, "m"]
    rotation: Float64[np.ndarray, "m"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthErrors:
    """Errors of ``parts`` segments: mean share of length, and degrees per metre."""

    parts: int
    translation: float
    rotation: float


def direction_errors(estimate: AnyPoses, true: TruePoses) -> Float64[np.ndarray, "k"]:
    """Angles between estimated and true directions of motion [degrees], free of scale.

    Pairs with NaN, below a tenth of the median true motion, or without estimated motion are left
    out.

    Raises:
        InputError: If lengths differ.
    """
    check_finite_same_length(estimate, true)
    has_pose = known_poses(true)
    starts = np.flatnonzero(has_pose[:-1] & has_pose[1:])
    shifts, wanted = (
        np.array([(np.linalg.inv(path[k]) @ path[k + 1])[:3, 3] for k in starts]).reshape(-1, 3)
        for path in (estimate, true)
    )
    lengths = np.linalg.norm(wanted, axis=1)
    moved = (lengths > 0.1 * np.median(lengths)) if len(lengths) else np.zeros(0, bool)
    products = lengths * np.linalg.norm(shifts, axis=1)
    moved &= products > 0
    cosine = (shifts * wanted).sum(axis=1)[moved] / products[moved]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def motion_errors(estimate: AnyPoses, true: TruePoses) -> MotionErrors:
    """Relative pose errors of neighbouring frames without NaN (Sturm et al. 2012).

    Scale the estimate first (``fit_similarity``).

    Raises:
        InputError: If lengths differ, or a pose of the estimate is not finite.
    """
    check_finite_same_length(estimate, true)
    has_pose = known_poses(true)
    starts = np.flatnonzero(has_pose[:-1] & has_pose[1:]).tolist()
    left = [_error_of_motion(estimate, true, k, k + 1) for k in starts]
    return MotionErrors(
        translation=np.array([np.linalg.norm(motion[:3, 3]) for motion in left], np.float64),
        rotation=np.array([_rotation_degrees(motion[:3, :3]) for motion in left], np.float64),
    )


def length_errors(estimate: AnyPoses, true: TruePoses) -> LengthErrors | None:
    """Errors over segments of 100 to 800 m (Geiger et al., CVPR 2012); None for shorter paths.

    Segments begin at every tenth frame. Scale the estimate first.

    Raises:
        InputError: If lengths differ, or a pose is not finite.
    """
    check_finite_same_length(estimate, true)
    if not known_poses(true).all():
        raise InputError("parts of a path are measured along known poses; leave out the others")
    way = _distances_along(true)
    translation, rotation = [], []
    for start in range(0, len(true), _EVERY):
        for length in KITTI_LENGTHS:
            end = int(np.searchsorted(way, way[start] + length, side="right"))
            if end < len(true):
                left = _error_of_motion(estimate, true, start, end)
                translation.append(np.linalg.norm(left[:3, 3]) / length)
                rotation.append(_rotation_degrees(left[:3, :3]) / length)
    if not translation:
        return None
    return LengthErrors(
        parts=len(translation),
        translation=float(np.mean(translation)),
        rotation=float(np.mean(rotation)),
    )


def path_length(poses: AnyPoses) -> float:
    """Length in the unit of poses."""
    return float(_distances_along(poses)[-1])


def _distances_along(poses: AnyPoses) -> Values:
    steps = np.linalg.norm(np.diff(poses[:, :3, 3].astype(np.float64), axis=0), axis=1)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _error_of_motion(estimate: AnyPoses, true: AnyPoses, start: int, end: int) -> Transform:
    left, right = (
        np.linalg.solve(path[start].astype(np.float64), path[end].astype(np.float64))
        for path in (estimate, true)
    )
    return np.linalg.solve(left, right)


def _rotation_degrees(R: Matrix) -> float:
    """Angle, exact near zero."""
    sine = np.linalg.norm(R - R.T) / np.sqrt(2.0)
    return float(np.degrees(np.arctan2(sine, np.trace(R) - 1)))
