"""Depth maps and the kind of their values; ``rilievo.records.sample`` states the conventions."""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from operator import index

import numpy as np

from rilievo.arrays.array_records import no_hash, read_only, same_record
from rilievo.arrays.shapes import Field, Float32, Mask
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
        """Whether the values are depth, metric or up to scale."""
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
        direction = " along the ray" if self.is_distance else ""
        return f"DepthMap({width}x{height}, {self.kind} {self.span}{direction})"

    @property
    def span(self) -> str:
        """Range of the valid values in words, such as "0.5 to 3.2 m"; "nowhere" without any."""
        valid_values = self.values[self.valid]
        if not valid_values.size:
            return "nowhere"
        unit = " m" if self.kind is DepthKind.METRIC else ""
        return f"{valid_values.min():.3g} to {valid_values.max():.3g}{unit}"

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=np.float32)
        if values.ndim != 2 or values.size == 0:
            raise InputError(
                f"a depth map must be (height, width), but this one has the shape {values.shape}"
            )
        valid = np.ones(values.shape, bool) if self.valid is None else np.asarray(self.valid)
        _check_mask(valid, values.shape)
        kind = _check_kind(self.kind)

        valid_values = values if self.valid is None else values[valid]
        _check_values(valid_values, kind)
        if valid_values.size < values.size:
            values = np.where(valid, values, np.float32(np.nan))

        # The dataclass is frozen, so its fields are replaced in this way.
        object.__setattr__(self, "values", read_only(values))
        object.__setattr__(self, "valid", read_only(valid))
        object.__setattr__(self, "kind", kind)

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError(
            f"a DepthMap of kind '{self.kind}' is not an array: use .depth(), which refuses "
            "kinds that are not depth, or .values, and check .kind"
        )

    # Arithmetic and comparisons call ``__array__``, which raises an error that says what to do.
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __array__
    __truediv__ = __rtruediv__ = __lt__ = __le__ = __gt__ = __ge__ = __array__

    def __getitem__(self, pixel: tuple[int, int]) -> float:
        """Value at ``depth[row, column]``; NaN where not valid.

        Raises:
            TypeError: If the index is not two whole numbers.
        """
        try:
            row, column = map(index, pixel)
        except (TypeError, ValueError):
            raise TypeError(
                "a DepthMap can only be indexed at one pixel, depth[row, column]: use "
                ".values[...] for anything else"
            ) from None
        if not self.valid[row, column]:
            return math.nan
        return float(self.values[row, column])

    @property
    def shape(self) -> tuple[int, int]:
        """Size (height, width)."""
        height, width = self.values.shape
        return height, width

    @property
    def is_depth(self) -> bool:
        """Whether the values are depth, metric or up to scale."""
        return self.kind.is_depth

    def depth(self) -> Field:
        """Depth, metric or up to scale; NaN where not ``valid``.

        Raises:
            InputError: If the kind is affine.
        """
        if not self.is_depth:
            raise InputError(
                problem=Text(
                    f"values of kind '{self.kind}' are not depth, because their scale and "
                    "shift are unknown: calibrate them with two or more known distances (",
                    OptionName("known", "u,v,metres"),
                    ")",
                )
            )
        return self.values


def _check_mask(valid: np.ndarray, size: tuple[int, ...]) -> None:
    if valid.shape != size or valid.dtype != bool:
        raise InputError(
            f"the mask of a depth map must have the map's shape {size} and the type bool, got "
            f"{valid.shape} and {valid.dtype}"
        )


def _check_kind(kind: DepthKind | str) -> DepthKind:
    if kind not in list(DepthKind):
        raise InputError(f"a depth map has no kind '{kind}'; {suggest(str(kind), DepthKind)}")
    return DepthKind(kind)


def _check_values(valid_values: Float32[np.ndarray, "..."], kind: DepthKind) -> None:
    """Check that valid values are finite, and positive if they are depth."""
    if not valid_values.size:
        return
    # Both extremes are NaN if any value is.
    least, largest = valid_values.min(), valid_values.max()
    if not np.isfinite([least, largest]).all():
        raise InputError(
            "a depth map has NaN or infinite values at valid pixels: exclude these pixels from "
            "its mask"
        )
    if kind.is_depth and least <= 0:
        raise InputError(
            f"a depth map of kind '{kind}' has values that are not positive at valid pixels: "
            "exclude these pixels from its mask"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDepth:
    """Depth map in a photograph's file, or the reason why it gives no metres.

    Either ``metres`` or ``unused`` is None.

    Attributes:
        source: "GDepth", "Dynamic Depth", "Apple", "HEIF", or "two views" with their distance.
        metres: Depth [m] at the photograph's size; 0 where it is unknown. None if the map cannot be
            used.
        along_ray: Whether ``metres`` are distances along the ray, not z.
        unused: Reason why there are no metres; None if there are.
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
        """Whether the depth comes from matching two views of a spatial photograph."""
        return self.source.startswith("two views")
