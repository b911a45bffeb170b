"""Fisheye lenses (Kannala-Brandt, 2006)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Centred, Lens, Numbers, PixelPlaces, SpacePoints

_KNOTS = 4097
_NEWTON_STEPS = 4
_LEAST_COEFFICIENT = 1e-30
"""Least coefficient; lesser ones have infinite roots."""


@dataclass(frozen=True, slots=True)
class Fisheye(Centred):
    """Fisheye: angle t to the axis is seen at t (1 + k1 t² + k2 t⁴ + k3 t⁶ + k4 t⁸).

    OpenCV's ``fisheye`` and COLMAP's ``OPENCV_FISHEYE`` have the same coefficients; without any it
    is equidistant. Depth is distance. ``limit`` is the largest angle [rad].
    """

    k: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    limit: float = np.pi

    name: ClassVar[str] = "fisheye"
    has_unit_rays: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Centred.__post_init__(self)
        if not 0 < self.limit <= np.pi:
            raise InputError(
                f"a fisheye sees at most 180 degrees from its axis, not {np.degrees(self.limit):g}"
            )
        object.__setattr__(self, "limit", min(self.limit, _angle_of_fold(self.k)))

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        """Fisheye of degrees across, or of fx, fy, cx, cy, k1 to k4, limit [degrees]."""
        if len(numbers) == 1:
            return equidistant_fisheye(size, numbers[0])
        fx, fy, cx, cy, *rest = numbers
        k1, k2, k3, k4, limit = (*rest, *(0.0, 0.0, 0.0, 0.0, 180.0)[len(rest) :])
        return cls(fx=fx, fy=fy, cx=cx, cy=cy, k=(k1, k2, k3, k4), limit=np.radians(limit))

    @property
    def spelled_numbers(self) -> tuple[float, ...]:
        """fx, fy, cx, cy, k1 to k4 and the limit [degrees]."""
        return (*self.numbers, *self.k, float(np.degrees(self.limit)))

    @property
    def is_folding(self) -> bool:
        """Whether it ends where the distance stops to grow."""
        return self.limit < np.pi and self.limit == _angle_of_fold(self.k)

    @property
    def farthest(self) -> float:
        """Distance from the centre at the limit, in focal lengths."""
        return float(_distance_of_angle(np.asarray(self.limit), self.k))

    def ending_at_distance(self, away: float) -> "Fisheye":
        """Lens that ends at a distance from the centre, in focal lengths."""
        angle = float(self._angle_of_distance(np.asarray(min(away, self.farthest))))
        return replace(self, limit=angle)

    def rays(self, pixels: PixelPlaces) -> SpacePoints:
        """Directions of pixels; NaN beyond the limit."""
        x, y = self.from_centre(pixels)
        away = np.hypot(x, y)
        angle = self._angle_of_distance(away)
        aside = np.sin(angle) / np.where(away > 0, away, 1)
        return np.stack([x * aside, y * aside, np.cos(angle)]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPlaces:
        """Pixels of points; NaN beyond the limit."""
        x, y, z = np.asarray(points, np.float64)
        aside = np.hypot(x, y)
        angle = np.arctan2(aside, z)
        visible = (angle <= self.limit) & ((aside > 0) | (z > 0))
        share = np.where(visible, _distance_of_angle(angle, self.k), np.nan) / np.where(
            aside > 0, aside, 1
        )
        return self.to_pixels(x * share, y * share, points.dtype)

    def _angle_of_distance(self, away: Numbers) -> Numbers:
        """Angles [rad]; NaN beyond the limit."""
        if not any(self.k):
            return np.where(away <= self.limit, away, np.nan)
        knots = np.linspace(0, self.limit, _KNOTS)
        angle = np.interp(away, _distance_of_angle(knots, self.k), knots)
        for _ in range(_NEWTON_STEPS):
            slope = np.maximum(_distance_slope_at_angle(angle, self.k), 1e-6)
            angle = np.clip(
                angle - (_distance_of_angle(angle, self.k) - away) / slope, 0, self.limit
            )
        farthest = _distance_of_angle(np.asarray(self.limit), self.k) * (1 + 1e-12)
        return np.where(away <= farthest, angle, np.nan)


def equidistant_fisheye(shape: tuple[int, int], degrees: float) -> Lens:
    """Centred lens that sees ``degrees`` from left to right edge."""
    height, width = shape
    focal = float(width / np.radians(degrees))
    return Fisheye(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2)


def _distance_of_angle(angle: Numbers, k: tuple[float, float, float, float]) -> Numbers:
    square = angle * angle
    return angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))


def _distance_slope_at_angle(angle: Numbers, k: tuple[float, float, float, float]) -> Numbers:
    square = angle * angle
    return 1 + square * (3 * k[0] + square * (5 * k[1] + square * (7 * k[2] + square * 9 * k[3])))


@lru_cache(maxsize=64)
def _angle_of_fold(k: tuple[float, float, float, float]) -> float:
    """Angle where the distance stops growing, at most π."""
    k1, k2, k3, k4 = (
        coefficient if abs(coefficient) >= _LEAST_COEFFICIENT else 0.0 for coefficient in k
    )
    roots = np.roots([9 * k4, 7 * k3, 5 * k2, 3 * k1, 1.0])
    real = roots[(np.abs(roots.imag) < 1e-12) & (roots.real > 0)].real
    return min(np.pi, float(np.sqrt(real.min()))) if real.size else np.pi
