"""Errors of a camera's whole trajectory, after fitting what an estimate cannot determine.

Poses are ``world_T_cam``, one a frame. Depth and motion learned from video alone have no scale, and
every trajectory has a world frame of its own, so a similarity is fitted first; ``Freedom`` selects
its free parameters.

Relative pose errors: errors of the motion between two frames of a trajectory.

Unlike errors of absolute position, they do not grow with earlier errors.
"""

import itertools
from collections.abc import Callable
from enum import StrEnum

import numpy as np

from rilievo.errors import InputError, OptionError
from rilievo.frozen import frozen
from rilievo.shapes import (
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

TruePoses = Float[np.ndarray, "m 4 4"]
"""True poses of as many frames as ``AnyPoses``, which is checked."""

AnyPoses = Float[np.ndarray, "n 4 4"]
"""Poses of an estimate, of any precision."""

_LEAST = 1e-12


class Freedom(StrEnum):
    """Parameters that are fitted before an estimate is compared with the ground truth."""

    ORIGIN = "origin"
    """The first pose, position and orientation, and nothing else; for estimates in metres."""
    SCALE = "scale"
    """The first pose, and a scale by least squares."""
    RIGID = "rigid"
    """Rotation and translation by least squares (SE(3))."""
    SIMILARITY = "similarity"
    """Rotation, translation and scale by least squares (Sim(3))."""


@frozen
class Similarity:
    """The map p ↦ s R p + t from an estimate's world frame to the true one.

    Attributes:
        scale: Scale s; 1 if the estimate does not move; negative if the best scale reverses the
            trajectory.
        R: Rotation R.
        t: Translation t, in the unit of the ground truth.
    """

    scale: float
    R: Matrix
    t: Vector

    def apply(self, poses: AnyPoses) -> Transforms:
        """Transform poses to the true world frame; rotations stay rotations."""
        moved = np.array(poses, dtype=np.float64)
        moved[:, :3, :3] = self.R @ moved[:, :3, :3]
        moved[:, :3, 3] = self.scale * moved[:, :3, 3] @ self.R.T + self.t
        return moved


def fit_similarity(estimate: AnyPoses, true: TruePoses, freedom: Freedom) -> Similarity:
    """Fit an estimated trajectory to the true one, with the parameters that ``freedom`` allows.

    If rotation is free, this is the least-squares solution of Umeyama ("Least-squares estimation of
    transformation parameters between two point patterns", TPAMI 1991) for the positions.

    Raises:
        InputError: If there are fewer than two poses, their numbers differ, or one is not finite.
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
    """Absolute trajectory error: sqrt(mean ‖p̂ - p‖²) over all positions, after the fit.

    Sturm et al., "A benchmark for the evaluation of RGB-D SLAM systems", IROS 2012. In the unit of
    the ground truth. Papers on odometry with depth networks use ATE for another quantity: see
    ``snippet_errors``.

    Raises:
        InputError: If there are fewer than two poses, their numbers differ, or one is not finite.
    """
    fitted = fit_similarity(estimate, true, freedom).apply(estimate)
    gaps = fitted[:, :3, 3] - true[:, :3, 3]
    return float(np.sqrt(np.mean(np.sum(gaps * gaps, axis=1))))


def snippet_errors(
    estimate: AnyPoses, true: TruePoses, *, length: int = 5
) -> Float64[np.ndarray, "k"]:
    """Error of the positions of each snippet, called "ATE": sqrt(Σ ‖s p̂ - p‖²) / N.

    Zhou et al. (CVPR 2017) describe its mean and deviation over all snippets of five frames.
    Positions are relative to the snippet's first camera, and each snippet has a scale s of its own,
    by least squares. This is not an RMSE: the root is divided by N, not the sum, so it is sqrt(N)
    times smaller. Monodepth2's program computes something else: ``monodepth2_snippet_errors``.

    Args:
        estimate: ``world_T_cam`` in a world frame and scale of its own.
        true: ``world_T_cam`` [m], NaN where unknown; snippets with such a frame are left out.
        length: Number N of frames of a snippet.

    Returns:
        Errors in the unit of the ground truth, one for each snippet in order; empty if there are
        none.

    Raises:
        InputError: If the trajectories differ in length, or a pose of the estimate is not finite.
        OptionError: If a snippet has fewer than two frames.
    """
    return _errors_of_snippets(estimate, true, length, len(true) - length + 1, _seen_from_first)


def monodepth2_snippet_errors(
    estimate: AnyPoses, true: TruePoses, *, length: int = 5
) -> Float64[np.ndarray, "k"]:
    """Error of each snippet as Monodepth2's program reports it, also called "ATE".

    As ``snippet_errors``, but of points that are not positions: each motion maps points of a frame
    to the next one, and these matrices, inverse to the steps of the camera, are multiplied in
    forward order; the translations of the products are compared, for both trajectories alike. And
    every frame but the last begins a snippet: the last ones are shorter, three of them for N = 5.
    Papers in the tradition of Monodepth2 print this number. Single snippets differ by up to 90 %
    from ``snippet_errors``, means by up to 2 %.

    Args:
        estimate: ``world_T_cam`` in a world frame and scale of its own.
        true: ``world_T_cam`` [m], NaN where unknown; snippets with such a frame are left out.
        length: Number N of frames of a snippet.

    Returns:
        Errors in the unit of the ground truth, one for each snippet in order; empty if there are
        none.

    Raises:
        InputError: If the trajectories differ in length, or a pose of the estimate is not finite.
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
    """Errors of ``count`` snippets, by the points that follow from the poses of each."""
    if length < 2:
        raise OptionError(f"a snippet has two frames or more, got {length}")
    check_same_length(estimate, true)
    has_pose = known_poses(true)
    errors = [
        _scaled_gap(points_of(estimate[part]), points_of(true[part]))
        for start in range(count)
        if has_pose[part := slice(start, start + length)].all()
    ]
    return np.array(errors, dtype=np.float64)


def _forward_products(poses: AnyPoses) -> Points:
    """The origin and translations of M₁, M₁ M₂, ...; Mₖ maps points of frame k-1 to frame k."""
    product, points = np.eye(4), [np.zeros(3)]
    for before, after in itertools.pairwise(poses.astype(np.float64)):
        product = product @ np.linalg.solve(after, before)
        points.append(product[:3, 3])
    return np.stack(points)


def known_poses(poses: AnyPoses) -> Bool[np.ndarray, "n"]:
    """Mask of poses without NaN."""
    return np.asarray(np.isfinite(poses).all(axis=(1, 2)))


def check_same_length(estimate: AnyPoses, true: TruePoses) -> None:
    """Refuse trajectories of different lengths, and estimates that are not finite.

    Raises:
        InputError: If they are refused.
    """
    if len(estimate) != len(true):
        raise InputError(f"{len(estimate)} poses are estimated, but {len(true)} are true")
    if not known_poses(estimate).all():
        raise InputError("an estimated pose has NaN or infinite numbers")


def check_paths(estimate: AnyPoses, true: TruePoses) -> None:
    """Refuse trajectories to which no similarity can be fitted.

    Raises:
        InputError: If there are fewer than two poses, their numbers differ, or one is not finite.
    """
    check_same_length(estimate, true)
    if len(true) < 2 or not known_poses(true).all():
        raise InputError(
            f"a path has two poses or more, all finite; this has {int(known_poses(true).sum())} "
            f"such of {len(true)}"
        )


def _scaled_gap(p: Points, q: Points) -> float:
    """Error sqrt(Σ ‖s p - q‖²) / n with the best s."""
    gaps = _least_squares_scale(p, q) * p - q
    return float(np.sqrt(np.sum(gaps * gaps)) / len(q))


def _seen_from_first(poses: AnyPoses) -> Points:
    """Positions in the first camera's frame: R₀ᵀ (p - p₀)."""
    positions = poses[:, :3, 3].astype(np.float64)
    return (positions - positions[0]) @ poses[0, :3, :3].astype(np.float64)


def _least_squares_scale(p: Points, q: Points) -> float:
    """Scale s that minimises Σ ‖s p - q‖²; 1 if p does not move, when all scales are equal."""
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
"""Lengths of the segments that KITTI's benchmark measures [m]."""

_EVERY = 10
"""Frames between the starts of segments in KITTI's benchmark."""


@frozen
class MotionErrors:
    """Errors of several motions, one entry each.

    Attributes:
        translation: Errors of position, in the unit of the ground truth.
        rotation: Angles between the estimated and the true rotation [degrees].
    """

    translation: Float64[np.ndarray, "m"]
    rotation: Float64[np.ndarray, "m"]


@frozen
class LengthErrors:
    """Errors of segments of a trajectory, by KITTI's protocol.

    Attributes:
        parts: Number of segments; the means are over all of them, whatever their length.
        translation: Mean error of position, as a share of the segment's length (0.01 is 1 %).
        rotation: Mean error of rotation [degrees per metre].
    """

    parts: int
    translation: float
    rotation: float


def direction_errors(estimate: AnyPoses, true: TruePoses) -> Float64[np.ndarray, "k"]:
    """Angles between the estimated and the true direction of motion from frame to frame [degrees].

    Directions are those of the later camera in the frame of the earlier one, so that they are free
    of scale and of earlier errors. Pairs that truly moved less than a tenth of the median are left
    out, since their direction is noise; so are pairs that the estimate does not move at all.

    Args:
        estimate: ``world_T_cam``.
        true: NaN where unknown: pairs with such a frame are left out.

    Raises:
        InputError: If the paths differ in length.
    """
    check_same_length(estimate, true)
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
    """Relative pose errors of all pairs of neighbouring frames (Sturm et al. 2012).

    The error is the motion that remains after the true one is removed from the estimated one. Scale
    the estimate first (``fit_similarity``): both numbers depend on its scale.

    Args:
        estimate: ``world_T_cam``.
        true: ``world_T_cam``, NaN where unknown; pairs with such a frame are left out.

    Raises:
        InputError: If the trajectories differ in length, or a pose of the estimate is not finite.
    """
    check_same_length(estimate, true)
    has_pose = known_poses(true)
    starts = np.flatnonzero(has_pose[:-1] & has_pose[1:]).tolist()
    left = [_left_over(estimate, true, k, k + 1) for k in starts]
    return MotionErrors(
        translation=np.array([np.linalg.norm(motion[:3, 3]) for motion in left], np.float64),
        rotation=np.array([_degrees(motion[:3, :3]) for motion in left], np.float64),
    )


def length_errors(estimate: AnyPoses, true: TruePoses) -> LengthErrors | None:
    """Translation and rotation errors over segments of 100 to 800 m (Geiger et al., CVPR 2012).

    A segment begins at every tenth frame, and ends with the first frame whose distance along the
    true trajectory exceeds the length. Scale the estimate first if it has no scale.

    Args:
        estimate: ``world_T_cam``, in the unit of the ground truth.
        true: ``world_T_cam`` [m], all known.

    Returns:
        Mean errors; None if the trajectory is shorter than all lengths.

    Raises:
        InputError: If the trajectories differ in length, or a pose is not finite.
    """
    check_same_length(estimate, true)
    if not known_poses(true).all():
        raise InputError("parts of a path are measured along known poses; leave out the others")
    way = _way(true)
    translation, rotation = [], []
    for start in range(0, len(true), _EVERY):
        for length in KITTI_LENGTHS:
            end = int(np.searchsorted(way, way[start] + length, side="right"))
            if end < len(true):
                left = _left_over(estimate, true, start, end)
                translation.append(np.linalg.norm(left[:3, 3]) / length)
                rotation.append(_degrees(left[:3, :3]) / length)
    if not translation:
        return None
    return LengthErrors(
        parts=len(translation),
        translation=float(np.mean(translation)),
        rotation=float(np.mean(rotation)),
    )


def path_length(poses: AnyPoses) -> float:
    """Length of a trajectory, in the poses' unit."""
    return float(_way(poses)[-1])


def _way(poses: AnyPoses) -> Values:
    """Length of the trajectory up to each frame."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3].astype(np.float64), axis=0), axis=1)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _left_over(estimate: AnyPoses, true: AnyPoses, start: int, end: int) -> Transform:
    """Estimated motion from one frame to another, followed by the inverse of the true one."""
    left, right = (
        np.linalg.solve(path[start].astype(np.float64), path[end].astype(np.float64))
        for path in (estimate, true)
    )
    return np.linalg.solve(left, right)


def _degrees(R: Matrix) -> float:
    """Angle of a rotation; exact near zero, where an arc cosine is not."""
    sine = np.linalg.norm(R - R.T) / np.sqrt(2.0)
    return float(np.degrees(np.arctan2(sine, np.trace(R) - 1)))
