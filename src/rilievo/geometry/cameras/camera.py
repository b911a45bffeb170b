"""Camera of one image."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Float, Matrix
from rilievo.errors import InputError
from rilievo.geometry.cameras.lens import Centred, Lens, Pinhole, PixelPlaces, SpacePoints

_ENTRIES = {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2)}


class CameraSource(StrEnum):
    """Source of a photograph's intrinsics."""

    GIVEN = "given"
    FOV = "fov"
    MILLIMETRES = "millimetres"
    EXIF_35MM = "exif_35mm"
    EXIF_SENSOR = "exif_sensor"
    GPANO = "gpano"
    HEIF = "heif"
    PREDICTED = "predicted"
    MARKERS = "markers"
    RECTANGLE = "rectangle"
    VANISHING_POINTS = "vanishing_points"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Camera:
    """Camera of one image: lens, and source of its intrinsics.

    Examples:
        >>> rilievo.Camera(K=np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]))
        Camera(fx=50, fy=50, cx=31.5, cy=23.5, given)

    Attributes:
        lens: Rays of the pixels.
        source: ``ASSUMED`` may be far off.
    """

    lens: Lens
    source: CameraSource

    __eq__ = same_record
    __hash__ = no_hash

    def __init__(
        self,
        *,
        K: Matrix | None = None,
        lens: Lens | None = None,
        source: CameraSource | str = CameraSource.GIVEN,
    ) -> None:
        if K is not None:
            lens = Pinhole(K)
        if lens is None:
            raise InputError("a camera has intrinsics K, or a lens")
        object.__setattr__(self, "lens", lens)
        object.__setattr__(self, "source", CameraSource(source))

    def __repr__(self) -> str:
        return f"Camera({self.lens}, {self.source})"

    @property
    def K(self) -> Matrix:
        """Intrinsics of a pinhole [px].

        Raises:
            InputError: If the lens is another.
        """
        return self.needs_pinhole("K")

    def needs_pinhole(self, what: str) -> Matrix:
        """K [px], for what only a pinhole defines, such as a file format.

        Raises:
            InputError: If the lens is another.
        """
        if isinstance(self.lens, Pinhole):
            return self.lens.K
        raise InputError(
            f"{what} is defined for pinhole cameras only; this one is {self.lens.name}"
        )

    @property
    def fx(self) -> float:
        """Focal length along rows [px]."""
        return self._lens_number("fx")

    @property
    def fy(self) -> float:
        """Focal length along columns [px]."""
        return self._lens_number("fy")

    @property
    def cx(self) -> float:
        """Column of the principal point [px]."""
        return self._lens_number("cx")

    @property
    def cy(self) -> float:
        """Row of the principal point [px]."""
        return self._lens_number("cy")

    @property
    def fov(self) -> float:
        """Horizontal field of view [degrees], if centred."""
        return self.field_of_view((max(1, round(2 * self.cy + 1)), max(1, round(2 * self.cx + 1))))

    def _lens_number(self, name: str) -> float:
        lens = self.lens
        if isinstance(lens, Pinhole):
            return float(lens.K[_ENTRIES[name]])
        if isinstance(lens, Centred):
            return float(getattr(lens, name))
        raise InputError(f"this camera is {lens.name} and has no {name}; rays() is what it sees")

    @property
    def focal(self) -> float:
        """Pixels per radian at the axis along rows."""
        return self.lens.focal

    @property
    def focal_y(self) -> float:
        """Pixels per radian at the axis along columns."""
        return self.lens.focal_y

    def field_of_view(self, shape: tuple[int, int]) -> float:
        """Horizontal field of view of an image [degrees]."""
        return self.lens.field_of_view(shape)

    def rays(self, pixels: PixelPlaces) -> SpacePoints:
        """Rays of pixels: depth times ray is the point."""
        return self.lens.rays(pixels)

    def project(self, points: SpacePoints) -> PixelPlaces:
        """Pixels that see points; NaN where none can."""
        return self.lens.project(points)

    def depth_of(self, points: SpacePoints) -> Float[np.ndarray, "*n"]:
        """Depth of points: z, or distance for unit rays."""
        return self.lens.depth_of(points)

    def points(
        self,
        depth: Float[np.ndarray, "h w"],
        *,
        rows: range | None = None,
        columns: range | None = None,
    ) -> Float[np.ndarray, "3 h w"]:
        """Lift depth of rows and columns to points, in its unit and precision."""
        height, width = depth.shape
        rows, columns = rows or range(height), columns or range(width)
        return self.lens.points(depth, rows, columns)

    def resized(self, *, size: tuple[int, int], new_size: tuple[int, int]) -> "Camera":
        """Camera of the resized image."""
        return Camera(lens=self.lens.resized(size=size, new_size=new_size), source=self.source)

    def cropped(self, *, top: int, left: int) -> "Camera":
        """Camera of the crop; negative numbers give a margin."""
        return Camera(lens=self.lens.cropped(top=top, left=left), source=self.source)

    def mirrored(self, *, width: int) -> "Camera":
        """Camera of the mirrored image: x becomes -x."""
        return Camera(lens=self.lens.mirrored(width=width), source=self.source)


def as_camera(camera: Camera | Matrix) -> Camera:
    """Camera itself, or pinhole of K [px]."""
    return camera if isinstance(camera, Camera) else Camera(K=camera)
