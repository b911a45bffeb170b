"""The records: ``Photo``, ``Truth``, ``Sample``, ``Calibration``, ``MadeBy`` and ``Prediction``.

Conventions, the same everywhere:

* Depth is z [m] along the optical axis; that of fisheyes and panoramas is the distance along the
  ray, as ``DepthMap.is_distance`` says. Sizes are ``(height, width)``.
* The camera frame is OpenCV's: x right, y down, z forward; ``K`` is in pixels and the centre of
  the top-left pixel is (0, 0).
* Normals are unit vectors in that frame, towards the camera: a wall seen head-on is (0, 0, -1).
* Images are ``h w 3`` RGB uint8, as image files are; fields of vectors are ``3 h w``, as
  ``rilievo.geometry`` computes them.

Records are frozen, unbatched and numpy; they validate themselves on creation. The arrays of depth
maps and predictions are read-only: copy one to change it.
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
from rilievo.foreign_names import ForeignNames
from rilievo.frozen import frozen
from rilievo.geometry.cameras.camera import Camera as Camera
from rilievo.geometry.cameras.camera import CameraSource as CameraSource
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.margins import Margins, find_margins
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
    """One photograph, upright, with its camera if the file states it.

    Attributes:
        pixels: sRGB pixels, with the EXIF orientation applied.
        camera: Intrinsics of the whole photograph; None if neither the user nor the file states
            them.
        own_depth: Depth map stored in the file beside the pixels; None if there is none.
        transparent: Mask of the pixels that show nothing and have no depth; None if there are none.
        notes: Notes for the user on how it was read, one line each.
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
        """Uniform borders without content; transparent pixels, which look like bars, are none."""
        return find_margins(self.pixels) if self.transparent is None else Margins()

    @property
    def is_wide(self) -> bool:
        """Whether its camera is no pinhole, so that models are shown it in perspective views."""
        return self.camera is not None and not isinstance(self.camera.lens, Pinhole)

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width) of the photograph."""
        height, width, _ = self.pixels.shape
        return height, width


@frozen
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


@frozen
class Truth:
    """Ground truth of one image of a dataset.

    Attributes:
        id: Unique name in its dataset; parts are joined by "/".
        depth: True depth [m], defined only where ``depth_valid``.
        depth_valid: Mask of pixels with true depth.
        normals: True normals, towards the camera; defined only where ``normals_valid``.
        normals_valid: Mask of pixels with true normals.
        sky: Mask of pixels known to see no surface at all; disjoint from ``depth_valid``.
        camera: Intrinsics of the image.
        world_T_cam: Pose, which maps points [m] from the camera frame to the world frame.
        scene: Scene or sequence of the image, unique in the dataset; None if the dataset does not
            state it. Images of one scene are alike, so intervals resample whole scenes.
        objects: Number of the object of each pixel, from 1; 0 for none. None where the dataset
            knows no objects.
        is_metric: Whether depth is in metres; otherwise its unit is not known.
        order: Pairs of points whose order in depth is known; None where the dataset has none.
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
        """Refuse maps that differ in size from the image, or without an image from each other."""
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
    """One image of a dataset with its ground truth.

    Attributes:
        image: RGB image.
    """

    image: Pixels

    __eq__ = same_record
    __hash__ = no_hash

    def __post_init__(self) -> None:
        self._check_sizes(self.image.shape[:2])
        Truth.__post_init__(self)


@frozen
class Calibration:
    """The conversion of depth to metres.

    Attributes:
        method: Known facts: "known points", "known lengths", "known rectangles", several of these,
            "camera height", "markers", or "own depth" from the photograph's file.
        asked: Facts as the user gave them: points as ``u,v,metres``, lengths as
            ``u1,v1,u2,v2,metres``, rectangles as ``u1,v1,...,u4,v4,SIDExSIDE``, or the height.
        space: Quantity that scale and shift apply to: "depth", "inverse" or "log".
        scale: Fitted scale.
        shift: Fitted shift; 0 where none was fitted.
        residuals: Fitted minus known value for each fact [m].
        bend: Largest over smallest factor of the smooth field that depth was multiplied by; None if
            one factor applies to the whole picture.
        expected_error: Relative error that eight in ten pixels should stay below, as learned by
            ``rilievo.calibration.ranges``; None if it was not estimated.
        own_depth: Format of the depth map in the photograph's file that metres came from, such as
            "GDepth"; None if the facts came from the user.
        measured_pixels: Number of pixels of a sensor's map that stay as they were measured; None
            unless the map is dense enough.
        outliers: Number of its pixels that were left out; None likewise.
        warning: Warning about the calibration; None if there is none.
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
    """Fit of a model's affine depth to the depth of another, with which surfaces are made of it.

    Attributes:
        model: Name of the model whose depth was fitted to.
        rank_correlation: Spearman's correlation of the two answers as depth; 1 is the same order.
        residual: Median absolute difference of the logarithms of the two depths after the fit.
        space: Quantity that scale and shift apply to: "depth" or "inverse".
        scale: Fitted scale; None where it was refused.
        shift: Fitted shift; None where it was refused.
        refused: Reason why no surface can be made; None where one can.
        remark: Doubt about a fit that was not refused; None where there is none.
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
        model: Name in ``MODELS``, or the file that the model was loaded from.
        weights_sha256: Hash of the weights' file.
        licence: Licence: SPDX identifier, or the words of the model's authors.
        settings: Every option that changes the output.
        version: Version of rilievo.
    """

    model: str
    weights_sha256: str
    licence: str
    settings: Mapping[str, Setting]
    version: str


@frozen(slots=False)
class Prediction:
    """Prediction of a model for one image, at that image's resolution.

    ``rilievo.Prediction``, which users hold, is this record with methods. Most callers read only
    its depth; for 12 megapixels, normals take longer than depth, so they may be computed later.

    Attributes:
        depth_or_none: Depth; None if the model predicts normals only. ``depth`` is the same without
            None.
        normals: Unit normals in the camera frame, towards the camera; NaN where nothing is, as
            outside a cut-out; None if the model predicts none.
        confidence: Confidence in [0, 1], higher is better; None if the model predicts none.
        sky: Mask of the pixels that see no surface, whatever depth they have; None if the model
            does not tell.
        camera: Intrinsics of the image.
        calibration: Conversion of depth to metres; None if none was asked for.
        anchoring: Fit of affine depth to that of the embedded model, found when it is first read;
            None if depth is not affine, was never anchored, or ``--anchor off`` was asked for.
        network_depth: Depth [m] of the network alone, where a sensor's pixels stand in ``depth``;
            None elsewhere.
        photo: The photograph itself, for coloured surfaces; None if read from other files than npz.
        notes: Notes for the user on the photograph, the options and the answer, one line each.
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
        """All parts, computed, for a copy in another process."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def defer(self, name: str, make: Callable[[], object]) -> None:
        """Register a function that computes a part when it is first read.

        Args:
            name: normals, confidence, sky or anchoring.
            make: Function that computes the value; arrays become read-only.
        """
        vars(self)[name] = Later(make)

    def has(self, name: str) -> bool:
        """Whether a part is not None, without computing it."""
        return vars(self)[name] is not None

    def is_computed(self, name: str) -> bool:
        """Whether a part has its value, so that reading it costs nothing."""
        return not isinstance(vars(self)[name], Later)

    def but(self: _AnyPrediction, **changes: Any) -> _AnyPrediction:
        """A copy with some parts changed; those not computed yet stay so."""
        later = {name: part for name, part in vars(self).items() if isinstance(part, Later)}
        copy = type(self)(**{**vars(self), **dict.fromkeys(later), **changes})
        vars(copy).update({name: part for name, part in later.items() if name not in changes})
        return copy

    def __repr__(self) -> str:
        """Describe in one line what it contains."""
        height, width = self.shape
        depth = self.depth_or_none
        parts = [f"{width}x{height}"]
        if depth is not None:
            parts.append(f"depth {depth.kind} {depth.span}")
        parts += [name for name in ("normals", "confidence", "sky") if self.has(name)]
        return f"Prediction({', '.join(parts)}, by {self.made_by.model})"

    @property
    def depth(self) -> DepthMap:
        """Depth of the image, with the kind of its values.

        Raises:
            NoDepthError: If the model predicts normals only; ``depth_or_none`` is None then.
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
        """Camera of the image, which every prediction of a photograph has.

        Raises:
            InputError: If it is not known; ``camera`` is None then.
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
