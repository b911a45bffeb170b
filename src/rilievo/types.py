"""The records: ``Photo``, ``Truth`` and ``Sample`` go in, ``DepthMap`` and ``Prediction`` come out.

Conventions, the same everywhere:

* Depth is z [m] along the optical axis. Sizes are ``(height, width)``.
* The camera frame is OpenCV's: x right, y down, z forward; ``K`` is in pixels and the centre of
  the top-left pixel is (0, 0).
* Normals are unit vectors in that frame, towards the camera: a wall seen head-on is (0, 0, -1).
* Images are ``h w 3`` RGB uint8, as image files are; fields of vectors are ``3 h w``, as
  ``rilievo.geometry`` computes them.

Records are frozen, unbatched and numpy; they check themselves when they are made. The arrays of
depth maps and predictions are read-only: copy one to change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from rilievo.camera import Camera as Camera
from rilievo.camera import CameraSource as CameraSource
from rilievo.deferred_parts import DeferredParts
from rilievo.depth_map import DepthKind as DepthKind
from rilievo.depth_map import DepthMap as DepthMap
from rilievo.depth_map import read_only
from rilievo.errors import InputError, NoDepthError
from rilievo.own_depth import OwnDepth as OwnDepth
from rilievo.prediction_methods import PredictionMethods
from rilievo.sameness import no_hash, same_record

Setting = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photograph, upright, with its camera where the file tells it.

    Attributes:
        pixels: sRGB, EXIF orientation applied.
        camera: Intrinsics of ``pixels``; None where neither the user nor the file knows them.
        own_depth: Depth that the file holds beside the pixels; None where it holds none.
        name: What messages call it: a path, or "array".
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    camera: Camera | None = None
    own_depth: OwnDepth | None = None
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

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        height, width, _ = self.pixels.shape
        return height, width


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedPoints:
    """Pairs of points of an image, of which one is known to be nearer.

    Attributes:
        size: (height, width) of the image.
        nearer: Row and column of one point of each pair.
        farther: Row and column of the other.
    """

    size: tuple[int, int]
    nearer: Int64[np.ndarray, "n 2"]
    farther: Int64[np.ndarray, "n 2"]

    __eq__ = same_record
    __hash__ = no_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What a dataset knows of one image besides its colours.

    Attributes:
        id: Unique in its dataset; parts are joined by "/".
        depth: True depth [m], read only where ``depth_valid``.
        depth_valid: Pixels that have true depth.
        normals: True normals, towards the camera; read only where ``normals_valid``.
        normals_valid: Pixels that have true normals.
        sky: Pixels that are known to see no surface at all; disjoint from ``depth_valid``.
        camera: Intrinsics of the image.
        world_T_cam: Pose: takes points [m] of the camera frame to the world's.
        scene: Scene or sequence that the image is of, unique in the dataset; None where the
            dataset does not know. Images of one scene are alike, so intervals draw whole scenes.
        objects: Number of the object of each pixel, from 1; 0 for none. None where the dataset
            knows no objects.
        is_metric: Whether depth is in metres; otherwise its unit is not known.
        order: Pairs of points whose order in depth is known; None where the dataset has none.
    """

    id: str
    depth: Float32[np.ndarray, "h w"] | None = None
    depth_valid: Bool[np.ndarray, "h w"] | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    normals_valid: Bool[np.ndarray, "h w"] | None = None
    sky: Bool[np.ndarray, "h w"] | None = None
    camera: Camera | None = None
    world_T_cam: Float64[np.ndarray, "4 4"] | None = None
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
        """Refuse maps that differ in size from the image, or from one another without one."""
        whose = "others" if size is None else "image"
        for name in ("depth", "depth_valid", "normals", "normals_valid", "sky", "objects"):
            array = getattr(self, name)
            if array is None:
                continue
            size = array.shape[-2:] if size is None else size
            if array.shape[-2:] != size:
                raise InputError(f"sample {self.id}: {name} is {array.shape}, the {whose} {size}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Truth):
    """One image of a dataset with its ground truth.

    Attributes:
        image: RGB.
    """

    image: UInt8[np.ndarray, "h w 3"]

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        self._check_sizes(self.image.shape[:2])
        Truth.__post_init__(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How depth became metres.

    Attributes:
        method: What was known: "known points", "known lengths", both, "camera height",
            "markers", or "own depth" that the photograph's file holds.
        asked: What the user said: points as ``u,v,metres``, lengths as ``u1,v1,u2,v2,metres``, or
            the height.
        space: Where scale and shift apply: "depth", "inverse" or "log".
        scale: Fitted.
        shift: Fitted; 0 where none was.
        residuals: Fitted minus known, one each of what was asked [m].
        bend: Largest over smallest factor of the smooth field that depth was multiplied by; None
            where one factor serves the whole picture.
        expected_error: Relative error that the depth of eight pixels in ten should keep below, as
            ``rilievo.calibration.ranges`` learned it; None where it was not estimated.
        own_depth: How the photograph's file stores the depth that metres came from, such as
            "GDepth"; None where the user said what is known.
        warning: What deserves a look; None where nothing does.
    """

    method: str
    asked: tuple[str, ...]
    space: str
    scale: float
    shift: float
    residuals: tuple[float, ...] = ()
    bend: float | None = None
    expected_error: float | None = None
    own_depth: str | None = None
    warning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeBy:
    """What made a prediction, enough to make it again.

    Attributes:
        model: Its name in ``MODELS``, or the file it was loaded from.
        weights_sha256: Of the weights' file.
        licence: SPDX identifier, or what the model's authors say.
        settings: Every option that changes the numbers.
        version: Of rilievo.
    """

    model: str
    weights_sha256: str
    licence: str
    settings: Mapping[str, Setting]
    version: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Prediction(DeferredParts, PredictionMethods):
    """What a model says of one image, at that image's resolution.

    Attributes:
        depth_or_none: Depth; None where the model gives normals alone. ``depth`` is the same for
            everybody who knows that there is depth.
        normals: Unit, camera frame, towards the camera; None where the model gives none.
        confidence: In [0, 1], larger is surer; None where the model gives none.
        camera: The intrinsics that go with it.
        calibration: How depth became metres; None where nobody asked for them.
        photo: The photograph itself, for coloured surfaces; None when read back from files.
        made_by: Model, weights and settings.
    """

    depth_or_none: DepthMap | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None
    camera: Camera | None = None
    calibration: Calibration | None = None
    photo: Photo | None = None
    made_by: MadeBy

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        sizes = {
            name: size
            for name, size in (
                ("depth", None if self.depth_or_none is None else self.depth.shape),
                ("normals", None if self.normals is None else self.normals.shape[-2:]),
                ("confidence", None if self.confidence is None else self.confidence.shape),
                ("photo", None if self.photo is None else self.photo.shape),
            )
            if size is not None
        }
        if len(set(sizes.values())) > 1:
            raise InputError(f"the parts of a prediction differ in size: {sizes}")
        if self.normals is not None and self.normals.shape[0] != 3:
            raise InputError(f"normals are (3, height, width), got {self.normals.shape}")
        for name in ("normals", "confidence"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array))

    @property
    def depth(self) -> DepthMap:
        """Depth of the image, with the kind of its numbers.

        Raises:
            NoDepthError: If the model gives normals alone; ``depth_or_none`` is None then.
        """
        if self.depth_or_none is None:
            raise NoDepthError(
                f"model '{self.made_by.model}' gives no depth, only "
                f"{' and '.join(self._parts()) or 'nothing'}: ask for .depth_or_none, or take "
                "a model of depth ('rilievo models' lists them)"
            )
        return self.depth_or_none

    def _parts(self) -> list[str]:
        """Names of what there is besides depth."""
        return [name for name in ("normals", "confidence") if self.has(name)]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        for part in (self.depth_or_none, self.photo):
            if part is not None:
                return part.shape
        assert self.normals is not None, "a prediction has depth or normals"
        height, width = self.normals.shape[-2:]
        return height, width
