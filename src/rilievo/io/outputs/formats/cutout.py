"""Photograph with what is near alone, as an RGBA PNG.

It ends at ``--colour-range``, or at Otsu's threshold of inverse depth (1979).
"""

import numpy as np
from PIL import Image, ImageFilter

from rilievo.arrays.shapes import Float32, Mask, UInt8
from rilievo.io.map_pictures import Drawn, colour_range_from_depths, picture_quantity
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthMap
from rilievo.records.sample import Photo

_BINS = 256
_SIDES_PER_RADIUS = 400
"""How many times the longer side is as long as the radius over which the edge is soft."""


def write(job: WriteJob, depth: DepthMap, photo: Photo) -> FileFacts:
    """Write the near part; sky and pixels without depth are transparent."""
    values, near = picture_quantity(depth), depth.valid.copy()
    if job.prediction.sky is not None:
        near &= ~job.prediction.sky
    near &= values >= _min_inverse_depth(depth, values[near], job.options)
    picture = np.concatenate([photo.pixels, _soft_opacity(near)[..., None]], axis=2)
    return job.write_png(picture, job.facts("photograph, opaque where it is near"))


def _soft_opacity(near: Mask) -> UInt8[np.ndarray, "h w"]:
    """Opacity that falls inside the edge, where pixels are blended."""
    radius = max(near.shape) / _SIDES_PER_RADIUS
    mask = Image.fromarray(near.astype(np.uint8) * np.uint8(255))
    blurred = np.asarray(mask.filter(ImageFilter.GaussianBlur(radius)))
    return np.where(near, np.clip(2 * blurred.astype(np.int16) - 255, 0, 255), 0).astype(np.uint8)


def _min_inverse_depth(
    depth: DepthMap, values: Float32[np.ndarray, "n"], options: SaveOptions
) -> float:
    """Least inverse depth of what is near: that of the options, or Otsu's threshold of values."""
    if options.colour_limits is not None:
        return colour_range_from_depths(*options.colour_limits, depth.kind, Drawn.INVERSE_DEPTH).low
    return otsu(values) if values.size else np.inf


def otsu(values: Float32[np.ndarray, "n"]) -> float:
    """Threshold with the greatest variance between the values below and above it (Otsu 1979)."""
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    count_below = np.cumsum(counts)[:-1]
    count_above = np.cumsum(counts[::-1])[::-1][1:]
    sums = np.cumsum(counts * centres)
    mean_below = sums[:-1] / np.maximum(count_below, 1)
    mean_above = (sums[-1] - sums[:-1]) / np.maximum(count_above, 1)
    variance = count_below.astype(np.float64) * count_above * (mean_below - mean_above) ** 2
    return float(edges[int(np.argmax(variance)) + 1])
