"""Lenses that rilievo does not have: an equidistant fisheye and an equirectangular panorama."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rilievo.geometry.cameras.lens import Lens


@dataclass(frozen=True, slots=True)
class Angular(Lens):
    """A lens whose pixels count angles; ``f`` pixels per radian about the pixel (cx, cy)."""

    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def focal(self) -> float:
        return self.fx

    @property
    def focal_y(self) -> float:
        return self.fy

    def resized(self, *, size: tuple[int, int], new_size: tuple[int, int]) -> Lens:
        sy, sx = new_size[0] / size[0], new_size[1] / size[1]
        return replace(
            self,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, *, top: int, left: int) -> Lens:
        return replace(self, cx=self.cx - left, cy=self.cy - top)

    def mirrored(self, *, width: int) -> Lens:
        return replace(self, cx=width - 1 - self.cx)

    def _angles(self, pixels: Float[np.ndarray, "2 *n"]) -> tuple[np.ndarray, np.ndarray]:
        return (pixels[0] - self.cx) / self.fx, (pixels[1] - self.cy) / self.fy

    def _pixels(self, across: np.ndarray, down: np.ndarray) -> Float[np.ndarray, "2 *n"]:
        return np.stack([across * self.fx + self.cx, down * self.fy + self.cy])


class Fisheye(Angular):
    """The distance from the centre counts the angle to the axis; depth is z."""

    name: ClassVar[str] = "fisheye"
    has_unit_rays: ClassVar[bool] = False

    def rays(self, pixels: Float[np.ndarray, "2 *n"]) -> Float[np.ndarray, "3 *n"]:
        x, y = self._angles(pixels)
        angle = np.hypot(x, y)
        slope = np.where(angle < np.pi / 2, np.tan(angle), np.nan)
        share = np.where(angle > 0, slope / np.where(angle > 0, angle, 1), 1.0)
        return np.stack([x * share, y * share, np.ones_like(x)]).astype(pixels.dtype)

    def project(self, points: Float[np.ndarray, "3 *n"]) -> Float[np.ndarray, "2 *n"]:
        x, y, z = points
        aside = np.hypot(x, y)
        angle = np.arctan2(aside, np.where(z > 0, z, np.nan))
        share = np.where(aside > 0, angle / np.where(aside > 0, aside, 1), 1 / z)
        return self._pixels(x * share, y * share).astype(points.dtype)


class Equirectangular(Angular):
    """Columns count longitude, rows latitude, all round; depth is distance."""

    name: ClassVar[str] = "equirectangular"
    has_unit_rays: ClassVar[bool] = True

    def rays(self, pixels: Float[np.ndarray, "2 *n"]) -> Float[np.ndarray, "3 *n"]:
        longitude, latitude = self._angles(pixels)
        level = np.cos(latitude)
        return np.stack([np.sin(longitude) * level, np.sin(latitude), np.cos(longitude) * level])

    def project(self, points: Float[np.ndarray, "3 *n"]) -> Float[np.ndarray, "2 *n"]:
        x, y, z = points
        return self._pixels(np.arctan2(x, z), np.arctan2(y, np.hypot(x, z)))


def fisheye(size: tuple[int, int], degrees: float) -> Fisheye:
    """A fisheye that sees so many degrees from the left edge to the right edge."""
    height, width = size
    focal = width / np.radians(degrees)
    return Fisheye(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2)


def panorama(size: tuple[int, int]) -> Equirectangular:
    """All round, from straight up to straight down."""
    height, width = size
    return Equirectangular(
        fx=width / (2 * np.pi), fy=height / np.pi, cx=(width - 1) / 2, cy=(height - 1) / 2
    )
