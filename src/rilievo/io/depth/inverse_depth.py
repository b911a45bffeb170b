"""Warnings that a map holds inverse depth or disparity instead of depth, or the reverse."""

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, StoredMap
from rilievo.io.depth.normalized import normalized_map_warning
from rilievo.io.depth.surface_shape import has_straight_surfaces, is_one_ramp
from rilievo.io.depth.wrapping import find_wrap
from rilievo.io.depth.z_buffers import z_buffer_warning

SURFACES_ARE_STRAIGHT = (
    "its values change evenly across flat surfaces, as in inverse depth and disparity but not in "
    "depth: if they are inverse depth, depth is 1 / value; if they are disparity, depth is focal "
    "length * baseline / value"
)
SURFACES_BEND = (
    "its values do not change evenly across flat surfaces, so they look like depth and not like "
    "inverse depth or disparity: if they are depth, set their kind to depth"
)


def inverse_depth_warnings(
    raw_values: StoredMap, values: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[str, ...]:
    """Warn about a map that is taken for depth, if it may be inverse, normalized or a z-buffer.

    ``values`` are the depth that ``raw_values`` are taken for, possibly resized to the photograph.
    """
    has_depth = np.isfinite(raw_values) & (raw_values > 0)
    if valid.shape == raw_values.shape:
        has_depth &= valid
    # Surfaces look straight in depth that wraps around, because it bends too little there.
    wraps_around = find_wrap(raw_values, has_depth) is not None
    z_buffer = None if wraps_around else z_buffer_warning(raw_values)
    if z_buffer is not None:
        return (z_buffer,)
    is_straight = not wraps_around and has_straight_surfaces(values, valid)
    surfaces = SURFACES_ARE_STRAIGHT if is_straight else None
    return tuple(filter(None, [normalized_map_warning(raw_values), surfaces]))


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
