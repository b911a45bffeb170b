"""The interface of lenses: which ray each pixel sees.

A new lens is one file: a frozen dataclass that inherits ``Lens``, given to ``Camera(lens=...)``.
Everything that depth is made into (points, normals, surfaces, lengths) asks the lens alone.

Depth times ray is the point. So the rays determine what depth is along them: a lens that sees only
what lies before it has rays with z = 1, and depth is z, along the optical axis; a lens that sees to
the sides and behind has rays of length 1, and depth is the distance from the camera.

Pixels are ``(u, v)`` [px] along the first axis, and the centre of the top-left pixel is (0, 0).
Points and rays are in the camera frame, x right, y down, z forward, along the first axis. Lenses
are unbatched and numpy; training has batches of pinholes, ``rilievo.geometry.intrinsics``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from rilievo.errors import InputError

# Rows of a photograph are processed in bands of about this many pixels.
_BAND_PIXELS = 65_536
LEAST_FOCAL, MOST_NUMBER = 1e-6, 1e18
"""Least focal length [px], and largest number, of a lens; their products are finite."""


def check_numbers(numbers: Mapping[str, float]) -> None:
    """Refuse numbers, by name, that no lens has; fx and fy are among them.

    Raises:
        InputError: If one is not finite or is huge, or fx or fy is not positive.
    """
    for name, number in numbers.items():
        if not abs(number) <= MOST_NUMBER:
            raise InputError(
                f"{name} is {number:g}, expected a finite number, at most {MOST_NUMBER:g} in size"
            )
    fx, fy = numbers["fx"], numbers["fy"]
    if min(fx, fy) < LEAST_FOCAL:
        raise InputError(
            f"focal lengths are positive, at least {LEAST_FOCAL:g} px, but fx = {fx:g}, fy = {fy:g}"
        )


class Lens(ABC):
    """Rays of light that the pixels of a photograph see.

    Attributes:
        name: Name of the kind of lens in messages, such as "fisheye".
        has_unit_rays: Whether rays have length 1, so that depth is distance; else they have z = 1.
    """

    __slots__ = ()

    name: ClassVar[str]
    has_unit_rays: ClassVar[bool]

    @property
    @abstractmethod
    def focal(self) -> float:
        """Pixels per radian at the optical axis along rows, the focal length of a pinhole [px]."""

    @property
    @abstractmethod
    def focal_y(self) -> float:
        """Pixels per radian at the optical axis along columns [px]."""

    @abstractmethod
    def rays(self, pixels: Float[np.ndarray, "2 *n"]) -> Float[np.ndarray, "3 *n"]:
        """Rays that pixels see, in the pixels' precision; NaN where a pixel sees nothing."""

    @abstractmethod
    def project(self, points: Float[np.ndarray, "3 *n"]) -> Float[np.ndarray, "2 *n"]:
        """Pixels that see points, in the points' precision; NaN where none can."""

    @abstractmethod
    def resized(self, *, size: tuple[int, int], new_size: tuple[int, int]) -> "Lens":
        """Lens of the image resized from ``size`` to ``new_size``; edges map to edges."""

    @abstractmethod
    def cropped(self, *, top: int, left: int) -> "Lens":
        """Lens of the crop that begins at row ``top`` and column ``left``."""

    @abstractmethod
    def mirrored(self, *, width: int) -> "Lens":
        """Lens of the image mirrored left to right, which shows the scene at -x."""

    def depth_of(self, points: Float[np.ndarray, "3 *n"]) -> Float[np.ndarray, "*n"]:
        """Depth of points along their rays: z, or the distance."""
        depth = np.sqrt(np.square(points).sum(axis=0)) if self.has_unit_rays else points[2]
        return np.asarray(depth)

    def field_of_view(self, shape: tuple[int, int]) -> float:
        """Angle from the left edge of an image to its right edge, in its middle row [degrees]."""
        height, width = shape
        u = np.linspace(-0.5, width - 0.5, 257)
        return self._angle_along(np.stack([u, np.full_like(u, (height - 1) / 2)]))

    def field_of_view_down(self, shape: tuple[int, int]) -> float:
        """Angle from the top edge of an image to its bottom edge, in its middle column."""
        height, width = shape
        v = np.linspace(-0.5, height - 0.5, 257)
        return self._angle_along(np.stack([np.full_like(v, (width - 1) / 2), v]))

    def _angle_along(self, pixels: Float[np.ndarray, "2 n"]) -> float:
        """Angle that a row of pixels sees [degrees], without those that see nothing."""
        rays = self.rays(pixels)
        rays = rays[:, np.isfinite(rays[0])] / np.linalg.norm(rays[:, np.isfinite(rays[0])], axis=0)
        # An angle by its chord is exact for small ones; a panorama's total exceeds 180 degrees.
        chords = np.linalg.norm(np.diff(rays, axis=1), axis=0)
        return float(np.degrees(2 * np.arcsin(np.minimum(chords / 2, 1))).sum())

    def points(
        self, depth: Float[np.ndarray, "h w"], rows: range, columns: range
    ) -> Float[np.ndarray, "3 h w"]:
        """Points of the pixels at ``rows`` and ``columns``, which have this depth."""
        points = np.empty((3, *depth.shape), depth.dtype)
        step = max(1, _BAND_PIXELS // depth.shape[1])
        for top in range(0, len(rows), step):
            band = slice(top, top + step)
            points[:, band] = self.rays(_pixels(rows[band], columns)) * depth[band]
        return points

    def normals(
        self, planes: Float[np.ndarray, "3 h w"], rows: range, columns: range
    ) -> list[Float[np.ndarray, "h w"]]:
        """x, y and z of vectors n of planes n·p = 1, up to a positive factor.

        Args:
            planes: (a, b, c) for each pixel, at whose neighbour (du, dv) inverse depth is
                a du + b dv + c.
            rows: Rows of the pixels.
            columns: Columns of the pixels.
        """
        a, b, c = planes
        # Inverse depth is n·r, so (a, b, c) are the products of n with r and its derivatives; by
        # steps to both sides, as least squares over the neighbours takes them.
        du, dv = np.diag([columns.step, rows.step])[:, :, None, None]
        pixels = _pixels(rows, columns)
        ray = self.rays(pixels)
        across = (self.rays(pixels + du) - self.rays(pixels - du)) / 2
        down = (self.rays(pixels + dv) - self.rays(pixels - dv)) / 2
        cross = (np.cross(*pair, axis=0) for pair in ((down, ray), (ray, across), (across, down)))
        total = sum(part * vector for part, vector in zip((a, b, c), cross, strict=True))
        return list(np.asarray(total, planes.dtype))


def _pixels(rows: range, columns: range) -> Float[np.ndarray, "2 h w"]:
    v, u = np.meshgrid(np.asarray(rows, float), np.asarray(columns, float), indexing="ij")
    return np.stack([u, v])
