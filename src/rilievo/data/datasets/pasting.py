"""Resize a depth map and paste it into its picture, once its placement is known."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Field, Int, Mask, Shaped, Size, Values
from rilievo.io.depth.placement import MapPlacement

_MAX_SURFACE_RATIO = 1.1
"""Largest ratio of the depths that are averaged. Across an occluding edge, the mean would be a
depth at which there is no surface."""


def paste_truth(
    depth: Field, valid: Mask, placement: MapPlacement, picture: Size
) -> tuple[Field, Mask]:
    """Resize ground-truth depth [m] and its mask, and paste them into a map of the picture's size.

    Depth is interpolated bilinearly in inverse depth, which is exact on planes, where the four
    source pixels lie on one surface. Elsewhere the nearest source is taken, so that no depth
    arises between two surfaces.
    """
    crop = placement.crop
    if depth.shape != crop.shape:
        depth, valid = _resize_truth(depth, valid, crop.shape)
    if crop.shape == picture:
        return depth, valid
    return (
        crop.paste_into_picture(depth, picture, 0),
        crop.paste_into_picture(valid, picture, False),
    )


def paste_nearest(
    values: Shaped[np.ndarray, "*c h w"], placement: MapPlacement, picture: Size, empty: float
) -> Shaped[np.ndarray, "*c a b"]:
    """Resize values by nearest neighbour, such as labels, and paste them into the picture's size.

    Pixels outside of the placement are ``empty``.
    """
    crop = placement.crop
    rows, columns = _nearest_sources((values.shape[-2], values.shape[-1]), crop.shape)
    return crop.paste_into_picture(values[..., rows[:, None], columns], picture, empty)


def _resize_truth(depth: Field, valid: Mask, shape: Size) -> tuple[Field, Mask]:
    """Resize depth and its mask: bilinear in inverse depth on surfaces, nearest elsewhere."""
    rows, columns = _nearest_sources((depth.shape[0], depth.shape[1]), shape)
    nearest_depth = depth[rows[:, None], columns]
    nearest_valid = valid[rows[:, None], columns]

    # Invalid pixels get any finite value; they are not used, because is_surface excludes them.
    inverse_depth = 1 / np.where(valid, depth, 1).astype(np.float64)
    mean_inverse = np.zeros(shape)
    sources = []
    for source_values, weights in _bilinear_sources(inverse_depth, shape):
        mean_inverse += source_values * weights
        sources.append(source_values)
    stacked = np.stack(sources)
    is_surface = stacked.max(axis=0) < _MAX_SURFACE_RATIO * stacked.min(axis=0)
    for source_valid, _ in _bilinear_sources(valid, shape):
        is_surface &= source_valid
    resized = np.where(is_surface, 1 / mean_inverse, nearest_depth)
    return np.where(nearest_valid, resized, 0).astype(np.float32), nearest_valid


def _nearest_sources(size: Size, new_size: Size) -> Iterator[np.ndarray]:
    """Yield the nearest source row of each new row, then the nearest source column of each column.

    Pixel i of an axis covers i to i + 1, so its centre is at i + 0.5.
    """
    for old, new in zip(size, new_size, strict=True):
        centres = (np.arange(new) + 0.5) * old / new
        yield np.minimum(centres.astype(int), old - 1)


def _bilinear_sources(values: AnyPlane, shape: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the values of the four source pixels of each new pixel, with their bilinear weights."""
    row_sources = _linear_sources(values.shape[0], shape[0])
    column_sources = _linear_sources(values.shape[1], shape[1])
    for rows in row_sources:
        for columns in column_sources:
            weights = rows.weights[:, None] * columns.weights[None, :]
            yield values[rows.indices[:, None], columns.indices], weights


@dataclass(frozen=True, slots=True, kw_only=True)
class _AxisSources:
    """One of the two source pixels of each new pixel along an axis, and its weight."""

    indices: Int[np.ndarray, "n"]
    weights: Values


def _linear_sources(old: int, new: int) -> tuple[_AxisSources, _AxisSources]:
    """Sources of each new pixel along an axis: the pixel before its centre, and the one after."""
    position = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    before = position.astype(int)
    weight_after = position - before
    return (
        _AxisSources(indices=before, weights=1 - weight_after),
        _AxisSources(indices=np.minimum(before + 1, old - 1), weights=weight_after),
    )
