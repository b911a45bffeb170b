"""Planes through points around an object: the floor, a table, walls.

Points and planes are in the camera frame [m].
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Int, Points, Values, Vector

TOLERANCES = (0.005, 0.03)
"""Relative differences of depth within which points lie on an exact plane, such as an instrument
measures, and on a plane in a network's depth, which is not quite flat."""
EXACT_TOLERANCE = 0.002
"""Least tolerance of a plane, which holds for depth without noise."""
MIN_PLANE_POINTS = 30
"""Fewest points to which a plane is fitted."""

_SAME_PLANE = 0.05
"""Largest relative difference of two fits that describe one plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """Plane of all points p with vector · p = 1, and how closely points lie on it.

    Attributes:
        vector: Normal away from the camera, over the distance from the camera [1/m].
        tolerance: Relative difference of depth within which points lie on the plane.
    """

    vector: Vector
    tolerance: float

    @property
    def normal(self) -> Vector:
        """Unit normal towards the camera."""
        return -self.vector / float(np.linalg.norm(self.vector))

    def relative_offsets(self, points: Points) -> Values:
        """Depth of points over that of the plane there, minus 1; negative in front of the plane."""
        return points @ self.vector - 1

    def contains(self, points: Points) -> Bool[np.ndarray, "n"]:
        """Whether points lie on the plane."""
        return np.abs(self.relative_offsets(points)) < self.tolerance

    def heights(self, points: Points, up: Vector) -> Values:
        """Heights of points above the plane along a direction ``up`` [m]."""
        return self.relative_offsets(points) / float(self.vector @ up)

    def is_nearly(self, other: "Plane") -> bool:
        """Whether this and another fit describe the same plane."""
        difference = float(np.linalg.norm(self.vector - other.vector))
        return difference < _SAME_PLANE * float(np.linalg.norm(other.vector))

    def scaled(self, factor: float) -> "Plane":
        """The plane at another distance, seen from the same place."""
        return replace(self, vector=self.vector / factor)


_MAX_PLANES = 5
"""Most planes that are sought around an object."""
_EXACT_DEPTH_FRACTION = 0.5
"""Fraction of the points on exact planes from which on depth is as exact as these planes."""


def fit_planes(points: Points, min_fraction: float) -> list[Plane]:
    """Find planes that contain many of the points, by RANSAC with the same trials every time.

    Each plane is removed from the points before the next one is sought. Exact planes are found
    first, and then those of a network's depth, which are not quite flat. ``min_fraction`` is the
    least fraction of the points that lies on a plane.

    If most points lie on exact planes, the depth is exact, so an uneven plane through the rest is
    no surface: it would join parts of other objects, and might cut through the one in the region.
    """
    planes: list[Plane] = []
    min_points = max(MIN_PLANE_POINTS, min_fraction * len(points))
    remaining = points
    for tolerance in TOLERANCES:
        is_depth_exact = len(points) - len(remaining) >= _EXACT_DEPTH_FRACTION * len(points)
        if planes and is_depth_exact:
            break
        while len(planes) < _MAX_PLANES and len(remaining) >= min_points:
            plane = _largest_plane(remaining, tolerance)
            if plane is None or plane.contains(remaining).sum() < min_points:
                break
            planes.append(plane)
            offsets = np.abs(plane.relative_offsets(remaining))
            remaining = remaining[offsets > 2 * plane.tolerance]
    return planes


def join_planes(planes: Sequence[Plane], further_planes: Sequence[Plane]) -> list[Plane]:
    """Add further planes that are not nearly the same as one of the planes."""
    new_planes = [
        further
        for further in further_planes
        if not any(plane.is_nearly(further) for plane in planes)
    ]
    return [*planes, *new_planes]


def _largest_plane(points: Points, tolerance: float) -> Plane | None:
    """Find the plane through three points on which most points lie; None if no three span one."""
    p, q, r = points[_trial_triples(len(points))].transpose(1, 0, 2)
    volumes = np.einsum("ni,ni->n", p, np.cross(q, r))
    spans_plane = np.abs(volumes) > 1e-9 * np.abs(p * q * r).max()
    if not spans_plane.any():
        return None

    # The plane through three points, with vector · p = vector · q = vector · r = 1.
    normals = np.cross(q, r) + np.cross(r, p) + np.cross(p, q)
    vectors = normals[spans_plane] / volumes[spans_plane, None]
    inlier_counts = (np.abs(vectors @ points.T - 1) < tolerance).sum(axis=1)
    return refine_plane(vectors[int(inlier_counts.argmax())], points, tolerance)


_TRIALS = 150
"""Planes through three points that are tried."""
_MULTIPLIER, _MODULUS = 16_807, 2**31 - 1
"""Random numbers of Park and Miller (1988), which the page in JavaScript repeats."""


def _trial_triples(point_count: int) -> Int[np.ndarray, "n 3"]:
    """Pseudo-random indices of three points for each trial, always the same."""
    state = 1
    indices: list[int] = []
    for _ in range(3 * _TRIALS):
        state = state * _MULTIPLIER % _MODULUS
        indices.append(state % point_count)
    return np.array(indices).reshape(-1, 3)


_REFINEMENT_ROUNDS = 6


def refine_plane(vector: Vector, points: Points, tolerance: float) -> Plane:
    """Refit a plane by least squares to the points on it, with a tolerance by its roughness.

    ``vector`` and ``tolerance`` are those of the initial plane; ``points`` may lie elsewhere, too.
    """
    for _ in range(_REFINEMENT_ROUNDS):
        inliers = points[np.abs(points @ vector - 1) < tolerance]
        if len(inliers) < MIN_PLANE_POINTS:
            break
        vector = least_squares_plane(inliers)
        tolerance = plane_tolerance(np.abs(inliers @ vector - 1))
    return Plane(vector=vector, tolerance=tolerance)


def least_squares_plane(points: Points) -> Vector:
    """Vector of the plane vector · p = 1 with the least sum of squared relative offsets."""
    return np.linalg.lstsq(points, np.ones(len(points)), rcond=None)[0]


_TOLERANCE_PER_MEDIAN = 3 * 1.4826
"""Three standard deviations of normally distributed errors, in medians of their absolute values."""


def plane_tolerance(offsets: Values) -> float:
    """Relative difference of depth within which points lie on a plane.

    ``offsets`` are the absolute relative offsets of points that are known to lie on it.
    """
    if not len(offsets):
        return EXACT_TOLERANCE
    tolerance = max(_TOLERANCE_PER_MEDIAN * float(np.median(offsets)), EXACT_TOLERANCE)
    return min(TOLERANCES[-1], tolerance)
