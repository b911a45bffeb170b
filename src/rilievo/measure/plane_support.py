"""How firmly the points to which a plane was fitted support it against tilting."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Points, Vector

_MAX_POINTS = 10_000
"""Most points whose spread is computed, for speed."""
_MIN_SPREAD = 1e-9
"""Least standard deviation of points along a direction of a plane [m], to divide by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSupport:
    """Extent of the points to which a plane was fitted.

    Attributes:
        middle: Mean position of the points in the camera frame [m].
        scaled_axes: Two unit vectors in the plane, each divided by the standard deviation of the
            points along it [1/m].
    """

    middle: Vector
    scaled_axes: Float64[np.ndarray, "2 3"]

    def offset(self, position: Vector) -> float:
        """Distance of a position from the middle, in standard deviations of the points."""
        return float(np.linalg.norm(self.scaled_axes @ (position - self.middle)))

    def inverse_spread(self, direction: Vector) -> float:
        """One over the standard deviation of the points along a unit vector in the plane [1/m]."""
        return float(np.linalg.norm(self.scaled_axes @ direction))


def measure_support(points: Points, normal: Vector) -> PlaneSupport:
    """Measure the extent of points [m] to which a plane with this unit normal was fitted."""
    step = max(1, len(points) // _MAX_POINTS)
    middle = points.mean(axis=0)
    offsets = points[::step] - middle
    # Noise along the normal is no spread of the points in the plane.
    offsets = offsets - np.outer(offsets @ normal, normal)
    _, singular_values, directions = np.linalg.svd(offsets, full_matrices=False)
    deviations = np.maximum(singular_values[:2] / np.sqrt(len(offsets)), _MIN_SPREAD)
    return PlaneSupport(middle=middle, scaled_axes=directions[:2] / deviations[:, None])
