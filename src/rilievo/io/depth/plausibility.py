"""Whether numbers look like depth, or like backgrounds, packed bits, z-buffers or another unit.

``plausibility_warnings`` serves ground truth, predictions, depth at hand and sparse depth. Each
warning is a sentence that names the key that mends it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rilievo.arrays.shapes import Shaped, Values
from rilievo.io.depth.background import background_warnings, far_marks
from rilievo.io.depth.far_ends import MAX_VISIBLE, far_end_warnings
from rilievo.io.depth.normalized import normalized_range_warnings
from rilievo.io.depth.number_plane import NumberPlane, make_number_plane
from rilievo.io.depth.packed_bits import (
    byte_order_warnings,
    highest_bit_warnings,
    packed_bit_warnings,
)
from rilievo.io.depth.units import COMMON_UNITS
from rilievo.io.depth.wrapping import DepthWrap, find_wrap
from rilievo.io.depth.z_buffers import z_buffer_warning

MIN_PLAUSIBLE_MEDIAN, MAX_PLAUSIBLE_MEDIAN = 0.2, 500.0
"""Range of a plausible mean or median [m]."""
TOO_FAR = (
    f"true depth is above {MAX_PLAUSIBLE_MEDIAN:g} m in the middle: it looks like millimetres or "
    "raw counts read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {MIN_PLAUSIBLE_MEDIAN * 100:g} cm in the middle: it looks like "
    "centimetres read as millimetres, or metres that were divided once too often; check the scale"
)
NEGATION_HINT = "write them with the other sign, such as -depth"

# Two groups of files in different units.
_MIN_FILES = 6
_UNIT_RATIOS = (5.0, 10.0, 100.0, 1000.0)
_MAX_RATIO_ERROR = 1.5  # factor between the ratio of medians and that of the units
_MIN_GROUP_GAP = 3.0  # ratio between the nearest medians of both groups
_MAX_LISTED_FILES = 5


def plausibility_warnings(
    stored: Shaped[np.ndarray, "h w"],
    metres: Values | None,
    *,
    invalid: Sequence[float] = (),
    unit: float | None = None,
    are_codes: bool = False,
    max_depth: float | None = None,
    is_unit_declared: bool = False,
    is_unit_guessed: bool = False,
) -> Iterator[str]:
    """Warn about marks of "no depth", packed bits, wrong units, and numbers that are no depth.

    Args:
        stored: Numbers of the file, after channels and bits that are declared.
        metres: Valid depth [m], in any order; None if it is not in metres.
        invalid: Numbers that are declared to hold no depth.
        unit: Metres of a number; None if that is not one factor.
        are_codes: Whether numbers are codes between a nearest and a farthest depth, which the least
            and the largest number of the type are.
        max_depth: Largest valid depth that is declared [m]: what lies beyond holds no depth.
        is_unit_declared: Whether the user declares the unit, which may be that of an aerial
            photograph or of an endoscope.
        is_unit_guessed: Whether the unit is a guess, as neither the user nor the file says it.
    """
    plane = make_number_plane(
        stored,
        invalid=invalid,
        unit=unit,
        max_depth=max_depth,
        is_unit_declared=is_unit_declared,
        is_unit_guessed=is_unit_guessed,
    )
    negative = negative_numbers_warning(stored)
    if negative is not None and unit is not None and unit > 0:
        yield negative
        return

    # Numbers that are no depth as they stand are judged in no other way.
    wrap = None if are_codes else find_wrap(stored, plane.known & ~far_marks(plane))
    byte_order = [*byte_order_warnings(plane, stored)]
    if byte_order:
        yield from byte_order
        return
    if not are_codes and metres is not None and unit is not None and wrap is None:
        z_buffer = z_buffer_warning(stored, unit if is_unit_declared else None)
        if z_buffer is not None:
            yield z_buffer
            return

    yield from highest_bit_warnings(plane)
    end_warnings = [] if are_codes else [*_normalized_warnings(plane, stored)]
    if not end_warnings:
        end_warnings = [*background_warnings(plane, are_codes=are_codes)]
    yield from end_warnings
    if not are_codes:
        yield from packed_bit_warnings(plane, stored)
    if wrap is not None:
        yield _wrap_words(wrap)
    if metres is not None and metres.size:
        if not end_warnings and max_depth is None:
            yield from far_end_warnings(plane, metres)
        yield from _median_warnings(plane, metres, max_depth)


def negative_numbers_warning(
    stored: Shaped[np.ndarray, "h w"],
    hint: str = "say 'scale: -1' in rilievo.yaml, or write them with the other sign",
) -> str | None:
    """Warn about numbers of which none is above zero, as those along -z are; None for others."""
    with np.errstate(invalid="ignore"):
        has_negative = np.any(np.isfinite(stored) & (stored < 0))
        has_positive = np.any(np.isfinite(stored) & (stored > 0))
    if has_positive or not has_negative:
        return None
    return f"all its numbers are below zero, as those of depth along -z are (OpenGL): {hint}"


def unit_warning(median: float) -> str | None:
    """Warn about the unit by a mean or median [m] that is implausible; None for others."""
    if median > MAX_PLAUSIBLE_MEDIAN:
        return TOO_FAR
    return TOO_NEAR if median < MIN_PLAUSIBLE_MEDIAN else None


def odd_unit_warnings(medians: Mapping[str, float]) -> list[str]:
    """Warn about files of a folder whose medians are a unit apart from those of all others.

    Args:
        medians: Median depth [m] by the name of an image.
    """
    if len(medians) < _MIN_FILES or min(medians.values()) <= 0:
        return []
    names = sorted(medians, key=lambda name: medians[name])
    logs = np.log([medians[name] for name in names])
    split = int(np.argmax(np.diff(logs))) + 1
    low, high = logs[:split], logs[split:]

    ratio = math.exp(float(np.median(high) - np.median(low)))
    unit_ratio = min(_UNIT_RATIOS, key=lambda candidate: abs(math.log(ratio / candidate)))
    is_unit = abs(math.log(ratio / unit_ratio)) < math.log(_MAX_RATIO_ERROR)
    gap = float(high[0] - low[-1])
    spread = max(float(np.ptp(low)), float(np.ptp(high)))
    if not is_unit or gap < math.log(_MIN_GROUP_GAP) or gap < spread:
        return []

    odd, others = names[split:], low
    if len(low) <= len(high):
        odd, others = names[:split], high
    more = ", ..." if len(odd) > _MAX_LISTED_FILES else ""
    return [
        f"{len(odd)} of {len(names)} images ({', '.join(odd[:_MAX_LISTED_FILES])}{more}) have "
        f"medians near {medians[odd[0]]:.3g} m, and all others near "
        f"{math.exp(float(np.median(others))):.3g} m, about {unit_ratio:g} times apart: are these "
        "files of another unit?"
    ]


def _normalized_warnings(plane: NumberPlane, stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Warn about numbers that fill a full scale, unless that scale has a unit of its own."""
    has_own_unit = plane.unit is not None and plane.unit not in COMMON_UNITS
    is_declared_float = plane.is_unit_declared and stored.dtype.kind == "f"
    if not has_own_unit and not is_declared_float:
        yield from normalized_range_warnings(stored, is_unit_guessed=plane.is_unit_guessed)


def _wrap_words(wrap: DepthWrap) -> str:
    """Say that depth seems to start again at 0, and what the user can do."""
    return (
        f"surfaces pass {wrap.size:.5g} at {wrap.count} pixels and go on at 0: depth "
        "beyond seems to have started again, as that of a time-of-flight camera does, or of "
        "numbers of too few bits; write the true depth, or leave these pixels out"
    )


def _median_warnings(plane: NumberPlane, metres: Values, max_depth: float | None) -> Iterator[str]:
    """Warn about the unit by the median [m] of what may be seen."""
    is_beyond = metres > MAX_VISIBLE
    median = float(np.median(metres if is_beyond.all() else metres[~is_beyond]))
    if not plane.is_unit_declared:
        warning = unit_warning(median)
        is_declared_far = max_depth is not None and max_depth > MAX_PLAUSIBLE_MEDIAN
        if warning is not None and not (warning == TOO_FAR and is_declared_far):
            yield warning
        return
    has_large_unit = plane.unit is not None and plane.unit >= 1
    if median > MAX_PLAUSIBLE_MEDIAN and plane.integer_type is not None and has_large_unit:
        yield (
            f"its whole numbers are declared in units of {plane.unit:g} m, and half of them lie "
            f"beyond {MAX_PLAUSIBLE_MEDIAN:g} m: if they are millimetres, say 'scale: 0.001'"
        )
