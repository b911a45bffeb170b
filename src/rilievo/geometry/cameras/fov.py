"""Wide lenses of one number, the FOV or ATAN model (Devernay-Faugeras, 2001)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Centred, PixelPlaces, SpacePoints

_LEAST = 1e-6
"""Least omega [rad]; below it the lens is a pinhole within a float's precision."""


@dataclass(frozen=True, slots=True)
class Fov(Centred):
    """A lens that sees the angle t to its axis at arctan(2 tan(t) tan(w / 2)) / w.

    The distance from the centre is in units of fx and fy. PTAM, LSD-SLAM, DSO, the calibrations of
    TUM's monocular videos and COLMAP's ``FOV`` have the same number w. It sees less than 90 degrees
    from its axis. Depth is the distance from the camera.

    Attributes:
        omega: The number w [rad], between 0 and pi.

    Raises:
        InputError: If omega is not between 0 and pi.
    """

    omega: float

    name: ClassVar[str] = "FOV"
    has_unit_rays: ClassVar[bool] = True

    def __post_init__(self) -> None:
        Centred.__post_init__(self)
        if not _LEAST <= self.omega < np.pi:
            raise InputError(
                f"omega of a FOV lens is an angle between 0 and 3.14 radians, not {self.omega:g}; "
                "without distortion it is a pinhole"
            )

    @property
    def focal(self) -> float:
        """Pixels per radian at the centre along rows [px]."""
        return self.fx * self._stretch

    @property
    def focal_y(self) -> float:
        """Pixels per radian at the centre along columns [px]."""
        return self.fy * self._stretch

    @property
    def _stretch(self) -> float:
        return 2 * float(np.tan(self.omega / 2)) / self.omega

    def rays(self, pixels: PixelPlaces) -> SpacePoints:
        """Directions of pixels; NaN where they would lie 90 degrees from the axis, or farther."""
        x, y = self.from_centre(pixels)
        away = np.hypot(x, y)
        visible = away * self.omega < np.pi / 2
        tangent = np.tan(np.where(visible, away * self.omega, 0)) / (2 * np.tan(self.omega / 2))
        cosine = np.where(visible, 1 / np.hypot(1, tangent), np.nan)
        # In the centre all directions across have the length 0.
        aside = cosine * tangent / np.where(away > 0, away, 1)
        return np.stack([x * aside, y * aside, cosine]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPlaces:
        """Pixels of points; NaN for points beside or behind the camera."""
        x, y, z = np.asarray(points, np.float64)
        aside = np.hypot(x, y)
        away = np.arctan2(2 * np.tan(self.omega / 2) * aside, z) / self.omega
        share = np.where(z > 0, away, np.nan) / np.where(aside > 0, aside, 1)
        return self.to_pixels(x * share, y * share, points.dtype)
