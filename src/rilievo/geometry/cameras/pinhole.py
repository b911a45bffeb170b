"""Pinhole lenses, in whose photographs straight lines of a scene are straight."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float64

from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Lens, check_numbers
from rilievo.geometry.intrinsics import (
    crop_K,
    flip_K,
    horizontal_fov,
    normals_of_planes,
    resize_K,
)
from rilievo.records import no_hash, same_record


@dataclass(frozen=True, slots=True, eq=False)
class Pinhole(Lens):
    """A pinhole without skew.

    Attributes:
        K: ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` [px].

    Raises:
        InputError: If K is not finite or is huge, or a focal length is not positive.
    """

    K: Float64[np.ndarray, "3 3"]

    name: ClassVar[str] = "pinhole"
    has_unit_rays: ClassVar[bool] = False

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=np.float64)
        if K.shape != (3, 3):
            raise InputError(f"K is 3x3, but this has shape {K.shape}")
        check_numbers({"fx": K[0, 0], "fy": K[1, 1], "cx": K[0, 2], "cy": K[1, 2]})
        if K[1, 0] or K[0, 1] or K[2].tolist() != [0.0, 0.0, 1.0]:
            raise InputError(f"K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {K.tolist()}")
        object.__setattr__(self, "K", K)

    def __str__(self) -> str:
        """Describe in a few words."""
        fx, fy, cx, cy = self._numbers
        return f"fx={fx:.6g}, fy={fy:.6g}, cx={cx:.6g}, cy={cy:.6g}"

    @property
    def _numbers(self) -> tuple[float, float, float, float]:
        (fx, _, cx), (_, fy, cy), _ = self.K.tolist()
        return fx, fy, cx, cy

    @property
    def focal(self) -> float:
        """Focal length fx [px]."""
        return self._numbers[0]

    @property
    def focal_y(self) -> float:
        """Focal length fy [px]."""
        return self._numbers[1]

    def rays(self, pixels: Float[np.ndarray, "2 *n"]) -> Float[np.ndarray, "3 *n"]:
        """Points at z = 1 that pixels see."""
        fx, fy, cx, cy = self._numbers
        u, v = pixels
        return np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)])

    def project(self, points: Float[np.ndarray, "3 *n"]) -> Float[np.ndarray, "2 *n"]:
        """Pixels that see points; NaN for points that are not in front of the camera."""
        fx, fy, cx, cy = self._numbers
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
        """Angle from the left edge to the right edge, in the plane of the principal row."""
        return horizontal_fov(self.K, shape[1])

    def points(
        self, depth: Float[np.ndarray, "h w"], rows: range, columns: range
    ) -> Float[np.ndarray, "3 h w"]:
        """Points of a grid of pixels, by one factor a row and one a column."""
        fx, fy, cx, cy = self._numbers
        points = np.empty((3, *depth.shape), depth.dtype)
        np.multiply(depth, ((np.asarray(columns) - cx) / fx).astype(depth.dtype), out=points[0])
        across = ((np.asarray(rows) - cy) / fy).astype(depth.dtype)
        np.multiply(depth, across[:, None], out=points[1])
        points[2] = depth
        return points

    def normals(
        self, planes: Float[np.ndarray, "3 h w"], rows: range, columns: range
    ) -> list[Float[np.ndarray, "h w"]]:
        """x, y and z of vectors n of planes n·p = 1, in closed form."""
        return normals_of_planes(planes, self.K, rows, columns)
