"""Relative pose errors: how wrong the motion between two moments of a path is.

Unlike where a camera is in the end, they do not grow with what went wrong at the beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from rilievo.errors import InputError
from rilievo.metrics.trajectory import check_same_length, known_poses

KITTI_LENGTHS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)
"""Of the parts of a path that KITTI's benchmark measures [m]."""

_EVERY = 10
"""KITTI's benchmark starts a part at every tenth frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionErrors:
    """Errors of several motions, one each.

    Attributes:
        translation: Of the position, in the truth's unit.
        rotation: Angle between the estimated and the true rotation [degrees].
    """

    translation: Float64[np.ndarray, "m"]
    rotation: Float64[np.ndarray, "m"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthErrors:
    """Errors of parts of a path, by KITTI's protocol.

    Attributes:
        parts: How many there are; the means are over all of them, whatever their length.
        translation: Mean error of position, as a share of the part's length (0.01 is 1 %).
        rotation: Mean error of rotation [degrees per metre].
    """

    parts: int
    translation: float
    rotation: float


def direction_errors(
    estimate: Float[np.ndarray, "n 4 4"], true: Float[np.ndarray, "m 4 4"]
) -> Float64[np.ndarray, "k"]:
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
    known = known_poses(true)
    starts = np.flatnonzero(known[:-1] & known[1:])
    found, wanted = (
        np.array([(np.linalg.inv(path[k]) @ path[k + 1])[:3, 3] for k in starts]).reshape(-1, 3)
        for path in (estimate, true)
    )
    lengths = np.linalg.norm(wanted, axis=1)
    moved = (lengths > 0.1 * np.median(lengths)) if len(lengths) else np.zeros(0, bool)
    products = lengths * np.linalg.norm(found, axis=1)
    moved &= products > 0
    cosine = (found * wanted).sum(axis=1)[moved] / products[moved]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def motion_errors(
    estimate: Float[np.ndarray, "n 4 4"], true: Float[np.ndarray, "m 4 4"], *, apart: int = 1
) -> MotionErrors:
    """Relative pose error of all pairs of frames a number of frames apart (Sturm et al. 2012).

    The motion that is left when the true one is taken from the estimated one. Scale the estimate
    first (``fit_similarity``): neither of the two numbers is free of it otherwise.

    Args:
        estimate: ``world_T_cam``.
        true: NaN where unknown: pairs with such a frame are left out.
        apart: Frames from the one to the other.

    Raises:
        InputError: If the paths differ in length, or a pose of the estimate is not finite.
    """
    check_same_length(estimate, true)
    known = known_poses(true)
    starts = [k for k in range(len(true) - apart) if known[k] and known[k + apart]]
    left = [_left_over(estimate, true, k, k + apart) for k in starts]
    return MotionErrors(
        translation=np.array([np.linalg.norm(each[:3, 3]) for each in left], np.float64),
        rotation=np.array([_degrees(each[:3, :3]) for each in left], np.float64),
    )


def length_errors(
    estimate: Float[np.ndarray, "n 4 4"],
    true: Float[np.ndarray, "m 4 4"],
    *,
    lengths: Sequence[float] = KITTI_LENGTHS,
    every: int = _EVERY,
) -> LengthErrors | None:
    """Translation and rotation error over parts of given lengths (Geiger et al., CVPR 2012).

    A part begins at every tenth frame and ends with the first frame that lies farther away along
    the true path than the length. Scale the estimate first where it has none.

    Args:
        estimate: ``world_T_cam``, of the same unit as the truth.
        true: ``world_T_cam`` [m], all known.
        lengths: Of the parts [m].
        every: Frames between the beginnings of parts.

    Returns:
        None where the path is shorter than all lengths.

    Raises:
        InputError: If the paths differ in length, or a pose is not finite.
    """
    check_same_length(estimate, true)
    if not known_poses(true).all():
        raise InputError("parts of a path are measured along known poses; leave out the others")
    way = _way(true)
    translation, rotation = [], []
    for start in range(0, len(true), every):
        for length in lengths:
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


def path_length(poses: Float[np.ndarray, "n 4 4"]) -> float:
    """How far a camera went, in the poses' unit."""
    return float(_way(poses)[-1])


def _way(poses: Float[np.ndarray, "n 4 4"]) -> Float64[np.ndarray, "n"]:
    """How far the camera went until each frame."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3].astype(np.float64), axis=0), axis=1)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _left_over(
    estimate: Float[np.ndarray, "n 4 4"], true: Float[np.ndarray, "n 4 4"], start: int, end: int
) -> Float64[np.ndarray, "4 4"]:
    """The estimated motion from one frame to another, followed by the true one back."""
    found = _motion(estimate[start].astype(np.float64), estimate[end].astype(np.float64))
    right = _motion(true[start].astype(np.float64), true[end].astype(np.float64))
    return _motion(found, right)


def _motion(
    a: Float64[np.ndarray, "4 4"], b: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "4 4"]:
    return np.linalg.solve(a, b)


def _degrees(R: Float64[np.ndarray, "3 3"]) -> float:
    """The angle of a rotation, exact near zero where an arc cosine is not."""
    sine = np.linalg.norm(R - R.T) / np.sqrt(2.0)
    return float(np.degrees(np.arctan2(sine, np.trace(R) - 1)))
