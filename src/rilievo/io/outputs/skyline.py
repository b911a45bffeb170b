"""Skyline in pictures of depth: objects before the sky, and the ground up to it.

Networks blend ground and sky over about 1.5% of the diagonal, so pictures continue the ground.
"""

import math

import numpy as np

from rilievo.arrays.shapes import Field, Mask
from rilievo.geometry.connected_components import label_patches
from rilievo.io.map_pictures import DrawnQuantity, picture_quantity
from rilievo.io.outputs.grid import CoarseGrid, neighbour_maxima, square_maxima
from rilievo.io.outputs.sky import EDGE_SIDE
from rilievo.records.depth_map import DepthKind, DepthMap

_MAX_HALF_WIDTH = 1 / 32
"""Largest half width of an object before the sky that pictures keep, as a fraction of the longer
side."""
_MIN_NEARER, _MIN_CLEARLY_NEARER = 0.06, 0.12
"""How much nearer an object is than the sky around it, everywhere and at its nearest point, as a
fraction of the sky's inverse depth. For affine values, which have no zero, it is a fraction of the
difference between ground and sky."""
_MIN_OBJECT_SIDE = 1 / 48
"""Side of a square with the area of the smallest object, as a fraction of the longer side."""

_BAND_FRACTION = 0.016
"""Width of the band over which networks blend ground and sky, as a fraction of the diagonal."""
_MAX_BAND_SIDE = 320
"""Longest side of the grid [px] on which the ground is continued."""
_ROUNDS_BEYOND_BAND = 2
"""Pixels of that grid by which the ground is continued into the sky, so that no gap is left."""


def sky_behind_objects(depth: DepthMap, sky: Mask | None) -> Mask | None:
    """Mask of the sky that pictures colour: the network's mask without the objects before it.

    The network's mask is coarser than its depth, so masts and the rims of towers lie in it. Depth
    shows them as narrow and nearer than the sky on both sides. The sky itself also becomes nearer
    towards the horizon, as networks predict it, but it is not narrow. Returns None if no pixel is
    sky.
    """
    if sky is None or not sky.any():
        return None
    grid = CoarseGrid(depth.shape, step=max(1, max(depth.shape) // EDGE_SIDE))
    valid, grid_sky = depth.valid[grid.samples], sky[grid.samples]
    if not (grid_sky & valid).any():
        return sky

    nearness = picture_quantity(depth, DrawnQuantity.INVERSE_DEPTH)
    grid_nearness = nearness[grid.samples]
    longer_side = max(grid_nearness.shape)
    # The opening removes narrow objects, which leaves the nearness of the sky itself.
    radius = max(1, int(_MAX_HALF_WIDTH * longer_side))
    sky_nearness = _open_grey(grid_nearness, valid, radius)
    scale = sky_nearness if depth.is_depth else _contrast_to_sky(grid_nearness, valid, grid_sky)

    excess = grid_nearness - sky_nearness
    is_nearer = grid_sky & valid & (excess > np.float32(_MIN_NEARER) * scale)
    is_clearly_nearer = is_nearer & (excess > np.float32(_MIN_CLEARLY_NEARER) * scale)
    objects = _patches_with_seeds(is_nearer, is_clearly_nearer, _MIN_OBJECT_SIDE * longer_side)
    if not objects.any():
        return sky
    # Outlines are then refined from the grid to pixels.
    min_object_nearness = sky_nearness + np.float32(_MIN_NEARER) * scale
    may_be_object = sky & depth.valid & neighbour_maxima(objects)[grid.cell_indices()]
    return sky & ~_is_nearer_than(min_object_nearness, nearness, may_be_object, grid)


def _is_nearer_than(
    cell_limits: Field, nearness: Field, candidates: Mask, grid: CoarseGrid
) -> Mask:
    """Mask of the candidate pixels that are nearer than the limit of their cell.

    Pixels, not cells, are compared, so that outlines are as fine as the depth map.
    """
    rows, columns = np.nonzero(candidates)
    cell_rows, cell_columns = grid.cell_indices()  # (height, 1) and (width,)
    pixel_limits = cell_limits[cell_rows[rows, 0], cell_columns[columns]]
    is_nearer = np.zeros(candidates.shape, bool)
    is_nearer[rows, columns] = nearness[rows, columns] > pixel_limits
    return is_nearer


def _open_grey(field: Field, valid: Mask, radius: int) -> Field:
    """Grey opening with a square: level peaks that are narrower than twice the radius.

    A minimum filter, -max(-field), removes the peaks, and a maximum filter restores the rest. A
    peak at the border of the image stays, because it may continue beyond the border.
    """
    outside = -math.inf  # never wins a maximum, neither do invalid pixels
    inner = np.s_[radius:-radius, radius:-radius]
    padded = np.pad(np.where(valid, -field, np.float32(outside)), radius, constant_values=outside)
    minima = -square_maxima(padded, radius, outside)
    # The minimum of a square without a valid pixel is inf; the next maximum must ignore it.
    minima[np.isinf(minima)] = outside
    return square_maxima(minima, radius, outside)[inner]


def _contrast_to_sky(nearness: Field, valid: Mask, sky: Mask) -> np.float32:
    """Median of the ground minus median of the sky; infinite if the ground is not nearer."""
    if not (valid & ~sky).any():
        return np.float32(np.inf)
    contrast = np.median(nearness[valid & ~sky]) - np.median(nearness[valid & sky])
    return np.float32(contrast if contrast > 0 else np.inf)


def _patches_with_seeds(mask: Mask, seeds: Mask, min_side: float) -> Mask:
    """Keep the connected patches that contain a seed and are as large as a square of this side."""
    patches = label_patches(mask)
    seed_counts = np.bincount(patches.label[seeds], minlength=patches.size.size)
    is_kept = (seed_counts > 0) & (patches.size >= min_side**2)
    is_kept[0] = False  # Label 0 is the pixels outside of patches.
    return is_kept[patches.label]


def extend_ground_to_sky(depth: DepthMap, sky: Mask | None) -> DepthMap:
    """Replace the band that blends ground into sky by a continuation of the ground.

    Ground beyond the band is spread over it on a coarse grid, and replaces depth that is farther.
    """
    if sky is None or not sky.any():
        return depth
    grid = CoarseGrid(depth.shape, step=math.ceil(max(depth.shape) / _MAX_BAND_SIDE))
    grid_sky = sky[grid.samples]
    ground = depth.valid[grid.samples] & ~grid_sky
    band_width = max(1, round(_BAND_FRACTION * math.hypot(*ground.shape)))
    is_beyond_band = ground & ~_dilate(grid_sky, band_width)
    if not is_beyond_band.any():
        return depth

    nearness = picture_quantity(depth, DrawnQuantity.INVERSE_DEPTH)
    known_nearness = np.where(is_beyond_band, nearness[grid.samples], 0)
    continued = _spread_neighbour_means(known_nearness, is_beyond_band, ground, band_width)
    continued[is_beyond_band] = np.nan
    continued_pixels = continued[grid.cell_indices()]
    # Comparisons with NaN are false, so pixels that the continuation does not reach stay.
    is_nearer = (continued_pixels > nearness) & depth.valid & ~sky
    values = depth.values.copy()
    values[is_nearer] = _nearness_to_values(continued_pixels[is_nearer], depth.kind)
    return DepthMap(values=values, kind=depth.kind, valid=depth.valid)


def _nearness_to_values(nearness: Field, kind: DepthKind) -> Field:
    """Convert what pictures draw, inverse depth or negative values, back to values of a map."""
    if kind.is_depth:
        return 1 / nearness
    return -nearness if kind is DepthKind.AFFINE else nearness


def _dilate(mask: Mask, radius: int) -> Mask:
    """Dilate a mask by a square that extends ``radius`` pixels to each side."""
    side = 2 * radius + 1
    dilated = mask
    for axis in (0, 1):
        along_axis = np.moveaxis(dilated, axis, 0)
        padded = np.pad(along_axis, ((radius + 1, radius), (0, 0)))
        # A window contains a pixel of the mask if the running count grows from its start to its
        # end.
        running_count = np.cumsum(padded, axis=0, dtype=np.int32)
        dilated = np.moveaxis(running_count[side:] > running_count[:-side], 0, axis)
    return dilated


def _spread_neighbour_means(field: Field, known: Mask, ground: Mask, band_width: int) -> Field:
    """Fill unknown pixels around known ones with the means of their known neighbours.

    ``field`` is 0 where it is unknown. Each round fills one more ring of pixels: in the first
    ``band_width`` rounds only over ``ground``, then a little into the sky. Pixels that are not
    reached are NaN.
    """
    values = field.astype(np.float32)
    is_known = known
    for round_number in range(band_width + _ROUNDS_BEYOND_BAND):
        known_neighbours = _sum_of_eight_neighbours(is_known.astype(np.float32))
        # Unknown values are 0, so the sum is that of the known neighbours.
        neighbour_sums = _sum_of_eight_neighbours(values)
        is_allowed = ground | (round_number >= band_width)
        is_new = ~is_known & (known_neighbours > 0) & is_allowed
        values[is_new] = neighbour_sums[is_new] / known_neighbours[is_new]
        is_known = is_known | is_new
    return np.where(is_known, values, np.float32(np.nan))


def _sum_of_eight_neighbours(field: Field) -> Field:
    """Sum of the eight neighbours of each pixel; those beyond the border count as 0."""
    height, width = field.shape
    padded = np.pad(field, 1)
    neighbours = [
        padded[row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
        if (row, column) != (1, 1)
    ]
    return np.sum(neighbours, axis=0)
