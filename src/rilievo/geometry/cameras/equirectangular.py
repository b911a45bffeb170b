"""Equirectangular panoramas, in which columns are longitudes and rows are latitudes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rilievo.arrays.shapes import Float
from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import (
    SAME_ASPECT,
    Centred,
    Lens,
    PixelPositions,
    SpacePoints,
)


@dataclass(frozen=True, slots=True)
class Equirectangular(Centred):
    """Panorama, or a part of one, whose longitude grows across and whose latitude grows down.

    The pixel (cx, cy) looks along the axis. Depth is distance.
    """

    name: ClassVar[str] = "equirectangular"
    has_unit_rays: ClassVar[bool] = True

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        """Make a panorama from angles [degrees] across and down, or from fx, fy, cx and cy.

        Without the angle down, pixels are square. Without any numbers, it is a whole panorama.

        Raises:
            InputError: If the picture has other proportions.
        """
        if len(numbers) == 4:
            return cls(*numbers)
        height, width = size
        if len(numbers) == 2:
            return panorama(size, horizontal=numbers[0], vertical=numbers[1])

        across = numbers[0] if numbers else 360.0
        down = across * height / width  # Square pixels.
        is_whole = not numbers
        if is_whole and abs(down / 180 - 1) > SAME_ASPECT:
            # The largest part of a panorama with these proportions.
            part_across, part_down = (360.0, down) if down < 180 else (360 * 180 / down, 180.0)
            raise InputError(
                f"is {width}x{height}, but a whole panorama is twice as wide as high",
                path=picture,
                hint="for a part of a panorama with square pixels, write "
                f"equirect:{part_across:.4g}x{part_down:.4g} instead",
            )
        if down > 180 * (1 + SAME_ASPECT):
            raise InputError(
                f"{picture}: is {width}x{height}, so equirect:{across:g} would see "
                f"{down:.4g} degrees vertically, more than the possible 180; give both angles, "
                f"such as equirect:{across:g}x180"
            )
        return panorama(size, horizontal=across, vertical=min(down, 180.0))

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Directions of pixels, also of those beyond an edge."""
        longitude, latitude = self.from_centre(pixels)
        horizontal = np.cos(latitude)
        x, z = np.sin(longitude) * horizontal, np.cos(longitude) * horizontal
        rays = np.stack([x, np.sin(latitude), z])
        return rays.astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels of points, at longitudes within half a turn of the axis."""
        x, y, z = np.asarray(points, np.float64)
        longitude, latitude = np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))
        return self.to_pixels(longitude, latitude, points.dtype)

    def goes_round(self, width: int) -> bool:
        """Whether a picture of this width shows all longitudes, so that its edges meet."""
        return bool(abs(width / self.fx - 2 * np.pi) < 0.5 / self.fx)

    def points(
        self, depth: Float[np.ndarray, "h w"], rows: range, columns: range
    ) -> Float[np.ndarray, "3 h w"]:
        """Points that the pixels at rows and columns see."""
        longitude = ((np.asarray(columns) - self.cx) / self.fx)[None]
        latitude = ((np.asarray(rows) - self.cy) / self.fy)[:, None]
        horizontal = np.cos(latitude)  # Length of the horizontal part of a unit ray.
        points = np.empty((3, *depth.shape), depth.dtype)
        np.multiply(depth, (horizontal * np.sin(longitude)).astype(depth.dtype), out=points[0])
        np.multiply(depth, np.sin(latitude).astype(depth.dtype), out=points[1])
        np.multiply(depth, (horizontal * np.cos(longitude)).astype(depth.dtype), out=points[2])
        return points


def panorama(shape: tuple[int, int], *, horizontal: float = 360.0, vertical: float = 180.0) -> Lens:
    """Lens of a panorama that sees these angles [degrees], whose horizon is its middle row."""
    height, width = shape
    return Equirectangular(
        fx=float(width / np.radians(horizontal)),
        fy=float(height / np.radians(vertical)),
        cx=(width - 1) / 2,
        cy=(height - 1) / 2,
    )
