"""Depth maps; ``rilievo.records.sample`` has the conventions."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from operator import index

import numpy as np

from rilievo.arrays.array_records import no_hash, read_only, same_record
from rilievo.arrays.shapes import Field, Mask
from rilievo.errors import InputError, suggest
from rilievo.errors.messages import OptionName, Text


class DepthKind(StrEnum):
    """Kind of the values of a depth map.

    Examples:
        >>> rilievo.DepthKind("up_to_scale").is_depth
        True
    """

    METRIC = "metric"
    """Depth in metres."""
    UP_TO_SCALE = "up_to_scale"
    """Depth times an unknown positive factor."""
    AFFINE = "affine"
    """Depth times an unknown positive factor, plus an unknown shift."""
    AFFINE_INVERSE = "affine_inverse"
    """Inverse depth times an unknown positive factor, plus an unknown shift."""

    @property
    def is_depth(self) -> bool:
        """Whether the values are depth, in metres or up to one factor."""
        return self in (DepthKind.METRIC, DepthKind.UP_TO_SCALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthMap:
    """Depth of one image, with the kind of its values.

    It is not an array, so that values that are not metres are never scored or unprojected by
    mistake.

    Examples:
        >>> rilievo.DepthMap(values=np.ones((2, 3), np.float32), kind=rilievo.DepthKind.METRIC)
        DepthMap(3x2, metric 1 to 1 m)

    Attributes:
        values: Values of the kind; NaN where not ``valid``.
        valid: Mask of pixels with depth, which is finite, and positive unless the kind is affine.
        is_distance: Whether depth is along the ray (fisheyes, panoramas), not z.

    Raises:
        InputError: If a value breaks these rules.
    """

    values: Field
    kind: DepthKind
    valid: Mask = field(default=None)  # pyright: ignore[reportAssignmentType]
    is_distance: bool = False

    __eq__ = same_record
    __hash__ = no_hash

    def __repr__(self) -> str:
        height, width = self.shape
        along = " along the ray" if self.is_distance else ""
        return f"DepthMap({width}x{height}, {self.kind} {self.span}{along})"

    @property
    def span(self) -> str:
        """Least and largest valid value."""
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
            hint = suggest(str(self.kind), DepthKind)
            raise InputError(f"a depth map has no kind '{self.kind}'; {hint}")
        kind = DepthKind(self.kind)
        inside = values if self.valid is None else values[valid]
        # Both are NaN if a value is.
        low, high = (inside.min(), inside.max()) if inside.size else (1.0, 1.0)
        if not np.isfinite([low, high]).all():
            raise InputError("a depth map has NaN or infinite values where it is valid")
        if kind.is_depth and low <= 0:
            raise InputError(f"a depth map of kind '{kind}' has values that are not positive")
        if inside.size < values.size:
            values = np.where(valid, values, np.float32(np.nan))
        object.__setattr__(self, "values", read_only(values))
        object.__setattr__(self, "valid", read_only(valid))
        object.__setattr__(self, "kind", kind)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError(
            f"a DepthMap of kind '{self.kind}' is not an array: take .values (and mind .kind), "
            "or .depth() for depth along the axis"
        )

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __array__
    __truediv__ = __rtruediv__ = __lt__ = __le__ = __gt__ = __ge__ = __array__

    def __getitem__(self, pixel: tuple[int, int]) -> float:
        """Value at ``depth[row, column]``; NaN where not valid."""
        try:
            row, column = map(index, pixel)
        except (TypeError, ValueError):
            raise TypeError(
                "a DepthMap is read at one pixel, depth[row, column]: take .values[...] for others"
            ) from None
        return float(self.values[row, column]) if self.valid[row, column] else math.nan

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        height, width = self.values.shape
        return height, width

    @property
    def is_depth(self) -> bool:
        """Whether the values are depth, in metres or up to one factor."""
        return self.kind.is_depth

    def depth(self) -> Field:
        """Depth in metres or up to one factor; NaN where not ``valid``.

        Raises:
            InputError: If the kind is affine.
        """
        if not self.is_depth:
            raise InputError(
                problem=Text(
                    f"values of kind '{self.kind}' are no depth, and surfaces made "
                    "of them are bent: calibrate them with two known distances or "
                    "more, ",
                    OptionName("known", "u,v,metres"),
                )
            )
        return self.values


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDepth:
    """Depth map of a photograph's own file.

    Attributes:
        source: "GDepth", "Dynamic Depth", "Apple", "HEIF", or "two views" with their distance.
        metres: Depth [m] of the photograph's size; 0 where there is none. None if unused.
        along_ray: Whether ``metres`` are distances from the camera.
        unused: Reason why there are no metres.
        broken: Whether the file is damaged or contradicts itself.
    """

    source: str
    metres: Field | None = None
    along_ray: bool = False
    unused: str | None = None
    broken: bool = False

    __eq__ = same_record
    __hash__ = no_hash

    @property
    def is_matched(self) -> bool:
        """Whether two views were matched."""
        return self.source.startswith("two views")
