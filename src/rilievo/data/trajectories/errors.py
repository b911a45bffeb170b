"""Errors of an estimated trajectory: of its positions, and of the motion between its frames.

A trajectory is an array of poses ``world_T_cam``, one 4×4 matrix for each frame. A true pose with
NaN is unknown. Functions leave it out or raise, as their docstrings say.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.shapes import (
    Bool,
    Float,
    Float64,
    Int64,
    Matrix,
    Points,
    Transform,
    Transforms,
    Values,
    Vector,
)
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import count_text

Poses = Float[np.ndarray, "n 4 4"]
TruePoses = Float[np.ndarray, "m 4 4"]

_MIN_MOTION = 1e-12
"""Root of the summed squared positions below which a path counts as standing still."""

KITTI_LENGTHS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)
"""Lengths of the segments of KITTI's odometry benchmark [m]."""
_FRAMES_BETWEEN_SEGMENTS = 10
"""KITTI's program starts a segment at every tenth frame."""


class Freedom(StrEnum):
    """Which transform is fitted before an estimate is compared with the truth."""

    ORIGIN = "origin"
    """The first pose alone, for estimates in metres."""
    SCALE = "scale"
    """The first pose, and a scale by least squares."""
    RIGID = "rigid"
    """SE(3) by least squares."""
    SIMILARITY = "similarity"
    """Sim(3) by least squares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """Map p ↦ s R p + t from the world of an estimate to the true world.

    Attributes:
        scale: The scale s: 1 if the estimate does not move, negative if it runs backwards.
        R: Rotation.
        t: Translation in the unit of the truth.
    """

    scale: float
    R: Matrix
    t: Vector

    def apply(self, poses: Poses) -> Transforms:
        """Map poses into the true world. Their rotations stay rotations."""
        mapped = np.array(poses, dtype=np.float64)
        mapped[:, :3, :3] = self.R @ mapped[:, :3, :3]
        mapped[:, :3, 3] = self.scale * mapped[:, :3, 3] @ self.R.T + self.t
        return mapped


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionErrors:
    """Errors of the motion between neighbouring frames.

    Attributes:
        translation: In the unit of the truth.
        rotation: In degrees.
    """

    translation: Float64[np.ndarray, "m"]
    rotation: Float64[np.ndarray, "m"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthErrors:
    """Mean errors over segments of fixed lengths, as KITTI's benchmark reports them.

    Attributes:
        segment_count: Number of segments.
        translation: Error of the position at the end of a segment, divided by its length.
        rotation: Error of the rotation at the end of a segment [degrees per metre].
    """

    segment_count: int
    translation: float
    rotation: float


# Errors of positions


def fit_similarity(estimate: Poses, true: TruePoses, freedom: Freedom) -> Similarity:
    """Fit an estimate to the truth (Umeyama, TPAMI 1991).

    Raises:
        InputError: If poses are fewer than two, differ in number, or are not finite.
    """
    check_paths(estimate, true)
    positions = estimate[:, :3, 3].astype(np.float64)
    true_positions = true[:, :3, 3].astype(np.float64)
    if freedom in (Freedom.RIGID, Freedom.SIMILARITY):
        return _umeyama(positions, true_positions, scaled=freedom is Freedom.SIMILARITY)

    first_rotation = estimate[0].astype(np.float64)[:3, :3]
    true_first_rotation = true[0].astype(np.float64)[:3, :3]
    R = true_first_rotation @ first_rotation.T
    scale = 1.0
    if freedom is Freedom.SCALE:
        rotated = (positions - positions[0]) @ R.T
        scale = _least_squares_scale(rotated, true_positions - true_positions[0])
    return Similarity(scale=scale, R=R, t=true_positions[0] - scale * R @ positions[0])


def position_rmse(estimate: Poses, true: TruePoses, freedom: Freedom = Freedom.SIMILARITY) -> float:
    """Absolute trajectory error sqrt(mean ‖p̂ - p‖²) after the fit (Sturm et al., IROS 2012).

    Raises:
        InputError: If poses are fewer than two, differ in number, or are not finite.
    """
    fitted = fit_similarity(estimate, true, freedom).apply(estimate)
    position_errors = fitted[:, :3, 3] - true[:, :3, 3]
    return float(np.sqrt(np.mean(np.sum(position_errors * position_errors, axis=1))))


def snippet_errors(
    estimate: Poses, true: TruePoses, *, length: int = 5
) -> Float64[np.ndarray, "k"]:
    """Error of each snippet, called "ATE": sqrt(Σ ‖s p̂ - p‖²) / N (Zhou et al., CVPR 2017).

    Positions are relative to the first camera, and each snippet of N frames has its own scale s.
    This is sqrt(N) times less than an RMSE. Snippets with a true NaN are left out.

    Raises:
        InputError: If lengths differ, or a pose of the estimate is not finite.
        OptionError: If a snippet has fewer than two frames.
    """
    last_start = len(true) - length
    return _errors_of_snippets(
        estimate, true, length, range(last_start + 1), _positions_from_first_pose
    )


def monodepth2_snippet_errors(
    estimate: Poses, true: TruePoses, *, length: int = 5
) -> Float64[np.ndarray, "k"]:
    """Error of each snippet as Monodepth2's program reports it, also called "ATE".

    The program multiplies the motions of points, which are inverse to the camera's, in forward
    order and compares the translations of the products. Every frame but the last begins a snippet,
    so the last snippets are shorter. Means differ by up to 2% from ``snippet_errors``, single
    snippets by 90%.

    Raises:
        InputError: If lengths differ, or a pose of the estimate is not finite.
        OptionError: If a snippet has fewer than two frames.
    """
    return _errors_of_snippets(
        estimate, true, length, range(len(true) - 1), _translations_of_forward_products
    )


def _errors_of_snippets(
    estimate: Poses,
    true: TruePoses,
    length: int,
    starts: range,
    to_points: Callable[[Poses], Points],
) -> Float64[np.ndarray, "k"]:
    """Errors of the snippets whose true poses are all known.

    A snippet is ``length`` frames long. ``to_points`` maps its poses to the points that are
    compared.
    """
    if length < 2:
        raise OptionError(f"a snippet needs at least two frames, got {length}")
    check_finite_same_length(estimate, true)
    is_known = known_poses(true)
    errors = []
    for start in starts:
        snippet = slice(start, start + length)
        if is_known[snippet].all():
            errors.append(_snippet_error(to_points(estimate[snippet]), to_points(true[snippet])))
    return np.array(errors, dtype=np.float64)


def _positions_from_first_pose(poses: Poses) -> Points:
    """Positions in the frame of the first camera."""
    positions = poses[:, :3, 3].astype(np.float64)
    return (positions - positions[0]) @ poses[0, :3, :3].astype(np.float64)


def _translations_of_forward_products(poses: Poses) -> Points:
    """Translations of 1, M₁, M₁ M₂, ..., where Mₖ takes points of camera k - 1 to camera k."""
    product = np.eye(4)
    translations = [np.zeros(3)]
    for before, after in itertools.pairwise(poses.astype(np.float64)):
        product = product @ np.linalg.solve(after, before)
        translations.append(product[:3, 3])
    return np.stack(translations)


def _snippet_error(points: Points, true_points: Points) -> float:
    """Error sqrt(Σ ‖s p̂ - p‖²) / N of N points, with the best scale s."""
    differences = _least_squares_scale(points, true_points) * points - true_points
    return float(np.sqrt(np.sum(differences * differences)) / len(true_points))


def _least_squares_scale(points: Points, true_points: Points) -> float:
    """Scale s that minimises Σ ‖s p̂ - p‖², or 1 if all points p̂ are at the origin."""
    squared_size = float(np.sum(points * points))
    if squared_size <= _MIN_MOTION**2:
        return 1.0
    return float(np.sum(points * true_points)) / squared_size


def _umeyama(points: Points, true_points: Points, *, scaled: bool) -> Similarity:
    """Fit a rotation, a translation and, if ``scaled``, a scale by Umeyama's closed form."""
    mean, true_mean = points.mean(axis=0), true_points.mean(axis=0)
    covariance = (true_points - true_mean).T @ (points - mean) / len(points)
    U, singular_values, Vt = np.linalg.svd(covariance)
    # The nearest orthogonal matrix may be a mirror; turning the weakest axis makes it a rotation.
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(U) * np.linalg.det(Vt))])
    R = (U * signs) @ Vt

    variance = float(np.mean(np.sum((points - mean) ** 2, axis=1)))
    scale = 1.0
    if scaled and variance > _MIN_MOTION**2:
        scale = float(np.sum(singular_values * signs)) / variance
    return Similarity(scale=scale, R=R, t=true_mean - scale * R @ mean)


# Errors of motions


def direction_errors(estimate: Poses, true: TruePoses) -> Float64[np.ndarray, "k"]:
    """Angles between estimated and true directions of motion [degrees], which need no scale.

    Pairs of frames are left out if a pose is NaN, the true motion is below a tenth of the median,
    or the estimate does not move.

    Raises:
        InputError: If lengths differ.
    """
    check_finite_same_length(estimate, true)
    starts = _starts_of_known_pairs(true)
    motions = _translations_to_next(estimate, starts)
    true_motions = _translations_to_next(true, starts)

    true_lengths = np.linalg.norm(true_motions, axis=1)
    length_products = true_lengths * np.linalg.norm(motions, axis=1)
    has_direction = length_products > 0
    if len(starts):
        has_direction &= true_lengths > 0.1 * np.median(true_lengths)
    dot_products = (motions * true_motions).sum(axis=1)
    cosines = dot_products[has_direction] / length_products[has_direction]
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def _translations_to_next(poses: Poses, starts: Int64[np.ndarray, "k"]) -> Points:
    """Position of the next camera in the frame of each camera in ``starts``."""
    translations = [(np.linalg.inv(poses[k]) @ poses[k + 1])[:3, 3] for k in starts]
    return np.array(translations).reshape(-1, 3)


def motion_errors(estimate: Poses, true: TruePoses) -> MotionErrors:
    """Relative pose errors of neighbouring frames without NaN (Sturm et al. 2012).

    Scale the estimate first (``fit_similarity``).

    Raises:
        InputError: If lengths differ, or a pose of the estimate is not finite.
    """
    check_finite_same_length(estimate, true)
    errors = [
        _error_of_motion(estimate, true, start, start + 1)
        for start in _starts_of_known_pairs(true).tolist()
    ]
    return MotionErrors(
        translation=np.array([np.linalg.norm(error[:3, 3]) for error in errors], np.float64),
        rotation=np.array([_rotation_degrees(error[:3, :3]) for error in errors], np.float64),
    )


def _starts_of_known_pairs(true: TruePoses) -> Int64[np.ndarray, "k"]:
    """First frames of the pairs of neighbours whose true poses are both known."""
    is_known = known_poses(true)
    return np.flatnonzero(is_known[:-1] & is_known[1:])


def length_errors(estimate: Poses, true: TruePoses) -> LengthErrors | None:
    """Errors over segments of 100 to 800 m (Geiger et al., CVPR 2012); None for shorter paths.

    Segments begin at every tenth frame. Scale the estimate first.

    Raises:
        InputError: If lengths differ, or a pose is not finite.
    """
    check_finite_same_length(estimate, true)
    if not known_poses(true).all():
        raise InputError(
            "errors over segments need all true poses; leave out the frames without a true pose"
        )

    travelled = _travelled_distances(true)
    translation, rotation = [], []
    for start in range(0, len(true), _FRAMES_BETWEEN_SEGMENTS):
        for length in KITTI_LENGTHS:
            end = int(np.searchsorted(travelled, travelled[start] + length, side="right"))
            if end == len(true):
                continue
            error = _error_of_motion(estimate, true, start, end)
            translation.append(np.linalg.norm(error[:3, 3]) / length)
            rotation.append(_rotation_degrees(error[:3, :3]) / length)
    if not translation:
        return None
    return LengthErrors(
        segment_count=len(translation),
        translation=float(np.mean(translation)),
        rotation=float(np.mean(rotation)),
    )


def _error_of_motion(estimate: Poses, true: Poses, start: int, end: int) -> Transform:
    """Relative pose error: the true motion between two frames after undoing the estimated one."""
    estimated_motion = _motion_between(estimate, start, end)
    true_motion = _motion_between(true, start, end)
    return np.linalg.solve(estimated_motion, true_motion)


def _motion_between(poses: Poses, start: int, end: int) -> Transform:
    """Pose of camera ``end`` in the frame of camera ``start``."""
    return np.linalg.solve(poses[start].astype(np.float64), poses[end].astype(np.float64))


def _rotation_degrees(R: Matrix) -> float:
    """Angle of a rotation [degrees]. It is exact near zero, where an arc cosine is not."""
    sine = np.linalg.norm(R - R.T) / np.sqrt(2.0)
    return float(np.degrees(np.arctan2(sine, np.trace(R) - 1)))


# Paths


def path_length(poses: Poses) -> float:
    """Length of a path in the unit of its poses."""
    return float(_travelled_distances(poses)[-1])


def _travelled_distances(poses: Poses) -> Values:
    """Distance along the path from the first frame to each."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3].astype(np.float64), axis=0), axis=1)
    return np.concatenate(([0.0], np.cumsum(steps)))


def known_poses(poses: Poses) -> Bool[np.ndarray, "n"]:
    """Mask of the poses whose numbers are all finite."""
    return np.asarray(np.isfinite(poses).all(axis=(1, 2)))


def check_finite_same_length(estimate: Poses, true: TruePoses) -> None:
    """Check that there is an estimate for each true pose, and that all estimates are finite."""
    if len(estimate) != len(true):
        raise InputError(
            f"there are {count_text(len(estimate), 'estimated pose')}, but "
            f"{count_text(len(true), 'true pose')}; expected equally many"
        )
    if not known_poses(estimate).all():
        raise InputError("the estimated poses must be finite, but some are NaN or infinite")


def check_paths(estimate: Poses, true: TruePoses) -> None:
    """Check that there are equally many estimated and true poses, at least two, and all finite."""
    check_finite_same_length(estimate, true)
    finite_count = int(known_poses(true).sum())
    if len(true) < 2 or finite_count < len(true):
        raise InputError(
            "a path must have at least two true poses, all of them finite; got "
            f"{count_text(len(true), 'pose')} ({finite_count} finite)"
        )
