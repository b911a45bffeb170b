"""Ground beside the sky, as pictures of depth draw it.

Networks blend both over about 1.5 % of the diagonal; pictures continue the ground.
"""

import math

import numpy as np

from rilievo.io.colour_pictures import Drawn, drawn
from rilievo.shapes import Field, Mask
from rilievo.types import DepthKind, DepthMap

_BAND = 0.016
"""Share of the diagonal."""
_SIDE = 320
_BEYOND = 2


def up_to_sky(depth: DepthMap, sky: Mask | None) -> DepthMap:
    """Depth whose band continues the ground inside, where this is nearer."""
    if sky is None or not sky.any():
        return depth
    step = math.ceil(max(depth.shape) / _SIDE)
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    ground = depth.valid[grid] & ~sky[grid]
    band = max(1, round(_BAND * math.hypot(*ground.shape)))
    is_inside = ground & ~_widened(sky[grid], band)
    if not is_inside.any():
        return depth
    nearness = drawn(depth, Drawn.INVERSE_DEPTH)
    inside = _continued(np.where(is_inside, nearness[grid], 0), is_inside, ground, band)
    inside[is_inside] = np.nan
    rows, columns = (
        np.minimum(np.arange(length) // step, cells - 1)
        for length, cells in zip(depth.shape, ground.shape, strict=True)
    )
    whole = inside[rows[:, None], columns]
    # Comparisons with NaN are false.
    nearer = (whole > nearness) & depth.valid & ~sky
    chosen = whole[nearer]
    if depth.kind.is_depth:
        chosen = 1 / chosen
    elif depth.kind is DepthKind.AFFINE:
        chosen = -chosen
    values = depth.values.copy()
    values[nearer] = chosen
    return DepthMap(values=values, kind=depth.kind, valid=depth.valid)


def _widened(mask: Mask, reach: int) -> Mask:
    wide = mask
    for axis in (0, 1):
        line = np.moveaxis(wide, axis, 0)
        sums = np.cumsum(np.pad(line, ((reach + 1, reach), (0, 0))), axis=0, dtype=np.int32)
        wide = np.moveaxis(sums[2 * reach + 1 :] > sums[: -2 * reach - 1], 0, axis)
    return wide


def _continued(field: Field, mask: Mask, ground: Mask, band: int) -> Field:
    """Values that grow over the ground as means; NaN where none reaches."""
    height, width = mask.shape
    places = [np.s_[row : row + height, column : column + width] for row, column in _AROUND]
    values, counts = np.pad(field, 1).astype(np.float32), np.pad(mask, 1).astype(np.float32)
    own = np.s_[1:-1, 1:-1]
    for number in range(band + _BEYOND):
        count = np.sum([counts[place] for place in places], axis=0)
        is_new = (counts[own] == 0) & (count > 0) & (ground | (number >= band))
        total = np.sum([values[place] for place in places], axis=0)
        values[own][is_new] = total[is_new] / count[is_new]
        counts[own][is_new] = 1
    return np.where(counts[own] > 0, values[own], np.float32(np.nan))


_AROUND = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
