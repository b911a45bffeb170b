"""Sky and background, which surfaces leave out.

The sky is the network's mask, or what lies far behind all else where the network has no mask.
"""

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Mask, Pixels
from rilievo.geometry.surfaces.patches import label_patches
from rilievo.io.outputs.grid import CoarseGrid, neighbour_maxima, square_maxima
from rilievo.io.outputs.save_options import BACKGROUND_SHARE, background_share
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

_MIN_DISTANT_RATIO = 12
"""Least ratio of distant sky to the 25th percentile of depth; the far ends of rooms reach 4."""
_MIN_DISTANT_SKY = 0.005
"""Least share of pixels that is a sky, and not a few pixels at infinity."""

_SIDE = 192
"""Longer side of the reduced picture [px] on which a sky is looked for."""
_MAX_GREY_STEP = 26
"""Largest difference in grey, 0 to 255, between neighbouring pixels of an even sky."""
_MIN_BRIGHT = 190
"""Least value of each colour, 0 to 255, in a bright sky."""
_MAX_BRIGHT_SPREAD = 60
"""Difference between the colours of a pixel from which a bright sky is too coloured."""
_MIN_BLUE = 45
"""Least value of blue, 0 to 255, in a blue sky."""
_MIN_BORDER_SHARE = 0.1
"""Least share of the upper border along which a sky extends; smaller patches may be walls."""

EDGE_SIDE = 640
"""Least longer side of the grid [px] on which outlines of a sky are found."""
_RIM_SHARE = 1 / 80
"""Share of the longer side by which a network's mask may be too small."""
_MIN_RATIO_BEHIND = 2
"""How many times farther than the nearest surface around it a pixel of the rim is."""
_MIN_RATIO_TO_SKY = 0.15
"""Depth relative to the median of the sky from which a pixel belongs to it; hills are nearer."""
_RAMP_PIXELS = 4
"""Pixels over which networks blend a surface into the sky."""
_MIN_RAMP_RATIO = 1.08
"""Least ratio of depths between neighbouring pixels of such a ramp."""


def surface_pixels(prediction: PredictionRecord, drop: tuple[str, ...]) -> Mask:
    """Mask of the pixels that surfaces are made of.

    Args:
        prediction: Depth, and sky if the network has a mask.
        drop: Parts that are left out besides the network's sky, as ``parse_drop`` returns them.
    """
    depth = prediction.depth
    remaining = depth.valid & ~surface_sky(prediction)
    for part in drop:
        if part != "sky":
            remaining = remaining & ~background(depth, background_share(part))
        elif depth.valid.all() and prediction.photo is not None:
            # Models that mark pixels without depth have left out the sky already.
            remaining = remaining & ~likely_sky(depth, prediction.photo.pixels)
    return remaining


def surface_sky(prediction: PredictionRecord) -> Mask:
    """Mask of the network's sky, up to the edge that depth shows."""
    if prediction.sky is None:
        return distant_sky(prediction.depth)
    return _sky_up_to_edges(prediction.sky, prediction.depth)


def _sky_up_to_edges(sky: Mask, depth: DepthMap) -> Mask:
    """Extend a network's mask, which is coarser than its depth, to the edges of depth.

    First it grows over pixels that are far behind what stands around them and nearly as far as the
    sky, then over the steep ramp by which networks blend a surface into the sky.
    """
    grid = CoarseGrid(depth.shape, step=max(1, max(depth.shape) // EDGE_SIDE))
    valid, grid_sky = depth.valid[grid.samples], sky[grid.samples]
    known_sky = grid_sky & valid
    if not known_sky.any():
        return sky

    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.where(valid, 1 / depth.depth()[grid.samples], np.float32(0))
    radius = max(1, round(_RIM_SHARE * max(valid.shape)))
    is_far_behind = inverse * _MIN_RATIO_BEHIND < square_maxima(inverse, radius)
    is_as_far = inverse * _MIN_RATIO_TO_SKY < np.median(inverse[known_sky])
    is_ramp = inverse * _MIN_RAMP_RATIO < neighbour_maxima(inverse)

    grown = _grow(grid_sky, is_far_behind & is_as_far & valid, radius)
    grown = _grow(grown, is_ramp & valid, _RAMP_PIXELS)
    added = grown & ~grid_sky
    return sky | (added[grid.cell_indices()] & depth.valid)


def _grow(mask: Mask, allowed: Mask, rounds: int) -> Mask:
    """Mask that grows by a pixel in each round, over allowed pixels alone."""
    for _ in range(rounds):
        mask = mask | (neighbour_maxima(mask) & allowed)
    return mask


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
    limit = _MIN_DISTANT_RATIO * np.percentile(small, 25)
    is_far = small > limit
    # A street or a corridor has depths of every size up to the last.
    share_before_it = ((small > limit / 2) & ~is_far).mean()
    is_sky = is_far.mean() >= max(_MIN_DISTANT_SKY, share_before_it) and is_far[0].any()
    return z > limit if is_sky else nothing


def likely_sky(depth: DepthMap, pixels: Pixels) -> Mask:
    """Mask of an even, blue or bright region along the upper border."""
    height, width = depth.shape
    factor = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    photo = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX)).astype(np.int16)
    depths = Image.fromarray(np.ascontiguousarray(depth.depth()))
    small_depth = np.asarray(depths.resize(size, Image.Resampling.NEAREST))

    is_far = small_depth >= np.median(small_depth)
    candidates = _has_sky_colours(photo) & ~_is_uneven(photo) & is_far
    sky = _patches_along_top(candidates, min_pixels=_MIN_BORDER_SHARE * size[0])

    # The photograph changes from sky to something else at the neighbouring pixel.
    mask = Image.fromarray(sky.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    return np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)) > 127


def _has_sky_colours(photo: np.ndarray) -> Mask:
    """Whether pixels are bluish, or bright and nearly grey; ``photo`` is (h, w, 3) of 0 to 255."""
    red, green, blue = np.moveaxis(photo, 2, 0)
    is_bluish = (5 * blue >= 6 * red) & (blue >= green) & (blue >= _MIN_BLUE)
    darkest, brightest = photo.min(axis=2), photo.max(axis=2)
    is_bright = (darkest >= _MIN_BRIGHT) & (brightest - darkest < _MAX_BRIGHT_SPREAD)
    return is_bluish | is_bright


def _is_uneven(photo: np.ndarray) -> Mask:
    """Whether the grey of pixels differs much from that of a neighbour."""
    red, green, blue = np.moveaxis(photo, 2, 0)
    grey = (red + 2 * green + blue) // 4
    uneven = np.zeros(grey.shape, bool)
    down = np.abs(np.diff(grey, axis=0)) > _MAX_GREY_STEP
    uneven[1:] |= down
    uneven[:-1] |= down
    across = np.abs(np.diff(grey, axis=1)) > _MAX_GREY_STEP
    uneven[:, 1:] |= across
    uneven[:, :-1] |= across
    return uneven


def _patches_along_top(candidates: Mask, min_pixels: float) -> Mask:
    """Connected patches that have so many pixels in the first row."""
    patches = label_patches(
        candidates, candidates[:, 1:] & candidates[:, :-1], candidates[1:] & candidates[:-1]
    )
    pixels_in_first_row = np.bincount(patches.label[0], minlength=patches.size.size)
    pixels_in_first_row[0] = 0  # label 0 is no patch
    return (pixels_in_first_row >= min_pixels)[patches.label]
