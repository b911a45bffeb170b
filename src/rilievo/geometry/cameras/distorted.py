"""Perspective lenses with distortion (Brown, as in OpenCV)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.geometry.cameras.lens import Centred, Lens, Numbers, PixelPlaces, SpacePoints

_FARTHEST = 20.0
"""Largest tangent of the angle to the axis, 87 degrees."""
_KNOTS = 20_001
_NEWTON_STEPS = 20
_CLOSE = 1e-9
"""Error of a pixel's point, in focal lengths."""


Radial = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Distorted(Centred):
    """Pinhole behind which the picture is distorted.

    A point (x, y) at z = 1, with s = x² + y², is seen at

        x (1 + k1 s + k2 s² + k3 s³) / (1 + k4 s + k5 s² + k6 s³) + 2 p1 x y + p2 (s + 2 x²)

    from the centre, in units of fx, and y likewise. Depth is z.
    """

    k: Radial
    p: tuple[float, float] = (0.0, 0.0)

    name: ClassVar[str] = "distorted"
    has_unit_rays: ClassVar[bool] = False

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        """Lens of OpenCV's numbers."""
        fx, fy, cx, cy, k1, k2, p1, p2, *rest = numbers
        k3, k4, k5, k6 = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
        return cls(fx=fx, fy=fy, cx=cx, cy=cy, k=(k1, k2, k3, k4, k5, k6), p=(p1, p2))

    @property
    def spelled_numbers(self) -> tuple[float, ...]:
        """fx, fy, cx, cy, k1, k2, p1, p2 and k3 to k6."""
        k1, k2, k3, *rest = self.k
        return (*self.numbers, k1, k2, *self.p, k3, *rest)

    def mirrored(self, *, width: int) -> "Distorted":
        """Lens of the mirrored image."""
        return replace(self, cx=width - 1 - self.cx, p=(self.p[0], -self.p[1]))

    @property
    def limit(self) -> float:
        """Radius at z = 1 from which the distortion folds."""
        return _radius_of_fold(self.k)[0]

    def rays(self, pixels: PixelPlaces) -> SpacePoints:
        """Points at z = 1; NaN where folded."""
        x, y = self._undistort(*self.from_centre(pixels))
        return np.stack([x, y, np.where(np.isnan(x), np.nan, 1.0)]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPlaces:
        """Pixels of points; NaN outside."""
        x, y, z = np.asarray(points, np.float64)
        z = np.where(z > 0, z, np.nan)
        x, y = x / z, y / z
        visible = np.hypot(x, y) <= self.limit
        x, y = self.distort(x, y)
        return self.to_pixels(
            np.where(visible, x, np.nan), np.where(visible, y, np.nan), points.dtype
        )

    def distort(self, x: Numbers, y: Numbers) -> tuple[Numbers, Numbers]:
        """Distort points at z = 1."""
        p1, p2 = self.p
        s = x * x + y * y
        radial = _radial_factor(s, self.k)
        return (
            x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x),
            y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y,
        )

    def _undistort(self, seen_x: Numbers, seen_y: Numbers) -> tuple[Numbers, Numbers]:
        """Invert ``distort``; NaN where folded."""
        limit, knots, radii = _radius_table(self.k)
        away = np.hypot(seen_x, seen_y)
        share = np.interp(away, radii, knots) / np.where(away > 0, away, 1)
        x, y = seen_x * np.where(away > 0, share, 1), seen_y * np.where(away > 0, share, 1)
        p1, p2 = self.p
        for _ in range(_NEWTON_STEPS):
            found_x, found_y = self.distort(x, y)
            error_x, error_y = found_x - seen_x, found_y - seen_y
            if max(np.abs(error_x).max(initial=0), np.abs(error_y).max(initial=0)) < 1e-14:
                break
            s = x * x + y * y
            radial, slope = _radial_factor(s, self.k), _radial_factor_slope(s, self.k)
            xx = radial + 2 * slope * x * x + 2 * p1 * y + 6 * p2 * x
            xy = 2 * slope * x * y + 2 * p1 * x + 2 * p2 * y
            yy = radial + 2 * slope * y * y + 6 * p1 * y + 2 * p2 * x
            area = xx * yy - xy * xy
            area = np.where(np.abs(area) > 1e-9, area, np.inf)
            x = np.clip(x - (yy * error_x - xy * error_y) / area, -limit, limit)
            y = np.clip(y - (xx * error_y - xy * error_x) / area, -limit, limit)
        found_x, found_y = self.distort(x, y)
        close = np.hypot(found_x - seen_x, found_y - seen_y) < _CLOSE
        inside = close & (np.hypot(x, y) <= limit)
        return np.where(inside, x, np.nan), np.where(inside, y, np.nan)


def _cubic_polynomial(s: Numbers, k1: float, k2: float, k3: float) -> Numbers:
    return 1 + s * (k1 + s * (k2 + s * k3))


def _radial_factor(s: Numbers, k: Radial) -> Numbers:
    """Factor of the radius, whose square is ``s``."""
    return _cubic_polynomial(s, *k[:3]) / _cubic_polynomial(s, *k[3:])


def _radial_factor_slope(s: Numbers, k: Radial) -> Numbers:
    below = _cubic_polynomial(s, *k[3:])
    above = _cubic_polynomial(s, *k[:3])
    rise, fall = k[0] + s * (2 * k[1] + 3 * s * k[2]), k[3] + s * (2 * k[4] + 3 * s * k[5])
    return (rise * below - above * fall) / (below * below)


@lru_cache(maxsize=64)
def _radius_of_fold(k: Radial) -> tuple[float, int]:
    """Radius before a fold, and the number of knots below."""
    knots = np.linspace(0.0, _FARTHEST, _KNOTS)
    s = knots * knots
    below = _cubic_polynomial(s, *k[3:])
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = _radial_factor(s, k) + 2 * s * _radial_factor_slope(s, k)
    falls = np.flatnonzero(~(slope > 0) | (below <= 0))
    last = int(falls[0]) - 1 if falls.size else _KNOTS - 1
    return float(knots[last]), last + 1


@lru_cache(maxsize=64)
def _radius_table(
    k: Radial,
) -> tuple[float, Values, Values]:
    """Limit; radii at z = 1; distorted radii."""
    limit, count = _radius_of_fold(k)
    knots = np.linspace(0.0, _FARTHEST, _KNOTS)[:count]
    return limit, knots, knots * _radial_factor(knots * knots, k)
