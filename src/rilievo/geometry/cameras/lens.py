"""Interface of lenses, which say which ray each pixel sees, and the pinhole.

A ray times the depth is the point that the pixel sees. If rays have z = 1, depth is z; if they have
the length 1, depth is the distance. Pixels are (u, v) [px], and the centre of the top-left one is
(0, 0). A new lens is a frozen dataclass that inherits ``Lens``, in a file of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Bool, Float, Matrix
from rilievo.errors import InputError
from rilievo.geometry.intrinsics import (
    K_from_fov,
    crop_K,
    flip_K,
    horizontal_fov,
    normals_of_planes,
    pinhole_K,
    resize_K,
)

PixelPositions = Float[np.ndarray, "2 *n"]
"""Positions (u, v) in the picture [px], which may lie between pixels."""

SpacePoints = Float[np.ndarray, "3 *n"]
"""Points or rays in the camera frame."""

_BAND_PIXELS = 65_536
"""Pixels of the rows that are lifted to points at once."""
_FIELD_OF_VIEW_SAMPLES = 257
"""Number of rays whose angles add up to a field of view."""
_MIN_FOCAL, _MAX_NUMBER = 1e-6, 1e18
"""Least focal length [px], and largest parameter, of a lens, so that products stay finite."""

SAME_ASPECT = 0.02
"""Largest relative difference of aspect ratios that resizing to whole pixels explains."""

AnyCentred = TypeVar("AnyCentred", bound="Centred")

Floats = Float[np.ndarray, "*n"] | np.floating
"""Array of any shape, or a scalar."""


def inside_picture(
    u: Float[np.ndarray, "*n"], v: Float[np.ndarray, "*n"], shape: tuple[int, int]
) -> Bool[np.ndarray, "*n"]:
    """Whether positions lie in a picture, whose edge is half a pixel beyond the outer centres."""
    height, width = shape
    return (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)


def _check_parameters(parameters: Mapping[str, float]) -> None:
    """Raise ``InputError`` if a parameter is not finite, or a focal length not positive."""
    for name, value in parameters.items():
        # The comparison is false for NaN.
        if not abs(value) <= _MAX_NUMBER:
            raise InputError(
                f"{name} is {value:g}, expected a finite number from -{_MAX_NUMBER:g} to "
                f"{_MAX_NUMBER:g}"
            )
    fx, fy = parameters["fx"], parameters["fy"]
    if min(fx, fy) < _MIN_FOCAL:
        raise InputError(
            f"focal lengths must be positive (at least {_MIN_FOCAL:g} px), got fx = {fx:g} and "
            f"fy = {fy:g}"
        )


class Lens(ABC):
    """Rays that the pixels of a photograph see.

    Attributes:
        name: Kind of lens in messages, such as "fisheye".
        has_unit_rays: Whether rays have the length 1, so that depth is distance. Otherwise they
            have z = 1, and depth is z.
    """

    __slots__ = ()

    name: ClassVar[str]
    has_unit_rays: ClassVar[bool]

    @property
    @abstractmethod
    def focal(self) -> float:
        """Pixels per radian at the axis along rows."""

    @property
    @abstractmethod
    def focal_y(self) -> float:
        """Pixels per radian at the axis along columns."""

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> "Lens":
        """Make a lens from the numbers of its spelling, such as ``fisheye:180``.

        ``size`` is (height, width), and ``picture`` names the picture in messages.
        """
        lens_class: Callable[..., Lens] = cls
        return lens_class(*numbers)

    @property
    def spelled_numbers(self) -> tuple[float, ...]:
        """Numbers of its exact spelling."""
        record: Any = self
        return tuple(getattr(record, field.name) for field in fields(record))

    @abstractmethod
    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Rays of pixels; NaN where a pixel sees nothing."""

    @abstractmethod
    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels that see points; NaN where none can."""

    @abstractmethod
    def resized(self, *, size: tuple[int, int], new_size: tuple[int, int]) -> "Lens":
        """Lens of the resized image; edges map to edges."""

    @abstractmethod
    def cropped(self, *, top: int, left: int) -> "Lens":
        """Lens of the crop."""

    @abstractmethod
    def mirrored(self, *, width: int) -> "Lens":
        """Lens of the mirrored image: x becomes -x."""

    def goes_round(self, width: int) -> bool:
        """Whether the edges of a picture of this width meet, because it shows all longitudes."""
        del width
        return False

    def depth_of(self, points: SpacePoints) -> Float[np.ndarray, "*n"]:
        """Depth of points: z, or the distance if rays have the length 1."""
        if self.has_unit_rays:
            return np.asarray(np.sqrt(np.square(points).sum(axis=0)))
        return np.asarray(points[2])

    def field_of_view(self, shape: tuple[int, int]) -> float:
        """Angle across the middle row [degrees]."""
        height, width = shape
        u = np.linspace(-0.5, width - 0.5, _FIELD_OF_VIEW_SAMPLES)
        return self._degrees_along(np.stack([u, np.full_like(u, (height - 1) / 2)]))

    def field_of_view_down(self, shape: tuple[int, int]) -> float:
        """Angle down the middle column [degrees]."""
        height, width = shape
        v = np.linspace(-0.5, height - 0.5, _FIELD_OF_VIEW_SAMPLES)
        return self._degrees_along(np.stack([np.full_like(v, (width - 1) / 2), v]))

    def _degrees_along(self, pixels: Float[np.ndarray, "2 n"]) -> float:
        """Sum of the angles between the rays of successive pixels, which may exceed 180 degrees."""
        rays = self.rays(pixels)
        rays = rays[:, np.isfinite(rays[0])]
        directions = rays / np.linalg.norm(rays, axis=0)
        # A small angle is computed exactly from its chord, but not from its cosine.
        chords = np.linalg.norm(np.diff(directions, axis=1), axis=0)
        return float(np.degrees(2 * np.arcsin(np.minimum(chords / 2, 1))).sum())

    def points(
        self, depth: Float[np.ndarray, "h w"], rows: range, columns: range
    ) -> Float[np.ndarray, "3 h w"]:
        """Points that the pixels at rows and columns see."""
        points = np.empty((3, *depth.shape), depth.dtype)
        rows_per_band = max(1, _BAND_PIXELS // depth.shape[1])
        for top in range(0, len(rows), rows_per_band):
            band = slice(top, top + rows_per_band)
            points[:, band] = self.rays(_pixel_grid(rows[band], columns)) * depth[band]
        return points

    def normals(
        self, planes: Float[np.ndarray, "3 h w"], rows: range, columns: range
    ) -> list[Float[np.ndarray, "h w"]]:
        """Normals n of planes n·p = 1, up to a factor, from 1/depth = a du + b dv + c.

        On such a plane the inverse depth along a ray r is n·r. With the derivatives r_u and r_v of
        the ray, n·r = c, n·r_u = a and n·r_v = b. By Cramer's rule, n is in proportion to
        a (r_v × r) + b (r × r_u) + c (r_u × r_v).
        """
        a, b, c = planes
        du, dv = np.diag([columns.step, rows.step])[:, :, None, None]
        pixels = _pixel_grid(rows, columns)
        ray = self.rays(pixels)
        # Central differences, because a and b were fitted to neighbours on both sides, too.
        ray_du = (self.rays(pixels + du) - self.rays(pixels - du)) / 2
        ray_dv = (self.rays(pixels + dv) - self.rays(pixels - dv)) / 2
        normal = np.zeros_like(ray)
        normal += a * np.cross(ray_dv, ray, axis=0)
        normal += b * np.cross(ray, ray_du, axis=0)
        normal += c * np.cross(ray_du, ray_dv, axis=0)
        return list(np.asarray(normal, planes.dtype))


def _pixel_grid(rows: range, columns: range) -> Float[np.ndarray, "2 h w"]:
    """Column u and row v of each pixel at the crossings of rows and columns."""
    v, u = np.meshgrid(np.asarray(rows, float), np.asarray(columns, float), indexing="ij")
    return np.stack([u, v])


@dataclass(frozen=True, slots=True)
class Pinhole(Lens):
    """Pinhole camera without skew or distortion; depth is z.

    Raises:
        InputError: If K [px] is not finite, or a focal length not positive.
    """

    K: Matrix

    name: ClassVar[str] = "pinhole"
    has_unit_rays: ClassVar[bool] = False

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=np.float64)
        if K.shape != (3, 3):
            raise InputError(f"K must be 3x3, but it has the shape {K.shape}")
        _check_parameters({"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]})
        if K[1, 0] or K[0, 1] or K[2].tolist() != [0.0, 0.0, 1.0]:
            raise InputError(f"K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {K.tolist()}")
        object.__setattr__(self, "K", K)

    def __str__(self) -> str:
        fx, fy, cx, cy = self.numbers
        return f"fx={fx:.6g}, fy={fy:.6g}, cx={cx:.6g}, cy={cy:.6g}"

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """fx, fy, cx and cy [px]."""
        (fx, _, cx), (_, fy, cy), _ = self.K.tolist()
        return fx, fy, cx, cy

    @classmethod
    def of_numbers(cls, numbers: Sequence[float], size: tuple[int, int], picture: str) -> Lens:
        """Pinhole of fx, fy, cx and cy [px], or of the horizontal field of view [degrees]."""
        if len(numbers) == 1:
            return cls(K_from_fov(numbers[0], size))
        fx, fy, cx, cy = numbers
        return cls(pinhole_K(fx, fy, cx, cy))

    @property
    def spelled_numbers(self) -> tuple[float, ...]:
        """fx, fy, cx and cy [px]."""
        return self.numbers

    @property
    def focal(self) -> float:
        """Focal length fx [px]."""
        return self.numbers[0]

    @property
    def focal_y(self) -> float:
        """Focal length fy [px]."""
        return self.numbers[1]

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Points at z = 1 that pixels see."""
        fx, fy, cx, cy = self.numbers
        u, v = pixels
        return np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)])

    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels of points; NaN for points behind the camera."""
        fx, fy, cx, cy = self.numbers
        x, y, z = points
        z = np.where(z > 0, z, np.asarray(np.nan, z.dtype))
        return np.stack([fx * x / z + cx, fy * y / z + cy])

    def resized(self, *, size: tuple[int, int], new_size: tuple[int, int]) -> Lens:
        """Pinhole of the resized image."""
        return Pinhole(resize_K(self.K, size=size, new_size=new_size))

    def cropped(self, *, top: int, left: int) -> Lens:
        """Pinhole of the crop."""
        return Pinhole(crop_K(self.K, top=top, left=left))

    def mirrored(self, *, width: int) -> Lens:
        """Pinhole of the mirrored image."""
        return Pinhole(flip_K(self.K, width=width))

    def field_of_view(self, shape: tuple[int, int]) -> float:
        """Angle across the principal row [degrees]."""
        return horizontal_fov(self.K, shape[1])

    def points(
        self, depth: Float[np.ndarray, "h w"], rows: range, columns: range
    ) -> Float[np.ndarray, "3 h w"]:
        """Points that the pixels at rows and columns see."""
        fx, fy, cx, cy = self.numbers
        x_at_depth_1 = ((np.asarray(columns) - cx) / fx).astype(depth.dtype)
        y_at_depth_1 = ((np.asarray(rows) - cy) / fy).astype(depth.dtype)
        points = np.empty((3, *depth.shape), depth.dtype)
        np.multiply(depth, x_at_depth_1, out=points[0])
        np.multiply(depth, y_at_depth_1[:, None], out=points[1])
        points[2] = depth
        return points

    def normals(
        self, planes: Float[np.ndarray, "3 h w"], rows: range, columns: range
    ) -> list[Float[np.ndarray, "h w"]]:
        """Components of n of planes n·p = 1, from 1/z = a du + b dv + c."""
        return normals_of_planes(planes, self.K, rows, columns)


@dataclass(frozen=True, slots=True)
class Centred(Lens):
    """Lens with a centre (cx, cy), and with fx and fy pixels per radian there.

    Raises:
        InputError: If a number is not finite, or fx or fy not positive.
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        parameters: dict[str, float] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                # Coefficients are named k1, k2, and so on.
                for index, coefficient in enumerate(value, 1):
                    parameters[f"{field.name}{index}"] = coefficient
            else:
                parameters[field.name] = value
        _check_parameters(parameters)

    def __str__(self) -> str:
        return (
            f"{self.name}, fx={self.fx:.6g}, fy={self.fy:.6g}, cx={self.cx:.6g}, cy={self.cy:.6g}"
        )

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """fx, fy, cx and cy [px]."""
        return self.fx, self.fy, self.cx, self.cy

    @property
    def focal(self) -> float:
        """Pixels per radian along rows."""
        return self.fx

    @property
    def focal_y(self) -> float:
        """Pixels per radian along columns."""
        return self.fy

    def resized(
        self: AnyCentred, *, size: tuple[int, int], new_size: tuple[int, int]
    ) -> AnyCentred:
        """Lens of the resized image."""
        y_factor, x_factor = new_size[0] / size[0], new_size[1] / size[1]
        return replace(
            self,
            fx=self.fx * x_factor,
            fy=self.fy * y_factor,
            cx=(self.cx + 0.5) * x_factor - 0.5,
            cy=(self.cy + 0.5) * y_factor - 0.5,
        )

    def cropped(self: AnyCentred, *, top: int, left: int) -> AnyCentred:
        """Lens of the crop."""
        return replace(self, cx=self.cx - left, cy=self.cy - top)

    def mirrored(self: AnyCentred, *, width: int) -> AnyCentred:
        """Lens of the mirrored image."""
        return replace(self, cx=width - 1 - self.cx)

    def from_centre(self, pixels: PixelPositions) -> tuple[Floats, Floats]:
        """Offsets of pixels from the centre, in units of fx and fy."""
        u, v = np.asarray(pixels, np.float64)
        return (u - self.cx) / self.fx, (v - self.cy) / self.fy

    def to_pixels(self, x: Floats, y: Floats, dtype: np.dtype) -> PixelPositions:
        """Pixels at offsets from the centre, in units of fx and fy."""
        return np.stack([x * self.fx + self.cx, y * self.fy + self.cy]).astype(dtype)
