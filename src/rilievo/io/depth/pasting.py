"""Bring a map to the size of its picture, once it is known where it lies."""

from collections.abc import Iterator

import numpy as np

from rilievo.arrays.shapes import AnyPlane, Field, Mask, Shaped, Size
from rilievo.io.depth.placement import MapPlacement

_MAX_SURFACE_RATIO = 1.1
"""Depth of neighbours on one surface differs less; a mean across an edge lies on no surface."""


def paste_truth(
    depth: Field, valid: Mask, placement: MapPlacement, picture: Size
) -> tuple[Field, Mask]:
    """Resize depth [m] and its mask, and paste them into a map of the picture's size.

    A pixel whose four sources lie on one surface gets their mean in inverse depth, which is exact
    on planes. Any other gets its nearest source, so that no depth arises between two surfaces.
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
    """Resize numbers that have no mean, such as labels, and paste them into the picture's size.

    Pixels outside of the placement are ``empty``.
    """
    crop = placement.crop
    rows, columns = _nearest_sources((values.shape[-2], values.shape[-1]), crop.shape)
    return crop.paste_into_picture(values[..., rows[:, None], columns], picture, empty)


def _resize_truth(depth: Field, valid: Mask, shape: Size) -> tuple[Field, Mask]:
    """Resize depth and its mask: the mean of four sources on one surface, or else the nearest."""
    rows, columns = _nearest_sources((depth.shape[0], depth.shape[1]), shape)
    nearest = depth[rows[:, None], columns]
    nearest_valid = valid[rows[:, None], columns]

    inverse = 1 / np.where(valid, depth, 1).astype(np.float64)
    mean = np.zeros(shape)
    sources = []
    for values, weights in _bilinear_sources(inverse, shape):
        mean += values * weights
        sources.append(values)
    stack = np.stack(sources)
    is_surface = stack.max(axis=0) < _MAX_SURFACE_RATIO * stack.min(axis=0)
    for is_valid, _ in _bilinear_sources(valid, shape):
        is_surface &= is_valid
    resized = np.where(is_surface, 1 / mean, nearest)
    return np.where(nearest_valid, resized, 0).astype(np.float32), nearest_valid


def _nearest_sources(size: Size, new_size: Size) -> Iterator[np.ndarray]:
    """Yield the row nearest to each new row, then the column nearest to each new column."""
    for old, new in zip(size, new_size, strict=True):
        yield np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)


def _bilinear_sources(values: AnyPlane, shape: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the four sources of each new pixel and their weights; pixel centres are at halves."""
    (top, bottom, down), (left, right, across) = (
        _linear_sources(old, new) for old, new in zip(values.shape, shape, strict=True)
    )
    down, across = down[:, None], across[None, :]
    for rows, row_weight in ((top, 1 - down), (bottom, down)):
        for columns, column_weight in ((left, 1 - across), (right, across)):
            yield values[rows[:, None], columns], row_weight * column_weight


def _linear_sources(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both sources of each new pixel along an axis, and the weight of the second."""
    position = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    first = position.astype(int)
    return first, np.minimum(first + 1, old - 1), position - first
