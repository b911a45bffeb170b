"""Sky and background: what surfaces leave out, and how pictures draw the skyline.

Networks blend ground and sky over about 1.5 % of the diagonal; pictures continue the ground.
"""

import math

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Field, Int, Mask, Pixels, Shaped
from rilievo.geometry.surfaces.patches import label_patches
from rilievo.io.map_pictures import Drawn, picture_quantity
from rilievo.io.outputs.save_options import BACKGROUND_SHARE, background_share
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import PredictionRecord

# Ratio of sky to the 25th percentile of depth; rooms end at 4.
_FAR = 12
_LEAST_SKY = 0.005
_SIDE = 192
_EVEN = 26
_BRIGHT = 190
_DARKEST = 45
# Least share of the upper border; smaller patches may be walls.
_WIDE = 0.1
# Share of the longer side where depth decides, since masks are coarser.
_RIM = 1 / 80
_WIDTHS = 1
# Least depth relative to the sky's median; hills are nearer.
_AS_FAR = 0.15
# Least ratio to what is before it.
_BEFORE = 2
_RAMP = 4
_STEEP = 1.08
_FINE = 640


def surface_pixels(prediction: PredictionRecord, drop: tuple[str, ...]) -> Mask:
    """Mask of pixels with depth that are neither sky nor dropped."""
    depth = prediction.depth
    remaining = depth.valid & ~surface_sky(prediction)
    for part in drop:
        if part == "sky":
            # Models that mark pixels without depth have left out the sky already.
            if depth.valid.all() and prediction.photo is not None:
                remaining = remaining & ~likely_sky(depth, prediction.photo.pixels)
        else:
            remaining = remaining & ~background(depth, background_share(part))
    return remaining


def surface_sky(prediction: PredictionRecord) -> Mask:
    """Mask of the network's sky, up to the edge that depth shows."""
    if prediction.sky is None:
        return distant_sky(prediction.depth)
    return _sky_up_to_edges(prediction.sky, prediction.depth)


def _sky_up_to_edges(sky: Mask, depth: DepthMap) -> Mask:
    step = max(1, max(depth.shape) // _FINE)
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    valid, some = depth.valid[grid], sky[grid]
    there = some & valid
    if not there.any():
        return sky
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(valid, 1 / depth.depth()[grid], np.float32(0))
    reach = max(1, round(_RIM * max(valid.shape)))
    nearest = _square_maxima(inverse, reach)
    rim = (inverse * _BEFORE < nearest) & (inverse * _AS_FAR < np.median(inverse[there]))
    steep = inverse * _STEEP < _neighbour_maxima(inverse)
    grown = some
    for rounds, chosen in ((_WIDTHS * reach, rim), (_RAMP, steep)):
        for _ in range(rounds):
            grown = grown | (_neighbour_maxima(grown) & chosen & valid)
    added = grown & ~some
    return sky | (added[_cells_of_pixels(sky.shape, added.shape, step)] & depth.valid)


def _square_maxima(field: Field, reach: int, beyond: float = 0.0) -> Field:
    largest = np.pad(field, reach, constant_values=np.float32(beyond))
    for axis in (0, 1):
        line, length = np.moveaxis(largest, axis, 0), 1
        while length < 2 * reach + 1:
            step = min(length, 2 * reach + 1 - length)
            line = np.maximum(line[:-step], line[step:])
            length += step
        largest = np.moveaxis(line, 0, axis)
    return largest


def _neighbour_maxima(field: Shaped[np.ndarray, "h w"]) -> Shaped[np.ndarray, "h w"]:
    largest = field.copy()
    for axis in (0, 1):
        source, line = np.moveaxis(field, axis, 0), np.moveaxis(largest, axis, 0)
        np.maximum(line[1:], source[:-1], out=line[1:])
        np.maximum(line[:-1], source[1:], out=line[:-1])
    return largest


def normals_mask(prediction: PredictionRecord) -> Mask | None:
    """Mask of pixels with normals; None where depth has no mask."""
    depth = prediction.depth_or_none
    return None if depth is None else depth.valid


def sky_share(prediction: PredictionRecord) -> float | None:
    """Share of pixels in the model's sky; None without its mask."""
    sky = prediction.sky
    return None if sky is None else round(float(sky.mean()), 6)


def background(depth: DepthMap, share: float = BACKGROUND_SHARE) -> Mask:
    """Mask of pixels farther than a share of the way from near to far.

    The way is in log depth, from percentile 2 to 98.
    """
    depths = depth.depth()[depth.valid]
    if not depths.size:
        return np.zeros(depth.shape, bool)
    near, far = np.log(np.percentile(depths, [2, 98]))
    limit = np.exp(near + share * (far - near)) if far > near else np.inf
    return depth.valid & (depth.values > limit)


def distant_sky(depth: DepthMap) -> Mask:
    """Mask of the region at the top that is far behind all else."""
    nothing = np.zeros(depth.shape, bool)
    if not depth.valid.all():  # the model has marked what has no depth
        return nothing
    z = depth.depth()
    step = max(1, round(max(depth.shape) / _SIDE))
    small = z[::step, ::step]
    limit = _FAR * np.percentile(small, 25)
    far, between = (small > limit).mean(), ((small > limit / 2) & (small <= limit)).mean()
    # A street or a corridor has depths of every size up to the last.
    if far < max(_LEAST_SKY, between) or not (small[0] > limit).any():
        return nothing
    return z > limit


def likely_sky(depth: DepthMap, pixels: Pixels) -> Mask:
    """Mask of an even, blue or bright region along the upper border."""
    height, width = depth.shape
    factor = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    photo = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)).astype(np.int16)
    small = Image.fromarray(np.ascontiguousarray(depth.depth()))
    far = np.asarray(small.resize(size, Image.Resampling.NEAREST))
    red, green, blue = np.moveaxis(photo, 2, 0)
    grey = (red + 2 * green + blue) // 4
    is_bluish = (5 * blue >= 6 * red) & (blue >= green) & (blue >= _DARKEST)
    is_bright = (photo.min(axis=2) >= _BRIGHT) & (photo.max(axis=2) - photo.min(axis=2) < 60)
    rough = np.zeros(grey.shape, bool)
    down, across = (np.abs(np.diff(grey, axis=axis)) > _EVEN for axis in (0, 1))
    for part, steps in (
        (rough[1:], down),
        (rough[:-1], down),
        (rough[:, 1:], across),
        (rough[:, :-1], across),
    ):
        part |= steps
    chosen = (is_bluish | is_bright) & ~rough & (far >= np.median(far))
    regions = label_patches(chosen, chosen[:, 1:] & chosen[:, :-1], chosen[1:] & chosen[:-1])
    above = np.bincount(regions.label[0], minlength=regions.size.size)
    above[0] = 0
    sky = (above >= _WIDE * size[0])[regions.label]
    # The photograph changes from sky to something else at the neighbouring pixel.
    mask = Image.fromarray(sky.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    return np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)) > 127


# Share of the longer side: widest half of an object before the sky that pictures keep.
_OBJECT = 1 / 32
# By how much an object is nearer than the sky around it, everywhere and at its nearest: a share of
# the sky's inverse depth; without a zero, of the difference between ground and sky.
_NEARER = 0.06
_CLEARLY_NEARER = 0.12
# Share of the longer side: side of the smallest object, as a square.
_SMALLEST = 1 / 48


def sky_behind_objects(depth: DepthMap, sky: Mask | None) -> Mask | None:
    """Mask of the sky that pictures colour: the network's, without the objects before it.

    The network's mask is coarser than its depth, so masts and the rims of towers lie in it. Depth
    shows them as narrow and nearer than the sky on both sides. A sky that becomes nearer towards
    the horizon, as networks draw it, is no object. None where no pixel is sky.
    """
    if sky is None or not sky.any():
        return None
    step = max(1, max(depth.shape) // _FINE)
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    valid, some = depth.valid[grid], sky[grid]
    if not (some & valid).any():
        return sky
    nearness = picture_quantity(depth, Drawn.INVERSE_DEPTH)
    coarse = nearness[grid]
    reach = max(1, int(_OBJECT * max(coarse.shape)))
    around = _level_narrow_peaks(coarse, valid, reach)
    unit = around if depth.is_depth else _contrast_to_sky(coarse, valid, some)
    nearer = some & valid & (coarse - around > np.float32(_NEARER) * unit)
    clearly_nearer = nearer & (coarse - around > np.float32(_CLEARLY_NEARER) * unit)
    objects = _patches_with_a_seed(nearer, clearly_nearer, _SMALLEST * max(coarse.shape))
    if not objects.any():
        return sky
    # Every pixel of an object decides for itself, so that outlines are as fine as depth.
    limit = around + np.float32(_NEARER) * unit
    rows, columns = _cells_of_pixels(depth.shape, coarse.shape, step)
    near_object = _neighbour_maxima(objects)
    is_near = near_object[rows, columns]
    place = (_extent(is_near), _extent(is_near.T))
    cells = (rows[place[0]], columns[place[1]])
    is_object = is_near[place] & depth.valid[place] & (nearness[place] > limit[cells])
    without_objects = sky.copy()
    without_objects[place] &= ~is_object
    return without_objects


def _extent(mask: Mask) -> slice:
    """Slice of the rows from the first to the last one that has a pixel of the mask."""
    rows = np.flatnonzero(np.asarray(mask.any(axis=1)))
    return slice(int(rows[0]), int(rows[-1]) + 1)


def _level_narrow_peaks(field: Field, valid: Mask, reach: int) -> Field:
    """Level what is greater than both sides and narrower than twice the reach (an opening).

    What rises up to the border of the image may go on beyond it, so it stays.
    """
    beyond = -math.inf
    inner = np.s_[reach:-reach, reach:-reach]
    wide = np.pad(np.where(valid, -field, np.float32(beyond)), reach, constant_values=beyond)
    least = -_square_maxima(wide, reach, beyond)
    least[np.isinf(least)] = beyond
    return _square_maxima(least, reach, beyond)[inner]


def _contrast_to_sky(nearness: Field, valid: Mask, sky: Mask) -> np.float32:
    """Difference between the medians of ground and sky; infinite without ground before it."""
    if not (valid & ~sky).any():
        return np.float32(np.inf)
    contrast = np.median(nearness[valid & ~sky]) - np.median(nearness[valid & sky])
    return np.float32(contrast if contrast > 0 else np.inf)


def _patches_with_a_seed(chosen: Mask, seeds: Mask, side: float) -> Mask:
    """Connected patches as large as a square of this side that contain a seed."""
    patches = label_patches(chosen, chosen[:, 1:] & chosen[:, :-1], chosen[1:] & chosen[:-1])
    count = patches.size.size
    is_kept = np.bincount(patches.label[seeds], minlength=count) > 0
    is_kept &= patches.size >= side**2
    is_kept[0] = False
    return is_kept[patches.label]


def _cells_of_pixels(
    shape: tuple[int, int], cells: tuple[int, int], step: int
) -> tuple[Int[np.ndarray, "h 1"], Int[np.ndarray, "w"]]:
    """Row and column of the grid's cell of every pixel."""
    rows, columns = (
        np.minimum(np.arange(length) // step, count - 1)
        for length, count in zip(shape, cells, strict=True)
    )
    return rows[:, None], columns


# Share of the diagonal.
_BAND = 0.016
_BAND_SIDE = 320
_BEYOND = 2


def extend_ground_to_sky(depth: DepthMap, sky: Mask | None) -> DepthMap:
    """Depth with the ground continued up to the sky, where nearer."""
    if sky is None or not sky.any():
        return depth
    step = math.ceil(max(depth.shape) / _BAND_SIDE)
    grid = np.s_[step // 2 :: step, step // 2 :: step]
    ground = depth.valid[grid] & ~sky[grid]
    band = max(1, round(_BAND * math.hypot(*ground.shape)))
    is_inside = ground & ~_dilate(sky[grid], band)
    if not is_inside.any():
        return depth
    nearness = picture_quantity(depth, Drawn.INVERSE_DEPTH)
    inside = _spread_neighbour_means(
        np.where(is_inside, nearness[grid], 0), is_inside, ground, band
    )
    inside[is_inside] = np.nan
    whole = inside[_cells_of_pixels(depth.shape, ground.shape, step)]
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


def _dilate(mask: Mask, reach: int) -> Mask:
    wide = mask
    for axis in (0, 1):
        line = np.moveaxis(wide, axis, 0)
        sums = np.cumsum(np.pad(line, ((reach + 1, reach), (0, 0))), axis=0, dtype=np.int32)
        wide = np.moveaxis(sums[2 * reach + 1 :] > sums[: -2 * reach - 1], 0, axis)
    return wide


def _spread_neighbour_means(field: Field, mask: Mask, ground: Mask, band: int) -> Field:
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
