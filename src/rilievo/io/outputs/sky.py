"""Masks of the sky and the background, which surfaces leave out.

The sky is the mask that the network predicts. If it predicts none, the sky is what lies far behind
everything else.
"""

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Mask, Pixels
from rilievo.geometry.connected_components import label_patches
from rilievo.io.outputs.grid import CoarseGrid, neighbour_maxima, square_maxima
from rilievo.io.outputs.save_options import BACKGROUND_SHARE, background_share
from rilievo.records.depth_map import DepthMap
from rilievo.records.prediction_record import PredictionRecord

_MIN_DISTANT_RATIO = 12
"""Smallest ratio of a distant sky to the 25th percentile of depth; far ends of rooms reach 4."""
_MIN_DISTANT_SKY = 0.005
"""Smallest fraction of the pixels that is a sky, and not a few pixels at infinity."""

_SIDE = 192
"""Longer side of the reduced picture [px] in which the sky is sought."""
_MAX_GREY_STEP = 26
"""Largest difference in grey, 0 to 255, between neighbouring pixels of an even sky."""
_MIN_BRIGHT = 190
"""Smallest value of each colour, 0 to 255, in a bright sky."""
_MAX_BRIGHT_SPREAD = 60
"""Difference between the colours of a pixel at which it is too colourful for a bright sky."""
_MIN_BLUE = 45
"""Smallest value of blue, 0 to 255, in a blue sky."""
_MIN_BORDER_FRACTION = 0.1
"""Fraction of the upper border that a sky must touch; smaller patches may be walls."""

EDGE_SIDE = 640
"""Smallest longer side of the grid [px] on which outlines of a sky are found."""
_RIM_FRACTION = 1 / 80
"""How much a network's mask may be too small on each side, as a fraction of the longer side."""
_MIN_RATIO_BEHIND = 2
"""Smallest ratio of the depth of a pixel of the rim to that of the nearest surface around it."""
_MIN_RATIO_TO_SKY = 0.15
"""Smallest ratio of such a pixel's depth to the median depth of the sky; hills are nearer."""
_RAMP_PIXELS = 4
"""Pixels over which networks blend a surface into the sky."""
_MIN_RAMP_RATIO = 1.08
"""Smallest ratio of depths between neighbouring pixels of such a ramp."""


def surface_pixels(prediction: PredictionRecord, drop: tuple[str, ...]) -> Mask:
    """Mask of the pixels from which surfaces are made.

    The sky that the network marked is left out. ``drop`` names further parts, as ``parse_drop``
    returns them; its sky is guessed by colour, and only if the network marked none.
    """
    depth = prediction.depth
    remaining = depth.valid & ~surface_sky(prediction)
    # Models that mark pixels without depth have left out the sky already.
    has_marked_sky = not depth.valid.all()
    for part in drop:
        if part != "sky":
            remaining = remaining & ~background(depth, background_share(part))
        elif not has_marked_sky and prediction.photo is not None:
            remaining = remaining & ~likely_sky(depth, prediction.photo.pixels)
    return remaining


def surface_sky(prediction: PredictionRecord) -> Mask:
    """Mask of the network's sky, up to the edges of depth; of a distant sky if it predicts none."""
    if prediction.sky is None:
        return distant_sky(prediction.depth)
    return _sky_up_to_edges(prediction.sky, prediction.depth)


def _sky_up_to_edges(sky: Mask, depth: DepthMap) -> Mask:
    """Extend a network's mask, which is coarser than its depth, to the edges of depth.

    First the mask grows over pixels that are far behind what stands around them and nearly as far
    as the sky, then over the steep ramp by which networks blend a surface into the sky.
    """
    grid = CoarseGrid(depth.shape, step=max(1, max(depth.shape) // EDGE_SIDE))
    valid, grid_sky = depth.valid[grid.samples], sky[grid.samples]
    known_sky = grid_sky & valid
    if not known_sky.any():
        return sky

    with np.errstate(divide="ignore", invalid="ignore"):
        inverse_depth = np.where(valid, 1 / depth.depth()[grid.samples], np.float32(0))
    radius = max(1, round(_RIM_FRACTION * max(valid.shape)))
    is_far_behind = inverse_depth * _MIN_RATIO_BEHIND < square_maxima(inverse_depth, radius)
    is_as_far_as_sky = inverse_depth * _MIN_RATIO_TO_SKY < np.median(inverse_depth[known_sky])
    is_ramp = inverse_depth * _MIN_RAMP_RATIO < neighbour_maxima(inverse_depth)

    grown_sky = _grow(grid_sky, is_far_behind & is_as_far_as_sky & valid, radius)
    grown_sky = _grow(grown_sky, is_ramp & valid, _RAMP_PIXELS)
    added = grown_sky & ~grid_sky
    return sky | (added[grid.cell_indices()] & depth.valid)


def _grow(mask: Mask, allowed: Mask, rounds: int) -> Mask:
    """Dilate a mask by one pixel in each round, but only over allowed pixels."""
    for _ in range(rounds):
        mask = mask | (neighbour_maxima(mask) & allowed)
    return mask


def normals_mask(prediction: PredictionRecord) -> Mask | None:
    """Mask of pixels with normals, which is that of depth; None if there is no depth."""
    depth = prediction.depth_or_none
    return None if depth is None else depth.valid


def sky_share(prediction: PredictionRecord) -> float | None:
    """Fraction of the pixels in the model's mask of the sky; None if it predicts no mask."""
    sky = prediction.sky
    return None if sky is None else round(float(sky.mean()), 6)


def background(depth: DepthMap, share: float = BACKGROUND_SHARE) -> Mask:
    """Mask of pixels farther than a fraction of the way from near to far.

    The way is measured in log depth, between the percentiles 2 and 98.
    """
    depths = depth.depth()[depth.valid]
    if not depths.size:
        return np.zeros(depth.shape, bool)
    near, far = np.log(np.percentile(depths, [2, 98]))
    max_foreground = np.exp(near + share * (far - near)) if far > near else np.inf
    return depth.valid & (depth.values > max_foreground)


def distant_sky(depth: DepthMap) -> Mask:
    """Mask of a region at the top that is far behind everything else; empty if there is none."""
    no_sky = np.zeros(depth.shape, bool)
    if not depth.valid.all():  # The model has marked the pixels without depth itself.
        return no_sky
    z = depth.depth()
    step = max(1, round(max(depth.shape) / _SIDE))
    coarse_z = z[::step, ::step]  # enough to decide
    min_sky_depth = _MIN_DISTANT_RATIO * np.percentile(coarse_z, 25)
    is_far = coarse_z > min_sky_depth
    # A sky has a gap in depth before it, whereas the depths of a street or a corridor have no gap.
    fraction_in_gap = ((coarse_z > min_sky_depth / 2) & ~is_far).mean()
    reaches_top = is_far[0].any()
    if not reaches_top or is_far.mean() < max(_MIN_DISTANT_SKY, fraction_in_gap):
        return no_sky
    return z > min_sky_depth


def likely_sky(depth: DepthMap, pixels: Pixels) -> Mask:
    """Mask of an even, blue or bright region along the upper border of the photograph."""
    height, width = depth.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small_photo = Image.fromarray(pixels).resize(size, Image.Resampling.BOX)
    colours = np.asarray(small_photo).astype(np.int16)
    depth_image = Image.fromarray(np.ascontiguousarray(depth.depth()))
    small_depth = np.asarray(depth_image.resize(size, Image.Resampling.NEAREST))

    is_far = small_depth >= np.median(small_depth)
    candidates = _has_sky_colours(colours) & ~_is_uneven(colours) & is_far
    sky = _patches_along_top(candidates, min_pixels=_MIN_BORDER_FRACTION * size[0])

    # Grow by one pixel, because pixels at the border of the sky are not even and were left out.
    mask = Image.fromarray(sky.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(3))
    return np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR)) > 127


def _has_sky_colours(photo: np.ndarray) -> Mask:
    """Mask of pixels that are bluish, or bright and nearly grey; ``photo`` has values 0 to 255."""
    red, green, blue = np.moveaxis(photo, 2, 0)
    is_bluish = (5 * blue >= 6 * red) & (blue >= green) & (blue >= _MIN_BLUE)
    darkest, brightest = photo.min(axis=2), photo.max(axis=2)
    is_bright = (darkest >= _MIN_BRIGHT) & (brightest - darkest < _MAX_BRIGHT_SPREAD)
    return is_bluish | is_bright


def _is_uneven(photo: np.ndarray) -> Mask:
    """Mask of pixels whose grey differs much from that of a neighbour."""
    red, green, blue = np.moveaxis(photo, 2, 0)
    grey = (red + 2 * green + blue) // 4
    uneven = np.zeros(grey.shape, bool)
    is_vertical_step = np.abs(np.diff(grey, axis=0)) > _MAX_GREY_STEP
    uneven[1:] |= is_vertical_step
    uneven[:-1] |= is_vertical_step
    is_horizontal_step = np.abs(np.diff(grey, axis=1)) > _MAX_GREY_STEP
    uneven[:, 1:] |= is_horizontal_step
    uneven[:, :-1] |= is_horizontal_step
    return uneven


def _patches_along_top(candidates: Mask, min_pixels: float) -> Mask:
    """Keep the connected patches that have at least ``min_pixels`` in the first row."""
    patches = label_patches(candidates)
    pixels_in_first_row = np.bincount(patches.label[0], minlength=patches.size.size)
    pixels_in_first_row[0] = 0  # Label 0 is the pixels outside of patches.
    return (pixels_in_first_row >= min_pixels)[patches.label]
