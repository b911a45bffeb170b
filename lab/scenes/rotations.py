"""Rotations about the axes of the world frame."""

import math

import numpy as np
from jaxtyping import Float64

Rotation = Float64[np.ndarray, "3 3"]


def turn_x(angle: float) -> Rotation:
    """Rotation about x by an angle [rad], counter-clockwise seen from +x."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def turn_y(angle: float) -> Rotation:
    """Rotation about y by an angle [rad], counter-clockwise seen from +y."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def turn_z(angle: float) -> Rotation:
    """Rotation about z by an angle [rad], counter-clockwise seen from +z."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def turn_from_z(direction: Float64[np.ndarray, "3"]) -> Rotation:
    """A rotation that takes the z axis to a direction of any length but zero."""
    a, b, c = direction / np.linalg.norm(direction)
    # The new x axis is perpendicular to the direction and lies in the plane z = 0.
    flat = math.hypot(a, b)
    if flat < 1e-9:
        return np.diag([1.0, math.copysign(1.0, c), c])
    x = np.array([-b / flat, a / flat, 0.0])
    y = np.array([-c * a / flat, -c * b / flat, flat])
    return np.stack([x, y, np.array([a, b, c])], axis=1)
