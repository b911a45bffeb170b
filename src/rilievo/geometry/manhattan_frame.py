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

from rilievo.arrays.shapes import Float, Int, Matrix, Values, Vector
from rilievo.geometry.segments import Segments, find_segments
from rilievo.geometry.transforms import rotation_from_axis_angle
from rilievo.geometry.vanishing import (
    CONVERGED_STEP,
    MAX_SINE,
    candidate_points,
    linearise,
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
_MAX_REFINED_SINE = 1.5 * MAX_SINE
"""Sine of the largest angle between a segment and an axis that is turned towards it."""
_MAX_ROUNDS = 10  # a few are enough
_MAX_STEP = 0.1  # [rad]


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
    rotation = _propose_axes(segments)
    if rotation is None:
        return None
    return _measure_frame(segments, _refine_axes(segments, rotation))


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


def _propose_axes(segments: Segments) -> Matrix | None:
    """Axes through two candidate points that explain the greatest length; None without any."""
    directions = [point / np.linalg.norm(point) for point in candidate_points(segments)]
    best_rotation, greatest_length = None, 0.0
    for first, second in combinations(directions, 2):
        if abs(first @ second) > _MAX_COSINE:
            continue
        rotation = rotation_from_points(first, second, 1.0)
        explained_length = sum(_measure_frame(segments, rotation).explained_fractions)
        if explained_length > greatest_length:
            best_rotation, greatest_length = rotation, explained_length
    return best_rotation


def _measure_frame(segments: Segments, rotation: Matrix) -> ManhattanFrame:
    """Frame of these axes, with the fractions that they explain."""
    sines = np.abs(sines_to_points(segments, rotation.T))
    is_explained = sines.min(axis=0) < MAX_SINE
    nearest_axis = sines.argmin(axis=0)
    explained_lengths = np.bincount(nearest_axis, is_explained * segments.length, minlength=3)
    first, second, third = (explained_lengths / segments.length.sum()).tolist()
    return ManhattanFrame(rotation=rotation, explained_fractions=(first, second, third))


def _refine_axes(segments: Segments, rotation: Matrix) -> Matrix:
    """Turn axes towards the segments that run along them, round by round, by least squares."""
    for _ in range(_MAX_ROUNDS):
        sines = np.abs(sines_to_points(segments, rotation.T))
        is_near_axis = sines.min(axis=0) < _MAX_REFINED_SINE
        if is_near_axis.sum() < _MIN_SEGMENTS / 2:
            break
        nearest_axis = sines.argmin(axis=0)[is_near_axis]
        turn = _turn_towards(segments.select(is_near_axis), nearest_axis, rotation)
        rotation = rotation_from_axis_angle(turn) @ rotation
        if np.abs(turn).max() < CONVERGED_STEP:
            break
    return rotation


def _turn_towards(
    segments: Segments, nearest_axis: Int[np.ndarray, "n"], rotation: Matrix
) -> Vector:
    """Turn of the axes about x, y and z [rad], after which segments run better along theirs."""

    def sines_after(turn: Vector) -> Values:
        axes = (rotation_from_axis_angle(turn) @ rotation).T
        return sines_to_points(segments, axes)[nearest_axis, np.arange(len(segments))]

    return linearise(segments, sines_after, parameter_count=3).best_step(_MAX_STEP)
