"""Fisheye lenses (Kannala and Brandt 2006)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Centred, Floats, Lens, PixelPositions, SpacePoints

_KNOTS = 4097
"""Number of angles at which the radius is tabulated, for the start of Newton's method."""
_NEWTON_STEPS = 4
_MIN_COEFFICIENT = 1e-30
"""Least coefficient that is not taken as zero, so that the roots of the fold are finite."""

Coefficients = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Fisheye(Centred):
    """Fisheye that sees an angle t to the axis at the radius t (1 + k1 t² + k2 t⁴ + k3 t⁶ + k4 t⁸).

    The radius is in units of fx and fy. OpenCV's ``fisheye`` and COLMAP's ``OPENCV_FISHEYE`` have
    the same coefficients. Without coefficients it is equidistant. Depth is distance.

    Attributes:
        k: Coefficients k1 to k4.
        limit: Largest angle to the axis that it sees [rad].
    """

    k: Coefficients = (0.0, 0.0, 0.0, 0.0)
    limit: float = np.pi

    name: ClassVar[str] = "fisheye"
    has_unit_rays: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Centred.__post_init__(self)
        if not 0 < self.limit <= np.pi:
            raise InputError(
                "a fisheye can see at most 180 degrees from its axis, got "
                f"{np.degrees(self.limit):g}"
            )
        object.__setattr__(self, "limit", min(self.limit, _angle_of_fold(self.k)))

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        """Make a fisheye from its field of view, or from fx, fy, cx, cy, k1 to k4 and the limit.

        Angles are in degrees. Missing coefficients are 0, and a missing limit is 180 degrees.
        """
        if len(numbers) == 1:
            return equidistant_fisheye(size, numbers[0])
        fx, fy, cx, cy, *rest = numbers
        defaults = (0.0, 0.0, 0.0, 0.0, 180.0)
        k1, k2, k3, k4, limit = (*rest, *defaults[len(rest) :])
        return cls(fx=fx, fy=fy, cx=cx, cy=cy, k=(k1, k2, k3, k4), limit=np.radians(limit))

    @property
    def spelled_numbers(self) -> tuple[float, ...]:
        """fx, fy, cx, cy, k1 to k4 and the limit [degrees]."""
        return (*self.numbers, *self.k, float(np.degrees(self.limit)))

    @property
    def is_folding(self) -> bool:
        """Whether its limit is where the radius stops growing, and the picture would fold over."""
        return self.limit < np.pi and self.limit == _angle_of_fold(self.k)

    @property
    def farthest(self) -> float:
        """Radius from the centre at the limit, in focal lengths."""
        return float(_radius_of_angle(np.asarray(self.limit), self.k))

    def ending_at_distance(self, radius: float) -> "Fisheye":
        """Lens that ends at a radius from the centre, in focal lengths."""
        angle = self._angle_of_radius(np.asarray(min(radius, self.farthest)))
        return replace(self, limit=float(angle))

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Directions of pixels; NaN beyond the limit."""
        x, y = self.from_centre(pixels)
        radius = np.hypot(x, y)
        angle = self._angle_of_radius(radius)
        factor = np.sin(angle) / np.where(radius > 0, radius, 1)
        return np.stack([x * factor, y * factor, np.cos(angle)]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels of points; NaN beyond the limit."""
        x, y, z = np.asarray(points, np.float64)
        distance_to_axis = np.hypot(x, y)
        angle = np.arctan2(distance_to_axis, z)
        is_straight_behind = (distance_to_axis == 0) & (z <= 0)
        is_visible = (angle <= self.limit) & ~is_straight_behind
        radius = np.where(is_visible, _radius_of_angle(angle, self.k), np.nan)
        factor = radius / np.where(distance_to_axis > 0, distance_to_axis, 1)
        return self.to_pixels(x * factor, y * factor, points.dtype)

    def _angle_of_radius(self, radius: Floats) -> Floats:
        """Angles to the axis [rad], by Newton's method; NaN beyond the limit."""
        if not any(self.k):
            return np.where(radius <= self.limit, radius, np.nan)
        table_angles = np.linspace(0, self.limit, _KNOTS)
        angle = np.interp(radius, _radius_of_angle(table_angles, self.k), table_angles)
        for _ in range(_NEWTON_STEPS):
            # At the fold the derivative is 0.
            derivative = np.maximum(_radius_derivative(angle, self.k), 1e-6)
            error = _radius_of_angle(angle, self.k) - radius
            angle = np.clip(angle - error / derivative, 0, self.limit)
        max_radius = _radius_of_angle(np.asarray(self.limit), self.k) * (1 + 1e-12)
        return np.where(radius <= max_radius, angle, np.nan)


def equidistant_fisheye(shape: tuple[int, int], degrees: float) -> Lens:
    """Fisheye without coefficients that sees ``degrees`` from the left to the right edge."""
    height, width = shape
    focal = float(width / np.radians(degrees))
    return Fisheye(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2)


def _radius_of_angle(angle: Floats, k: Coefficients) -> Floats:
    """Radius from the centre, in focal lengths, at which an angle to the axis is seen."""
    square = angle * angle
    return angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))


def _radius_derivative(angle: Floats, k: Coefficients) -> Floats:
    """Derivative of the radius by the angle."""
    square = angle * angle
    return 1 + square * (3 * k[0] + square * (5 * k[1] + square * (7 * k[2] + square * 9 * k[3])))


@lru_cache(maxsize=64)
def _angle_of_fold(k: Coefficients) -> float:
    """Angle at which the radius stops growing [rad]; π if it never stops."""
    k1, k2, k3, k4 = (
        coefficient if abs(coefficient) >= _MIN_COEFFICIENT else 0.0 for coefficient in k
    )
    # The derivative of the radius is a polynomial in the square of the angle. These are its roots.
    roots = np.roots([9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0])
    real_roots = roots[(np.abs(roots.imag) < 1e-12) & (roots.real > 0)].real
    return min(np.pi, float(np.sqrt(real_roots.min()))) if real_roots.size else np.pi
