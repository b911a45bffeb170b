"""The output ``cutout``: the photograph, opaque only where it is near, as an RGBA PNG.

The near part ends at ``--colour-range``, or else at Otsu's threshold of inverse depth (1979).
"""

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Float32, Mask, UInt8
from rilievo.io.map_pictures import DrawnQuantity, colour_range_from_depths, picture_quantity
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_BINS = 256
_SIDES_PER_RADIUS = 400
"""Longer side of the photograph, divided by the radius over which the edge is soft."""


def write(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write the near part; sky and pixels without depth are transparent."""
    inverse_depth, is_near = picture_quantity(depth), depth.valid.copy()
    if job.prediction.sky is not None:
        is_near &= ~job.prediction.sky
    is_near &= inverse_depth >= _min_inverse_depth(depth, inverse_depth[is_near], job.options)
    picture = np.concatenate([photo.pixels, _soft_opacity(is_near)[..., None]], axis=2)
    return job.write_png(picture, job.describe_file("photograph, opaque only where it is near"))


def _soft_opacity(is_near: Mask) -> UInt8[np.ndarray, "h w"]:
    """Opacity that falls to 0 inside the edge, because pixels at the edge blend two surfaces.

    A blurred mask is 255/2 at the edge, so that 2 · blurred - 255 is 0 there.
    """
    radius = max(is_near.shape) / _SIDES_PER_RADIUS
    mask = Image.fromarray(is_near.astype(np.uint8) * np.uint8(255))
    blurred = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)))
    opacity = np.clip(2 * blurred.astype(np.int16) - 255, 0, 255)
    return np.where(is_near, opacity, 0).astype(np.uint8)


def _min_inverse_depth(
    depth: DepthMap, values: Float32[np.ndarray, "n"], options: SaveOptions
) -> float:
    """Smallest inverse depth of the near part, by the options or by Otsu's threshold of values."""
    if options.colour_limits is not None:
        return colour_range_from_depths(
            *options.colour_limits, depth.kind, DrawnQuantity.INVERSE_DEPTH
        ).low
    return otsu_threshold(values) if values.size else np.inf


def otsu_threshold(values: Float32[np.ndarray, "n"]) -> float:
    """Threshold with the greatest variance between the values below and above it (Otsu 1979).

    That variance is proportional to count_below · count_above · (mean_below - mean_above)².
    """
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    count_below = np.cumsum(counts)[:-1]
    count_above = np.cumsum(counts[::-1])[::-1][1:]
    running_sums = np.cumsum(counts * centres)
    sum_below, total = running_sums[:-1], running_sums[-1]
    mean_below = sum_below / np.maximum(count_below, 1)
    mean_above = (total - sum_below) / np.maximum(count_above, 1)
    variance = count_below.astype(np.float64) * count_above * (mean_below - mean_above) ** 2
    return float(edges[int(np.argmax(variance)) + 1])
