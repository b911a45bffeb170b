"""The records: ``Photo`` and ``Sample`` go in, ``DepthMap`` and ``Prediction`` come out.

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
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped, UInt8

from rilievo.errors import InputError, suggest

Setting = str | int | float | bool | None


class DepthKind(StrEnum):
    """What the numbers of a depth map are, and so what is missing to have metres."""

    METRIC = "metric"
    """Depth in metres."""
    UP_TO_SCALE = "up_to_scale"
    """Depth times one unknown positive factor: proportions are right, sizes are not known."""
    AFFINE = "affine"
    """Depth times an unknown positive factor, plus an unknown shift."""
    AFFINE_INVERSE = "affine_inverse"
    """Inverse depth times an unknown positive factor, plus an unknown shift: large is near."""

    @property
    def is_depth(self) -> bool:
        """Whether such numbers are depth itself, in metres or up to one factor."""
        return self in (DepthKind.METRIC, DepthKind.UP_TO_SCALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMap:
    """The depth of one image, with the kind of its numbers.

    It is not an array, so that nothing scores or unprojects numbers that are not metres by
    mistake: ``rilievo.align`` (against ground truth) and ``rilievo.calibrate`` (from known
    distances) are the doors to metres.

    Attributes:
        values: Numbers of the given kind. Read them only where ``valid``.
        kind: What the numbers are.
        valid: Pixels that have an answer. ``METRIC`` and ``UP_TO_SCALE`` values are positive and
            all values finite there.

    Raises:
        InputError: If a value breaks these rules.
    """

    values: Float32[np.ndarray, "h w"]
    kind: DepthKind
    valid: Bool[np.ndarray, "h w"] = field(default=None)  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.ndim != 2 or values.size == 0:
            raise InputError(f"a depth map is (height, width), but this has shape {values.shape}")
        valid = np.ones(values.shape, bool) if self.valid is None else np.asarray(self.valid)
        if valid.shape != values.shape or valid.dtype != bool:
            raise InputError(
                f"the mask of a depth map of {values.shape} is {valid.shape} {valid.dtype}, "
                f"expected {values.shape} bool"
            )
        if self.kind not in list(DepthKind):
            known = suggest(str(self.kind), DepthKind)
            raise InputError(f"a depth map has no kind '{self.kind}'; {known}")
        kind = DepthKind(self.kind)
        inside = values if self.valid is None else values[valid]
        if not np.isfinite(inside).all():
            raise InputError("a depth map has NaN or infinite values where it is valid")
        if kind.is_depth and (inside <= 0).any():
            raise InputError(f"a depth map of kind '{kind}' has values that are not positive")
        object.__setattr__(self, "values", _read_only(values))
        object.__setattr__(self, "valid", _read_only(valid))
        object.__setattr__(self, "kind", kind)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError(
            f"a DepthMap of kind '{self.kind}' is not an array: take .values (and mind .kind), "
            "or .depth() for depth along the axis"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.values.shape
        return height, width

    @property
    def is_depth(self) -> bool:
        """Whether the values are depth itself, in metres or up to one factor."""
        return self.kind.is_depth

    def depth(self) -> Float32[np.ndarray, "h w"]:
        """Depth along the axis, in metres or up to one factor; read it only where ``valid``.

        Raises:
            InputError: If the kind is affine, whose numbers are no depth before a calibration.
        """
        if not self.is_depth:
            raise InputError(
                f"values of kind '{self.kind}' are no depth, and surfaces made of them are bent: "
                "calibrate them with known distances (--known u,v,metres, at least two)"
            )
        return self.values


class CameraSource(StrEnum):
    """Where the intrinsics of a photograph came from."""

    GIVEN = "given"
    FOV = "fov"
    EXIF_35MM = "exif_35mm"
    EXIF_SENSOR = "exif_sensor"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Pinhole intrinsics of one image, and where they came from.

    Attributes:
        K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] [px]; the centre of the top-left pixel is (0, 0).
        source: Who said so; ``ASSUMED`` is our default and may be far off.

    Raises:
        InputError: If K is not finite or a focal length is not positive.
    """

    K: Float64[np.ndarray, "3 3"]
    source: CameraSource = CameraSource.GIVEN

    def __post_init__(self) -> None:
        K = np.asarray(self.K, dtype=np.float64)
        if K.shape != (3, 3):
            raise InputError(f"K is 3x3, but this has shape {K.shape}")
        if not np.isfinite(K).all():
            raise InputError(f"K has NaN or infinite entries: {K.tolist()}")
        if K[0, 0] <= 0 or K[1, 1] <= 0:
            raise InputError(f"focal lengths are positive, but fx = {K[0, 0]:g}, fy = {K[1, 1]:g}")
        if K[1, 0] or K[0, 1] or K[2].tolist() != [0.0, 0.0, 1.0]:
            raise InputError(f"K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], got {K.tolist()}")
        object.__setattr__(self, "K", K)
        object.__setattr__(self, "source", CameraSource(self.source))


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One photograph, upright, with its camera where the file tells it.

    Attributes:
        pixels: sRGB, EXIF orientation applied.
        camera: Intrinsics of ``pixels``; None where neither the user nor the file knows them.
        name: What messages call it: a path, or "array".
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    camera: Camera | None = None
    name: str = "array"

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
class Sample:
    """One image of a dataset with its ground truth.

    Attributes:
        id: Unique in its dataset.
        image: RGB.
        depth: True depth [m], read only where ``depth_valid``.
        depth_valid: Pixels that have true depth.
        normals: True normals, towards the camera; read only where ``normals_valid``.
        normals_valid: Pixels that have true normals.
        sky: Pixels that are known to see no surface at all; disjoint from ``depth_valid``.
        camera: Intrinsics of ``image``.
    """

    id: str
    image: UInt8[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"] | None = None
    depth_valid: Bool[np.ndarray, "h w"] | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    normals_valid: Bool[np.ndarray, "h w"] | None = None
    sky: Bool[np.ndarray, "h w"] | None = None
    camera: Camera | None = None

    def __post_init__(self) -> None:
        size = self.image.shape[:2]
        for name in ("depth", "depth_valid", "normals", "normals_valid", "sky"):
            array = getattr(self, name)
            if array is not None and array.shape[-2:] != size:
                raise InputError(f"sample {self.id}: {name} is {array.shape}, the image {size}")
        if (self.depth is None) != (self.depth_valid is None):
            raise InputError(f"sample {self.id}: depth and depth_valid come together")
        if (self.normals is None) != (self.normals_valid is None):
            raise InputError(f"sample {self.id}: normals and normals_valid come together")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How depth became metres.

    Attributes:
        method: What was known: "known points" or "camera height".
        asked: What the user said: points as ``u,v,metres``, or the height.
        space: Where scale and shift apply: "depth", "inverse" or "log".
        scale: Fitted.
        shift: Fitted; 0 where none was.
        residuals: Fitted minus known, one each of what was asked [m].
        warning: What deserves a look; None where nothing does.
    """

    method: str
    asked: tuple[str, ...]
    space: str
    scale: float
    shift: float
    residuals: tuple[float, ...] = ()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says of one image, at that image's resolution.

    Attributes:
        depth: None where the model gives none.
        normals: Unit, camera frame, towards the camera; None where the model gives none.
        confidence: In [0, 1], larger is surer; None where the model gives none.
        camera: The intrinsics that go with it.
        calibration: How depth became metres; None where nobody asked for them.
        photo: The photograph itself, for coloured surfaces; None when read back from files.
        made_by: Model, weights and settings.
    """

    depth: DepthMap | None = None
    normals: Float32[np.ndarray, "3 h w"] | None = None
    confidence: Float32[np.ndarray, "h w"] | None = None
    camera: Camera | None = None
    calibration: Calibration | None = None
    photo: Photo | None = None
    made_by: MadeBy

    def __post_init__(self) -> None:
        sizes = {
            name: size
            for name, size in (
                ("depth", None if self.depth is None else self.depth.shape),
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
                object.__setattr__(self, name, _read_only(array))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        for part in (self.depth, self.photo):
            if part is not None:
                return part.shape
        assert self.normals is not None, "a prediction has depth or normals"
        height, width = self.normals.shape[-2:]
        return height, width


def _read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """The same numbers, which nobody changes by way of the record; the caller's stay writable."""
    view = array.view()
    view.flags.writeable = False
    return view
