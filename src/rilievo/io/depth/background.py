"""Numbers that may mean "no depth" or a background: they stand apart from all other depth.

A wall square to the camera and the horizon of level ground have one number at many pixels, too.
They are told from a background by the depth at their borders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Mask, Values
from rilievo.io.depth.number_plane import (
    MAX_SYNTHETIC_NUMBERS,
    SAME_FLOAT,
    NumberPlane,
    has_smooth_borders,
    is_synthetic,
    neighbour_slices,
)

_MIN_PIXELS = 5
_FAR_RULES = ((1.1, 0.05), (1.25, 0.02), (2.0, 0.005), (3.0, 0.0002))
"""Least ratios of the largest number to the others, each with the least share of pixels that hold
it, at which it stands apart."""
_NEAR_RULES = ((3.0, 0.005), (2.0, 0.01), (1.25, 0.05))
"""The same for the others and the smallest number."""
_CLEAR_NEAR_RULES = _NEAR_RULES[:1]
_MIN_FAR_RATIO = 1.1  # of the largest number to the others, below which it never stands apart
_MIN_TYPE_MAX_RATIO = 1.25  # the same for the largest number of a type, whatever its pixels
_MIN_TYPE_MAX_PIXELS = 0.001  # of all pixels, for the largest number of a type among close others
_MIN_ISOLATED_PIXELS = 0.002  # of all pixels, with a number that borders on no depth near it
_MIN_RANGE_END_PIXELS = 0.005  # of all pixels, with an end of a stated range
_MIN_SYNTHETIC_RATIO = 10  # of a background to the other numbers of a scene of a few flat walls
_MAX_MEASURED_PIXELS = 1 / 20  # of all pixels; a number of more is hardly measured
_MIN_WALL_PIXELS, _MAX_WALL_RATIO = 0.5, 3.0
"""The farthest number of so many pixels, less than so many times as far as the others, is a wall
square to the camera."""
_MAX_OUTLINE = 40  # square of the outline over the area, of a compact shape; a square has 16
_MIN_CONTINUED_BORDERS = 0.5  # of the borders, at which a plane continues to a number
_MAX_PLANE_ERROR = 0.1  # in inverse depth, relative to the step before
_MAX_MARKS = 3  # numbers that are far from all depth
_MIN_MARK_RATIO = 1.25  # of such a number to the largest depth


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extreme:
    """The largest or smallest number of a map, and how far it is from the others.

    Attributes:
        number: The number.
        count: Pixels that hold it.
        fraction: The same as a fraction of all pixels.
        others: Known numbers besides it.
        ratio: Ratio to the nearest of the others, at least about 1.
    """

    number: float
    count: int
    fraction: float
    others: Values
    ratio: float

    def stands_apart(self, rules: Sequence[tuple[float, float]]) -> bool:
        """Whether its ratio and its fraction are those of one of the rules, or larger."""
        return any(
            self.ratio >= min_ratio and self.fraction >= min_fraction
            for min_ratio, min_fraction in rules
        )


def background_warnings(plane: NumberPlane, *, are_codes: bool) -> Iterator[str]:
    """Warn about numbers that may mean "no depth" or a background.

    Args:
        plane: Numbers of the map.
        are_codes: Whether numbers are codes between a nearest and a farthest depth.
    """
    if np.count_nonzero(plane.known) <= _MIN_PIXELS:
        return
    if are_codes:
        warnings = [*_range_end_warnings(plane)]
    else:
        warnings = [*_largest_number_warnings(plane), *_smallest_number_warnings(plane)]
    yield from warnings or _isolated_number_warnings(plane)


def far_marks(plane: NumberPlane) -> Mask:
    """Pixels of the few largest numbers, if these are far from all others, as marks are."""
    marks = np.zeros_like(plane.known)
    for _ in range(_MAX_MARKS):
        numbers = plane.values[plane.known & ~marks]
        if not numbers.size:
            break
        largest = float(numbers.max())
        marks |= plane.values == largest
        others = numbers[numbers < largest]
        is_frequent = np.count_nonzero(numbers == largest) >= (
            _MIN_ISOLATED_PIXELS * plane.values.size
        )
        if not is_frequent or not others.size:
            break
        if largest > _MIN_MARK_RATIO * others.max():
            return marks & plane.known
    return np.zeros_like(plane.known)


def _range_end_warnings(plane: NumberPlane) -> Iterator[str]:
    """Warn about the ends of a range, which holes and backgrounds have, too."""
    if plane.integer_type is None:
        return
    type_max = float(np.iinfo(plane.integer_type).max)
    known = plane.known | ((plane.values == 0) & plane.zero_is_depth)
    for end, words in ((0.0, "nearest"), (type_max, "farthest")):
        at_end = known & (plane.values == end)
        fraction = np.count_nonzero(at_end) / plane.values.size
        others = plane.values[known & ~at_end]
        if fraction < _MIN_RANGE_END_PIXELS or others.size <= _MIN_PIXELS or is_synthetic(others):
            continue
        gap = np.quantile(others, 0.001) if end == 0 else type_max - np.quantile(others, 0.999)
        is_frequent = fraction >= _MAX_MEASURED_PIXELS
        if gap > type_max / 20 or (is_frequent and not has_smooth_borders(plane, end, known)):
            yield (
                f"{np.count_nonzero(at_end)} pixels ({fraction:.1%}) hold {end:.0f}, which is the "
                f"{words} depth of the range that is stated, apart from all others: if it marks "
                f"'none', say 'invalid: {end:.0f}'"
            )


def _largest_number_warnings(plane: NumberPlane) -> Iterator[str]:
    """Warn about the largest number, if it is that of its type or stands apart from the others."""
    largest = _find_extreme(plane, is_far=True)
    if largest is None:
        return
    if _is_largest_of_type(plane, largest.number):
        yield from _type_max_warnings(plane, largest)
    elif _is_worth_a_warning(largest) and _is_far_background(plane, largest):
        yield _extreme_words(plane, largest)


def _smallest_number_warnings(plane: NumberPlane) -> Iterator[str]:
    """Warn about the smallest number, if it stands apart as a mark of "no depth" does."""
    smallest = _find_extreme(plane, is_far=False)
    if smallest is None:
        return
    if _is_worth_a_warning(smallest) and _is_near_mark(plane, smallest):
        yield _extreme_words(plane, smallest)


def _find_extreme(plane: NumberPlane, *, is_far: bool) -> _Extreme | None:
    """Largest or smallest number of a map; None if there are hardly any others."""
    numbers = plane.known_numbers
    extreme = float(numbers.max() if is_far else numbers.min())
    is_extreme = np.abs(numbers - extreme) <= SAME_FLOAT * extreme
    others = numbers[~is_extreme]
    if others.size <= _MIN_PIXELS:
        return None

    if is_far:
        near_end, most = np.quantile(others, (0.999, 0.98))
        ratio = extreme / near_end
        # Anti-aliased edges blend a huge background into up to a fiftieth of the other pixels.
        if extreme > 10 * most:
            ratio = max(ratio, extreme / most)
    else:
        ratio = float(np.quantile(others, 0.001)) / extreme
    count = int(np.count_nonzero(is_extreme))
    fraction = count / plane.values.size
    return _Extreme(number=extreme, count=count, fraction=fraction, others=others, ratio=ratio)


def _is_largest_of_type(plane: NumberPlane, number: float) -> bool:
    """Whether a number is the largest that its type can hold; 255 of 8 bits does not count."""
    if plane.integer_type is None:
        return number in (float(np.finfo(np.float16).max), float(np.finfo(np.float32).max))
    return number == np.iinfo(plane.integer_type).max and plane.integer_type.itemsize > 1


def _type_max_warnings(plane: NumberPlane, largest: _Extreme) -> Iterator[str]:
    """Warn about the largest number of a type, unless it is one of many close ones."""
    is_far = largest.ratio >= _MIN_TYPE_MAX_RATIO
    if largest.count < _MIN_PIXELS and not is_far:
        return
    is_frequent = largest.fraction >= _MIN_TYPE_MAX_PIXELS
    if is_far or is_frequent or largest.stands_apart(_FAR_RULES):
        shown = plane.format(largest.number)
        yield (
            f"{largest.count} pixels hold {shown}, the largest number of the type, "
            f"which mostly means 'none', as a background does; say 'invalid: [0, {shown}]'"
        )


def _is_worth_a_warning(extreme: _Extreme) -> bool:
    """Whether a number has enough pixels, and does not belong to a scene of a few flat walls."""
    is_wall = is_synthetic(extreme.others) and extreme.ratio < _MIN_SYNTHETIC_RATIO
    return extreme.count >= _MIN_PIXELS and not is_wall


def _is_far_background(plane: NumberPlane, largest: _Extreme) -> bool:
    """Whether the largest number stands apart, and is neither a wall nor the end of a plane."""
    stands_apart = largest.stands_apart(_FAR_RULES)
    may_be_isolated = largest.ratio >= _MIN_FAR_RATIO and largest.fraction >= _MIN_ISOLATED_PIXELS
    if not stands_apart and may_be_isolated:
        stands_apart = not has_smooth_borders(plane, largest.number)
    is_wall = largest.fraction > _MIN_WALL_PIXELS and largest.ratio < _MAX_WALL_RATIO
    return stands_apart and not is_wall and not _continues_planes(plane, largest.number)


def _is_near_mark(plane: NumberPlane, smallest: _Extreme) -> bool:
    """Whether the smallest number stands apart, and is no board in front of everything."""
    if plane.integer_type is None:
        # A mark of zero that was scaled; no background is near.
        return smallest.stands_apart(_CLEAR_NEAR_RULES)
    if not smallest.stands_apart(_NEAR_RULES):
        return False
    is_clear = smallest.ratio >= _CLEAR_NEAR_RULES[0][0]
    return is_clear or not _is_flat_object(plane, smallest.number)


def _extreme_words(plane: NumberPlane, extreme: _Extreme) -> str:
    """Say that an extreme number may mean "no depth", and how the user declares it."""
    shown = plane.format(extreme.number)
    low, high = np.quantile(extreme.others, (0.001, 0.999))
    is_integer = plane.integer_type is not None
    others = f"{int(low)} to {int(high)}" if is_integer else f"{low:.5g} to {high:.5g}"
    return (
        f"{extreme.fraction:.1%} of the pixels hold the number {shown}, which may mean 'none' or a "
        f"background, since all others are apart from it ({others}); say 'invalid: [0, {shown}]' "
        "if so"
    )


def _isolated_number_warnings(plane: NumberPlane) -> Iterator[str]:
    """Warn about the most frequent number, if no neighbours have almost the same depth."""
    numbers, counts = np.unique(plane.known_numbers, return_counts=True)
    index = int(np.argmax(counts))
    number, fraction = float(numbers[index]), counts[index] / plane.values.size
    if fraction < _MAX_MEASURED_PIXELS or numbers.size <= MAX_SYNTHETIC_NUMBERS:
        return
    is_largest = index == numbers.size - 1
    if is_largest and fraction > _MIN_WALL_PIXELS and number < _MAX_WALL_RATIO * numbers[-2]:
        return
    has_other = plane.known & (plane.values != number)
    if is_synthetic(plane.values[has_other]):
        return
    if has_smooth_borders(plane, number) or _is_flat_object(plane, number):
        return
    shown = plane.format(number)
    yield (
        f"{fraction:.0%} of the pixels hold the number {shown}, which may mean 'none', since depth "
        f"beside them does not come near it; say 'invalid: [0, {shown}]' if so"
    )


def _is_flat_object(plane: NumberPlane, number: float) -> bool:
    """Whether the pixels of a number have a compact shape inside the picture, as a board has.

    The square of the outline is 16 times the area of a square, and far more where holes of a sensor
    are ragged or many. Regions without depth mostly reach the border of the picture.
    """
    mask = plane.known & (plane.values == number)
    if mask[[0, -1]].any() or mask[:, [0, -1]].any():
        return False
    outline = sum(
        int(np.count_nonzero(mask[first] != mask[second])) for first, second in neighbour_slices()
    )
    return outline**2 < _MAX_OUTLINE * int(np.count_nonzero(mask))


def _continues_planes(plane: NumberPlane, number: float) -> bool:
    """Whether planes go on to the pixels of a number, as level ground goes on to its farthest row.

    The inverse depth of a plane changes by equal steps from pixel to pixel.
    """
    with np.errstate(divide="ignore"):
        inverse = np.where(plane.known, 1 / plane.values, np.nan)
    has_number = plane.values == number
    continued, borders = 0, 0
    for rows, mask in ((inverse, has_number), (inverse.T, has_number.T)):
        for step in (1, -1):
            ordered, is_number = rows[::step], mask[::step]
            is_border = is_number[:-2] & ~is_number[1:-1] & ~is_number[2:]
            first, second = ordered[1:-1][is_border], ordered[2:][is_border]
            is_known = np.isfinite(first) & np.isfinite(second)
            step_to_number = (first - 1 / number)[is_known]
            step_before = (second - first)[is_known]
            is_even = np.abs(step_to_number - step_before) <= _MAX_PLANE_ERROR * step_before
            borders += step_before.size
            continued += int(np.count_nonzero((step_before > 0) & is_even))
    return continued > _MIN_CONTINUED_BORDERS * borders
