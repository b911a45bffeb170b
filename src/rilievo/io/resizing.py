"""Measured depth at another size, without new depth between two surfaces."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Float, Int, Mask

MAX_SURFACE_STEP = 0.05
"""Largest difference of log depth between neighbours on one surface."""
_ALL_MEASURED = 0.999
"""Fraction of the pixels around a resized one that are measured, if all are (with rounding)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resized:
    """Measured map at another size; ``known`` is False in its gaps."""

    values: Float[np.ndarray, "h w"]
    known: Mask


def resize_measured(measured: Float[np.ndarray, "a b"], shape: tuple[int, int]) -> Resized:
    """Resize measured depth, without new depth between two surfaces.

    Within a surface the depth is interpolated. At its edges and beside gaps (0), it is that of the
    nearest pixel.
    """
    if measured.shape == shape:
        return Resized(values=measured, known=measured > 0)
    nearest = measured[nearest_pixel_index(measured.shape, shape)]
    interpolated = resize_bilinear(measured.astype(np.float64), shape)
    measured_fraction = resize_bilinear((measured > 0).astype(np.float64), shape)
    is_on_surface = np.abs(interpolated - nearest) < MAX_SURFACE_STEP * nearest
    is_inside = (measured_fraction > _ALL_MEASURED) & is_on_surface
    return Resized(values=np.where(is_inside, interpolated, nearest), known=nearest > 0)


def nearest_pixel_index(
    old_shape: tuple[int, ...], new_shape: tuple[int, ...]
) -> tuple[Int[np.ndarray, "h 1"], Int[np.ndarray, "w"]]:
    """Index that resizes a map by taking the old pixel in which each new pixel's centre lies."""
    rows, columns = (
        ((np.arange(new_size) + 0.5) * old_size / new_size).astype(int)
        for new_size, old_size in zip(new_shape, old_shape, strict=True)
    )
    return rows[:, None], columns


def resize_bilinear(values: Float[np.ndarray, "h w"], shape: tuple[int, int]) -> Field:
    """Interpolate a map linearly between pixel centres, first its rows, then its columns."""
    for axis, new_size in enumerate(shape):
        old_size = values.shape[axis]
        if old_size == new_size:
            continue
        position = np.clip((np.arange(new_size) + 0.5) * old_size / new_size - 0.5, 0, old_size - 1)
        before = np.minimum(position.astype(int), max(old_size - 2, 0))
        after = np.minimum(before + 1, old_size - 1)
        weight = (position - before).reshape((-1, 1) if axis == 0 else (1, -1))
        values = (1 - weight) * values.take(before, axis) + weight * values.take(after, axis)
    return values
