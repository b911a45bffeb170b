"""Focal length from vanishing points of two or three directions at right angles."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from rilievo.arrays.shapes import Bool, Float, Float64, Int, Matrix, Values, Vector
from rilievo.geometry.segments import Segments, find_segments
from rilievo.geometry.transforms import rotation_from_axis_angle

LEAST_SEGMENTS = 10
"""Least segments along each of two directions."""
LEAST_BALANCE = 1 / 6
"""Least ratio of second to first direction's segments."""
MOST_DOUBT = 0.02
"""Standard deviation of the log focal length that is not clear."""
LEAST_SHARE = 0.6
"""Least share of length that points along the directions."""
NARROWEST, WIDEST = 20.0, 110.0
"""Limits of the field of view along the longer side [degrees]; others are false detections."""
_SHORTEST = 0.05
_OFF = math.sin(math.radians(2.0))
"""Sine of the largest angle to a vanishing point."""
_DAMPING = 1e-3
_DRAWS = 1500
_CANDIDATES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanishing:
    """Focal length and directions of vanishing points.

    Attributes:
        focal: Focal length [px].
        doubt: Standard deviation of its logarithm.
        rotation: Directions as columns, in any order.
        counts: Segments along each.
        share: Share of length along any.
    """

    focal: float
    doubt: float
    rotation: Matrix
    counts: tuple[int, int, int]
    share: float

    @property
    def is_clear(self) -> bool:
        """Whether the focal length is reliable."""
        _, second, first = sorted(self.counts)
        enough = second >= max(LEAST_SEGMENTS, LEAST_BALANCE * first)
        return enough and self.doubt <= MOST_DOUBT and self.share >= LEAST_SHARE


def find_vanishing(grey: Float[np.ndarray, "h w"]) -> Vanishing | None:
    """Find vanishing points of brightness 0 to 255 about the centre; some 500 pixels suffice.

    Returns:
        None if no directions explain the lines.
    """
    height, width = grey.shape
    if min(height, width) < 2:
        return None
    half = math.hypot(height, width) / 2
    segments = find_segments(grey, shortest=_SHORTEST * half)
    if len(segments) < 2 * LEAST_SEGMENTS:
        return None
    centred = Segments(
        middle=(segments.middle - ((width - 1) / 2, (height - 1) / 2)) / half,
        direction=segments.direction,
        length=segments.length / half,
    )
    longer = max(height, width) / 2 / half
    limits = tuple(longer / math.tan(math.radians(angle) / 2) for angle in (WIDEST, NARROWEST))
    start = _best_supported_focal_rotation(centred, (limits[0], limits[1]))
    if start is None:
        return None
    fit = _refine_vanishing(centred, *start)
    if fit is None or not limits[0] < fit.focal < limits[1]:
        return None
    return Vanishing(
        focal=fit.focal * half,
        doubt=fit.doubt,
        rotation=fit.rotation,
        counts=fit.counts,
        share=fit.share,
    )


def _misses_by_point(
    segments: Segments, points: Float64[np.ndarray, "k 3"]
) -> Float64[np.ndarray, "k n"]:
    """Sine between each segment and its ray to each point."""
    to_x = points[:, None, 0] - points[:, None, 2] * segments.middle[None, :, 0]
    to_y = points[:, None, 1] - points[:, None, 2] * segments.middle[None, :, 1]
    cross = to_x * segments.direction[None, :, 1] - to_y * segments.direction[None, :, 0]
    return cross / np.maximum(np.hypot(to_x, to_y), 1e-12)


def _best_supported_focal_rotation(
    segments: Segments, limits: tuple[float, float]
) -> tuple[float, Matrix] | None:
    points = _candidate_vanishing_points(segments)
    best, most = None, 0.0
    for one, other in combinations(points, 2):
        if min(abs(one[2]), abs(other[2])) < 1e-6:
            continue
        product = float(one[:2] @ other[:2]) / float(one[2] * other[2])
        if not limits[0] ** 2 < -product < limits[1] ** 2:
            continue
        focal = math.sqrt(-product)
        rotation = _rotation_of_points(one, other, focal)
        held = (np.abs(_misses_by_point(segments, _vanishing_points(focal, rotation))) < _OFF).any(
            axis=0
        )
        explained = float(segments.length[held].sum())
        if explained > most:
            best, most = (focal, rotation), explained
    return best


def _candidate_vanishing_points(segments: Segments) -> list[Vector]:
    chance = np.random.default_rng(0)
    ends = np.concatenate([segments.middle, np.ones((len(segments), 1))], axis=1)
    ways = np.concatenate([segments.direction, np.zeros((len(segments), 1))], axis=1)
    lines = np.cross(ends, ways)
    share = segments.length / segments.length.sum()
    first, second = (chance.choice(len(segments), _DRAWS, p=share) for _ in range(2))
    points = np.cross(lines[first], lines[second])
    size = np.linalg.norm(points, axis=1)
    points = points[size > 1e-6] / size[size > 1e-6, None]
    held = np.abs(_misses_by_point(segments, points)) < _OFF
    left, candidates = segments.length.copy(), []
    for _ in range(_CANDIDATES):
        votes = held @ left
        if not len(votes) or votes.max() <= 0:
            break
        index = int(votes.argmax())
        candidates.append(points[index])
        left = np.where(held[index], 0.0, left)
    return candidates


def _rotation_of_points(one: Vector, other: Vector, focal: float) -> Matrix:
    columns = []
    for point in (one, other):
        way = point / (focal, focal, 1.0)
        columns.append(way / np.linalg.norm(way))
    third = np.cross(columns[0], columns[1])
    left, _, right = np.linalg.svd(np.stack([*columns, third / np.linalg.norm(third)], axis=1))
    return left @ right


def _vanishing_points(focal: float, rotation: Matrix) -> Matrix:
    """Homogeneous points, a row each."""
    return rotation.T * (focal, focal, 1.0)


def _refine_vanishing(segments: Segments, focal: float, rotation: Matrix) -> Vanishing | None:
    """Least-squares fit; None with too few segments."""
    for _ in range(30):
        held, which = _nearest_vanishing_points(segments, focal, rotation)
        if held.sum() < 2 * LEAST_SEGMENTS:
            return None
        chosen, which = segments.select(held), which[held]
        slopes, misses = _linearise(chosen, which, focal, rotation)
        # Long segments weigh more, because their direction is exact; outliers weigh less.
        weight = chosen.length / (1 + np.square(misses / (0.4 * _OFF)))
        normal = (slopes * weight[:, None]).T @ slopes
        step = np.linalg.solve(
            normal + _DAMPING * np.diag(np.diag(normal)) + 1e-12 * np.eye(4),
            -(slopes * weight[:, None]).T @ misses,
        )
        step = np.clip(step, -0.2, 0.2)
        focal, rotation = _apply_step(focal, rotation, step)
        if np.abs(step).max() < 1e-5:
            break
    freedom = max(len(misses) - 4, 1)
    variance = float(weight @ np.square(misses)) / float(weight.sum()) * len(misses) / freedom
    mean_weight = float(weight.mean())
    try:
        doubt = math.sqrt(variance * float(np.linalg.inv(normal / mean_weight)[0, 0]))
    except (np.linalg.LinAlgError, ValueError):
        return None
    counts = tuple(int((which == index).sum()) for index in range(3))
    return Vanishing(
        focal=focal,
        doubt=doubt,
        rotation=rotation,
        counts=(counts[0], counts[1], counts[2]),
        share=float(segments.length[held].sum() / segments.length.sum()),
    )


def _nearest_vanishing_points(
    segments: Segments, focal: float, rotation: Matrix
) -> tuple[Bool[np.ndarray, "n"], Int[np.ndarray, "n"]]:
    """Mask of segments on a point; nearest point of each."""
    misses = np.abs(_misses_by_point(segments, _vanishing_points(focal, rotation)))
    which = misses.argmin(axis=0)
    return misses.min(axis=0) < _OFF, which


def _linearise(
    segments: Segments,
    which: Int[np.ndarray, "n"],
    focal: float,
    rotation: Matrix,
) -> tuple[Float64[np.ndarray, "n 4"], Values]:
    """Slopes by log focal length and turn, and misses."""

    def at(step: Float64[np.ndarray, "4"]) -> Values:
        points = _vanishing_points(*_apply_step(focal, rotation, step))
        return _misses_by_point(segments, points)[which, np.arange(len(which))]

    small = 1e-5
    here = at(np.zeros(4))
    return np.stack([(at(small * unit) - here) / small for unit in np.eye(4)], axis=1), here


def _apply_step(
    focal: float, rotation: Matrix, step: Float64[np.ndarray, "4"]
) -> tuple[float, Matrix]:
    return focal * math.exp(float(step[0])), rotation_from_axis_angle(step[1:]) @ rotation
