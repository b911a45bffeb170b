"""Warnings that a map holds inverse depth or disparity instead of depth, or the reverse."""

import numpy as np

from rilievo.arrays.shapes import Float64, Mask, Shaped
from rilievo.io.depth.normalized import normalized_range_warnings
from rilievo.io.depth.surface_shape import has_straight_surfaces, is_one_ramp
from rilievo.io.depth.wrapping import find_wrap
from rilievo.io.depth.z_buffers import z_buffer_warning

SURFACES_ARE_STRAIGHT = (
    "flat surfaces are straight in its numbers, as they are in inverse depth and disparity, and "
    "not in depth: if it is inverse depth, depth is 1 over the numbers, and if it is disparity, "
    "focal length times baseline over the numbers"
)
SURFACES_BEND = (
    "flat surfaces bend in its numbers as they do in depth, and are not straight as in inverse "
    "depth and disparity: if it is depth, say so by its kind"
)


def inverse_depth_warnings(
    stored: Shaped[np.ndarray, "h w"], values: Float64[np.ndarray, "h w"], valid: Mask
) -> tuple[str, ...]:
    """Warn about one map that is taken for depth, if it may be inverse, normalised or a z-buffer.

    Args:
        stored: Numbers as they stand in the file.
        values: Depth that they are taken for, possibly resized to the photograph.
        valid: Pixels with depth.
    """
    warnings = [*normalized_range_warnings(stored)]
    known = np.isfinite(stored) & (stored > 0)
    if valid.shape == stored.shape:
        known &= valid
    # Where depth starts again near zero, it bends too little.
    if find_wrap(stored, known) is not None:
        return tuple(warnings)
    z_buffer = z_buffer_warning(stored)
    if z_buffer is not None:
        return (z_buffer,)
    if has_straight_surfaces(values, valid):
        warnings.append(SURFACES_ARE_STRAIGHT)
    return tuple(warnings)


def straight_surface_warnings(values: Float64[np.ndarray, "h w"], valid: Mask) -> tuple[str, ...]:
    """Warn about a map of a folder that is taken for depth, if it may be inverse depth.

    A map that is one ramp brings no warning, because such maps are made up to try a program.
    """
    if not has_straight_surfaces(values, valid) or is_one_ramp(values, valid):
        return ()
    starts_again = find_wrap(values, valid) is not None
    return () if starts_again else (SURFACES_ARE_STRAIGHT,)


def bent_surface_warnings(depth: Float64[np.ndarray, "h w"], valid: Mask) -> tuple[str, ...]:
    """Warn about a map of a folder that is taken for inverse depth, if it may be depth.

    Args:
        depth: 1 over the inverse depth or disparity, in any unit.
        valid: Pixels with depth.
    """
    return (SURFACES_BEND,) if straight_surface_warnings(depth, valid) else ()
