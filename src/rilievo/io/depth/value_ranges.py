"""Check what a range that a depth file states means for its values.

A range may state the encoding: the values are codes between two depths. It may also be a statistic
of the values, or the clipping range of a camera, and then does not affect the encoding.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import StoredMap
from rilievo.errors import InputError
from rilievo.io.depth.code_range import (
    INFINITE_CODE,
    LOGARITHM_STEPS,
    UNKNOWN_CODE,
    CodeRange,
    Spacing,
)
from rilievo.io.depth.depth_metadata import DISPARITY, INVERSE, DepthMetadata, near_and_far_message
from rilievo.io.depth.surface_shape import flat_surface_fraction
from rilievo.io.depth.units import COMMON_UNITS
from rilievo.io.files.names import printable

_MAX_STATISTIC_ERROR = 2e-3  # relative, between a statistic and the value that it describes
_MAX_ROUNDING_ERROR = 0.03  # relative; the same if the statistic was rounded to few digits
_MAX_RANGE_END = 1000.0  # [m]; codes hardly encode depth beyond it
_MAX_MILLIMETRE_CODE = 0.25  # of the type's range; millimetres in a room are hardly larger
_MIN_FLAT_FRACTION = 0.3  # of the surfaces, that are flat in the right spacing
_MIN_FLAT_RATIO = 2.3
"""Minimum ratio of that fraction to the one in the stated spacing. Twelve synthetic scenes have 2.6
to 95 times more flat surfaces in the right spacing."""


def check_logarithmic_range(
    raw_values: StoredMap, metadata: DepthMetadata, path: Path
) -> DepthMetadata:
    """Check that the values of a file with MoGe's "near" and "far" are codes as MoGe writes them.

    Returns:
        The metadata, with a warning if the codes do not fill the whole range as MoGe's do.

    Raises:
        InputError: If the values do not have 16 bits, so that MoGe did not write them.
    """
    code_range = metadata.code_range
    if code_range is None or code_range.spacing is not Spacing.LOGARITHMIC:
        return metadata
    near, far = code_range.first, code_range.last
    if raw_values.dtype != np.uint16:
        raise InputError(near_and_far_message(near, far, raw_values), path=printable(path))

    codes = raw_values[(raw_values != UNKNOWN_CODE) & (raw_values != INFINITE_CODE)]
    last_code = LOGARITHM_STEPS + 1
    if not codes.size or (codes.min(), codes.max()) == (1, last_code):
        return metadata
    warning = (
        f"near {near:g} and far {far:g} are read as MoGe writes them, with values from 1 to "
        f"{last_code} spaced evenly in the logarithm of depth, but the values in this file go from "
        f"{codes.min()} to {codes.max()}: if they are spaced evenly in depth, set 'scale: "
        f"{(far - near) / 65535:.6g}' and 'offset: {near:g}', or write 'min' and 'max'"
    )
    return replace(metadata, warnings=(*metadata.warnings, warning))


def drop_statistics(raw_values: StoredMap, metadata: DepthMetadata) -> DepthMetadata:
    """Drop the linear range of integers if it only describes them.

    1. A range from 0 to the largest of the type says nothing.
    2. A range whose ends are the smallest and the largest value in a common unit, within the
       rounding of the file, is a statistic. It states that unit.
    3. A range up to more than a kilometre that contains all values as they stand is their bound.
    """
    code_range = metadata.code_range
    if code_range is None or code_range.spacing is not Spacing.LINEAR:
        return metadata
    without_range = replace(metadata, code_range=None)
    low, high = code_range.first, code_range.last
    type_max = np.iinfo(raw_values.dtype).max
    depth_values = raw_values[(raw_values > 0) & (raw_values < type_max)]
    if not depth_values.size or (low == 0 and high == type_max):
        return without_range

    smallest, largest = float(depth_values.min()), float(depth_values.max())
    unit = _unit_of_statistic(code_range, smallest, largest)
    if unit == 1.0:
        return without_range
    if unit is not None:
        source = f"{metadata.source}, whose range is that of its values in this unit"
        return replace(without_range, scale=unit, source=source)

    contains_numbers = low <= smallest and largest <= high
    if contains_numbers and high > _MAX_RANGE_END and metadata.scale is None:
        warning = (
            f"the range from {low:g} to {high:g} is read as bounds of the stored values, not as "
            "metres: if it means something else, set 'scale' and 'offset'"
        )
        return replace(without_range, warnings=(*metadata.warnings, warning))
    return metadata


def _unit_of_statistic(code_range: CodeRange, smallest: float, largest: float) -> float | None:
    """Find the common unit [m] in which a range states the smallest and the largest value.

    Return None if it is no such statistic in any of these units.
    """
    low_rounding, high_rounding = code_range.rounding
    max_low_error = _max_statistic_error(code_range.first, low_rounding)
    max_high_error = _max_statistic_error(code_range.last, high_rounding)
    for unit in COMMON_UNITS:
        describes_smallest = abs(smallest * unit - code_range.first) <= max_low_error
        describes_largest = abs(largest * unit - code_range.last) <= max_high_error
        if describes_smallest and describes_largest:
            return unit
    return None


def _max_statistic_error(end: float, rounding: float) -> float:
    """Return the largest error at which the end of a range counts as a statistic of the values.

    The stated rounding is capped, because a round end, such as 10, is more often a chosen bound
    than a rounded statistic.
    """
    return max(_MAX_STATISTIC_ERROR * abs(end), min(rounding, _MAX_ROUNDING_ERROR * abs(end)))


def statistic_warning(raw_values: StoredMap, metadata: DepthMetadata) -> str | None:
    """Warn if the range may be a statistic of values in a common unit, and not their encoding."""
    code_range = metadata.code_range
    if code_range is None or code_range.spacing is not Spacing.LINEAR or metadata.kind == INVERSE:
        return None
    low, high = code_range.first, code_range.last
    type_max = np.iinfo(raw_values.dtype).max  # often a mark of "no depth"
    largest = int(raw_values[raw_values < type_max].max(initial=0))
    if not largest:
        return None

    used_fraction = largest / 65535
    is_in_range_as_millimetres = low <= largest * 0.001 <= high
    is_small_code = raw_values.dtype == np.uint16 and largest <= _MAX_MILLIMETRE_CODE * 65535
    if is_in_range_as_millimetres and is_small_code:
        return (
            f"its values are read as spaced evenly over its range from {low:g} to {high:g}, but "
            f"they use only {used_fraction:.1%} of the 16-bit range, and the largest, {largest}, "
            "is also in the stated range if it is in millimetres: if the values are millimetres, "
            "save the depth without a range"
        )
    for unit in COMMON_UNITS:
        if abs(largest * unit - high) < _MAX_STATISTIC_ERROR * abs(high):
            return (
                f"its range ends at {high:g}, which is also its largest value, {largest}, in units "
                f"of {unit:.6g} m: if the range only states the smallest and the largest depth, "
                f"save the depth with 'scale' {unit:.6g} and no range"
            )
    return None


def float_range_warning(
    raw_values: StoredMap, metadata: DepthMetadata, path: Path, *, is_unit_given: bool
) -> str | None:
    """Warn about floats that lie outside of the range that their file states.

    Nothing is checked if the user gives the unit (``is_unit_given``).

    Raises:
        InputError: If the values are fractions from 0 to 1 that cannot be metres in the range.
    """
    stated_range = metadata.near_and_far
    if metadata.code_range is not None:
        stated_range = (metadata.code_range.first, metadata.code_range.last)
    values = raw_values[np.isfinite(raw_values) & (raw_values > 0)]
    if stated_range is None or is_unit_given or metadata.kind == INVERSE or not values.size:
        return None

    low, high = stated_range
    smallest = values.min()
    largest = float(values.max())
    median = float(np.median(values))
    contradiction = (
        f"the file gives a range from {low:g} to {high:g}, but its values go from {smallest:.4g} "
        f"to {largest:.4g}"
    )
    advice = (
        f"if they are spaced evenly in depth over the range, set 'scale: {high - low:.6g}' and "
        f"'offset: {low:g}'; if they are spaced evenly in inverse depth or as in a z-buffer, save "
        "depth in metres instead"
    )
    if largest > 1:
        if low <= median * (metadata.scale or 1.0) <= high:
            return None
        return (
            f"{contradiction}: if they are not in metres, set 'scale' to the metres per stored "
            "value, such as 0.001 for millimetres"
        )

    # Values up to 1 may be fractions of the range, or metres.
    are_below_range = smallest < low or (median < low and high > 1)
    if are_below_range:
        raise InputError(
            f"{contradiction}, so they are unlikely to be metres: {advice}", path=printable(path)
        )
    if high >= 2 * largest and metadata.scale is None:
        return (
            f"{contradiction} and are read as metres: {advice}; if they are metres, set 'scale: 1'"
        )
    return None


def spacing_warning(raw_values: StoredMap, metadata: DepthMetadata) -> str | None:
    """Warn about codes whose surfaces are flat only if they are spaced in another way than stated.

    The codes are decoded with each spacing. In depth, most smooth surfaces of a scene are flat.
    """
    code_range = metadata.code_range
    if code_range is None or metadata.kind in (INVERSE, DISPARITY):
        return None
    near, far, stated_spacing = code_range.first, code_range.last, code_range.spacing
    if not 0 < near < far:
        return None

    if stated_spacing is Spacing.LOGARITHMIC:
        near_code, step_count = 1, LOGARITHM_STEPS
    else:
        near_code, step_count = 0, int(np.iinfo(raw_values.dtype).max)
    far_code = near_code + step_count
    is_code = (raw_values >= near_code) & (raw_values <= far_code)
    # 0 at near and 1 at far
    fraction = np.clip((raw_values.astype(np.float64) - near_code) / step_count, 0, 1)
    depth_by_spacing = {
        Spacing.LOGARITHMIC: near ** (1 - fraction) * far**fraction,
        Spacing.LINEAR: near + fraction * (far - near),
        Spacing.INVERSE: 1 / ((1 - fraction) / near + fraction / far),
    }
    flat_by_spacing = {
        spacing: flat_surface_fraction(depth, is_code)
        for spacing, depth in depth_by_spacing.items()
    }
    best_spacing = max(flat_by_spacing, key=lambda spacing: flat_by_spacing[spacing])
    min_flat = max(_MIN_FLAT_FRACTION, _MIN_FLAT_RATIO * flat_by_spacing[stated_spacing])
    if flat_by_spacing[best_spacing] < min_flat:
        return None
    advice = "save depth in metres instead"
    if best_spacing is Spacing.LINEAR:
        advice = f"set 'scale: {(far - near) / step_count:.6g}' and 'offset: {near:g}'"
    return (
        f"its values are read as spaced evenly in {stated_spacing.value} from {near:g} to {far:g} "
        f"({metadata.source}), but surfaces are flat if the values are spaced evenly in "
        f"{best_spacing.value}: if they are, {advice}"
    )
