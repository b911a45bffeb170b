"""Camera of one image."""

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Float, Matrix
from rilievo.errors import InputError
from rilievo.errors.messages import Text
from rilievo.geometry.cameras.lens import Centred, Lens, Pinhole, PixelPositions, SpacePoints
from rilievo.geometry.intrinsics import K_from_focal

_POSITIONS_IN_K = {"fx": (0, 0), "fy": (1, 1), "cx": (0, 2), "cy": (1, 2)}
"""Row and column of each parameter in K."""
ASSUMED_FOV = 55.0
"""Field of view along the longer side [degrees] that is assumed if the file states none.

It is that of a 35 mm lens, and differs from those of telephones and 50 mm lenses by a factor of
1.45 at most.
"""


class CameraSource(StrEnum):
    """Source of a photograph's intrinsics; docs/conventions.md explains each."""

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

    @property
    def is_guess(self) -> bool:
        """Whether the focal length is a guess, which known rectangles may correct."""
        return self in (CameraSource.ASSUMED, CameraSource.VANISHING_POINTS)


@dataclass(frozen=True, slots=True, kw_only=True, init=False)
class Camera:
    """Camera of one image: its lens, and where its intrinsics came from.

    Examples:
        >>> rilievo.Camera(K=np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]]))
        Camera(fx=50, fy=50, cx=31.5, cy=23.5, given)

    Attributes:
        lens: Lens, which says which ray each pixel sees.
        source: Source of the intrinsics. Assumed ones may be far off.
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
            raise InputError("a camera needs intrinsics K or a lens")
        object.__setattr__(self, "lens", lens)
        object.__setattr__(self, "source", CameraSource(source))

    def __repr__(self) -> str:
        return f"Camera({self.lens}, {self.source})"

    @property
    def K(self) -> Matrix:
        """Intrinsics of a pinhole camera [px].

        Raises:
            InputError: If the lens is no pinhole.
        """
        return self.needs_pinhole("K")

    def needs_pinhole(self, what: str) -> Matrix:
        """Intrinsics [px] for something that is only defined for pinholes, such as a file format.

        ``what`` names it in the message.

        Raises:
            InputError: If the lens is no pinhole.
        """
        if isinstance(self.lens, Pinhole):
            return self.lens.K
        raise InputError(
            f"{what} is defined for pinhole cameras only; the lens of this camera is of the kind "
            f"'{self.lens.name}'"
        )

    @property
    def fx(self) -> float:
        """Focal length along rows [px]."""
        return self._lens_parameter("fx")

    @property
    def fy(self) -> float:
        """Focal length along columns [px]."""
        return self._lens_parameter("fy")

    @property
    def cx(self) -> float:
        """Column of the principal point [px]."""
        return self._lens_parameter("cx")

    @property
    def cy(self) -> float:
        """Row of the principal point [px]."""
        return self._lens_parameter("cy")

    @property
    def fov(self) -> float:
        """Horizontal field of view [degrees], if the principal point is the centre of the image."""
        height, width = round(2 * self.cy + 1), round(2 * self.cx + 1)
        return self.field_of_view((max(1, height), max(1, width)))

    def _lens_parameter(self, name: str) -> float:
        """fx, fy, cx or cy of a lens that has it."""
        lens = self.lens
        if isinstance(lens, Pinhole):
            return float(lens.K[_POSITIONS_IN_K[name]])
        if isinstance(lens, Centred):
            return float(getattr(lens, name))
        raise InputError(f"a lens of the kind '{lens.name}' has no {name}; use rays() instead")

    @property
    def focal(self) -> float:
        """Pixels per radian at the axis along rows."""
        return self.lens.focal

    @property
    def focal_y(self) -> float:
        """Pixels per radian at the axis along columns."""
        return self.lens.focal_y

    def field_of_view(self, shape: tuple[int, int]) -> float:
        """Horizontal field of view of an image of (height, width) [degrees]."""
        return self.lens.field_of_view(shape)

    def rays(self, pixels: PixelPositions) -> SpacePoints:
        """Rays of pixels (u, v). A ray times the depth is the point that the pixel sees."""
        return self.lens.rays(pixels)

    def project(self, points: SpacePoints) -> PixelPositions:
        """Pixels (u, v) that see points; NaN for points that no pixel can see."""
        return self.lens.project(points)

    def depth_of(self, points: SpacePoints) -> Float[np.ndarray, "*n"]:
        """Depth of points: z, or the distance if the lens has unit rays."""
        return self.lens.depth_of(points)

    def points(
        self,
        depth: Float[np.ndarray, "h w"],
        *,
        rows: range | None = None,
        columns: range | None = None,
    ) -> Float[np.ndarray, "3 h w"]:
        """Lift a depth map to points, in its unit and precision.

        Args:
            depth: Depth at the crossings of the rows and columns.
            rows: Rows of the image; by default all.
            columns: Columns of the image; by default all.
        """
        height, width = depth.shape
        rows, columns = rows or range(height), columns or range(width)
        return self.lens.points(depth, rows, columns)

    def resized(self, *, size: tuple[int, int], new_size: tuple[int, int]) -> "Camera":
        """Camera of the resized image."""
        return Camera(lens=self.lens.resized(size=size, new_size=new_size), source=self.source)

    def cropped(self, *, top: int, left: int) -> "Camera":
        """Camera of the crop that begins at a row and a column; negative ones add a margin."""
        return Camera(lens=self.lens.cropped(top=top, left=left), source=self.source)

    def mirrored(self, *, width: int) -> "Camera":
        """Camera of the mirrored image: x becomes -x."""
        return Camera(lens=self.lens.mirrored(width=width), source=self.source)


def as_camera(camera: Camera | Matrix) -> Camera:
    """The camera itself, or the pinhole camera of K [px]."""
    return camera if isinstance(camera, Camera) else Camera(K=camera)


def camera_from_K(K: Matrix, path: Path) -> Camera:
    """Make a camera from a K [px] that was read from a file.

    Raises:
        InputError: If K is no valid camera matrix. It names ``path``.
    """
    try:
        return Camera(K=K)
    except InputError as error:
        raise InputError(problem=Text(error), path=path) from error


def assumed_camera(size: tuple[int, int]) -> Camera:
    """Make a pinhole camera with ``ASSUMED_FOV``, for a picture whose camera is unknown."""
    focal = max(size) / 2 / math.tan(math.radians(ASSUMED_FOV) / 2)
    return Camera(K=K_from_focal(focal, focal, size), source=CameraSource.ASSUMED)
