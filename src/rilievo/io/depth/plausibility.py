"""Warn about values that hardly look like depth: backgrounds, packed bits, z-buffers, wrong units.

``plausibility_warnings`` serves ground truth, predictions, depth at hand and sparse depth. Each
warning is a sentence that names the key of ``rilievo.yaml`` that fixes it. Further functions warn
about inverse depth, which is recognised by the shape of surfaces.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, StoredMap, Values
from rilievo.io.depth.background import background_warnings, find_far_marks
from rilievo.io.depth.far_ends import MAX_VISIBLE, beyond_visible_warning, clipped_depth_warning
from rilievo.io.depth.normalized import normalized_map_warning
from rilievo.io.depth.packed_bits import byte_order_warning, highest_bit_warning, packed_bit_warning
from rilievo.io.depth.raw_depth_map import RawDepthMap, format_pixel_count, make_raw_depth_map
from rilievo.io.depth.surface_shape import has_straight_surfaces, is_one_ramp
from rilievo.io.depth.units import COMMON_UNITS
from rilievo.io.depth.wrapping import DepthWrap, find_wrap
from rilievo.io.depth.z_buffers import z_buffer_warning

MIN_PLAUSIBLE_MEDIAN, MAX_PLAUSIBLE_MEDIAN = 0.2, 500.0
"""Range of a plausible mean or median depth [m]."""
TOO_FAR = (
    f"the median depth is above {MAX_PLAUSIBLE_MEDIAN:g} m, as if millimetres or raw values "
    "were read as metres; check the scale"
)
TOO_NEAR = (
    f"the median depth is below {MIN_PLAUSIBLE_MEDIAN * 100:g} cm, as if centimetres were "
    "read as millimetres, or metres were divided once too often; check the scale"
)
MEDIAN_WARNINGS = (TOO_FAR, TOO_NEAR)
"""Warnings about a median depth, which some callers judge for several images together."""
SURFACES_ARE_STRAIGHT = (
    "its values change evenly across flat surfaces, as in inverse depth and disparity but not in "
    "depth: if they are inverse depth, depth is 1 / value; if they are disparity, depth is focal "
    "length * baseline / value"
)
SURFACES_BEND = (
    "its values do not change evenly across flat surfaces, so they look like depth and not like "
    "inverse depth or disparity: if they are depth, set their kind to depth"
)

# Limits for finding two groups of files in different units.
_MIN_FILES = 6
_UNIT_RATIOS = (5.0, 10.0, 100.0, 1000.0)
_MAX_RATIO_ERROR = 1.5  # factor between the groups' ratio of medians and a ratio of units
_MIN_GROUP_GAP = 3.0  # ratio between the closest medians of the two groups
_MAX_LISTED_FILES = 5


def plausibility_warnings(
    raw_values: StoredMap,
    metres: Values | None,
    *,
    invalid: Sequence[float] = (),
    unit: float | None = None,
    are_codes: bool = False,
    max_depth: float | None = None,
    is_unit_given: bool = False,
    is_unit_guessed: bool = False,
    are_marks_stated: bool = False,
) -> list[str]:
    """Warn about marks of "no depth", packed bits, wrong units, and values that are not depth.

    Args:
        raw_values: Values of the file, after the declared channels and bits were extracted.
        metres: Valid depth [m], in any order; None if it is not in metres.
        invalid: Values that are declared to mean "no depth".
        unit: Metres per value; None if the conversion is not a single factor.
        are_codes: Whether values are codes that spread a range of depth over their integer type.
        max_depth: Largest valid depth that is declared [m].
        is_unit_given: Whether the user gives the unit, so that unusual depth, such as that of
            an aerial photograph or an endoscope, is right.
        is_unit_guessed: Whether the unit is a guess, because nobody states it.
        are_marks_stated: Whether the user states which values mean "no depth", so that a frequent
            value among the others is depth.
    """
    raw_map = make_raw_depth_map(
        raw_values,
        invalid=invalid,
        unit=unit,
        max_depth=max_depth,
        is_unit_given=is_unit_given,
        is_unit_guessed=is_unit_guessed,
    )
    wrap = None if are_codes else find_wrap(raw_values, raw_map.valid & ~find_far_marks(raw_map))
    may_be_z_buffer = not are_codes and metres is not None and unit is not None and wrap is None
    not_depth = _not_depth_warning(raw_map, may_be_z_buffer=may_be_z_buffer)
    if not_depth is not None:
        return [not_depth]  # The further checks would mislead.

    normalized = None if are_codes else _normalized_warning(raw_map)
    end_warnings = [normalized] if normalized else []
    if not end_warnings:
        end_warnings = background_warnings(
            raw_map, are_codes=are_codes, are_marks_stated=are_marks_stated
        )
    packed_bits = None if are_codes else packed_bit_warning(raw_map)
    wrapping = None if wrap is None else _wrapping_message(wrap)
    warnings = [highest_bit_warning(raw_map), *end_warnings, packed_bits, wrapping]
    if metres is not None and metres.size:
        if not end_warnings and max_depth is None:
            warnings.append(clipped_depth_warning(raw_map, metres))
            warnings.append(beyond_visible_warning(raw_map, metres))
        warnings.append(_median_warning(raw_map, metres, max_depth))
    return [*filter(None, warnings)]


def _not_depth_warning(raw_map: RawDepthMap, *, may_be_z_buffer: bool) -> str | None:
    """Warn about values that are no depth at all: negative ones, noise, or those of a z-buffer."""
    unit = raw_map.unit
    negative = _negative_numbers_warning(raw_map.raw_values)
    if negative is not None and unit is not None and unit > 0:
        return negative
    byte_order = byte_order_warning(raw_map)
    if byte_order is not None or not may_be_z_buffer:
        return byte_order
    return z_buffer_warning(raw_map.raw_values, unit if raw_map.is_unit_given else None)


def negation_hint(raw_values: StoredMap) -> str:
    """Return the hint for a map without depth whose values are all negative; else empty."""
    hint = "save them with the opposite sign, for example -depth"
    return _negative_numbers_warning(raw_values, hint) or ""


def _negative_numbers_warning(
    raw_values: StoredMap,
    hint: str = "set 'scale: -1' in rilievo.yaml, or save them with the opposite sign",
) -> str | None:
    """Warn about values that are all negative, as depth along -z is; None if they are not."""
    with np.errstate(invalid="ignore"):
        has_negative = np.any(np.isfinite(raw_values) & (raw_values < 0))
        has_positive = np.any(np.isfinite(raw_values) & (raw_values > 0))
    if has_positive or not has_negative:
        return None
    return f"all its values are negative, as in OpenGL, whose cameras look along -z: {hint}"


def inverse_depth_warnings(
    raw_values: StoredMap, depth: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[str, ...]:
    """Warn about a map that is taken for depth, if it may be inverse, normalized or a z-buffer.

    Args:
        raw_values: Values of the file.
        depth: Depth for which they are taken, perhaps at the size of the photograph.
        valid: Mask of ``depth``.
    """
    has_raw_value = np.isfinite(raw_values) & (raw_values > 0)
    if depth.shape == raw_values.shape:
        has_raw_value &= valid
    normalized = normalized_map_warning(raw_values)
    warnings = [] if normalized is None else [normalized]
    if find_wrap(raw_values, has_raw_value) is not None:
        # The other checks look at the shape of surfaces, which mislead here: depth that wraps
        # around bends so little that its surfaces look straight.
        return tuple(warnings)

    z_buffer = z_buffer_warning(raw_values)
    if z_buffer is not None:
        return (z_buffer,)  # It explains values that look normalized, too.
    if has_straight_surfaces(depth, valid):
        warnings.append(SURFACES_ARE_STRAIGHT)
    return tuple(warnings)


def straight_surface_warning(values: Float64[np.ndarray, "h w"], valid: Mask) -> str | None:
    """Warn about a map of a folder that is taken for depth, if it may be inverse depth.

    A map that is a single ramp causes no warning, because people make such maps to try a program.
    """
    if not has_straight_surfaces(values, valid) or is_one_ramp(values, valid):
        return None
    wraps_around = find_wrap(values, valid) is not None
    return None if wraps_around else SURFACES_ARE_STRAIGHT


def bent_surface_warning(depth: Float64[np.ndarray, "h w"], valid: Mask) -> str | None:
    """Warn about a map of a folder that is taken for inverse depth, if it may be depth.

    ``depth`` is the reciprocal of the inverse depth or disparity, in any unit.
    """
    return None if straight_surface_warning(depth, valid) is None else SURFACES_BEND


def unit_warning(median: float) -> str | None:
    """Warn about the unit if a mean or median depth [m] is implausible."""
    if median > MAX_PLAUSIBLE_MEDIAN:
        return TOO_FAR
    return TOO_NEAR if median < MIN_PLAUSIBLE_MEDIAN else None


def odd_unit_warning(medians: Mapping[str, float]) -> str | None:
    """Warn about files of a folder that seem to be in another unit than all others.

    The medians are split into two groups at the largest gap between their logarithms. The groups
    are in different units if their ratio is a usual one and the gap is wider than either group.

    ``medians`` are the median depths [m] by the name of an image.
    """
    if len(medians) < _MIN_FILES or min(medians.values()) <= 0:
        return None
    names = sorted(medians, key=lambda name: medians[name])
    log_medians = np.log([medians[name] for name in names])
    split = int(np.argmax(np.diff(log_medians))) + 1
    low_group, high_group = log_medians[:split], log_medians[split:]
    unit_ratio = _ratio_of_units(low_group, high_group)
    if unit_ratio is None:
        return None

    # The smaller group is the suspicious one.
    if len(low_group) <= len(high_group):
        odd_names = names[:split]
        other_group = high_group
    else:
        odd_names = names[split:]
        other_group = low_group
    ellipsis = ", ..." if len(odd_names) > _MAX_LISTED_FILES else ""
    listed = f"{', '.join(odd_names[:_MAX_LISTED_FILES])}{ellipsis}"
    verb = "has" if len(odd_names) == 1 else "have"
    return (
        f"{len(odd_names)} of {len(names)} images ({listed}) {verb} a median depth near "
        f"{medians[odd_names[0]]:.3g} m, and the others near "
        f"{math.exp(float(np.median(other_group))):.3g} m, a factor of about {unit_ratio:g}: "
        "check whether these files are in another unit"
    )


def _ratio_of_units(low_group: Values, high_group: Values) -> float | None:
    """Return the usual ratio of units that separates two groups; None if none does.

    The groups are sorted logarithms of median depths. They are separate if the gap between them is
    at least a factor of ``_MIN_GROUP_GAP``, and no smaller than the spread of either group.
    """
    ratio = math.exp(float(np.median(high_group) - np.median(low_group)))
    unit_ratio = min(_UNIT_RATIOS, key=lambda candidate: abs(math.log(ratio / candidate)))
    is_unit_ratio = abs(math.log(ratio / unit_ratio)) < math.log(_MAX_RATIO_ERROR)
    gap = float(high_group[0] - low_group[-1])
    spread = max(float(np.ptp(low_group)), float(np.ptp(high_group)))
    are_separate = gap >= math.log(_MIN_GROUP_GAP) and gap >= spread
    return unit_ratio if is_unit_ratio and are_separate else None


def _normalized_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about values that fill a full scale, unless the unit was chosen for that scale.

    An unusual unit, such as 10/65535 m, or one that the user gives for floats, was chosen so.
    """
    has_unusual_unit = raw_map.unit is not None and raw_map.unit not in COMMON_UNITS
    is_given_for_floats = raw_map.is_unit_given and raw_map.raw_values.dtype.kind == "f"
    if has_unusual_unit or is_given_for_floats:
        return None
    return normalized_map_warning(raw_map.raw_values, is_unit_guessed=raw_map.is_unit_guessed)


def _wrapping_message(wrap: DepthWrap) -> str:
    """Return the warning that depth seems to start again at 0."""
    return (
        f"surfaces reach the value {wrap.period:.5g} at {format_pixel_count(wrap.pixel_count)} and "
        "continue at 0, so larger depth seems to wrap around, as with a time-of-flight camera or "
        "numbers with too few bits: save the true depth, or leave out these pixels"
    )


def _median_warning(raw_map: RawDepthMap, metres: Values, max_depth: float | None) -> str | None:
    """Warn about the unit if the median depth [m] of all visible pixels is implausible.

    A unit that the user gives is doubted only where whole numbers may be millimetres.
    """
    is_beyond = metres > MAX_VISIBLE
    median = float(np.median(metres if is_beyond.all() else metres[~is_beyond]))
    is_far = median > MAX_PLAUSIBLE_MEDIAN
    if not raw_map.is_unit_given:
        is_far_expected = max_depth is not None and max_depth > MAX_PLAUSIBLE_MEDIAN
        return None if is_far and is_far_expected else unit_warning(median)

    has_large_unit = raw_map.unit is not None and raw_map.unit >= 1
    are_whole = raw_map.integer_type is not None
    if not (is_far and has_large_unit and are_whole):
        return None
    return (
        f"its integers are declared in units of {raw_map.unit:g} m, and half of them are beyond "
        f"{MAX_PLAUSIBLE_MEDIAN:g} m: if they are millimetres, set 'scale: 0.001'"
    )
