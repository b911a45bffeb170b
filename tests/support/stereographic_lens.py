"""A lens that rilievo does not have: the stereographic projection of a fisheye."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rilievo.geometry.cameras.lens import Centred, Lens, PixelPositions, SpacePoints


@dataclass(frozen=True, slots=True)
class Stereographic(Centred):
    """The distance from the centre is 2 tan(t / 2) of the angle t to the axis."""

    name: ClassVar[str] = "stereographic"
    has_unit_rays: ClassVar[bool] = True

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        if len(numbers) == 4:
            return cls(*numbers)
        height, width = size
        focal = float(width / 4 / np.tan(np.radians(numbers[0]) / 4))
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2)

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        x, y = self.from_centre(pixels)
        away = np.hypot(x, y)
        angle = 2 * np.arctan(away / 2)
        aside = np.sin(angle) / np.where(away > 0, away, 1)
        return np.stack([x * aside, y * aside, np.cos(angle)]).astype(pixels.dtype)

    def project(self, points: SpacePoints) -> PixelPositions:
        x, y, z = np.asarray(points, np.float64)
        aside = np.hypot(x, y)
        share = 2 * np.tan(np.arctan2(aside, z) / 2) / np.where(aside > 0, aside, 1)
        return self.to_pixels(x * share, y * share, points.dtype)
