"""Photographs, ground truth, and the samples of datasets, which have an image and ground truth.

Conventions:
    - Depth is z [m] along the optical axis; for fisheyes and panoramas it is along the ray.
    - The camera frame is OpenCV's: x right, y down, z forward. The centre of the top-left pixel is
      (0, 0).
    - Normals are unit vectors towards the camera: a wall seen head-on is (0, 0, -1).
    - Sizes are ``(height, width)``.
    - Arrays of depth maps and predictions are read-only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rilievo.arrays.array_records import no_hash, same_record
from rilievo.arrays.shapes import Field, Int64, Mask, Pixels, Transform, Vectors
from rilievo.errors import InputError
from rilievo.geometry.borders import Margins, find_margins
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.records.depth_map import OwnDepth


@dataclass(frozen=True, kw_only=True)
class Photo:
    """Photograph, with the camera and depth that its file holds.

    Examples:
        >>> rilievo.Photo(pixels=np.zeros((48, 64, 3), np.uint8)).shape
        (48, 64)

    Attributes:
        pixels: sRGB pixels, upright: the EXIF orientation is applied.
        camera: Intrinsics of the whole photograph; None if unknown.
        own_depth: Depth map that the same file holds; None if it holds none.
        transparent: Mask of pixels that show nothing; None if all show something.
        notes: Notes on how the file was read, one line each.
        name: Name in messages: a path, or "array".
        orientation: EXIF's orientation by which the pixels were made upright, 1 to 8.

    Raises:
        InputError: If ``pixels`` are not (height, width, 3) uint8.
    """

    pixels: Pixels
    camera: Camera | None = None
    own_depth: OwnDepth | None = None
    transparent: Mask | None = None
    notes: tuple[str, ...] = ()
    name: str = "array"
    orientation: int = 1

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        pixels = self.pixels
        is_rgb = pixels.ndim == 3 and pixels.shape[2] == 3
        if not is_rgb or pixels.dtype != np.uint8 or not pixels.size:
            raise InputError(
                f"{self.name}: an image must be (height, width, 3) uint8 RGB, got "
                f"{pixels.shape} {pixels.dtype}"
            )

    @cached_property
    def margins(self) -> Margins:
        """Uniform borders without content; empty if the photograph has transparent pixels."""
        if self.transparent is not None:
            return Margins()
        return find_margins(self.pixels)

    @property
    def is_wide(self) -> bool:
        """Whether its lens is not a pinhole, so that models are given pinhole views of it."""
        return self.camera is not None and not isinstance(self.camera.lens, Pinhole)

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        height, width, _ = self.pixels.shape
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedPoints:
    """Pairs of points in an image, with the nearer point of each pair.

    Attributes:
        size: (height, width) of the image.
        nearer: Row and column of the nearer point of each pair [px].
        farther: Row and column of the farther point of each pair [px].
    """

    size: tuple[int, int]
    nearer: Int64[np.ndarray, "n 2"]
    farther: Int64[np.ndarray, "n 2"]

    __eq__ = same_record
    __hash__ = no_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Ground truth of one image of a dataset. What the dataset lacks is None.

    Attributes:
        id: Unique name in its dataset, such as "room/0"; parts are joined by "/".
        depth: True depth [m], defined where ``depth_valid``.
        depth_valid: Mask of pixels with true depth; given if, and only if, ``depth`` is.
        normals: True normals, defined where ``normals_valid``.
        normals_valid: Mask of pixels with true normals; given if, and only if, ``normals`` are.
        sky: Mask of pixels that see no surface.
        camera: Intrinsics of the image.
        world_T_cam: Pose, which takes points [m] from the camera frame to the world frame.
        scene: Name of the scene or sequence. Confidence intervals resample whole scenes.
        objects: Number of the object at each pixel, from 1; 0 where there is none.
        is_metric: Whether ``depth`` is in metres; otherwise its scale is unknown.
        is_unit_given: Whether the user declared the unit of depth, so that unusual depth is not
            taken as a sign of a wrong unit.
        order: Pairs of points whose order in depth is known.

    Raises:
        InputError: If maps differ in size, or one of a map and its mask is missing.
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
    is_unit_given: bool = False
    order: OrderedPoints | None = None

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        self._check_sizes()
        self._check_map_and_mask("depth", "depth_valid")
        self._check_map_and_mask("normals", "normals_valid")

    def _check_sizes(self) -> None:
        maps = [*self._maps()]
        if not maps:
            return
        _, first_map = maps[0]
        size = first_map.shape[-2:]
        for name, array in maps:
            if array.shape[-2:] != size:
                raise InputError(
                    f"sample {self.id}: '{name}' has the shape {array.shape}, but the size of the "
                    f"other maps is {size} (height, width)"
                )

    def _maps(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield the maps that are not None, with their names; the last axes are rows, columns."""
        for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "objects"):
            array = getattr(self, name)
            if array is not None:
                yield name, array

    def _check_map_and_mask(self, name: str, mask_name: str) -> None:
        """Check that a map and its mask are both given, or neither."""
        has_map = getattr(self, name) is not None
        has_mask = getattr(self, mask_name) is not None
        if has_map != has_mask:
            raise InputError(f"sample {self.id}: '{name}' and '{mask_name}' must be given together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Truth):
    """Image of a dataset with its ground truth, of the same size.

    Examples:
        >>> rilievo.Sample(id="room/0", image=np.zeros((48, 64, 3), np.uint8)).is_metric
        True

    Attributes:
        image: sRGB pixels, (height, width, 3) uint8.

    Raises:
        InputError: Likewise, or if a map has not the size of the image.
    """

    image: Pixels

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        for name, array in self._maps():
            if array.shape[-2:] != size:
                raise InputError(
                    f"sample {self.id}: '{name}' has the shape {array.shape}, but the size of the "
                    f"image is {size} (height, width)"
                )
        Truth.__post_init__(self)
