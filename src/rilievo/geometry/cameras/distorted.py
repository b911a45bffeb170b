"""Perspective lenses with distortion (Brown, as in OpenCV)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rilievo.arrays.shapes import Values
from rilievo.geometry.cameras.lens import Centred, Floats, Lens, PixelPositions, SpacePoints

_MAX_RADIUS = 20.0
"""Largest radius at z = 1 that is considered: the tangent of 87 degrees."""
_KNOTS = 20_001
"""Number of radii at which the distortion is tabulated."""
_NEWTON_STEPS = 20
_MAX_ERROR = 1e-9
"""Largest error of an undistorted point, distorted again, in focal lengths."""
_CONVERGED = 1e-14
"""Largest such error after which Newton's method stops."""
_MIN_DETERMINANT = 1e-9
"""Least determinant of an invertible Jacobian."""

Radial = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Distorted(Centred):
    """Pinhole with distortion (Brown's model, as in OpenCV). Depth is z.

    A point (x, y) at z = 1, with s = x² + y², is seen at

        x (1 + k1 s + k2 s² + k3 s³) / (1 + k4 s + k5 s² + k6 s³) + 2 p1 x y + p2 (s + 2 x²)

    from the centre, in units of fx, and y likewise. Far from the centre, such a polynomial may fold
    the picture over; pixels and points beyond that are not seen.
    """

    k: Radial
    p: tuple[float, float] = (0.0, 0.0)

    name: ClassVar[str] = "distorted"
    has_unit_rays: ClassVar[bool] = False

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        """Make a lens from OpenCV's numbers: fx, fy, cx, cy, k1, k2, p1, p2, and maybe k3 to k6."""
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
        """Radius at z = 1 beyond which the distortion folds the picture over."""
        return _radius_table(self.k).limit

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Points at z = 1 that pixels see; NaN beyond the fold."""
        x, y = self._undistort(*self.from_centre(pixels))
        return np.stack([x, y, np.where(np.isnan(x), np.nan, 1.0)]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels of points; NaN for points behind the camera or beyond the fold."""
        x, y, z = np.asarray(points, np.float64)
        z = np.where(z > 0, z, np.nan)
        x, y = x / z, y / z
        is_visible = np.hypot(x, y) <= self.limit
        x, y = self.distort(x, y)
        x, y = np.where(is_visible, x, np.nan), np.where(is_visible, y, np.nan)
        return self.to_pixels(x, y, points.dtype)

    def distort(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Offsets from the centre, in fx and fy, of points (x, y) at z = 1."""
        p1, p2 = self.p
        s = x * x + y * y
        radial = _radial_factor(s, self.k)
        distorted_x = x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x)
        distorted_y = y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y
        return distorted_x, distorted_y

    def _undistort(self, distorted_x: Floats, distorted_y: Floats) -> tuple[Floats, Floats]:
        """Invert ``distort`` by Newton's method, starting from a table of the radial part alone.

        Points are NaN beyond the radius at which the distorted radius stops growing, because no ray
        leads there.
        """
        table = _radius_table(self.k)
        x, y = _scale_to_undistorted_radius(distorted_x, distorted_y, table)
        for _ in range(_NEWTON_STEPS):
            again_x, again_y = self.distort(x, y)
            error_x, error_y = again_x - distorted_x, again_y - distorted_y
            if max(np.abs(error_x).max(initial=0), np.abs(error_y).max(initial=0)) < _CONVERGED:
                break
            x_step, y_step = self._newton_step(x, y, error_x, error_y)
            x = np.clip(x - x_step, -table.limit, table.limit)
            y = np.clip(y - y_step, -table.limit, table.limit)

        again_x, again_y = self.distort(x, y)
        is_found = np.hypot(again_x - distorted_x, again_y - distorted_y) < _MAX_ERROR
        is_seen = is_found & (np.hypot(x, y) <= table.limit)
        return np.where(is_seen, x, np.nan), np.where(is_seen, y, np.nan)

    def _newton_step(
        self, x: Floats, y: Floats, error_x: Floats, error_y: Floats
    ) -> tuple[Floats, Floats]:
        """Change of points that changes what ``distort`` returns by an error, to first order.

        It is the error times the inverse of the Jacobian [[dxx, dxy], [dxy, dyy]] of ``distort``,
        which is symmetric; 0 where that cannot be inverted.
        """
        p1, p2 = self.p
        squared_radius = x * x + y * y
        radial = _radial_factor(squared_radius, self.k)
        radial_derivative = _radial_derivative(squared_radius, self.k)
        dxx = radial + 2 * radial_derivative * x * x + 2 * p1 * y + 6 * p2 * x
        dxy = 2 * radial_derivative * x * y + 2 * p1 * x + 2 * p2 * y
        dyy = radial + 2 * radial_derivative * y * y + 6 * p1 * y + 2 * p2 * x
        determinant = dxx * dyy - dxy * dxy
        is_invertible = np.abs(determinant) > _MIN_DETERMINANT
        divisor = np.where(is_invertible, determinant, np.inf)
        x_step = (dyy * error_x - dxy * error_y) / divisor
        y_step = (dxx * error_y - dxy * error_x) / divisor
        return x_step, y_step


def _scale_to_undistorted_radius(
    distorted_x: Floats, distorted_y: Floats, table: "_RadiusTable"
) -> tuple[Floats, Floats]:
    """Undo the radial part of the distortion by a table of radii."""
    distorted_radius = np.hypot(distorted_x, distorted_y)
    radius = np.interp(distorted_radius, table.distorted_radii, table.radii)
    # At the centre, and for NaN, the factor is 1 instead of 0 / 0.
    has_radius = distorted_radius > 0
    factor = np.where(has_radius, radius / np.where(has_radius, distorted_radius, 1), 1)
    return distorted_x * factor, distorted_y * factor


def _cubic_polynomial(s: Floats, k1: float, k2: float, k3: float) -> Floats:
    return 1 + s * (k1 + s * (k2 + s * k3))


def _radial_factor(s: Floats, k: Radial) -> Floats:
    """Factor by which the distortion multiplies a radius, whose square is ``s``."""
    return _cubic_polynomial(s, *k[:3]) / _cubic_polynomial(s, *k[3:])


def _radial_derivative(s: Floats, k: Radial) -> Floats:
    """Derivative of the radial factor by ``s``, by the quotient rule."""
    k1, k2, k3, k4, k5, k6 = k
    numerator, denominator = _cubic_polynomial(s, k1, k2, k3), _cubic_polynomial(s, k4, k5, k6)
    numerator_derivative = k1 + s * (2 * k2 + 3 * s * k3)
    denominator_derivative = k4 + s * (2 * k5 + 3 * s * k6)
    cross_difference = numerator_derivative * denominator - numerator * denominator_derivative
    return cross_difference / (denominator * denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RadiusTable:
    """Radii at z = 1 below the fold, before and after the radial distortion.

    Attributes:
        limit: Last radius before the fold.
        radii: Radii from 0 to the limit.
        distorted_radii: Distorted radii, which increase.
    """

    limit: float
    radii: Values
    distorted_radii: Values


@lru_cache(maxsize=64)
def _radius_table(k: Radial) -> _RadiusTable:
    """Sample the radial distortion up to the radius at which the distorted radius stops growing."""
    radii = np.linspace(0.0, _MAX_RADIUS, _KNOTS)
    squared_radii = radii * radii
    denominator = _cubic_polynomial(squared_radii, *k[3:])
    with np.errstate(divide="ignore", invalid="ignore"):
        # Derivative of the distorted radius r f(r²) by r, where f is the radial factor.
        derivative = _radial_derivative(squared_radii, k)
        slope = _radial_factor(squared_radii, k) + 2 * squared_radii * derivative
    is_growing = (slope > 0) & (denominator > 0)  # False for NaN.
    folded = np.flatnonzero(~is_growing)
    knot_count = int(folded[0]) if folded.size else _KNOTS
    radii = radii[:knot_count]
    return _RadiusTable(
        limit=float(radii[knot_count - 1]),
        radii=radii,
        distorted_radii=radii * _radial_factor(radii * radii, k),
    )
