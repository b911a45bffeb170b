"""How pictures of depth draw the skyline: objects before the sky, and the ground up to it.

Networks blend ground and sky over about 1.5 % of the diagonal; pictures continue the ground.
"""

import math

import numpy as np

from rilievo.arrays.shapes import Field, Mask
from rilievo.geometry.surfaces.patches import label_patches
from rilievo.io.map_pictures import Drawn, picture_quantity
from rilievo.io.outputs.grid import CoarseGrid, neighbour_maxima, square_maxima
from rilievo.io.outputs.sky import EDGE_SIDE
from rilievo.records.depth_map import DepthKind, DepthMap

_MAX_HALF_WIDTH = 1 / 32
"""Largest half of the width of an object before the sky that pictures keep, as a share of the
longer side."""
_MIN_NEARER, _MIN_CLEARLY_NEARER = 0.06, 0.12
"""By how much an object is nearer than the sky around it, everywhere and at its nearest: a share of
the sky's inverse depth, or of the difference between ground and sky of values without a zero."""
_MIN_OBJECT_SIDE = 1 / 48
"""Side of the smallest object, as a square, as a share of the longer side."""

_BAND_SHARE = 0.016
"""Width of the band over which networks blend ground and sky, as a share of the diagonal."""
_MAX_BAND_SIDE = 320
"""Longest side of the grid [px] on which the ground is continued."""
_ROUNDS_BEYOND_BAND = 2
"""Pixels of that grid by which the ground is continued into the sky, so that no gap is left."""


def sky_behind_objects(depth: DepthMap, sky: Mask | None) -> Mask | None:
    """Mask of the sky that pictures colour: the network's, without the objects before it.

    The network's mask is coarser than its depth, so masts and the rims of towers lie in it. Depth
    shows them as narrow and nearer than the sky on both sides. A sky that becomes nearer towards
    the horizon, as networks draw it, is no object. None where no pixel is sky.
    """
    if sky is None or not sky.any():
        return None
    grid = CoarseGrid(depth.shape, step=max(1, max(depth.shape) // EDGE_SIDE))
    valid, grid_sky = depth.valid[grid.samples], sky[grid.samples]
    if not (grid_sky & valid).any():
        return sky

    nearness = picture_quantity(depth, Drawn.INVERSE_DEPTH)
    grid_nearness = nearness[grid.samples]
    longer = max(grid_nearness.shape)
    radius = max(1, int(_MAX_HALF_WIDTH * longer))
    sky_nearness = _level_narrow_peaks(grid_nearness, valid, radius)
    unit = sky_nearness if depth.is_depth else _contrast_to_sky(grid_nearness, valid, grid_sky)

    excess = grid_nearness - sky_nearness
    is_nearer = grid_sky & valid & (excess > np.float32(_MIN_NEARER) * unit)
    is_clearly_nearer = is_nearer & (excess > np.float32(_MIN_CLEARLY_NEARER) * unit)
    objects = _patches_with_a_seed(is_nearer, is_clearly_nearer, _MIN_OBJECT_SIDE * longer)
    if not objects.any():
        return sky
    limit = sky_nearness + np.float32(_MIN_NEARER) * unit
    may_be_object = sky & depth.valid & neighbour_maxima(objects)[grid.cell_indices()]
    return sky & ~_is_nearer_than(limit, nearness, may_be_object, grid)


def _is_nearer_than(limit: Field, nearness: Field, candidates: Mask, grid: CoarseGrid) -> Mask:
    """Mask of those candidates, pixels of an image, that are nearer than the limit of their cell.

    Every pixel of an object decides for itself, so that outlines are as fine as depth.
    """
    rows, columns = np.nonzero(candidates)
    cell_rows, cell_columns = grid.cell_indices()
    limits = limit[cell_rows[rows, 0], cell_columns[columns]]
    is_nearer = np.zeros(candidates.shape, bool)
    is_nearer[rows, columns] = nearness[rows, columns] > limits
    return is_nearer


def _level_narrow_peaks(field: Field, valid: Mask, radius: int) -> Field:
    """Level what is greater than both sides and narrower than twice the radius (an opening).

    What rises up to the border of the image may go on beyond it, so it stays.
    """
    outside = -math.inf
    inner = np.s_[radius:-radius, radius:-radius]
    padded = np.pad(np.where(valid, -field, np.float32(outside)), radius, constant_values=outside)
    minima = -square_maxima(padded, radius, outside)
    minima[np.isinf(minima)] = outside
    return square_maxima(minima, radius, outside)[inner]


def _contrast_to_sky(nearness: Field, valid: Mask, sky: Mask) -> np.float32:
    """Difference between the medians of ground and sky; infinite without ground before it."""
    if not (valid & ~sky).any():
        return np.float32(np.inf)
    contrast = np.median(nearness[valid & ~sky]) - np.median(nearness[valid & sky])
    return np.float32(contrast if contrast > 0 else np.inf)


def _patches_with_a_seed(mask: Mask, seeds: Mask, min_side: float) -> Mask:
    """Connected patches at least as large as a square of this side that contain a seed."""
    patches = label_patches(mask, mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1])
    seed_counts = np.bincount(patches.label[seeds], minlength=patches.size.size)
    is_kept = (seed_counts > 0) & (patches.size >= min_side**2)
    is_kept[0] = False  # label 0 is no patch
    return is_kept[patches.label]


def extend_ground_to_sky(depth: DepthMap, sky: Mask | None) -> DepthMap:
    """Depth with the ground continued up to the sky, where that is nearer than the depth."""
    if sky is None or not sky.any():
        return depth
    grid = CoarseGrid(depth.shape, step=math.ceil(max(depth.shape) / _MAX_BAND_SIDE))
    grid_sky = sky[grid.samples]
    ground = depth.valid[grid.samples] & ~grid_sky
    band = max(1, round(_BAND_SHARE * math.hypot(*ground.shape)))
    is_inside = ground & ~_dilate(grid_sky, band)
    if not is_inside.any():
        return depth

    nearness = picture_quantity(depth, Drawn.INVERSE_DEPTH)
    inside_nearness = np.where(is_inside, nearness[grid.samples], 0)
    continued = _spread_neighbour_means(inside_nearness, is_inside, ground, band)
    continued[is_inside] = np.nan
    pixels_nearness = continued[grid.cell_indices()]
    # Comparisons with NaN are false.
    is_nearer = (pixels_nearness > nearness) & depth.valid & ~sky
    values = depth.values.copy()
    values[is_nearer] = _values_of_nearness(pixels_nearness[is_nearer], depth.kind)
    return DepthMap(values=values, kind=depth.kind, valid=depth.valid)


def _values_of_nearness(nearness: Field, kind: DepthKind) -> Field:
    """Values of a depth map from what pictures draw: inverse depth, or the values' negatives."""
    if kind.is_depth:
        return 1 / nearness
    return -nearness if kind is DepthKind.AFFINE else nearness


def _dilate(mask: Mask, radius: int) -> Mask:
    """Mask that extends by a square of the radius to each side."""
    side = 2 * radius + 1
    dilated = mask
    for axis in (0, 1):
        lines = np.moveaxis(dilated, axis, 0)
        padded = np.pad(lines, ((radius + 1, radius), (0, 0)))
        # A window has a pixel of the mask if the sum grows from its start to its end.
        sums = np.cumsum(padded, axis=0, dtype=np.int32)
        dilated = np.moveaxis(sums[side:] > sums[:-side], 0, axis)
    return dilated


def _spread_neighbour_means(field: Field, known: Mask, ground: Mask, band: int) -> Field:
    """Fill unknown pixels around known ones with the means of their known neighbours.

    Each round fills one more pixel: first over the ground of the band, then a little beyond it.
    Pixels that are not reached are NaN.
    """
    height, width = known.shape
    neighbours = [
        np.s_[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
        if (row, column) != (1, 1)
    ]
    inner = np.s_[1:-1, 1:-1]
    values, counts = np.pad(field, 1).astype(np.float32), np.pad(known, 1).astype(np.float32)
    for round_number in range(band + _ROUNDS_BEYOND_BAND):
        known_neighbours = np.sum([counts[neighbour] for neighbour in neighbours], axis=0)
        is_allowed = ground | (round_number >= band)
        is_new = (counts[inner] == 0) & (known_neighbours > 0) & is_allowed
        totals = np.sum([values[neighbour] for neighbour in neighbours], axis=0)
        values[inner][is_new] = totals[is_new] / known_neighbours[is_new]
        counts[inner][is_new] = 1
    return np.where(counts[inner] > 0, values[inner], np.float32(np.nan))
