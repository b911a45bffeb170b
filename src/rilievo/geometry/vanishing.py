"""Focal length from the vanishing points of two or three directions at right angles.

The images a and b of two directions at right angles, measured from the centre of the picture, give
the focal length sqrt(-a·b) (Caprile and Torre, IJCV 1990). Pairs of segments propose vanishing
points; the pair of points that explains the greatest length of segments is refined by all of these
segments (Gauss-Newton with Cauchy weights), which also gives the uncertainty.
"""

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Int, Matrix, Values, Vector
from rilievo.geometry.segments import Segments, find_segments
from rilievo.geometry.transforms import rotation_from_axis_angle

MAX_SINE = math.sin(math.radians(2.0))
"""Sine of the largest angle between a segment and the ray to its vanishing point."""
_MIN_SEGMENTS = 10
"""Least number of segments along each of two directions."""
_MIN_COUNT_RATIO = 1 / 6
"""Least ratio of the second direction's segments to the first direction's."""
_MAX_LOG_DEVIATION = 0.02
"""Largest standard deviation of the log of a reliable focal length."""
_MIN_EXPLAINED_FRACTION = 0.6
"""Least fraction of the segments' length that points along the directions."""
_MIN_FOV, _MAX_FOV = 20.0, 110.0
"""Limits of the field of view along the longer side [degrees]; others are false detections."""
_MIN_LENGTH = 0.05
"""Length of the shortest segment that is used, over half the diagonal."""
_PROPOSALS = 1500
"""Pairs of segments that are drawn at random to propose vanishing points."""
_CANDIDATES = 8
"""Most proposed points that are kept."""
_MIN_DIRECTION_Z = 1e-6
"""Least z of a point that is not at infinity in the picture."""
_CONVERGED = 1e-5
_DAMPING = 1e-3
_MAX_STEP = 0.2
"""Largest change in a round, of the log focal length and of angles [rad]."""
_CAUCHY_SCALE = 0.4 * MAX_SINE
"""Sine at which a segment has half its weight."""
_DIFFERENCE = 1e-5
"""Step of numerical derivatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanishing:
    """Focal length, and the directions that have the vanishing points.

    Attributes:
        focal: Focal length [px].
        log_deviation: Standard deviation of its logarithm.
        rotation: Directions as columns, in any order.
        counts: Number of segments along each of them.
        explained_fraction: Fraction of the segments' length that points along any of them.
    """

    focal: float
    log_deviation: float
    rotation: Matrix
    counts: tuple[int, int, int]
    explained_fraction: float

    @property
    def is_clear(self) -> bool:
        """Whether the focal length is reliable."""
        _, second_count, first_count = sorted(self.counts)
        has_two_directions = second_count >= max(_MIN_SEGMENTS, _MIN_COUNT_RATIO * first_count)
        return (
            has_two_directions
            and self.log_deviation <= _MAX_LOG_DEVIATION
            and self.explained_fraction >= _MIN_EXPLAINED_FRACTION
        )


def find_vanishing(grey: Float[np.ndarray, "h w"]) -> Vanishing | None:
    """Find vanishing points in brightness from 0 to 255, with the principal point in the centre.

    A picture of some 500 pixels is large enough. Return None if no directions explain the segments.
    """
    height, width = grey.shape
    if min(height, width) < 2:
        return None
    half_diagonal = math.hypot(height, width) / 2
    segments = find_segments(grey, min_length=_MIN_LENGTH * half_diagonal)
    if len(segments) < 2 * _MIN_SEGMENTS:
        return None

    # From here on, the unit of lengths is half the diagonal.
    centre = ((width - 1) / 2, (height - 1) / 2)
    normalised = Segments(
        middle=(segments.middle - centre) / half_diagonal,
        direction=segments.direction,
        length=segments.length / half_diagonal,
    )
    half_side = max(height, width) / 2 / half_diagonal
    min_focal = half_side / math.tan(math.radians(_MAX_FOV) / 2)
    max_focal = half_side / math.tan(math.radians(_MIN_FOV) / 2)
    estimate = _best_focal_and_rotation(normalised, min_focal, max_focal)
    if estimate is None:
        return None
    refined = _refine(normalised, *estimate)
    if refined is None or not min_focal < refined.focal < max_focal:
        return None
    return replace(refined, focal=refined.focal * half_diagonal)


def sines_to_points(
    segments: Segments, points: Float64[np.ndarray, "k 3"]
) -> Float64[np.ndarray, "k n"]:
    """Sine of the angle between each segment and the ray from its middle to each point.

    ``points`` are homogeneous. The sign depends on the segment's direction.
    """
    x, y, z = (points[:, None, axis] for axis in range(3))
    to_x = x - z * segments.middle[None, :, 0]
    to_y = y - z * segments.middle[None, :, 1]
    cross_product = to_x * segments.direction[None, :, 1] - to_y * segments.direction[None, :, 0]
    return cross_product / np.maximum(np.hypot(to_x, to_y), 1e-12)


def _best_focal_and_rotation(
    segments: Segments, min_focal: float, max_focal: float
) -> tuple[float, Matrix] | None:
    """Focal length and axes by the two vanishing points that explain the greatest length.

    Vanishing points of orthogonal directions at (u1, v1) and (u2, v2) from the centre determine the
    focal length f, because u1 u2 + v1 v2 + f² = 0.

    Returns:
        The focal length and the rotation of the axes; None if no pair gives one in the range.
    """
    best, greatest_length = None, 0.0
    for first, second in combinations(candidate_points(segments), 2):
        if min(abs(first[2]), abs(second[2])) < _MIN_DIRECTION_Z:
            continue
        squared_focal = -float(first[:2] @ second[:2]) / float(first[2] * second[2])
        if not min_focal**2 < squared_focal < max_focal**2:
            continue
        focal = math.sqrt(squared_focal)
        rotation = rotation_from_points(first, second, focal)
        sines = np.abs(sines_to_points(segments, _vanishing_points(focal, rotation)))
        is_explained = (sines < MAX_SINE).any(axis=0)
        explained_length = float(segments.length[is_explained].sum())
        if explained_length > greatest_length:
            best, greatest_length = (focal, rotation), explained_length
    return best


def candidate_points(segments: Segments) -> list[Vector]:
    """Homogeneous points where many segments meet, the one with the greatest length first.

    Intersections of random pairs of segments are proposed, and long segments are drawn more often.
    Each candidate is the proposal that explains the greatest length that no earlier one explains.
    """
    random = np.random.default_rng(0)
    segment_count = len(segments)
    middles = np.concatenate([segments.middle, np.ones((segment_count, 1))], axis=1)
    directions = np.concatenate([segments.direction, np.zeros((segment_count, 1))], axis=1)
    # The cross product of two homogeneous points is their line, and that of two lines their point.
    lines = np.cross(middles, directions)
    probability = segments.length / segments.length.sum()
    first, second = (random.choice(segment_count, _PROPOSALS, p=probability) for _ in range(2))
    points = np.cross(lines[first], lines[second])
    norms = np.linalg.norm(points, axis=1)
    is_point = norms > 1e-6  # Not the intersection of a line with itself.
    points = points[is_point] / norms[is_point, None]

    is_explained = np.abs(sines_to_points(segments, points)) < MAX_SINE
    unexplained_length, candidates = segments.length.copy(), []
    for _ in range(_CANDIDATES):
        newly_explained_length = is_explained @ unexplained_length
        if not len(newly_explained_length) or newly_explained_length.max() <= 0:
            break
        best = int(newly_explained_length.argmax())
        candidates.append(points[best])
        unexplained_length = np.where(is_explained[best], 0.0, unexplained_length)
    return candidates


def rotation_from_points(first: Vector, second: Vector, focal: float) -> Matrix:
    """Rotation whose first two columns are nearly the directions of two homogeneous points."""
    directions = []
    for point in (first, second):
        direction = point / (focal, focal, 1.0)
        directions.append(direction / np.linalg.norm(direction))
    third = np.cross(directions[0], directions[1])
    columns = np.stack([*directions, third / np.linalg.norm(third)], axis=1)
    # The nearest rotation (orthogonal Procrustes).
    U, _, Vt = np.linalg.svd(columns)
    return U @ Vt


def _vanishing_points(focal: float, rotation: Matrix) -> Matrix:
    """Homogeneous vanishing points of directions, a row each."""
    return rotation.T * (focal, focal, 1.0)


def _refine(segments: Segments, focal: float, rotation: Matrix) -> Vanishing | None:
    """Least-squares fit to all explained segments; None if there are too few.

    It is a damped Gauss-Newton method with Cauchy weights.
    """
    for _ in range(30):  # A few rounds are enough.
        is_explained, nearest = _nearest_points(segments, focal, rotation)
        if is_explained.sum() < 2 * _MIN_SEGMENTS:
            return None
        explained, nearest = segments.select(is_explained), nearest[is_explained]
        derivatives, sines = _linearise(explained, nearest, focal, rotation)
        # Long segments weigh more, because their direction is exact; outliers weigh less.
        weights = explained.length / (1 + np.square(sines / _CAUCHY_SCALE))
        weighted = derivatives * weights[:, None]
        normal_matrix = weighted.T @ derivatives
        damping = _DAMPING * np.diag(np.diag(normal_matrix))
        damped_matrix = normal_matrix + damping + 1e-12 * np.eye(4)
        step = np.linalg.solve(damped_matrix, -weighted.T @ sines)
        step = np.clip(step, -_MAX_STEP, _MAX_STEP)
        focal, rotation = _apply_step(focal, rotation, step)
        if np.abs(step).max() < _CONVERGED:
            break

    # The variance of the first parameter, the log focal length, with weights of a mean of 1.
    degrees_of_freedom = max(len(sines) - 4, 1)
    mean_square = float(weights @ np.square(sines)) / float(weights.sum())
    variance = mean_square * len(sines) / degrees_of_freedom
    try:
        covariance = np.linalg.inv(normal_matrix / float(weights.mean()))
        log_deviation = math.sqrt(variance * float(covariance[0, 0]))
    except (np.linalg.LinAlgError, ValueError):
        return None
    counts = tuple(int((nearest == index).sum()) for index in range(3))
    return Vanishing(
        focal=focal,
        log_deviation=log_deviation,
        rotation=rotation,
        counts=(counts[0], counts[1], counts[2]),
        explained_fraction=float(segments.length[is_explained].sum() / segments.length.sum()),
    )


def _nearest_points(
    segments: Segments, focal: float, rotation: Matrix
) -> tuple[Bool[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Whether a vanishing point explains each segment, and the index of its nearest one."""
    sines = np.abs(sines_to_points(segments, _vanishing_points(focal, rotation)))
    return sines.min(axis=0) < MAX_SINE, sines.argmin(axis=0)


def _linearise(
    segments: Segments,
    nearest: Int[np.ndarray, "n"],
    focal: float,
    rotation: Matrix,
) -> tuple[Float64[np.ndarray, "n 4"], Values]:
    """Derivatives of the sines by the log focal length and three angles, and the sines."""

    def sines_after(step: Float64[np.ndarray, "4"]) -> Values:
        points = _vanishing_points(*_apply_step(focal, rotation, step))
        return sines_to_points(segments, points)[nearest, np.arange(len(nearest))]

    sines = sines_after(np.zeros(4))
    derivatives = [(sines_after(_DIFFERENCE * unit) - sines) / _DIFFERENCE for unit in np.eye(4)]
    return np.stack(derivatives, axis=1), sines


def _apply_step(
    focal: float, rotation: Matrix, step: Float64[np.ndarray, "4"]
) -> tuple[float, Matrix]:
    """Change the log focal length and turn the directions by a step."""
    return focal * math.exp(float(step[0])), rotation_from_axis_angle(step[1:]) @ rotation
