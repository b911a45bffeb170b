"""Relative pose errors: errors of the motion between two frames of a trajectory.

Unlike errors of absolute position, they do not grow with earlier errors.
"""

import numpy as np

from rilievo.data.trajectories.trajectory_errors import (
    AnyPoses,
    TruePoses,
    check_same_length,
    known_poses,
)
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.shapes import Float64, Matrix, Transform, Values

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
