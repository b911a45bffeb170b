"""Photographs, their ground truth, and both as an image of a dataset.

Depth is z [m] along the optical axis, or along the ray for fisheyes and panoramas. The camera frame
is OpenCV's: x right, y down, z forward; the centre of the top-left pixel is (0, 0). Normals are
unit vectors towards the camera: a wall seen head-on is (0, 0, -1). Sizes are ``(height, width)``.
Arrays of depth maps and predictions are read-only.
"""

from functools import cached_property

import numpy as np

from rilievo.depth_map import OwnDepth
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.geometry.borders import Margins, find_margins
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.other_libraries import HintedAttributes
from rilievo.records import no_hash, same_record
from rilievo.shapes import Field, Int64, Mask, Pixels, Transform, Vectors


@frozen(slots=False)
class Photo(HintedAttributes):
    """Photograph, upright, with its camera if the file states it.

    >>> rilievo.Photo(pixels=np.zeros((48, 64, 3), np.uint8)).shape
    (48, 64)

    Attributes:
        pixels: sRGB pixels, with the EXIF orientation applied.
        camera: Intrinsics of the whole photograph; None if unknown.
        own_depth: Depth map of the same file.
        transparent: Mask of pixels that show nothing.
        notes: Notes on how it was read, one line each.
        name: Name in messages: a path, or "array".
    """

    pixels: Pixels
    camera: Camera | None = None
    own_depth: OwnDepth | None = None
    transparent: Mask | None = None
    notes: tuple[str, ...] = ()
    name: str = "array"

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        pixels = self.pixels
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise InputError(
                f"{self.name}: an image is (height, width, 3) uint8 RGB, "
                f"got {pixels.shape} {pixels.dtype}"
            )

    @cached_property
    def margins(self) -> Margins:
        """Uniform borders without content."""
        return find_margins(self.pixels) if self.transparent is None else Margins()

    @property
    def is_wide(self) -> bool:
        """Whether its camera is no pinhole."""
        return self.camera is not None and not isinstance(self.camera.lens, Pinhole)

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        height, width, _ = self.pixels.shape
        return height, width


@frozen
class OrderedPoints:
    """Pairs of points of an image, of which one is nearer.

    Attributes:
        size: (height, width) of the image.
        nearer: Row and column.
        farther: Row and column.
    """

    size: tuple[int, int]
    nearer: Int64[np.ndarray, "n 2"]
    farther: Int64[np.ndarray, "n 2"]

    __eq__ = same_record
    __hash__ = no_hash


@frozen
class Truth:
    """Ground truth of one image of a dataset.

    Attributes:
        id: Unique name in its dataset; parts are joined by "/".
        depth: True depth [m], defined where ``depth_valid``.
        normals: True normals, defined where ``normals_valid``.
        sky: Mask of pixels that see no surface.
        world_T_cam: Pose: points [m] from the camera to the world.
        scene: Scene or sequence; intervals resample whole scenes.
        objects: Number of the object of each pixel, from 1; 0 for none.
        is_metric: Whether the unit of depth is known.
        order: Pairs of points whose order in depth is known.
    """

    id: str
    depth: Field | None = None
    depth_valid: Mask | None = None
    normals: Vectors | None = None
    normals_valid: Mask | None = None
    sky: Mask | None = None
    camera: Camera | None = None
    world_T_cam: Transform | None = None
    scene: str | None = None
    objects: Int64[np.ndarray, "h w"] | None = None
    is_metric: bool = True
    order: OrderedPoints | None = None

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        self._check_sizes(None)
        if (self.depth is None) != (self.depth_valid is None):
            raise InputError(f"sample {self.id}: depth and depth_valid come together")
        if (self.normals is None) != (self.normals_valid is None):
            raise InputError(f"sample {self.id}: normals and normals_valid come together")

    def _check_sizes(self, size: tuple[int, ...] | None) -> None:
        whose = "others" if size is None else "image"
        for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "objects"):
            array = getattr(self, name)
            if array is None:
                continue
            size = array.shape[-2:] if size is None else size
            if array.shape[-2:] != size:
                raise InputError(f"sample {self.id}: {name} is {array.shape}, the {whose} {size}")


@frozen
class Sample(HintedAttributes, Truth):
    """Image of a dataset with its ground truth.

    >>> rilievo.Sample(id="room/0", image=np.zeros((48, 64, 3), np.uint8)).is_metric
    True
    """

    image: Pixels

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        self._check_sizes(self.image.shape[:2])
        Truth.__post_init__(self)
