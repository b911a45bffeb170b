"""Ranges that a file states beside its numbers.

A range may say how the numbers are encoded, as codes between two depths. It may also be a statistic
of the numbers, or the clipping range of a camera, which says nothing about the encoding.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import InputError
from rilievo.io.depth.statements import (
    DISPARITY,
    INFINITE_CODE,
    INVERSE,
    LOGARITHM_STEPS,
    UNKNOWN_CODE,
    DepthStatement,
    near_and_far_words,
)
from rilievo.io.depth.surface_shape import flat_surface_share
from rilievo.io.depth.units import COMMON_UNITS
from rilievo.io.files.names import printable

_MAX_STATISTIC_ERROR = 2e-3  # relative, between a statistic and the number that it describes
_MAX_ROUNDING_ERROR = 0.03  # relative; the same if the statistic was rounded to few digits
_MAX_RANGE_END = 1000.0  # [m]; codes hardly encode depth beyond it
_MAX_MILLIMETRE_CODE = 0.25  # of the type; larger codes are hardly millimetres of a room
_MIN_FLAT_SHARE = 0.3
"""Least share of surfaces that are flat in the right spacing."""
_MIN_FLAT_RATIO = 2.3
"""Least ratio of that share to the one in the stated spacing. Twelve made-up scenes have 2.6 to 95
times more flat surfaces in the right spacing."""
# Quantities in which codes may be evenly spaced, in words for the user.
_LOGARITHMIC, _LINEAR, _INVERSE = "the logarithm", "depth", "inverse depth"


def check_logarithmic_range(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path
) -> DepthStatement:
    """Check that numbers beside MoGe's "near" and "far" are codes as MoGe writes them.

    Returns:
        The statement, with a warning if the codes do not fill the range as MoGe's do.

    Raises:
        InputError: If the numbers do not have 16 bits, so that they are no codes of MoGe.
    """
    if statement.logarithmic_range is None:
        return statement
    near, far = statement.logarithmic_range
    if stored.dtype != np.uint16:
        raise InputError(near_and_far_words(near, far, stored), path=printable(path))

    codes = stored[(stored != UNKNOWN_CODE) & (stored != INFINITE_CODE)]
    last_code = LOGARITHM_STEPS + 1
    if not codes.size or (codes.min(), codes.max()) == (1, last_code):
        return statement
    warning = (
        f"near {near:g} and far {far:g} are taken as MoGe writes them, evenly in the logarithm "
        f"between the numbers 1 and {last_code}, but its numbers go from {codes.min()} "
        f"to {codes.max()}: if they lie evenly in depth, say "
        f"'scale: {(far - near) / 65535:.6g}' and 'offset: {near:g}', or write 'min' and 'max'"
    )
    return replace(statement, warnings=(*statement.warnings, warning))


def drop_statistics(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> DepthStatement:
    """Drop the range of integers if it only describes them.

    A range is a statistic if its ends are the least and the largest number in a common unit, to the
    digits that the file writes. It is a bound if it contains all numbers as they stand.
    """
    if statement.linear_range is None:
        return statement
    without_range = replace(statement, linear_range=None)
    low, high = statement.linear_range
    type_max = np.iinfo(stored.dtype).max
    used = stored[(stored > 0) & (stored < type_max)]
    if not used.size or (low == 0 and high == type_max):
        return without_range

    smallest, largest = float(used.min()), float(used.max())
    max_low_error, max_high_error = (
        _max_statistic_error(end, rounding)
        for end, rounding in zip((low, high), statement.range_rounding, strict=True)
    )
    for unit in COMMON_UNITS:
        describes_smallest = abs(smallest * unit - low) <= max_low_error
        describes_largest = abs(largest * unit - high) <= max_high_error
        if not (describes_smallest and describes_largest):
            continue
        if unit == 1.0:
            return without_range
        source = f"{statement.source}, whose range is that of its numbers in this unit"
        return replace(without_range, scale=unit, source=source)

    contains_numbers = low <= smallest and largest <= high
    if contains_numbers and high > _MAX_RANGE_END and statement.scale is None:
        warning = (
            f"the range {low:g} to {high:g} that it states is taken for bounds of its numbers as "
            "they are, and not for metres: say 'scale' and 'offset' if it is another"
        )
        return replace(without_range, warnings=(*statement.warnings, warning))
    return statement


def _max_statistic_error(end: float, rounding: float) -> float:
    """Largest difference between the end of a stated range and a number that it may describe.

    A round end, such as 0 or 10, is more often chosen than measured, so rounding explains little.
    """
    return max(_MAX_STATISTIC_ERROR * abs(end), min(rounding, _MAX_ROUNDING_ERROR * abs(end)))


def statistic_warnings(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> Iterator[str]:
    """Warn if the range of codes may be a statistic of counts in a common unit instead."""
    if statement.linear_range is None or statement.kind == INVERSE:
        return
    low, high = statement.linear_range
    largest = int(stored[stored < np.iinfo(stored.dtype).max].max(initial=0))
    if not largest:
        return

    used_codes = largest / 65535
    may_be_millimetres = low <= largest * 0.001 <= high and stored.dtype == np.uint16
    if may_be_millimetres and largest <= _MAX_MILLIMETRE_CODE * 65535:
        yield (
            f"its numbers are read as evenly spaced between the {low:g} and {high:g} that it "
            f"states, but use {used_codes:.1%} of the type, and the largest, {largest}, lies in "
            "this range in millimetres too: if they are millimetres, write the depth without a "
            "range"
        )
        return
    for unit in COMMON_UNITS:
        if abs(largest * unit - high) < _MAX_STATISTIC_ERROR * abs(high):
            yield (
                f"its range ends at {high:g}, which its largest number {largest} is in counts of "
                f"{unit:.6g} m too: if the range is a statistic of such counts, write the depth "
                f"with 'scale' {unit:.6g} and no range"
            )
            return


def float_range_warnings(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path, *, is_by_user: bool
) -> Iterator[str]:
    """Warn about floats beside a stated range in which they do not lie.

    Args:
        stored: Floats of the file.
        statement: What the file states.
        path: Name of the file in messages.
        is_by_user: Whether the user gives the unit, so that nothing is checked.

    Raises:
        InputError: If numbers from 0 to 1 can be no depth in the range.
    """
    stated_range = (
        statement.linear_range
        or statement.near_and_far
        or statement.logarithmic_range
        or statement.inverse_range
    )
    known = stored[np.isfinite(stored) & (stored > 0)]
    if stated_range is None or is_by_user or statement.kind == INVERSE or not known.size:
        return

    low, high = stated_range
    smallest, largest, median = known.min(), float(known.max()), float(np.median(known))
    contradiction = (
        f"states a range from {low:g} to {high:g}, but its numbers go from {smallest:.4g} to "
        f"{largest:.4g}"
    )
    advice = (
        f"if they lie evenly in depth between the ends, say 'scale: {high - low:.6g}' and "
        f"'offset: {low:g}'; if evenly in inverse depth or as a z-buffer, write depth in metres"
    )
    if largest <= 1:
        is_below_range = smallest < low or (median < low and high > 1)
        if is_below_range:
            raise InputError(
                f"{contradiction}, so they are hardly metres: {advice}", path=printable(path)
            )
        if high >= 2 * largest and statement.scale is None:
            yield (
                f"{contradiction}, and are taken for metres: {advice}; if they are metres, say "
                "'scale: 1'"
            )
    elif not low <= median * (statement.scale or 1.0) <= high:
        yield f"{contradiction}: are they of another unit? say 'scale' if so"


def spacing_warnings(stored: Shaped[np.ndarray, "h w"], statement: DepthStatement) -> Iterator[str]:
    """Warn about codes whose surfaces are flat if they are spaced in another way than stated."""
    spacing_and_ends = _stated_spacing(statement)
    if spacing_and_ends is None or statement.kind in (INVERSE, DISPARITY):
        return
    stated_spacing, (near, far) = spacing_and_ends
    if not 0 < near < far:
        return

    first_code, steps = 0, int(np.iinfo(stored.dtype).max)
    if stated_spacing == _LOGARITHMIC:
        first_code, steps = 1, LOGARITHM_STEPS
    is_code = (stored >= first_code) & (stored <= first_code + steps)
    fraction = np.clip((stored.astype(np.float64) - first_code) / steps, 0, 1)
    depth_by_spacing = {
        _LOGARITHMIC: near ** (1 - fraction) * far**fraction,
        _LINEAR: near + fraction * (far - near),
        _INVERSE: 1 / ((1 - fraction) / near + fraction / far),
    }
    flat_shares = {
        spacing: flat_surface_share(depth, is_code) for spacing, depth in depth_by_spacing.items()
    }
    best_spacing = max(flat_shares, key=lambda spacing: flat_shares[spacing])
    least = max(_MIN_FLAT_SHARE, _MIN_FLAT_RATIO * flat_shares[stated_spacing])
    if flat_shares[best_spacing] < least:
        return
    advice = "write depth in metres"
    if best_spacing == _LINEAR:
        advice = f"say 'scale: {(far - near) / steps:.6g}' and 'offset: {near:g}'"
    yield (
        f"its numbers are taken as evenly spaced in {stated_spacing} between {near:g} and {far:g} "
        f"({statement.source}), but surfaces are flat if they are in {best_spacing}: if so, "
        f"{advice}"
    )


def _stated_spacing(statement: DepthStatement) -> tuple[str, tuple[float, float]] | None:
    """Quantity in which codes are evenly spaced, and depth at both ends; None without a range."""
    if statement.logarithmic_range is not None:
        return _LOGARITHMIC, statement.logarithmic_range
    if statement.linear_range is not None:
        return _LINEAR, statement.linear_range
    if statement.inverse_range is not None:
        return _INVERSE, statement.inverse_range
    return None
