"""Wide lenses of one number, FOV or ATAN (Devernay-Faugeras, 2001)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Centred, PixelPlaces, SpacePoints

_LEAST = 1e-6
"""Least omega [rad], below which it is a pinhole."""


@dataclass(frozen=True, slots=True)
class Fov(Centred):
    """Lens that sees the angle t at arctan(2 tan(t) tan(w / 2)) / w, in fx and fy.

    PTAM, LSD-SLAM, DSO, TUM's monocular videos and COLMAP's ``FOV`` have the same w. Depth is
    distance.

    Raises:
        InputError: If omega is not between 0 and pi [rad].
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
        """Pixels per radian along rows."""
        return self.fx * self._focal_over_fx

    @property
    def focal_y(self) -> float:
        """Pixels per radian along columns."""
        return self.fy * self._focal_over_fx

    @property
    def _focal_over_fx(self) -> float:
        return 2 * float(np.tan(self.omega / 2)) / self.omega

    def rays(self, pixels: PixelPlaces) -> SpacePoints:
        """Directions of pixels; NaN from 90 degrees."""
        x, y = self.from_centre(pixels)
        away = np.hypot(x, y)
        visible = away * self.omega < np.pi / 2
        tangent = np.tan(np.where(visible, away * self.omega, 0)) / (2 * np.tan(self.omega / 2))
        cosine = np.where(visible, 1 / np.hypot(1, tangent), np.nan)
        # In the centre all directions across have the length 0.
        aside = cosine * tangent / np.where(away > 0, away, 1)
        return np.stack([x * aside, y * aside, cosine]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPlaces:
        """Pixels of points; NaN beside or behind."""
        x, y, z = np.asarray(points, np.float64)
        aside = np.hypot(x, y)
        away = np.arctan2(2 * np.tan(self.omega / 2) * aside, z) / self.omega
        share = np.where(z > 0, away, np.nan) / np.where(aside > 0, aside, 1)
        return self.to_pixels(x * share, y * share, points.dtype)
