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


def fit_planes(points: Points, min_share: float) -> list[Plane]:
    """Find the planes that hold many of the points, by RANSAC with the same trials every time.

    Exact planes are found first, and then those of a network's depth, which are not quite flat.

    Args:
        points: Points in which planes are sought.
        min_share: Least share of the points that lies on a plane.
    """
    planes: list[Plane] = []
    min_points = max(MIN_PLANE_POINTS, min_share * len(points))
    for tolerance in TOLERANCES:
        while len(planes) < _MAX_PLANES and len(points) >= min_points:
            plane = _largest_plane(points, tolerance)
            if plane is None or plane.contains(points).sum() < min_points:
                break
            planes.append(plane)
            points = points[np.abs(plane.relative_offsets(points)) > 2 * plane.tolerance]
    return planes


def join_planes(planes: Sequence[Plane], further_planes: Sequence[Plane]) -> list[Plane]:
    """Planes, and those of the further ones that are none of them."""
    new_planes = [
        further
        for further in further_planes
        if not any(plane.is_nearly(further) for plane in planes)
    ]
    return [*planes, *new_planes]


def _largest_plane(points: Points, tolerance: float) -> Plane | None:
    """Plane through three points on which most of all points lie; None if no three span a plane."""
    p, q, r = points[_trial_triples(len(points))].transpose(1, 0, 2)
    volumes = np.einsum("ni,ni->n", p, np.cross(q, r))
    spans_plane = np.abs(volumes) > 1e-9 * np.abs(p * q * r).max()
    if not spans_plane.any():
        return None

    # The plane through three points, with vector · p = vector · q = vector · r = 1.
    normals = np.cross(q, r) + np.cross(r, p) + np.cross(p, q)
    vectors = normals[spans_plane] / volumes[spans_plane, None]
    votes = (np.abs(vectors @ points.T - 1) < tolerance).sum(axis=1)
    return refine_plane(vectors[int(votes.argmax())], points, tolerance)


_TRIALS = 150
"""Planes through three points that are tried."""
_MULTIPLIER, _MODULUS = 16_807, 2**31 - 1
"""Random numbers of Park and Miller (1988), which the page in JavaScript repeats."""


def _trial_triples(point_count: int) -> Int[np.ndarray, "n 3"]:
    """Indices of three points for each trial, always the same."""
    state = 1
    indices: list[int] = []
    for _ in range(3 * _TRIALS):
        state = state * _MULTIPLIER % _MODULUS
        indices.append(state % point_count)
    return np.array(indices).reshape(-1, 3)


_REFINEMENT_ROUNDS = 6


def refine_plane(vector: Vector, points: Points, tolerance: float) -> Plane:
    """Fit a plane by least squares to the points on it, as closely as its roughness allows.

    Args:
        vector: Vector of the plane with which the fit begins.
        points: Points on the plane and elsewhere.
        tolerance: Relative difference of depth within which points lie on that plane.
    """
    for _ in range(_REFINEMENT_ROUNDS):
        on_plane = points[np.abs(points @ vector - 1) < tolerance]
        if len(on_plane) < MIN_PLANE_POINTS:
            break
        vector = least_squares_plane(on_plane)
        tolerance = plane_tolerance(np.abs(on_plane @ vector - 1))
    return Plane(vector=vector, tolerance=tolerance)


def least_squares_plane(points: Points) -> Vector:
    """Vector of the plane vector · p = 1 with the least sum of squared relative offsets."""
    return np.linalg.lstsq(points, np.ones(len(points)), rcond=None)[0]


_TOLERANCE_PER_MEDIAN = 3 * 1.4826
"""Three standard deviations of normally distributed errors, in medians of their absolute values."""


def plane_tolerance(offsets: Values) -> float:
    """Relative difference of depth within which points lie on a plane.

    Args:
        offsets: Absolute relative offsets of points that are known to lie on it.
    """
    if not len(offsets):
        return EXACT_TOLERANCE
    tolerance = max(_TOLERANCE_PER_MEDIAN * float(np.median(offsets)), EXACT_TOLERANCE)
    return min(TOLERANCES[-1], tolerance)
