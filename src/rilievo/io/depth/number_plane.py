"""Numbers of a depth file on the way to its warnings: one plane, and the pixels that hold depth."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Mask, Shaped, Values
from rilievo.io.depth.encoding import equals_any

SAME_FLOAT = 1e-6
"""Relative difference below which two floats are the same number."""
MIN_NEIGHBOURS = 200
"""Least pairs of neighbouring pixels that tell how depth changes."""
MAX_SURFACE_STEP = 0.03
"""Largest difference of neighbours on one surface, relative to their depth."""
MAX_SYNTHETIC_NUMBERS = 8
"""Scenes of a few flat walls have so few numbers, and none of them is suspicious by its pixels."""
_MAX_SYNTHETIC_SAMPLES = 5000
_MAX_CHANCE_BORDERS = 0.1
"""Share of the borders of a background at which depth goes on smoothly by chance."""
_MAX_8_BIT = (
    255  # Floats with a larger median and no fraction are counts, as metres have fractions.
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPlane:
    """Stored numbers of a map, and which of them hold depth.

    Attributes:
        values: All numbers as float64.
        known: Pixels whose number is positive, finite and not declared to be invalid.
        integer_type: Type of the numbers if they are integers, or floats without fractions.
        unit: Metres of one number; None if that is not one factor.
        zero_is_depth: Whether zero is not declared to be invalid.
        is_unit_declared: Whether the user declares the unit.
        is_unit_guessed: Whether neither the user nor the file says the unit.
    """

    values: Shaped[np.ndarray, "h w"]
    known: Mask
    integer_type: np.dtype | None
    unit: float | None
    zero_is_depth: bool
    is_unit_declared: bool
    is_unit_guessed: bool

    @property
    def known_numbers(self) -> Values:
        """Numbers that hold depth, in one row."""
        return self.values[self.known]

    def format(self, number: float) -> str:
        """Write a number as the user writes it in the data's file."""
        if self.integer_type is not None:
            return f"{int(number)}"
        text = f"{np.float32(number):.7g}"
        # YAML takes 1e+10 for a text, and 1.0e+10 for a number.
        return text if "." in text else text.replace("e", ".0e")


def make_number_plane(
    stored: Shaped[np.ndarray, "h w"],
    *,
    invalid: Sequence[float],
    unit: float | None,
    max_depth: float | None,
    is_unit_declared: bool,
    is_unit_guessed: bool,
) -> NumberPlane:
    """Find the numbers of a file that hold depth (``plausibility_warnings`` has the arguments)."""
    with np.errstate(invalid="ignore", over="ignore"):
        values = stored.astype(np.float64)
        known = np.isfinite(values) & (values > 0) & ~equals_any(stored, tuple(invalid))
        if max_depth is not None and unit is not None:
            known &= values * unit <= max_depth
    return NumberPlane(
        values=values,
        known=known,
        integer_type=_integer_type(stored.dtype, values[known]),
        unit=unit,
        zero_is_depth=0 not in invalid,
        is_unit_declared=is_unit_declared,
        is_unit_guessed=is_unit_guessed,
    )


def _integer_type(stored_type: np.dtype, numbers: Values) -> np.dtype | None:
    """Type of integers, or of floats that are all whole counts; None for other floats."""
    if stored_type.kind in "ui":
        return stored_type
    if not numbers.size or numbers.max() >= 2**32 or np.median(numbers) <= _MAX_8_BIT:
        return None
    if (numbers % 1 != 0).any():
        return None
    return np.dtype(np.uint16 if numbers.max() < 2**16 else np.uint32)


def is_synthetic(numbers: Values) -> bool:
    """Whether numbers are those of a few flat walls, as in a made-up scene."""
    samples = numbers[:: max(1, numbers.size // _MAX_SYNTHETIC_SAMPLES)]
    return len(np.unique(samples)) <= MAX_SYNTHETIC_NUMBERS


def neighbour_slices() -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield two slices of a map for each direction: pixels, and their right or lower neighbours."""
    every, head, tail = slice(None), slice(None, -1), slice(1, None)
    yield (every, head), (every, tail)
    yield (head, every), (tail, every)


def has_smooth_borders(plane: NumberPlane, number: float, known: Mask | None = None) -> bool:
    """Whether depth beside the pixels of a number comes near it, as beside a wall.

    Args:
        plane: All numbers.
        number: The number in question.
        known: Pixels with depth, if they are others than those of the plane.
    """
    known = plane.known if known is None else known
    has_number = known & (plane.values == number)
    has_other = known & (plane.values != number)
    scale = max(number, float(plane.values[has_other].max()) / 100)
    # Neighbours on a surface differ by one step at least, however coarse it is.
    least_step = float(np.diff(np.unique(plane.values[known])).min(initial=np.inf))
    max_step = max(MAX_SURFACE_STEP * scale, least_step * (1 + SAME_FLOAT))

    smooth_borders, borders = 0, 0
    for first, second in neighbour_slices():
        for inside, outside in ((first, second), (second, first)):
            is_border = has_number[inside] & has_other[outside]
            steps = np.abs(plane.values[outside][is_border] - number)
            borders += steps.size
            smooth_borders += int(np.count_nonzero(steps <= max_step))
    return borders < MIN_NEIGHBOURS // 4 or smooth_borders > _MAX_CHANCE_BORDERS * borders
