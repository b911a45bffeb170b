"""Manhattan frame of a picture: three directions at right angles, along which its lines run.

In a Manhattan scene, such as most rooms and streets, walls, floors and furniture follow three axes
at right angles (J. Coughlan and A. Yuille, "Manhattan World", ICCV 1999). If the camera is known,
the vanishing points of two axes determine all three. Pairs of segments propose vanishing points;
the pair that explains the greatest length of segments is refined by all of these segments
(Gauss-Newton with Cauchy weights).
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Matrix
from rilievo.geometry.segments import Segments, find_segments
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.geometry.vanishing import (
    MAX_SINE,
    candidate_points,
    rotation_from_points,
    sines_to_points,
)

_MIN_LENGTH = 0.05
"""Length of the shortest segment that is used, over half the diagonal of the picture."""
_MIN_SEGMENTS = 20
_MAX_COSINE = math.sin(math.radians(10.0))
"""Largest cosine between two proposed axes, which are then turned to exact right angles."""
_MIN_EXPLAINED_FRACTION = 0.8
"""Least fraction of the segments' length that runs along the axes of a clear frame.

Most photographs of rooms full of things have less. With 0.7, hardly any other photographs are
corrected, and no set of frames becomes better.
"""
_MIN_SECOND_FRACTION = 0.15
"""Least fraction along the second axis of a clear frame. The lines of one axis leave the others
open."""
_ROUNDS = 10  # a few are enough
_CONVERGED = 1e-5  # [rad]
_MAX_STEP = 0.1  # [rad]
_DAMPING = 1e-3
_CAUCHY_SCALE = 0.4 * MAX_SINE
"""Sine at which a segment has half its weight."""
_DIFFERENCE = 1e-5
"""Angle of numerical derivatives [rad]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ManhattanFrame:
    """Axes of a Manhattan scene.

    Attributes:
        rotation: Directions of the axes in the camera's frame, as columns in any order.
        explained_fractions: Fraction of the segments' length that runs along each axis.
    """

    rotation: Matrix
    explained_fractions: tuple[float, float, float]

    @property
    def is_clear(self) -> bool:
        """Whether the axes explain most of the lines, and at least two of them have many."""
        _, second, _ = sorted(self.explained_fractions)
        is_explained = sum(self.explained_fractions) >= _MIN_EXPLAINED_FRACTION
        return is_explained and second >= _MIN_SECOND_FRACTION


def find_manhattan_frame(grey: Float[np.ndarray, "h w"], K: Matrix) -> ManhattanFrame | None:
    """Find the Manhattan frame that explains the greatest length of a picture's segments.

    Args:
        grey: Brightness from 0 to 255. A picture of some 500 pixels is large enough.
        K: Intrinsics of this picture [px].

    Returns:
        The frame, which may explain little; None if there are too few segments.
    """
    if min(grey.shape) < 2:
        return None
    half_diagonal = math.hypot(*grey.shape) / 2
    segments = find_segments(grey, min_length=_MIN_LENGTH * half_diagonal)
    if len(segments) < _MIN_SEGMENTS:
        return None
    segments = _normalise(segments, K)
    rotation = _best_rotation(segments)
    return None if rotation is None else _measure_frame(segments, _refine(segments, rotation))


def _normalise(segments: Segments, K: Matrix) -> Segments:
    """Segments in normalised coordinates x/z and y/z instead of pixels."""
    focal, centre = np.diag(K)[:2], K[:2, 2]
    vectors = segments.direction * segments.length[:, None] / focal
    length = np.linalg.norm(vectors, axis=1)
    return Segments(
        middle=(segments.middle - centre) / focal,
        direction=vectors / length[:, None],
        length=length,
    )


def _best_rotation(segments: Segments) -> Matrix | None:
    """Axes through two candidate points that explain the greatest length; None without any."""
    directions = [point / np.linalg.norm(point) for point in candidate_points(segments)]
    best, greatest_length = None, 0.0
    for first, second in combinations(directions, 2):
        if abs(first @ second) > _MAX_COSINE:
            continue
        rotation = rotation_from_points(first, second, 1.0)
        explained_length = sum(_measure_frame(segments, rotation).explained_fractions)
        if explained_length > greatest_length:
            best, greatest_length = rotation, explained_length
    return best


def _measure_frame(segments: Segments, rotation: Matrix) -> ManhattanFrame:
    """Frame of these axes, with the fractions that they explain."""
    sines = np.abs(sines_to_points(segments, rotation.T))
    is_explained, nearest = sines.min(axis=0) < MAX_SINE, sines.argmin(axis=0)
    lengths = np.bincount(nearest, is_explained * segments.length, minlength=3)
    first, second, third = (lengths / segments.length.sum()).tolist()
    return ManhattanFrame(rotation=rotation, explained_fractions=(first, second, third))


def _refine(segments: Segments, rotation: Matrix) -> Matrix:
    """Turn the axes to the segments that run along them, by least squares."""
    for _ in range(_ROUNDS):
        sines = sines_to_points(segments, rotation.T)
        nearest = np.abs(sines).argmin(axis=0)
        is_near = np.abs(sines).min(axis=0) < 1.5 * MAX_SINE
        near, nearest = segments.select(is_near), nearest[is_near]
        if len(near) < _MIN_SEGMENTS / 2:
            break
        step = _refining_step(near, nearest, rotation)
        rotation = rotation_from_axis_angle(step) @ rotation
        if np.abs(step).max() < _CONVERGED:
            break
    return rotation


def _refining_step(
    segments: Segments, nearest: np.ndarray, rotation: Matrix
) -> Float64[np.ndarray, "3"]:
    """Small turn [rad] of the axes towards the segments, each of which is along its nearest axis.

    It is a damped Gauss-Newton step. Long segments weigh more, because their direction is exact;
    outliers weigh less.
    """

    def sines_after(turn: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "n"]:
        points = (rotation_from_axis_angle(turn) @ rotation).T
        return sines_to_points(segments, points)[nearest, np.arange(len(segments))]

    sines = sines_after(np.zeros(3))
    derivatives = np.stack(
        [(sines_after(_DIFFERENCE * axis) - sines) / _DIFFERENCE for axis in np.eye(3)], axis=1
    )
    weights = segments.length / (1 + np.square(sines / _CAUCHY_SCALE))
    weighted = derivatives * weights[:, None]
    normal_matrix = weighted.T @ derivatives
    normal_matrix += _DAMPING * np.diag(np.diag(normal_matrix)) + 1e-12 * np.eye(3)
    step = np.linalg.solve(normal_matrix, -weighted.T @ sines)
    return np.clip(step, -_MAX_STEP, _MAX_STEP)
