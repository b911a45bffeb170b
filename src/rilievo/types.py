"""Records: ``Photo``, ``Truth``, ``Sample``, ``Calibration``, ``MadeBy`` and ``Prediction``.

Depth is z [m] along the optical axis, or along the ray for fisheyes and panoramas. The camera frame
is OpenCV's: x right, y down, z forward; the centre of the top-left pixel is (0, 0). Normals are
unit vectors towards the camera: a wall seen head-on is (0, 0, -1). Sizes are ``(height, width)``.
Arrays of depth maps and predictions are read-only.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from rilievo.depth_map import DepthKind as DepthKind
from rilievo.depth_map import DepthMap as DepthMap
from rilievo.depth_map import OwnDepth as OwnDepth
from rilievo.errors import InputError, NoDepthError
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera as Camera
from rilievo.geometry.cameras.camera import CameraSource as CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.margins import Margins, find_margins
from rilievo.other_libraries import ForeignNames
from rilievo.records import Later, LazyField, no_hash, read_only, same_record
from rilievo.shapes import (
    Field,
    Int64,
    Mask,
    Pixels,
    Transform,
    Vectors,
)

Setting = str | int | float | bool | None

# Not typing.Self, which beartype refuses.
_AnyPrediction = TypeVar("_AnyPrediction", bound="Prediction")
# For type checkers, lazy fields have their declared types.
_lazy: Callable[[], Any] = LazyField


@frozen(slots=False)
class Photo(ForeignNames):
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
class Sample(ForeignNames, Truth):
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


@frozen
class Calibration:
    """Conversion of depth to metres.

    Attributes:
        method: "known points", "known lengths", "known rectangles", "camera height", "markers" or
            "own depth".
        asked: Facts as the user gave them, such as ``u,v,metres``.
        space: Quantity that scale and shift apply to: "depth", "inverse" or "log".
        residuals: Fitted minus known value for each fact [m].
        bend: Largest over smallest factor of the smooth field that multiplies depth; None for one
            factor.
        expected_error: Relative error that eight in ten pixels should stay below.
        own_depth: Format of the file's depth map that metres came from.
        measured_pixels: Number of a sensor's pixels that stay as measured.
        outliers: Number of its pixels that were left out.
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
    measured_pixels: int | None = None
    outliers: int | None = None
    warning: str | None = None


@frozen
class Anchoring:
    """Fit of a model's affine depth to the depth of another, for surfaces.

    Attributes:
        model: Name of the other model.
        rank_correlation: Spearman's correlation of the two answers as depth.
        residual: Median absolute difference of log depth after the fit.
        space: Quantity that scale and shift apply to: "depth" or "inverse".
        scale: Fitted scale; None where it was refused.
        refused: Reason why no surface can be made.
        remark: Doubt about the fit.
    """

    model: str
    rank_correlation: float | None = None
    residual: float | None = None
    space: str | None = None
    scale: float | None = None
    shift: float | None = None
    refused: str | None = None
    remark: str | None = None


@frozen
class MadeBy:
    """Origin of a prediction, sufficient to repeat it.

    Attributes:
        model: Name in ``MODELS``, or file.
        weights_sha256: Hash of the weights' file.
        licence: SPDX identifier, or the authors' words.
        settings: Every option that changes the output.
    """

    model: str
    weights_sha256: str
    licence: str
    settings: Mapping[str, Setting]
    version: str


@frozen(slots=False)
class Prediction:
    """Prediction of a model for one image, at that image's resolution.

    Attributes:
        depth_or_none: Depth; None if the model predicts normals only.
        normals: Unit normals towards the camera; NaN where nothing is. They may be computed at
            their first use.
        confidence: Confidence in [0, 1], higher is better.
        sky: Mask of the pixels that see no surface, whatever depth they have.
        calibration: Conversion of depth to metres.
        anchoring: Fit of affine depth to that of the embedded model, made when it is first read.
        network_depth: Depth [m] of the network alone, where a sensor's pixels stand in ``depth``.
        photo: Photograph, for coloured surfaces.
        notes: Notes, one line each.
        made_by: Model, weights and settings.
    """

    depth_or_none: DepthMap | None = None
    normals: Vectors | None = _lazy()
    confidence: Field | None = _lazy()
    sky: Mask | None = _lazy()
    camera: Camera | None = None
    calibration: Calibration | None = None
    anchoring: Anchoring | None = _lazy()
    network_depth: DepthMap | None = None
    photo: Photo | None = None
    notes: tuple[str, ...] = ()
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
                ("sky", None if self.sky is None else self.sky.shape),
                ("photo", None if self.photo is None else self.photo.shape),
            )
            if size is not None
        }
        if len(set(sizes.values())) > 1:
            raise InputError(f"the parts of a prediction differ in size: {sizes}")
        if self.normals is not None and self.normals.shape[0] != 3:
            raise InputError(f"normals are (3, height, width), got {self.normals.shape}")
        depth, camera = self.depth_or_none, self.camera
        # The lens determines whether depth is distance.
        if depth is not None and camera is not None:
            is_distance = camera.lens.has_unit_rays
            if depth.is_distance != is_distance:
                depth = replace(depth, is_distance=is_distance)
                object.__setattr__(self, "depth_or_none", depth)
        for name in ("normals", "confidence", "sky"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array))

    def __getstate__(self) -> dict[str, Any]:
        """Compute all parts, for pickling."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def defer(self, name: str, make: Callable[[], object]) -> None:
        """Compute a part (normals, confidence, sky or anchoring) when it is first read."""
        vars(self)[name] = Later(make)

    def has(self, name: str) -> bool:
        """Whether a part is not None, without computing it."""
        return vars(self)[name] is not None

    def is_computed(self, name: str) -> bool:
        """Whether a part is computed."""
        return not isinstance(vars(self)[name], Later)

    def but(self: _AnyPrediction, **changes: Any) -> _AnyPrediction:
        """Copy with changes; parts that are not computed yet stay so."""
        later = {name: part for name, part in vars(self).items() if isinstance(part, Later)}
        copy = type(self)(**{**vars(self), **dict.fromkeys(later), **changes})
        vars(copy).update({name: part for name, part in later.items() if name not in changes})
        return copy

    def __repr__(self) -> str:
        height, width = self.shape
        depth = self.depth_or_none
        parts = [f"{width}x{height}"]
        if depth is not None:
            parts.append(f"depth {depth.kind} {depth.span}")
        parts += [name for name in ("normals", "confidence", "sky") if self.has(name)]
        return f"Prediction({', '.join(parts)}, by {self.made_by.model})"

    @property
    def depth(self) -> DepthMap:
        """Depth of the image.

        Raises:
            NoDepthError: If the model predicts normals only.
        """
        if self.depth_or_none is None:
            others = [name for name in ("normals", "confidence") if self.has(name)]
            raise NoDepthError(
                f"model '{self.made_by.model}' gives no depth, only "
                f"{' and '.join(others) or 'nothing'}: ask for .depth_or_none, or take "
                "a model of depth ('rilievo models' lists them)"
            )
        return self.depth_or_none

    @property
    def known_camera(self) -> Camera:
        """Camera of the image, which every photograph's prediction has.

        Raises:
            InputError: If there is none.
        """
        if self.camera is None:
            raise InputError(
                problem="this prediction has no camera: predict again with {camera=...|fov=...}"
            )
        return self.camera

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        for part in (self.depth_or_none, self.photo):
            if part is not None:
                return part.shape
        assert self.normals is not None, "a prediction has depth or normals"
        height, width = self.normals.shape[-2:]
        return height, width
