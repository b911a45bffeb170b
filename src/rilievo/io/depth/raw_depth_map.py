"""Raw values of a depth map and their valid pixels, as the plausibility checks use them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, StoredMap, Values
from rilievo.io.depth.encoding import equals_any

SAME_FLOAT = 1e-6
"""Relative difference below which two floats are the same value."""
MIN_NEIGHBOURS = 200
"""Minimum count of neighbouring pixel pairs for statistics on how depth changes."""
MAX_SURFACE_STEP = 0.03
"""Largest difference of neighbours on one surface, relative to their depth."""
MAX_SYNTHETIC_VALUES = 8
"""A synthetic scene of a few flat walls has at most so many distinct values.

In such a scene a frequent value is no sign of a background.
"""
_MAX_SYNTHETIC_SAMPLES = 5000
_MAX_CHANCE_BORDERS = 0.1
"""Fraction of a background's border pixels at which depth continues smoothly by chance."""
_MAX_8_BIT = 255  # whole floats with a larger median are counts, because metres have fractions


@dataclass(frozen=True, slots=True, kw_only=True)
class RawDepthMap:
    """Raw values of a depth map, and which of them hold depth.

    Attributes:
        raw_values: Values as they are stored.
        values: The same as float64.
        valid: Pixels whose value is positive, finite and not declared to be invalid.
        integer_type: Type of the values if they are integers, or floats without fractions.
        unit: Metres per raw value; None if the conversion is not a single factor.
        zero_is_depth: Whether zero is not declared to be invalid.
        is_unit_given: Whether the user declares the unit.
        is_unit_guessed: Whether neither the user nor the file states the unit.
    """

    raw_values: StoredMap
    values: Float64[np.ndarray, "h w"]
    valid: Mask
    integer_type: np.dtype | None
    unit: float | None
    zero_is_depth: bool
    is_unit_given: bool
    is_unit_guessed: bool

    @property
    def valid_values(self) -> Values:
        """Values of the valid pixels, flattened."""
        return self.values[self.valid]

    def format_value(self, value: float) -> str:
        """Format a value as the user would write it in rilievo.yaml."""
        if self.integer_type is not None:
            return f"{int(value)}"
        text = f"{np.float32(value):.7g}"
        # YAML reads 1e+10 as a string, and 1.0e+10 as a number.
        return text if "." in text else text.replace("e", ".0e")


def make_raw_depth_map(
    raw_values: StoredMap,
    *,
    invalid: Sequence[float],
    unit: float | None,
    max_depth: float | None,
    is_unit_given: bool,
    is_unit_guessed: bool,
) -> RawDepthMap:
    """Find the raw values that hold depth; the arguments are those of ``plausibility_warnings``."""
    with np.errstate(invalid="ignore", over="ignore"):
        values = raw_values.astype(np.float64)
        valid = np.isfinite(values) & (values > 0) & ~equals_any(raw_values, tuple(invalid))
        if max_depth is not None and unit is not None:
            valid &= values * unit <= max_depth
    return RawDepthMap(
        raw_values=raw_values,
        values=values,
        valid=valid,
        integer_type=_integer_type(raw_values.dtype, values[valid]),
        unit=unit,
        zero_is_depth=0 not in invalid,
        is_unit_given=is_unit_given,
        is_unit_guessed=is_unit_guessed,
    )


def _integer_type(stored_type: np.dtype, values: Values) -> np.dtype | None:
    """Return the type of integers, or the smallest that holds whole floats; None for other floats.

    Floats are counts only if they are too large for metres.
    """
    if stored_type.kind in "ui":
        return stored_type
    if not values.size or values.max() >= 2**32 or np.median(values) <= _MAX_8_BIT:
        return None
    if (values % 1 != 0).any():
        return None
    return np.dtype(np.uint16 if values.max() < 2**16 else np.uint32)


def format_pixel_count(count: int) -> str:
    """Text such as "1 pixel" or "5 pixels"."""
    return "1 pixel" if count == 1 else f"{count} pixels"


def is_synthetic(values: Values) -> bool:
    """Whether there are so few distinct values as in a synthetic scene of a few flat walls."""
    samples = values[:: max(1, values.size // _MAX_SYNTHETIC_SAMPLES)]
    return len(np.unique(samples)) <= MAX_SYNTHETIC_VALUES


def neighbour_slices() -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield a pair of 2-D slices per axis: pixels, and their right or lower neighbours."""
    everything, all_but_last, all_but_first = slice(None), slice(None, -1), slice(1, None)
    yield (everything, all_but_last), (everything, all_but_first)
    yield (all_but_last, everything), (all_but_first, everything)


def scan_directions(*planes: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield the planes turned in four ways, whose rows go down, up, right and left in the map."""
    for turned_planes in (planes, [plane.T for plane in planes]):
        yield [*turned_planes]
        yield [plane[::-1] for plane in turned_planes]


def has_smooth_borders(raw_map: RawDepthMap, value: float, valid: Mask | None = None) -> bool:
    """Whether depth continues smoothly beside the pixels with a value, as beside a wall.

    A background or a mark of "no depth" has a jump at its border instead.

    ``valid`` are the pixels with depth, by default those of the map.
    """
    valid = raw_map.valid if valid is None else valid
    has_value = valid & (raw_map.values == value)
    has_other_value = valid & (raw_map.values != value)
    # The smallest values, such as 0, have a hundredth of the largest as their scale.
    depth_scale = max(value, float(raw_map.values[has_other_value].max()) / 100)
    # Neighbours on a surface may always differ by one quantization step, however coarse it is.
    quantization_step = float(np.diff(np.unique(raw_map.values[valid])).min(initial=np.inf))
    max_step = max(MAX_SURFACE_STEP * depth_scale, quantization_step * (1 + SAME_FLOAT))

    steps_by_direction = []
    for pixels, neighbours in neighbour_slices():
        for inside, outside in ((pixels, neighbours), (neighbours, pixels)):
            is_border = has_value[inside] & has_other_value[outside]
            steps_by_direction.append(np.abs(raw_map.values[outside][is_border] - value))
    border_steps = np.concatenate(steps_by_direction)
    if border_steps.size < MIN_NEIGHBOURS // 4:
        return True  # Too few borders to suspect anything.
    smooth_border_count = int(np.count_nonzero(border_steps <= max_step))
    return smooth_border_count > _MAX_CHANCE_BORDERS * border_steps.size
