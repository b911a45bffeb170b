"""Focal length from the vanishing points of two or three directions at right angles.

The images a and b of two directions at right angles, measured from the centre of the picture, give
the focal length sqrt(-a·b) (Caprile and Torre, IJCV 1990). Pairs of segments propose vanishing
points; the pair of points that explains the greatest length of segments is refined by all of these
segments (Gauss-Newton with Cauchy weights), which also gives the uncertainty.
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Int, Matrix, Values, Vector
from rilievo.geometry.segments import Segments, find_segments
from rilievo.geometry.transforms import rotation_from_axis_angle

LEAST_SEGMENTS = 10
"""Least number of segments along each of two directions."""
LEAST_BALANCE = 1 / 6
"""Least ratio of the second direction's segments to the first direction's."""
MOST_DOUBT = 0.02
"""Largest standard deviation of the log focal length with which it is clear."""
LEAST_SHARE = 0.6
"""Least share of the segments' length that points along the directions."""
NARROWEST, WIDEST = 20.0, 110.0
"""Limits of the field of view along the longer side [degrees]; others are false detections."""

_MIN_LENGTH = 0.05
"""Length of the shortest segment that is used, over half the diagonal."""
_MAX_SINE = math.sin(math.radians(2.0))
"""Sine of the largest angle between a segment and the ray to its vanishing point."""
_PROPOSALS = 1500
"""Pairs of segments that are drawn to propose vanishing points."""
_CANDIDATES = 8
"""Proposed points that are kept, each for segments that no earlier one explains."""
_MIN_DIRECTION_Z = 1e-6
"""Least z of a point that is not at infinity in the picture."""
_CONVERGED = 1e-5
_DAMPING = 1e-3
_MAX_STEP = 0.2
"""Largest change in a round, of the log focal length and of angles [rad]."""
_CAUCHY_SCALE = 0.4 * _MAX_SINE
"""Sine at which a segment has half its weight."""
_DIFFERENCE = 1e-5
"""Step of numerical derivatives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanishing:
    """Focal length, and the directions that have the vanishing points.

    Attributes:
        focal: Focal length [px].
        doubt: Standard deviation of its logarithm.
        rotation: Directions as columns, in any order.
        counts: Number of segments along each of them.
        share: Share of the segments' length that points along any of them.
    """

    focal: float
    doubt: float
    rotation: Matrix
    counts: tuple[int, int, int]
    share: float

    @property
    def is_clear(self) -> bool:
        """Whether the focal length is reliable."""
        _, second_count, first_count = sorted(self.counts)
        has_two_directions = second_count >= max(LEAST_SEGMENTS, LEAST_BALANCE * first_count)
        return has_two_directions and self.doubt <= MOST_DOUBT and self.share >= LEAST_SHARE


def find_vanishing(grey: Float[np.ndarray, "h w"]) -> Vanishing | None:
    """Find vanishing points in brightness from 0 to 255, with the principal point in the centre.

    A picture of some 500 pixels is large enough.

    Returns:
        None if no directions explain the segments.
    """
    height, width = grey.shape
    if min(height, width) < 2:
        return None
    half_diagonal = math.hypot(height, width) / 2
    segments = find_segments(grey, shortest=_MIN_LENGTH * half_diagonal)
    if len(segments) < 2 * LEAST_SEGMENTS:
        return None

    # Lengths are in halves of the diagonal from now on.
    centre = ((width - 1) / 2, (height - 1) / 2)
    centred = Segments(
        middle=(segments.middle - centre) / half_diagonal,
        direction=segments.direction,
        length=segments.length / half_diagonal,
    )
    half_side = max(height, width) / 2 / half_diagonal
    min_focal = half_side / math.tan(math.radians(WIDEST) / 2)
    max_focal = half_side / math.tan(math.radians(NARROWEST) / 2)
    estimate = _best_focal_and_rotation(centred, min_focal, max_focal)
    if estimate is None:
        return None
    refined = _refine(centred, *estimate)
    if refined is None or not min_focal < refined.focal < max_focal:
        return None
    return Vanishing(
        focal=refined.focal * half_diagonal,
        doubt=refined.doubt,
        rotation=refined.rotation,
        counts=refined.counts,
        share=refined.share,
    )


def _sines(segments: Segments, points: Float64[np.ndarray, "k 3"]) -> Float64[np.ndarray, "k n"]:
    """Sine of the angle between each segment and the ray from its middle to each point.

    ``points`` are homogeneous. The sign depends on the segment's direction.
    """
    x, y, z = (points[:, None, axis] for axis in range(3))
    to_x = x - z * segments.middle[None, :, 0]
    to_y = y - z * segments.middle[None, :, 1]
    cross = to_x * segments.direction[None, :, 1] - to_y * segments.direction[None, :, 0]
    return cross / np.maximum(np.hypot(to_x, to_y), 1e-12)


def _best_focal_and_rotation(
    segments: Segments, min_focal: float, max_focal: float
) -> tuple[float, Matrix] | None:
    """Focal length and axes by the two vanishing points that explain the most segments.

    Vanishing points of orthogonal directions at (u1, v1) and (u2, v2) from the centre determine the
    focal length f, because u1 u2 + v1 v2 + f² = 0.

    Returns:
        The focal length [px] and the rotation of the axes; None if no pair gives one in the range.
    """
    best, greatest_length = None, 0.0
    for first, second in combinations(_candidate_points(segments), 2):
        if min(abs(first[2]), abs(second[2])) < _MIN_DIRECTION_Z:
            continue
        squared_focal = -float(first[:2] @ second[:2]) / float(first[2] * second[2])
        if not min_focal**2 < squared_focal < max_focal**2:
            continue
        focal = math.sqrt(squared_focal)
        rotation = _rotation_of_points(first, second, focal)
        sines = np.abs(_sines(segments, _points_of_directions(focal, rotation)))
        is_explained = (sines < _MAX_SINE).any(axis=0)
        explained_length = float(segments.length[is_explained].sum())
        if explained_length > greatest_length:
            best, greatest_length = (focal, rotation), explained_length
    return best


def _candidate_points(segments: Segments) -> list[Vector]:
    """Homogeneous points where many segments meet, the one of the greatest length first.

    Intersections of pairs of segments are proposed; long segments are drawn more often.
    """
    random = np.random.default_rng(0)
    count = len(segments)
    middles = np.concatenate([segments.middle, np.ones((count, 1))], axis=1)
    directions = np.concatenate([segments.direction, np.zeros((count, 1))], axis=1)
    lines = np.cross(middles, directions)
    chance = segments.length / segments.length.sum()
    first, second = (random.choice(count, _PROPOSALS, p=chance) for _ in range(2))
    points = np.cross(lines[first], lines[second])
    norms = np.linalg.norm(points, axis=1)
    points = points[norms > 1e-6] / norms[norms > 1e-6, None]

    is_explained = np.abs(_sines(segments, points)) < _MAX_SINE
    unexplained_length, candidates = segments.length.copy(), []
    for _ in range(_CANDIDATES):
        votes = is_explained @ unexplained_length
        if not len(votes) or votes.max() <= 0:
            break
        winner = int(votes.argmax())
        candidates.append(points[winner])
        unexplained_length = np.where(is_explained[winner], 0.0, unexplained_length)
    return candidates


def _rotation_of_points(first: Vector, second: Vector, focal: float) -> Matrix:
    """Rotation whose first two columns are nearly the directions of two homogeneous points."""
    directions = []
    for point in (first, second):
        direction = point / (focal, focal, 1.0)
        directions.append(direction / np.linalg.norm(direction))
    third = np.cross(directions[0], directions[1])
    columns = np.stack([*directions, third / np.linalg.norm(third)], axis=1)
    left, _, right = np.linalg.svd(columns)
    return left @ right


def _points_of_directions(focal: float, rotation: Matrix) -> Matrix:
    """Homogeneous vanishing points of directions, a row each."""
    return rotation.T * (focal, focal, 1.0)


def _refine(segments: Segments, focal: float, rotation: Matrix) -> Vanishing | None:
    """Least-squares fit to all explained segments; None if there are too few."""
    for _ in range(30):  # a few are enough
        is_explained, nearest = _nearest_points(segments, focal, rotation)
        if is_explained.sum() < 2 * LEAST_SEGMENTS:
            return None
        explained, nearest = segments.select(is_explained), nearest[is_explained]
        derivatives, sines = _linearise(explained, nearest, focal, rotation)
        # Long segments weigh more, because their direction is exact; outliers weigh less.
        weights = explained.length / (1 + np.square(sines / _CAUCHY_SCALE))
        weighted = derivatives * weights[:, None]
        normal = weighted.T @ derivatives
        damped = normal + _DAMPING * np.diag(np.diag(normal)) + 1e-12 * np.eye(4)
        step = np.clip(np.linalg.solve(damped, -weighted.T @ sines), -_MAX_STEP, _MAX_STEP)
        focal, rotation = _apply_step(focal, rotation, step)
        if np.abs(step).max() < _CONVERGED:
            break

    degrees_of_freedom = max(len(sines) - 4, 1)
    mean_square = float(weights @ np.square(sines)) / float(weights.sum())
    variance = mean_square * len(sines) / degrees_of_freedom
    try:
        covariance = np.linalg.inv(normal / float(weights.mean()))
        doubt = math.sqrt(variance * float(covariance[0, 0]))
    except (np.linalg.LinAlgError, ValueError):
        return None
    counts = tuple(int((nearest == index).sum()) for index in range(3))
    return Vanishing(
        focal=focal,
        doubt=doubt,
        rotation=rotation,
        counts=(counts[0], counts[1], counts[2]),
        share=float(segments.length[is_explained].sum() / segments.length.sum()),
    )


def _nearest_points(
    segments: Segments, focal: float, rotation: Matrix
) -> tuple[Bool[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Whether a vanishing point explains each segment, and the index of its nearest one."""
    sines = np.abs(_sines(segments, _points_of_directions(focal, rotation)))
    return sines.min(axis=0) < _MAX_SINE, sines.argmin(axis=0)


def _linearise(
    segments: Segments,
    nearest: Int[np.ndarray, "n"],
    focal: float,
    rotation: Matrix,
) -> tuple[Float64[np.ndarray, "n 4"], Values]:
    """Derivatives of the sines by the log focal length and three angles, and the sines."""

    def sines_after(step: Float64[np.ndarray, "4"]) -> Values:
        points = _points_of_directions(*_apply_step(focal, rotation, step))
        return _sines(segments, points)[nearest, np.arange(len(nearest))]

    sines = sines_after(np.zeros(4))
    derivatives = [(sines_after(_DIFFERENCE * unit) - sines) / _DIFFERENCE for unit in np.eye(4)]
    return np.stack(derivatives, axis=1), sines


def _apply_step(
    focal: float, rotation: Matrix, step: Float64[np.ndarray, "4"]
) -> tuple[float, Matrix]:
    """Change the log focal length and turn the directions by a step."""
    return focal * math.exp(float(step[0])), rotation_from_axis_angle(step[1:]) @ rotation
