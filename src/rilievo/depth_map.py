"""Cameras and depth maps, parts of the records in ``rilievo.types``, which has the conventions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float32, Float64, Shaped

from rilievo.errors import InputError, suggest


def same_record(self: object, other: object) -> bool:
    """``__eq__`` of a record: whether both have the same class and equal fields.

    Arrays are equal if shape, type and all values are; NaN equals NaN.
    """
    if type(self) is not type(other):
        return False
    names = [field.name for field in fields(self)]  # pyright: ignore[reportArgumentType]
    return all(_same(getattr(self, name), getattr(other, name)) for name in names)


def no_hash(self: object) -> int:
    """``__hash__`` of a record that contains arrays, which is not hashable."""
    raise TypeError(
        f"a {type(self).__name__} holds arrays and has no hash: use its file's name, or id(...), "
        "as the key"
    )


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return dict(one) == dict(other)
    return one is other or bool(one == other)


class CameraSource(StrEnum):
    """Source of a photograph's intrinsics."""

    GIVEN = "given"
    FOV = "fov"
    EXIF_35MM = "exif_35mm"
    EXIF_SENSOR = "exif_sensor"
    PREDICTED = "predicted"
    MARKERS = "markers"
    VANISHING_POINTS = "vanishing_points"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Pinhole intrinsics of one image, and their source.

    Attributes:
        K: ``[[fx, 0, cx], [0, fy, cy], [0, 0, 1]]`` [px]; the top-left pixel's centre is (0, 0).
        source: Source of the intrinsics; ``ASSUMED`` is our default and may be far off.

    Raises:
        InputError: If K is not finite or a focal length is not positive.
    """

    K: Float64[np.ndarray, "3 3"]
    source: CameraSource = CameraSource.GIVEN

    __eq__ = same_record
    __hash__ = no_hash

    def __repr__(self) -> str:
        """Describe in one line."""
        (fx, _, cx), (_, fy, cy), _ = self.K
        return f"Camera(fx={fx:.6g}, fy={fy:.6g}, cx={cx:.6g}, cy={cy:.6g}, {self.source})"

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


class DepthKind(StrEnum):
    """Kind of the values of a depth map, which determines what is unknown about their scale."""

    METRIC = "metric"
    """Depth in metres."""
    UP_TO_SCALE = "up_to_scale"
    """Depth times one unknown positive factor: proportions are estimated, sizes are unknown."""
    AFFINE = "affine"
    """Depth times an unknown positive factor, plus an unknown shift."""
    AFFINE_INVERSE = "affine_inverse"
    """Inverse depth times an unknown positive factor, plus an unknown shift: large is near."""

    @property
    def is_depth(self) -> bool:
        """Whether values of this kind are depth itself, in metres or up to one factor."""
        return self in (DepthKind.METRIC, DepthKind.UP_TO_SCALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMap:
    """The depth of one image, with the kind of its values.

    It is not an array, so that values that are not metres are never scored or unprojected by
    mistake. Two functions convert it to metres: ``rilievo.align`` (with ground truth) and
    ``rilievo.calibrate`` (with known distances).

    Attributes:
        values: Values of the given kind, defined only where ``valid``.
        kind: Kind of the values.
        valid: Mask of pixels that have depth. There, all values are finite, and those of ``METRIC``
            and ``UP_TO_SCALE`` positive.

    Raises:
        InputError: If a value breaks these rules.
    """

    values: Float32[np.ndarray, "h w"]
    kind: DepthKind
    valid: Bool[np.ndarray, "h w"] = field(default=None)  # pyright: ignore[reportAssignmentType]

    __eq__ = same_record
    __hash__ = no_hash

    def __repr__(self) -> str:
        """Describe in one line."""
        height, width = self.shape
        return f"DepthMap({width}x{height}, {self.kind} {self.span})"

    @property
    def span(self) -> str:
        """Least and largest valid value, in words."""
        inside = self.values[self.valid]
        unit = " m" if self.kind is DepthKind.METRIC else ""
        return f"{inside.min():.3g} to {inside.max():.3g}{unit}" if inside.size else "nowhere"

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
        # Both are NaN if a value is.
        low, high = (inside.min(), inside.max()) if inside.size else (1.0, 1.0)
        if not np.isfinite([low, high]).all():
            raise InputError("a depth map has NaN or infinite values where it is valid")
        if kind.is_depth and low <= 0:
            raise InputError(f"a depth map of kind '{kind}' has values that are not positive")
        object.__setattr__(self, "values", read_only(values))
        object.__setattr__(self, "valid", read_only(valid))
        object.__setattr__(self, "kind", kind)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError(
            f"a DepthMap of kind '{self.kind}' is not an array: take .values (and mind .kind), "
            "or .depth() for depth along the axis"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        height, width = self.values.shape
        return height, width

    @property
    def is_depth(self) -> bool:
        """Whether the values are depth itself, in metres or up to one factor."""
        return self.kind.is_depth

    def depth(self) -> Float32[np.ndarray, "h w"]:
        """Depth along the axis, in metres or up to one factor; defined only where ``valid``.

        Raises:
            InputError: If the kind is affine, whose values are not depth before calibration.
        """
        if not self.is_depth:
            raise InputError(
                f"values of kind '{self.kind}' are no depth, and surfaces made of them are bent: "
                "calibrate them with two known distances or more, --known u,v,metres "
                "(known=[(u, v, metres)])"
            )
        return self.values


def read_only(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    """A read-only view of an array; the caller's array stays writable."""
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDepth:
    """Depth map of a photograph's own file.

    Attributes:
        source: Format in the file: "GDepth", "Dynamic Depth", "Apple" or "HEIF".
        metres: Depth [m], upright, resized to the whole photograph; 0 where there is none. None if
            it is not used.
        along_ray: Whether ``metres`` are distances from the camera instead of depth along its axis.
        unused: Reason why there are no metres; None if there are.
        broken: Whether the reason is that the file is damaged or contradicts itself.
    """

    source: str
    metres: Float32[np.ndarray, "h w"] | None = None
    along_ray: bool = False
    unused: str | None = None
    broken: bool = False

    __eq__ = same_record
    __hash__ = no_hash
