"""Ranges beside whole numbers of depth: codes between two depths, statistics, or something else."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Shaped
from rilievo.errors import InputError
from rilievo.io.depth.inverse_depth import flatness
from rilievo.io.depth.statements import (
    DISPARITY,
    INFINITE_CODE,
    INVERSE,
    LOGARITHM_STEPS,
    UNKNOWN_CODE,
    DepthStatement,
    words_of_near_and_far,
)
from rilievo.io.files.names import printable

# Metres of a count in files of other programs.
_USUAL_SCALES = (1.0, 0.001, 0.01, 0.0001, 1 / 256, 1 / 5000, 1 / 4000, 1 / 1000)
# Largest relative difference of a statistic and of the number that it is of.
_SAME_STATISTIC = 2e-3
# Largest such difference that the digits of a statistic explain.
_MOST_ROUNDING = 0.03
# Whole numbers that a range bounds hardly become depth up to its end [m].
_FARTHEST_END = 1000.0
# Largest share of the type that numbers use where a range may bound them in millimetres.
_LITTLE_USED = 0.25
# Least share of surfaces that are flat in a spacing, and its ratio to that in the stated one.
# Twelve made-up scenes have 2.6 to 95 times more flat surfaces in the right spacing.
_LEAST_FLAT, _TIMES_FLATTER = 0.3, 2.3


def checked_logarithm(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path
) -> DepthStatement:
    """Statement of MoGe's 16-bit numbers; others with near and far are refused or doubted."""
    if statement.logarithmic_range is None:
        return statement
    near, far = statement.logarithmic_range
    if stored.dtype != np.uint16:
        raise InputError(words_of_near_and_far(near, far, stored), path=printable(path))
    used = stored[(stored != UNKNOWN_CODE) & (stored != INFINITE_CODE)]
    if not used.size or (used.min(), used.max()) == (1, LOGARITHM_STEPS + 1):
        return statement
    doubt = (
        f"near {near:g} and far {far:g} are taken as MoGe writes them, evenly in the logarithm "
        f"between the numbers 1 and {LOGARITHM_STEPS + 1}, but its numbers go from {used.min()} "
        f"to {used.max()}: if they lie evenly in depth, say "
        f"'scale: {(far - near) / 65535:.6g}' and 'offset: {near:g}', or write 'min' and 'max'"
    )
    return replace(statement, warnings=(*statement.warnings, doubt))


def doubts_about_range(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> Iterator[str]:
    """Yield a doubt about a range that is a statistic of numbers with a usual unit."""
    if statement.linear_range is None or statement.kind == INVERSE:
        return
    low, high = statement.linear_range
    largest = int(stored[stored < np.iinfo(stored.dtype).max].max(initial=0))
    if not largest:
        return
    is_millimetres = low <= largest * 0.001 <= high
    if is_millimetres and largest <= _LITTLE_USED * 65535 and stored.dtype == np.uint16:
        share = largest / 65535
        yield (
            f"its numbers are read as evenly spaced between the {low:g} and {high:g} that it "
            f"states, but use {share:.1%} of the type, and the largest, {largest}, lies in this "
            "range in millimetres too: if they are millimetres, write the depth without a range"
        )
        return
    for scale in _USUAL_SCALES:
        if abs(largest * scale - high) < _SAME_STATISTIC * abs(high):
            yield (
                f"its range ends at {high:g}, which its largest number {largest} is in counts of "
                f"{scale:.6g} m too: if the range is a statistic of such counts, write the depth "
                f"with 'scale' {scale:.6g} and no range"
            )
            return


def without_statistics(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> DepthStatement:
    """Statement of whole numbers without a range that only describes them.

    A range is a statistic if its ends are the least and the largest number in a usual unit, to the
    digits that the file writes, and a bound if it holds all numbers as they are.
    """
    if statement.linear_range is None:
        return statement
    low, high = statement.linear_range
    used = stored[(stored > 0) & (stored < np.iinfo(stored.dtype).max)]
    if not used.size or (low == 0 and high == np.iinfo(stored.dtype).max):
        return replace(statement, linear_range=None)
    ends = (float(used.min()), float(used.max()))
    for scale in _USUAL_SCALES:
        agree = (
            abs(number * scale - end) <= _tolerance_of_statistic(end, rounding)
            for number, end, rounding in zip(
                ends, (low, high), statement.range_rounding, strict=True
            )
        )
        if not all(agree):
            continue
        if scale == 1.0:
            return replace(statement, linear_range=None)
        source = f"{statement.source}, whose range is that of its numbers in this unit"
        return replace(statement, linear_range=None, scale=scale, source=source)
    is_bounded = low <= ends[0] and ends[1] <= high
    if is_bounded and high > _FARTHEST_END and statement.scale is None:
        doubt = (
            f"the range {low:g} to {high:g} that it states is taken for bounds of its numbers as "
            "they are, and not for metres: say 'scale' and 'offset' if it is another"
        )
        return replace(statement, linear_range=None, warnings=(*statement.warnings, doubt))
    return statement


def _tolerance_of_statistic(end: float, rounding: float) -> float:
    """Largest difference between the end of a stated range and a number that it may describe.

    A round end, such as 0 or 10, is more often chosen than measured.
    """
    return max(_SAME_STATISTIC * abs(end), min(rounding, _MOST_ROUNDING * abs(end)))


def check_range_of_floats(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement, path: Path, *, is_by_user: bool
) -> Iterator[str]:
    """Yield a doubt about floating-point numbers beside a range in which they do not lie.

    Raises:
        InputError: If numbers from 0 to 1 can be no depth in the range.
    """
    linear_range = (
        statement.linear_range
        or statement.near_and_far
        or statement.logarithmic_range
        or statement.inverse_range
    )
    known = stored[np.isfinite(stored) & (stored > 0)]
    if linear_range is None or is_by_user or statement.kind == INVERSE or not known.size:
        return
    low, high = linear_range
    largest, middle = float(known.max()), float(np.median(known))
    is_unit_range = largest <= 1
    words = (
        f"states a range from {low:g} to {high:g}, but its numbers go from {known.min():.4g} to "
        f"{largest:.4g}"
    )
    advice = (
        f"if they lie evenly in depth between the ends, say 'scale: {high - low:.6g}' and "
        f"'offset: {low:g}'; if evenly in inverse depth or as a z-buffer, write depth in metres"
    )
    if is_unit_range and (known.min() < low or (middle < low and high > 1)):
        raise InputError(f"{words}, so they are hardly metres: {advice}", path=printable(path))
    if is_unit_range and high >= 2 * largest and statement.scale is None:
        yield f"{words}, and are taken for metres: {advice}; if they are metres, say 'scale: 1'"
    elif not low <= middle * (statement.scale or 1.0) <= high and not is_unit_range:
        yield f"{words}: are they of another unit? say 'scale' if so"


def doubts_about_shape(
    stored: Shaped[np.ndarray, "h w"], statement: DepthStatement
) -> Iterator[str]:
    """Yield a doubt about codes between two depths whose surfaces are flat in another spacing."""
    near, far = (
        statement.logarithmic_range
        or statement.linear_range
        or statement.inverse_range
        or (0.0, 0.0)
    )
    if not 0 < near < far or statement.kind in (INVERSE, DISPARITY):
        return
    largest = int(np.iinfo(stored.dtype).max)
    first, steps = (1, LOGARITHM_STEPS) if statement.logarithmic_range is not None else (0, largest)
    known = (stored >= first) & (stored <= first + steps)
    share = np.clip((stored.astype(np.float64) - first) / steps, 0, 1)
    spacings = {
        "the logarithm": near ** (1 - share) * far**share,
        "depth": near + share * (far - near),
        "inverse depth": 1 / ((1 - share) / near + share / far),
    }
    flat = {name: flatness(values, known) for name, values in spacings.items()}
    stated = "the logarithm" if statement.logarithmic_range is not None else "inverse depth"
    stated = "depth" if statement.linear_range is not None else stated
    best = max(flat, key=lambda name: flat[name])
    if flat[best] < _LEAST_FLAT or flat[best] < _TIMES_FLATTER * flat[stated]:
        return
    cure = "write depth in metres"
    if best == "depth":
        cure = f"say 'scale: {(far - near) / steps:.6g}' and 'offset: {near:g}'"
    yield (
        f"its numbers are taken as evenly spaced in {stated} between {near:g} and {far:g} "
        f"({statement.source}), but surfaces are flat if they are in {best}: if so, {cure}"
    )
