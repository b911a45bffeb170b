"""Bits of something else in the same numbers as depth, and bytes in the wrong order.

A number with something packed below its depth changes in steps of a power of two. One with
something packed above jumps by multiples of a power of two on a single surface. Bytes in the wrong
order turn surfaces to noise.
"""

import math
from collections.abc import Iterator

import numpy as np

from rilievo.arrays.shapes import Mask, Shaped, Values
from rilievo.io.depth.background import far_marks
from rilievo.io.depth.number_plane import (
    MAX_SURFACE_STEP,
    MIN_NEIGHBOURS,
    NumberPlane,
    neighbour_slices,
)
from rilievo.io.depth.roughness import is_much_smoother, roughness

_MIN_PIXELS = 5
_LOW_BITS = range(8, 1, -1)  # bits of something else below the depth, the most first
_MIN_LOW_BIT_STEPS = 0.9  # of the steps between neighbours, that are multiples of a power of two
_MIN_EVEN_STEPS = 0.97  # of the steps, above a flag of one bit
_FLAG_LABELS = 2
_HIGH_BITS = (15, 14, 13, 12, 11)  # bits of depth below something else, the most first
_MIN_SURFACES_BELOW = 0.6  # of the jumps, below which a surface goes on
_MAX_COARSE_MEDIAN = 10.0  # [m]; nearer depth in coarse steps is that of a sensor
_MILLIMETRE, _HIGHEST_BIT = 0.001, 2**15
_MAX_NEAREST_BELOW_FLAG = 10_000  # [mm]
_MIN_FLOAT_BYTES = 4  # of floats whose byte order is judged
_MAX_FLOAT_RATIO = 1e6  # of depths in one map
_MAX_TURN_RATIO = 1.1  # of roughness, between turns of the bits that show surfaces alike


def byte_order_warnings(plane: NumberPlane, stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Warn about numbers that are noise, and surfaces with their bits or bytes in another order."""
    yield from _turned_bits_warnings(plane)
    yield from _float_byte_warnings(stored)


def highest_bit_warnings(plane: NumberPlane) -> Iterator[str]:
    """Warn about a highest bit that all numbers have, which is depth beyond 32 m in millimetres."""
    integer_type = plane.integer_type
    if integer_type is None or integer_type.kind != "u" or integer_type.itemsize != 2:
        return
    numbers = plane.known_numbers
    numbers = numbers[numbers < np.iinfo(integer_type).max]
    if plane.unit != _MILLIMETRE or not numbers.size or numbers.min() < _HIGHEST_BIT:
        return
    beyond = f"all numbers lie above {_HIGHEST_BIT}, which is depth beyond 32 m in millimetres"
    if numbers.min() - _HIGHEST_BIT > _MAX_NEAREST_BELOW_FLAG:
        yield f"{beyond}: if they fall with depth, write the largest number minus them"
    else:
        yield (
            f"{beyond}: if the highest bit is a flag, say 'bits: [0, 15]', and if it is an offset, "
            "say 'offset'"
        )


def packed_bit_warnings(plane: NumberPlane, stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Warn about bits of something else below or above the depth."""
    integer_type = plane.integer_type
    if integer_type is None or integer_type.itemsize == 1 or _are_halves(stored):
        return
    if np.count_nonzero(plane.known) <= _MIN_PIXELS:
        return
    without_background = plane.known & (plane.values < plane.known_numbers.max())
    first, second = _neighbours(plane.values, without_background)
    steps = np.abs(second - first)
    steps = steps[steps > 0]
    if steps.size < MIN_NEIGHBOURS:
        return

    low_bits = _count_low_bits(steps) or _count_flag_bits(plane, steps)
    is_coarse = plane.is_unit_declared and _is_coarse_sensor(plane, low_bits)
    if low_bits and not is_coarse and not _is_usual_step(plane.unit, 2.0**low_bits):
        yield _low_bits_words(plane, low_bits, 8 * integer_type.itemsize)
        return
    high_bits = _find_high_bits(first, second)
    if high_bits is not None:
        yield (
            f"it jumps by multiples of {2**high_bits} between neighbours of one surface: the bits "
            f"of something else seem packed above its lowest {high_bits}; say "
            f"'bits: [0, {high_bits}]'"
        )


def _are_halves(stored: Shaped[np.ndarray, "h w"]) -> bool:
    """Whether floats are of half precision, whose steps grow with them by powers of two."""
    if stored.dtype.kind != "f":
        return False
    known = stored[np.isfinite(stored)]
    with np.errstate(over="ignore"):
        return bool((known.astype(np.float16) == known).all())


def _neighbours(values: Shaped[np.ndarray, "h w"], known: Mask) -> tuple[Values, Values]:
    """Numbers of all pairs of known neighbours."""
    firsts, seconds = [], []
    for first, second in neighbour_slices():
        are_known = known[first] & known[second]
        firsts.append(values[first][are_known])
        seconds.append(values[second][are_known])
    return np.concatenate(firsts), np.concatenate(seconds)


def _count_low_bits(steps: Values) -> int:
    """Number of lowest bits in which neighbours do not differ; 0 if there are fewer than two."""
    for bits in _LOW_BITS:
        if np.mean(steps % 2**bits == 0) >= _MIN_LOW_BIT_STEPS:
            return bits
    return 0


def _count_flag_bits(plane: NumberPlane, steps: Values) -> int:
    """1 if the lowest bit is a flag, which neighbours share while depth changes by even steps."""
    is_even = np.mean(steps % 2 == 0) >= _MIN_EVEN_STEPS
    return int(is_even and np.unique(plane.known_numbers % 2).size == _FLAG_LABELS)


def _is_coarse_sensor(plane: NumberPlane, low_bits: int) -> bool:
    """Whether depth in a declared unit is that of a room, in coarse steps and nothing below."""
    if plane.unit is None or (plane.known_numbers % 2**low_bits).any():
        return False
    return float(np.median(plane.known_numbers)) * plane.unit < _MAX_COARSE_MEDIAN


def _is_usual_step(unit: float | None, step: float) -> bool:
    """Whether numbers of a unit often change in such steps."""
    if unit is None:
        return False
    exponent = -math.log2(unit)
    # KITTI's and others' fractions of a power of two come from steps of a sixteenth of a pixel.
    is_binary = exponent >= 1 and abs(exponent - round(exponent)) < 1e-9
    is_decimal = any(math.isclose(unit * step, usual) for usual in (0.001, 0.01, 0.1, 1.0))
    return is_binary or is_decimal


def _low_bits_words(plane: NumberPlane, low_bits: int, type_bits: int) -> str:
    """Say what the lowest bits hold, and which bits the user declares as depth."""
    depth_bits = type_bits - low_bits
    labels = np.unique(plane.known_numbers % 2**low_bits).size
    if labels == 1:
        state = f"lowest {low_bits} bits are always zero"
    elif low_bits == 1:
        state = f"lowest bit holds {labels} labels"
    else:
        state = f"lowest {low_bits} bits hold {labels} labels"
    sun_rgbd = f" ([{low_bits}, {type_bits}] of SUN RGB-D's)" if low_bits == 3 else ""
    return (
        f"its {state}, and depth changes in steps of {2**low_bits}: the bits of "
        f"something else seem packed below it; say 'bits: [{low_bits}, {depth_bits}]'{sun_rgbd}"
    )


def _find_high_bits(first: Values, second: Values) -> int | None:
    """Number of bits below those that jump on one surface; None if none does."""
    for bits in _HIGH_BITS:
        size = 2**bits
        jumps = first // size != second // size
        if np.count_nonzero(jumps) < MIN_NEIGHBOURS // 4:
            continue
        low_first, low_second = first[jumps] % size, second[jumps] % size
        nearer = np.maximum(np.minimum(low_first, low_second), size / 100)
        goes_on_below = np.abs(low_first - low_second) <= MAX_SURFACE_STEP * nearer
        if goes_on_below.mean() > _MIN_SURFACES_BELOW:
            return bits
    return None


def _turned_bits_warnings(plane: NumberPlane) -> Iterator[str]:
    """Warn about 16 bits that show surfaces if they begin at another bit, such as swapped bytes."""
    known = plane.known & ~far_marks(plane)
    if plane.integer_type is None or plane.integer_type.itemsize != 2:
        return
    numbers = np.where(known, plane.values, 0).astype(np.uint16)
    turned = {bits: (numbers >> bits) | (numbers << (16 - bits)) for bits in range(1, 16)}
    steps = {bits: roughness(values) for bits, values in turned.items()}
    least = min(steps.values())
    # Turns that only multiply the depth are as smooth, and its numbers are the smallest.
    smoothest = [bits for bits in turned if steps[bits] <= _MAX_TURN_RATIO * least]
    if not smoothest:
        return
    best = min(smoothest, key=lambda bits: int(turned[bits].max()))
    if not is_much_smoother(numbers, turned[best]):
        return
    if best == 8:
        yield (
            "its numbers are noise, and surfaces with their two bytes swapped: say 'bits: [8, 16]'"
            ", or write it anew in the other byte order (numpy: array.byteswap())"
        )
    else:
        yield (
            f"its numbers are noise, and surfaces if they begin at bit {best} and go on at bit 0: "
            f"say 'bits: [{best}, 16]'"
        )


def _float_byte_warnings(stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Warn about floats whose bytes are in the wrong order."""
    if stored.dtype.kind != "f" or stored.dtype.itemsize < _MIN_FLOAT_BYTES:
        return
    swapped = stored.astype(stored.dtype.newbyteorder("=")).byteswap()
    is_swapped_depth = np.isfinite(swapped) & (swapped > 0)
    if np.count_nonzero(is_swapped_depth) < max(MIN_NEIGHBOURS, stored.size / 2):
        return
    swapped_logs = np.log(swapped[is_swapped_depth].astype(np.float64))

    with np.errstate(invalid="ignore"):
        is_number = np.isfinite(stored) & (stored != 0)
    logs = np.log(np.abs(stored[is_number].astype(np.float64)))
    max_log = math.log(_MAX_FLOAT_RATIO)
    is_wild = not logs.size or max(np.ptp(logs), np.abs(np.median(logs))) > 2 * max_log
    is_tame = abs(np.median(swapped_logs)) < max_log and float(np.ptp(swapped_logs)) < max_log
    if is_wild and is_tame:
        yield (
            "its numbers are noise, and surfaces with their bytes in the other order: write it "
            "anew (numpy: array.byteswap()); in PFM the sign of the scale says the order"
        )
