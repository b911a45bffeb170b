"""Focal length from the vanishing points of two or three directions at right angles.

The images a and b of two directions at right angles, measured from the centre of the picture, give
the focal length sqrt(-a·b) (Caprile and Torre, IJCV 1990). Pairs of segments propose vanishing
points; the pair of points that explains the greatest length of segments is refined by all of these
segments (Gauss-Newton with Cauchy weights), which also gives the uncertainty.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Float, Float64, Int, Matrix, Values, Vector
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
_MAX_ROUNDS = 30  # a few are enough
_MAX_STEP = 0.2
"""Largest change in a round, of the log focal length and of angles [rad]."""
CONVERGED_STEP = 1e-5
"""Largest change of a round after which a fit has converged."""
_CAUCHY_SCALE = 0.4 * MAX_SINE
"""Sine at which a segment has half its weight."""
_DERIVATIVE_STEP = 1e-5
"""Change of a parameter over which its numerical derivative is taken."""
_DAMPING = 1e-3
"""Levenberg-Marquardt damping, over the diagonal of the normal matrix."""
_MIN_DIAGONAL = 1e-12
"""Added to this diagonal, so that a parameter without effect does not make it singular."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """Three directions at right angles, and the focal length that gives their vanishing points.

    Attributes:
        focal: Focal length, in the unit of the segments.
        rotation: Unit directions in the camera's frame, as columns in any order.
    """

    focal: float
    rotation: Matrix

    @property
    def vanishing_points(self) -> Matrix:
        """Homogeneous vanishing points, a row each."""
        return self.rotation.T * (self.focal, self.focal, 1.0)

    def changed_by(self, step: Float64[np.ndarray, "4"]) -> "_Axes":
        """Axes after a change of the log focal length and a turn about x, y and z [rad]."""
        log_focal_change, turn = float(step[0]), step[1:]
        return _Axes(
            focal=self.focal * math.exp(log_focal_change),
            rotation=rotation_from_axis_angle(turn) @ self.rotation,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearisedFit:
    """Least-squares fit of axes to segments, linear in a small change of k parameters.

    The residual of a segment is the sine of its angle to the ray towards its vanishing point.

    Attributes:
        sines: Residuals before the change.
        derivatives: Their derivatives by the parameters.
        weights: Weights of their squares.
    """

    sines: Values
    derivatives: Float64[np.ndarray, "n k"]
    weights: Values

    @property
    def normal_matrix(self) -> Float64[np.ndarray, "k k"]:
        """Matrix of the normal equations, without damping."""
        return (self.derivatives * self.weights[:, None]).T @ self.derivatives

    def best_step(self, max_step: float) -> Float64[np.ndarray, "k"]:
        """Change of the parameters by a damped Gauss-Newton step, at most ``max_step`` each."""
        normal_matrix = self.normal_matrix
        damping = _DAMPING * np.diag(np.diag(normal_matrix))
        damping += _MIN_DIAGONAL * np.eye(len(normal_matrix))
        gradient = (self.derivatives * self.weights[:, None]).T @ self.sines
        step = np.linalg.solve(normal_matrix + damping, -gradient)
        return np.clip(step, -max_step, max_step)

    def deviation(self, parameter: int) -> float | None:
        """Standard deviation of a parameter; None if the segments do not determine it."""
        sine_count, parameter_count = self.derivatives.shape
        mean_square = float(self.weights @ np.square(self.sines)) / float(self.weights.sum())
        degrees_of_freedom = max(sine_count - parameter_count, 1)
        variance_of_sines = mean_square * sine_count / degrees_of_freedom
        try:
            # The weights are divided by their mean, so that they do not change the variance.
            covariance = np.linalg.inv(self.normal_matrix / float(self.weights.mean()))
            return math.sqrt(variance_of_sines * float(covariance[parameter, parameter]))
        except (np.linalg.LinAlgError, ValueError):
            return None


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
    axes = _propose_axes(normalised, min_focal, max_focal)
    if axes is None:
        return None
    refined = _refine_axes(normalised, axes)
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
    # From the middle to the point, times z, so that it is finite for points at infinity.
    ray_x = x - z * segments.middle[None, :, 0]
    ray_y = y - z * segments.middle[None, :, 1]
    direction_x, direction_y = segments.direction[None, :, 0], segments.direction[None, :, 1]
    cross_product = ray_x * direction_y - ray_y * direction_x
    return cross_product / np.maximum(np.hypot(ray_x, ray_y), 1e-12)


def _propose_axes(segments: Segments, min_focal: float, max_focal: float) -> _Axes | None:
    """Axes through the two candidate points that explain the greatest length of segments.

    Returns None if no pair of candidates has a focal length in the range.
    """
    best_axes, greatest_length = None, 0.0
    for first, second in combinations(candidate_points(segments), 2):
        squared_focal = _squared_focal(first, second)
        if squared_focal is None or not min_focal**2 < squared_focal < max_focal**2:
            continue
        focal = math.sqrt(squared_focal)
        axes = _Axes(focal=focal, rotation=rotation_from_points(first, second, focal))
        sines = np.abs(sines_to_points(segments, axes.vanishing_points))
        is_explained = (sines < MAX_SINE).any(axis=0)
        explained_length = float(segments.length[is_explained].sum())
        if explained_length > greatest_length:
            best_axes, greatest_length = axes, explained_length
    return best_axes


def _squared_focal(first: Vector, second: Vector) -> float | None:
    """Squared focal length by the homogeneous vanishing points of two orthogonal directions.

    Points at (u1, v1) and (u2, v2) from the centre give the focal length f, because
    u1 u2 + v1 v2 + f² = 0. A point at infinity gives none.
    """
    if min(abs(first[2]), abs(second[2])) < _MIN_DIRECTION_Z:
        return None
    return -float(first[:2] @ second[:2]) / float(first[2] * second[2])


def candidate_points(segments: Segments) -> list[Vector]:
    """Homogeneous points where many segments meet, the one with the greatest length first.

    Intersections of random pairs of segments are proposed, and long segments are drawn more often.
    Each candidate is the proposal that explains the greatest length that no earlier one explains.
    """
    random = np.random.default_rng(0)
    segment_count = len(segments)
    # Homogeneous coordinates, in which a direction is a point at infinity. The cross product of two
    # points is their line, and that of two lines their point.
    middles = np.concatenate([segments.middle, np.ones((segment_count, 1))], axis=1)
    directions = np.concatenate([segments.direction, np.zeros((segment_count, 1))], axis=1)
    lines = np.cross(middles, directions)
    probability = segments.length / segments.length.sum()
    first, second = (random.choice(segment_count, _PROPOSALS, p=probability) for _ in range(2))
    points = np.cross(lines[first], lines[second])
    norms = np.linalg.norm(points, axis=1)
    is_point = norms > 1e-6  # Not the intersection of a line with itself.
    points = points[is_point] / norms[is_point, None]

    is_explained = np.abs(sines_to_points(segments, points)) < MAX_SINE
    # A greedy choice; segments that a candidate explains have no length for the next ones.
    unexplained_length = segments.length.copy()
    candidates: list[Vector] = []
    for _ in range(_CANDIDATES):
        newly_explained_lengths = is_explained @ unexplained_length
        if newly_explained_lengths.max(initial=0) <= 0:
            break
        best = int(newly_explained_lengths.argmax())
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


def _refine_axes(segments: Segments, axes: _Axes) -> Vanishing | None:
    """Fit axes to all segments that they explain, round by round; None if there are too few.

    The parameters of the fit are the log focal length, and a turn of the axes about x, y and z.
    """
    round_count = 0
    while True:
        sines = np.abs(sines_to_points(segments, axes.vanishing_points))
        is_explained = sines.min(axis=0) < MAX_SINE
        if is_explained.sum() < 2 * _MIN_SEGMENTS:
            return None
        nearest_axis = sines.argmin(axis=0)[is_explained]
        fit = _linearise(segments.select(is_explained), nearest_axis, axes)
        step = fit.best_step(_MAX_STEP)
        axes = axes.changed_by(step)
        round_count += 1
        if np.abs(step).max() < CONVERGED_STEP or round_count == _MAX_ROUNDS:
            break

    log_deviation = fit.deviation(parameter=0)
    if log_deviation is None:
        return None
    first_count, second_count, third_count = np.bincount(nearest_axis, minlength=3).tolist()
    return Vanishing(
        focal=axes.focal,
        log_deviation=log_deviation,
        rotation=axes.rotation,
        counts=(first_count, second_count, third_count),
        explained_fraction=float(segments.length[is_explained].sum() / segments.length.sum()),
    )


def _linearise(
    segments: Segments, nearest_axis: Int[np.ndarray, "n"], axes: _Axes
) -> LinearisedFit:
    """Linearise the sines of segments, each to the vanishing point of its nearest axis."""

    def sines_after(step: Float64[np.ndarray, "4"]) -> Values:
        points = axes.changed_by(step).vanishing_points
        return sines_to_points(segments, points)[nearest_axis, np.arange(len(segments))]

    return linearise(segments, sines_after, parameter_count=4)


def linearise(
    segments: Segments,
    sines_after: Callable[[Float64[np.ndarray, "k"]], Values],
    parameter_count: int,
) -> LinearisedFit:
    """Linearise the sines of segments by small changes of some parameters.

    Long segments weigh more, because their direction is exact, and outliers weigh less (Cauchy).

    Args:
        segments: Segments, each of which belongs to a vanishing point.
        sines_after: Function from a change of the parameters to the sines after it.
        parameter_count: Number of parameters.
    """
    sines = sines_after(np.zeros(parameter_count))
    unit_changes = np.eye(parameter_count)
    derivatives = [
        (sines_after(_DERIVATIVE_STEP * change) - sines) / _DERIVATIVE_STEP
        for change in unit_changes
    ]
    return LinearisedFit(
        sines=sines,
        derivatives=np.stack(derivatives, axis=1),
        weights=segments.length / (1 + np.square(sines / _CAUCHY_SCALE)),
    )
