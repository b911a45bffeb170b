"""The FOV or ATAN model of wide lenses (Devernay and Faugeras 2001)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Centred, PixelPositions, SpacePoints

_MIN_OMEGA = 1e-6
"""Least omega [rad]; below it the lens is a pinhole."""


@dataclass(frozen=True, slots=True)
class Fov(Centred):
    """Lens that sees the angle t to the axis at the radius arctan(2 tan(t) tan(w / 2)) / w.

    The radius is in units of fx and fy, and w is ``omega``, as in PTAM, LSD-SLAM, DSO, TUM's
    monocular videos and COLMAP's ``FOV``. Depth is distance.

    Raises:
        InputError: If omega is not between 0 and pi [rad].
    """

    omega: float

    name: ClassVar[str] = "FOV"
    has_unit_rays: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Centred.__post_init__(self)
        if not _MIN_OMEGA <= self.omega < np.pi:
            raise InputError(
                "omega of a FOV lens must be an angle between 0 and 3.14 radians, got "
                f"{self.omega:g}; for a lens without distortion, use pinhole"
            )

    @property
    def focal(self) -> float:
        """Pixels per radian along rows."""
        return self.fx * self._focal_over_fx

    @property
    def focal_y(self) -> float:
        """Pixels per radian along columns."""
        return self.fy * self._focal_over_fx

    @property
    def _focal_over_fx(self) -> float:
        return 2 * float(np.tan(self.omega / 2)) / self.omega

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Unit rays of pixels; NaN at 90 degrees to the axis and beyond."""
        x, y = self.from_centre(pixels)
        radius = np.hypot(x, y)
        is_visible = radius * self.omega < np.pi / 2
        distorted_angle = np.where(is_visible, radius * self.omega, 0)
        tangent = np.tan(distorted_angle) / (2 * np.tan(self.omega / 2))
        cosine = np.where(is_visible, 1 / np.hypot(1, tangent), np.nan)
        # The sine over the radius; at the centre, where both are 0, any divisor will do.
        factor = cosine * tangent / np.where(radius > 0, radius, 1)
        return np.stack([x * factor, y * factor, cosine]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels of points; NaN for points beside or behind the camera."""
        x, y, z = np.asarray(points, np.float64)
        distance_to_axis = np.hypot(x, y)
        radius = np.arctan2(2 * np.tan(self.omega / 2) * distance_to_axis, z) / self.omega
        radius = np.where(z > 0, radius, np.nan)
        factor = radius / np.where(distance_to_axis > 0, distance_to_axis, 1)
        return self.to_pixels(x * factor, y * factor, points.dtype)
