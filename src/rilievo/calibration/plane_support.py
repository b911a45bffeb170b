"""Points to which a plane was fitted, and how far errors of their depth can tilt it."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Points, Vector

_MAX_AXES_POINTS = 10_000
"""Most points whose spread is computed, for speed."""
_MIN_SPREAD = 1e-9
"""Least deviation of points along a direction of a plane [m]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneSupport:
    """Points to which a plane was fitted.

    Attributes:
        middle: Mean position of the points.
        axes: Two directions in the plane, each over the deviation of the points along it [1/m].
    """

    middle: Vector
    axes: Float64[np.ndarray, "2 3"]

    def offset(self, position: Vector) -> float:
        """Distance of a position from the middle of the points, in their deviations."""
        return float(np.linalg.norm(self.axes @ (position - self.middle)))

    def inverse_spread(self, direction: Vector) -> float:
        """One over the deviation of the points along a unit direction of the plane [1/m]."""
        return float(np.linalg.norm(self.axes @ direction))


def support_of(points: Points, normal: Vector) -> PlaneSupport:
    """Support of a plane that was fitted to points, by its unit normal."""
    step = max(1, len(points) // _MAX_AXES_POINTS)
    middle = points.mean(axis=0)
    offsets = points[::step] - middle
    # Noise along the normal is no spread of the points in the plane.
    offsets = offsets - np.outer(offsets @ normal, normal)
    _, deviations, directions = np.linalg.svd(offsets, full_matrices=False)
    spread = np.maximum(deviations[:2] / np.sqrt(len(offsets)), _MIN_SPREAD)
    return PlaneSupport(middle=middle, axes=directions[:2] / spread[:, None])
