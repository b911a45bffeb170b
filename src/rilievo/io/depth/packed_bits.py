"""Warn about values that hold other bits besides depth, and about bytes in the wrong order.

If other bits are packed below the depth, neighbours differ by multiples of a power of two. If they
are packed above, values jump by multiples of a power of two on a single surface. Bytes in the wrong
order turn surfaces to noise.
"""

import math

import numpy as np

from rilievo.arrays.shapes import Mask, StoredMap, Values
from rilievo.io.depth.background import find_far_marks
from rilievo.io.depth.raw_depth_map import (
    MAX_SURFACE_STEP,
    MIN_NEIGHBOURS,
    RawDepthMap,
    neighbour_slices,
)
from rilievo.io.depth.roughness import is_much_smoother, roughness

_MIN_PIXELS = 5
_LOW_BIT_COUNTS = range(8, 1, -1)  # possible counts of other bits below the depth
_MIN_LOW_BIT_STEPS = 0.9  # fraction of the steps that must be multiples of a power of two
_MIN_EVEN_STEPS = 0.97  # the same for a flag of a single bit
_DEPTH_BIT_COUNTS = (15, 14, 13, 12, 11)  # possible counts of depth bits below other bits
_MIN_SMOOTH_JUMPS = 0.6  # fraction of the jumps at which the depth bits alone continue smoothly
_MAX_COARSE_MEDIAN = 10.0  # [m]; nearer depth in coarse steps is that of a sensor
_MILLIMETRE, _HIGHEST_BIT = 0.001, 2**15
_MAX_NEAREST_BELOW_FLAG = 10_000  # [mm]
_MIN_FLOAT_BYTES = 4  # swapped bytes of half floats are not told from depth
_MAX_FLOAT_RATIO = 1e6  # between two depths in one map, or between their median and 1
_MAX_ROTATION_RATIO = 1.1  # of the roughness to the smoothest, of rotations that are as smooth


def byte_order_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about values that are noise, but show surfaces with their bits or bytes reordered."""
    return _rotated_bits_warning(raw_map) or _float_byte_warning(raw_map.raw_values)


def highest_bit_warning(raw_map: RawDepthMap) -> str | None:
    """Warn if all 16-bit values have the highest bit set, which would be depth beyond 32 m."""
    integer_type = raw_map.integer_type
    if integer_type is None or integer_type.kind != "u" or integer_type.itemsize != 2:
        return None
    values = raw_map.valid_values
    values = values[values < np.iinfo(integer_type).max]
    if raw_map.unit != _MILLIMETRE or not values.size or values.min() < _HIGHEST_BIT:
        return None
    beyond = f"all values are at least {_HIGHEST_BIT}, which is a depth beyond 32 m in millimetres"
    if values.min() - _HIGHEST_BIT > _MAX_NEAREST_BELOW_FLAG:
        return (
            f"{beyond}: if they decrease with depth, subtract them from the largest value and "
            "save the result"
        )
    return (
        f"{beyond}: if the highest bit is a flag, set 'bits: [0, 15]'; if it is an offset, set "
        f"'scale: 0.001' and 'offset: {-0.001 * _HIGHEST_BIT:g}'"
    )


def packed_bit_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about other bits that are packed below or above the depth."""
    integer_type = raw_map.integer_type
    if integer_type is None or integer_type.itemsize == 1 or _are_half_floats(raw_map.raw_values):
        return None
    if np.count_nonzero(raw_map.valid) <= _MIN_PIXELS:
        return None
    without_background = raw_map.valid & (raw_map.values < raw_map.valid_values.max())
    pixels, neighbours = _neighbour_values(raw_map.values, without_background)
    steps = np.abs(neighbours - pixels)
    steps = steps[steps > 0]
    if steps.size < MIN_NEIGHBOURS:
        return None

    low_bit_count = _count_constant_low_bits(steps)
    if low_bit_count == 0 and _has_flag_in_lowest_bit(raw_map, steps):
        low_bit_count = 1
    is_coarse = raw_map.is_unit_given and _is_coarse_sensor(raw_map, low_bit_count)
    if low_bit_count and not is_coarse and not _is_common_step(raw_map.unit, 2.0**low_bit_count):
        return _low_bits_message(raw_map, low_bit_count, 8 * integer_type.itemsize)
    depth_bit_count = _count_bits_below_packed(pixels, neighbours)
    if depth_bit_count is None:
        return None
    return (
        f"its values jump by multiples of {2**depth_bit_count} between neighbouring pixels of a "
        f"surface, so other data seems to be packed above the lowest {depth_bit_count} bits: set "
        f"'bits: [0, {depth_bit_count}]'"
    )


def _are_half_floats(raw_values: StoredMap) -> bool:
    """Whether all floats fit half precision, whose rounding steps are powers of two anyway."""
    if raw_values.dtype.kind != "f":
        return False
    finite_values = raw_values[np.isfinite(raw_values)]
    with np.errstate(over="ignore"):
        return bool((finite_values.astype(np.float16) == finite_values).all())


def _neighbour_values(values: StoredMap, valid: Mask) -> tuple[Values, Values]:
    """Return the values of all valid pairs: pixels, and their right or lower neighbours."""
    pixel_values, neighbour_values = [], []
    for pixels, neighbours in neighbour_slices():
        are_valid = valid[pixels] & valid[neighbours]
        pixel_values.append(values[pixels][are_valid])
        neighbour_values.append(values[neighbours][are_valid])
    return np.concatenate(pixel_values), np.concatenate(neighbour_values)


def _count_constant_low_bits(steps: Values) -> int:
    """Count the lowest bits in which neighbours do not differ; 0 if there are fewer than two."""
    for bit_count in _LOW_BIT_COUNTS:
        if np.mean(steps % 2**bit_count == 0) >= _MIN_LOW_BIT_STEPS:
            return bit_count
    return 0


def _has_flag_in_lowest_bit(raw_map: RawDepthMap, steps: Values) -> bool:
    """Whether the lowest bit of the values seems to be a flag, and not a part of the depth.

    ``steps`` are the differences between neighbours. Neighbours mostly share a flag, so that the
    depth above it changes by even steps, although both odd and even values occur.
    """
    steps_are_even = np.mean(steps % 2 == 0) >= _MIN_EVEN_STEPS
    lowest_bits = np.unique(raw_map.valid_values % 2)
    has_both_flags = lowest_bits.size == 2
    return bool(steps_are_even and has_both_flags)


def _is_coarse_sensor(raw_map: RawDepthMap, low_bit_count: int) -> bool:
    """Whether the map is a room in coarse depth steps, with nothing in the bits below them."""
    if raw_map.unit is None or (raw_map.valid_values % 2**low_bit_count).any():
        return False
    return float(np.median(raw_map.valid_values)) * raw_map.unit < _MAX_COARSE_MEDIAN


def _is_common_step(unit: float | None, step: float) -> bool:
    """Whether depth in a unit [m] often has such steps anyway, without anything packed below it."""
    if unit is None:
        return False
    exponent = -math.log2(unit)
    # With units of 1/256 m, as KITTI's, steps of a sixteenth of a pixel are powers of two as well.
    is_binary_unit = exponent >= 1 and abs(exponent - round(exponent)) < 1e-9
    common_steps = (0.001, 0.01, 0.1, 1.0)  # [m]
    is_decimal_step = any(math.isclose(unit * step, common) for common in common_steps)
    return is_binary_unit or is_decimal_step


def _low_bits_message(raw_map: RawDepthMap, low_bit_count: int, type_bits: int) -> str:
    """Return the warning about bits below the depth, with the key that selects the depth bits."""
    depth_bits = type_bits - low_bit_count
    label_count = np.unique(raw_map.valid_values % 2**low_bit_count).size
    low_bits = "lowest bit" if low_bit_count == 1 else f"lowest {low_bit_count} bits"
    if label_count == 1:
        content = f"its values never differ in their {low_bits}"
    else:
        content = f"the {low_bits} of its values have {label_count} different values"
    # SUN RGB-D rotates its values by three bits.
    sun_rgbd = f" ([{low_bit_count}, {type_bits}] for SUN RGB-D)" if low_bit_count == 3 else ""
    return (
        f"{content}, and depth changes in steps of {2**low_bit_count}, so depth seems to begin "
        f"above these bits: set 'bits: [{low_bit_count}, {depth_bits}]'{sun_rgbd}"
    )


def _count_bits_below_packed(pixels: Values, neighbours: Values) -> int | None:
    """Count the bits below those that jump on a surface; None if no bits do.

    ``neighbours`` are the values beside ``pixels``, in the same order.
    """
    for bit_count in _DEPTH_BIT_COUNTS:
        modulus = 2**bit_count
        high_bits_jump = pixels // modulus != neighbours // modulus
        if np.count_nonzero(high_bits_jump) < MIN_NEIGHBOURS // 4:
            continue
        # At these jumps, is the depth in the lower bits that of one surface?
        pixel_depth = pixels[high_bits_jump] % modulus
        neighbour_depth = neighbours[high_bits_jump] % modulus
        nearer_depth = np.maximum(np.minimum(pixel_depth, neighbour_depth), modulus / 100)
        is_smooth = np.abs(pixel_depth - neighbour_depth) <= MAX_SURFACE_STEP * nearer_depth
        if is_smooth.mean() > _MIN_SMOOTH_JUMPS:
            return bit_count
    return None


def _rotated_bits_warning(raw_map: RawDepthMap) -> str | None:
    """Warn about 16-bit noise that shows surfaces once its bits are rotated.

    A rotation by 8 bits swaps the two bytes.
    """
    valid = raw_map.valid & ~find_far_marks(raw_map)
    if raw_map.integer_type is None or raw_map.integer_type.itemsize != 2:
        return None
    values = np.where(valid, raw_map.values, 0).astype(np.uint16)
    rotated_by_bits = {bits: (values >> bits) | (values << (16 - bits)) for bits in range(1, 16)}
    roughness_by_bits = {bits: roughness(rotated) for bits, rotated in rotated_by_bits.items()}
    max_roughness = _MAX_ROTATION_RATIO * min(roughness_by_bits.values())
    smoothest = [bits for bits in rotated_by_bits if roughness_by_bits[bits] <= max_roughness]
    if not smoothest:
        return None  # The roughness is NaN, because hardly any neighbours have depth.
    # Rotations that multiply the depth by a power of two are as smooth as the right one, which has
    # the smallest values.
    best_bits = min(smoothest, key=lambda bits: int(rotated_by_bits[bits].max()))
    if not is_much_smoother(values, rotated_by_bits[best_bits]):
        return None
    if best_bits == 8:
        return (
            "its values look like noise, but like surfaces when their two bytes are swapped: set "
            "'bits: [8, 16]', or save the array in the other byte order (numpy: array.byteswap())"
        )
    return (
        "its values look like noise, but like surfaces when they are rotated to begin at bit "
        f"{best_bits}: set 'bits: [{best_bits}, 16]'"
    )


def _float_byte_warning(raw_values: StoredMap) -> str | None:
    """Warn about floats whose bytes are in the wrong order.

    Such floats spread over hundreds of powers of ten, and are close together after a swap.
    """
    if raw_values.dtype.kind != "f" or raw_values.dtype.itemsize < _MIN_FLOAT_BYTES:
        return None
    max_log_extent = math.log(_MAX_FLOAT_RATIO)
    swapped = raw_values.astype(raw_values.dtype.newbyteorder("=")).byteswap()
    may_be_depth = np.isfinite(swapped) & (swapped > 0)
    if np.count_nonzero(may_be_depth) < max(MIN_NEIGHBOURS, raw_values.size / 2):
        return None
    swapped_is_depth = _log_extent(swapped[may_be_depth]) < max_log_extent

    with np.errstate(invalid="ignore"):
        is_number = np.isfinite(raw_values) & (raw_values != 0)
    numbers = raw_values[is_number]
    is_noise = not numbers.size or _log_extent(np.abs(numbers)) > 2 * max_log_extent
    if not is_noise or not swapped_is_depth:
        return None
    return (
        "its values look like noise, but like surfaces when their bytes are swapped: save the "
        "array in the other byte order (numpy: array.byteswap()); in a PFM file, the sign of the "
        "scale gives the byte order"
    )


def _log_extent(positive: Values) -> float:
    """Return how far positive numbers spread, or lie from 1, as the logarithm of a ratio.

    The ratio is that of the largest to the smallest, or that of the median to 1, whichever is
    larger. It is moderate for depth in any usual unit, and huge for noise.
    """
    logs = np.log(positive.astype(np.float64))
    return max(float(np.ptp(logs)), abs(float(np.median(logs))))
