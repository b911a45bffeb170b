"""Warn about raw values that may mean "no depth" or a background: they are outliers of the depth.

A wall parallel to the image plane and the horizon of level ground have one value at many pixels,
too. They are told from a background by the depth at their borders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Mask, Values
from rilievo.io.depth.raw_depth_map import (
    MAX_SYNTHETIC_VALUES,
    SAME_FLOAT,
    RawDepthMap,
    format_pixel_count,
    has_smooth_borders,
    is_synthetic,
    neighbour_slices,
    scan_directions,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _OutlierThreshold:
    """Ratio to the other values, and fraction of the pixels, at which a value is an outlier."""

    min_ratio: float
    min_fraction: float


_MIN_PIXELS = 5
_FAR_THRESHOLDS = (
    _OutlierThreshold(min_ratio=1.1, min_fraction=0.05),
    _OutlierThreshold(min_ratio=1.25, min_fraction=0.02),
    _OutlierThreshold(min_ratio=2.0, min_fraction=0.005),
    _OutlierThreshold(min_ratio=3.0, min_fraction=0.0002),
)
"""The largest value is an outlier if it reaches any of these. Rarer values need a larger ratio."""
_CLEARLY_NEAR = _OutlierThreshold(min_ratio=3.0, min_fraction=0.005)
_NEAR_THRESHOLDS = (
    _CLEARLY_NEAR,
    _OutlierThreshold(min_ratio=2.0, min_fraction=0.01),
    _OutlierThreshold(min_ratio=1.25, min_fraction=0.05),
)
"""The same for the smallest value, with the ratio of the others to it."""
_MIN_FAR_RATIO = 1.1  # of the largest value to the others; closer ones are never outliers
_MIN_TYPE_MAX_RATIO = 1.25  # the same for the largest value of a type, whatever its pixels
_MIN_TYPE_MAX_FRACTION = 0.001  # of all pixels, for the largest value of a type among close others
_MIN_ISOLATED_FRACTION = 0.002  # of all pixels, with a value whose borders are all jumps in depth
_MIN_RANGE_END_FRACTION = 0.005  # of all pixels, with an end of a stated range
_MAX_RANGE_OVER_GAP = 20  # type's range over the gap between such an end and all other codes
_MIN_SYNTHETIC_RATIO = 10  # of a background to the other values of a scene of a few flat walls
_MAX_MEASURED_FRACTION = 1 / 20  # of all pixels; a measured value is hardly more frequent
_MIN_WALL_FRACTION, _MAX_WALL_RATIO = 0.5, 3.0
"""If so large a fraction of the pixels has the largest value, which is less than so many times the
others, it is a wall parallel to the image plane."""
_MAX_OUTLINE = 40  # squared perimeter over area, of a compact shape; a square has 16
_MIN_CONTINUED_BORDERS = 0.5  # of the border pixels, at which a plane continues to a value
_MAX_PLANE_ERROR = 0.1  # in inverse depth, relative to the step before
_MAX_MARKS = 3  # distinct values that mean "no depth" in one map
_MIN_MARK_RATIO = 1.25  # of such a value to the largest depth


@dataclass(frozen=True, slots=True, kw_only=True)
class _ExtremeValue:
    """The largest or smallest raw value of a map, and how far it is from the others.

    Attributes:
        pixel_count: Pixels that have it.
        fraction: The same as a fraction of all pixels.
        ratio: Ratio between it and the nearest of the others, at least about 1.
    """

    value: float
    pixel_count: int
    fraction: float
    others: Values
    ratio: float

    def reaches(self, threshold: _OutlierThreshold) -> bool:
        """Whether it is an outlier by a threshold."""
        return self.ratio >= threshold.min_ratio and self.fraction >= threshold.min_fraction

    def is_outlier(self, thresholds: Sequence[_OutlierThreshold]) -> bool:
        """Whether it is an outlier by any of the thresholds."""
        return any(self.reaches(threshold) for threshold in thresholds)


def background_warnings(
    raw_map: RawDepthMap, *, are_codes: bool, are_marks_stated: bool = False
) -> list[str]:
    """Warn about values that may mean "no depth" or a background.

    The most frequent value is only examined if neither end of the values causes a warning, and if
    the user does not state which values mean "no depth" (``are_marks_stated``).

    ``are_codes`` says that values are codes between a nearest and a farthest depth.
    """
    if np.count_nonzero(raw_map.valid) <= _MIN_PIXELS:
        return []
    if are_codes:
        warnings = [*_range_end_warnings(raw_map)]
    else:
        ends = [_largest_value_warning(raw_map), _smallest_value_warning(raw_map)]
        warnings = [*filter(None, ends)]
    if warnings or are_marks_stated:
        return warnings
    return [*filter(None, [_isolated_value_warning(raw_map)])]


def find_far_marks(raw_map: RawDepthMap) -> Mask:
    """Find pixels whose value is a mark of "no depth" far beyond all depth, such as 65535.

    A map may have up to ``_MAX_MARKS`` such values. All of them are marks once the next value below
    is much smaller; if no such gap is found, there are none.
    """
    remaining = raw_map.valid_values
    for _ in range(_MAX_MARKS):
        largest = remaining.max(initial=0)
        below = remaining[remaining < largest]
        is_frequent = remaining.size - below.size >= _MIN_ISOLATED_FRACTION * raw_map.values.size
        if not is_frequent or not below.size:
            break
        if largest > _MIN_MARK_RATIO * below.max():
            return raw_map.valid & (raw_map.values >= largest)
        remaining = below  # The largest value is a mark only if a gap is found further below.
    return np.zeros_like(raw_map.valid)


def _range_end_warnings(raw_map: RawDepthMap) -> Iterator[str]:
    """Warn about codes at the two ends of a range, which may be holes and a background."""
    if raw_map.integer_type is None:
        return
    type_max = float(np.iinfo(raw_map.integer_type).max)
    valid = raw_map.valid | ((raw_map.values == 0) & raw_map.zero_is_depth)
    for end_code, end_name in ((0.0, "nearest"), (type_max, "farthest")):
        is_at_end = valid & (raw_map.values == end_code)
        fraction = np.count_nonzero(is_at_end) / raw_map.values.size
        others = raw_map.values[valid & ~is_at_end]
        if fraction < _MIN_RANGE_END_FRACTION or others.size <= _MIN_PIXELS or is_synthetic(others):
            continue
        # The quantiles leave out single wild pixels.
        is_nearest = end_code == 0
        next_code = np.quantile(others, 0.001 if is_nearest else 0.999)
        is_far_from_others = abs(end_code - next_code) > type_max / _MAX_RANGE_OVER_GAP
        is_frequent = fraction >= _MAX_MEASURED_FRACTION
        if is_far_from_others:
            reason = "far from all other values"
        elif is_frequent and not has_smooth_borders(raw_map, end_code, valid):
            reason = "not close to the depth next to these pixels"
        else:
            continue
        pixels = format_pixel_count(int(np.count_nonzero(is_at_end)))
        yield (
            f"{pixels} ({fraction:.1%}) have the value {end_code:.0f}, which is the {end_name} "
            f"depth of the stated range and {reason}: if it marks missing depth, set "
            f"'invalid: {end_code:.0f}'"
        )


def _largest_value_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about the largest value, if it is the largest of its type or an outlier."""
    largest = _find_extreme(raw_map, is_far=True)
    if largest is None:
        return None
    if _is_type_max(raw_map, largest.value):
        return _type_max_warning(raw_map, largest)
    is_background = _is_worth_a_warning(largest) and _is_far_background(raw_map, largest)
    return _outlier_message(raw_map, largest) if is_background else None


def _smallest_value_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about the smallest value, if it is an outlier as a mark of "no depth" is."""
    smallest = _find_extreme(raw_map, is_far=False)
    if smallest is None:
        return None
    is_mark = _is_worth_a_warning(smallest) and _is_near_mark(raw_map, smallest)
    return _outlier_message(raw_map, smallest) if is_mark else None


def _find_extreme(raw_map: RawDepthMap, *, is_far: bool) -> _ExtremeValue | None:
    """Find the largest or smallest value of a map; None if there are hardly any others."""
    values = raw_map.valid_values
    extreme = float(values.max() if is_far else values.min())
    is_extreme = np.abs(values - extreme) <= SAME_FLOAT * extreme
    others = values[~is_extreme]
    if others.size <= _MIN_PIXELS:
        return None

    pixel_count = int(np.count_nonzero(is_extreme))
    return _ExtremeValue(
        value=extreme,
        pixel_count=pixel_count,
        fraction=pixel_count / raw_map.values.size,
        others=others,
        ratio=_ratio_to_largest(extreme, others) if is_far else _ratio_to_smallest(extreme, others),
    )


def _ratio_to_largest(extreme: float, others: Values) -> float:
    """Return the ratio of the largest value to the next ones, without wild and blended pixels.

    The quantile of 0.999 leaves out single wild pixels. Anti-aliased edges blend a huge background
    into up to a fiftieth of the other pixels, so the quantile of 0.98 counts if it shows one.
    """
    next_largest, without_blended = np.quantile(others, (0.999, 0.98))
    ratio = extreme / next_largest
    is_huge = extreme > 10 * without_blended
    return max(ratio, extreme / without_blended) if is_huge else ratio


def _ratio_to_smallest(extreme: float, others: Values) -> float:
    """Return the ratio of the next values to the smallest one, without single wild pixels."""
    return float(np.quantile(others, 0.001)) / extreme


def _is_type_max(raw_map: RawDepthMap, value: float) -> bool:
    """Whether a value is the largest that its type can hold; 255 of 8 bits does not count."""
    if raw_map.integer_type is None:
        return value in (float(np.finfo(np.float16).max), float(np.finfo(np.float32).max))
    return value == np.iinfo(raw_map.integer_type).max and raw_map.integer_type.itemsize > 1


def _type_max_warning(raw_map: RawDepthMap, largest: _ExtremeValue) -> str | None:
    """Warn about the largest value of a type, unless it is rare and close to other values."""
    is_far = largest.ratio >= _MIN_TYPE_MAX_RATIO
    if largest.pixel_count < _MIN_PIXELS and not is_far:
        return None
    is_frequent = largest.fraction >= _MIN_TYPE_MAX_FRACTION
    if not (is_far or is_frequent or largest.is_outlier(_FAR_THRESHOLDS)):
        return None
    formatted = raw_map.format_value(largest.value)
    return (
        f"the value {formatted}, the largest of its type, is stored at "
        f"{format_pixel_count(largest.pixel_count)} and usually marks missing depth or a "
        f"background: to leave it out, set 'invalid: [0, {formatted}]'"
    )


def _is_worth_a_warning(extreme: _ExtremeValue) -> bool:
    """Whether a value has enough pixels, and does not belong to a scene of a few flat walls."""
    is_wall = is_synthetic(extreme.others) and extreme.ratio < _MIN_SYNTHETIC_RATIO
    return extreme.pixel_count >= _MIN_PIXELS and not is_wall


def _is_far_background(raw_map: RawDepthMap, largest: _ExtremeValue) -> bool:
    """Whether the largest value is an outlier, and is neither a wall nor the end of a plane."""
    is_wall = largest.fraction > _MIN_WALL_FRACTION and largest.ratio < _MAX_WALL_RATIO
    if is_wall or not _is_far_or_isolated(raw_map, largest):
        return False
    return not _ends_planes(raw_map, largest.value)


def _is_far_or_isolated(raw_map: RawDepthMap, largest: _ExtremeValue) -> bool:
    """Whether the largest value is an outlier, or less far, but with jumps at all its borders."""
    if largest.is_outlier(_FAR_THRESHOLDS):
        return True
    may_be_isolated = largest.ratio >= _MIN_FAR_RATIO and largest.fraction >= _MIN_ISOLATED_FRACTION
    return may_be_isolated and not has_smooth_borders(raw_map, largest.value)


def _is_near_mark(raw_map: RawDepthMap, smallest: _ExtremeValue) -> bool:
    """Whether the smallest value is an outlier, and not a flat object in front of everything."""
    if raw_map.integer_type is None:
        # In floats only a scaled zero is suspicious, and that is far below all depth.
        return smallest.reaches(_CLEARLY_NEAR)
    if not smallest.is_outlier(_NEAR_THRESHOLDS):
        return False
    is_clearly_nearer = smallest.ratio >= _CLEARLY_NEAR.min_ratio
    return is_clearly_nearer or not _is_flat_object(raw_map, smallest.value)


def _outlier_message(raw_map: RawDepthMap, extreme: _ExtremeValue) -> str:
    """Return the warning that an outlier may mean "no depth", with the key that declares it so."""
    formatted = raw_map.format_value(extreme.value)
    low, high = np.quantile(extreme.others, (0.001, 0.999))
    is_integer = raw_map.integer_type is not None
    others = f"{int(low)} to {int(high)}" if is_integer else f"{low:.5g} to {high:.5g}"
    return (
        f"{extreme.fraction:.1%} of the pixels have the value {formatted}, which may mark missing "
        f"depth or a background, because it is far from all other values ({others}): if it does, "
        f"set 'invalid: [0, {formatted}]'"
    )


def _isolated_value_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about the most frequent value, if the depth jumps at all borders of its pixels."""
    distinct_values, counts = np.unique(raw_map.valid_values, return_counts=True)
    most_frequent = int(np.argmax(counts))
    value = float(distinct_values[most_frequent])
    fraction = counts[most_frequent] / raw_map.values.size
    if fraction < _MAX_MEASURED_FRACTION or distinct_values.size <= MAX_SYNTHETIC_VALUES:
        return None
    is_largest = most_frequent == distinct_values.size - 1
    is_close_to_others = is_largest and value < _MAX_WALL_RATIO * distinct_values[-2]
    if is_close_to_others and fraction > _MIN_WALL_FRACTION:
        return None  # A wall behind all other surfaces.
    has_other_value = raw_map.valid & (raw_map.values != value)
    if is_synthetic(raw_map.values[has_other_value]):
        return None
    if has_smooth_borders(raw_map, value) or _is_flat_object(raw_map, value):
        return None
    formatted = raw_map.format_value(value)
    return (
        f"{fraction:.0%} of the pixels have the value {formatted}, which may mark missing depth, "
        "because the depth next to these pixels is never close to it: if it does, set "
        f"'invalid: [0, {formatted}]', and if it is depth, set 'invalid: [0]'"
    )


def _is_flat_object(raw_map: RawDepthMap, value: float) -> bool:
    """Whether the pixels with a value have a compact shape inside the picture, as a board has.

    Compactness is the squared perimeter over the area: 16 for a square, and far more where a
    sensor's holes are ragged or many. Regions without depth mostly reach the border of the picture.
    """
    mask = raw_map.valid & (raw_map.values == value)
    touches_picture_border = mask[[0, -1]].any() or mask[:, [0, -1]].any()
    if touches_picture_border:
        return False
    perimeter = sum(
        int(np.count_nonzero(mask[pixels] != mask[neighbours]))
        for pixels, neighbours in neighbour_slices()
    )
    area = int(np.count_nonzero(mask))
    return perimeter**2 < _MAX_OUTLINE * area


def _ends_planes(raw_map: RawDepthMap, value: float) -> bool:
    """Whether planes lead up to the pixels with a value, as level ground does to its farthest row.

    The inverse depth of a plane changes by equal steps from pixel to pixel. So where the pixels
    with the value end, both steps between the last of them and the two pixels beyond it have to be
    equal, and to lead towards the value from nearer depth. That has to be so at most borders.
    """
    with np.errstate(divide="ignore"):
        inverse_depth = np.where(raw_map.valid, 1 / raw_map.values, np.nan)
    has_value = raw_map.values == value
    continued_count, border_count = 0, 0
    for inverse_rows, value_rows in scan_directions(inverse_depth, has_value):
        is_border = value_rows[:-2] & ~value_rows[1:-1] & ~value_rows[2:]
        first_beyond = inverse_rows[1:-1][is_border]
        second_beyond = inverse_rows[2:][is_border]
        are_known = np.isfinite(first_beyond) & np.isfinite(second_beyond)
        step_to_value = (first_beyond - 1 / value)[are_known]
        step_before = (second_beyond - first_beyond)[are_known]
        is_even = np.abs(step_to_value - step_before) <= _MAX_PLANE_ERROR * step_before
        border_count += step_before.size
        continued_count += int(np.count_nonzero((step_before > 0) & is_even))
    return continued_count > _MIN_CONTINUED_BORDERS * border_count
